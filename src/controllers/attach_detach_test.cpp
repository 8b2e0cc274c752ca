#include "client/attachments.h"
#include "controllers/claims.h"
#include "controllers/table.h"
#include "controllers/testing/cluster.h"
#include "model/types/storage_v1.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;
using model::core_v1::Node;
using model::storage_v1::VolumeAttachment;

constexpr client::Resource attachments{"storage.k8s.io", "v1", "volumeattachments"};
constexpr client::Resource drivers{"storage.k8s.io", "v1", "csidrivers"};

struct AttachDetachTest : ControllerTest {
  void begin() { start({make_attach_detach}); }
  void add_node(const std::string& name) {
    server.add(client::nodes, "",
               R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" + name +
                   R"("},"spec":{},"status":{"conditions":[{"type":"Ready","status":"True"}]}})");
  }
  void add_volume(const std::string& name, const std::string& mode = "ReadWriteOnce", const std::string& driver = "d.io") {
    server.add(persistent_volumes, "",
               R"({"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":")" + name + R"("},"spec":{"accessModes":[")" + mode +
                   R"("],"claimRef":{"namespace":"x","name":")" + name + R"(","uid":"u-)" + name + R"("},"csi":{"driver":")" + driver +
                   R"(","volumeHandle":"h-)" + name + "\"}}}");
    server.add(persistent_volume_claims, "x",
               R"({"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":")" + name + R"(","uid":"u-)" + name +
                   R"("},"spec":{"volumeName":")" + name + R"("},"status":{"phase":"Bound"}})");
  }
  void add_pod(const std::string& name, const std::string& claim, const std::string& node) {
    server.add(client::pods, "x",
               R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"("},"spec":{"nodeName":")" + node +
                   R"(","containers":[],"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":")" + claim + R"("}}]}})");
    executor.run();
  }
  void merge_node(const std::string& name, const std::string& patch) {
    server.merge(client::nodes, "", name, patch, patch.starts_with(R"({"status")") ? "status" : "");
    executor.run();
  }
  /// As the driver's attacher answers.
  void answer(const std::string& volume, const std::string& node, const std::string& status) {
    server.merge(attachments, "", client::attachment_name("h-" + volume, "d.io", node), R"({"status":)" + status + "}", "status");
    executor.run();
  }
  /// "node:volume" of each attachment, sorted.
  std::string attached() {
    std::string out;
    for (const char* volume : {"a", "b"})
      for (const char* node : {"n1", "n2"})
        if (server.find(attachments, "", client::attachment_name(std::string("h-") + volume, "d.io", node)))
          out += std::string(out.empty() ? "" : " ") + node + ":" + volume;
    return out;
  }
  std::string told_attached(const std::string& node) {
    std::string out;
    for (const auto& volume : server.find(client::nodes, "", node).as<Node>().status.volumesAttached) out += volume.name + " ";
    return out;
  }
  bool told(std::string_view reason, std::string_view message = {}) {
    for (const ObjectRef& event : server.all(client::events))
      if (event.object->json().contains("\"reason\":\"" + std::string(reason) + "\"") && event.object->json().contains(message))
        return true;
    return false;
  }
};

TEST_F(AttachDetachTest, AVolumeComesWithTheFirstPodAndGoesWithTheLast) {
  begin();
  add_node("n1");
  add_volume("a");
  add_pod("p", "a", "n1");
  ASSERT_EQ(attached(), "n1:a");
  const auto made = server.find(attachments, "", client::attachment_name("h-a", "d.io", "n1"));
  EXPECT_EQ(made.as<VolumeAttachment>().spec.attacher, "d.io");
  EXPECT_EQ(made.as<VolumeAttachment>().spec.source.persistentVolumeName, "a");
  EXPECT_EQ(told_attached("n1"), "");
  answer("a", "n1", R"({"attached":true})");
  EXPECT_EQ(told_attached("n1"), "kubernetes.io/csi/d.io^h-a ");
  EXPECT_TRUE(told("SuccessfulAttachVolume", "AttachVolume.Attach succeeded"));
  add_pod("q", "a", "n1");
  server.erase(client::pods, "x", "p", {.grace_seconds = 0});
  executor.run();
  EXPECT_EQ(attached(), "n1:a");
  merge_node("n1", R"({"status":{"volumesInUse":["kubernetes.io/csi/d.io^h-a"]}})");
  server.erase(client::pods, "x", "q", {.grace_seconds = 0});
  executor.run();
  EXPECT_EQ(attached(), "n1:a") << "the node still uses it";
  executor.advance(1h);
  EXPECT_EQ(attached(), "n1:a") << "a node that is well is waited for";
  merge_node("n1", R"({"status":{"volumesInUse":[]}})");
  EXPECT_EQ(attached(), "");
  EXPECT_EQ(told_attached("n1"), "");
}

