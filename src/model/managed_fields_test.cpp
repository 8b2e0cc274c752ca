#include "model/managed_fields.h"

#include <gtest/gtest.h>

#include <deque>

#include "model/typed.h"

namespace estiba::model {
namespace {

using json::Document;

Document parse(std::string_view text) {
  auto parsed = Document::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? std::move(*parsed) : Document();
}

const schema::Type& type_of(std::string_view api_version, std::string_view kind) {
  const schema::Type* type = schema::find_kind(api_version, kind);
  EXPECT_TRUE(type);
  return *type;
}

// ---- FieldsV1

std::string again(std::string_view text) {
  FieldPool pool;
  const Document doc = parse(text);
  const auto set = read_fields(pool, doc.root());
  if (!set) return set.error().message;
  Document out;
  out.set_root(out.make_object());
  write_fields(out, out.root(), *set);
  return json::print(out.root());
}

TEST(FieldSet, ReadsAndWritesFieldsV1) {
  for (std::string_view text : {
           R"({})",
           R"({"f:spec":{"f:replicas":{}}})",
           R"({"f:metadata":{"f:labels":{".":{},"f:app":{}}}})",
           R"({"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}}})",
           R"({"f:finalizers":{"v:\"a/b\"":{}}})",
           R"({"f:x":{"i:0":{}}})",
       })
    EXPECT_EQ(again(text), text);
}

TEST(FieldSet, SortsStepsAsKubernetesDoes) {
  EXPECT_EQ(again(R"({"f:b":{},"f:a":{}})"), R"({"f:a":{},"f:b":{}})");
  EXPECT_EQ(again(R"({"f:p":{"k:{\"port\":443}":{},"k:{\"port\":80}":{}}})"), R"({"f:p":{"k:{\"port\":80}":{},"k:{\"port\":443}":{}}})");
  EXPECT_EQ(again(R"({"v:1":{},"f:a":{},"i:2":{},"k:{\"n\":1}":{}})"), R"({"f:a":{},"k:{\"n\":1}":{},"v:1":{},"i:2":{}})");
}

TEST(FieldSet, SpellsKeysInOneWay) {
  EXPECT_EQ(again(R"({"k:{ \"b\": 1.0, \"a\": \"x\" }":{}})"), R"({"k:{\"a\":\"x\",\"b\":1}":{}})");
  EXPECT_EQ(again(R"({"f:a":{},"f:a2":{},"v:1e0":{},"v:1":{}})"), R"({"f:a":{},"f:a2":{},"v:1":{}})");
}

TEST(FieldSet, RefusesWhatIsNoStepAndSkipsUnknownKinds) {
  EXPECT_NE(again(R"({"spec":{}})").find("missing colon"), std::string::npos);
  EXPECT_NE(again(R"({"k:nonsense":{}})").find("no path element"), std::string::npos);
  EXPECT_NE(again(R"({"i:x":{}})").find("index"), std::string::npos);
  EXPECT_NE(again(R"({"f:a":1})").find("expected an object"), std::string::npos);
  EXPECT_EQ(again(R"({"f:a":{},"z:later":{"f:b":{}}})"), R"({"f:a":{}})");
}

struct SetFixture : ::testing::Test {
  FieldSet set(std::string_view text) {
    documents.push_back(parse(text));
    return *read_fields(pool, documents.back().root());
  }
  std::string text(FieldSet set) {
    Document out;
    out.set_root(out.make_object());
    write_fields(out, out.root(), set);
    return json::print(out.root());
  }
  std::deque<Document> documents;
  FieldPool pool;
};

TEST_F(SetFixture, UnionIntersectionDifference) {
  const FieldSet a = set(R"({"f:a":{".":{},"f:x":{},"f:y":{}},"f:b":{}})");
  const FieldSet b = set(R"({"f:a":{"f:y":{},"f:z":{}},"f:c":{}})");
  EXPECT_EQ(text(unite(pool, a, b)), R"({"f:a":{".":{},"f:x":{},"f:y":{},"f:z":{}},"f:b":{},"f:c":{}})");
  EXPECT_EQ(text(intersect(pool, a, b)), R"({"f:a":{"f:y":{}}})");
  EXPECT_EQ(text(subtract(pool, a, b)), R"({"f:a":{".":{},"f:x":{}},"f:b":{}})");
  EXPECT_EQ(text(subtract(pool, b, a)), R"({"f:a":{"f:z":{}},"f:c":{}})");
  EXPECT_EQ(subtract(pool, a, a), nullptr);
  EXPECT_TRUE(equal(unite(pool, a, nullptr), a));
}

TEST_F(SetFixture, DifferenceTakesMembersOrAllBelow) {
  const FieldSet a = set(R"({"f:a":{"f:x":{}}})"), parent = set(R"({"f:a":{}})");
  EXPECT_EQ(text(subtract(pool, a, parent)), R"({"f:a":{"f:x":{}}})");
  EXPECT_EQ(subtract_below(pool, a, parent), nullptr);
  EXPECT_EQ(text(subtract_below(pool, parent, a)), R"({"f:a":{}})");
}

TEST_F(SetFixture, NamesPaths) {
  EXPECT_EQ(to_string(set(R"({"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{}}},"f:fin":{"v:\"a\"":{}}}})")),
            ".spec.containers[name=\"c\"]\n.spec.containers[name=\"c\"].image\n.spec.fin[=\"a\"]\n");
}

