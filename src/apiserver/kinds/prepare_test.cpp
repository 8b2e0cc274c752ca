// What a creation and an update set or keep, kind by kind (Kubernetes' pkg/registry/*/*/strategy.go, read by hand).
#include <gtest/gtest.h>

#include "apiserver/testing/rules_fixture.h"

namespace estiba::apiserver {
namespace {

class PrepareTest : public RulesTest {
 protected:
  /// The member at `path` ("metadata.generation") as JSON; "" when it is absent.
  std::string part(const model::ObjectRef& object, std::string_view path) {
    const json::Node* node = &json_of(object);
    while (node && !path.empty()) {
      const size_t dot = path.find('.');
      node = node->find(path.substr(0, dot));
      path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
    }
    return node ? json::print(*node) : "";
  }
  std::string ns_of(std::string_view group, std::string_view version, std::string_view resource) {
    return api_->cluster().find_resource(group, version, resource).resource->namespaced ? "default" : "";
  }
  model::ObjectRef make_one(std::string_view group, std::string_view version, std::string_view resource, std::string_view body) {
    auto made = create(group, version, resource, ns_of(group, version, resource), quotes(body));
    EXPECT_TRUE(made) << resource << ": " << (made ? "" : made.error().message);
    return made ? made->object : model::ObjectRef{};
  }
  Result<Outcome> merge(std::string_view group, std::string_view version, std::string_view resource, std::string name,
                        std::string_view body, std::string subresource = {}) {
    return patch(group, version, resource, ns_of(group, version, resource), std::move(name), BodyType::merge_patch, quotes(body),
                 std::move(subresource));
  }
};

TEST_F(PrepareTest, generations_count_what_kubernetes_counts) {
  struct Row {
    std::string_view group, version, resource, body, change, before, after;
  };
  constexpr std::string_view workload =
      "{'metadata':{'name':'x'},'spec':{'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}},'spec':{'"
      "containers':"
      "[{'name':'c','image':'i'}]}}}}";
  constexpr std::string_view slice = "{'metadata':{'name':'x'},'addressType':'IPv4','endpoints':[]}";
  const Row rows[] = {
      {"apps", "v1", "deployments", workload, "{'metadata':{'annotations':{'k':'v'}}}", "1", "2"},
      {"apps", "v1", "replicasets", workload, "{'metadata':{'annotations':{'k':'v'}}}", "1", "1"},
      {"apps", "v1", "replicasets", workload, "{'spec':{'replicas':3}}", "1", "2"},
      {"discovery.k8s.io", "v1", "endpointslices", slice, "{'metadata':{'labels':{'k':'v'}}}", "1", "2"},
      {"discovery.k8s.io", "v1", "endpointslices", slice, "{'metadata':{'annotations':{'k':'v'}}}", "1", "1"},
      {"networking.k8s.io", "v1", "servicecidrs", "{'metadata':{'name':'x'},'spec':{'cidrs':['10.50.0.0/24']}}",
       "{'metadata':{'labels':{'k':'v'}}}", "", ""},
      {"networking.k8s.io", "v1", "ipaddresses",
       "{'metadata':{'name':'10.50.0.1'},'spec':{'parentRef':{'resource':'gateways','name':'g'}}}", "{'metadata':{'labels':{'k':'v'}}}", "",
       ""},
      {"", "v1", "configmaps", "{'metadata':{'name':'x'},'data':{'a':'b'}}", "{'data':{'a':'c'}}", "", ""},
      {"", "v1", "services", "{'metadata':{'name':'x'},'spec':{'ports':[{'port':80}]}}", "{'spec':{'ports':[{'port':81}]}}", "", ""},
  };
  for (const Row& row : rows) {
    auto made = make_one(row.group, row.version, row.resource, row.body);
    ASSERT_TRUE(made.object) << row.resource;
    EXPECT_EQ(part(made, "metadata.generation"), row.before) << row.resource;
    const std::string name = made.meta().name;
    auto changed = merge(row.group, row.version, row.resource, name, row.change);
    ASSERT_TRUE(changed) << row.resource << changed.error().message;
    EXPECT_EQ(part(changed->object, "metadata.generation"), row.after) << row.resource << " " << row.change;
    ASSERT_TRUE(remove(row.group, row.version, row.resource, ns_of(row.group, row.version, row.resource), name));
  }
}

TEST_F(PrepareTest, a_write_of_the_status_keeps_metadata_of_the_newer_kinds) {
  make_one("networking.k8s.io", "v1", "servicecidrs", "{'metadata':{'name':'x'},'spec':{'cidrs':['10.50.0.0/24']}}");
  auto kept = merge(
      "networking.k8s.io", "v1", "servicecidrs", "x",
      "{'metadata':{'labels':{'a':'b'},'finalizers':['x.io/y']},'spec':{'cidrs':['10.51.0.0/24']},'status':{'conditions':[{'type':'Ready',"
      "'status':'True','reason':'r','message':'m','lastTransitionTime':'2026-01-01T00:00:00Z'}]}}",
      "status");
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(part(kept->object, "metadata.labels"), "");
  EXPECT_EQ(part(kept->object, "metadata.finalizers"), "");
  EXPECT_EQ(part(kept->object, "spec.cidrs"), R"(["10.50.0.0/24"])");
  EXPECT_NE(part(kept->object, "status.conditions"), "");
  make_one("apps", "v1", "deployments",
           "{'metadata':{'name':'x'},'spec':{'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}},'spec':{'"
           "containers':"
           "[{'name':'c','image':'i'}]}}}}");
  auto older = merge("apps", "v1", "deployments", "x", "{'metadata':{'labels':{'a':'b'},'annotations':{'c':'d'}},'status':{'replicas':1}}",
                     "status");
  ASSERT_TRUE(older) << older.error().message;
  EXPECT_EQ(part(older->object, "metadata.labels"), "");
  EXPECT_EQ(part(older->object, "metadata.annotations.c"), "\"d\"");
}

TEST_F(PrepareTest, a_put_makes_what_kubernetes_lets_it_make) {
  struct Row {
    std::string_view group, version, resource, body;
    bool made;
  };
  const Row rows[] = {
      {"", "v1", "limitranges", "{'metadata':{'name':'x'},'spec':{'limits':[]}}", true},
      {"", "v1", "services", "{'metadata':{'name':'x'},'spec':{'ports':[{'port':80}]}}", true},
      {"", "v1", "endpoints", "{'metadata':{'name':'x'}}", true},
      {"rbac.authorization.k8s.io", "v1", "clusterroles", "{'metadata':{'name':'x'},'rules':[]}", true},
      {"rbac.authorization.k8s.io", "v1", "rolebindings",
       "{'metadata':{'name':'x'},'roleRef':{'apiGroup':'rbac.authorization.k8s.io','kind':'ClusterRole','name':'view'}}", true},
      {"node.k8s.io", "v1", "runtimeclasses", "{'metadata':{'name':'x'},'handler':'h'}", true},
      {"coordination.k8s.io", "v1", "leases", "{'metadata':{'name':'x'}}", true},
      {"", "v1", "configmaps", "{'metadata':{'name':'x'}}", false},
      {"networking.k8s.io", "v1", "servicecidrs", "{'metadata':{'name':'x'},'spec':{'cidrs':['10.50.0.0/24']}}", false},
  };
  for (const Row& row : rows) {
    auto put = update(row.group, row.version, row.resource, ns_of(row.group, row.version, row.resource), "x", quotes(row.body));
    EXPECT_EQ(put.has_value(), row.made) << row.resource << ": " << (put ? "made" : put.error().message);
    if (row.made && put) EXPECT_EQ(put->status, 201) << row.resource;
  }
}

TEST_F(PrepareTest, what_the_server_sets_and_drops) {
  auto account =
      make_one("", "v1", "serviceaccounts", "{'metadata':{'name':'a'},'secrets':[{'name':'s','namespace':'x','kind':'Secret'}]}");
  EXPECT_EQ(part(account, "secrets"), R"([{"name":"s"}])");
  auto daemons =
      make_one("apps", "v1", "daemonsets",
               "{'metadata':{'name':'d'},'spec':{'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}},'spec':"
               "{'containers':[{'name':'c','image':'i'}]}}},'status':{'numberReady':3}}");
  EXPECT_EQ(part(daemons, "metadata.annotations"), R"({"deprecated.daemonset.template.generation":"1"})");
  EXPECT_NE(part(daemons, "status.numberReady"), "3");
  auto changed = merge("apps", "v1", "daemonsets", "d", "{'spec':{'template':{'metadata':{'labels':{'c':'d'}}}}}");
  ASSERT_TRUE(changed) << changed.error().message;
  EXPECT_EQ(part(changed->object, "metadata.annotations"), R"({"deprecated.daemonset.template.generation":"2"})");
  auto volume =
      make_one("", "v1", "persistentvolumes",
               "{'metadata':{'name':'v'},'spec':{'capacity':{'storage':'1Gi'},'accessModes':['ReadWriteOnce'],'hostPath':{'path':'/x'}},"
               "'status':{'phase':'Bound'}}");
  EXPECT_EQ(part(volume, "status.phase"), "\"Pending\"");
  EXPECT_NE(part(volume, "status.lastPhaseTransitionTime"), "");
  auto claim = make_one("", "v1", "persistentvolumeclaims",
                        "{'metadata':{'name':'c'},'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'1Gi'}},"
                        "'dataSource':{'kind':'PersistentVolumeClaim','name':'other'}}}");
  EXPECT_EQ(part(claim, "spec.dataSourceRef"), R"({"kind":"PersistentVolumeClaim","name":"other"})");
}

TEST_F(PrepareTest, a_pods_selectors_get_the_labels_that_their_keys_name) {
  auto pod = make_one(
      "", "v1", "pods",
      "{'metadata':{'name':'p','labels':{'app':'w','hash':'7'}},'spec':{'containers':[{'name':'c','image':'i'}],"
      "'affinity':{'podAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':[{'topologyKey':'z','labelSelector':{'matchLabels':"
      "{'app':'w'}},'matchLabelKeys':['hash','absent']}],'preferredDuringSchedulingIgnoredDuringExecution':[{'weight':1,'podAffinityTerm':"
      "{'topologyKey':'z','matchLabelKeys':['hash'],'labelSelector':{'matchExpressions':[{'key':'x','operator':'Exists'}]}}}]},"
      "'podAntiAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':[{'topologyKey':'z','labelSelector':{},"
      "'mismatchLabelKeys':['hash']}]}},'topologySpreadConstraints':[{'maxSkew':1,'topologyKey':'z','whenUnsatisfiable':'DoNotSchedule',"
      "'labelSelector':{'matchLabels':{'app':'w'}},'matchLabelKeys':['hash']}]}}");
  const std::string affinity = part(pod, "spec.affinity.podAffinity");
  const std::string same = R"({"key":"hash","operator":"In","values":["7"]})";
  EXPECT_NE(affinity.find(R"({"matchLabels":{"app":"w"},"matchExpressions":[)" + same + "]}"), affinity.npos) << affinity;
  EXPECT_NE(affinity.find(R"({"matchExpressions":[{"key":"x","operator":"Exists"},)" + same + "]}"), affinity.npos) << affinity;
  const std::string anti = part(pod, "spec.affinity.podAntiAffinity");
  EXPECT_NE(anti.find(R"({"matchExpressions":[{"key":"hash","operator":"NotIn","values":["7"]}]})"), anti.npos) << anti;
  const std::string spread = part(pod, "spec.topologySpreadConstraints");
  EXPECT_NE(spread.find(same), spread.npos) << spread;
  EXPECT_EQ(part(pod, "status.conditions"), "");
  auto changed = merge("", "v1", "pods", "p", "{'metadata':{'labels':{'hash':'8'}}}");
  ASSERT_TRUE(changed) << changed.error().message;
  EXPECT_EQ(part(changed->object, "spec.affinity.podAffinity"), affinity) << "what was merged stays as it was";
}

TEST_F(PrepareTest, a_gated_pod_says_so_from_its_creation) {
  auto pod = make_one("", "v1", "pods",
                      "{'metadata':{'name':'p'},'spec':{'schedulingGates':[{'name':'g'}],'containers':[{'name':'c','image':'i'}]}}");
  const std::string conditions = part(pod, "status.conditions");
  EXPECT_TRUE(conditions.starts_with(R"([{"type":"PodScheduled","status":"False","lastTransitionTime":")")) << conditions;
  EXPECT_TRUE(conditions.ends_with(R"("reason":"SchedulingGated","message":"Scheduling is blocked due to non-empty scheduling gates"}])"))
      << conditions;
}

}  // namespace
}  // namespace estiba::apiserver
