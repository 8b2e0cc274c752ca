#include "node/static_manifest.h"

#include <gtest/gtest.h>

#include "model/types/core_v1.h"

namespace estiba::node {
namespace {

using namespace model::core_v1;

constexpr std::string_view web = R"(
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - {name: main, image: busybox}
)";

Housekeeping rules() {
  return {.pod_manifests = "/etc/manifests", .complete_pod = [](json::Document&) { return Result<void>(); }};
}

Result<StaticManifest> read(std::string_view text, const std::string& file = "/etc/manifests/web.yaml",
                            const std::string& node = "Node-1") {
  return read_manifest(text, file, node, rules(), WallTime(std::chrono::seconds(1)));
}

std::string refusal(std::string_view text) {
  auto made = read(text);
  return made ? "" : made.error().message;
}

TEST(StaticManifest, APodIsThisNodesAndKnowsItsSource) {
  auto made = read(web);
  ASSERT_TRUE(made) << made.error().message;
  const Pod& pod = made->pod.as<Pod>();
  EXPECT_EQ(pod.metadata.name, "web-node-1");
  EXPECT_EQ(pod.metadata.namespace_, "default");
  EXPECT_EQ(pod.spec.nodeName, "Node-1");
  EXPECT_EQ(pod.metadata.uid.size(), 32u);
  EXPECT_EQ(pod.metadata.annotations.at("kubernetes.io/config.hash"), pod.metadata.uid);
  EXPECT_EQ(pod.metadata.annotations.at("kubernetes.io/config.source"), "file");
  EXPECT_EQ(pod.metadata.annotations.at("kubernetes.io/config.seen"), "1970-01-01T00:00:01.000000Z");
  ASSERT_EQ(pod.spec.tolerations.size(), 1u);
  EXPECT_EQ(pod.spec.tolerations[0].operator_, "Exists");
  EXPECT_EQ(pod.spec.tolerations[0].effect, "NoExecute");
  EXPECT_TRUE(is_static(made->pod.meta()));
  EXPECT_FALSE(is_mirror(made->pod.meta()));
}

TEST(StaticManifest, TheUidFollowsContentFileAndNode) {
  const std::string uid = read(web)->pod.meta().uid;
  EXPECT_EQ(read("# a comment\n" + std::string(web))->pod.meta().uid, uid) << "it says the same";
  EXPECT_NE(read(web, "/etc/manifests/other.yaml")->pod.meta().uid, uid);
  EXPECT_NE(read(web, "/etc/manifests/web.yaml", "node-2")->pod.meta().uid, uid);
  std::string other(web);
  other.replace(other.find("busybox"), 7, "alpine");
  EXPECT_NE(read(other)->pod.meta().uid, uid);
  other = web;
  other.replace(other.find("labels"), 0, "uid: my-own, ");
  EXPECT_EQ(read(other)->pod.meta().uid, "my-own");
}

TEST(StaticManifest, AMirrorBelongsToTheNode) {
  auto made = read(web);
  ASSERT_TRUE(made);
  auto mirror = model::Object::parse(mirror_of(made->pod, "node-uid"));
  ASSERT_TRUE(mirror);
  const Pod& pod = (*mirror)->as<Pod>();
  EXPECT_EQ(pod.metadata.uid, "");
  EXPECT_EQ(pod.metadata.annotations.at("kubernetes.io/config.mirror"), made->pod.meta().uid);
  ASSERT_EQ(pod.metadata.ownerReferences.size(), 1u);
  const auto& owner = pod.metadata.ownerReferences[0];
  EXPECT_EQ(owner.apiVersion + " " + owner.kind + " " + owner.name + " " + owner.uid, "v1 Node Node-1 node-uid");
  EXPECT_TRUE(owner.controller.value_or(false));
  EXPECT_TRUE(is_mirror((*mirror)->meta()));
  EXPECT_FALSE(is_static((*mirror)->meta()));
}

TEST(StaticManifest, WhatIsWrongIsNamed) {
  EXPECT_EQ(refusal(""), "it must be a Pod, and is null");
  EXPECT_EQ(refusal("{apiVersion: v1, metadata: {name: a}}"), "kind: it must be Pod, and is missing");
  EXPECT_EQ(refusal("{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}"),
            "apiVersion and kind must be v1 and Pod, not apps/v1 and Deployment");
  EXPECT_EQ(refusal("{apiVersion: v1, kind: Pod}"), "metadata.name: it is needed for the pod");
  EXPECT_EQ(refusal("{apiVersion: v1, kind: Pod, metadata: {name: a, uid: ../../x}}"),
            "metadata.uid: it must have at most 63 letters, digits and '-', not \"../../x\"");
  EXPECT_EQ(refusal("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {serviceAccountName: x}}"),
            "static pods may not reference serviceaccounts");
  EXPECT_NE(refusal(std::string(web) + "---" + std::string(web)), "") << "one pod a file";
}

}  // namespace
}  // namespace estiba::node
