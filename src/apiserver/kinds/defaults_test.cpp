// What each kind gets that its client has not said: the fields that Kubernetes 1.36 defaults (pkg/apis/*/v1/defaults.go, read by
// hand), each kind from a body with the least that it needs.
#include <gtest/gtest.h>

#include "apiserver/testing/rules_fixture.h"

namespace estiba::apiserver {
namespace {

struct DefaultRow {
  std::string_view group, version, resource;
  std::string_view body;      ///< with ' for "
  std::string_view path;      ///< what is compared: "spec", "spec.metrics"
  std::string_view expected;  ///< with ' for "; "" when it must be absent
};

constexpr std::string_view pod_template = "{'metadata':{'labels':{'a':'b'}},'spec':{'containers':[{'name':'c','image':'i'}]}}";

class DefaultsTest : public RulesTest {
 protected:
  void expect_default(const DefaultRow& row) {
    std::string body = quotes(row.body);
    if (const size_t at = body.find("$T"); at != std::string::npos) body.replace(at, 2, quotes(pod_template));
    Action action = make(Verb::create, row.group, row.version, row.resource,
                         api_->cluster().find_resource(row.group, row.version, row.resource).resource->namespaced ? "default" : "");
    action.write.dry_run = true;
    action.body = body;
    auto made = run(api_->run(std::move(action)));
    ASSERT_TRUE(made) << row.body << "\n  " << made.error().message;
    const json::Node* found = &json_of(made->object);
    for (std::string_view part : split_path(row.path)) {
      if (!found) break;
      found = found->is_array() ? &(*found)[0] : found->find(part);
    }
    EXPECT_EQ(found ? json::print(*found) : "", quotes(row.expected)) << row.body << "\n  at " << row.path;
  }
  static std::vector<std::string_view> split_path(std::string_view path) {
    std::vector<std::string_view> out;
    while (!path.empty()) {
      const size_t dot = path.find('.');
      out.push_back(path.substr(0, dot));
      path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
    }
    return out;
  }
};

TEST_F(DefaultsTest, every_kind_gets_what_kubernetes_gives_it) {
  const DefaultRow rows[] = {
      // Jobs; the job that a CronJob describes gets a Job's defaults when it is made, not before.
      {"batch", "v1", "jobs",
       "{'metadata':{'name':'j'},'spec':{'template':{'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'i'}]}}}}",
       "spec.completions", "1"},
      {"batch", "v1", "jobs",
       "{'metadata':{'name':'j'},'spec':{'template':{'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'i'}]}}}}",
       "spec.manualSelector", "false"},
      {"batch", "v1", "jobs",
       "{'metadata':{'name':'j'},'spec':{'template':{'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'i'}]}}}}",
       "spec.completionMode", "'NonIndexed'"},
      {"batch", "v1", "jobs",
       "{'metadata':{'name':'j'},'spec':{'podFailurePolicy':{'rules':[{'action':'Ignore','onPodConditions':[{'type':'DisruptionTarget'}]}]}"
       ","
       "'template':{'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'i'}]}}}}",
       "spec.podFailurePolicy.rules.0.onPodConditions", "[{'type':'DisruptionTarget','status':'True'}]"},
      {"batch", "v1", "cronjobs",
       "{'metadata':{'name':'c'},'spec':{'schedule':'* * * * "
       "*','jobTemplate':{'spec':{'backoffLimit':2,'template':{'spec':{'restartPolicy':'Never',"
       "'containers':[{'name':'c','image':'i:1','imagePullPolicy':'Always'}]}}}}}}",
       "spec.jobTemplate.spec",
       "{'backoffLimit':2,'template':{'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'i:1','imagePullPolicy':'Always',"
       "'resources':{},'terminationMessagePath':'/dev/"
       "termination-log','terminationMessagePolicy':'File'}],'terminationGracePeriodSeconds':30,"
       "'dnsPolicy':'ClusterFirst','securityContext':{},'schedulerName':'default-scheduler'}}}"},
      {"batch", "v1", "cronjobs",
       "{'metadata':{'name':'c'},'spec':{'schedule':'* * * * "
       "*','jobTemplate':{'spec':{'template':{'spec':{'restartPolicy':'Never','containers':"
       "[{'name':'c','image':'i'}]}}}}}}",
       "spec.concurrencyPolicy", "'Allow'"},
      // Only pods take the host's ports.
      {"", "v1", "pods",
       "{'metadata':{'name':'p'},'spec':{'hostNetwork':true,'containers':[{'name':'c','image':'i','ports':[{'containerPort':80}]}]}}",
       "spec.containers.0.ports", "[{'containerPort':80,'protocol':'TCP','hostPort':80}]"},
      {"", "v1", "podtemplates",
       "{'metadata':{'name':'p'},'template':{'spec':{'hostNetwork':true,'containers':[{'name':'c','image':'i','ports':[{'containerPort':80,"
       "'hostPort':80}]}]}}}",
       "template.spec.containers.0.ports", "[{'containerPort':80,'hostPort':80,'protocol':'TCP'}]"},
      {"", "v1", "pods",
       "{'metadata':{'name':'p'},'spec':{'volumes':[{'name':'v','image':{'reference':'r:1'}},{'name':'k'}],'containers':[{'name':'c','"
       "image':'i'}]}}",
       "spec.volumes.0.image", "{'reference':'r:1','pullPolicy':'IfNotPresent'}"},
      {"", "v1", "pods",
       "{'metadata':{'name':'p'},'spec':{'resources':{'limits':{'cpu':'2','memory':'1Gi'}},'containers':[{'name':'c','image':'i',"
       "'resources':{'requests':{'cpu':'500m'}}},{'name':'d','image':'i','resources':{'requests':{'cpu':'250m'}}}]}}",
       "spec.resources", "{'limits':{'cpu':'2','memory':'1Gi'},'requests':{'cpu':'750m','memory':'1Gi'}}"},
      {"", "v1", "pods",
       "{'metadata':{'name':'p'},'spec':{'resources':{'limits':{'cpu':'1','memory':'1Gi'},'requests':{'cpu':'1000m','memory':'1Gi'}},"
       "'containers':[{'name':'c','image':'i'}]}}",
       "status.qosClass", "'Guaranteed'"},
      // Autoscalers.
      {"autoscaling", "v2", "horizontalpodautoscalers",
       "{'metadata':{'name':'h'},'spec':{'maxReplicas':3,'scaleTargetRef':{'apiVersion':'apps/v1','kind':'Deployment','name':'d'}}}",
       "spec.metrics", "[{'type':'Resource','resource':{'name':'cpu','target':{'type':'Utilization','averageUtilization':80}}}]"},
      {"autoscaling", "v2", "horizontalpodautoscalers",
       "{'metadata':{'name':'h'},'spec':{'maxReplicas':3,'scaleTargetRef':{'apiVersion':'apps/v1','kind':'Deployment','name':'d'}}}",
       "spec.behavior", ""},
      {"autoscaling", "v2", "horizontalpodautoscalers",
       "{'metadata':{'name':'h'},'spec':{'maxReplicas':3,'behavior':{'scaleDown':{'stabilizationWindowSeconds':5}},"
       "'scaleTargetRef':{'apiVersion':'apps/v1','kind':'Deployment','name':'d'}}}",
       "spec.behavior",
       "{'scaleDown':{'stabilizationWindowSeconds':5,'policies':[{'type':'Percent','value':100,'periodSeconds':15}],'selectPolicy':'Max'},"
       "'scaleUp':{'stabilizationWindowSeconds':0,'policies':[{'type':'Pods','value':4,'periodSeconds':15},{'type':'Percent','value':100,"
       "'periodSeconds':15}],'selectPolicy':'Max'}}"},
      {"autoscaling", "v1", "horizontalpodautoscalers",
       "{'metadata':{'name':'h'},'spec':{'maxReplicas':3,'scaleTargetRef':{'apiVersion':'apps/v1','kind':'Deployment','name':'d'}}}",
       "spec.targetCPUUtilizationPercentage", "80"},
      // Devices.
      {"resource.k8s.io", "v1", "resourceclaims",
       "{'metadata':{'name':'c'},'spec':{'devices':{'requests':[{'name':'a','exactly':{'deviceClassName':'x'}}]}}}",
       "spec.devices.requests.0.exactly", "{'deviceClassName':'x','allocationMode':'ExactCount','count':1}"},
      {"resource.k8s.io", "v1", "resourceclaims",
       "{'metadata':{'name':'c'},'spec':{'devices':{'requests':[{'name':'a','exactly':{'deviceClassName':'x','allocationMode':'All'}}]}}}",
       "spec.devices.requests.0.exactly", "{'deviceClassName':'x','allocationMode':'All'}"},
      {"resource.k8s.io", "v1beta1", "resourceclaims",
       "{'metadata':{'name':'c'},'spec':{'devices':{'requests':[{'name':'a','deviceClassName':'x'}]}}}", "spec.devices.requests",
       "[{'name':'a','deviceClassName':'x','allocationMode':'ExactCount','count':1}]"},
      {"resource.k8s.io", "v1", "resourceclaimtemplates",
       "{'metadata':{'name':'c'},'spec':{'spec':{'devices':{'requests':[{'name':'a','firstAvailable':[{'name':'b','deviceClassName':'x'}]}]"
       "}}}}",
       "spec.spec.devices.requests.0.firstAvailable", "[{'name':'b','deviceClassName':'x','allocationMode':'ExactCount','count':1}]"},
      // Nodes.
      {"", "v1", "nodes", "{'metadata':{'name':'n'},'status':{'capacity':{'cpu':'4'}}}", "status",
       "{'capacity':{'cpu':'4'},'allocatable':{'cpu':'4'}}"},
      // Workloads.
      {"apps", "v1", "deployments", "{'metadata':{'name':'d'},'spec':{'selector':{'matchLabels':{'a':'b'}},'template':$T}}",
       "spec.strategy", "{'type':'RollingUpdate','rollingUpdate':{'maxUnavailable':'25%','maxSurge':'25%'}}"},
      {"apps", "v1", "daemonsets", "{'metadata':{'name':'d'},'spec':{'selector':{'matchLabels':{'a':'b'}},'template':$T}}",
       "spec.updateStrategy", "{'type':'RollingUpdate','rollingUpdate':{'maxUnavailable':1,'maxSurge':0}}"},
      {"apps", "v1", "statefulsets",
       "{'metadata':{'name':'s'},'spec':{'serviceName':'s','selector':{'matchLabels':{'a':'b'}},'template':$T}}", "spec.updateStrategy",
       "{'type':'RollingUpdate','rollingUpdate':{'partition':0}}"},
      {"storage.k8s.io", "v1", "csidrivers", "{'metadata':{'name':'d'},'spec':{}}", "spec",
       "{'attachRequired':true,'podInfoOnMount':false,'volumeLifecycleModes':['Persistent'],'storageCapacity':false,"
       "'fsGroupPolicy':'ReadWriteOnceWithFSType','requiresRepublish':false,'seLinuxMount':false}"},
      {"flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations",
       "{'metadata':{'name':'p'},'spec':{'type':'Limited','limited':{'limitResponse':{'type':'Queue','queuing':{}}}}}", "spec.limited",
       "{'limitResponse':{'type':'Queue','queuing':{'queues':64,'handSize':8,'queueLengthLimit':50}},'nominalConcurrencyShares':30,'"
       "lendablePercent':0}"},
      {"networking.k8s.io", "v1", "networkpolicies",
       "{'metadata':{'name':'p'},'spec':{'podSelector':{},'egress':[{'ports':[{'port':53}]}]}}", "spec",
       "{'podSelector':{},'egress':[{'ports':[{'port':53,'protocol':'TCP'}]}],'policyTypes':['Ingress','Egress']}"},
  };
  for (const DefaultRow& row : rows) expect_default(row);
}

TEST_F(DefaultsTest, taints_of_devices_say_when_they_were_added) {
  auto made =
      create("resource.k8s.io", "v1", "resourceslices", "",
             quotes("{'metadata':{'name':'s'},'spec':{'driver':'d.example.com','pool':{'name':'p','generation':1,'resourceSliceCount':1},"
                    "'nodeName':'n','devices':[{'name':'a','taints':[{'key':'x','effect':'NoSchedule'}]}]}}"));
  ASSERT_TRUE(made) << made.error().message;
  const json::Node& device = (*json_of(made->object).at("spec", "devices"))[0];
  EXPECT_FALSE((*device.find("taints"))[0].string_at("timeAdded").empty());
}

}  // namespace
}  // namespace estiba::apiserver