// ---- values by the tables

constexpr std::string_view deployment =
    R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"w","labels":{"app":"w"}},"spec":{"replicas":2,)"
    R"("selector":{"matchLabels":{"app":"w"}},"template":{"metadata":{"labels":{"app":"w"}},"spec":{"containers":[)"
    R"({"name":"c","image":"i","args":["a","b"],"ports":[{"containerPort":80}],"resources":{}}]}}}})";

TEST_F(SetFixture, FieldsOfAnObjectFollowTheTables) {
  const Document doc = parse(deployment);
  EXPECT_EQ(
      text(fields_of(pool, doc.root(), type_of("apps/v1", "Deployment"))),
      R"({"f:apiVersion":{},"f:kind":{},"f:metadata":{"f:labels":{"f:app":{}},"f:name":{}},"f:spec":{"f:replicas":{},"f:selector":{},)"
      R"("f:template":{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:args":{},)"
      R"("f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}},)"
      R"("f:resources":{}}}}}}})");
}

TEST_F(SetFixture, ComparesByKeyNotByPlace) {
  const schema::Type& pod = type_of("v1", "Pod");
  const Document before = parse(R"({"spec":{"containers":[{"name":"a","image":"1"},{"name":"b","image":"2"}],"nodeSelector":{"x":"y"}}})");
  const Document now =
      parse(R"({"spec":{"containers":[{"name":"b","image":"3"},{"name":"a","image":"1"},{"name":"c"}],"hostNetwork":true}})");
  const FieldChanges changes = compare_typed(pool, before.root(), now.root(), pod);
  EXPECT_EQ(text(changes.modified), R"({"f:spec":{"f:containers":{"k:{\"name\":\"b\"}":{"f:image":{}}}}})");
  EXPECT_EQ(text(changes.added), R"({"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:name":{}}},"f:hostNetwork":{}}})");
  EXPECT_EQ(text(changes.removed), R"({"f:spec":{"f:nodeSelector":{}}})");
}

