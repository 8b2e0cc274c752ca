#include "engine/record.h"

#include <gtest/gtest.h>

namespace estiba::engine {
namespace {

TEST(Record, SurvivesBeingWrittenAndRead) {
  ContainerRecord record;
  record.phase = ContainerRecord::Phase::failed;
  record.tty = true;
  record.status = {.id = "c1",
                   .name = "web",
                   .pod_uid = "u1",
                   .attempt = 4,
                   .exit_code = 128,
                   .reason = "StartError",
                   .message = "exec: \"x\"",
                   .image = "web:1"};
  record.status.created = WallTime(std::chrono::nanoseconds(1700000000123456789));
  record.status.labels = {{"a", "b"}};
  record.status.stop_signal = 3;
  record.status.user = NumericUser{.uid = 1000, .gid = 50, .groups = {50, 3000}};
  auto again = parse_container_record(print_record(record));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->status.state, ContainerState::exited);
  EXPECT_EQ(again->status.attempt, 4u);
  EXPECT_EQ(again->status.message, "exec: \"x\"");
  EXPECT_EQ(again->status.created, record.status.created);
  EXPECT_EQ(again->status.labels, record.status.labels);
  EXPECT_EQ(again->status.stop_signal, 3);
  EXPECT_EQ(again->status.user, record.status.user);
  EXPECT_TRUE(again->tty);
  EXPECT_FALSE(parse_container_record("{}"));
  EXPECT_FALSE(parse_sandbox_record("not json"));
}

}  // namespace
}  // namespace estiba::engine
