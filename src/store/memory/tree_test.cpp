#include "store/memory/tree.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace estiba::store {
namespace {

EntryPtr entry(std::string key, Revision revision) {
  auto made = std::make_shared<Entry>();
  made->key = std::move(key);
  made->mod_revision = revision;
  return made;
}

using Model = std::map<std::string, Revision>;

void expect_equal(const Tree& tree, const Model& model) {
  ASSERT_EQ(tree.size(), model.size());
  std::vector<EntryPtr> all;
  tree.collect(KeyRange::of_prefix(""), 0, all);
  ASSERT_EQ(all.size(), model.size());
  size_t i = 0;
  for (auto& [key, revision] : model) {
    EXPECT_EQ(all[i]->key, key);
    EXPECT_EQ(all[i]->mod_revision, revision);
    EXPECT_EQ(tree.rank(key), i);
    ++i;
  }
}

TEST(Tree, BehavesAsAMapAndOldCopiesStay) {
  std::mt19937 random(7);
  Tree tree;
  Model model;
  std::vector<std::pair<Tree, Model>> kept;
  for (int step = 1; step <= 6000; ++step) {
    std::string key = "/k/" + std::to_string(random() % 500);
    bool present = model.contains(key);
    if (present && random() % 2) {
      tree.erase(key);
      model.erase(key);
    } else {
      tree.put(entry(key, step));
      model[key] = step;
    }
    if (step % 500 == 0) {
      ASSERT_TRUE(tree.valid());
      kept.emplace_back(tree, model);
    }
  }
  for (auto& [old_tree, old_model] : kept) expect_equal(old_tree, old_model);
}

TEST(Tree, StaysBalancedInSortedOrder) {
  Tree up, down;
  for (int i = 0; i < 3000; ++i) {
    up.put(entry(std::to_string(100000 + i), i + 1));
    down.put(entry(std::to_string(200000 - i), i + 1));
  }
  EXPECT_TRUE(up.valid());
  EXPECT_TRUE(down.valid());
  for (int i = 0; i < 2900; ++i) up.erase(std::to_string(100000 + i));
  EXPECT_TRUE(up.valid());
  EXPECT_EQ(up.size(), 100u);
}

TEST(Tree, FromSortedIsValidAndRangesAreExact) {
  std::vector<EntryPtr> entries;
  for (int i = 1000; i < 2000; ++i) entries.push_back(entry(std::to_string(i), i));
  Tree tree = Tree::from_sorted(entries);
  ASSERT_TRUE(tree.valid());
  KeyRange range = KeyRange::of_prefix("15");
  EXPECT_EQ(tree.count(range), 100u);
  range.first = "1595";
  std::vector<EntryPtr> some;
  tree.collect(range, 3, some);
  ASSERT_EQ(some.size(), 3u);
  EXPECT_EQ(some[0]->key, "1595");
  EXPECT_EQ(tree.count(range), 5u);
  EXPECT_EQ(*tree.find("1999"), entries.back());
  EXPECT_EQ(tree.find("2000"), nullptr);
}

TEST(Tree, APrefixOfHighBytesHasNoEnd) {
  EXPECT_FALSE(KeyRange::of_prefix("\xff\xff").has_end);
  EXPECT_EQ(KeyRange::of_prefix("a\xff").last, "b");
}

}  // namespace
}  // namespace estiba::store
