#include "client/events.h"

#include <gtest/gtest.h>

#include "base/fake_executor.h"
#include "client/testing/fake_client.h"
#include "model/types/core_v1.h"

namespace estiba::client {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;
using model::core_v1::Event;

struct EventsTest : ::testing::Test {
  FakeExecutor executor;
  testing::FakeClient server{executor};
  EventRecorder recorder{server, executor, "tester", "n1"};
  EventTarget pod{.api_version = "v1", .kind = "Pod", .ns = "x", .name = "p", .uid = "u", .field_path = "spec.containers{c}"};

  void say(const std::string& message) {
    recorder.record(pod, EventType::warning, "Failed", message);
    executor.run();
  }
};

TEST_F(EventsTest, AnEventSaysWhoAboutWhatAndWhy) {
  say("no image");
  const auto all = server.all(events, "x");
  ASSERT_EQ(all.size(), 1u);
  const Event& event = all[0].as<Event>();
  EXPECT_TRUE(all[0].meta().name.starts_with("p."));
  EXPECT_EQ(event.involvedObject.name + event.involvedObject.uid + event.involvedObject.fieldPath, "puspec.containers{c}");
  EXPECT_EQ(event.type + event.reason + event.message, "WarningFailedno image");
  EXPECT_EQ(event.source->component + event.source->host, "testern1");
  EXPECT_EQ(event.count, 1);
}

TEST_F(EventsTest, TheSameEventIsCounted) {
  for (int i = 0; i < 5; ++i) {
    say("no image");
    executor.advance(10s);
  }
  say("no memory");
  const auto all = server.all(events, "x");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].as<Event>().count.value_or(0) + all[1].as<Event>().count.value_or(0), 6);
  EXPECT_NE(all[0].as<Event>().firstTimestamp, all[0].as<Event>().lastTimestamp);
}

TEST_F(EventsTest, ManyAtOnceAreOneWriteAndOnePatch) {
  for (int i = 0; i < 10; ++i) recorder.record(pod, EventType::normal, "Pulled", "again");
  executor.run();
  EXPECT_EQ(server.calls["create events"], 1);
  EXPECT_EQ(server.calls["patch events"], 1);
  EXPECT_EQ(server.all(events, "x")[0].as<Event>().count, 10);
}

TEST_F(EventsTest, ThoseUnderWayAreAllWrittenHoweverManyTheyAre) {
  constexpr int many = 30'000;
  for (int i = 0; i < many; ++i) {
    pod.name = pod.uid = "p" + std::to_string(i);
    recorder.record(pod, EventType::normal, "Scheduled", "a place was found");
  }
  executor.run();
  EXPECT_EQ(server.calls["create events"], many);
  EXPECT_EQ(server.all(events, "x").size(), size_t(many));
}

TEST_F(EventsTest, OneObjectCannotFloodTheStore) {
  for (int i = 0; i < 1000; ++i) say("problem " + std::to_string(i));
  EXPECT_EQ(server.all(events, "x").size(), 25u);
  executor.advance(10min);
  for (int i = 0; i < 10; ++i) say("later " + std::to_string(i));
  EXPECT_EQ(server.all(events, "x").size(), 27u);
}

TEST_F(EventsTest, AnEventThatHasExpiredBeginsANewOne) {
  say("no image");
  server.erase(events, "x", server.all(events, "x")[0].meta().name);
  say("no image");
  ASSERT_EQ(server.all(events, "x").size(), 1u);
}

TEST_F(EventsTest, AFailureIsForgottenQuietly) {
  server.before_call = [](std::string_view, Resource, std::string_view) -> Result<void> { return fail(Code::unavailable, "away"); };
  say("no image");
  server.before_call = nullptr;
  say("no image");
  EXPECT_EQ(server.all(events, "x").size(), 1u);
}

}  // namespace
}  // namespace estiba::client
