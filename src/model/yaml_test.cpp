#include "model/yaml.h"

#include <gtest/gtest.h>

namespace estiba::model {
namespace {

std::string to_json(std::string_view text, const YamlOptions& options = {}) {
  auto document = parse_yaml(text, options);
  return document ? json::print(document->root()) : document.error().message;
}

TEST(Yaml, ReadsManifests) {
  EXPECT_EQ(
      to_json("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {x: z}\ndata:\n  f: |\n    line 1\n    line 2\nlist:\n- "
              "a\n- b: 1\n"),
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"x":"z"}},)"
      R"("data":{"f":"line 1\nline 2\n"},"list":["a",{"b":1}]})");
  EXPECT_EQ(to_json("{\"a\": [1, 2.5, true, null, \"x\\u00e4\"]}"), R"({"a":[1,2.5,true,null,"xä"]})");
  EXPECT_EQ(to_json(""), "null");
}

TEST(Yaml, ScalarsFollowYaml11AsGoYamlReadsIt) {
  EXPECT_EQ(to_json("[yes, No, on, OFF, y, true, ~, Null, '', 'yes']"), R"([true,false,true,false,true,true,null,null,"","yes"])");
  EXPECT_EQ(to_json("[0644, 0o17, 0x1F, 0b11, 1_000, -5, +7, 0, 08, 1e3, .5, 1., 12e-1]"), "[420,15,31,3,1000,-5,7,0,8,1000,0.5,1,1.2]");
  EXPECT_EQ(to_json("[1.2.3, 10:30, 2026-11-21, 1e, 0xg, -, 80/tcp]"), R"(["1.2.3","10:30","2026-11-21","1e","0xg","-","80/tcp"])");
  EXPECT_EQ(to_json("[!!str 5, !!int '5', !!bool 'yes', !!float 1, !!binary aGk=, ! 5]"), R"(["5",5,true,1,"hi","5"])");
  EXPECT_EQ(to_json("{1: a, true: b, 1.5: c}"), R"({"1":"a","true":"b","1.5":"c"})");
  EXPECT_EQ(to_json("a: .inf"), "YAML line 1, column 4: JSON has no number like .inf");
}

