#include "store/snapshot.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "store/embedded/embedded.h"
#include "store/embedded/restore.h"
#include "store/testing/temp_directory.h"

namespace estiba::store {
namespace {

EntryPtr entry(std::string key, std::string value, Revision created, Revision modified, int64_t version) {
  auto out = std::make_shared<Entry>();
  out->key = std::move(key);
  out->value = std::move(value);
  out->create_revision = created;
  out->mod_revision = modified;
  out->version = version;
  return out;
}

SnapshotContents sample() {
  return {.revision = 90,
          .entries = {entry("/a", std::string("v\0\xff", 3), 3, 3, 1), entry("/b", "", 5, 80, 7),
                      entry("/c", std::string(300'000, 'x'), 9, 9, 1)}};
}

std::string error(std::string_view bytes) {
  auto read = read_snapshot(bytes, "FILE");
  if (read) return "none";
  EXPECT_EQ(read.error().code, Code::invalid);
  return read.error().message;
}

TEST(Snapshot, ComesBackAsItWas) {
  const SnapshotContents written = sample();
  auto read = read_snapshot(write_snapshot(written), "FILE");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->revision, 90);
  ASSERT_EQ(read->entries.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const Entry &got = *read->entries[i], &put = *written.entries[i];
    EXPECT_EQ(got.key, put.key);
    EXPECT_EQ(got.value.view(), put.value.view());
    EXPECT_EQ(got.create_revision, put.create_revision);
    EXPECT_EQ(got.mod_revision, put.mod_revision);
    EXPECT_EQ(got.version, put.version);
  }
  auto empty = read_snapshot(write_snapshot({}), "FILE");
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->entries.empty());
}

TEST(Snapshot, EveryCutIsNoticed) {
  SnapshotContents contents = sample();
  contents.entries.pop_back();
  const std::string whole = write_snapshot(contents);
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string message = error(whole.substr(0, size));
    EXPECT_NE(message.find("cut off"), std::string::npos) << size << ": " << message;
  }
}

TEST(Snapshot, EveryFlippedByteIsNoticed) {
  SnapshotContents contents = sample();
  contents.entries.pop_back();
  const std::string whole = write_snapshot(contents);
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string bad = whole;
    bad[at] = char(bad[at] ^ 0x10);
    EXPECT_NE(error(bad), "none") << at;
  }
  EXPECT_NE(error(whole + "x").find("damaged"), std::string::npos) << "something behind its end";
}

TEST(Snapshot, WhatIsNoneSaysSo) {
  EXPECT_NE(error("SQLite format 3").find("is no snapshot"), std::string::npos);
  EXPECT_NE(error("estiba snapshot 2\nabc").find("another format"), std::string::npos);
}

TEST(Snapshot, RestoresIntoAnEmptyDirectoryWithTheSameRevisions) {
  TempDirectory directory;
  auto done = restore_embedded(directory.path(), sample());
  ASSERT_TRUE(done) << done.error().message;
  {
    auto store = open_embedded({.directory = directory.path()});
    ASSERT_TRUE(store) << store.error().message;
    EXPECT_EQ((*store)->revision(), 90);
    auto b = *(*store)->get("/b");
    EXPECT_EQ(b->create_revision, 5);
    EXPECT_EQ(b->mod_revision, 80);
    EXPECT_EQ(b->version, 7);
    EXPECT_EQ((*store)->count(""), 3u);
    auto busy = restore_embedded(directory.path(), sample());
    ASSERT_FALSE(busy);
    EXPECT_EQ(busy.error().code, Code::conflict);
  }
  auto again = restore_embedded(directory.path(), sample());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::conflict);
  EXPECT_NE(again.error().message.find("store.db is there already"), std::string::npos) << again.error().message;
}

TEST(Snapshot, KeysThatOneRevisionCreatedGetTheirOwn) {
  TempDirectory directory;
  SnapshotContents contents{.revision = 20, .entries = {entry("/a", "1", 7, 7, 1), entry("/b", "2", 7, 9, 2), entry("/c", "3", 7, 7, 1)}};
  ASSERT_TRUE(restore_embedded(directory.path(), contents));
  auto store = open_embedded({.directory = directory.path()});
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ((*store)->revision(), 22);
  EXPECT_EQ((*(*store)->get("/a"))->mod_revision, 7);
  EXPECT_EQ((*(*store)->get("/c"))->mod_revision, 22);
  EXPECT_EQ((*(*store)->get("/c"))->value, "3");
}

TEST(Snapshot, AnInterruptedRestoreIsBegunAnew) {
  TempDirectory directory;
  ASSERT_EQ(mkdir((directory.path() + "/restoring").c_str(), 0700), 0);
  EXPECT_TRUE(restore_embedded(directory.path(), sample()));
}

}  // namespace
}  // namespace estiba::store
