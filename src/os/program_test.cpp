#include "os/program.h"

#include <gtest/gtest.h>

namespace estiba::os {
namespace {

SpawnOptions shell(const std::string& script) { return {.argv = {"/bin/sh", "-c", script}}; }

TEST(Program, ReadsItsInputAndIsHeard) {
  auto run = run_program(shell("cat; echo trouble >&2; exit 3"), "words", 5000);
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(run->out, "words");
  EXPECT_EQ(run->err, "trouble\n");
  EXPECT_EQ(run->status.code, 3);
}

TEST(Program, WhatItsChildrenHoldOpenIsNotWaitedFor) {
  auto run = run_program(shell("sleep 60 & echo done; echo $!"), "", 5000);
  ASSERT_TRUE(run) << run.error().message;
  ASSERT_TRUE(run->out.starts_with("done\n"));
  EXPECT_TRUE(send_signal(pid_t(atoi(run->out.c_str() + 5)), 9));
}

TEST(Program, MoreThanAPipeHoldsComesWhole) {
  auto run = run_program(shell("head -c 700000 /dev/zero"), "", 20000);
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(run->out.size(), 700000u);
}

TEST(Program, TooMuchEndsIt) {
  auto run = run_program(shell("cat /dev/zero"), "", 20000, 100000);
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, Code::too_large);
}

TEST(Program, TooLongEndsIt) {
  auto run = run_program(shell("sleep 60"), "", 50);
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, Code::timeout);
  EXPECT_EQ(run.error().message, "/bin/sh does not end");
}

TEST(Program, OneThatIsNotThereIsNamed) {
  auto run = run_program({.argv = {"/nowhere/bridge"}}, "", 1000);
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().message, "spawn /nowhere/bridge: No such file or directory");
}

}  // namespace
}  // namespace estiba::os