TEST_F(SetFixture, WhatGoHoldsByValueIsAlwaysThere) {
  Document nothing = parse("{}");
  const Document doc = parse(deployment);
  const FieldChanges changes = compare_typed(pool, nothing.root(), doc.root(), type_of("apps/v1", "Deployment"));
  const std::string added = text(changes.added);
  EXPECT_NE(added.find(R"("f:spec":{"f:replicas":{})"), std::string::npos) << added;
  EXPECT_NE(added.find(R"("f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{".":{},"k:)"),
            std::string::npos)
      << added;
}

TEST_F(SetFixture, ElementsOfOneKeyAreOneLeaf) {
  const schema::Type& pod = type_of("v1", "Pod");
  const Document twice = parse(R"({"spec":{"containers":[{"name":"a","env":[{"name":"X","value":"1"},{"name":"X","value":"2"}]}]}})");
  const Document once = parse(R"({"spec":{"containers":[{"name":"a","env":[{"name":"X","value":"1"}]}]}})");
  EXPECT_EQ(text(fields_of(pool, twice.root(), pod)),
            R"({"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:env":{"k:{\"name\":\"X\"}":{}},"f:name":{}}}}})");
  const FieldChanges changes = compare_typed(pool, twice.root(), once.root(), pod);
  EXPECT_EQ(text(changes.removed), R"({"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{"f:env":{"k:{\"name\":\"X\"}":{}}}}}})");
  EXPECT_NE(changes.added, nullptr);
}

TEST(Typed, SaysWhatIsWrong) {
  const schema::Type& type = type_of("apps/v1", "Deployment");
  const auto problems = [&](std::string_view text) {
    const Document doc = parse(text);
    std::string out;
    for (const std::string& problem : check_typed(doc.root(), type)) out += problem + "\n";
    return out;
  };
  EXPECT_EQ(problems(deployment), "");
  EXPECT_EQ(problems(R"({"spec":{"foo":1}})"), ".spec.foo: field not declared in schema\n");
  EXPECT_EQ(problems(R"({"spec":{"replicas":"two"}})"), ".spec.replicas: expected numeric (int or float), got string\n");
  EXPECT_EQ(problems(R"({"spec":{"template":{"spec":{"containers":[{"name":"a"},{"name":"a"}]}}}})"),
            ".spec.template.spec.containers: duplicate entries for key [name=\"a\"]\n");
  EXPECT_EQ(
      problems(R"({"spec":{"template":{"spec":{"containers":[{"image":"a"}]}}}})"),
      ".spec.template.spec.containers: element 0: associative list with keys has an element that omits all key fields [\"name\"] (and "
      "doesn't have default values for any key fields)\n");
  EXPECT_EQ(problems(R"({"metadata":{"labels":{"a":1}},"spec":{"paused":"x","replicas":null}})"),
            ".metadata.labels.a: expected string, got &value.valueUnstructured{Value:1}\n.spec.paused: expected boolean, got \"x\"\n");
}

std::string merged(std::string_view live, std::string_view applied, const schema::Type& type) {
  FieldPool pool;
  Document doc = parse(live);
  const Document configuration = parse(applied);
  merge_typed(pool, doc, doc.root(), configuration.root(), type);
  return json::print(doc.root());
}

TEST(Typed, MergesMapsListsAndLeaves) {
  const schema::Type& pod = type_of("v1", "Pod");
  EXPECT_EQ(merged(R"({"metadata":{"labels":{"a":"1","b":"2"}}})", R"({"metadata":{"labels":{"b":"3","c":"4"}}})", pod),
            R"({"metadata":{"labels":{"a":"1","b":"3","c":"4"}}})");
  EXPECT_EQ(merged(R"({"spec":{"containers":[{"name":"a","image":"1","args":["x"]}]}})",
                   R"({"spec":{"containers":[{"name":"a","args":["y","z"]}]}})", pod),
            R"({"spec":{"containers":[{"name":"a","image":"1","args":["y","z"]}]}})");
  EXPECT_EQ(merged(R"({"metadata":{"finalizers":["a/1","b/2"]}})", R"({"metadata":{"finalizers":["c/3","a/1"]}})", pod),
            R"({"metadata":{"finalizers":["c/3","a/1","b/2"]}})");
}

