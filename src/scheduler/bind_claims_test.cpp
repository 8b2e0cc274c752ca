// The scheduler with claims of devices; the test plays the controller of claims and the drivers.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/fake_executor.h"
#include "client/resource_claims.h"
#include "client/testing/fake_client.h"
#include "model/types/core_v1.h"
#include "scheduler/scheduler.h"

namespace estiba::scheduler {
namespace {

using namespace std::chrono_literals;
using client::resource_claims;

std::string quoted(std::string text) {
  std::ranges::replace(text, '\'', '"');
  return text;
}

struct BindClaimsTest : ::testing::Test {
  FakeExecutor executor;
  client::testing::FakeClient server{executor};
  std::unique_ptr<Scheduler> scheduler;

  void SetUp() override {
    for (const char* name : {"a", "b"})
      server.add(client::nodes, "",
                 quoted("{'apiVersion':'v1','kind':'Node','metadata':{'name':'" + std::string(name) +
                        "'},'spec':{},'status':{'allocatable':{'cpu':'4','memory':'64Gi','pods':'110'}}}"));
    server.add(client::device_classes, "",
               quoted("{'apiVersion':'resource.k8s.io/v1','kind':'DeviceClass','metadata':{'name':'gpu'},'spec':{}}"));
    start();
  }
  void start() {
    scheduler = std::make_unique<Scheduler>(server, executor);
    scheduler->start();
    executor.run();
  }
  void slice(const std::string& node, const std::string& devices) {
    server.add(client::resource_slices, "",
               quoted("{'apiVersion':'resource.k8s.io/v1','kind':'ResourceSlice','metadata':{'name':'s-" + node +
                      "'},'spec':{'driver':'d.io','nodeName':'" + node + "','pool':{'name':'" + node +
                      "','generation':1,'resourceSliceCount':1},'devices':[" + devices + "]}}"));
    executor.advance(1s);
  }
  void claim(const std::string& name, const std::string& meta = "") {
    server.add(resource_claims, "x",
               quoted("{'apiVersion':'resource.k8s.io/v1','kind':'ResourceClaim','metadata':{'name':'" + name + "'" + meta +
                      "},'spec':{'devices':{'requests':[{'name':'r','exactly':{'deviceClassName':'gpu','allocationMode':'ExactCount',"
                      "'count':1}}]}}}"));
    executor.advance(1s);
  }
  void pod(const std::string& name, const std::string& claim, const std::string& more = "") {
    server.add(client::pods, "x",
               quoted("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" + name +
                      "'},'spec':{'containers':[{'name':'c'}],'resourceClaims':[{'name':'gpu'," + claim + "}]" + more +
                      "},'status':{'phase':'Pending'}}"));
    executor.advance(1s);
  }
  static std::string named(const std::string& claim) { return "'resourceClaimName':'" + claim + "'"; }
  std::string where(const std::string& name) { return server.find(client::pods, "x", name).as<model::core_v1::Pod>().spec.nodeName; }
  std::string message(const std::string& name) {
    for (const auto& condition : server.find(client::pods, "x", name).as<model::core_v1::Pod>().status.conditions)
      if (condition.type == "PodScheduled") return condition.message;
    return {};
  }
  model::ObjectRef find(const std::string& claim) { return server.find(resource_claims, "x", claim); }
  client::ClaimUse use(const std::string& claim) { return client::claim_use(find(claim)); }
  std::string uid(const std::string& pod) { return server.find(client::pods, "x", pod).meta().uid; }
  void condition(const std::string& claim, const std::string& type) {
    server.merge(resource_claims, "x", claim,
                 quoted("{'status':{'devices':[{'driver':'d.io','pool':'b','device':'g','conditions':[{'type':'" + type +
                        "','status':'True','reason':'R','message':'m'}]}]}}"),
                 "status");
    executor.advance(1s);
  }
};

TEST_F(BindClaimsTest, APodGoesWhereItsDeviceIs) {
  slice("b", "{'name':'g'}");
  claim("c");
  pod("p", named("c"));
  EXPECT_EQ(where("p"), "b");
  EXPECT_TRUE(use("c").allocated);
  EXPECT_TRUE(use("c").is_reserved_for(uid("p")));
  EXPECT_EQ(find("c").meta().finalizers, std::vector<std::string>{std::string(client::claim_finalizer)});
  EXPECT_TRUE(find("c").object->json().contains(quoted("'driver':'d.io','pool':'b','device':'g'")));
}

TEST_F(BindClaimsTest, PodsOfOneClaimGoToItsDevice) {
  slice("b", "{'name':'g'}");
  claim("c");
  pod("p", named("c"));
  pod("q", named("c"));
  EXPECT_EQ(where("q"), "b");
  EXPECT_EQ(use("c").reserved_for.size(), 2u);
}

TEST_F(BindClaimsTest, WhatIsMissingIsSaidAndWaitedFor) {
  pod("p", named("c"));
  EXPECT_TRUE(message("p").starts_with("0/2 nodes are available: resourceclaim.resource.k8s.io \"c\" not found.")) << message("p");
  claim("c");
  EXPECT_TRUE(message("p").starts_with("0/2 nodes are available: 2 cannot allocate all claims.")) << message("p");
  slice("a", "{'name':'g'}");
  EXPECT_EQ(where("p"), "a");
}

TEST_F(BindClaimsTest, AClassThatIsMissing) {
  server.erase(client::device_classes, "", "gpu");
  slice("a", "{'name':'g'}");
  claim("c");
  pod("p", named("c"));
  EXPECT_TRUE(message("p").starts_with("0/2 nodes are available: request r: device class gpu does not exist.")) << message("p");
  server.add(client::device_classes, "",
             quoted("{'apiVersion':'resource.k8s.io/v1','kind':'DeviceClass','metadata':{'name':'gpu'},'spec':{}}"));
  executor.advance(1s);
  EXPECT_EQ(where("p"), "a");
}

TEST_F(BindClaimsTest, AClaimOfATemplateIsWaitedForWithoutAWord) {
  slice("a", "{'name':'g'}");
  pod("p", "'resourceClaimTemplateName':'t'");
  EXPECT_EQ(message("p"), "");
  claim("made", ",'ownerReferences':[{'apiVersion':'v1','kind':'Pod','name':'p','uid':'" + uid("p") + "','controller':true}]");
  EXPECT_EQ(where("p"), "");
  server.merge(client::pods, "x", "p", quoted("{'status':{'resourceClaimStatuses':[{'name':'gpu','resourceClaimName':'made'}]}}"),
               "status");
  executor.advance(1s);
  EXPECT_EQ(where("p"), "a");
}

TEST_F(BindClaimsTest, ADeviceThatIsGivenBackIsTheNexts) {
  slice("a", "{'name':'g'}");
  claim("c");
  claim("d");
  pod("p", named("c"));
  pod("q", named("d"));
  EXPECT_EQ(where("q"), "");
  server.merge(resource_claims, "x", "c", quoted("{'status':{'allocation':null,'reservedFor':null}}"), "status");
  executor.advance(1s);
  EXPECT_EQ(where("q"), "a");
}

TEST_F(BindClaimsTest, AnUnusedClaimElsewhereGetsAnotherDevice) {
  slice("a", "{'name':'g'}");
  slice("b", "{'name':'g'}");
  claim("c");
  pod("p", named("c"), ",'nodeSelector':{'kubernetes.io/hostname':'none'}");
  EXPECT_EQ(where("p"), "");
  server.merge(
      resource_claims, "x", "c",
      quoted("{'status':{'allocation':{'devices':{'results':[{'request':'r','driver':'d.io','pool':'a','device':'g'}]},'nodeSelector':"
             "{'nodeSelectorTerms':[{'matchFields':[{'key':'metadata.name','operator':'In','values':['a']}]}]}}}}"),
      "status");
  server.merge(client::nodes, "", "b", quoted("{'metadata':{'labels':{'kubernetes.io/hostname':'none'}}}"));
  executor.advance(10s);
  EXPECT_EQ(where("p"), "b");
}

TEST_F(BindClaimsTest, WhatCannotBeWrittenIsNobodys) {
  slice("a", "{'name':'g'}");
  claim("c");
  claim("d");
  server.before_call = [](std::string_view verb, client::Resource resource, std::string_view name) -> Result<void> {
    if (verb == "patch" && resource == resource_claims && name == "c") return fail(Code::unavailable, "no");
    return {};
  };
  pod("p", named("c"));
  EXPECT_EQ(where("p"), "");
  pod("q", named("d"));
  EXPECT_EQ(where("q"), "a");
}

TEST_F(BindClaimsTest, APodThatIsNotBoundLeavesItsReservation) {
  slice("a", "{'name':'g'}");
  claim("c");
  server.before_call = [](std::string_view verb, client::Resource resource, std::string_view) -> Result<void> {
    if (verb == "call" && resource == client::pods) return fail(Code::unavailable, "no");
    return {};
  };
  pod("p", named("c"));
  EXPECT_TRUE(use("c").allocated);
  EXPECT_TRUE(use("c").reserved_for.empty());
  server.before_call = nullptr;
  executor.advance(10s);
  EXPECT_EQ(where("p"), "a");
  EXPECT_TRUE(use("c").is_reserved_for(uid("p")));
}

TEST_F(BindClaimsTest, AChangeMeanwhileIsTakenIn) {
  slice("a", "{'name':'g'}");
  claim("c");
  bool once = true;
  server.before_call = [&](std::string_view verb, client::Resource resource, std::string_view) -> Result<void> {
    if (verb == "patch" && resource == resource_claims && std::exchange(once, false))
      server.merge(resource_claims, "x", "c", quoted("{'metadata':{'labels':{'l':'1'}}}"));
    return {};
  };
  pod("p", named("c"));
  EXPECT_EQ(where("p"), "a");
  EXPECT_EQ(find("c").meta().label("l"), "1");
}

TEST_F(BindClaimsTest, DevicesAreMadeReadyBeforeThePodIsBound) {
  slice("b", "{'name':'g','bindingConditions':['ready'],'bindingFailureConditions':['broken']}");
  claim("c");
  pod("p", named("c"));
  EXPECT_TRUE(use("c").allocated);
  EXPECT_EQ(where("p"), "");
  condition("c", "ready");
  EXPECT_EQ(where("p"), "b");
}

TEST_F(BindClaimsTest, ADeviceThatCannotBeMadeReadyIsGivenBack) {
  slice("b", "{'name':'g','bindingConditions':['ready'],'bindingFailureConditions':['broken']}");
  claim("c");
  pod("p", named("c"));
  server.erase(client::resource_slices, "", "s-b");
  condition("c", "broken");
  EXPECT_EQ(where("p"), "");
  EXPECT_FALSE(use("c").allocated);
  slice("a", "{'name':'g'}");
  executor.advance(10s);
  EXPECT_EQ(where("p"), "a");
}

TEST_F(BindClaimsTest, ADeviceThatIsNotReadyInTimeIsGivenBack) {
  slice("b", "{'name':'g','bindingConditions':['ready']}");
  claim("c");
  pod("p", named("c"));
  server.erase(client::resource_slices, "", "s-b");
  executor.advance(10min);
  EXPECT_FALSE(use("c").allocated);
}

TEST_F(BindClaimsTest, ANewSchedulerGoesOnWaiting) {
  slice("b", "{'name':'g','bindingConditions':['ready']}");
  claim("c");
  pod("p", named("c"));
  scheduler.reset();
  start();
  EXPECT_EQ(where("p"), "");
  condition("c", "ready");
  EXPECT_EQ(where("p"), "b");
  EXPECT_EQ(use("c").reserved_for.size(), 1u);
}

TEST_F(BindClaimsTest, TheNodeWithTheBetterAlternative) {
  server.add(client::device_classes, "",
             quoted("{'apiVersion':'resource.k8s.io/v1','kind':'DeviceClass','metadata':{'name':'best'},'spec':{'selectors':[{'cel':{"
                    "'expression':'device.attributes[\\'d.io\\'].best'}}]}}"));
  slice("a", "{'name':'g','attributes':{'best':{'bool':false}}}");
  slice("b", "{'name':'g','attributes':{'best':{'bool':true}}}");
  for (int i = 0; i < 4; ++i) {
    const std::string n = std::to_string(i);
    server.add(resource_claims, "x",
               quoted("{'apiVersion':'resource.k8s.io/v1','kind':'ResourceClaim','metadata':{'name':'c" + n +
                      "'},'spec':{'devices':{'requests':[{'name':'r','firstAvailable':[{'name':'one','deviceClassName':'best','count':1},"
                      "{'name':'two','deviceClassName':'gpu','count':1}]}]}}}"));
    pod("p" + n, named("c" + n));
    EXPECT_EQ(where("p" + n), "b");
    server.erase(client::pods, "x", "p" + n, {.grace_seconds = 0});
    server.merge(resource_claims, "x", "c" + n, quoted("{'status':{'allocation':null,'reservedFor':null}}"), "status");
    executor.advance(1s);
  }
}

}  // namespace
}  // namespace estiba::scheduler
