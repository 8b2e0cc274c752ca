#include "node/admission.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace estiba::node {
namespace {

using model::ObjectRef;

ObjectRef object(std::string text) {
  std::ranges::replace(text, '\'', '"');
  auto made = model::Object::parse(text);
  EXPECT_TRUE(made) << text;
  return {*made, 1};
}
ObjectRef pod(const std::string& container, const std::string& spec = "") {
  return object("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','namespace':'x'},'spec':{'containers':[{'name':'c'" + container +
                "}]" + spec + "}}");
}
ObjectRef node() {
  return object(
      "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n','labels':{'disk':'ssd'}},'status':{'allocatable':{'cpu':'2','memory':'1Gi','"
      "pods':'3'}}}");
}
std::string judged(const ObjectRef& pod, const std::vector<ObjectRef>& others = {}) {
  std::vector<Present> present;
  for (const ObjectRef& other : others) present.push_back({other, requests_of(other)});
  const auto refusal = refusal_of(pod, node(), present);
  return refusal ? refusal->reason + ": " + refusal->message : "";
}
std::string asks(const std::string& cpu) { return ",'resources':{'requests':{'cpu':'" + cpu + "'}}"; }
std::string port(int number, const std::string& more = "") {
  return ",'ports':[{'containerPort':80,'hostPort':" + std::to_string(number) + more + "}]";
}

TEST(Admission, WhatFitsIsTaken) {
  EXPECT_EQ(judged(pod("")), "");
  EXPECT_EQ(judged(pod(asks("1500m") + port(80), ",'nodeSelector':{'disk':'ssd'}"), {pod(asks("500m")), pod(port(81))}), "");
  EXPECT_FALSE(refusal_of(pod(asks("100")), {}, {}));  // nothing is known of the node yet
}

TEST(Admission, PodsOfOtherSystemsAreRefused) {
  EXPECT_EQ(judged(pod("", ",'os':{'name':'linux'}")), "");
  EXPECT_EQ(judged(pod("", ",'os':{'name':'windows'}")), "PodOSNotSupported: Failed to admit pod as the OS field doesn't match node OS");
}

TEST(Admission, WhatTheNodeDoesNotDeclareIsRefused) {
  EXPECT_EQ(judged(pod(",'restartPolicyRules':[{'action':'RestartAllContainers','exitCodes':{'operator':'In','values':[1]}}]")), "");
  EXPECT_EQ(judged(pod("", ",'hostNetwork':true,'hostUsers':false")),
            "PodFeatureUnsupported: Pod requires node features that are not available: UserNamespacesHostNetworkSupport");
}

TEST(Admission, WhatThisNodeCannotEnforceIsRefused) {
  EXPECT_EQ(judged(pod(",'securityContext':{'appArmorProfile':{'type':'RuntimeDefault'}}")),
            "AppArmor: Cannot enforce AppArmor: spec.containers[0].securityContext.appArmorProfile: this node does not use AppArmor");
  EXPECT_EQ(judged(pod(",'securityContext':{'appArmorProfile':{'type':'Unconfined'}}")), "");
  EXPECT_EQ(judged(pod(",'resources':{'requests':{'hugepages-2Mi':'4Mi'},'limits':{'hugepages-2Mi':'4Mi'}}")),
            "OutOfhugepages-2Mi: Node didn't have enough resource: hugepages-2Mi, requested: 4194304, used: 0, capacity: 0");
}

TEST(Admission, WhatRunningPodsHaveBeenGrantedCounts) {
  const Present grown{pod(asks("100m")), {{"cpu", *model::Quantity::parse("1800m")}}};
  EXPECT_EQ(refusal_of(pod(asks("300m")), node(), {grown})->message,
            "Node didn't have enough resource: cpu, requested: 300, used: 1800, capacity: 2000");
}

TEST(Admission, AHostPortIsTakenOnce) {
  EXPECT_EQ(judged(pod(port(80)), {pod(port(80))}),
            "NodePorts: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports");
  EXPECT_EQ(judged(pod(port(80, ",'protocol':'UDP'")), {pod(port(80))}), "");
  EXPECT_EQ(judged(pod(port(80, ",'hostIP':'10.0.0.1'")), {pod(port(80, ",'hostIP':'10.0.0.2'"))}), "");
  EXPECT_NE(judged(pod(port(80, ",'hostIP':'10.0.0.1'")), {pod(port(80, ",'hostIP':'0.0.0.0'"))}), "");
}

TEST(Admission, ResourcesAndRoomAreCounted) {
  EXPECT_EQ(judged(pod(asks("1")), {pod(asks("1200m"))}),
            "OutOfcpu: Node didn't have enough resource: cpu, requested: 1000, used: 1200, capacity: 2000");
  EXPECT_EQ(judged(pod(""), {pod(""), pod(""), pod("")}),
            "OutOfpods: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3");
  EXPECT_EQ(judged(pod(",'resources':{'requests':{'example.com/license':'5'}}")), "");  // not the node's to know
}

TEST(Admission, SelectorsHoldForPodsThatNameTheirNode) {
  EXPECT_EQ(judged(pod("", ",'nodeSelector':{'disk':'tape'}")),
            "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector");
}

}  // namespace
}  // namespace estiba::node
