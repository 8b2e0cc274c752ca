#include "model/patch.h"

#include <gtest/gtest.h>

namespace estiba::model {
namespace {

using json::Document;

std::string json_patch(std::string_view object, std::string_view patch, const PatchLimits& limits = {}) {
  auto document = *Document::parse(object);
  auto result = apply_json_patch(document, Document::parse(patch)->root(), limits);
  return result ? json::print(document.root()) : "error: " + result.error().message;
}

std::string merge_patch(std::string_view object, std::string_view patch) {
  auto document = *Document::parse(object);
  auto result = apply_merge_patch(document, Document::parse(patch)->root());
  return result ? json::print(document.root()) : "error: " + result.error().message;
}

std::string strategic(std::string_view object, std::string_view patch, std::string_view kind = "Deployment",
                      std::string_view api = "apps/v1") {
  auto document = *Document::parse(object);
  auto parsed = Document::parse(patch);
  EXPECT_TRUE(parsed) << patch;
  auto result = apply_strategic_merge_patch(document, parsed->root(), *schema::find_kind(api, kind));
  return result ? json::print(document.root()) : "error: " + result.error().message;
}

TEST(JsonPatch, EveryOperation) {
  EXPECT_EQ(
      json_patch(
          R"({"a":1})",
          R"([{"op":"add","path":"/b","value":{"c":[1]}},{"op":"add","path":"/b/c/-","value":3},{"op":"add","path":"/b/c/1","value":2}])"),
      R"({"a":1,"b":{"c":[1,2,3]}})");
  EXPECT_EQ(json_patch(R"({"a":[1,2,3],"b":1})", R"([{"op":"remove","path":"/a/1"},{"op":"remove","path":"/b"}])"), R"({"a":[1,3]})");
  EXPECT_EQ(json_patch(R"({"a":{"b":1}})", R"([{"op":"replace","path":"/a/b","value":"x"}])"), R"({"a":{"b":"x"}})");
  EXPECT_EQ(json_patch(R"({"a":{"b":1},"c":{}})", R"([{"op":"move","from":"/a/b","path":"/c/d"}])"), R"({"a":{},"c":{"d":1}})");
  EXPECT_EQ(json_patch(R"({"a":{"b":1}})", R"([{"op":"copy","from":"/a","path":"/a/c"}])"), R"({"a":{"b":1,"c":{"b":1}}})");
  EXPECT_EQ(
      json_patch(R"({"a":[1,{"b":2}]})", R"([{"op":"test","path":"/a","value":[1.0,{"b":2}]},{"op":"test","path":"/x","value":null}])"),
      R"({"a":[1,{"b":2}]})");
  EXPECT_EQ(json_patch(R"({"a/b":{"m~n":1}})", R"([{"op":"replace","path":"/a~1b/m~0n","value":2}])"), R"({"a/b":{"m~n":2}})");
  EXPECT_EQ(json_patch(R"({"a":1})", R"([{"op":"replace","path":"","value":{"b":2}}])"), R"({"b":2})");
}

TEST(JsonPatch, WhatDoesNotApplyIsNamed) {
  EXPECT_EQ(json_patch(R"({"a":1})", R"([{"op":"test","path":"/a","value":2}])"), "error: testing value /a failed");
  EXPECT_EQ(json_patch(R"({"a":1})", R"([{"op":"remove","path":"/b"}])"), "error: remove operation does not apply: /b: missing value");
  EXPECT_EQ(json_patch(R"({"a":1})", R"([{"op":"replace","path":"/b/c","value":1}])"),
            "error: replace operation does not apply: /b/c: missing value");
  EXPECT_EQ(json_patch(R"({"a":[]})", R"([{"op":"add","path":"/a/1","value":1}])"),
            "error: add operation does not apply: /a/1: invalid array index");
  EXPECT_EQ(json_patch(R"({"a":[]})", R"([{"op":"add","path":"/a/01","value":1}])"),
            "error: add operation does not apply: /a/01: invalid array index");
  EXPECT_EQ(json_patch("{}", R"([{"op":"spoil","path":"/a"}])"),
            "error: JSON patch: unknown operation \"spoil\": use add, remove, replace, move, copy or test");
  EXPECT_EQ(json_patch("{}", R"({"op":"add"})"), "error: JSON patch: expected an array of operations");
  EXPECT_EQ(json_patch("{}", R"([{"op":"add","path":"a","value":1}])"), "error: JSON patch: path \"a\" does not begin with '/'");
  EXPECT_EQ(json_patch(R"({"a":{"b":1}})", R"([{"op":"move","from":"/a","path":"/a/b"}])"),
            "error: JSON patch: /a/b: a value cannot be moved into itself");
}

TEST(JsonPatch, CopiesAndDepthAreBounded) {
  std::string patch = "[";
  for (int i = 0; i < 40; ++i) patch += std::string(i ? "," : "") + R"({"op":"copy","from":"/a","path":"/a/-"})";
  EXPECT_EQ(json_patch(R"({"a":["xxxxxxxxxx"]})", patch + "]", {.copied_bytes = 100000}),
            "error: JSON patch: the copies exceed 100000 bytes");
  EXPECT_EQ(json_patch(R"({"a":[]})", patch + "]", {.depth = 20}).substr(0, 40), "error: copy operation does not apply: /a");
  EXPECT_EQ(json_patch(R"({"a":[]})", patch + "]", {.operations = 20}).substr(0, 30), "error: JSON patch: the allowed");
}

TEST(MergePatch, TheExamplesOfRfc7386) {
  EXPECT_EQ(merge_patch(R"({"a":"b"})", R"({"a":"c"})"), R"({"a":"c"})");
  EXPECT_EQ(merge_patch(R"({"a":"b"})", R"({"b":"c"})"), R"({"a":"b","b":"c"})");
  EXPECT_EQ(merge_patch(R"({"a":"b","b":"c"})", R"({"a":null})"), R"({"b":"c"})");
  EXPECT_EQ(merge_patch(R"({"a":["b"]})", R"({"a":"c"})"), R"({"a":"c"})");
  EXPECT_EQ(merge_patch(R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})"), R"({"a":{"b":"d"}})");
  EXPECT_EQ(merge_patch(R"({"a":[{"b":"c"}]})", R"({"a":[1]})"), R"({"a":[1]})");
  EXPECT_EQ(merge_patch(R"({"e":null})", R"({"a":1})"), R"({"e":null,"a":1})");
  EXPECT_EQ(merge_patch(R"({})", R"({"a":{"bb":{"ccc":null}}})"), R"({"a":{"bb":{}}})");
  EXPECT_EQ(merge_patch(R"({})", "[]"), "error: merge patch: expected an object, got array");
}

TEST(StrategicPatch, ListsMergeByTheirKeys) {
  EXPECT_EQ(
      strategic(R"({"spec":{"template":{"spec":{"containers":[{"name":"a","image":"1","env":[{"name":"X","value":"1"}]},{"name":"b"}]}}}})",
                R"({"spec":{"template":{"spec":{"containers":[{"name":"a","image":"2","env":[{"name":"Y","value":"2"}]}]}}}})"),
      R"({"spec":{"template":{"spec":{"containers":[{"name":"a","image":"2","env":[{"name":"Y","value":"2"},)"
      R"({"name":"X","value":"1"}]},{"name":"b"}]}}}})");
  EXPECT_EQ(strategic(R"({"spec":{"containers":[{"name":"a","args":["x","y"]}]}})",
                      R"({"spec":{"containers":[{"name":"a","args":["z"]}]}})", "Pod", "v1"),
            R"({"spec":{"containers":[{"name":"a","args":["z"]}]}})");
  EXPECT_EQ(strategic(R"({"metadata":{"finalizers":["a","b"]}})", R"({"metadata":{"finalizers":["c","a"]}})"),
            R"({"metadata":{"finalizers":["c","a","b"]}})");
  // A new element stands before those that the patch does not name.
  EXPECT_EQ(strategic(R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})", R"({"spec":{"containers":[{"name":"c"}]}})", "Pod", "v1"),
            R"({"spec":{"containers":[{"name":"c"},{"name":"a"},{"name":"b"}]}})");
}

TEST(StrategicPatch, DirectivesDeleteAndReplace) {
  EXPECT_EQ(strategic(R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
                      R"({"spec":{"containers":[{"name":"a","$patch":"delete"}]}})", "Pod", "v1"),
            R"({"spec":{"containers":[{"name":"b"}]}})");
  EXPECT_EQ(strategic(R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
                      R"({"spec":{"containers":[{"$patch":"replace"},{"name":"c"}]}})", "Pod", "v1"),
            R"({"spec":{"containers":[{"name":"c"}]}})");
  // All of that name go, and the name can be used again.
  EXPECT_EQ(strategic(R"({"spec":{"containers":[{"name":"a","image":"1"},{"name":"b"},{"name":"a"}]}})",
                      R"({"spec":{"containers":[{"name":"a","$patch":"delete"},{"name":"a","image":"2"},{"name":"b","image":"3"}]}})",
                      "Pod", "v1"),
            R"({"spec":{"containers":[{"name":"a","image":"2"},{"name":"b","image":"3"}]}})");
  EXPECT_EQ(strategic(R"({"metadata":{"labels":{"a":"1"}}})", R"({"metadata":{"labels":{"$patch":"replace","b":"2"}}})"),
            R"({"metadata":{"labels":{"b":"2"}}})");
  EXPECT_EQ(strategic(R"({"metadata":{"labels":{"a":"1"}}})", R"({"metadata":{"labels":{"a":null,"c":"3"}}})"),
            R"({"metadata":{"labels":{"c":"3"}}})");
  EXPECT_EQ(strategic(R"({"metadata":{"finalizers":["a","b","c"]}})", R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["b"]}})"),
            R"({"metadata":{"finalizers":["a","c"]}})");
  EXPECT_EQ(strategic(R"({"spec":{}})",
                      R"({"spec":{"template":{"spec":{"containers":[{"name":"a","x":null},{"name":"b","$patch":"delete"}]}}}})"),
            R"({"spec":{"template":{"spec":{"containers":[{"name":"a"}]}}}})");
}

