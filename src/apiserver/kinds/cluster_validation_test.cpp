// The kinds that an administrator writes: storage, access, policies, nodes, priorities, devices.
#include "apiserver/testing/rules_fixture.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

using ClusterRules = RulesTest;

TEST_F(ClusterRules, claims_and_volumes) {
  const RuleRow claims[] = {
      {"'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'1Gi'}}", ""},
      {"'resources':{'requests':{'storage':'1Gi'}}", "spec.accessModes: Required value: at least 1 access mode is required"},
      {"'accessModes':['ReadWriteOnce']", "spec.resources[storage]: Required value"},
      {"'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'0'}}",
       "spec.resources[storage]: Invalid value: \"0\": must be greater than zero"},
      {"'accessModes':['ReadWriteOnce','ReadWriteOncePod'],'resources':{'requests':{'storage':'1'}}",
       "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"},
      {"'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'1'}},'dataSource':{'kind':'X','name':'n'}",
       "spec.dataSource: Invalid value: \"X\": must be 'PersistentVolumeClaim' when referencing the default apiGroup"},
  };
  creations("", "v1", "persistentvolumeclaims", "{'metadata':{'name':'c'},'spec':{$}}", claims);
  const RuleRow volumes[] = {
      {"'accessModes':['ReadWriteOnce'],'capacity':{'storage':'1Gi'},'hostPath':{'path':'/a'}", ""},
      {"'capacity':{'storage':'1Gi'},'hostPath':{'path':'/a'}", "spec.accessModes: Required value"},
      {"'accessModes':['ReadWriteOnce'],'hostPath':{'path':'/a'}", "spec.capacity: Required value"},
      {"'accessModes':['ReadWriteOnce'],'capacity':{'storage':'1Gi'}", "spec: Required value: must specify a volume type"},
      {"'accessModes':['ReadWriteOnce'],'capacity':{'storage':'1Gi'},'hostPath':{'path':'/a'},'nfs':{'server':'s','path':'/'}",
       "spec.nfs: Forbidden: may not specify more than 1 volume type"},
      {"'accessModes':['ReadWriteOnce'],'capacity':{'storage':'1Gi'},'local':{'path':'/a'}",
       "spec.nodeAffinity: Required value: Local volume requires node affinity"},
      {"'accessModes':['ReadWriteOnce'],'capacity':{'storage':'1Gi'},'csi':{'driver':'d'}", "spec.csi.volumeHandle: Required value"},
      {"'accessModes':['ReadWriteOnce'],'capacity':{'storage':'1Gi'},'volumeAttributesClassName':'','csi':{'driver':'d','volumeHandle':'h'"
       "}",
       "spec.volumeAttributesClassName: Required value: an empty string is disallowed"},
  };
  creations("", "v1", "persistentvolumes", "{'metadata':{'name':'v'},'spec':{$}}", volumes);
  const RuleRow kept[] = {
      {"{'metadata':{'labels':{'a':'b'}}}", ""},
      {"{'spec':{'accessModes':['ReadOnlyMany']}}",
       "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"},
      {"{'spec':{'volumeName':'v'}}", ""},
      {"{'spec':{'volumeAttributesClassName':'gold'}}",
       "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"},
  };
  changes("", "v1", "persistentvolumeclaims",
          "{'metadata':{'name':'c'},'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'1Gi'}}}}", kept);
  const RuleRow source[] = {{"{'spec':{'hostPath':{'path':'/b'}}}",
                             "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"}};
  changes("", "v1", "persistentvolumes",
          "{'metadata':{'name':'v'},'spec':{'accessModes':['ReadWriteOnce'],'capacity':{'storage':'1Gi'},'hostPath':{'path':'/a'}}}",
          source);
}

TEST_F(ClusterRules, features_that_nodes_declare) {
  const std::string form =
      ": must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), "
      "and contain only alphanumeric characters and slashes";
  const auto bad = [&](const std::string& at, const std::string& name) {
    return "status.declaredFeatures[" + at + "]: Invalid value: \"" + name + "\": invalid feature name \"" + name + "\"" + form;
  };
  const std::string small = bad("0", "small"), empty = bad("0", ""), open = bad("0", "A/"), dash = bad("0", "A-b"), digit = bad("0", "A/1");
  const RuleRow rows[] = {
      {"'Alpha','Beta/gamma','Beta2'", ""},
      {"'small'", small},
      {"''", empty},
      {"'A/'", open},
      {"'A-b'", dash},
      {"'A/1'", digit},
      {"'B','B'", "status.declaredFeatures[1]: Duplicate value: \"B\""},
      {"'B','A'", "status.declaredFeatures[1]: Invalid value: \"A\": list must be sorted alphabetically"},
  };
  creations("", "v1", "nodes", "{'metadata':{'name':'n'},'status':{'declaredFeatures':[$]}}", rows);
}

