#include "volume/atomic_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "os/file.h"

namespace estiba::volume {
namespace {

struct AtomicWriter : testing::Test {
  std::string dir;
  WallTime now{std::chrono::seconds(1'700'000'000)};
  void SetUp() override {
    char name[] = "/tmp/estiba-volume-XXXXXX";
    dir = mkdtemp(name);
  }
  void TearDown() override { (void)os::remove_all(dir); }
  std::string read(const std::string& name) { return os::read_file(dir + "/" + name).value_or("(none)"); }
  Result<bool> write(const Files& files) {
    now += std::chrono::seconds(1);
    return write_atomically(dir, files, now);
  }
};

TEST_F(AtomicWriter, ReplacesTheWholeSetAtOnce) {
  EXPECT_EQ(write({{"a", {"1", 0644}}, {"d/b", {"2", 0400}}}), true);
  EXPECT_EQ(read("a") + read("d/b"), "12");
  EXPECT_EQ(os::stat_file(dir + "/d/b")->st_mode & 0777, 0400u);
  EXPECT_EQ(write({{"a", {"1", 0644}}, {"d/b", {"2", 0400}}}), false);
  const std::string old = *os::read_link(dir + "/..data");
  EXPECT_EQ(write({{"a", {"3", 0644}}, {"c", {"4", 0644}}}), true);
  EXPECT_EQ(read("a") + read("c"), "34");
  EXPECT_FALSE(os::read_link(dir + "/d"));
  EXPECT_FALSE(os::exists(dir + "/" + old));
}

TEST_F(AtomicWriter, RefusesPathsThatLeaveTheVolume) {
  for (const char* path : {"../x", "/etc/passwd", "a/../../b", "", "..data/x", "a//b"}) EXPECT_FALSE(write({{path, {"x", 0644}}})) << path;
  EXPECT_TRUE(os::list_dir(dir)->empty());
}

}  // namespace
}  // namespace estiba::volume