TEST(StrategicPatch, RetainKeysClearsTheOtherMembersOfAUnion) {
  EXPECT_EQ(strategic(R"({"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}})",
                      R"({"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}})"),
            R"({"spec":{"strategy":{"type":"Recreate"}}})");
  EXPECT_EQ(strategic(R"({"spec":{"volumes":[{"name":"v","emptyDir":{}}]}})",
                      R"({"spec":{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/x"}}]}})", "Pod", "v1"),
            R"({"spec":{"volumes":[{"name":"v","hostPath":{"path":"/x"}}]}})");
  EXPECT_EQ(strategic("{}", R"({"spec":{"strategy":{"$retainKeys":["type"],"other":1}}})").substr(0, 5), R"({"spe)");
}

TEST(StrategicPatch, SetElementOrderSortsTheList) {
  EXPECT_EQ(strategic(R"({"spec":{"containers":[{"name":"a"},{"name":"b"},{"name":"c"}]}})",
                      R"({"spec":{"$setElementOrder/containers":[{"name":"c"},{"name":"a"}],"containers":[{"name":"a","image":"x"}]}})",
                      "Pod", "v1"),
            R"({"spec":{"containers":[{"name":"b"},{"name":"c"},{"name":"a","image":"x"}]}})");
  EXPECT_EQ(strategic(R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
                      R"({"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]}})", "Pod", "v1"),
            R"({"spec":{"containers":[{"name":"b"},{"name":"a"}]}})");
  EXPECT_EQ(strategic(R"({"spec":{"containers":[{"name":"a"}]}})",
                      R"({"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"b"}]}})", "Pod", "v1"),
            "error: strategic merge patch: the elements of \"containers\" must be in its $setElementOrder list");
}

TEST(StrategicPatch, MistakesAreNamed) {
  EXPECT_EQ(strategic(R"({"spec":{"containers":[]}})", R"({"spec":{"containers":[{"image":"x"}]}})", "Pod", "v1"),
            "error: strategic merge patch: an element of \"containers\" does not contain declared merge key: name");
  EXPECT_EQ(strategic("{}", R"({"$patch":"spoil"})"),
            "error: strategic merge patch: unknown $patch directive \"spoil\": use merge, replace or delete");
}

}  // namespace
}  // namespace estiba::model
