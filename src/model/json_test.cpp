#include "model/json.h"
#include "model/json_skim.h"

#include <gtest/gtest.h>

#include <thread>

namespace estiba::json {
namespace {

std::string again(std::string_view text) {
  auto document = Document::parse(text);
  return document ? print(document->root()) : document.error().message;
}

std::string error_of(std::string_view text, const ParseOptions& options = {}) {
  auto document = Document::parse(text, options);
  return document ? "no error" : document.error().message;
}

TEST(Json, PrintsWhatItParsedWithOrderAndNumberTextKept) {
  EXPECT_EQ(again(R"({ "b" : 1.50, "a":[ ], "c": {"x":null,"y":[true,false,-0,1e400]} })"),
            R"({"b":1.50,"a":[],"c":{"x":null,"y":[true,false,-0,1e400]}})");
  EXPECT_EQ(again(" \"x\" \n"), "\"x\"");
  EXPECT_EQ(again("0"), "0");
}

TEST(Json, UnescapesAndEscapesLikeGo) {
  auto document = Document::parse(R"(["a\"\\\/\b\f\n\r\t\u0041","\ud83d\ude00","\ud83dx","\u0000", "<&>"])");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(document->root()[0].as_string(), "a\"\\/\b\f\n\r\tA");
  EXPECT_EQ(document->root()[1].as_string(), "😀");
  EXPECT_EQ(document->root()[2].as_string(), "\xef\xbf\xbdx");
  EXPECT_EQ(document->root()[3].as_string(), std::string_view("\0", 1));
  EXPECT_EQ(print(document->root()), R"(["a\"\\/\b\f\n\r\tA","😀","�x","\u0000","\u003c\u0026\u003e"])");
}

TEST(Json, EscapesLineSeparatorsAndReplacesInvalidUtf8WhenPrinting) {
  std::string out;
  append_string(out,
                "a\xe2\x80\xa8"
                "b\xff\xc3");
  EXPECT_EQ(out, R"("a\u2028b\ufffd\ufffd")");
}

TEST(Json, LongStringsWithEscapesAtEveryOffset) {
  for (size_t before = 0; before < 20; ++before)
    for (size_t after = 0; after < 20; ++after) {
      const std::string text = std::string(before, 'x') + "\n" + "ä" + std::string(after, 'y');
      std::string literal;
      append_string(literal, text);
      auto document = Document::parse(literal);
      ASSERT_TRUE(document) << literal;
      EXPECT_EQ(document->root().as_string(), text);
    }
}

TEST(Json, ErrorsNameLineAndColumn) {
  EXPECT_EQ(error_of("{\n  \"a\": x\n}"), "JSON line 2, column 8: expected a value");
  EXPECT_EQ(error_of("{\"a\":1"), "JSON line 1, column 7: unexpected end of the text");
  EXPECT_EQ(error_of(""), "JSON line 1, column 1: unexpected end of the text");
  EXPECT_EQ(error_of("[1,]"), "JSON line 1, column 4: expected a value");
  EXPECT_EQ(error_of("[1 2]"), "JSON line 1, column 4: expected ',' or ']'");
  EXPECT_EQ(error_of("1 2"), "JSON line 1, column 3: unexpected text after the value");
  EXPECT_EQ(error_of("[01]"), "JSON line 1, column 3: a number must not start with 0");
  EXPECT_EQ(error_of("\"\t\""), "JSON line 1, column 2: a control character in a string must be escaped");
  EXPECT_EQ(error_of("\"\xc0\x80\""), "JSON line 1, column 2: the text is not valid UTF-8");
  EXPECT_EQ(error_of("\"\xed\xa0\x80\""), "JSON line 1, column 2: the text is not valid UTF-8");
  EXPECT_EQ(error_of("{a:1}"), "JSON line 1, column 2: expected a member name in quotes");
}

TEST(Json, EveryTruncationIsAnErrorAndNeverReadsPastTheEnd) {
  const std::string text = R"({"a":[1,-2.5e+3,"x\u00e4\n",true,null],"b":{"c":"ü"}})";
  for (size_t n = 0; n < text.size(); ++n) EXPECT_FALSE(Document::parse(std::string(text, 0, n))) << n;
  EXPECT_TRUE(Document::parse(text));
}

TEST(Json, NestingIsBounded) {
  const std::string deep = std::string(600, '[') + std::string(600, ']');
  EXPECT_EQ(error_of(deep), "JSON line 1, column 513: nested too deeply: at most 512 levels are allowed");
  EXPECT_TRUE(Document::parse(deep, {.max_depth = 600}));
}