TEST_F(ClusterRules, storage_classes_and_drivers) {
  const RuleRow classes[] = {
      {"'provisioner':'example.com/p'", ""},
      {"'provisioner':''", "provisioner: Required value"},
      {"'provisioner':'p','reclaimPolicy':'Recycle'",
       "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\""},
  };
  creations("storage.k8s.io", "v1", "storageclasses", "{'metadata':{'name':'c'},$}", classes);
  const RuleRow kept[] = {{"{'provisioner':'q'}", "provisioner: Invalid value: \"q\": field is immutable"},
                          {"{'allowVolumeExpansion':true}", ""}};
  changes("storage.k8s.io", "v1", "storageclasses", "{'metadata':{'name':'c'},'provisioner':'p'}", kept);
  const RuleRow drivers[] = {
      {"", ""},
      {"'tokenRequests':[{'audience':'a','expirationSeconds':5}]",
       "spec.tokenRequests[0].expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes"},
      {"'tokenRequests':[{'audience':'a'},{'audience':'a'}]", "spec.tokenRequests[1].audience: Duplicate value: \"a\""},
  };
  creations("storage.k8s.io", "v1", "csidrivers", "{'metadata':{'name':'d'},'spec':{$}}", drivers);
  const RuleRow attachments[] = {
      {"'attacher':'a','nodeName':'n','source':{'persistentVolumeName':'v'}", ""},
      {"'attacher':'a','nodeName':'n','source':{}",
       "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"},
  };
  creations("storage.k8s.io", "v1", "volumeattachments", "{'metadata':{'name':'a'},'spec':{$}}", attachments);
}

TEST_F(ClusterRules, secrets) {
  const RuleRow rows[] = {
      {"'type':'kubernetes.io/basic-auth'", "data[username]: Required value"},
      {"'type':'kubernetes.io/basic-auth','data':{'password':'YQ=='}", ""},
      {"'type':'kubernetes.io/service-account-token'", "metadata.annotations[kubernetes.io/service-account.name]: Required value"},
      {"'type':'kubernetes.io/dockerconfigjson','data':{'.dockerconfigjson':'e30='}", ""},
      {"'type':'kubernetes.io/ssh-auth'", "data[ssh-privatekey]: Required value"},
  };
  creations("", "v1", "secrets", "{'metadata':{'name':'s'},$}", rows);
}