TEST(Typed, MergedListsTakeTheConfigurationsOrder) {
  const schema::Type& pod = type_of("v1", "Pod");
  const auto names = [&](std::string_view live, std::string_view applied) {
    const auto list = [](std::string_view letters) {
      std::string out = R"({"spec":{"containers":[)";
      for (char c : letters) out += (out.back() == '[' ? "" : ",") + std::string(R"({"name":")") + c + "\"}";
      return out + "]}}";
    };
    const Document doc = parse(merged(list(live), list(applied), pod));
    std::string out;
    for (const json::Node& node : *doc.root().at("spec", "containers")) out += node.string_at("name");
    return out;
  };
  EXPECT_EQ(names("abc", "cba"), "cba");
  EXPECT_EQ(names("ab", "cd"), "abcd");
  EXPECT_EQ(names("acd", "abd"), "acbd");
  EXPECT_EQ(names("axb", "ba"), "xba");
  EXPECT_EQ(names("", "ab"), "ab");
  EXPECT_EQ(names("ab", ""), "ab");
}

// ---- writes

struct Writes : ::testing::Test {
  const schema::Type& type = type_of("apps/v1", "Deployment");
  FieldPool pool;
  ManagedFields owners;
  std::deque<Document> documents;
  const json::Node* live = &keep("{}");

  const json::Node& keep(std::string_view text) {
    documents.push_back(parse(text));
    return documents.back().root();
  }
  FieldWrite write(std::string_view manager, std::string_view time) { return {type, "apps/v1", "", manager, time}; }
  void update(std::string_view manager, std::string_view text, std::string_view time = "2026-01-01T00:00:00Z") {
    const json::Node& now = keep(text);
    update_owners(pool, owners, *live, now, write(manager, time));
    live = &now;
  }
  /// The conflicts, or "".
  std::string apply(std::string_view manager, std::string_view text, bool force = false, std::string_view time = "2026-01-01T00:00:00Z") {
    Applied applied = apply_configuration(pool, owners, *live, keep(text), write(manager, time), force);
    std::string out;
    for (const FieldConflict& conflict : applied.conflicts)
      for_each(conflict.fields, [&](const FieldPath& path) { out += to_string(conflict.owner) + ": " + to_string(path) + "\n"; });
    if (!out.empty()) return out;
    documents.push_back(std::move(applied.object));
    live = &documents.back().root();
    return out;
  }
  std::string owned_by(std::string_view manager) {
    std::string out;
    for (const ManagedEntry& entry : owners)
      if (entry.manager == manager) out += to_string(entry.fields);
    return out;
  }
};

constexpr std::string_view two =
    R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"w","uid":"1"},"spec":{"replicas":2,"paused":true}})";
constexpr std::string_view three =
    R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"w","uid":"1"},"spec":{"replicas":3,"paused":true}})";

TEST_F(Writes, WhoChangesAFieldOwnsIt) {
  update("a", two);
  EXPECT_EQ(owned_by("a"), ".spec.paused\n.spec.replicas\n");
  update("b", three, "2026-01-01T00:00:09Z");
  EXPECT_EQ(owned_by("a"), ".spec.paused\n");
  EXPECT_EQ(owned_by("b"), ".spec.replicas\n");
  update("b", three, "2026-01-01T00:01:00Z");
  EXPECT_EQ(owners.back().time, "2026-01-01T00:00:09Z") << "a write that changes nothing keeps the time";
  update("c", R"({"metadata":{"name":"w","uid":"1"},"spec":{"replicas":3}})");
  EXPECT_EQ(owned_by("a"), "") << "what is gone is nobody's";
}

TEST_F(Writes, AnObjectWithoutOwnersStaysSo) {
  live = &keep(two);
  update("a", three);
  EXPECT_TRUE(owners.empty());
}

