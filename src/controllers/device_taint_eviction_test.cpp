// Pods whose devices are tainted: the test plays drivers, scheduler and administrators.
#include <algorithm>

#include "client/device_taints.h"
#include "client/resource_claims.h"
#include "controllers/device_rule_status.h"
#include "controllers/pod_facts.h"
#include "controllers/testing/cluster.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;
using model::core_v1::Pod;

std::string quoted(std::string text) {
  std::ranges::replace(text, '\'', '"');
  return text;
}

struct DeviceTaintEvictionTest : ControllerTest {
  void SetUp() override { start({make_device_taint_eviction}); }

  /// A pod on a node whose claim of its own name has the device; `tolerations` are the result's.
  void pod(const std::string& name, const std::string& device = "g1", const std::string& tolerations = "", const std::string& node = "n") {
    const ObjectRef made = server.add(
        client::pods, "x",
        quoted("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" + name + "'},'spec':{'nodeName':'" + node +
               "','containers':[{'name':'c'}],'resourceClaims':[{'name':'gpu','resourceClaimName':'" + name + "'}]},'status':{}}"));
    server.add(client::resource_claims, "x",
               quoted("{'apiVersion':'resource.k8s.io/v1','kind':'ResourceClaim','metadata':{'name':'" + name +
                      "'},'spec':{},'status':{'allocation':{'devices':{'results':[{'request':'r','driver':'d.io','pool':'p','device':'" +
                      device + "','tolerations':[" + tolerations + "]}]}},'reservedFor':[{'resource':'pods','name':'" + name + "','uid':'" +
                      made.meta().uid + "'}]}}"));
    executor.run();
  }
  std::string tainted(const std::string& device, const std::string& effect = "NoExecute", const std::string& key = "bad") const {
    return "{'name':'" + device + "','taints':[{'key':'" + key + "','value':'v','effect':'" + effect + "','timeAdded':'" + now() + "'}]}";
  }
  void slice(const std::string& devices, int generation = 1, const std::string& name = "s") {
    if (server.find(client::resource_slices, "", name)) server.erase(client::resource_slices, "", name);
    server.add(client::resource_slices, "",
               quoted("{'apiVersion':'resource.k8s.io/v1','kind':'ResourceSlice','metadata':{'name':'" + name +
                      "'},'spec':{'driver':'d.io','nodeName':'n','pool':{'name':'p','generation':" + std::to_string(generation) +
                      ",'resourceSliceCount':1},'devices':[" + devices + "]}}"));
    executor.run();
  }
  void rule(const std::string& name, const std::string& selector, const std::string& effect) {
    server.add(client::device_taint_rules, "",
               quoted("{'apiVersion':'resource.k8s.io/v1beta2','kind':'DeviceTaintRule','metadata':{'name':'" + name +
                      "'},'spec':{'deviceSelector':{" + selector + "},'taint':{'key':'rule','effect':'" + effect + "','timeAdded':'" +
                      now() + "'}}}"));
    executor.run();
  }
  /// The condition of a rule, as "status reason: message".
  std::string condition(const std::string& name) const {
    const auto document = json::Document::parse(server.find(client::device_taint_rules, "", name).object->json());
    const json::Node* conditions = document->root().at("status", "conditions");
    if (!conditions) return "none";
    const json::Node& one = *conditions->begin();
    return std::string(one.string_at("status")) + " " + std::string(one.string_at("reason")) + ": " + std::string(one.string_at("message"));
  }
  bool is_there(const std::string& name) const {
    const ObjectRef found = server.find(client::pods, "x", name);
    return found && found.meta().deletion_timestamp.empty();
  }
  int told(std::string_view message) const {
    return int(std::ranges::count_if(server.all(client::events), [&](const ObjectRef& event) {
      return event.object->json().contains("DeviceTaintManagerEviction") && event.object->json().contains(message);
    }));
  }
};

TEST_F(DeviceTaintEvictionTest, WhoUsesATaintedDeviceGoes) {
  pod("a", "g1"), pod("b", "g2"), pod("c", "g3");
  std::vector<std::string> order;
  server.before_call = [&](std::string_view verb, client::Resource resource, std::string_view name) -> Result<void> {
    if (resource == client::pods && verb != "get") order.push_back(std::string(verb) + " " + std::string(name));
    return {};
  };
  slice(tainted("g1") + ",{'name':'g2'}," + tainted("g3", "NoSchedule"));
  EXPECT_FALSE(is_there("a"));
  EXPECT_EQ(order, (std::vector<std::string>{"patch a", "remove a"})) << "the condition comes first";
  EXPECT_TRUE(is_there("b"));
  EXPECT_TRUE(is_there("c")) << "NoSchedule keeps away, and drives nobody out";
  EXPECT_EQ(told("Marking for deletion"), 1);
}

TEST_F(DeviceTaintEvictionTest, TheConditionSaysWhy) {
  pod("a");
  server.before_call = [](std::string_view verb, client::Resource resource, std::string_view) -> Result<void> {
    if (verb == "remove" && resource == client::pods) return fail(Code::unavailable, "no");
    return {};
  };
  slice(tainted("g1"));
  const auto* condition = find_condition(server.find(client::pods, "x", "a").as<Pod>(), "DisruptionTarget");
  ASSERT_TRUE(condition);
  EXPECT_EQ(condition->status + " " + condition->reason, "True DeletionByDeviceTaintManager");
  server.before_call = nullptr;
  executor.advance(1s);
  EXPECT_FALSE(is_there("a")) << "it is tried again";
}

