#include "client/informer.h"

#include <gtest/gtest.h>

#include "base/fake_executor.h"
#include "client/testing/fake_client.h"
#include "model/types/core_v1.h"

namespace estiba::client {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;
using testing::FakeClient;

struct InformerTest : ::testing::Test {
  FakeExecutor executor;
  FakeClient server{executor};
  std::vector<std::string> heard;

  static std::string pod(const std::string& name, const std::string& label = "a") {
    return R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"(","labels":{"l":")" + label + R"("}}})";
  }
  void listen(Informer& informer) {
    informer.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      heard.push_back((!before ? "+" : !after ? "-" : "~") + (after ? after : before).meta().name);
    });
  }
  std::vector<std::string> take() { return std::exchange(heard, {}); }
};
using Names = std::vector<std::string>;

TEST_F(InformerTest, ListsThenFollows) {
  server.add(pods, "x", pod("a"));
  Informer informer(server, pods);
  listen(informer);
  EXPECT_FALSE(informer.synced());
  executor.run();
  EXPECT_TRUE(informer.synced());
  EXPECT_EQ(take(), Names{"+a"});
  server.add(pods, "x", pod("b"));
  server.merge(pods, "x", "a", R"({"metadata":{"labels":{"l":"b"}}})");
  server.erase(pods, "x", "b");
  executor.run();
  EXPECT_EQ(take(), (Names{"+b", "~a", "-b"}));
  EXPECT_EQ(informer.get("x", "a").meta().label("l"), "b");
  EXPECT_FALSE(informer.get("x/b"));
}

TEST_F(InformerTest, AHandlerAddedLateHearsWhatIsThere) {
  server.add(pods, "x", pod("a"));
  Informer informer(server, pods);
  executor.run();
  listen(informer);
  EXPECT_EQ(take(), Names{"+a"});
}

TEST_F(InformerTest, AfterABrokenWatchItGoesOnWhereItWas) {
  Informer informer(server, pods);
  listen(informer);
  executor.run();
  server.end_watches(Code::unavailable);
  executor.run();
  server.add(pods, "x", pod("a"));
  executor.advance(1s);
  EXPECT_EQ(take(), Names{"+a"});
  EXPECT_EQ(server.calls["list pods"], 1);
}

TEST_F(InformerTest, WhenTheRevisionIsGoneItListsAndReportsOnlyDifferences) {
  server.add(pods, "x", pod("a"));
  server.add(pods, "x", pod("b"));
  server.add(pods, "x", pod("c"));
  Informer informer(server, pods);
  listen(informer);
  executor.run();
  take();
  server.hold_watches(true);
  server.erase(pods, "x", "a");
  server.merge(pods, "x", "b", R"({"metadata":{"labels":{"l":"b"}}})");
  server.erase(pods, "x", "c");
  server.add(pods, "x", pod("c"));
  server.add(pods, "x", pod("d"));
  server.compact();
  server.hold_watches(false);
  executor.advance(1s);
  EXPECT_EQ(take(), (Names{"-a", "~b", "-c", "+c", "+d"}));
}

TEST_F(InformerTest, WritesOfOurOwnAreSeenAtOnceAndToldOnce) {
  Informer informer(server, pods);
  listen(informer);
  executor.run();
  server.hold_watches(true);
  const ObjectRef made = server.add(pods, "x", pod("a"));
  informer.observe(made);
  EXPECT_EQ(take(), Names{"+a"});
  EXPECT_TRUE(informer.get("x/a"));
  server.hold_watches(false);
  executor.run();
  EXPECT_EQ(take(), Names{});
}

TEST_F(InformerTest, AnAnswerThatComesAfterTheWatchDoesNotRaiseTheDead) {
  Informer informer(server, pods);
  listen(informer);
  executor.run();
  const ObjectRef made = server.add(pods, "x", pod("a"));
  server.erase(pods, "x", "a");
  executor.run();
  EXPECT_EQ(take(), (Names{"+a", "-a"}));
  informer.observe(made);
  EXPECT_EQ(take(), Names{});
  EXPECT_EQ(informer.size(), 0u);
}

