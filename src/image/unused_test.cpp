#include "image/unused.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "image/archive.h"
#include "image/test_support.h"
#include "os/file.h"

namespace estiba::image {
namespace {

class Unused : public testing::Test {
 protected:
  void SetUp() override { store_ = std::move(*Store::open(dir_ / "data")); }

  std::string made(const std::string& name, std::string_view content, bool kept = false) {
    const std::string path = dir_ / "rootfs.tar";
    EXPECT_TRUE(os::write_file(path, TarText().file("v", std::string(content)).text(), O_CREAT | O_TRUNC));
    ImportOptions options{.name = name};
    options.kept = kept;
    auto record = import_image(*store_, path, options);
    EXPECT_TRUE(record) << record.error().message;
    return record ? record->at(0).id : "";
  }
  ImageFacts facts(const std::string& id) {
    for (const ImageFacts& each : *image_facts(*store_))
      if (each.id == id) return each;
    return {};
  }

  TemporaryDirectory dir_;
  std::unique_ptr<Store> store_;
};

TEST_F(Unused, FactsTellUsersAndPins) {
  const std::string free = made("a:1", "1"), used = made("b:1", "2"), pinned = made("c:1", "3", true);
  ASSERT_TRUE(store_->use("container", "b:1"));
  EXPECT_FALSE(facts(free).used || facts(free).pinned);
  EXPECT_TRUE(facts(used).used);
  EXPECT_TRUE(facts(pinned).pinned);
}

TEST_F(Unused, AnImageGoesWithAllItsNamesAndOthersStay) {
  const std::string id = made("a:1", "1"), other = made("b:1", "2");
  ASSERT_TRUE(store_->tag(id, "docker.io/library/a:2"));
  ASSERT_TRUE(delete_unused(*store_, id));
  EXPECT_FALSE(store_->find("a:1").value());
  EXPECT_FALSE(store_->find("a:2").value());
  EXPECT_FALSE(store_->find(id).value());
  EXPECT_TRUE(store_->find(other).value());
}

TEST_F(Unused, WhatIsUsedKeepsItsNames) {
  const std::string id = made("a:1", "1");
  ASSERT_TRUE(store_->use("container", "a:1"));
  EXPECT_EQ(delete_unused(*store_, id).error().code, Code::conflict);
  EXPECT_TRUE(store_->find("a:1").value());
}

TEST_F(Unused, NothingIsTouchedWhileContentIsAdded) {
  const std::string id = made("a:1", "1");
  {
    const Fd adding = std::move(*store_->adding());
    EXPECT_EQ(delete_unused(*store_, id).error().code, Code::unavailable);
    EXPECT_TRUE(store_->find("a:1").value());
  }
  EXPECT_TRUE(delete_unused(*store_, id));
}

}  // namespace
}  // namespace estiba::image