TEST(Yaml, AnchorsAndMergeKeysExpand) {
  EXPECT_EQ(to_json("base: &b {x: 1, z: 2}\nuse:\n  <<: *b\n  z: 3\nlist: [*b]\n"),
            R"({"base":{"x":1,"z":2},"use":{"x":1,"z":3},"list":[{"x":1,"z":2}]})");
  EXPECT_EQ(to_json("a: *nope"), "YAML line 1, column 4: unknown anchor \"nope\"");
  EXPECT_EQ(to_json("a: &x [*x]"), "YAML line 1, column 8: unknown anchor \"x\"");
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string p = "*a" + std::to_string(i - 1);
    bomb +=
        "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + p + "," + p + "," + p + "," + p + "," + p + "," + p + "," + p + "]\n";
  }
  EXPECT_NE(to_json(bomb).find("excessive aliasing"), std::string::npos);
  // Few nodes, many bytes.
  std::string long_text = "x: &x " + std::string(100'000, 'y') + "\nuse: [";
  for (int i = 0; i < 50; ++i) long_text += "*x,";
  EXPECT_NE(to_json(long_text + "]").find("excessive aliasing"), std::string::npos);
  std::string long_key = "x: &x {? " + std::string(100'000, 'y') + " : 1}\nuse: [";
  for (int i = 0; i < 50; ++i) long_key += "*x,";
  EXPECT_NE(to_json(long_key + "]").find("excessive aliasing"), std::string::npos);
}

TEST(Yaml, LocalTagsAreListedWhereTheyAreWanted) {
  std::vector<YamlTag> tags;
  EXPECT_EQ(to_json("a: {b.c: !reset null, d: !override [1]}\ne: [{f: !x t}]\ng: !!str 1\n", {.local_tags = &tags}),
            "{\"a\":{\"b.c\":null,\"d\":[1]},\"e\":[{\"f\":\"t\"}],\"g\":\"1\"}");
  ASSERT_EQ(tags.size(), 3u);
  EXPECT_EQ(tags[0].tag, "!reset");
  EXPECT_EQ(tags[0].keys, (std::vector<std::string>{"a", "b.c"}));
  EXPECT_FALSE(tags[0].in_list);
  EXPECT_EQ(tags[1].tag, "!override");
  EXPECT_EQ(tags[2].line, 2u);
  EXPECT_TRUE(tags[2].in_list);
}

TEST(Yaml, SeveralDocumentsAndEmptyOnes) {
  auto documents = parse_yaml_documents("---\na: 1\n---\n# nothing\n---\nb: 2\n...\n");
  ASSERT_TRUE(documents);
  ASSERT_EQ(documents->size(), 2u);
  EXPECT_EQ(json::print((*documents)[1].root()), R"({"b":2})");
  EXPECT_EQ(to_json("a: 1\n---\nb: 1\n"), "YAML: expected one document, found 2");
}

TEST(Yaml, ErrorsNameTheLine) {
  EXPECT_EQ(to_json("a: 1\n b: 2\n").substr(0, 22), "YAML line 2, column 3:");
  EXPECT_EQ(to_json("a:\n\t- b\n").substr(0, 12), "YAML line 2,");
  EXPECT_EQ(to_json("a: [1, 2\n").substr(0, 10), "YAML line ");
  EXPECT_EQ(to_json("a: 1\nb: 2\na: 3\n"), "YAML line 3, column 1: key \"a\" already set in map");
  EXPECT_EQ(to_json("[1]: a"), "YAML line 1, column 1: a mapping's key must be a string, a number or a boolean");
  EXPECT_EQ(to_json("a: \xff").substr(0, 9), "YAML line");
  EXPECT_NE(to_json(std::string(600, '[') + std::string(600, ']')).find("nested too deeply"), std::string::npos);
}

TEST(Yaml, DuplicatesCanBeAllowedAndReported) {
  std::vector<std::string> duplicates;
  EXPECT_EQ(to_json("spec:\n  a: 1\n  a: 2\nl:\n- x: 1\n  x: 2\n", {.allow_duplicate_keys = true, .duplicates = &duplicates}),
            R"({"spec":{"a":2},"l":[{"x":2}]})");
  EXPECT_EQ(duplicates, (std::vector<std::string>{"line 3: key \"a\" already set in map", "line 6: key \"x\" already set in map"}));
}

TEST(Yaml, PrintingReadsBackTheSame) {
  const std::string text =
      R"({"a":"plain","b":"yes","c":"0644","d":"","e":" x","f":"a: b","g":"- x","h":"line\nline\n","i":"line\nline","j":"x\n\n",)"
      R"("k":[1,{"l":[["m"]],"n":{}}],"o":[],"p":"ä","q":null,"r":true,"s":"# c","t":"tab\t","u":"-x","v":{"w y":{"z":1.5}},)"
      R"("key: odd":"*","x":"null","y":"a #b","1":"2","lead":"  a\nb","trail":"a \nb","-":"---"})";
  auto document = json::Document::parse(text);
  ASSERT_TRUE(document) << document.error().message;
  const std::string printed = print_yaml(document->root());
  EXPECT_EQ(to_json(printed), json::print(document->root())) << printed;
}

TEST(Yaml, PrintsAsKubectlDoes) {
  EXPECT_EQ(print_yaml(json::Document::parse(
                           R"({"kind":"Pod","spec":{"containers":[{"name":"a","args":["x","y"]},{"name":"b"}]},"s":"1\n2\n","e":{}})")
                           ->root()),
            "kind: Pod\nspec:\n  containers:\n  - name: a\n    args:\n    - x\n    - \"y\"\n  - name: b\ns: |\n  1\n  2\ne: {}\n");
}

}  // namespace
}  // namespace estiba::model
