#include "io/foreign_pipe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

namespace estiba::io {
namespace {

TEST(ForeignPipe, TellsOfInputAndOfTheEnd) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  EXPECT_FALSE(has_input(ends[0]));
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  EXPECT_TRUE(has_input(ends[0]));
  char byte;
  ASSERT_EQ(read(ends[0], &byte, 1), 1);
  EXPECT_FALSE(has_input(ends[0]));
  close(ends[1]);
  EXPECT_TRUE(has_input(ends[0])) << "the end";
  close_foreign_pipe(ends[0]);
  EXPECT_EQ(fcntl(ends[0], F_GETFD), -1);
}

// Whoever writes learns that nobody reads any more; other descriptors of the process are as they were.
TEST(ForeignPipe, IsClosedForGoodAndAlone) {
  int ends[2], other[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  ASSERT_EQ(pipe2(other, O_CLOEXEC | O_NONBLOCK), 0);
  close_foreign_pipe(ends[0]);
  pollfd writer{.fd = ends[1], .events = 0, .revents = 0};
  EXPECT_EQ(poll(&writer, 1, 60'000), 1);
  EXPECT_TRUE(writer.revents & POLLERR);
  ASSERT_EQ(write(other[1], "x", 1), 1);
  EXPECT_TRUE(has_input(other[0]));
  for (const int fd : {ends[1], other[0], other[1]}) close(fd);
}

}  // namespace
}  // namespace estiba::io
