#include "cli/hollow_nodes.h"

#include <gtest/gtest.h>

#include "base/fake_executor.h"
#include "client/testing/fake_client.h"
#include "model/types/coordination_v1.h"
#include "model/types/core_v1.h"

namespace estiba::cli {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;
using model::core_v1::Node;
using model::core_v1::Pod;

struct HollowNodesTest : ::testing::Test {
  FakeExecutor executor;
  client::testing::FakeClient server{executor};
  std::unique_ptr<HollowNodes> nodes;
  std::optional<Result<void>> started;
  Job starting;

  static Task<void> begin_task(HollowNodesTest* self) { self->started = co_await self->nodes->start(); }
  void begin(HollowOptions options) {
    nodes = std::make_unique<HollowNodes>(server, executor, std::move(options));
    starting = Job(begin_task(this));
    executor.run();
    ASSERT_TRUE(started && *started) << (started ? started->error().message : "still starting");
  }
  void add_pod(const std::string& name, const std::string& node, const std::string& policy = "Always", const std::string& meta = "") {
    server.add(
        client::pods, "x",
        R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + "\"" + meta + R"(},"spec":{"nodeName":")" + node +
            R"(","restartPolicy":")" + policy +
            R"(","containers":[{"name":"c","image":"i"}]},"status":{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"True",)"
            R"("lastTransitionTime":"2026-01-01T00:00:00Z"}]}})");
    executor.run();
  }
  const model::core_v1::PodStatus& status(const std::string& name) { return server.find(client::pods, "x", name).as<Pod>().status; }
  std::string renewed(const std::string& node) {
    const ObjectRef lease = server.find(client::leases, "kube-node-lease", node);
    return lease ? lease.as<model::coordination_v1::Lease>().spec.renewTime : "";
  }
};

TEST_F(HollowNodesTest, RegisterWithCapacityAndStayAlive) {
  begin({.nodes = 5, .prefix = "h", .cpu = "4", .pods = 20, .zones = 2});
  ASSERT_EQ(server.all(client::nodes).size(), 5u);
  const ObjectRef object = server.find(client::nodes, "", "h2");
  const auto& node = object.as<Node>();
  EXPECT_EQ(node.status.allocatable.at("cpu"), "4");
  EXPECT_EQ(node.status.allocatable.at("pods"), "20");
  EXPECT_EQ(node.status.conditions.back().type + node.status.conditions.back().status, "ReadyTrue");
  EXPECT_EQ(object.meta().label("topology.kubernetes.io/zone"), "zone-2");
  const std::string before = renewed("h5");
  executor.advance(11s);
  for (const char* name : {"h1", "h2", "h3", "h4", "h5"}) EXPECT_GT(renewed(name), before) << name;
}

TEST_F(HollowNodesTest, OnlyTheirOwnPodsRun) {
  begin({.nodes = 2, .prefix = "h", .start = 2s});
  add_pod("mine", "h1");
  add_pod("other", "n1");
  EXPECT_EQ(status("mine").phase, "Pending");
  executor.advance(2s);
  EXPECT_EQ(status("mine").phase, "Running");
  EXPECT_EQ(status("mine").conditions.size(), 5u);
  EXPECT_EQ(status("mine").conditions[0].lastTransitionTime, "2026-01-01T00:00:00Z");
  EXPECT_TRUE(status("mine").podIP.starts_with("100.64."));
  EXPECT_TRUE(status("mine").containerStatuses[0].ready);
  EXPECT_EQ(status("other").phase, "Pending");
  EXPECT_EQ(nodes->counts().running, 1u);
}

TEST_F(HollowNodesTest, PodsOfJobsEndAsTheyAreTold) {
  begin({.nodes = 1, .prefix = "h", .job = 10s});
  add_pod("plain", "h1", "Never");
  add_pod("quick", "h1", "OnFailure", R"(,"annotations":{"simulate.estiba.io/seconds":"0.5"})");
  add_pod("bad", "h1", "Never", R"(,"annotations":{"simulate.estiba.io/seconds":"1","simulate.estiba.io/exit-code":"3"})");
  executor.advance(2s);
  EXPECT_EQ(status("plain").phase, "Running");
  EXPECT_EQ(status("quick").phase, "Succeeded");
  EXPECT_EQ(status("bad").phase, "Failed");
  EXPECT_EQ(status("bad").containerStatuses[0].state->terminated->exitCode, 3);
  executor.advance(9s);
  EXPECT_EQ(status("plain").phase, "Succeeded");
}

TEST_F(HollowNodesTest, DeletedPodsEndWithinTheirGrace) {
  begin({.nodes = 1, .prefix = "h", .stop = 5s});
  add_pod("slow", "h1");
  add_pod("quick", "h1");
  server.erase(client::pods, "x", "slow");
  server.erase(client::pods, "x", "quick", {.grace_seconds = 1});
  executor.advance(2s);
  EXPECT_FALSE(server.find(client::pods, "x", "quick"));
  EXPECT_TRUE(server.find(client::pods, "x", "slow"));
  executor.advance(4s);
  EXPECT_FALSE(server.find(client::pods, "x", "slow"));
}

TEST_F(HollowNodesTest, ALostNodeIsReadyAgainAndADeletedOneStaysAway) {
  begin({.nodes = 2, .prefix = "h"});
  server.merge(client::nodes, "", "h1", R"({"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}})", "status");
  executor.run();
  EXPECT_EQ(server.find(client::nodes, "", "h1").as<Node>().status.conditions.back().status, "True");
  server.erase(client::nodes, "", "h2");
  executor.advance(1min);
  EXPECT_FALSE(server.find(client::nodes, "", "h2"));
}

TEST_F(HollowNodesTest, PodsOfANodeThatWasLostAreReadyAgainWhenItIs) {
  begin({.nodes = 1, .prefix = "h"});
  add_pod("p", "h1");
  const auto ready = [&] {
    const auto& conditions = status("p").conditions;
    return std::ranges::find(conditions, "Ready", &model::core_v1::PodCondition::type)->status;
  };
  ASSERT_EQ(ready(), "True");
  const std::string ip = status("p").podIP;
  server.merge(client::pods, "x", "p", R"({"status":{"conditions":[{"type":"Ready","status":"False"}]}})", "status");
  executor.run();
  EXPECT_EQ(ready(), "True");
  EXPECT_EQ(status("p").podIP, ip);
}

TEST_F(HollowNodesTest, TheyGoWhenTheyAreTold) {
  begin({.nodes = 3, .prefix = "h"});
  std::optional<Result<void>> removed;
  const Job removing(
      [](HollowNodes* nodes, std::optional<Result<void>>* out) -> Task<void> { *out = co_await nodes->remove(); }(nodes.get(), &removed));
  executor.run();
  ASSERT_TRUE(removed && *removed);
  EXPECT_TRUE(server.all(client::nodes).empty());
  EXPECT_TRUE(server.all(client::leases, "kube-node-lease").empty());
}

}  // namespace
}  // namespace estiba::cli