TEST(Json, DuplicatesAreErrorsOrReportedWithTheirPathAndTheLastWins) {
  EXPECT_EQ(error_of(R"({"a":1,"a":2})"), "JSON line 1, column 8: duplicate member \"a\"");
  std::vector<std::string> duplicates;
  auto document = Document::parse(R"({"spec":{"containers":[{"name":"x"},{"name":"y","z":0,"name":"w"}]},"k":1,"k":{"a":2}})",
                                  {.allow_duplicate_keys = true, .duplicates = &duplicates});
  ASSERT_TRUE(document);
  EXPECT_EQ(duplicates, (std::vector<std::string>{"spec.containers[1].name", "k"}));
  EXPECT_EQ(print(document->root()), R"({"spec":{"containers":[{"name":"x"},{"name":"w","z":0}]},"k":{"a":2}})");
}

TEST(Json, DuplicatesAreToldOnceAndNotWithoutEnd) {
  std::vector<std::string> duplicates;
  std::string text = "{\"" + std::string(100'000, 'k') + "\":{\"a\":0";
  for (int i = 0; i < 10'000; ++i) text += ",\"a\":1,\"b" + std::to_string(i % 5000) + "\":1";
  auto document = Document::parse(text + "}}", {.allow_duplicate_keys = true, .duplicates = &duplicates});
  ASSERT_TRUE(document);
  EXPECT_LE(duplicates.size(), 64u);
  for (const std::string& path : duplicates) EXPECT_LT(path.size(), 600u);
  duplicates.clear();
  ASSERT_TRUE(Document::parse(R"({"a":1,"a":2,"a":3})", {.allow_duplicate_keys = true, .duplicates = &duplicates}));
  EXPECT_EQ(duplicates, std::vector<std::string>{"a"});
}

TEST(Json, DuplicatesAreFoundInBigObjects) {
  std::string text = "{";
  for (int i = 0; i < 1000; ++i) text += "\"k" + std::to_string(i) + "\":1,";
  EXPECT_TRUE(Document::parse(text + "\"x\":1}"));
  EXPECT_FALSE(Document::parse(text + "\"k3\":1}"));
  EXPECT_FALSE(Document::parse(text + "\"k999\":1}"));
}

TEST(Json, IntegersByValue) {
  const auto as_int = [](std::string_view text) { return Document::parse(text)->root().as_int(); };
  EXPECT_EQ(as_int("1e3"), 1000);
  EXPECT_EQ(as_int("1.0"), 1);
  EXPECT_EQ(as_int("1.50e1"), 15);
  EXPECT_EQ(as_int("100e-2"), 1);
  EXPECT_EQ(as_int("1.5"), std::nullopt);
  EXPECT_EQ(as_int("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(as_int("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(as_int("9223372036854775808"), std::nullopt);
  EXPECT_EQ(as_int("1e400"), std::nullopt);
  EXPECT_EQ(as_int("0e9"), 0);
  EXPECT_EQ(as_int("\"1\""), std::nullopt);
  EXPECT_EQ(Document::parse("2.5")->root().as_double(), 2.5);
}

TEST(Json, ChangesKeepTheListsLinked) {
  Document d;
  d.set_root(d.make_object());
  Node& root = d.root();
  d.set(root, "a", d.make_int(-5));
  d.set(root, "b", "x<y");
  d.set(root, "c", d.make_bool(true));
  d.set(root, "b", d.make_double(0.25));
  EXPECT_EQ(print(root), R"({"a":-5,"b":0.25,"c":true})");
  EXPECT_TRUE(d.remove(root, "c"));
  EXPECT_FALSE(d.remove(root, "c"));
  d.set(d.ensure_object(root, "m"), "n", d.make_null());
  EXPECT_EQ(print(root), R"({"a":-5,"b":0.25,"m":{"n":null}})");
  Node& list = d.set(root, "l", d.make_array());
  for (int i : {1, 3}) d.append(list, d.make_int(i));
  d.insert(list, 0, d.make_int(0));
  d.insert(list, 2, d.make_int(2));
  d.insert(list, 4, d.make_int(4));
  EXPECT_EQ(print(list), "[0,1,2,3,4]");
  d.remove(list, 4u);
  d.remove(list, 0u);
  d.append(list, d.make_int(9));
  EXPECT_EQ(print(list), "[1,2,3,9]");
  d.assign(list, *root.find("m"));
  EXPECT_EQ(print(root), R"({"a":-5,"b":0.25,"m":{"n":null},"l":{"n":null}})");
  EXPECT_EQ(root.at("l", "n")->type(), Type::null);
  EXPECT_EQ(root.at("l", "x"), nullptr);
  d.clear(root);
  EXPECT_EQ(print(root), "{}");
}

TEST(Json, ReplacingTheLastMemberKeepsAppendingRight) {
  Document d;
  Node& root = d.make_object();
  d.set(root, "a", "1");
  d.set(root, "a", "2");
  d.set(root, "b", "3");
  EXPECT_EQ(print(root), R"({"a":"2","b":"3"})");
}

TEST(Json, CopiesAreIndependentOfTheirSource) {
  Document d;
  {
    auto other = Document::parse(R"({"k":[{"x":"a long string that is kept somewhere else"}]})");
    d.set_root(d.copy(other->root()));
  }
  EXPECT_EQ(print(d.root()), R"({"k":[{"x":"a long string that is kept somewhere else"}]})");
}

TEST(Json, AssigningANodeItsOwnChild) {
  auto d = Document::parse(R"({"a":{"b":{"c":1}}})");
  d->assign(*d->root().find("a"), *d->root().at("a", "b"));
  EXPECT_EQ(print(d->root()), R"({"a":{"c":1}})");
}

TEST(Json, MembersCanBeLeftOut) {
  constexpr std::string_view names[] = {"x", "long"};
  auto without = [&](std::string_view text) {
    auto doc = parse_without(text, names);
    return doc ? print(doc->root()) : doc.error().message;
  };
  EXPECT_EQ(without(R"({"a":1,"x":{"b":[1,{"c":"}]\\\"x"}]},"d":{"long":"text \" , }","e":true},"x2":[{"x":null}]})"),
            R"({"a":1,"d":{"e":true},"x2":[{}]})");
  EXPECT_EQ(without(R"({"x":[]})"), "{}");
  EXPECT_EQ(without(R"({"x":-1.5e3 , "y":2, "long":[[],[{}]]})"), R"({"y":2})");
  EXPECT_EQ(without(R"(["x","long"])"), R"(["x","long"])");
  for (std::string_view broken : {R"({"x":)", R"({"x":[)", R"({"x":"a)", R"({"x":{"b":1})", R"({"x")"})
    EXPECT_FALSE(parse_without(broken, names));
}

TEST(Json, MembersOfOneMemberCanBeLeftOut) {
  constexpr std::string_view names[] = {"x"};
  const auto doc = parse_without(R"({"x":1,"m":{"x":[{"x":2}],"y":{"x":3}},"n":{"x":4,"m":{"x":5}},"l":[{"m":{"x":6}}]})", "m", names);
  ASSERT_TRUE(doc);
  EXPECT_EQ(print(doc->root()), R"({"x":1,"m":{"y":{"x":3}},"n":{"x":4,"m":{"x":5}},"l":[{"m":{"x":6}}]})");
}

TEST(Json, MemoryOfDocumentsIsUsedAgain) {
  // More documents than a thread keeps chunks for, of sizes around the usual one, ended in another order and on another thread.
  std::vector<Document> documents;
  for (size_t i = 0; i < 32; ++i) {
    const std::string text(1000 * i, char('a' + i % 26));
    documents.push_back(*Document::parse("{\"text\":\"" + text + "\",\"list\":[1,2,3]}"));
    if (i % 3 == 0) documents.erase(documents.begin() + ptrdiff_t(i / 3));
  }
  for (const Document& document : documents) {
    const std::string_view text = document.root().string_at("text");
    EXPECT_EQ(text, std::string(text.size(), text.empty() ? 'a' : text[0]));
    EXPECT_EQ(print(*document.root().find("list")), "[1,2,3]");
  }
  std::thread([moved = std::move(documents)]() mutable { moved.clear(); }).join();
}

TEST(Json, EqualityIgnoresMemberOrderAndNumberSpelling) {
  const auto same = [](std::string_view a, std::string_view b) { return equal(Document::parse(a)->root(), Document::parse(b)->root()); };
  EXPECT_TRUE(same(R"({"a":1,"b":[2.0]})", R"({"b":[2],"a":1e0})"));
  EXPECT_FALSE(same(R"({"a":1})", R"({"a":1,"b":2})"));
  EXPECT_FALSE(same(R"({"a":1,"b":1})", R"({"a":1,"c":1})"));
  EXPECT_FALSE(same("[1,2]", "[2,1]"));
  EXPECT_FALSE(same("1", "\"1\""));
  EXPECT_TRUE(same("0.5", "5e-1"));
}

TEST(Json, PrettyPrintsByTwoSpaces) {
  EXPECT_EQ(print_pretty(Document::parse(R"({"a":[1,{"b":[]}],"c":{}})")->root()),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}");
}

TEST(Json, DoublesPrintAsGoDoes) {
  Document d;
  EXPECT_EQ(d.make_double(100).number_text(), "100");
  EXPECT_EQ(d.make_double(0.1).number_text(), "0.1");
  EXPECT_EQ(d.make_double(1e21).number_text(), "1e+21");
  EXPECT_TRUE(d.make_double(1.0 / 0.0).is_null());
}

}  // namespace
}  // namespace estiba::json