TEST_F(ClusterRules, roles_and_requests) {
  const RuleRow roles[] = {
      {"'verbs':['get'],'apiGroups':[''],'resources':['pods']", ""},
      {"'apiGroups':[''],'resources':['pods']", "rules[0].verbs: Required value: verbs must contain at least one value"},
      {"'verbs':['get'],'resources':['pods']", "rules[0].apiGroups: Required value: resource rules must supply at least one api group"},
      {"'verbs':['get'],'nonResourceURLs':['/']",
       "rules[0].nonResourceURLs: Invalid value: [\"/\"]: namespaced rules cannot apply to non-resource URLs"},
  };
  creations("rbac.authorization.k8s.io", "v1", "roles", "{'metadata':{'name':'r'},'rules':[{$}]}", roles);
  const RuleRow bindings[] = {
      {"{'kind':'User','name':'u'}", ""},
      {"{'kind':'ServiceAccount','name':'a'}", "subjects[0].namespace: Required value"},
      {"{'kind':'Robot','name':'u'}",
       "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\""},
      {"{'kind':'User','name':'u','apiGroup':'x'}",
       "subjects[0].apiGroup: Unsupported value: \"x\": supported values: \"rbac.authorization.k8s.io\""},
  };
  creations(
      "rbac.authorization.k8s.io", "v1", "clusterrolebindings",
      "{'metadata':{'name':'b'},'roleRef':{'apiGroup':'rbac.authorization.k8s.io','kind':'ClusterRole','name':'view'},'subjects':[$]}",
      bindings);
  const RuleRow requests[] = {
      {"'signerName':'example.com/s'", ""},
      {"'signerName':'example'",
       "spec.signerName: Invalid value: \"example\": must be a fully qualified domain and path of the form 'example.com/signer-name'"},
      {"'signerName':'example.com/s','expirationSeconds':5",
       "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 600 seconds (10 minutes)"},
  };
  // openssl req -new -subj /O=g/CN=u, of a P-256 key.
  const std::string request =
      "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIU01Ib0NBUUF3R0RFS01BZ0dBMVVFQ2d3Qlp6RUtNQWdHQTFVRUF3d0JkVEJaTUJNR0J5cUdTTTQ5QWdF"
      "RwpDQ3FHU000OUF3RUhBMElBQkpBcXpxeHFSSkduTXBZbGlwQVV2TlBoT0I4Z2ZDVUx0TXdSQ01STDlqSTQrTm9ZCmlibTFiQmpiMFk2aDQxR0xlTTc4bjh0cS9tT2tScTZG"
      "NVMvRXJZK2dBREFLQmdncWhrak9QUVFEQWdOSUFEQkYKQWlFQXZBTFhaS3lYQWhuU0JVdE9yZGtaczdZcnNiOXVNR2tnNE5sbUwxYndsaGtDSUMwMUVZaXdIMTVkWHlLYgpR"
      "blhxT3dWWk5VN1ROek11NEt6bDV3QlJiUUFFCi0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";
  creations("certificates.k8s.io", "v1", "certificatesigningrequests",
            "{'metadata':{'name':'c'},'spec':{'usages':['client auth'],'request':'" + request + "',$}}", requests);
  Action asking = make(Verb::create, "certificates.k8s.io", "v1", "certificatesigningrequests", "");
  asking.user = {"eve", "u-1", {"devs", "system:masters"}, {{"a", {"1", "2"}}}};
  asking.body = framed(
      "{'metadata':{'name':'r'},'spec':{'usages':['client "
      "auth'],'signerName':'example.com/s','username':'me','extra':{'b':['2']},'request':'$'}}",
      request);
  auto asked = run(api_->run(asking));
  ASSERT_TRUE(asked) << asked.error().message;
  const json::Node& spec = *json_of(asked->object).find("spec");
  EXPECT_EQ(spec.string_at("username"), "eve");
  EXPECT_EQ(spec.string_at("uid"), "u-1");
  EXPECT_EQ(json::print(*spec.find("groups")), R"(["devs","system:masters"])");
  EXPECT_EQ(json::print(*spec.find("extra")), R"({"a":["1","2"]})");
  std::string forged = *base64_decode(request);
  forged[forged.find("MHoC") + 8] = 'B';
  const std::string texts[] = {base64_encode("nothing"),
                               base64_encode("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"),
                               base64_encode(forged)};
  const std::string told[] = {"spec.request: Invalid value: \"" + texts[0] + "\": PEM block type must be CERTIFICATE REQUEST",
                              "spec.request: Invalid value: \"" + texts[1] + "\": the text holds no certificate request in PEM",
                              "spec.request: Invalid value: \"" + texts[2] + "\": the text holds no certificate request in PEM"};
  for (size_t i = 0; i < std::size(texts); ++i) {
    const RuleRow row[] = {{texts[i], told[i]}};
    creations("certificates.k8s.io", "v1", "certificatesigningrequests",
              "{'metadata':{'name':'c'},'spec':{'usages':['client auth'],'signerName':'example.com/s','request':'$'}}", row);
  }
}

TEST_F(ClusterRules, nodes_and_namespaces) {
  const RuleRow nodes[] = {
      {"", ""},
      {"'taints':[{'key':'a'}]", "spec.taints[0].effect: Required value"},
      {"'taints':[{'key':'a','effect':'NoSchedule'},{'key':'a','effect':'NoSchedule'}]",
       "spec.taints[1]: Duplicate value: {\"key\":\"a\",\"effect\":\"NoSchedule\"}: taints must be unique by key and effect pair"},
      {"'podCIDRs':['10.0.0.0/24','10.0.1.0/24']",
       "spec.podCIDRs: Invalid value: [\"10.0.0.0/24\",\"10.0.1.0/24\"]: may specify no more than one CIDR for each IP family"},
  };
  creations("", "v1", "nodes", "{'metadata':{'name':'n'},'spec':{$}}", nodes);
  const RuleRow kept[] = {
      {"{'spec':{'unschedulable':true}}", ""},
      {"{'spec':{'providerID':'b'}}", "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid"},
  };
  changes("", "v1", "nodes", "{'metadata':{'name':'n'},'spec':{'providerID':'a'}}", kept);
  const RuleRow finalizers[] = {
      {"'example.com/f'", ""},
      {"'f'", "spec.finalizers: Invalid value: \"f\": name is neither a standard finalizer name nor is it fully qualified"}};
  creations("", "v1", "namespaces", "{'metadata':{'name':'n'},'spec':{'finalizers':[$]}}", finalizers);
  const RuleRow phase[] = {{"{'status':{'phase':'Terminating'}}",
                            "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"}};
  changes("", "v1", "namespaces", "{'metadata':{'name':'m'}}", phase, "status");
}

