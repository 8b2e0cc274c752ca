#include "volume/volumes.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "io/loop.h"
#include "os/file.h"
#include "os/mount.h"
#include "volume/mount_options.h"

namespace estiba::volume {

class VolumesTest : public testing::Test {
 protected:
  void SetUp() override {
    static bool isolated = unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    if (!isolated) GTEST_SKIP() << "needs the right to make namespaces";
    char name[] = "/tmp/estiba-volumes-XXXXXX";
    dir_ = mkdtemp(name);
    open();
  }
  void TearDown() override {
    volumes_.reset();
    if (!dir_.empty()) EXPECT_TRUE(os::remove_all(dir_));
  }
  void open() {
    volumes_.emplace(dir_);
    auto started = loop_.block_on(volumes_->start());
    ASSERT_TRUE(started) << started.error().message;
  }
  VolumeInfo make(VolumeSpec spec) {
    auto made = loop_.block_on(volumes_->create(std::move(spec)));
    EXPECT_TRUE(made) << made.error().message;
    return made ? made->volume : VolumeInfo{};
  }
  std::string make_error(VolumeSpec spec) { return loop_.block_on(volumes_->create(std::move(spec))).error().message; }
  Result<void> remove(const std::string& name, bool force = false) { return loop_.block_on(volumes_->remove(name, force)); }

  io::Loop loop_;
  std::string dir_;
  std::optional<Volumes> volumes_;
};

TEST_F(VolumesTest, AreMadeFoundAndRemoved) {
  VolumeInfo made = make({.name = "datos", .labels = {{"a", "b"}}});
  EXPECT_EQ(made.path, dir_ + "/volumes/datos/_data");
  EXPECT_TRUE(os::exists(made.path));
  auto again = loop_.block_on(volumes_->create({.name = "datos", .labels = {{"c", "d"}}}));
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->made);
  EXPECT_EQ(again->volume.labels, made.labels) << "the one that is there";
  EXPECT_EQ(volumes_->list().size(), 1u);
  EXPECT_TRUE(remove("datos"));
  EXPECT_FALSE(os::exists(dir_ + "/volumes/datos"));
  EXPECT_EQ(volumes_->find("datos").error().message, "get datos: no such volume");
  EXPECT_EQ(remove("datos").error().code, Code::not_found);
  EXPECT_TRUE(remove("datos", true));
}

TEST_F(VolumesTest, OutliveTheProcess) {
  VolumeInfo made = make({.name = "datos", .options = {{"type", "tmpfs"}, {"device", "tmpfs"}}, .labels = {{"a", "b \"c\""}}});
  make({.name = "gone"});
  volumes_.reset();
  EXPECT_TRUE(os::make_dirs(dir_ + "/volumes/.removing-1/_data"));  // a removal that was interrupted
  EXPECT_TRUE(os::make_dirs(dir_ + "/volumes/half"));               // a making that was
  EXPECT_TRUE(os::make_dirs(dir_ + "/volumes/old/_data"));          // one without a record
  open();
  auto found = volumes_->find("datos");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->labels, made.labels);
  EXPECT_EQ(found->options, made.options);
  EXPECT_EQ(found->created, made.created);
  EXPECT_TRUE(volumes_->find("old"));
  EXPECT_EQ(volumes_->list().size(), 3u);
  EXPECT_FALSE(os::exists(dir_ + "/volumes/.removing-1"));
  make({.name = "half"});
}

TEST_F(VolumesTest, BadInputIsNamed) {
  EXPECT_EQ(make_error({.name = "x"}), "create x: volume name is too short, names should be at least two alphanumeric characters");
  EXPECT_EQ(make_error({.name = "../up"}),
            "create ../up: \"../up\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. "
            "If you intended to pass a host directory, use absolute path");
  EXPECT_EQ(make_error({.name = "vol", .driver = "flocker"}),
            "create vol: error looking up volume plugin flocker: plugin \"flocker\" not found");
  EXPECT_EQ(make_error({.name = "vol", .options = {{"colour", "red"}}}), "create vol: invalid option: \"colour\"");
  EXPECT_EQ(make_error({.name = "vol", .options = {{"type", "nfs"}}}), "create vol: missing required option: \"device\"");
  EXPECT_TRUE(volumes_->list().empty());
}

