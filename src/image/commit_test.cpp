#include "image/commit.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "image/overlay.h"
#include "image/test_support.h"
#include "image/tree_tar.h"
#include "image/unpack.h"
#include "os/mount.h"

namespace estiba::image {
namespace {

class Commit : public testing::Test {
 protected:
  void SetUp() override {
    open();
    ASSERT_TRUE(os::make_dir(dir_ / "work", 0755));
  }
  void open() {
    store_.reset();
    auto opened = Store::open(dir_ / "data");
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  /// A layer of what `fill` makes on top of `below`, as a container's root.
  template <class Fill>
  MadeLayer layer(const std::vector<MadeLayer>& below, Fill fill, CommitOptions options = {}) {
    static int count = 0;
    const std::string root = dir_ / ("c" + std::to_string(++count));
    std::vector<std::string> chains, paths;
    for (const auto& b : below) chains.push_back(b.chain), paths.push_back(store_->layer_path(b.chain));
    if (paths.empty()) {
      EXPECT_TRUE(os::make_dirs(root + "/upper", 0755));
      fill(root + "/upper/");
    } else {
      auto mounted = mount_container_root(paths, root);
      EXPECT_TRUE(mounted) << mounted.error().message;
      fill(root + "/rootfs/");
      EXPECT_TRUE(os::umount(root + "/rootfs"));
    }
    auto made = commit_layer(*store_, root + "/upper", chains, options);
    EXPECT_TRUE(made) << made.error().message;
    EXPECT_EQ(os::exists(root + "/upper"), !options.take);
    EXPECT_TRUE(os::remove_all(root));
    return made ? *made : MadeLayer{};
  }
  std::string tar_of(const MadeLayer& made, uint64_t offset = 0) {
    auto source = store_->open_layer_source(made.digest, offset);
    EXPECT_TRUE(source) << source.error().message;
    return source ? read_all(**source, 1 << 30).value() : "";
  }
  /// "name type" of each member.
  std::string members(const std::string& tar) {
    StringSource source(tar);
    TarReader reader(source);
    std::string out;
    while (auto entry = reader.next().value()) out += entry->name + (entry->link.empty() ? "" : ">" + entry->link) + " ";
    return out;
  }
  static void write(const std::string& path, std::string_view text, mode_t mode = 0644) {
    ASSERT_TRUE(os::write_file(path, text, O_CREAT | O_TRUNC, mode));
    ASSERT_TRUE(os::change_mode(path, mode));
  }

  TemporaryDirectory dir_;
  std::unique_ptr<Store> store_;
};

TEST_F(Commit, ATreeBecomesALayerOnceAndItsTarIsWrittenAgainOnDemand) {
  auto fill = [](const std::string& at) {
    ASSERT_TRUE(os::make_dirs(at + "etc/deep", 0750));
    write(at + "etc/deep/b", "b", 04711);
    write(at + "etc/a", std::string(700'000, 'a'));
    ASSERT_TRUE(os::change_owner(at + "etc/a", 3, 70000));
    ASSERT_TRUE(os::make_hardlink(at + "etc/a", at + "same"));
    ASSERT_TRUE(os::make_symlink("etc/a", at + "link"));
    ASSERT_TRUE(os::make_fifo(at + "pipe", 0600));
    ASSERT_EQ(::setxattr((at + "etc/deep/b").c_str(), "user.x", "1\0002", 3, 0), 0);
    ASSERT_EQ(::mknod((at + "null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  };
  MadeLayer made = layer({}, fill);
  EXPECT_EQ(made.digest, made.diff_id);
  EXPECT_EQ(made.chain, made.diff_id);
  EXPECT_FALSE(os::exists(store_->blob_path(made.digest)));  // no second copy
  EXPECT_TRUE(store_->has_blob(made.digest));
  std::string tar = tar_of(made);
  EXPECT_EQ(digest_of(tar), made.digest);
  EXPECT_EQ(tar.size(), made.size);
  EXPECT_EQ(store_->blob_size(made.digest).value(), made.size);
  for (uint64_t offset : {1ul, 512ul, 1500ul, 400'000ul, 700'900ul, tar.size()}) EXPECT_EQ(tar_of(made, offset), tar.substr(offset));
  EXPECT_FALSE(store_->open_layer_source(made.digest, made.size + 1));
  EXPECT_EQ(members(tar), "etc/ etc/a etc/deep/ etc/deep/b link>etc/a null pipe same>etc/a ");
  // Unpacked elsewhere it is the same tree, and makes the same tar.
  ASSERT_TRUE(os::make_dir(dir_ / "again", 0755));
  Fd root = std::move(*os::open_file(dir_ / "again", O_RDONLY | O_DIRECTORY));
  StringSource source(tar);
  ASSERT_TRUE(unpack(source, root.get()));
  auto again = std::move(*TreeTar::open(dir_ / "again"));
  EXPECT_EQ(digest_of(read_all(*again, 1 << 30).value()), made.digest);
}

TEST_F(Commit, DeletionsAndReplacedDirectoriesAreWhiteouts) {
  MadeLayer base = layer({}, [](const std::string& at) {
    ASSERT_TRUE(os::make_dirs(at + "old/inner", 0755));
    write(at + "old/file", "1");
    write(at + "gone", "1");
    write(at + "kept", "1");
  });
  auto change = [](const std::string& at) {
    ASSERT_TRUE(os::remove_all(at + "gone"));
    ASSERT_TRUE(os::remove_all(at + "old"));
    ASSERT_TRUE(os::make_dir(at + "old", 0755));
    write(at + "old/new", "2");
  };
  MadeLayer top = layer({base}, change);
  EXPECT_EQ(members(tar_of(top)), ".wh.gone old/ old/.wh..wh..opq old/new ");
  EXPECT_EQ(top.chain, chain_id(base.chain, top.diff_id));
  // On top of it: what it hides is hidden.
  MadeLayer third = layer({base, top}, [](const std::string& at) {
    EXPECT_FALSE(os::exists(at + "gone"));
    EXPECT_FALSE(os::exists(at + "old/file"));
    EXPECT_TRUE(os::exists(at + "old/new"));
    EXPECT_TRUE(os::exists(at + "kept"));
    write(at + "third", "3");
  });
  EXPECT_EQ(members(tar_of(third)), "third ");
}

TEST_F(Commit, ACopyLeavesTheDirectoryAndIsTheSameLayer) {
  auto fill = [](const std::string& at) {
    ASSERT_TRUE(os::make_dirs(at + "d", 0700));
    write(at + "d/f", "1");
    ASSERT_TRUE(os::make_hardlink(at + "d/f", at + "d/g"));
    ASSERT_EQ(::truncate((at + "d/f").c_str(), 5 << 20), 0);
    ASSERT_EQ(::mknod((at + "w").c_str(), S_IFCHR, 0), 0);
    timespec times[2] = {{1000, 0}, {1000, 7}};
    for (const char* name : {"d/f", "d", ""}) ASSERT_EQ(::utimensat(AT_FDCWD, (at + name).c_str(), times, 0), 0);
  };
  MadeLayer copied = layer({}, fill, {.take = false});
  MadeLayer taken = layer({}, fill);
  EXPECT_EQ(copied.digest, taken.digest);
  struct stat info = os::lstat_file(store_->layer_path(copied.chain) + "/d/f").value();
  EXPECT_EQ(info.st_nlink, 2u);
  EXPECT_LT(info.st_blocks * 512, 1 << 20);  // the hole is still one
  store_.reset();                            // waits for what it removes later: the second tree
  EXPECT_EQ(os::list_dir(dir_ / "data/images/tmp").value().size(), 0u);
}

TEST_F(Commit, TimesEndAtTheEpoch) {
  auto fill = [](const std::string& at) { write(at + "f", "1"); };
  MadeLayer first = layer({}, fill, {.epoch = 1'000'000});
  std::string tar = tar_of(first);
  StringSource text(tar);
  TarReader members(text);
  EXPECT_EQ(members.next().value()->mtime, 1'000'000);
}

TEST_F(Commit, TheRootsOwnModeIsKept) {
  auto fill = [](const std::string& at) { ASSERT_EQ(::chmod(at.c_str(), 01777), 0); };
  MadeLayer base = layer({}, fill);
  EXPECT_EQ(members(tar_of(base)), "./ ");
  MadeLayer top = layer({base}, [](const std::string& at) { write(at + "f", ""); });
  EXPECT_EQ(members(tar_of(top)), "f ");
}

TEST_F(Commit, AnImageIsMadeOfLayersAndStaysWithoutAName) {
  Config config;
  config.cmd = {"/bin/app"};
  config.history = {{.created = "2026-01-01T00:00:00Z", .created_by = "COPY app /bin # buildkit"}};
  Record base, image;
  {
    Fd adding = std::move(*store_->adding());
    MadeLayer first = layer({}, [](const std::string& at) { write(at + "one", "1"); });
    base = make_image(*store_, config, nullptr, {first}, {"docker.io/library/base:1", "docker.io/library/base:2"}).value();
    MadeLayer second = layer({first}, [](const std::string& at) { write(at + "two", "2"); });
    image = make_image(*store_, config, &base, {second}, {}).value();
  }
  EXPECT_EQ(base.tags.size(), 2u);
  EXPECT_TRUE(image.kept);
  ASSERT_TRUE(store_->remove("base:1"));
  ASSERT_TRUE(store_->collect());
  ASSERT_TRUE(store_->find(image.id).value());
  auto read = store_->config(image.id).value();
  EXPECT_EQ(read->history.at(0).created_by, "COPY app /bin # buildkit");
  EXPECT_EQ(read->diff_ids.size(), 2u);
  EXPECT_EQ(os::read_file(store_->layer_paths(*read).at(1) + "/two").value(), "2");
}

TEST_F(Commit, ALayerOfOtherImagesBlobOrPinnedStays) {
  auto fill = [](const std::string& at) { write(at + "f", "1"); };
  MadeLayer pinned = layer({}, fill);
  ASSERT_TRUE(store_->pin("builder", {pinned.digest, pinned.chain}));
  ASSERT_TRUE(store_->collect());
  EXPECT_TRUE(store_->has_layer(pinned.chain));
  EXPECT_EQ(digest_of(tar_of(pinned)), pinned.digest);
  ASSERT_TRUE(store_->pin("builder", {}));
  ASSERT_TRUE(store_->collect());
  EXPECT_FALSE(store_->has_layer(pinned.chain));
  EXPECT_FALSE(store_->has_blob(pinned.digest));
}

TEST_F(Commit, WhatAPowerCutLeftIsNotTrusted) {
  Record lost, settled;
  {
    Fd adding = std::move(*store_->adding());
    settled = make_image(*store_, {}, nullptr, {layer({}, [](const std::string& at) { write(at + "f", "1"); })}, {"a.b/c:1"}).value();
    ASSERT_TRUE(store_->settle());
    lost = make_image(*store_, {}, nullptr, {layer({}, [](const std::string& at) { write(at + "f", "2"); })}, {"a.b/c:2"}).value();
  }
  store_.reset();
  // As if it were another boot: the second image's layer was not on disk.
  std::string hex(hex_of(lost.id));
  ASSERT_EQ(::symlink("another-boot", (dir_ / "data/images/unsynced/blob-" + hex).c_str()), 0);
  open();
  EXPECT_TRUE(store_->find("a.b/c:1").value());
  EXPECT_FALSE(store_->find("a.b/c:2").value());
  EXPECT_FALSE(store_->has_blob(lost.id));
  ASSERT_TRUE(store_->settle());
  EXPECT_EQ(os::list_dir(dir_ / "data/images/unsynced").value().size(), 0u);
}

TEST_F(Commit, ANameThatMarksDeletionsIsRefused) {
  ASSERT_TRUE(os::make_dirs(dir_ / "u", 0755));
  write(dir_ / "u/.wh.x", "");
  auto made = commit_layer(*store_, dir_ / "u", {}, {});
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("\".wh.x\" cannot be in an image"), std::string::npos) << made.error().message;
  EXPECT_EQ(os::list_dir(dir_ / "data/images/tmp").value().size(), 0u);
}

TEST_F(Commit, DeepTreesAndManyLayers) {
  std::vector<MadeLayer> layers;
  layers.push_back(layer({}, [](const std::string& at) {
    Fd dir = std::move(*os::open_file(at, O_RDONLY | O_DIRECTORY));
    for (int i = 0; i < 300; ++i) {
      ASSERT_EQ(::mkdirat(dir.get(), "d", 0755), 0);
      dir = std::move(*os::open_at(dir.get(), "d", O_RDONLY | O_DIRECTORY));
    }
  }));
  EXPECT_EQ(digest_of(tar_of(layers[0])), layers[0].digest);
  for (int i = 1; i < 130; ++i) {
    layers.push_back(layer(layers, [&](const std::string& at) { write(at + "f", std::to_string(i)); }));
    if (HasFatalFailure()) return;
  }
  layer(layers, [](const std::string& at) { EXPECT_EQ(os::read_file(at + "f").value(), "129"); });
}

}  // namespace
}  // namespace estiba::image