TEST_F(ClusterRules, budgets_and_autoscalers) {
  const RuleRow budgets[] = {
      {"'minAvailable':1", ""},
      {"'minAvailable':'120%'", "spec.minAvailable: Invalid value: \"120%\": must not be greater than 100%"},
      {"'maxUnavailable':-1", "spec.maxUnavailable: Invalid value: -1: must be greater than or equal to 0"},
  };
  creations("policy", "v1", "poddisruptionbudgets", "{'metadata':{'name':'b'},'spec':{$}}", budgets);
  const RuleRow scalers[] = {
      {"'maxReplicas':3", ""},
      {"'maxReplicas':0", "spec.maxReplicas: Required value: must be set and greater than 0"},
      {"'minReplicas':4,'maxReplicas':3", "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"},
      {"'minReplicas':-1,'maxReplicas':3", "spec.minReplicas: Invalid value: -1: must be greater than or equal to 0"},
      {"'minReplicas':0,'maxReplicas':3",
       "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas"},
      {"'minReplicas':0,'maxReplicas':3,'metrics':[{'type':'External','external':{'metric':{'name':'q'},'target':{'type':'Value','value':'"
       "1'}}}]",
       ""},
      {"'maxReplicas':3,'metrics':[{'type':'Resource'}]",
       "spec.metrics[0].resource: Required value: must populate information for the given metric source"},
      {"'maxReplicas':3,'metrics':[{'type':'Resource','resource':{'name':'cpu','target':{'type':'Utilization'}}}]",
       "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization"},
      {"'maxReplicas':3,'behavior':{'scaleUp':{'policies':[{'type':'Pods','value':0,'periodSeconds':1}]}}",
       "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero"},
  };
  creations("autoscaling", "v2", "horizontalpodautoscalers",
            "{'metadata':{'name':'h'},'spec':{'scaleTargetRef':{'kind':'Deployment','name':'d','apiVersion':'apps/v1'},$}}", scalers);
}

TEST_F(ClusterRules, classes_and_leases) {
  const RuleRow runtimes[] = {{"'handler':'runc'", ""}, {"'handler':''", "handler: Required value"}};
  creations("node.k8s.io", "v1", "runtimeclasses", "{'metadata':{'name':'r'},$}", runtimes);
  const RuleRow leases[] = {{"'leaseDurationSeconds':0", "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"},
                            {"'preferredHolder':'a'", "spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined"}};
  creations("coordination.k8s.io", "v1", "leases", "{'metadata':{'name':'l'},'spec':{$}}", leases);
}

TEST_F(ClusterRules, devices) {
  const RuleRow rows[] = {
      {"'requests':[{'name':'a','exactly':{'deviceClassName':'c'}}]", ""},
      {"'requests':[{'name':'a'}]", "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"},
      {"'requests':[{'name':'a','exactly':{'deviceClassName':'c'}},{'name':'a','exactly':{'deviceClassName':'c'}}]",
       "spec.devices.requests[1].name: Duplicate value: \"a\""},
      {"'requests':[{'name':'a','exactly':{'deviceClassName':'c','allocationMode':'All','count':1}}]",
       "spec.devices.requests[0].exactly.count: Invalid value: 1: must not be specified when allocationMode is 'All'"},
      {"'requests':[{'name':'a','exactly':{'deviceClassName':'c'}}],'constraints':[{'requests':['b'],'matchAttribute':'d.e/f'}]",
       "spec.devices.constraints[0].requests[0]: Invalid value: \"b\": must be the name of a request in the claim or the name of a request "
       "and a subrequest separated by '/'"},
  };
  creations("resource.k8s.io", "v1", "resourceclaims", "{'metadata':{'name':'c'},'spec':{'devices':{$}}}", rows);
}

}  // namespace
}  // namespace estiba::apiserver