TEST_F(InformerTest, WhatAWriteHasNotFoundIsGone) {
  server.add(pods, "x", pod("a"));
  Informer informer(server, pods);
  listen(informer);
  executor.run();
  take();
  const ObjectRef known = informer.get("x", "a");
  server.hold_watches(true);
  server.erase(pods, "x", "a");
  informer.observe_gone(known);
  EXPECT_EQ(take(), Names{"-a"});
  server.add(pods, "x", pod("a"));
  server.hold_watches(false);
  executor.run();
  EXPECT_EQ(take(), Names{"+a"}) << "the removal is told once";
  informer.observe_gone(known);
  EXPECT_TRUE(informer.get("x", "a")) << "another one of that name";
}

TEST_F(InformerTest, AnOldRemovalDoesNotTakeANewerObjectOfThatName) {
  Informer informer(server, pods);
  executor.run();
  server.hold_watches(true);
  server.add(pods, "x", pod("a"));
  server.erase(pods, "x", "a");
  const ObjectRef again = server.add(pods, "x", pod("a"));
  informer.observe(again);
  server.hold_watches(false);
  executor.run();
  EXPECT_EQ(informer.get("x/a").meta().uid, again.meta().uid);
}

TEST_F(InformerTest, IndexesFollowChanges) {
  Informer informer(server, pods);
  const Informer::Index by_label = informer.add_index(
      [](const model::Object& object, std::vector<std::string>& values) { values.emplace_back(object.meta().label("l")); });
  executor.run();
  server.add(pods, "x", pod("a", "1"));
  server.add(pods, "x", pod("b", "1"));
  server.add(pods, "y", pod("c", "2"));
  executor.run();
  EXPECT_EQ(informer.count(by_label, "1"), 2u);
  server.merge(pods, "x", "a", R"({"metadata":{"labels":{"l":"2"}}})");
  server.erase(pods, "x", "b");
  executor.run();
  EXPECT_EQ(informer.count(by_label, "1"), 0u);
  EXPECT_EQ(informer.count(by_label, "2"), 2u);
  EXPECT_EQ(informer.in_namespace("y").size(), 1u);
}

TEST_F(InformerTest, IsQuietWhenNothingHappens) {
  Informers informers(server);
  Informer& first = informers.of(pods);
  EXPECT_EQ(&first, &informers.of(pods));
  executor.run();
  EXPECT_EQ(executor.timers(), 0u);
  EXPECT_EQ(executor.run(), 0u);
}

TEST_F(InformerTest, DecodedStructsAreShedUnderItsUsers) {
  const int before = 2000;
  for (int i = 0; i < before; ++i) server.add(pods, "x", pod("p" + std::to_string(i)));
  Informer one(server, pods), other(server, pods);
  executor.run();
  const auto node = one.add_index([](const model::Object& object, std::vector<std::string>& values) {
    values.push_back(object.as<model::core_v1::Pod>().metadata.name);
  });
  listen(other);
  take();
  std::vector<ObjectRef> told;
  one.on_lighter([&](const ObjectRef& object) { told.push_back(object); });
  const ObjectRef mine = one.get("x", "p7");
  shed_decoded();
  executor.run();
  EXPECT_TRUE(take().empty()) << "nothing has changed";
  ASSERT_EQ(told.size(), size_t(before));
  EXPECT_NE(one.get("x", "p7").object, mine.object);
  EXPECT_EQ(one.get("x", "p7").object, other.get("x", "p7").object) << "all share the lighter one";
  EXPECT_EQ(one.get("x", "p7").print(), mine.print());
  EXPECT_EQ(one.find(node, "p7").at(0).object, one.get("x", "p7").object);
  EXPECT_EQ(mine.as<model::core_v1::Pod>().metadata.name, "p7");
}

TEST_F(InformerTest, BacksOffWhileTheServerIsAway) {
  server.before_call = [](std::string_view, Resource, std::string_view) -> Result<void> { return fail(Code::unavailable, "away"); };
  Informer informer(server, pods);
  executor.advance(10min);
  EXPECT_FALSE(informer.synced());
  EXPECT_LT(server.calls["list pods"], 60);
  server.before_call = nullptr;
  executor.advance(30s);
  EXPECT_TRUE(informer.synced());
}

}  // namespace
}  // namespace estiba::client
