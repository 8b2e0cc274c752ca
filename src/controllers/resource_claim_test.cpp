// Claims of devices: the test plays scheduler and API.
#include "client/resource_claims.h"

#include <algorithm>

#include "client/json_writer.h"
#include "controllers/testing/cluster.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {
namespace {

using model::ObjectRef;
using model::core_v1::Pod;

std::string quoted(std::string text) {
  std::ranges::replace(text, '\'', '"');
  return text;
}

struct ResourceClaimTest : ControllerTest {
  void SetUp() override {
    start({make_resource_claim_controller});
    server.add(client::resource_claim_templates, "x",
               quoted("{'apiVersion':'resource.k8s.io/v1','kind':'ResourceClaimTemplate','metadata':{'name':'t'},'spec':{'metadata':"
                      "{'labels':{'l':'1'},'annotations':{'a':'2'}},'spec':{'devices':{'requests':[{'name':'r'}]}}}}"));
  }
  void pod(const std::string& name, const std::string& claims, const std::string& more = "") {
    server.add(client::pods, "x",
               quoted("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" + name + "'},'spec':{'containers':[{'name':'c'}]" + more +
                      ",'resourceClaims':[" + claims + "]},'status':{'phase':'Pending'}}"));
    executor.run();
  }
  void claim(const std::string& name, const std::string& meta = "", const std::string& status = "{}") {
    server.add(client::resource_claims, "x",
               quoted("{'apiVersion':'resource.k8s.io/v1','kind':'ResourceClaim','metadata':{'name':'" + name + "'" + meta +
                      "},'spec':{},'status':" + status + "}"));
    executor.run();
  }
  std::vector<ObjectRef> claims() const { return server.all(client::resource_claims, "x"); }
  ObjectRef find(const std::string& name) const { return server.find(client::resource_claims, "x", name); }
  std::string uid(const std::string& name) const { return server.find(client::pods, "x", name).meta().uid; }
  void allocate(const std::string& name, const std::string& pod) {
    server.merge(client::resource_claims, "x", name, quoted("{'metadata':{'finalizers':['resource.kubernetes.io/delete-protection']}}"));
    server.merge(client::resource_claims, "x", name,
                 quoted("{'status':{'allocation':{'devices':{}},'devices':[{'driver':'d'}],'reservedFor':[{'resource':'pods','name':'" +
                        pod + "','uid':'" + uid(pod) + "'}]}}"),
                 "status");
    executor.run();
  }
};

constexpr const char* by_template = "{'name':'gpu','resourceClaimTemplateName':'t'}";

TEST_F(ResourceClaimTest, MakesAClaimFromATemplate) {
  pod("p", by_template);
  ASSERT_EQ(claims().size(), 1u);
  const model::Meta& meta = claims()[0].meta();
  EXPECT_EQ(meta.generate_name, "p-gpu-");
  EXPECT_EQ(meta.label("l"), "1");
  EXPECT_EQ(meta.annotation("a"), "2");
  EXPECT_EQ(meta.annotation(client::pod_claim_annotation), "gpu");
  EXPECT_EQ(meta.controller()->uid, uid("p"));
  EXPECT_TRUE(claims()[0].object->json().contains(quoted("'devices':{'requests':[{'name':'r'}]}")));
  const auto& status = server.find(client::pods, "x", "p").as<Pod>().status;
  ASSERT_EQ(status.resourceClaimStatuses.size(), 1u);
  EXPECT_EQ(status.resourceClaimStatuses[0].resourceClaimName, meta.name);
}

TEST_F(ResourceClaimTest, AClaimWhoseNameWasNotWrittenIsFoundAgain) {
  server.before_call = [](std::string_view verb, client::Resource resource, std::string_view) -> Result<void> {
    if (verb == "patch" && resource == client::pods) return fail(Code::unavailable, "no");
    return {};
  };
  pod("p", by_template);
  ASSERT_EQ(claims().size(), 1u);
  stop();
  server.before_call = nullptr;
  start({make_resource_claim_controller});
  EXPECT_EQ(claims().size(), 1u);
  EXPECT_EQ(server.find(client::pods, "x", "p").as<Pod>().status.resourceClaimStatuses[0].resourceClaimName, claims()[0].meta().name);
}

TEST_F(ResourceClaimTest, AMissingTemplateIsSaidAndWaitedFor) {
  pod("p", "{'name':'gpu','resourceClaimTemplateName':'later'}");
  EXPECT_TRUE(claims().empty());
  ASSERT_FALSE(server.all(client::events).empty());
  const auto event = server.all(client::events)[0];
  EXPECT_EQ(event.as<model::core_v1::Event>().message, "PodResourceClaim gpu: resource claim template \"later\": not found");
  server.add(client::resource_claim_templates, "x",
             quoted("{'apiVersion':'resource.k8s.io/v1','kind':'ResourceClaimTemplate','metadata':{'name':'later'},'spec':{'spec':{}}}"));
  executor.run();
  EXPECT_EQ(claims().size(), 1u);
}

TEST_F(ResourceClaimTest, LongNamesAreCutInProportion) {
  const std::string name(60, 'p'), entry(60, 'e');
  pod(name, "{'name':'" + entry + "','resourceClaimTemplateName':'t'}");
  ASSERT_EQ(claims().size(), 1u);
  EXPECT_EQ(claims()[0].meta().generate_name, std::string(28, 'p') + "-" + std::string(28, 'e'));
}

TEST_F(ResourceClaimTest, APodBoundByHandGetsItsReservation) {
  claim("c", "", "{'allocation':{'devices':{}}}");
  pod("p", "{'name':'gpu','resourceClaimName':'c'}", ",'nodeName':'n'");
  EXPECT_TRUE(client::claim_use(find("c")).is_reserved_for(uid("p")));
  claim("d");
  pod("q", "{'name':'gpu','resourceClaimName':'d'}", ",'nodeName':'n'");
  EXPECT_FALSE(client::claim_use(find("d")).is_reserved_for(uid("q"))) << "nothing is allocated";
}

TEST_F(ResourceClaimTest, WhatIsNotUsedAnyMoreIsGivenBack) {
  claim("c");
  pod("p", "{'name':'gpu','resourceClaimName':'c'}");
  allocate("c", "p");
  EXPECT_TRUE(client::claim_use(find("c")).allocated);
  server.merge(client::pods, "x", "p", quoted("{'status':{'phase':'Succeeded'}}"), "status");
  executor.run();
  EXPECT_FALSE(client::claim_use(find("c")).allocated);
  EXPECT_TRUE(client::claim_use(find("c")).reserved_for.empty());
  EXPECT_TRUE(find("c").meta().finalizers.empty());
  EXPECT_FALSE(find("c").object->json().contains("\"driver\"")) << "what drivers said of the devices goes too";
}

TEST_F(ResourceClaimTest, AClaimOfAFinishedPodGoesWithItsDevices) {
  pod("p", by_template);
  const std::string name = claims()[0].meta().name;
  allocate(name, "p");
  server.merge(client::pods, "x", "p", quoted("{'status':{'phase':'Failed'}}"), "status");
  executor.run();
  EXPECT_FALSE(find(name));
}

TEST_F(ResourceClaimTest, ADeletedClaimWaitsForItsPods) {
  claim("c");
  pod("p", "{'name':'gpu','resourceClaimName':'c'}");
  allocate("c", "p");
  server.erase(client::resource_claims, "x", "c");
  executor.run();
  ASSERT_TRUE(find("c"));
  EXPECT_TRUE(client::claim_use(find("c")).allocated);
  server.erase(client::pods, "x", "p", {.grace_seconds = 0});
  executor.run();
  EXPECT_FALSE(find("c"));
}

TEST_F(ResourceClaimTest, AnAllocatedClaimThatNobodyUsesCanBeDeleted) {
  claim("c", ",'finalizers':['resource.kubernetes.io/delete-protection']", "{'allocation':{'devices':{}}}");
  EXPECT_TRUE(client::claim_use(find("c")).allocated) << "it may be used yet";
  server.erase(client::resource_claims, "x", "c");
  executor.run();
  EXPECT_FALSE(find("c"));
}

TEST_F(ResourceClaimTest, AConsumerThatIsNotKnownYetIsAskedFor) {
  claim("c", "", "{'allocation':{'devices':{}},'reservedFor':[{'resource':'pods','name':'nobody','uid':'u'}]}");
  EXPECT_EQ(server.calls["get pods"], 1);
  EXPECT_TRUE(client::claim_use(find("c")).reserved_for.empty());
  claim("d", "", "{'allocation':{'devices':{}},'reservedFor':[{'apiGroup':'g','resource':'other','name':'o','uid':'u'}]}");
  EXPECT_EQ(client::claim_use(find("d")).reserved_for.size(), 1u) << "what is no pod is somebody else's";
}

}  // namespace
}  // namespace estiba::controllers
