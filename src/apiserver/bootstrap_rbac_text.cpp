// The roles and bindings of Kubernetes 1.36 (plugin/pkg/auth/authorizer/rbac/bootstrappolicy), in the notation of bootstrap_rbac.h;
// those of the service catalogue;
// and those of Estiba's own nodes, whose names begin with estiba:.
#include "apiserver/bootstrap_rbac.h"

namespace estiba::apiserver {

// clang-format off
const std::string_view bootstrap_rbac_text = R"(
role admin <admin
role cluster-admin
  * : * : *
  * @ *
role edit >admin <edit
role system:aggregate-to-admin >admin
  create : authorization.k8s.io : localsubjectaccessreviews
  read write : rbac.authorization.k8s.io : rolebindings roles
role system:aggregate-to-edit >edit
  read : core : pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy
  impersonate : core : serviceaccounts
  write : core : pods pods/attach pods/exec pods/portforward pods/proxy
  create : core : pods/eviction
  write : core : configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services
      services/proxy
  create : core : serviceaccounts/token
  write : core,events.k8s.io : events
  write : apps : daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets
      statefulsets/scale
  write : autoscaling : horizontalpodautoscalers
  write : batch : cronjobs jobs
  write : extensions : daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets
      replicasets/scale replicationcontrollers/scale
  write : policy : poddisruptionbudgets
  write : networking.k8s.io : ingresses networkpolicies
  read write : coordination.k8s.io : leases
  write : resource.k8s.io : resourceclaims resourceclaimtemplates
role system:aggregated-metrics-reader >admin >edit >view
  read : metrics.k8s.io : nodes pods
role system:aggregate-to-view >view
  read : core : configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers
      replicationcontrollers/scale serviceaccounts services services/status
  read : core : bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas
      resourcequotas/status
  read : core : namespaces
  read : core,events.k8s.io : events
  read : discovery.k8s.io : endpointslices
  read : apps : controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets
      replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status
  read : autoscaling : horizontalpodautoscalers horizontalpodautoscalers/status
  read : batch : cronjobs cronjobs/status jobs jobs/status
  read : extensions : daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status
      networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale
  read : policy : poddisruptionbudgets poddisruptionbudgets/status
  read : networking.k8s.io : ingresses ingresses/status networkpolicies
  read : resource.k8s.io : resourceclaims resourceclaims/status resourceclaimtemplates
role system:auth-delegator
  create : authentication.k8s.io : tokenreviews
  create : authorization.k8s.io : subjectaccessreviews
role system:basic-user
  create : authorization.k8s.io : selfsubjectaccessreviews selfsubjectrulesreviews
  create : authentication.k8s.io : selfsubjectreviews
role system:certificates.k8s.io:certificatesigningrequests:nodeclient
  create : certificates.k8s.io : certificatesigningrequests/nodeclient
role system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
  create : certificates.k8s.io : certificatesigningrequests/selfnodeclient
role system:certificates.k8s.io:kube-apiserver-client-approver
  approve : certificates.k8s.io : signers = kubernetes.io/kube-apiserver-client
role system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
  approve : certificates.k8s.io : signers = kubernetes.io/kube-apiserver-client-kubelet
role system:certificates.k8s.io:kubelet-serving-approver
  approve : certificates.k8s.io : signers = kubernetes.io/kubelet-serving
role system:certificates.k8s.io:legacy-unknown-approver
  approve : certificates.k8s.io : signers = kubernetes.io/legacy-unknown
role system:discovery
  get @ /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/
role system:heapster
  read : core : events namespaces nodes pods
  read : extensions : deployments
role system:kube-aggregator
  read : core : endpoints services
role system:kube-controller-manager
  create patch update : core,events.k8s.io : events
  create : coordination.k8s.io : leases
  get update : coordination.k8s.io : leases = kube-controller-manager
  create : core : secrets serviceaccounts
  delete : core : secrets
  get : core : configmaps namespaces secrets serviceaccounts
  update : core : secrets serviceaccounts
  create : authentication.k8s.io : tokenreviews
  create : authorization.k8s.io : subjectaccessreviews
  list watch : * : *
  create : core : serviceaccounts/token
role system:kube-dns
  list watch : core : endpoints services
role system:kube-scheduler
  create patch update : core,events.k8s.io : events
  create : coordination.k8s.io : leases
  read update : coordination.k8s.io : leases = kube-scheduler
  read write : coordination.k8s.io : leasecandidates
  read : core : nodes
  read delete : core : pods
  create : core : bindings pods/binding
  patch update : core : pods/status
  read : core : replicationcontrollers services
  read : apps,extensions : replicasets
  read : apps : statefulsets
  read : policy : poddisruptionbudgets
  read : core : persistentvolumeclaims persistentvolumes
  create : authentication.k8s.io : tokenreviews
  create : authorization.k8s.io : subjectaccessreviews
  read : storage.k8s.io : csinodes
  read : storage.k8s.io : volumeattachments
  read : core : namespaces
  read : storage.k8s.io : csidrivers
  read : storage.k8s.io : csistoragecapacities
  read : resource.k8s.io : deviceclasses
  read patch update : resource.k8s.io : resourceclaims
  read patch update : resource.k8s.io : resourceclaims/status
  update : core : pods/finalizers
  read : resource.k8s.io : resourceslices
  create delete : resource.k8s.io : resourceclaims
  patch update : resource.k8s.io : resourceclaims/binding
role system:kubelet-api-admin
  read : core : nodes
  proxy : core : nodes
  * : core : nodes/log nodes/metrics nodes/proxy nodes/stats
  * : core : nodes/configz nodes/healthz nodes/pods
role system:monitoring
  get @ /flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* /statusz
  get : core : nodes/metrics
role system:node
  create : authentication.k8s.io : tokenreviews
  create : authorization.k8s.io : localsubjectaccessreviews subjectaccessreviews
  read : core : services
  read create : core : nodes
  patch update : core : nodes/status
  patch update : core : nodes
  create patch update : core,events.k8s.io : events
  read : core : pods
  create delete : core : pods
  patch update : core : pods/status
  create : core : pods/eviction
  read : core : configmaps secrets
  get : core : persistentvolumeclaims persistentvolumes
  get : core : endpoints
  read create : certificates.k8s.io : certificatesigningrequests
  create delete get patch update : coordination.k8s.io : leases
  get : storage.k8s.io : volumeattachments
  create : core : serviceaccounts/token
  get patch update : core : persistentvolumeclaims/status
  read : storage.k8s.io : csidrivers
  create delete get patch update : storage.k8s.io : csinodes
  read : node.k8s.io : runtimeclasses
  get : resource.k8s.io : resourceclaims
  deletecollection : resource.k8s.io : resourceslices
  get : core : serviceaccounts
role system:node-bootstrapper
  read create : certificates.k8s.io : certificatesigningrequests
role system:node-problem-detector
  get : core : nodes
  patch : core : nodes/status
  create patch update : core,events.k8s.io : events
role system:node-proxier
  list watch : core : endpoints services
  read : core : nodes
  create patch update : core,events.k8s.io : events
  list watch : networking.k8s.io : servicecidrs
  list watch : discovery.k8s.io : endpointslices
role system:persistent-volume-provisioner
  read create delete : core : persistentvolumes
  read update : core : persistentvolumeclaims
  read : storage.k8s.io : storageclasses
  watch : core : events
  create patch update : core,events.k8s.io : events
role system:public-info-viewer
  get @ /healthz /livez /readyz /version /version/
role system:service-account-issuer-discovery
  get @ /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/
role system:volume-scheduler
  read patch update : core : persistentvolumes
  read : storage.k8s.io : storageclasses
  read patch update : core : persistentvolumeclaims
role view >edit <view
role system:controller:attachdetach-controller
  list watch : core : persistentvolumeclaims persistentvolumes
  read : core : nodes
  patch update : core : nodes/status
  list watch : core : pods
  create patch update : core,events.k8s.io : events
  read create delete : storage.k8s.io : volumeattachments
  read : storage.k8s.io : csidrivers
  read : storage.k8s.io : csinodes
role system:controller:certificate-controller
  read delete : certificates.k8s.io : certificatesigningrequests
  update : certificates.k8s.io : certificatesigningrequests/approval certificatesigningrequests/status
  approve : certificates.k8s.io : signers = kubernetes.io/kube-apiserver-client-kubelet
  sign : certificates.k8s.io : signers = kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet
      kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown
  create : authorization.k8s.io : subjectaccessreviews
  create patch update : core,events.k8s.io : events
role system:controller:clusterrole-aggregation-controller
  read escalate patch update : rbac.authorization.k8s.io : clusterroles
role system:controller:cronjob-controller
  read update : batch : cronjobs
  read create delete patch update : batch : jobs
  update : batch : cronjobs/status
  update : batch : cronjobs/finalizers
  delete list watch : core : pods
  create patch update : core,events.k8s.io : events
role system:controller:daemon-set-controller
  read : apps,extensions : daemonsets
  update : apps,extensions : daemonsets/status
  update : apps,extensions : daemonsets/finalizers
  list watch : core : nodes
  create delete list patch watch : core : pods
  create : core : pods/binding
  read create delete patch update : apps : controllerrevisions
  create patch update : core,events.k8s.io : events
role system:controller:deployment-controller
  read update : apps,extensions : deployments
  update : apps,extensions : deployments/status
  update : apps,extensions : deployments/finalizers
  read create delete patch update : apps,extensions : replicasets
  read update : core : pods
  create patch update : core,events.k8s.io : events
role system:controller:device-taint-eviction-controller
  read delete : core : pods
  patch update : core : pods/status
  read : resource.k8s.io : resourceclaims
  read : resource.k8s.io : resourceslices
  read : resource.k8s.io : deviceclasses
  create patch update : core,events.k8s.io : events
role system:controller:disruption-controller
  read : apps,extensions : deployments
  read : apps,extensions : replicasets
  read : core : replicationcontrollers
  read : policy : poddisruptionbudgets
  read : apps : statefulsets
  update : policy : poddisruptionbudgets/status
  patch update : core : pods/status
  get : * : */scale
  create patch update : core,events.k8s.io : events
role system:controller:endpoint-controller
  read : core : pods services
  read create delete update : core : endpoints
  create : core : endpoints/restricted
  create patch update : core,events.k8s.io : events
role system:controller:endpointslice-controller
  read : core : nodes pods services
  update : core : services/finalizers
  read create delete update : discovery.k8s.io : endpointslices
  create : discovery.k8s.io : endpointslices/restricted
  create patch update : core,events.k8s.io : events
role system:controller:endpointslicemirroring-controller
  read : core : endpoints services
  update : core : services/finalizers
  update : core : endpoints/finalizers
  read create delete update : discovery.k8s.io : endpointslices
  create : discovery.k8s.io : endpointslices/restricted
  create patch update : core,events.k8s.io : events
role system:controller:ephemeral-volume-controller
  read : core : pods
  update : core : pods/finalizers
  read create : core : persistentvolumeclaims
  create patch update : core,events.k8s.io : events
role system:controller:expand-controller
  read patch update : core : persistentvolumes
  patch update : core : persistentvolumeclaims/status
  read : core : persistentvolumeclaims
  create patch update : core,events.k8s.io : events
role system:controller:generic-garbage-collector
  read delete patch update : * : *
  create patch update : core,events.k8s.io : events
role system:controller:horizontal-pod-autoscaler
  read : autoscaling : horizontalpodautoscalers
  update : autoscaling : horizontalpodautoscalers/status
  get update : * : */scale
  list watch : core : pods
  list watch : metrics.k8s.io : pods
  read : custom.metrics.k8s.io : *
  read : external.metrics.k8s.io : *
  create patch update : core,events.k8s.io : events
role system:controller:job-controller
  read patch update : batch : jobs
  update : batch : jobs/status
  update : batch : jobs/finalizers
  create delete list patch watch : core : pods
  create patch update : core,events.k8s.io : events
role system:controller:legacy-service-account-token-cleaner
  get : core : configmaps = kube-apiserver-legacy-service-account-token-tracking
  delete patch : core : secrets
role system:controller:namespace-controller
  read delete : core : namespaces
  update : core : namespaces/finalize namespaces/status
  read delete deletecollection : * : *
role system:controller:node-controller
  read delete patch update : core : nodes
  patch update : core : nodes/status
  patch update : core : pods/status
  read delete : core : pods
  create patch update : core,events.k8s.io : events
role system:controller:persistent-volume-binder
  read create delete update : core : persistentvolumes
  update : core : persistentvolumes/status
  read update : core : persistentvolumeclaims
  update : core : persistentvolumeclaims/status
  read create delete : core : pods
  read : storage.k8s.io : storageclasses
  list watch : core : nodes
  create patch update : core,events.k8s.io : events
  watch : core : events
role system:controller:pod-garbage-collector
  delete list watch : core : pods
  read : core : nodes
  patch : core : pods/status
role system:controller:pv-protection-controller
  read update : core : persistentvolumes
  create patch update : core,events.k8s.io : events
role system:controller:pvc-protection-controller
  read update : core : persistentvolumeclaims
  update : core : persistentvolumeclaims/status
  read : core : pods
  create patch update : core,events.k8s.io : events
role system:controller:replicaset-controller
  read update : apps,extensions : replicasets
  update : apps,extensions : replicasets/status
  update : apps,extensions : replicasets/finalizers
  create delete list patch watch : core : pods
  create patch update : core,events.k8s.io : events
role system:controller:replication-controller
  read update : core : replicationcontrollers
  update : core : replicationcontrollers/status
  update : core : replicationcontrollers/finalizers
  create delete list patch watch : core : pods
  create patch update : core,events.k8s.io : events
role system:controller:resource-claim-controller
  read : core : pods
  update : core : pods/finalizers
  read create delete : resource.k8s.io : resourceclaims
  patch update : resource.k8s.io : resourceclaims resourceclaims/status
  patch update : core : pods/status
  create patch update : core,events.k8s.io : events
  patch update : resource.k8s.io : resourceclaims/binding
role system:controller:resourcequota-controller
  list watch : * : *
  update : core : resourcequotas/status
  create patch update : core,events.k8s.io : events
role system:controller:root-ca-cert-publisher
  create update : core : configmaps
  create patch update : core,events.k8s.io : events
role system:controller:route-controller
  list watch : core : nodes
  patch : core : nodes/status
  create patch update : core,events.k8s.io : events
role system:controller:selinux-warning-controller
  create patch update : core,events.k8s.io : events
  read : core : persistentvolumes
  read : core : persistentvolumeclaims
  read : core : pods
  read : storage.k8s.io : csidrivers
role system:controller:service-account-controller
  create : core : serviceaccounts
  create patch update : core,events.k8s.io : events
role system:controller:service-cidrs-controller
  read patch update : networking.k8s.io : servicecidrs
  patch update : networking.k8s.io : servicecidrs/finalizers
  patch update : networking.k8s.io : servicecidrs/status
  read : networking.k8s.io : ipaddresses
  create patch update : core,events.k8s.io : events
role system:controller:service-controller
  read : core : services
  patch update : core : services/status
  list watch : core : nodes
  create patch update : core,events.k8s.io : events
role system:controller:statefulset-controller
  list watch : core : pods
  read : apps : statefulsets
  update : apps : statefulsets/status
  update : apps : statefulsets/finalizers
  create delete get patch update : core : pods
  read create delete patch update : apps : controllerrevisions
  read create : core : persistentvolumeclaims
  delete update : core : persistentvolumeclaims
  update : core : pods/finalizers
  create patch update : core,events.k8s.io : events
role system:controller:ttl-after-finished-controller
  read delete : batch : jobs
  create patch update : core,events.k8s.io : events
role system:controller:ttl-controller
  list patch update watch : core : nodes
  create patch update : core,events.k8s.io : events
role system:controller:validatingadmissionpolicy-status-controller
  read : admissionregistration.k8s.io : validatingadmissionpolicies
  get patch update : admissionregistration.k8s.io : validatingadmissionpolicies/status
  create patch update : core,events.k8s.io : events
role system:controller:volumeattributesclass-protection-controller
  read : core : persistentvolumeclaims
  read : core : persistentvolumes
  read update : storage.k8s.io : volumeattributesclasses
  create patch update : core,events.k8s.io : events
role kube-public/system:controller:bootstrap-signer
  read : core : configmaps
  update : core : configmaps = cluster-info
  create patch update : core,events.k8s.io : events
role kube-system/extension-apiserver-authentication-reader
  read : core : configmaps = extension-apiserver-authentication
role kube-system/system::leader-locking-kube-controller-manager
  read create update : coordination.k8s.io : leases
  read create update : coordination.k8s.io : leasecandidates
role kube-system/system::leader-locking-kube-scheduler
  read create update : coordination.k8s.io : leases
  read create update : coordination.k8s.io : leasecandidates
role kube-system/system:controller:bootstrap-signer
  read : core : secrets
role kube-system/system:controller:cloud-provider
  read create : core : configmaps
role kube-system/system:controller:token-cleaner
  read delete : core : secrets
  create patch update : core,events.k8s.io : events
role servicecatalog.k8s.io:aggregate-to-admin >admin
  write : servicecatalog.k8s.io : servicebrokers
role servicecatalog.k8s.io:aggregate-to-edit >edit
  write : servicecatalog.k8s.io : servicebindings serviceinstances
role servicecatalog.k8s.io:aggregate-to-view >view
  read : servicecatalog.k8s.io : clusterservicebrokers clusterserviceclasses clusterserviceplans servicebindings servicebindings/status
      servicebrokers servicebrokers/status serviceclasses serviceinstances serviceinstances/status serviceplans
role estiba:node
  read : core : endpoints namespaces nodes persistentvolumeclaims persistentvolumes pods services
  read : discovery.k8s.io : endpointslices
  read : networking.k8s.io : ingressclasses ingresses networkpolicies
  read : gateway.networking.k8s.io : gatewayclasses gateways grpcroutes httproutes referencegrants tcproutes tlsroutes
  read : certificates.k8s.io : clustertrustbundles
role estiba:joining-node
  get : core : nodes
role kube-public/estiba:cluster-info
  get : core : configmaps = cluster-info
role kube-system/estiba:cluster
  get : core : configmaps = estiba-cluster
bind estiba:node : group:system:nodes
bind estiba:node-renews = system:certificates.k8s.io:certificatesigningrequests:selfnodeclient : group:system:nodes
bind estiba:joining-node : group:system:bootstrappers:estiba:nodes
bind estiba:joining-node-asks = system:node-bootstrapper : group:system:bootstrappers:estiba:nodes
bind estiba:joining-node-is-approved = system:certificates.k8s.io:certificatesigningrequests:nodeclient :
      group:system:bootstrappers:estiba:nodes
bind kube-public/estiba:cluster-info : group:system:unauthenticated group:system:authenticated
bind kube-system/estiba:cluster : group:system:nodes
bind cluster-admin : group:system:masters
bind system:basic-user : group:system:authenticated
bind system:discovery : group:system:authenticated
bind system:kube-controller-manager : user:system:kube-controller-manager
bind system:kube-dns : account:kube-system/kube-dns
bind system:kube-scheduler : user:system:kube-scheduler
bind system:monitoring : group:system:monitoring
bind system:node : 
bind system:node-proxier : user:system:kube-proxy
bind system:public-info-viewer : group:system:authenticated group:system:unauthenticated
bind system:service-account-issuer-discovery : group:system:serviceaccounts
bind system:volume-scheduler : user:system:kube-scheduler
bind kube-public/system:controller:bootstrap-signer : account:kube-system/bootstrap-signer
bind kube-system/system::extension-apiserver-authentication-reader = extension-apiserver-authentication-reader :
      user:system:kube-controller-manager user:system:kube-scheduler
bind kube-system/system::leader-locking-kube-controller-manager : user:system:kube-controller-manager
      account:kube-system/kube-controller-manager account:kube-system/leader-election-controller
bind kube-system/system::leader-locking-kube-scheduler : user:system:kube-scheduler account:kube-system/kube-scheduler
bind kube-system/system:controller:bootstrap-signer : account:kube-system/bootstrap-signer
bind kube-system/system:controller:cloud-provider : account:kube-system/cloud-provider
bind kube-system/system:controller:token-cleaner : account:kube-system/token-cleaner
controllers attachdetach-controller certificate-controller clusterrole-aggregation-controller cronjob-controller daemon-set-controller
      deployment-controller device-taint-eviction-controller disruption-controller endpoint-controller endpointslice-controller
      endpointslicemirroring-controller ephemeral-volume-controller expand-controller generic-garbage-collector
      horizontal-pod-autoscaler job-controller legacy-service-account-token-cleaner namespace-controller node-controller
      persistent-volume-binder pod-garbage-collector pv-protection-controller pvc-protection-controller replicaset-controller
      replication-controller resource-claim-controller resourcequota-controller root-ca-cert-publisher route-controller
      selinux-warning-controller service-account-controller service-cidrs-controller service-controller statefulset-controller
      ttl-after-finished-controller ttl-controller validatingadmissionpolicy-status-controller
      volumeattributesclass-protection-controller
)";
// clang-format on

}  // namespace estiba::apiserver