TEST_F(Writes, ApplyConflictsWithOthersUnlessForced) {
  update("kubectl-client-side-apply", two);
  EXPECT_EQ(apply("me", R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"w"},"spec":{"replicas":3,"paused":true}})"),
            "\"kubectl-client-side-apply\" using apps/v1: .spec.replicas\n");
  EXPECT_EQ(owned_by("me"), "");
  EXPECT_EQ(
      apply("me", R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"w"},"spec":{"replicas":3,"paused":true}})", true), "");
  EXPECT_EQ(owned_by("me"), ".spec.paused\n.spec.replicas\n");
  EXPECT_EQ(owned_by("kubectl-client-side-apply"), ".spec.paused\n") << "equal values are shared";
  EXPECT_EQ(live->at("spec", "replicas")->as_int(), 3);
}

TEST_F(Writes, WhatIsNoLongerAppliedGoesUnlessOthersOwnIt) {
  EXPECT_EQ(
      apply("a", R"({"apiVersion":"apps/v1","metadata":{"name":"w","labels":{"x":"1","y":"2"}},"spec":{"replicas":2,"paused":true}})"), "");
  EXPECT_EQ(apply("b", R"({"apiVersion":"apps/v1","metadata":{"name":"w","labels":{"y":"2"}},"spec":{"paused":true}})"), "");
  EXPECT_EQ(apply("a", R"({"apiVersion":"apps/v1","metadata":{"name":"w"},"spec":{"minReadySeconds":5}})"), "");
  EXPECT_EQ(json::print(*live),
            R"({"apiVersion":"apps/v1","metadata":{"name":"w","labels":{"y":"2"}},"spec":{"paused":true,"minReadySeconds":5}})");
  EXPECT_EQ(owned_by("a"), ".spec.minReadySeconds\n");
}

TEST_F(Writes, ElementsGoByTheirKeys) {
  const auto containers = [](std::string_view list) {
    return R"({"apiVersion":"apps/v1","metadata":{"name":"w"},"spec":{"template":{"spec":{"containers":[)" + std::string(list) + "]}}}}";
  };
  EXPECT_EQ(apply("a", containers(R"({"name":"x","image":"1"},{"name":"y","image":"1"})")), "");
  EXPECT_EQ(apply("b", containers(R"({"name":"y","args":["v"]})")), "");
  EXPECT_EQ(apply("a", containers(R"({"name":"z","image":"1"})")), "");
  EXPECT_EQ(json::print(*live->at("spec", "template", "spec", "containers")), R"([{"name":"y","args":["v"]},{"name":"z","image":"1"}])");
}

TEST_F(Writes, WhatAnUpdaterAddedStaysWhenAnApplierLetsGo) {
  EXPECT_EQ(apply("a", R"({"apiVersion":"apps/v1","metadata":{"name":"w","labels":{"x":"1"}},"spec":{"replicas":1}})"), "");
  update("scaler", R"({"apiVersion":"apps/v1","metadata":{"name":"w","labels":{"x":"1","z":"9"}},"spec":{"replicas":4}})");
  EXPECT_EQ(owned_by("a"), ".metadata.labels.x\n");
  EXPECT_EQ(apply("a", R"({"apiVersion":"apps/v1","metadata":{"name":"w"}})"), "");
  EXPECT_EQ(json::print(*live), R"({"apiVersion":"apps/v1","metadata":{"name":"w","labels":{"z":"9"}},"spec":{"replicas":4}})");
}

TEST_F(Writes, AppliedTwiceChangesNothing) {
  constexpr std::string_view text = R"({"apiVersion":"apps/v1","metadata":{"name":"w"},"spec":{"replicas":1}})";
  apply("a", text);
  Document doc = parse(R"({"metadata":{}})");
  write_managed_fields(doc, *doc.root().find("metadata"), owners);
  owners = *read_managed_fields(pool, doc.root().at("metadata", "managedFields"));
  const ManagedFields stored = owners;
  apply("a", text, false, "2027-01-01T00:00:00Z");
  EXPECT_EQ(owners[0].time, "2026-01-01T00:00:00Z");
  EXPECT_TRUE(same_but_times(stored, owners));
}

