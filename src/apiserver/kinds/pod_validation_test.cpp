// What may be in a pod, in the words of Kubernetes (pkg/apis/core/validation/validation.go).
#include "apiserver/testing/rules_fixture.h"

namespace estiba::apiserver {
namespace {

class PodRules : public RulesTest {
 protected:
  // `rows` stand in the first container.
  void in_container(std::span<const RuleRow> rows) {
    creations("", "v1", "pods",
              "{'metadata':{'name':'p'},'spec':{'volumes':[{'name':'v','emptyDir':{}},{'name':'claim','persistentVolumeClaim':{'claimName':"
              "'c'}}],'containers':[{'name':'c','image':'i'$}]}}",
              rows);
  }
  void in_spec(std::span<const RuleRow> rows) {
    creations("", "v1", "pods", "{'metadata':{'name':'p'},'spec':{'containers':[{'name':'c','image':'i'}]$}}", rows);
  }
  void in_volume(std::span<const RuleRow> rows) {
    creations("", "v1", "pods", "{'metadata':{'name':'p'},'spec':{'containers':[{'name':'c','image':'i'}],'volumes':[{'name':'v'$}]}}",
              rows);
  }
};

TEST_F(PodRules, containers) {
  constexpr std::string_view label =
      "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric "
      "character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
  const std::string bad_name = "spec.containers[0].name: Invalid value: \"X\": " + std::string(label);
  const RuleRow rows[] = {
      {"{'name':'c','image':'i'}", ""},
      {"{'name':'','image':'i'}", "spec.containers[0].name: Required value"},
      {"{'name':'X','image':'i'}", bad_name},
      {"{'name':'c'}", "spec.containers[0].image: Required value"},
      {"{'name':'c','image':' i'}", "spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace"},
      {"{'name':'c','image':'i'},{'name':'c','image':'i'}", "spec.containers[1].name: Duplicate value: \"c\""},
  };
  creations("", "v1", "pods", "{'metadata':{'name':'p'},'spec':{'containers':[$]}}", rows);
  const RuleRow none[] = {{"", "spec.containers: Required value"}};
  creations("", "v1", "pods", "{'metadata':{'name':'p'},'spec':{'containers':[$]}}", none);
}

TEST_F(PodRules, members_of_a_container) {
  const RuleRow rows[] = {
      {",'imagePullPolicy':'Maybe'",
       "spec.containers[0].imagePullPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"IfNotPresent\", \"Never\""},
      {",'terminationMessagePolicy':'X'",
       "spec.containers[0].terminationMessagePolicy: Unsupported value: \"X\": supported values: \"FallbackToLogsOnError\", \"File\""},
      {",'ports':[{'containerPort':70000}]",
       "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"},
      {",'ports':[{'containerPort':80,'name':'a_b'}]",
       "spec.containers[0].ports[0].name: Invalid value: \"a_b\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"},
      {",'ports':[{'containerPort':80,'name':'a'},{'containerPort':81,'name':'a'}]",
       "spec.containers[0].ports[1].name: Duplicate value: \"a\""},
      {",'ports':[{'containerPort':80,'hostPort':1},{'containerPort':81,'hostPort':1}]",
       "spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//1\""},
      {",'env':[{'name':''}]", "spec.containers[0].env[0].name: Required value"},
      {",'env':[{'name':'a=b'}]",
       "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII "
       "characters other than '='"},
      {",'env':[{'name':'a','value':'b','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}}]",
       "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty"},
      {",'env':[{'name':'a','valueFrom':{'fieldRef':{'fieldPath':'status.phase'}}}]",
       "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \"metadata.name\", "
       "\"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", "
       "\"status.podIP\", \"status.podIPs\""},
      {",'env':[{'name':'a','valueFrom':{'fieldRef':{'fieldPath':'metadata.whoops'}}}]",
       "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"metadata.whoops\": error converting fieldPath: field "
       "label "
       "not supported: metadata.whoops"},
      {",'env':[{'name':'a','valueFrom':{'resourceFieldRef':{'resource':'limits.gpu'}}}]",
       "spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Unsupported value: \"limits.gpu\": supported values: "
       "\"limits.cpu\", "
       "\"limits.ephemeral-storage\", \"limits.memory\", \"requests.cpu\", \"requests.ephemeral-storage\", \"requests.memory\""},
      {",'env':[{'name':'a','valueFrom':{'resourceFieldRef':{'resource':'limits.cpu','divisor':'3m'}}}]",
       "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are "
       "supported with the cpu resource"},
      {",'env':[{'name':'a','valueFrom':{'secretKeyRef':{'name':'s'}}}]",
       "spec.containers[0].env[0].valueFrom.secretKeyRef.key: Required value"},
      {",'env':[{'name':'a','valueFrom':{'fieldRef':{'fieldPath':'metadata.labels[\\u0027a\\u0027]'}}}]", ""},
      {",'envFrom':[{}]", "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"},
      {",'envFrom':[{'configMapRef':{'name':'a'},'secretRef':{'name':'b'}}]",
       "spec.containers[0].envFrom: Invalid value: \"\": may not have more than one field specified at a time"},
      {",'restartPolicy':'Sometimes'",
       "spec.containers[0].restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\""},
      {",'lifecycle':{'stopSignal':'SIGTERM'}",
       "spec.containers[0].lifecycle.stopSignal: Forbidden: may not be set for containers with empty `spec.os.name`"},
      {",'resizePolicy':[{'resourceName':'cpu','restartPolicy':'NotRequired'},{'resourceName':'cpu','restartPolicy':'NotRequired'}]",
       "spec.containers[0].resizePolicy[1]: Duplicate value: \"cpu\""},
  };
  in_container(rows);
}

TEST_F(PodRules, mounts_and_devices) {
  const RuleRow rows[] = {
      {",'volumeMounts':[{'name':'v','mountPath':'/a'}]", ""},
      {",'volumeMounts':[{'name':'w','mountPath':'/a'}]", "spec.containers[0].volumeMounts[0].name: Not found: \"w\""},
      {",'volumeMounts':[{'name':'v'}]", "spec.containers[0].volumeMounts[0].mountPath: Required value"},
      {",'volumeMounts':[{'name':'v','mountPath':'/a'},{'name':'v','mountPath':'/a'}]",
       "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique"},
      {",'volumeMounts':[{'name':'v','mountPath':'/a','subPath':'../b'}]",
       "spec.containers[0].volumeMounts[0].subPath: Invalid value: \"../b\": must not contain '..'"},
      {",'volumeMounts':[{'name':'v','mountPath':'/a','subPath':'/b'}]",
       "spec.containers[0].volumeMounts[0].subPath: Invalid value: \"/b\": must be a relative path"},
      {",'volumeMounts':[{'name':'v','mountPath':'/a','subPath':'b','subPathExpr':'c'}]",
       "spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: \"c\": subPathExpr and subPath are mutually exclusive"},
      {",'volumeMounts':[{'name':'v','mountPath':'/a','mountPropagation':'Bidirectional'}]",
       "spec.containers[0].volumeMounts[0].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged "
       "containers"},
      {",'volumeMounts':[{'name':'v','mountPath':'/a','recursiveReadOnly':'Enabled'}]",
       "spec.containers[0].volumeMounts[0].recursiveReadOnly: Forbidden: may only be specified when readOnly is true"},
      {",'volumeDevices':[{'name':'claim','devicePath':'/dev/x'}]", ""},
      {",'volumeDevices':[{'name':'v','devicePath':'/dev/x'}]",
       "spec.containers[0].volumeDevices[0].name: Invalid value: \"v\": can only use volume source type of PersistentVolumeClaim or "
       "Ephemeral for block mode"},
      {",'volumeDevices':[{'name':'claim','devicePath':'/dev/../x'}]",
       "spec.containers[0].volumeDevices[0].devicePath: Invalid value: \"/dev/../x\": can not contain backsteps ('..')"},
  };
  in_container(rows);
}

TEST_F(PodRules, resources) {
  const RuleRow rows[] = {
      {",'resources':{'limits':{'cpu':'1'},'requests':{'cpu':'2'}}",
       "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"},
      {",'resources':{'limits':{'memory':'-1'}}",
       "spec.containers[0].resources.limits[memory]: Invalid value: \"-1\": must be greater than or equal to 0"},
      {",'resources':{'limits':{'disk':'1'}}",
       "spec.containers[0].resources.limits[disk]: Invalid value: \"disk\": must be a standard resource for containers"},
      {",'resources':{'limits':{'disk':'1'}}",
       "spec.containers[0].resources.limits[disk]: Invalid value: \"disk\": must be a standard resource type or fully qualified"},
      {",'resources':{'limits':{'example.com/gpu':'1500m'}}",
       "spec.containers[0].resources.limits[example.com/gpu]: Invalid value: \"1500m\": must be an integer"},
      {",'resources':{'limits':{'example.com/gpu':'2'},'requests':{'example.com/gpu':'1'}}",
       "spec.containers[0].resources.requests: Invalid value: \"1\": must be equal to example.com/gpu limit of 2"},
      {",'resources':{'requests':{'example.com/gpu':'1'}}",
       "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources"},
      {",'resources':{'limits':{'hugepages-2Mi':'4Mi'}}", "spec.containers[0].resources: Forbidden: HugePages require cpu or memory"},
      {",'resources':{'limits':{'hugepages-2Mi':'3Mi','cpu':'1'}}",
       "spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi"},
      {",'resources':{'limits':{'hugepages-2Mi':'4Mi','memory':'1Gi'}}", ""},
      {",'resources':{'claims':[{'name':'gpu'}]}",
       "spec.containers[0].resources.claims[0]: Not found: \"gpu\": must be one of the names in pod.spec.resourceClaims which is empty"},
  };
  in_container(rows);
}

TEST_F(PodRules, probes_and_hooks) {
  const RuleRow rows[] = {
      {",'livenessProbe':{'httpGet':{'port':80}}", ""},
      {",'livenessProbe':{'httpGet':{'port':'http'}}", ""},
      {",'livenessProbe':{}", "spec.containers[0].livenessProbe: Required value: must specify a handler type"},
      {",'livenessProbe':{'httpGet':{'port':80},'exec':{'command':['a']}}",
       "spec.containers[0].livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type"},
      {",'livenessProbe':{'exec':{}}", "spec.containers[0].livenessProbe.exec.command: Required value"},
      {",'livenessProbe':{'tcpSocket':{'port':70000}}",
       "spec.containers[0].livenessProbe.tcpSocket.port: Invalid value: 70000: must be between 1 and 65535, inclusive"},
      {",'livenessProbe':{'httpGet':{'port':80,'httpHeaders':[{'name':'a b','value':''}]}}",
       "spec.containers[0].livenessProbe.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must consist of alphanumeric "
       "characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"},
      {",'livenessProbe':{'tcpSocket':{'port':80},'successThreshold':2}",
       "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"},
      {",'livenessProbe':{'tcpSocket':{'port':80},'periodSeconds':-1}",
       "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0"},
      {",'readinessProbe':{'tcpSocket':{'port':80},'terminationGracePeriodSeconds':1}",
       "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes"},
      {",'lifecycle':{'preStop':{'sleep':{'seconds':60}}}",
       "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 60: must be non-negative and less than terminationGracePeriodSeconds "
       "(30)"},
  };
  in_container(rows);
}

TEST_F(PodRules, security) {
  const RuleRow containers[] = {
      {",'securityContext':{'runAsUser':-1}",
       "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"},
      {",'securityContext':{'procMount':'Unmasked'}",
       "spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`"},
      {",'securityContext':{'seccompProfile':{'type':'Localhost'}}",
       "spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"},
      {",'securityContext':{'seccompProfile':{'type':'Localhost','localhostProfile':'../x'}}",
       "spec.containers[0].securityContext.seccompProfile.localhostProfile: Invalid value: \"../x\": must not contain '..'"},
      {",'securityContext':{'allowPrivilegeEscalation':false,'capabilities':{'add':['CAP_SYS_ADMIN']}}",
       "spec.containers[0].securityContext: Invalid value: "
       "{\"allowPrivilegeEscalation\":false,\"capabilities\":{\"add\":[\"CAP_SYS_ADMIN\"]}}: cannot set `allowPrivilegeEscalation` to "
       "false "
       "and `capabilities.Add` CAP_SYS_ADMIN"},
  };
  in_container(containers);
  const RuleRow pods[] = {
      {",'securityContext':{'fsGroup':-1}", "spec.securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive"},
      {",'securityContext':{'sysctls':[{'name':'a','value':'b'},{'name':'a','value':'b'}]}",
       "spec.securityContext.sysctls[1].name: Duplicate value: \"a\""},
      {",'securityContext':{'sysctls':[{'name':'Kernel..x','value':'b'}]}",
       "spec.securityContext.sysctls[0].name: Invalid value: \"Kernel..x\": must have at most 253 characters and match regex "
       "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"},
      {",'hostNetwork':true,'securityContext':{'sysctls':[{'name':'net.ipv4.x','value':'1'}]}",
       "spec.securityContext.sysctls[0].name: Invalid value: \"net.ipv4.x\": may not be specified when 'hostNetwork' is true"},
      {",'hostPID':true,'shareProcessNamespace':true",
       "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled"},
      {",'hostUsers':false,'hostPID':true", "spec.HostPID: Forbidden: when `hostUsers` is false"},
      {",'os':{'name':'plan9'}", "spec.os: Unsupported value: \"plan9\": supported values: \"linux\", \"windows\""},
      {",'os':{'name':'windows'},'hostPID':true", "spec.hostPID: Forbidden: cannot be set for a windows pod"},
      {",'os':{'name':'linux'},'securityContext':{'windowsOptions':{}}",
       "spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"},
  };
  in_spec(pods);
}

TEST_F(PodRules, scheduling) {
  const RuleRow rows[] = {
      {",'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':[]}}}",
       "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least "
       "one "
       "node selector term"},
      {",'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':[{'matchExpressions':[{'key':'a'"
       ","
       "'operator':'In'}]}]}}}",
       "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: "
       "Required "
       "value: must be specified when `operator` is 'In' or 'NotIn'"},
      {",'affinity':{'podAffinity':{'preferredDuringSchedulingIgnoredDuringExecution':[{'weight':101,'podAffinityTerm':{'topologyKey':'a'}}"
       "]}}",
       "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be in the range "
       "1-100"},
      {",'affinity':{'podAntiAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':[{'topologyKey':''}]}}",
       "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty"},
      {",'tolerations':[{'operator':'Equal','effect':'NoSchedule'}]",
       "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all "
       "values "
       "and all keys\""},
      {",'tolerations':[{'key':'a','operator':'Exists','value':'b'}]",
       "spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'"},
      {",'tolerations':[{'key':'a','operator':'Exists','tolerationSeconds':1}]",
       "spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set"},
      {",'topologySpreadConstraints':[{'maxSkew':0,'topologyKey':'z','whenUnsatisfiable':'DoNotSchedule'}]",
       "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than 0"},
      {",'topologySpreadConstraints':[{'maxSkew':1,'topologyKey':'z','whenUnsatisfiable':'ScheduleAnyway','minDomains':1}]",
       "spec.topologySpreadConstraints[0].minDomains: Invalid value: 1: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not "
       "ScheduleAnyway"},
      {",'topologySpreadConstraints':[{'maxSkew':1,'topologyKey':'z','whenUnsatisfiable':'DoNotSchedule'},{'maxSkew':2,'topologyKey':'z',"
       "'whenUnsatisfiable':'DoNotSchedule'}]",
       "spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{z, DoNotSchedule}\""},
      {",'topologySpreadConstraints':[{'maxSkew':1,'topologyKey':'z','whenUnsatisfiable':'DoNotSchedule','matchLabelKeys':['a']}]",
       "spec.topologySpreadConstraints[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set"},
      {",'schedulingGates':[{'name':'a'},{'name':'a'}]", "spec.schedulingGates[1]: Duplicate value: \"a\""},
      {",'schedulingGates':[{'name':'a'}],'nodeName':'n'",
       "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"},
      {",'nodeSelector':{'a':'b c'}",
       "spec.nodeSelector: Invalid value: \"b c\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' "
       "or "
       "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation "
       "is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
  };
  in_spec(rows);
}

TEST_F(PodRules, label_keys_are_not_named_by_their_selector) {
  const RuleRow rows[] = {
      {"'labelSelector':{'matchLabels':{'b':'1'}},'matchLabelKeys':['a']", ""},
      {"'labelSelector':{'matchLabels':{'a':'1'}},'matchLabelKeys':['b','a']",
       "spec.topologySpreadConstraints[0][1]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector"},
      {"'labelSelector':{'matchExpressions':[{'key':'a','operator':'Exists'}]},'matchLabelKeys':['a']",
       "spec.topologySpreadConstraints[0][0]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector"},
  };
  creations("", "v1", "pods",
            "{'metadata':{'name':'p','labels':{'a':'1'}},'spec':{'containers':[{'name':'c','image':'i'}],'topologySpreadConstraints':[{"
            "'maxSkew':1,'topologyKey':'z','whenUnsatisfiable':'DoNotSchedule',$}]}}",
            rows);
}

TEST_F(PodRules, the_spec) {
  const RuleRow rows[] = {
      {",'restartPolicy':'Sometimes'",
       "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\""},
      {",'activeDeadlineSeconds':0", "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"},
      {",'dnsPolicy':'None'", "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"},
      {",'dnsConfig':{'nameservers':['a']}",
       "spec.dnsConfig.nameservers[0]: Invalid value: \"a\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"},
      {",'dnsConfig':{'nameservers':['1.1.1.1','1.1.1.2','1.1.1.3','1.1.1.4']}",
       "spec.dnsConfig.nameservers: Invalid value: [\"1.1.1.1\",\"1.1.1.2\",\"1.1.1.3\",\"1.1.1.4\"]: must not have more than 3 "
       "nameservers"},
      {",'dnsConfig':{'searches':['a_b.c','.']}", ""},
      {",'hostAliases':[{'ip':'01.2.3.4','hostnames':['a']}]",
       "spec.hostAliases[0].ip: Invalid value: \"01.2.3.4\": must not have leading 0s"},
      {",'hostname':'a.b'", "spec.hostname: Invalid value: \"a.b\": must not contain dots"},
      {",'hostNetwork':true", ""},
      {",'hostNetwork':true,'hostnameOverride':'h'", "spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true"},
      {",'readinessGates':[{'conditionType':'a b'}]",
       "spec.readinessGates[0].conditionType: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', "
       "and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
       "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"},
      {",'resourceClaims':[{'name':'a'}]",
       "spec.resourceClaims[0]: Invalid value: {\"name\":\"a\"}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"},
      {",'ephemeralContainers':[{'name':'e','image':'i'}]", "spec.ephemeralContainers: Forbidden: cannot be set on create"},
      {",'initContainers':[{'name':'c','image':'i'}]", "spec.initContainers[0].name: Duplicate value: \"c\""},
      {",'initContainers':[{'name':'i','image':'i','livenessProbe':{'tcpSocket':{'port':1}}}]",
       "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"},
      {",'initContainers':[{'name':'i','image':'i','restartPolicy':'Always','livenessProbe':{'tcpSocket':{'port':1}}}]", ""},
  };
  in_spec(rows);
}

TEST_F(PodRules, volumes) {
  const RuleRow rows[] = {
      {"", ""},
      {",'emptyDir':{},'hostPath':{'path':'/'}", "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"},
      {",'hostPath':{}", "spec.volumes[0].hostPath.path: Required value"},
      {",'hostPath':{'path':'/a/../b'}", "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"},
      {",'secret':{}", "spec.volumes[0].secret.secretName: Required value"},
      {",'secret':{'secretName':'s','defaultMode':512}",
       "spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive"},
      {",'configMap':{'name':'m','items':[{'key':'k','path':'/a'}]}",
       "spec.volumes[0].configMap.items[0].path: Invalid value: \"/a\": must be a relative path"},
      {",'configMap':{'name':'m','items':[{'key':'k','path':'..a'}]}",
       "spec.volumes[0].configMap.items[0].path: Invalid value: \"..a\": must not start with '..'"},
      {",'nfs':{'server':'s','path':'a'}", "spec.volumes[0].nfs.path: Invalid value: \"a\": must be an absolute path"},
      {",'persistentVolumeClaim':{}", "spec.volumes[0].persistentVolumeClaim.claimName: Required value"},
      {",'downwardAPI':{'items':[{'path':'a'}]}",
       "spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required"},
      {",'downwardAPI':{'items':[{'path':'a','resourceFieldRef':{'resource':'limits.cpu'}}]}",
       "spec.volumes[0].downwardAPI.resourceFieldRef.containerName: Required value"},
      {",'projected':{'sources':[{'serviceAccountToken':{'path':'t','expirationSeconds':5}}]}",
       "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify a duration less than "
       "10 minutes"},
      {",'projected':{'sources':[{'secret':{'name':'a','items':[{'key':'k','path':'p'}]}},{'configMap':{'name':'b','items':[{'key':'k',"
       "'path':'p'}]}}]}",
       "spec.volumes[0].projected: Invalid value: \"b\": conflicting duplicate paths"},
      {",'projected':{'sources':[{'secret':{'name':'a'},'configMap':{'name':'b'}}]}",
       "spec.volumes[0].projected.sources[0]: Forbidden: may not specify more than 1 volume type per source"},
      {",'csi':{'driver':''}", "spec.volumes[0].csi.driver: Required value"},
      {",'ephemeral':{}", "spec.volumes[0].ephemeral.volumeClaimTemplate: Required value"},
      {",'ephemeral':{'volumeClaimTemplate':{'spec':{'accessModes':['ReadWriteOnce']}}}",
       "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value"},
      {"},{'name':'v'", "spec.volumes[1].name: Duplicate value: \"v\""},
  };
  in_volume(rows);
}

TEST_F(PodRules, changes_of_a_pod) {
  const RuleRow rows[] = {
      {"{'spec':{'containers':[{'name':'c','image':'j'}]}}", ""},
      {"{'spec':{'activeDeadlineSeconds':50}}", ""},
      {"{'spec':{'activeDeadlineSeconds':101}}",
       "spec.activeDeadlineSeconds: Invalid value: 101: must be less than or equal to previous value"},
      {"{'spec':{'activeDeadlineSeconds':null}}",
       "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"},
      {"{'spec':{'tolerations':[]}}", "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"},
      {"{'spec':{'schedulingGates':[{'name':'g'}]}}",
       "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'"},
      {"{'spec':{'containers':[{'name':'c','image':'i'},{'name':'d','image':'i'}]}}",
       "spec.containers: Forbidden: pod updates may not add or remove containers"},
      {"{'spec':{'hostNetwork':true}}",
       "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
       "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
       "(allow it to be set to 1 if it was previously negative)"},
      {"{'metadata':{'annotations':{'controller.kubernetes.io/pod-deletion-cost':'x'}}}",
       "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: \"x\": must be a 32bit integer"},
  };
  changes("", "v1", "pods",
          "{'metadata':{'name':'p'},'spec':{'tolerations':[{'key':'own','operator':'Exists'}],'activeDeadlineSeconds':100,'containers':[{'"
          "name':'c','image':'i','imagePullPolicy':'Always',"
          "'terminationMessagePath':'/dev/termination-log','terminationMessagePolicy':'File'}],'automountServiceAccountToken':false}}",
          rows);
}

TEST_F(PodRules, a_gated_pod_may_be_narrowed) {
  const RuleRow rows[] = {
      {"{'spec':{'schedulingGates':null}}", ""},
      {"{'spec':{'nodeSelector':{'a':'b','c':'d'}}}", ""},
      {"{'spec':{'nodeSelector':{'a':'x'}}}",
       "spec.nodeSelector: Invalid value: {\"a\":\"x\"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)"},
  };
  changes("", "v1", "pods",
          "{'metadata':{'name':'p'},'spec':{'nodeSelector':{'a':'b'},'schedulingGates':[{'name':'g'}],'containers':[{'name':'c','image':"
          "'i'}]}}",
          rows);
}

TEST_F(PodRules, the_doors_of_a_pod) {
  const std::string_view pod =
      "{'metadata':{'name':'p'},'spec':{'restartPolicy':'Never','automountServiceAccountToken':false,'containers':[{'name':'c','image':'i',"
      "'resources':{'requests':{'cpu':'1'}}}]}}";
  const RuleRow resized[] = {
      {"{'spec':{'containers':[{'name':'c','image':'i','resources':{'requests':{'cpu':'2'}}}]}}", ""},
      {"{'spec':{'containers':[{'name':'c','image':'i','resources':{'requests':{'memory':'2'}}}]}}",
       "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"},
      {"{'spec':{'containers':[{'name':'c','image':'i','resources':{'requests':{'cpu':'1','ephemeral-storage':'2'}}}]}}",
       "spec: Forbidden: only cpu and memory resources are mutable"},
      {"{'spec':{'containers':[{'name':'c','image':'i','resources':{'limits':{'cpu':'1','memory':'1'},'requests':{'cpu':'1'}}}]}}",
       "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing"},
  };
  changes("", "v1", "pods", pod, resized, "resize");
  ASSERT_TRUE(remove("", "v1", "pods", "default", "p"));
  const RuleRow whole[] = {
      {"{'spec':{'resources':{'requests':{'memory':'2'}}}}", ""},
      {"{'spec':{'resources':{'limits':{'memory':'3'},'requests':{'memory':'2'}}}}", ""},
      {"{'spec':{'resources':{'requests':{'cpu':'1','memory':null}}}}",
       "spec.resources.requests: Forbidden: pod-level resource requests cannot be removed"},
  };
  changes("", "v1", "pods",
          "{'metadata':{'name':'p'},'spec':{'automountServiceAccountToken':false,'resources':{'requests':{'memory':'1'}},"
          "'containers':[{'name':'c','image':'i'}]}}",
          whole, "resize");
  ASSERT_TRUE(remove("", "v1", "pods", "default", "p"));
  const RuleRow added[] = {
      {"{'spec':{'ephemeralContainers':[{'name':'e','image':'i'}]}}", ""},
      {"{'spec':{'ephemeralContainers':[{'name':'c','image':'i'}]}}", "spec.ephemeralContainers[0].name: Duplicate value: \"c\""},
      {"{'spec':{'ephemeralContainers':[{'name':'e','image':'i','ports':[{'containerPort':1}]}]}}",
       "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container"},
      {"{'spec':{'ephemeralContainers':[{'name':'e','image':'i','targetContainerName':'x'}]}}",
       "spec.ephemeralContainers[0].targetContainerName: Not found: \"x\""},
  };
  changes("", "v1", "pods", pod, added, "ephemeralcontainers");
  ASSERT_TRUE(remove("", "v1", "pods", "default", "p"));
  const RuleRow status[] = {
      {"{'status':{'phase':'Running','conditions':[{'type':'Ready','status':'True'}]}}", ""},
      {"{'status':{'qosClass':'Guaranteed'}}", "status.qosClass: Invalid value: \"Guaranteed\": field is immutable"},
      {"{'status':{'podIPs':[{'ip':'x'}]}}",
       "status.podIPs[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"},
  };
  changes("", "v1", "pods", pod, status, "status");
}

TEST_F(PodRules, a_container_comes_back_only_where_its_policy_or_a_rule_for_its_exit_code_lets_it) {
  const auto comes_back = [&](const std::string& container, int code) {
    EXPECT_TRUE(create("", "v1", "pods", "default",
                       quotes("{'metadata':{'name':'p'},'spec':{'restartPolicy':'Never','automountServiceAccountToken':false,"
                              "'containers':[{'name':'c','image':'i'" +
                              container + "}]}}")));
    const auto state = [&](const std::string& is) {
      return patch("", "v1", "pods", "default", "p", BodyType::merge_patch,
                   quotes("{'status':{'containerStatuses':[{'name':'c','image':'i','imageID':'','ready':false,'restartCount':0,'state':{" +
                          is + "}}]}}"),
                   "status");
    };
    const auto ended = state("'terminated':{'exitCode':" + std::to_string(code) + "}");
    EXPECT_TRUE(ended) << ended.error().message;
    const auto again = state("'running':{}");
    EXPECT_TRUE(remove("", "v1", "pods", "default", "p"));
    return again.has_value();
  };
  const std::string rules =
      ",'restartPolicy':'Never','restartPolicyRules':[{'action':'Restart','exitCodes':{'operator':'In','values':[42]}}]";
  EXPECT_FALSE(comes_back("", 1));
  EXPECT_TRUE(comes_back(",'restartPolicy':'OnFailure'", 1));
  EXPECT_FALSE(comes_back(",'restartPolicy':'OnFailure'", 0));
  EXPECT_TRUE(comes_back(rules, 42));
  EXPECT_FALSE(comes_back(rules, 1));
  EXPECT_TRUE(comes_back(
      ",'restartPolicy':'Never','restartPolicyRules':[{'action':'RestartAllContainers','exitCodes':{'operator':'In','values':[42]}}]", 1));
}

TEST_F(PodRules, warnings) {
  EXPECT_EQ(warnings_of("", "v1", "pods",
                        "{'metadata':{'name':'p','annotations':{'scheduler.alpha.kubernetes.io/critical-pod':''}},'spec':{'nodeSelector':{"
                        "'beta.kubernetes.io/os':'linux'},'imagePullSecrets':[{'name':'a'},{'name':'a'}],'containers':[{'name':'c','image':"
                        "'i','env':[{'name':'A','value':'1'},{'name':'A','value':'2'}],'resources':{'limits':{'memory':'100m'}},'ports':[{"
                        "'containerPort':80},{'containerPort':80}]}]}}"),
            (std::vector<std::string>{
                "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
                "metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the \"priorityClassName\" "
                "field instead",
                "spec.imagePullSecrets[1].name: duplicate name \"a\"",
                "spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer",
                "spec.containers[0].resources.requests[memory]: fractional byte value \"100m\" is invalid, must be an integer",
                "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
                "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
            }));
}

}  // namespace
}  // namespace estiba::apiserver
