#include "model/selector.h"

#include <gtest/gtest.h>

#include <map>

#include "model/types/meta_v1.h"

namespace estiba::model {
namespace {

using Map = std::map<std::string, std::string>;

bool matches(std::string_view text, const Map& labels) {
  auto selector = LabelSelector::parse(text);
  EXPECT_TRUE(selector) << text << ": " << (selector ? "" : selector.error().message);
  return selector && selector->matches(labels);
}

TEST(LabelSelector, TextSyntax) {
  const Map labels{{"app", "web"}, {"n", "5"}, {"empty", ""}};
  for (const char* text : {"", "app", "app=web", "app==web", "app != db", "app in (db, web)", "app notin (db)", "!x", "x!=1", "n>4", "n<6",
                           "app=web,n", "empty=", "empty in (,a)", " app = web , n "})
    EXPECT_TRUE(matches(text, labels)) << text;
  for (const char* text : {"x", "app=db", "!app", "app!=web", "app notin (web)", "n>5", "n<5", "app>1", "x in (a)", "app=web,x"})
    EXPECT_FALSE(matches(text, labels)) << text;
}

TEST(LabelSelector, BadSyntaxIsNamed) {
  for (const char* text : {"=a", "a b", "a in", "a in (b", "a,", ",", "a=b=c", "a in b", "-a", "a=-", "a>b", "!", "a in ()x"})
    EXPECT_FALSE(LabelSelector::parse(text)) << text;
  EXPECT_EQ(LabelSelector::parse("a b").error().message, "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
}

TEST(LabelSelector, WhatIsPrintedIsReadAsTheSame) {
  for (const char* text : {"a=b", "a in (x,y),b!=z,c,!d", "a notin (x,y)", "a>4,b<5", "a=", "a in (,x)", ""}) {
    const auto selector = LabelSelector::parse(text);
    ASSERT_TRUE(selector) << text;
    EXPECT_EQ(selector->print(), text);
  }
  EXPECT_EQ(LabelSelector::parse(" c , b==1, a in ( y,x ) ")->print(), "a in (x,y),b=1,c");
}

TEST(LabelSelector, FromTheStruct) {
  meta_v1::LabelSelector selector;
  EXPECT_TRUE(LabelSelector::from(selector)->matches(Map{}));
  selector.matchLabels["a"] = "1";
  selector.matchExpressions.push_back({"b", "In", {"y", "x"}});
  selector.matchExpressions.push_back({"c", "DoesNotExist", {}});
  auto made = LabelSelector::from(selector);
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->matches(Map{{"a", "1"}, {"b", "x"}}));
  EXPECT_FALSE(made->matches(Map{{"a", "1"}, {"b", "x"}, {"c", ""}}));
  EXPECT_EQ(made->print(), "a=1,b in (x,y),!c");
  EXPECT_TRUE(LabelSelector::parse(made->print()));
  selector.matchExpressions.push_back({"d", "In", {}});
  EXPECT_FALSE(LabelSelector::from(selector));
  selector.matchExpressions.back() = {"d", "Near", {"x"}};
  EXPECT_FALSE(LabelSelector::from(selector));
  EXPECT_FALSE(LabelSelector::nothing().matches(Map{}));
}

TEST(FieldSelector, SyntaxAndMatching) {
  auto selector = FieldSelector::parse("metadata.name=a,status.phase!=Running,spec.x==1\\,2");
  ASSERT_TRUE(selector);
  ASSERT_EQ(selector->requirements().size(), 3u);
  EXPECT_EQ(selector->requirements()[2].value, "1,2");
  EXPECT_EQ(*selector->fixed("metadata.name"), "a");
  EXPECT_EQ(selector->fixed("status.phase"), nullptr);
  const auto value = [](std::string_view path) { return path == "metadata.name" ? "a" : path == "spec.x" ? "1,2" : ""; };
  EXPECT_TRUE(selector->matches(value));
  EXPECT_TRUE(FieldSelector::parse("")->empty());
  EXPECT_FALSE(FieldSelector::parse("metadata.name"));
  EXPECT_FALSE(FieldSelector::parse("=a"));
  EXPECT_TRUE(FieldSelector::parse("spec.nodeName=")->matches([](std::string_view) { return ""; }));
}

}  // namespace
}  // namespace estiba::model