TEST_F(VolumesTest, AreKeptWhileContainersHaveThem) {
  make({.name = "datos"});
  ASSERT_TRUE(volumes_->refer("datos", "c1"));
  ASSERT_TRUE(volumes_->refer("datos", "c2"));
  ASSERT_TRUE(volumes_->refer("datos", "c2"));
  auto removed = remove("datos", true);
  EXPECT_EQ(removed.error().message, "remove datos: volume is in use - [c1, c2]");
  EXPECT_EQ(removed.error().code, Code::conflict);
  volumes_->forget("datos", "c1");
  volumes_->forget("datos", "c2");
  EXPECT_TRUE(remove("datos"));
  EXPECT_FALSE(volumes_->refer("datos", "c1"));
}

TEST_F(VolumesTest, PruneTakesWhatIsChosenAndUnused) {
  VolumeInfo anonymous = make({}), used = make({});
  EXPECT_TRUE(anonymous.anonymous());
  EXPECT_EQ(anonymous.name.size(), 64u);
  make({.name = "named"});
  ASSERT_TRUE(volumes_->refer(used.name, "c"));
  ASSERT_TRUE(os::write_file(anonymous.path + "/file", std::string(1000, 'x'), O_CREAT));
  ASSERT_TRUE(os::make_hardlink(anonymous.path + "/file", anonymous.path + "/same"));
  EXPECT_EQ(loop_.block_on(volumes_->sizes())[anonymous.name], 1000u);
  auto pruned = loop_.block_on(volumes_->prune([](const VolumeInfo& volume) { return volume.anonymous(); }));
  ASSERT_TRUE(pruned);
  EXPECT_EQ(pruned->names, std::vector<std::string>{anonymous.name});
  EXPECT_EQ(pruned->bytes, 1000u);
  EXPECT_EQ(volumes_->list().size(), 2u);
}