TEST_F(Writes, FieldsFromBeforeTheFirstApplyHaveAnOwner) {
  live = &keep(two);
  EXPECT_EQ(apply("a", R"({"apiVersion":"apps/v1","metadata":{"name":"w"},"spec":{"replicas":5}})"),
            "\"before-first-apply\" using apps/v1: .spec.replicas\n");
}

TEST_F(Writes, IgnoredFieldsAreNobodys) {
  const Document status = parse(R"({"f:status":{}})");
  FieldWrite how = write("a", "");
  how.ignored = *read_fields(pool, status.root());
  const json::Node& now = keep(R"({"metadata":{"name":"w"},"spec":{"replicas":1},"status":{"replicas":1}})");
  update_owners(pool, owners, *live, now, how);
  EXPECT_EQ(owned_by("a"), ".spec.replicas\n");
}

TEST_F(Writes, OldUpdatesAreMerged) {
  std::string labels;
  for (int i = 0; i < 13; i++) {
    labels += (labels.empty() ? "" : ",") + std::string("\"l") + char('a' + i) + "\":\"1\"";
    const std::string time = "2026-01-01T00:00:" + std::to_string(10 + i) + "Z";
    documents.push_back(parse("{\"t\":\"" + time + "\",\"m\":\"m" + std::to_string(10 + i) + "\"}"));
    const json::Node& words = documents.back().root();
    update(words.string_at("m"), R"({"metadata":{"name":"w","uid":"1","labels":{)" + labels + "}}}", words.string_at("t"));
  }
  EXPECT_EQ(owners.size(), 10u);
  EXPECT_EQ(owned_by("ancient-changes"),
            ".metadata.labels\n.metadata.labels.la\n.metadata.labels.lb\n.metadata.labels.lc\n.metadata.labels.ld\n");
  EXPECT_EQ(owned_by("m22"), ".metadata.labels.lm\n");
}

TEST_F(Writes, EntriesAreWrittenInKubernetesOrder) {
  update("b", two, "2026-01-01T00:00:05Z");
  apply("z", R"({"apiVersion":"apps/v1","metadata":{"name":"w","labels":{"q":"1"}}})", false, "2026-01-01T00:00:09Z");
  Document doc = parse(R"({"metadata":{}})");
  write_managed_fields(doc, *doc.root().find("metadata"), owners);
  EXPECT_EQ(json::print(doc.root()),
            R"({"metadata":{"managedFields":[{"manager":"z","operation":"Apply","apiVersion":"apps/v1","time":"2026-01-01T00:00:09Z",)"
            R"("fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{"f:q":{}}}}},{"manager":"b","operation":"Update",)"
            R"("apiVersion":"apps/v1","time":"2026-01-01T00:00:05Z","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:paused":{},)"
            R"("f:replicas":{}}}}]}})");
}

TEST(ManagedFields, EntriesThatCannotBeReadAreNamed) {
  FieldPool pool;
  const auto message = [&](std::string_view text) {
    static std::deque<Document> kept;
    kept.push_back(parse(text));
    const auto read = read_managed_fields(pool, &kept.back().root());
    return read ? std::string("fine") : read.error().message;
  };
  EXPECT_EQ(message(R"([{"operation":"Other"}])"), "operation must be `Apply` or `Update`");
  EXPECT_EQ(message(R"([{"operation":"Apply"}])"), "apiVersion must not be empty");
  EXPECT_EQ(message(R"([{"operation":"Apply","apiVersion":"v1"}])"), "missing fieldsType in managed fields entry 0");
  EXPECT_EQ(message(R"([{"operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV2"}])"),
            "invalid fieldsType \"FieldsV2\" in managed fields entry 0");
  EXPECT_EQ(message("[]"), "fine");
}

}  // namespace
}  // namespace estiba::model
