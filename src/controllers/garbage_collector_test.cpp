#include "controllers/testing/cluster.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;

struct GarbageTest : ControllerTest {
  void begin() {
    options.kinds = {{client::configmaps, "ConfigMap", true}, {client::secrets, "Secret", true}, {client::nodes, "Node", false}};
    start({make_garbage_collector});
  }
  static std::string as_owner(const ObjectRef& object) { return object.meta().kind + "/" + object.meta().name + "/" + object.meta().uid; }
  bool removing(const std::string& name) {
    const ObjectRef object = server.find(client::configmaps, "x", name);
    return object && !object.meta().deletion_timestamp.empty();
  }
};

TEST_F(GarbageTest, DependentsGoWithTheirOwnerAllTheWayDown) {
  begin();
  const ObjectRef a = add_map("a");
  const ObjectRef b = add_map("b", {as_owner(a)});
  add_map("c", {as_owner(b)});
  executor.run();
  EXPECT_TRUE(has_map("a") && has_map("b") && has_map("c"));
  server.erase(client::configmaps, "x", "a");
  executor.run();
  EXPECT_FALSE(has_map("b") || has_map("c"));
}

TEST_F(GarbageTest, OneLivingOwnerIsEnoughAndTheDeadAreStruckOut) {
  begin();
  const ObjectRef a = add_map("a"), b = add_map("b");
  add_map("c", {as_owner(a), as_owner(b)});
  executor.run();
  server.erase(client::configmaps, "x", "a");
  executor.advance(1s);
  ASSERT_TRUE(has_map("c"));
  EXPECT_EQ(server.find(client::configmaps, "x", "c").meta().owners.size(), 1u);
  server.erase(client::configmaps, "x", "b");
  executor.advance(1s);
  EXPECT_FALSE(has_map("c"));
}

TEST_F(GarbageTest, AnOwnerThatNeverWasOrHasAnotherUidIsNone) {
  begin();
  add_map("a");
  add_map("b", {"ConfigMap/a/some-other-uid"});
  add_map("c", {"Secret/never/was"});
  executor.advance(1s);
  EXPECT_FALSE(has_map("b") || has_map("c"));
  EXPECT_TRUE(has_map("a"));
}

TEST_F(GarbageTest, OwnersOfUnknownKindsAreLeftInPeace) {
  begin();
  add_map("b", {"Gadget/g/1"});
  executor.advance(1min);
  EXPECT_TRUE(has_map("b"));
}

TEST_F(GarbageTest, AnOwnerThatIsNotCachedYetIsAskedFor) {
  begin();
  server.hold_watches(true);
  const ObjectRef owner = server.add(client::secrets, "x", R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"}})");
  const ObjectRef dependent = add_map("d", {as_owner(owner)});
  informers->of(client::configmaps).observe(dependent);
  executor.advance(1s);
  EXPECT_TRUE(has_map("d"));
  EXPECT_EQ(server.calls["get secrets"], 1);
}

TEST_F(GarbageTest, ClusterScopedOwnersOwnWhatIsInNamespaces) {
  begin();
  const ObjectRef node = server.add(client::nodes, "", R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n"}})");
  add_map("d", {as_owner(node)});
  executor.run();
  EXPECT_TRUE(has_map("d"));
  server.erase(client::nodes, "", "n");
  executor.run();
  EXPECT_FALSE(has_map("d"));
}

TEST_F(GarbageTest, InTheForegroundTheOwnerGoesLast) {
  begin();
  const ObjectRef a = add_map("a");
  const ObjectRef b = add_map("b", {as_owner(a) + "!"});
  add_map("c", {as_owner(b) + "!"});
  server.merge(client::configmaps, "x", "c", R"({"metadata":{"finalizers":["test/hold"]}})");
  executor.run();
  server.erase(client::configmaps, "x", "a", {.propagation = "Foreground"});
  executor.advance(1s);
  EXPECT_TRUE(removing("a") && removing("b") && removing("c"));
  server.merge(client::configmaps, "x", "c", R"({"metadata":{"finalizers":null}})");
  executor.advance(1s);
  EXPECT_FALSE(has_map("a") || has_map("b") || has_map("c"));
}

TEST_F(GarbageTest, InTheForegroundOnlyBlockingDependentsAreWaitedFor) {
  begin();
  const ObjectRef a = add_map("a");
  add_map("b", {as_owner(a)});
  server.merge(client::configmaps, "x", "b", R"({"metadata":{"finalizers":["test/hold"]}})");
  executor.run();
  server.erase(client::configmaps, "x", "a", {.propagation = "Foreground"});
  executor.advance(1s);
  EXPECT_FALSE(has_map("a"));
  EXPECT_TRUE(removing("b"));
}

TEST_F(GarbageTest, OrphansAreSetFree) {
  begin();
  const ObjectRef a = add_map("a");
  add_map("b", {as_owner(a) + "!"});
  executor.run();
  server.erase(client::configmaps, "x", "a", {.propagation = "Orphan"});
  executor.advance(1s);
  EXPECT_FALSE(has_map("a"));
  ASSERT_TRUE(has_map("b"));
  EXPECT_TRUE(server.find(client::configmaps, "x", "b").meta().owners.empty());
}

TEST_F(GarbageTest, ACycleOfOwnersEnds) {
  begin();
  server.add(client::configmaps, "x", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","uid":"A","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"b","uid":"B","blockOwnerDeletion":true}]}})");
  server.add(client::configmaps, "x", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b","uid":"B","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"A","blockOwnerDeletion":true}]}})");
  executor.advance(1s);
  EXPECT_TRUE(has_map("a") && has_map("b"));
  server.erase(client::configmaps, "x", "a", {.propagation = "Foreground"});
  executor.advance(1min);
  EXPECT_FALSE(has_map("a") || has_map("b"));
}

TEST_F(GarbageTest, WhatChangedMeanwhileIsJudgedAnew) {
  begin();
  const ObjectRef a = add_map("a"), other = add_map("other");
  add_map("b", {as_owner(a)});
  executor.run();
  // Adopted by another while the watch is silent: the deletion must fail and be thought over.
  server.hold_watches(true);
  server.merge(client::configmaps, "x", "b", R"({"metadata":)" + meta("b", {as_owner(other)}) + "}");
  informers->of(client::configmaps).observe(server.find(client::configmaps, "x", "other"));
  server.erase(client::configmaps, "x", "a");
  server.hold_watches(false);
  executor.advance(1s);
  EXPECT_TRUE(has_map("b"));
}

TEST_F(GarbageTest, ARestartFindsWhatWasLeftBehind) {
  add_map("b", {"ConfigMap/a/gone"});
  const ObjectRef a = add_map("kept");
  add_map("c", {as_owner(a)});
  begin();
  executor.advance(1s);
  EXPECT_FALSE(has_map("b"));
  EXPECT_TRUE(has_map("c"));
}

TEST_F(GarbageTest, AThousandDependentsCostOneQuestionAboutTheirOwner) {
  begin();
  const ObjectRef a = add_map("a");
  for (int i = 0; i < 1000; ++i) add_map("d" + std::to_string(i), {as_owner(a)});
  executor.run();
  EXPECT_EQ(server.calls["get configmaps"], 0);
  server.erase(client::configmaps, "x", "a");
  executor.run();
  EXPECT_EQ(server.all(client::configmaps).size(), 0u);
  EXPECT_LE(server.calls["get configmaps"], 20);  // one a worker at most
}

}  // namespace
}  // namespace estiba::controllers
