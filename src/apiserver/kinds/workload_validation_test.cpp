// Workloads and jobs, in the words of Kubernetes (pkg/apis/apps and pkg/apis/batch).
#include "apiserver/testing/rules_fixture.h"

namespace estiba::apiserver {
namespace {

class WorkloadRules : public RulesTest {
 protected:
  static constexpr std::string_view pods = "'template':{'metadata':{'labels':{'a':'b'}},'spec':{'containers':[{'name':'c','image':'i'}]}}";
  static constexpr std::string_view once = "'template':{'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'i'}]}}";
  static std::string with(std::string_view before, std::string_view middle, std::string_view after) {
    return std::string(before).append(middle).append(after);
  }
  void in_spec(std::string_view resource, std::span<const RuleRow> rows) {
    creations("apps", "v1", resource, with("{'metadata':{'name':'w'},'spec':{'selector':{'matchLabels':{'a':'b'}},", pods, "$}}"), rows);
  }
  void in_job(std::span<const RuleRow> rows) {
    creations("batch", "v1", "jobs", with("{'metadata':{'name':'j'},'spec':{", once, "$}}"), rows);
  }
};

TEST_F(WorkloadRules, deployments) {
  const RuleRow rows[] = {
      {"", ""},
      {",'replicas':-1", "spec.replicas: Invalid value: -1: must be greater than or equal to 0"},
      {",'minReadySeconds':600", "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"},
      {",'strategy':{'type':'Recreate','rollingUpdate':{}}",
       "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"},
      {",'strategy':{'rollingUpdate':{'maxUnavailable':0,'maxSurge':'0%'}}",
       "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"},
      {",'strategy':{'rollingUpdate':{'maxUnavailable':'101%'}}",
       "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"},
      {",'strategy':{'rollingUpdate':{'maxUnavailable':'many'}}",
       "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"many\": a valid percent string must be a numeric string followed by "
       "an "
       "ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"},
      {",'strategy':{'type':'Slowly'}",
       "spec.strategy.type: Unsupported value: \"Slowly\": supported values: \"Recreate\", \"RollingUpdate\""},
  };
  in_spec("deployments", rows);
}

TEST_F(WorkloadRules, selectors_and_templates) {
  const RuleRow rows[] = {
      {"'template':{'metadata':{'labels':{'a':'b'}},'spec':{'containers':[{'name':'c','image':'i'}]}}", "spec.selector: Required value"},
      {"'selector':{},'template':{'spec':{'containers':[{'name':'c','image':'i'}]}}",
       "spec.selector: Invalid value: {}: empty selector is invalid for deployment"},
      {"'selector':{'matchLabels':{'a':'c'}},'template':{'metadata':{'labels':{'a':'b'}},'spec':{'containers':[{'name':'c','image':'i'}]}}",
       "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`"},
      {"'selector':{'matchExpressions':[{'key':'a','operator':'In','values':['b c']}]},'template':{'metadata':{'labels':{'a':'b'}},'spec':{"
       "'containers':[{'name':'c','image':'i'}]}}",
       "spec.selector.matchExpressions[0].values[0]: Invalid value: \"b c\": a valid label must be an empty string or consist of "
       "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
       "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
      {"'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}},'spec':{'restartPolicy':'Never','containers':[{"
       "'name':'c','image':'i'}]}}",
       "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""},
      {"'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}},'spec':{'activeDeadlineSeconds':5,'containers':[{"
       "'name':'c','image':'i'}]}}",
       "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"},
      {"'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}},'spec':{'containers':[{'name':'c','image':'i',"
       "'volumeMounts':[{'name':'v','mountPath':'/v'}]}]}}",
       "spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"v\""},
  };
  creations("apps", "v1", "deployments", "{'metadata':{'name':'w'},'spec':{$}}", rows);
}

TEST_F(WorkloadRules, stateful_and_daemon_sets) {
  const RuleRow stateful[] = {
      {"", ""},
      {",'podManagementPolicy':'Random'", "spec.podManagementPolicy: Invalid value: \"Random\": must be 'OrderedReady' or 'Parallel'"},
      {",'updateStrategy':{'type':'OnDelete','rollingUpdate':{'partition':1}}",
       "spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'"},
      {",'updateStrategy':{'rollingUpdate':{'partition':-1}}",
       "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0"},
      {",'serviceName':'a.b'", "spec.serviceName: Invalid value: \"a.b\": must not contain dots"},
      {",'ordinals':{'start':-1}", "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"},
      {",'persistentVolumeClaimRetentionPolicy':{'whenDeleted':'Keep'}",
       "spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: \"Keep\": supported values: \"Retain\", \"Delete\""},
      {",'volumeClaimTemplates':[{'metadata':{'name':'d'},'spec':{'resources':{'requests':{'storage':'1Gi'}}}}]",
       "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required"},
  };
  in_spec("statefulsets", stateful);
  const RuleRow daemon[] = {
      {"", ""},
      {",'updateStrategy':{'rollingUpdate':{'maxUnavailable':1,'maxSurge':1}}",
       "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"},
      {",'updateStrategy':{'rollingUpdate':{'maxUnavailable':0}}",
       "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"},
  };
  in_spec("daemonsets", daemon);
}

TEST_F(WorkloadRules, changes) {
  const std::string made = with("{'metadata':{'name':'w'},'spec':{'selector':{'matchLabels':{'a':'b'}},", pods, "}}");
  const RuleRow deployment[] = {
      {"{'spec':{'replicas':3}}", ""},
      {"{'spec':{'selector':{'matchLabels':{'a':null,'x':'y'}},'template':{'metadata':{'labels':{'x':'y'}}}}}",
       "spec.selector: Invalid value: {\"matchLabels\":{\"x\":\"y\"}}: field is immutable"},
  };
  changes("apps", "v1", "deployments", made, deployment);
  const RuleRow stateful[] = {
      {"{'spec':{'replicas':3}}", ""},
      {"{'spec':{'serviceName':'other'}}",
       "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
       "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"},
  };
  changes("apps", "v1", "statefulsets", made, stateful);
  const RuleRow status[] = {
      {"{'status':{'replicas':2,'readyReplicas':1,'availableReplicas':1}}", ""},
      {"{'status':{'replicas':1,'readyReplicas':2}}", "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"},
      {"{'status':{'replicas':-1}}", "status.replicas: Invalid value: -1: must be greater than or equal to 0"},
  };
  changes("apps", "v1", "replicasets", made, status, "status");
}

TEST_F(WorkloadRules, jobs) {
  const RuleRow rows[] = {
      {"", ""},
      {",'completions':-1", "spec.completions: Invalid value: -1: must be greater than or equal to 0"},
      {",'completionMode':'Indexed'", ""},
      {",'completionMode':'Indexed','parallelism':2", "spec.completions: Required value: when completion mode is Indexed"},
      {",'completionMode':'Indexed','completions':1,'parallelism':100001",
       "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed"},
      {",'backoffLimitPerIndex':1", "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"},
      {",'completionMode':'Indexed','completions':2,'maxFailedIndexes':1",
       "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"},
      {",'managedBy':'me'", "spec.managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as \"acme.io/foo\")"},
      {",'podFailurePolicy':{'rules':[{'action':'FailJob'}]}",
       "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"},
      {",'podFailurePolicy':{'rules':[{'action':'FailJob','onExitCodes':{'operator':'In','values':[0]}}]}",
       "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator"},
      {",'podFailurePolicy':{'rules':[{'action':'FailJob','onExitCodes':{'operator':'In','values':[3,2]}}]}",
       "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [3,2]: must be ordered"},
      {",'podFailurePolicy':{'rules':[{'action':'FailJob','onExitCodes':{'containerName':'x','operator':'In','values':[3]}}]}",
       "spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: \"x\": must be one of the container or initContainer "
       "names "
       "in the pod template"},
      {",'podFailurePolicy':{'rules':[{'action':'FailIndex','onExitCodes':{'operator':'In','values':[3]}}]}",
       "spec.podFailurePolicy.rules[0].action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set"},
      {",'completionMode':'Indexed','completions':3,'successPolicy':{'rules':[{'succeededIndexes':'0-9'}]}",
       "spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"0-9\": error parsing succeededIndexes: too large index: \"9\""},
      {",'completionMode':'Indexed','completions':3,'successPolicy':{'rules':[{'succeededIndexes':'0-1','succeededCount':3}]}",
       "spec.successPolicy.rules[0].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in the "
       "specified succeededIndexes field)"},
  };
  in_job(rows);
  const RuleRow restart[] = {{"", "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""}};
  creations("batch", "v1", "jobs", "{'metadata':{'name':'j'},'spec':{'template':{'spec':{'containers':[{'name':'c','image':'i'}]}}$}}",
            restart);
}

TEST_F(WorkloadRules, changes_of_a_job) {
  const RuleRow rows[] = {
      {"{'spec':{'parallelism':2}}", ""},
      {"{'spec':{'suspend':true}}", ""},
      {"{'spec':{'completions':2}}", "spec.completions: Invalid value: 2: field is immutable"},
      {"{'spec':{'completionMode':'Indexed'}}", "spec.completionMode: Invalid value: \"Indexed\": field is immutable"},
  };
  changes("batch", "v1", "jobs", with("{'metadata':{'name':'j'},'spec':{", once, "}}"), rows);
  const RuleRow status[] = {
      {"{'status':{'active':1}}", ""},
      {"{'status':{'ready':1}}", "status.ready: Invalid value: 1: cannot set more ready pods than active"},
      {"{'status':{'conditions':[{'type':'Failed','status':'True'}]}}",
       "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition"},
      {"{'status':{'completionTime':'2026-01-01T00:00:00Z'}}",
       "status.completionTime: Invalid value: \"2026-01-01T00:00:00Z\": cannot set completionTime when there is no Complete=True "
       "condition"},
  };
  changes("batch", "v1", "jobs", with("{'metadata':{'name':'k'},'spec':{", once, "}}"), status, "status");
}

TEST_F(WorkloadRules, cron_jobs) {
  const std::string frame = with("{'metadata':{'name':'c'},'spec':{'jobTemplate':{'spec':{", once, "}}$}}");
  const RuleRow rows[] = {
      {",'schedule':'*/5 * * * *'", ""},
      {",'schedule':'0 9 * jan-mar mon,wed'", ""},
      {",'schedule':'@every 1h30m','timeZone':'UTC'", ""},
      {",'schedule':''", "spec.schedule: Required value"},
      {",'schedule':'* * * *'", "spec.schedule: Invalid value: \"* * * *\": expected exactly 5 fields, found 4: [* * * *]"},
      {",'schedule':'60 * * * *'", "spec.schedule: Invalid value: \"60 * * * *\": end of range (60) above maximum (59): 60"},
      {",'schedule':'x * * * *'",
       "spec.schedule: Invalid value: \"x * * * *\": failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"},
      {",'schedule':'5-1 * * * *'", "spec.schedule: Invalid value: \"5-1 * * * *\": beginning of range (5) beyond end of range (1): 5-1"},
      {",'schedule':'@fortnightly'", "spec.schedule: Invalid value: \"@fortnightly\": unrecognized descriptor: @fortnightly"},
      {",'schedule':'TZ=UTC 0 0 * * *'",
       "spec.schedule: Invalid value: \"TZ=UTC 0 0 * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead"},
      {",'schedule':'@daily','timeZone':'../etc/passwd'",
       "spec.timeZone: Invalid value: \"../etc/passwd\": unknown time zone ../etc/passwd"},
      {",'schedule':'@daily','timeZone':'Local'",
       "spec.timeZone: Invalid value: \"Local\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"},
      {",'schedule':'@daily','concurrencyPolicy':'Maybe'",
       "spec.concurrencyPolicy: Unsupported value: \"Maybe\": supported values: \"Allow\", \"Forbid\", \"Replace\""},
      {",'schedule':'@daily','failedJobsHistoryLimit':-1",
       "spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0"},
  };
  creations("batch", "v1", "cronjobs", frame, rows);
}

TEST_F(WorkloadRules, revisions_and_warnings) {
  const RuleRow rows[] = {
      {"{'metadata':{'name':'r'},'revision':1,'data':{'a':1}}", ""},
      {"{'metadata':{'name':'r'},'revision':-1,'data':{'a':1}}", "revision: Invalid value: -1: must be greater than or equal to 0"},
      {"{'metadata':{'name':'r'},'revision':1}", "data: Required value: data is mandatory"}};
  creations("apps", "v1", "controllerrevisions", "$", rows);
  EXPECT_EQ(warnings_of("apps", "v1", "deployments",
                        "{'metadata':{'name':'w'},'spec':{'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}},"
                        "'spec':{'containers':[{'name':'c','image':'i'}],'nodeSelector':{'beta.kubernetes.io/arch':'amd64'}}}}}"),
            std::vector<std::string>{
                "spec.template.spec.nodeSelector[beta.kubernetes.io/arch]: deprecated since v1.14; use \"kubernetes.io/arch\" instead"});
}

}  // namespace
}  // namespace estiba::apiserver
