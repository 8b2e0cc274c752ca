#include "controllers/testing/cluster.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;

constexpr client::Resource quotas{"", "v1", "resourcequotas"};

struct ResourceQuotaTest : ControllerTest {
  std::string status(const std::string& name) {
    const auto doc = json::Document::parse(server.find(quotas, "x", name).object->json());
    const json::Node* found = doc->root().find("status");
    return found ? json::print(*found) : "";
  }
  void add_quota(const std::string& name, const std::string& spec) {
    server.add(quotas, "x", R"({"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":")" + name + R"("},"spec":)" + spec + "}");
  }
  void add_pod(const std::string& name, const std::string& more = {}) {
    server.add(client::pods, "x",
               R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
                   R"("},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"250m"}}}])" + more + "}}");
  }
};

TEST_F(ResourceQuotaTest, what_is_there_is_counted_and_counted_again_when_it_goes) {
  add_pod("a");
  add_pod("b");
  add_map("m");
  add_map("elsewhere", {}, "y");
  add_quota("q", R"({"hard":{"pods":"10","requests.cpu":"2","count/configmaps":"5"}})");
  start({make_resource_quota_controller});
  EXPECT_EQ(
      status("q"),
      R"({"hard":{"count/configmaps":"5","pods":"10","requests.cpu":"2"},"used":{"count/configmaps":"1","pods":"2","requests.cpu":"500m"}})");
  server.erase(client::pods, "x", "a");
  executor.run();
  EXPECT_EQ(
      status("q"),
      R"({"hard":{"count/configmaps":"5","pods":"10","requests.cpu":"2"},"used":{"count/configmaps":"1","pods":"1","requests.cpu":"250m"}})");
  server.merge(client::pods, "x", "b", R"({"status":{"phase":"Succeeded"}})", "status");
  executor.run();
  EXPECT_EQ(
      status("q"),
      R"({"hard":{"count/configmaps":"5","pods":"10","requests.cpu":"2"},"used":{"count/configmaps":"1","pods":"0","requests.cpu":"0"}})");
}

TEST_F(ResourceQuotaTest, what_was_under_way_when_the_limits_came_is_counted_soon) {
  add_quota("q", R"({"hard":{"count/configmaps":"5"}})");
  start({make_resource_quota_controller});
  EXPECT_EQ(status("q"), R"({"hard":{"count/configmaps":"5"},"used":{"count/configmaps":"0"}})");
  add_map("m");
  executor.advance(3s);
  EXPECT_EQ(status("q"), R"({"hard":{"count/configmaps":"5"},"used":{"count/configmaps":"1"}})");
}

TEST_F(ResourceQuotaTest, new_limits_and_scopes_count) {
  add_pod("short", R"(,"activeDeadlineSeconds":5)");
  add_pod("long");
  add_quota("q", R"({"hard":{"pods":"3"},"scopes":["Terminating"]})");
  start({make_resource_quota_controller});
  EXPECT_EQ(status("q"), R"({"hard":{"pods":"3"},"used":{"pods":"1"}})");
  server.merge(quotas, "x", "q", R"({"spec":{"hard":{"pods":"4"}}})");
  executor.run();
  EXPECT_EQ(status("q"), R"({"hard":{"pods":"4"},"used":{"pods":"1"}})");
}

TEST_F(ResourceQuotaTest, claims_count_for_every_attributes_class_that_they_concern) {
  constexpr client::Resource claims{"", "v1", "persistentvolumeclaims"};
  const auto of = [&](const std::string& name) {
    add_quota(name, R"({"hard":{"persistentvolumeclaims":"5"},"scopeSelector":{"matchExpressions":[{"scopeName":"VolumeAttributesClass",)"
                    R"("operator":"In","values":[")" +
                        name + R"("]}]}})");
  };
  of("gold"), of("silver");
  start({make_resource_quota_controller});
  const auto used = [&](const std::string& name) {
    return json::Document::parse(server.find(quotas, "x", name).object->json())
               ->root()
               .string_at("status", "used", "persistentvolumeclaims") == "1";
  };
  server.add(claims, "x",
             R"({"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"c"},"spec":{"volumeAttributesClassName":"silver"},)"
             R"("status":{"currentVolumeAttributesClassName":"gold"}})");
  executor.advance(6min);
  EXPECT_TRUE(used("gold"));
  EXPECT_TRUE(used("silver"));
  server.merge(claims, "x", "c", R"({"status":{"currentVolumeAttributesClassName":"silver"}})", "status");
  executor.run();
  EXPECT_FALSE(used("gold"));
  EXPECT_TRUE(used("silver"));
}

TEST_F(ResourceQuotaTest, what_was_charged_for_nothing_is_given_back_in_time) {
  add_quota("q", R"({"hard":{"configmaps":"3"}})");
  start({make_resource_quota_controller});
  server.merge(quotas, "x", "q", R"({"status":{"used":{"configmaps":"2"}}})", "status");
  executor.run();
  EXPECT_EQ(status("q"), R"({"hard":{"configmaps":"3"},"used":{"configmaps":"2"}})");
  executor.advance(5min + 1s);
  EXPECT_EQ(status("q"), R"({"hard":{"configmaps":"3"},"used":{"configmaps":"0"}})");
}

}  // namespace
}  // namespace estiba::controllers