TEST_F(AttachDetachTest, OneNodeAtATime) {
  begin();
  add_node("n1");
  add_node("n2");
  add_volume("a");
  add_volume("b", "ReadWriteMany");
  add_pod("p", "a", "n1");
  add_pod("q", "a", "n2");
  EXPECT_EQ(attached(), "n1:a");
  EXPECT_TRUE(told("FailedAttachVolume", "Multi-Attach error for volume"));
  server.erase(client::pods, "x", "p", {.grace_seconds = 0});
  executor.run();
  EXPECT_EQ(attached(), "n2:a") << "as soon as the first has let go";
  add_pod("r", "b", "n1");
  add_pod("s", "b", "n2");
  EXPECT_EQ(attached(), "n2:a n1:b n2:b");
}

TEST_F(AttachDetachTest, PodsThatHaveEndedNeedNothing) {
  begin();
  add_node("n1");
  add_volume("a");
  add_pod("p", "a", "n1");
  ASSERT_EQ(attached(), "n1:a");
  server.merge(client::pods, "x", "p", R"({"status":{"phase":"Succeeded"}})", "status");
  executor.run();
  EXPECT_EQ(attached(), "");
}

TEST_F(AttachDetachTest, DriversMayNeedNoAttaching) {
  server.add(drivers, "",
             R"({"apiVersion":"storage.k8s.io/v1","kind":"CSIDriver","metadata":{"name":"d.io"},"spec":{"attachRequired":false}})");
  begin();
  add_node("n1");
  add_volume("a");
  add_volume("b", "ReadWriteOnce", "local-path.estiba.io");
  add_pod("p", "a", "n1");
  add_pod("q", "b", "n1");
  EXPECT_TRUE(server.all(attachments).empty());
}

TEST_F(AttachDetachTest, ErrorsAreThePods) {
  begin();
  add_node("n1");
  add_volume("a");
  add_pod("p", "a", "n1");
  answer("a", "n1", R"({"attached":false,"attachError":{"time":"2026-01-01T00:00:00Z","message":"no such disk"}})");
  EXPECT_TRUE(told("FailedAttachVolume", "AttachVolume.Attach failed for volume \\\"a\\\" : no such disk"));
}

TEST_F(AttachDetachTest, WhatAnUnwellNodeUsesIsTakenAfterSixMinutes) {
  begin();
  add_node("n1");
  add_volume("a");
  add_pod("p", "a", "n1");
  merge_node("n1", R"({"status":{"volumesInUse":["kubernetes.io/csi/d.io^h-a"],"conditions":[{"type":"Ready","status":"Unknown"}]}})");
  server.erase(client::pods, "x", "p", {.grace_seconds = 0});
  executor.run();
  executor.advance(5min);
  EXPECT_EQ(attached(), "n1:a");
  executor.advance(2min);
  EXPECT_EQ(attached(), "");
}

TEST_F(AttachDetachTest, NodesOutOfServiceOrGoneAreNotWaitedFor) {
  begin();
  for (const char* node : {"n1", "n2"}) add_node(node);
  add_volume("a");
  add_volume("b");
  add_pod("p", "a", "n1");
  add_pod("q", "b", "n2");
  for (const char* node : {"n1", "n2"})
    merge_node(node, R"({"status":{"volumesInUse":["kubernetes.io/csi/d.io^h-a","kubernetes.io/csi/d.io^h-b"]}})");
  server.erase(client::pods, "x", "p", {.grace_seconds = 0});
  server.erase(client::pods, "x", "q", {.grace_seconds = 0});
  executor.run();
  ASSERT_EQ(attached(), "n1:a n2:b");
  merge_node("n1", R"({"spec":{"taints":[{"key":"node.kubernetes.io/out-of-service","effect":"NoExecute"}]}})");
  EXPECT_EQ(attached(), "n2:b");
  server.erase(client::nodes, "", "n2");
  executor.run();
  EXPECT_EQ(attached(), "");
}

TEST_F(AttachDetachTest, AttachmentsOfOthersAreLeftAlone) {
  begin();
  add_node("n1");
  add_volume("a");
  server.add(attachments, "",
             R"({"apiVersion":"storage.k8s.io/v1","kind":"VolumeAttachment","metadata":{"name":"mine"},"spec":{"attacher":"d.io",)"
             R"("nodeName":"n1","source":{"persistentVolumeName":"a"}}})");
  executor.run();
  EXPECT_TRUE(server.find(attachments, "", "mine"));
}

}  // namespace
}  // namespace estiba::controllers
