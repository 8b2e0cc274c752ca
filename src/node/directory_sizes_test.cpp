#include "node/directory_sizes.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "io/loop.h"

namespace estiba::node {
namespace {

TEST(DirectorySizes, AreOfWhatWasLookedAt) {
  char directory[] = "/tmp/estiba-sizes-XXXXXX";
  ASSERT_TRUE(mkdtemp(directory));
  const std::string one = std::string(directory) + "/one", two = std::string(directory) + "/two", file = one + "/file";
  ASSERT_EQ(mkdir(one.c_str(), 0755), 0);
  std::FILE* out = std::fopen(file.c_str(), "w");
  ASSERT_TRUE(out);
  std::fputs(std::string(100'000, 'x').c_str(), out);
  std::fclose(out);
  io::Loop loop;
  io::Pool pool(1);
  DirectorySizes sizes(loop, pool);
  const auto look = [&](std::set<std::string> paths) {
    loop.block_on([](DirectorySizes* sizes, std::set<std::string> paths) -> Task<bool> {
      co_await sizes->look(std::move(paths));
      co_return true;
    }(&sizes, std::move(paths)));
  };
  look({one, two});
  EXPECT_GE(sizes.of(one).bytes, 100'000u);
  EXPECT_EQ(sizes.of(two).bytes, 0u) << "it is not there";
  look({two});
  EXPECT_EQ(sizes.of(one).bytes, 0u) << "forgotten";
  unlink(file.c_str());
  rmdir(one.c_str());
  rmdir(directory);
}

}  // namespace
}  // namespace estiba::node