TEST_F(DeviceTaintEvictionTest, TolerationsKeepForAsLongAsTheySay) {
  const std::string key = "{'key':'bad','operator':'Exists','effect':'NoExecute'";
  pod("always", "g1", key + "}");
  pod("while", "g1", key + ",'tolerationSeconds':60},{'operator':'Exists','effect':'NoExecute','tolerationSeconds':90}");
  pod("other", "g1", "{'key':'else','operator':'Exists','effect':'NoExecute'}");
  pod("value", "g1", "{'key':'bad','operator':'Equal','value':'w','effect':'NoExecute'}");
  slice(tainted("g1"));
  EXPECT_FALSE(is_there("other"));
  EXPECT_FALSE(is_there("value"));
  executor.advance(59s);
  EXPECT_TRUE(is_there("while"));
  executor.advance(1s);
  EXPECT_FALSE(is_there("while")) << "the shorter one holds";
  executor.advance(24h);
  EXPECT_TRUE(is_there("always"));
}

TEST_F(DeviceTaintEvictionTest, ATaintThatGoesInTimeIsForgotten) {
  pod("a", "g1", "{'operator':'Exists','effect':'NoExecute','tolerationSeconds':60}");
  slice(tainted("g1"));
  executor.advance(30s);
  slice("{'name':'g1'}");
  EXPECT_EQ(told("Cancelling deletion"), 1);
  executor.advance(2min);
  EXPECT_TRUE(is_there("a"));
}

TEST_F(DeviceTaintEvictionTest, OnlyTheNewestGenerationCounts) {
  pod("a");
  slice("{'name':'g1'}", 2, "new");
  slice(tainted("g1"), 1, "old");
  EXPECT_TRUE(is_there("a"));
  server.erase(client::resource_slices, "", "new");
  executor.run();
  EXPECT_FALSE(is_there("a"));
}

TEST_F(DeviceTaintEvictionTest, OnlyPodsThatHaveTheDevicesGo) {
  pod("early", "g1", "", "");
  slice(tainted("g1"));
  EXPECT_TRUE(is_there("early")) << "it has no node";
  server.add(client::pods, "x",
             quoted("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'stranger'},'spec':{'nodeName':'n','containers':[],"
                    "'resourceClaims':[{'name':'gpu','resourceClaimName':'early'}]},'status':{}}"));
  executor.run();
  EXPECT_TRUE(is_there("stranger")) << "the claim is reserved for another one";
  server.merge(client::pods, "x", "early", quoted("{'spec':{'nodeName':'n'}}"));
  executor.run();
  EXPECT_FALSE(is_there("early"));
}

TEST_F(DeviceTaintEvictionTest, RulesEvict) {
  pod("a", "g1"), pod("b", "g2");
  pod("c", "g1", "{'operator':'Exists','effect':'NoExecute','tolerationSeconds':60}");
  slice("{'name':'g1'},{'name':'g2'}");
  rule("r", "'driver':'d.io','device':'g1'", "NoExecute");
  EXPECT_EQ(condition("r"), "True PodsPendingEviction: 2 pods need to be evicted in 1 namespace.");
  EXPECT_FALSE(is_there("a"));
  EXPECT_TRUE(is_there("b"));
  executor.advance(10s);
  EXPECT_EQ(condition("r"),
            "True PodsPendingEviction: 1 pod needs to be evicted in 1 namespace. 1 pod evicted since starting the controller.");
  executor.advance(1min);
  EXPECT_FALSE(is_there("c"));
  executor.advance(20s);
  EXPECT_EQ(condition("r"), "False Completed: 2 pods evicted since starting the controller.");
  EXPECT_TRUE(is_there("b"));
}

TEST_F(DeviceTaintEvictionTest, RulesSayWhatTheyWouldDo) {
  pod("a", "g1");
  slice("{'name':'g1'},{'name':'g2'}");
  rule("none", "'driver':'d.io'", "None");
  EXPECT_TRUE(
      condition("none").starts_with("False NoEffect: 2 published devices selected. 1 allocated device selected. 1 pod would be "
                                    "evicted in 1 namespace if the effect was NoExecute."))
      << condition("none");
  rule("mild", "'driver':'d.io'", "NoSchedule");
  EXPECT_EQ(condition("mild"), "False OtherEffect: Eviction only happens for the NoExecute effect.");
  rule("elsewhere", "'driver':'e.io'", "NoExecute");
  EXPECT_EQ(condition("elsewhere"), "False NotStarted: ");
  EXPECT_TRUE(is_there("a"));
  executor.advance(10s);
  server.merge(client::device_taint_rules, "", "mild", quoted("{'spec':{'taint':{'effect':'NoExecute'}}}"));
  executor.run();
  EXPECT_FALSE(is_there("a"));
}

TEST_F(DeviceTaintEvictionTest, WhatIsTaintedBeforeItStartsIsSeen) {
  stop();
  pod("a"), slice(tainted("g1"));
  start({make_device_taint_eviction});
  EXPECT_FALSE(is_there("a"));
}

}  // namespace
}  // namespace estiba::controllers