TEST_F(VolumesTest, OptionsAreMountedWhileAContainerRuns) {
  VolumeInfo volume = make({.name = "ram", .options = {{"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "size=1m,uid=7,noexec"}}});
  for (const char* id : {"a", "a", "b"}) {
    auto path = loop_.block_on(volumes_->mount("ram", id));
    ASSERT_TRUE(path) << path.error().message;
    EXPECT_EQ(*path, volume.path);
  }
  EXPECT_EQ(os::stat_file(volume.path)->st_uid, 7u);
  EXPECT_TRUE(loop_.block_on(volumes_->unmount("ram", "a")));
  EXPECT_TRUE(*os::is_mount_point(volume.path)) << "b has it";
  EXPECT_TRUE(loop_.block_on(volumes_->unmount("ram", "b")));
  EXPECT_FALSE(*os::is_mount_point(volume.path));

  make({.name = "bound", .options = {{"type", "none"}, {"device", dir_ + "/nothing"}, {"o", "bind,ro"}}});
  auto missing = loop_.block_on(volumes_->mount("bound", "a"));
  ASSERT_FALSE(missing);
  EXPECT_TRUE(missing.error().message.contains("failed to mount local volume: mount " + dir_ + "/nothing:")) << missing.error().message;
  ASSERT_TRUE(os::make_dir(dir_ + "/nothing"));
  auto bound = loop_.block_on(volumes_->mount("bound", "a"));
  ASSERT_TRUE(bound) << bound.error().message;
  EXPECT_EQ(os::write_file(*bound + "/x", "", O_CREAT).error().sys, EROFS);
  EXPECT_TRUE(loop_.block_on(volumes_->unmount("bound", "a")));
}

TEST_F(VolumesTest, CopyUpKeepsWhatFilesAre) {
  std::string root = dir_ + "/root", from = root + "/data";
  ASSERT_TRUE(os::make_dirs(from + "/sub"));
  ASSERT_TRUE(os::write_file(from + "/sub/file", "text", O_CREAT, 0640));
  ASSERT_TRUE(os::change_owner(from + "/sub/file", 5, 6));
  ASSERT_TRUE(os::change_mode(from + "/sub/file", 04750));
  ASSERT_TRUE(os::make_hardlink(from + "/sub/file", from + "/zlink"));
  ASSERT_TRUE(os::make_symlink("/etc/shadow", from + "/away"));
  ASSERT_TRUE(os::make_fifo(from + "/fifo", 0600));
  bool xattrs = setxattr((from + "/sub/file").c_str(), "trusted.estiba", "v", 1, 0) == 0;
  {
    Fd sparse = *os::open_file(from + "/sparse", O_CREAT | O_WRONLY, 0600);
    ASSERT_EQ(ftruncate(sparse.get(), 64 << 20), 0);
    ASSERT_EQ(pwrite(sparse.get(), "end", 3, 32 << 20), 3);
  }
  ASSERT_TRUE(os::change_owner(from, 8, 9));
  ASSERT_TRUE(os::change_mode(from, 01777));

  std::string to = make({.name = "datos"}).path;
  auto copied = loop_.block_on(volumes_->copy_up("datos", root, "/data"));
  ASSERT_TRUE(copied) << copied.error().message;
  struct stat file = *os::lstat_file(to + "/sub/file"), link = *os::lstat_file(to + "/zlink"), top = *os::lstat_file(to),
              sparse = *os::lstat_file(to + "/sparse");
  EXPECT_EQ(file.st_mode & 07777, 04750u);
  EXPECT_EQ(file.st_uid, 5u);
  EXPECT_EQ(file.st_ino, link.st_ino);
  EXPECT_EQ(file.st_mtim.tv_nsec, os::lstat_file(from + "/sub/file")->st_mtim.tv_nsec);
  EXPECT_EQ(top.st_uid, 8u);
  EXPECT_EQ(top.st_mode & 07777, 01777u);
  EXPECT_EQ(sparse.st_size, 64 << 20);
  EXPECT_LT(sparse.st_blocks * 512, 1 << 20);
  EXPECT_EQ(*os::read_link(to + "/away"), "/etc/shadow");
  EXPECT_TRUE(S_ISFIFO(os::lstat_file(to + "/fifo")->st_mode));
  char value[8];
  if (xattrs) EXPECT_EQ(getxattr((to + "/sub/file").c_str(), "trusted.estiba", value, sizeof value), 1);

  ASSERT_TRUE(os::write_file(from + "/later", "", O_CREAT));
  ASSERT_TRUE(loop_.block_on(volumes_->copy_up("datos", root, "/data")));
  EXPECT_FALSE(os::exists(to + "/later")) << "the volume was not empty";
}

TEST_F(VolumesTest, CopyUpStaysWithinTheRoot) {
  std::string root = dir_ + "/root", to = make({.name = "datos"}).path;
  ASSERT_TRUE(os::make_dirs(root + "/etc"));
  ASSERT_TRUE(os::write_file(root + "/etc/inside", "", O_CREAT));
  ASSERT_TRUE(os::make_symlink("/../../etc", root + "/data"));
  ASSERT_TRUE(loop_.block_on(volumes_->copy_up("datos", root, "/missing")));
  ASSERT_TRUE(loop_.block_on(volumes_->copy_up("datos", root, "/data")));
  EXPECT_EQ(os::list_dir(to)->size(), 1u);
  EXPECT_TRUE(os::exists(to + "/inside"));
}

TEST(MountOptionsTest, FlagsAndData) {
  auto options = parse_mount_options({{"type", "nfs"}, {"device", ":/export"}, {"o", "addr=127.0.0.1,ro,noatime,vers=4"}});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->flags, (unsigned long)(MS_RDONLY | MS_NOATIME));
  EXPECT_EQ(options->data, "addr=127.0.0.1,vers=4");
  EXPECT_EQ(*resolve_address(options->data), "addr=127.0.0.1,vers=4");
}

}  // namespace estiba::volume
