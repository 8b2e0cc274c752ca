#include "controllers/table.h"
#include "controllers/testing/cluster.h"
#include "model/types/rbac_v1.h"

namespace estiba::controllers {
namespace {

using model::rbac_v1::ClusterRole;

constexpr client::Resource cluster_roles{"rbac.authorization.k8s.io", "v1", "clusterroles"};

struct ClusterRoleAggregationTest : ControllerTest {
  void add_role(const std::string& name, const std::string& label, const std::string& more) {
    server.add(cluster_roles, "",
               R"({"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":")" + name + R"(","labels":{")" +
                   label + R"(":"true"}},)" + more + "}");
    executor.run();
  }
  static std::string rule(const std::string& resource) {
    return R"("rules":[{"apiGroups":[""],"resources":[")" + resource + R"("],"verbs":["get"]}])";
  }
  static std::string gathers(const std::string& label) {
    return R"("aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{")" + label + R"(":"true"}}]})";
  }
  std::string resources(const std::string& role) {
    std::string all;
    for (const auto& each : server.find(cluster_roles, "", role).as<ClusterRole>().rules) all += each.resources[0] + " ";
    return all;
  }
};

TEST_F(ClusterRoleAggregationTest, RulesFollowTheRolesThatAreSelectedAlsoThroughOthers) {
  start({make_cluster_role_aggregation});
  add_role("admin", "x", gathers("to-admin"));
  add_role("edit", "to-admin", gathers("to-edit"));
  add_role("b-pods", "to-edit", rule("pods"));
  EXPECT_EQ(resources("admin"), "pods ");
  add_role("a-maps", "to-edit", rule("configmaps"));
  add_role("again", "to-admin", rule("pods"));
  EXPECT_EQ(resources("edit"), "configmaps pods ");
  EXPECT_EQ(resources("admin"), "pods configmaps ");
  server.erase(cluster_roles, "", "again");
  server.merge(cluster_roles, "", "b-pods", R"({"metadata":{"labels":{"to-edit":null}}})");
  executor.run();
  EXPECT_EQ(resources("admin"), "configmaps ");
  // What somebody writes into it does not stay.
  server.merge(cluster_roles, "", "admin", "{" + rule("secrets") + "}");
  executor.run();
  EXPECT_EQ(resources("admin"), "configmaps ");
  const int64_t revision = server.revision();
  executor.advance(std::chrono::minutes(1));
  EXPECT_EQ(server.revision(), revision);
}

}  // namespace
}  // namespace estiba::controllers
