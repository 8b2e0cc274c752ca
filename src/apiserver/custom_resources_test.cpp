// Custom resources from the definition to the stored object, by the registry: what is refused, pruned, set and shown.
#include <gtest/gtest.h>

#include "apiserver/api_errors.h"
#include "apiserver/respond.h"
#include "apiserver/testing/api_fixture.h"
#include "apiserver/watcher.h"

namespace estiba::apiserver {
namespace {

using ::testing::Test;

constexpr std::string_view crd_group = "apiextensions.k8s.io", group = "example.com";

std::string definition_of(const std::string& versions, const std::string& more = "") {
  return R"({"metadata":{"name":"crontabs.example.com"},"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"crontabs","kind":"CronTab","shortNames":["ct"],"categories":["all"]},"versions":[)" +
         versions + "]" + more + "}}";
}

std::string version_of(const std::string& name, bool storage, const std::string& schema, const std::string& more = "") {
  return R"({"name":")" + name + R"(","served":true,"storage":)" + (storage ? "true" : "false") + R"(,"schema":{"openAPIV3Schema":)" +
         schema + "}" + more + "}";
}

constexpr std::string_view cron_schema = R"({"type":"object","properties":{
  "spec":{"type":"object","required":["cronSpec"],"properties":{
    "cronSpec":{"type":"string","pattern":"^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$"},
    "image":{"type":"string","maxLength":5},
    "replicas":{"type":"integer","minimum":1,"maximum":10,"default":1},
    "port":{"x-kubernetes-int-or-string":true},
    "mode":{"type":"string","enum":["a","b"],"nullable":true},
    "free":{"type":"object","x-kubernetes-preserve-unknown-fields":true},
    "tags":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}},
    "parts":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["name"],"items":{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"size":{"type":"integer","default":3,"maximum":9}}}},
    "pod":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true}}},
  "status":{"type":"object","properties":{"replicas":{"type":"integer"},"selector":{"type":"string"}}}}})";

class CustomResourcesTest : public ApiFixture {
 protected:
  Result<Outcome> define(const std::string& body) { return create(crd_group, "v1", "customresourcedefinitions", "", body); }
  void define_cron_tabs(
      const std::string& more =
          R"(,"subresources":{"status":{},"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas","labelSelectorPath":".status.selector"}},"selectableFields":[{"jsonPath":".spec.image"}],"additionalPrinterColumns":[{"name":"Spec","type":"string","jsonPath":".spec.cronSpec"},{"name":"Replicas","type":"integer","jsonPath":".spec.replicas"},{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}])") {
    auto made = define(definition_of(version_of("v1", true, std::string(cron_schema), more)));
    ASSERT_TRUE(made) << made.error().message;
  }
  Result<Outcome> add(const std::string& spec, const std::string& name = "x") {
    return create(group, "v1", "crontabs", "default", R"({"metadata":{"name":")" + name + R"("},"spec":)" + spec + "}");
  }
  static std::string message(const Result<Outcome>& outcome) { return outcome ? "no error" : outcome.error().message; }
  std::string text(const Result<Outcome>& outcome) {
    EXPECT_TRUE(outcome) << message(outcome);
    return outcome ? outcome->object.print() : std::string();
  }
};

TEST_F(CustomResourcesTest, ADefinitionIsServedFromItsCreation) {
  EXPECT_EQ(api_->cluster().find_resource(group, "v1", "crontabs").resource, nullptr);
  define_cron_tabs();
  auto crd = get(crd_group, "v1", "customresourcedefinitions", "", "crontabs.example.com");
  ASSERT_TRUE(crd);
  const json::Node& object = json_of(*crd);
  EXPECT_EQ(object.string_at("spec", "names", "listKind"), "CronTabList");
  EXPECT_EQ(object.string_at("spec", "names", "singular"), "crontab");
  EXPECT_EQ(object.string_at("spec", "conversion", "strategy"), "None");
  EXPECT_EQ(json::print(*object.at("status", "storedVersions")), R"(["v1"])");
  const json::Node& conditions = *object.at("status", "conditions");
  ASSERT_EQ(conditions.size(), 2u);
  EXPECT_EQ(conditions[0].string_at("type"), "NamesAccepted");
  EXPECT_EQ(conditions[1].string_at("type"), "Established");
  EXPECT_EQ(conditions[1].string_at("status"), "True");
  auto found = api_->cluster().find_resource(group, "v1", "crontabs");
  ASSERT_TRUE(found.resource);
  EXPECT_EQ(found.resource->singular, "crontab");
  EXPECT_EQ(api_->cluster().find_resource(group, "v2", "crontabs").resource, nullptr);
}

TEST_F(CustomResourcesTest, DefaultsAreSetAndUnknownFieldsPruned) {
  define_cron_tabs();
  auto made =
      add(R"({"cronSpec":"* * * * */5","imag":"x","free":{"a":{"b":1}},"port":"http","parts":[{"name":"a"}],"mode":null,"image":null})");
  const std::string object = text(made);
  EXPECT_NE(object.find(R"("replicas":1)"), std::string::npos) << object;
  EXPECT_NE(object.find(R"("parts":[{"name":"a","size":3}])"), std::string::npos) << object;
  EXPECT_NE(object.find(R"("free":{"a":{"b":1}})"), std::string::npos) << object;
  EXPECT_NE(object.find(R"("mode":null)"), std::string::npos) << object;
  EXPECT_EQ(object.find("imag"), std::string::npos) << object;
  ASSERT_EQ(made->warnings.size(), 1u);
  EXPECT_EQ(made->warnings[0], "unknown field \"spec.imag\"");
  EXPECT_NE(object.find(R"("generation":1)"), std::string::npos);
}

TEST_F(CustomResourcesTest, StrictValidationNamesUnknownFields) {
  define_cron_tabs();
  Action action = make(Verb::create, group, "v1", "crontabs", "default");
  action.write.validation = FieldValidation::strict;
  action.body = R"({"metadata":{"name":"x","nope":1},"spec":{"cronSpec":"* * * * *","imag":"x","parts":[{"name":"a","b":1}]}})";
  auto made = run(api_->run(std::move(action)));
  EXPECT_EQ(message(made),
            "CronTab in version \"v1\" cannot be handled as a CronTab: strict decoding error: unknown field \"metadata.nope\", "
            "unknown field \"spec.imag\", unknown field \"spec.parts[0].b\"");
}

TEST_F(CustomResourcesTest, WrongValuesAreRefusedInKubernetesWords) {
  define_cron_tabs();
  const std::string head = "CronTab.example.com \"x\" is invalid: ", ok = R"("cronSpec":"* * * * *")";
  const std::pair<std::string, std::string> cases[] = {
      {"{" + ok + R"(,"replicas":11})", "spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10"},
      {"{" + ok + R"(,"replicas":0})", "spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1"},
      {"{" + ok + R"(,"replicas":"a"})",
       "[spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\", .spec.replicas: Invalid "
       "value: 0: "
       ".spec.replicas accessor error: a is of the type string, expected int64]"},
      {R"({})", "spec.cronSpec: Required value"},
      {R"({"cronSpec":"x"})",
       "spec.cronSpec: Invalid value: \"x\": spec.cronSpec in body should match '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$'"},
      {"{" + ok + R"(,"image":"ááááááá"})", "spec.image: Too long: may not be more than 5 bytes"},
      {"{" + ok + R"(,"mode":"c"})", "spec.mode: Unsupported value: \"c\": supported values: \"a\", \"b\""},
      {"{" + ok + R"(,"port":true})",
       "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\""},
      {"{" + ok + R"(,"tags":["a","a"]})", "spec.tags[1]: Duplicate value: \"a\""},
      {"{" + ok + R"(,"parts":[{"name":"a"},{"name":"a"}]})", "spec.parts[1]: Duplicate value: {\"name\":\"a\"}"},
      {"{" + ok + R"(,"pod":{"kind":"Pod"}})", "spec.pod.apiVersion: Required value"},
  };
  for (const auto& [spec, expected] : cases) EXPECT_EQ(message(add(spec)), head + expected) << spec;
  EXPECT_TRUE(
      add("{" + ok + R"(,"image":"ááááá","port":80,"pod":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","nope":1},"x":1}})"));
}

TEST_F(CustomResourcesTest, WhatWasWrongBeforeMayStay) {
  define_cron_tabs();
  ASSERT_TRUE(add(R"({"cronSpec":"* * * * *","replicas":9,"parts":[{"name":"a","size":9}]})"));
  std::string stricter(cron_schema);
  stricter.replace(stricter.find(R"("maximum":10)"), 12, R"("maximum":5)");
  stricter.replace(stricter.find(R"("maximum":9)"), 11, R"("maximum":5)");
  auto changed = patch(crd_group, "v1", "customresourcedefinitions", "", "crontabs.example.com", BodyType::merge_patch,
                       R"({"spec":{"versions":[)" + version_of("v1", true, stricter) + "]}}");
  ASSERT_TRUE(changed) << changed.error().message;
  auto kept = patch(group, "v1", "crontabs", "default", "x", BodyType::merge_patch, R"({"spec":{"image":"b"}})");
  EXPECT_TRUE(kept) << message(kept);
  auto worse = patch(group, "v1", "crontabs", "default", "x", BodyType::merge_patch, R"({"spec":{"replicas":8}})");
  EXPECT_EQ(
      message(worse),
      "CronTab.example.com \"x\" is invalid: spec.replicas: Invalid value: 8: spec.replicas in body should be less than or equal to 5");
}

TEST_F(CustomResourcesTest, StatusAndScaleAreSubresources) {
  define_cron_tabs();
  auto made =
      create(group, "v1", "crontabs", "default", R"({"metadata":{"name":"x"},"spec":{"cronSpec":"* * * * *"},"status":{"replicas":7}})");
  EXPECT_EQ(text(made).find("\"status\""), std::string::npos);
  auto status = patch(group, "v1", "crontabs", "default", "x", BodyType::merge_patch,
                      R"({"spec":{"replicas":3},"status":{"replicas":2,"selector":"a=b"}})", "status");
  const std::string object = text(status);
  EXPECT_NE(object.find(R"("status":{"replicas":2,"selector":"a=b"})"), std::string::npos) << object;
  EXPECT_NE(object.find(R"("generation":1)"), std::string::npos);
  EXPECT_NE(object.find(R"("spec":{"cronSpec":"* * * * *","replicas":1})"), std::string::npos) << object;
  auto wrong = patch(group, "v1", "crontabs", "default", "x", BodyType::merge_patch, R"({"status":{"replicas":"x"}})", "status");
  EXPECT_NE(message(wrong).find("status.replicas: Invalid value: \"string\": replicas in body must be of type integer: \"string\""),
            std::string::npos);
  auto scaled = patch(group, "v1", "crontabs", "default", "x", BodyType::merge_patch, R"({"spec":{"replicas":4}})", "scale");
  ASSERT_TRUE(scaled) << message(scaled);
  EXPECT_NE(scaled->json.find(R"("spec":{"replicas":4},"status":{"replicas":2,"selector":"a=b"})"), std::string::npos) << scaled->json;
  auto now = get(group, "v1", "crontabs", "default", "x");
  ASSERT_TRUE(now);
  EXPECT_NE(now->print().find(R"("generation":2)"), std::string::npos);
}

TEST_F(CustomResourcesTest, TablesShowTheColumns) {
  define_cron_tabs();
  ASSERT_TRUE(add(R"({"cronSpec":"* * * * *"})"));
  Action action = make(Verb::list, group, "v1", "crontabs", "default");
  action.wanted.shape = Shape::table;
  auto page = registry().list(action);
  ASSERT_TRUE(page);
  auto rendered = render_list(action, *page);
  ASSERT_TRUE(rendered);
  EXPECT_NE(rendered->body.text().find(R"({"cells":["x","* * * * *",1,"0s"])"), std::string::npos) << rendered->body.text();
  EXPECT_NE(
      rendered->body.text().find(
          R"({"name":"Replicas","type":"integer","format":"","description":"Custom resource definition column (in JSONPath format): .spec.replicas","priority":0})"),
      std::string::npos);
}

TEST_F(CustomResourcesTest, SelectorsMayNameSelectableFields) {
  define_cron_tabs();
  ASSERT_TRUE(add(R"({"cronSpec":"* * * * *","image":"a"})", "one"));
  ASSERT_TRUE(add(R"({"cronSpec":"* * * * *","image":"b"})", "two"));
  Action action = make(Verb::list, group, "v1", "crontabs", "default");
  action.list.field_selector = "spec.image=b";
  auto page = registry().list(action);
  ASSERT_TRUE(page);
  ASSERT_EQ(page->items.size(), 1u);
  EXPECT_EQ(page->items[0].meta().name, "two");
  action.list.field_selector = "spec.cronSpec=b";
  EXPECT_EQ(registry().list(action).error().message, "field label not supported: spec.cronSpec");
}

TEST_F(CustomResourcesTest, VersionsAreConvertedByName) {
  const std::string open =
      R"({"type":"object","properties":{"spec":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string","default":"new"}}}}})";
  const std::string old = R"({"type":"object","properties":{"spec":{"type":"object","properties":{"a":{"type":"string"}}}}})";
  ASSERT_TRUE(define(definition_of(version_of("v1", false, old) + "," + version_of("v2", true, open))));
  ASSERT_TRUE(add(R"({"a":"1"})"));
  auto v2 = get(group, "v2", "crontabs", "default", "x");
  ASSERT_TRUE(v2);
  EXPECT_NE(v2->print().find(R"("spec":{"a":"1","b":"new"})"), std::string::npos) << v2->print();
  auto entry = store_->get("/registry/example.com/crontabs/default/x");
  ASSERT_TRUE(entry);
  EXPECT_EQ(json_of(*v2).string_at("apiVersion"), "example.com/v2");
  EXPECT_NE(std::string_view((*entry)->value).find(R"("apiVersion":"example.com/v2")"), std::string_view::npos);
  auto v1 = get(group, "v1", "crontabs", "default", "x");
  EXPECT_EQ(json_of(*v1).string_at("apiVersion"), "example.com/v1");
  EXPECT_EQ(v1->print().find("\"b\""), std::string::npos);
}

TEST_F(CustomResourcesTest, AWriteMovesAnObjectToTheStorageVersion) {
  const std::string schema = R"({"type":"object","x-kubernetes-preserve-unknown-fields":true})";
  ASSERT_TRUE(define(definition_of(version_of("v1", true, schema))));
  ASSERT_TRUE(add(R"({"a":"1"})"));
  auto changed = patch(crd_group, "v1", "customresourcedefinitions", "", "crontabs.example.com", BodyType::merge_patch,
                       R"({"spec":{"versions":[)" + version_of("v1", false, schema) + "," + version_of("v2", true, schema) + "]}}");
  ASSERT_TRUE(changed) << message(changed);
  EXPECT_NE(changed->object.print().find(R"("storedVersions":["v1","v2"])"), std::string::npos);
  auto same = patch(group, "v1", "crontabs", "default", "x", BodyType::merge_patch, "{}");
  ASSERT_TRUE(same) << message(same);
  EXPECT_EQ(json_of(same->object).string_at("apiVersion"), "example.com/v1");
  auto entry = store_->get("/registry/example.com/crontabs/default/x");
  EXPECT_NE(std::string_view((*entry)->value).find("example.com/v2"), std::string_view::npos);
}

TEST_F(CustomResourcesTest, AChangedSchemaShowsOldObjectsAnew) {
  define_cron_tabs();
  ASSERT_TRUE(add(R"({"cronSpec":"* * * * *","image":"a"})"));
  const std::string other =
      R"({"type":"object","properties":{"spec":{"type":"object","properties":{"cronSpec":{"type":"string"},"fresh":{"type":"string","default":"yes"}}}}})";
  ASSERT_TRUE(patch(crd_group, "v1", "customresourcedefinitions", "", "crontabs.example.com", BodyType::merge_patch,
                    R"({"spec":{"versions":[)" + version_of("v1", true, other) + "]}}"));
  auto now = get(group, "v1", "crontabs", "default", "x");
  ASSERT_TRUE(now);
  EXPECT_NE(now->print().find(R"("spec":{"cronSpec":"* * * * *","fresh":"yes"})"), std::string::npos) << now->print();
}

TEST_F(CustomResourcesTest, AWatchEndsWhenItsDefinitionChanges) {
  define_cron_tabs();
  auto watcher = registry().watch(make(Verb::watch, group, "v1", "crontabs", "default"));
  ASSERT_TRUE(watcher);
  ASSERT_TRUE(add(R"({"cronSpec":"* * * * *"})"));
  auto items = run((*watcher)->next());
  ASSERT_TRUE(items);
  ASSERT_EQ(items->size(), 1u);
  EXPECT_EQ((*items)[0].kind, WatchItem::Kind::added);
  ASSERT_TRUE(patch(crd_group, "v1", "customresourcedefinitions", "", "crontabs.example.com", BodyType::merge_patch,
                    R"({"metadata":{"labels":{"a":"b"}}})"));
  EXPECT_TRUE((*watcher)->poll()->empty());
  EXPECT_FALSE((*watcher)->ended());
  ASSERT_TRUE(patch(crd_group, "v1", "customresourcedefinitions", "", "crontabs.example.com", BodyType::merge_patch,
                    R"({"spec":{"names":{"shortNames":["other"]}}})"));
  EXPECT_TRUE(run((*watcher)->next())->empty());
  EXPECT_TRUE((*watcher)->ended());
}

TEST_F(CustomResourcesTest, NamesThatOthersHaveAreNotAccepted) {
  define_cron_tabs();
  std::string other = definition_of(version_of("v1", true, R"({"type":"object"})"));
  other.replace(other.find("crontabs.example.com"), 20, "others.example.com");
  other.replace(other.find(R"("plural":"crontabs")"), 19, R"("plural":"others","singular":"other")");
  auto made = define(other);
  ASSERT_TRUE(made) << message(made);
  const std::string status = made->object.print();
  EXPECT_NE(
      status.find(R"("message":"\"CronTabList\" is already in use","reason":"ListKindConflict","status":"False","type":"NamesAccepted")"),
      std::string::npos)
      << status;
  EXPECT_NE(status.find(R"("reason":"NotAccepted","status":"False","type":"Established")"), std::string::npos);
  EXPECT_EQ(api_->cluster().find_resource(group, "v1", "others").resource, nullptr);
}

TEST_F(CustomResourcesTest, DeletingADefinitionWaitsForItsObjects) {
  define_cron_tabs();
  ASSERT_TRUE(add(R"({"cronSpec":"* * * * *"})"));
  auto gone = remove(crd_group, "v1", "customresourcedefinitions", "", "crontabs.example.com");
  ASSERT_TRUE(gone) << message(gone);
  auto crd = get(crd_group, "v1", "customresourcedefinitions", "", "crontabs.example.com");
  ASSERT_TRUE(crd);
  EXPECT_NE(crd->print().find(R"("finalizers":["customresourcecleanup.apiextensions.k8s.io"])"), std::string::npos);
  EXPECT_NE(crd->print().find(R"("reason":"InstanceDeletionPending","status":"True","type":"Terminating")"), std::string::npos);
  auto resource = api_->cluster().find_resource(group, "v1", "crontabs");
  ASSERT_TRUE(resource.resource);
  EXPECT_FALSE(resource.resource->can("create"));
  EXPECT_TRUE(resource.resource->can("delete"));
}

TEST_F(CustomResourcesTest, StrategicPatchesAreNotOffered) {
  define_cron_tabs();
  ASSERT_TRUE(add(R"({"cronSpec":"* * * * *"})"));
  auto patched = patch(group, "v1", "crontabs", "default", "x", BodyType::strategic_patch, "{}");
  ASSERT_FALSE(patched);
  EXPECT_EQ(http_status(patched.error()), 415);
}

TEST_F(CustomResourcesTest, BadDefinitionsAreRefusedInKubernetesWords) {
  const std::string head = "CustomResourceDefinition.apiextensions.k8s.io \"crontabs.example.com\" is invalid: ";
  const std::string root = "spec.validation.openAPIV3Schema";
  const std::pair<std::string, std::string> cases[] = {
      {R"({"type":"object","properties":{"a":{}}})",
       root + ".properties[a].type: Required value: must not be empty for specified object fields"},
      {R"({"properties":{}})", root + ".type: Required value: must not be empty at the root"},
      {R"({"type":"object","properties":{"a":{"type":"array"}}})", root + ".properties[a].items: Required value: must be specified"},
      {R"({"type":"object","properties":{"metadata":{"type":"object","properties":{"labels":{"type":"object"}}}}})",
       root + ".properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly "
              "specified"},
      {R"({"type":"object","properties":{"a":{"type":"integer","default":"x"}}})",
       root + ".properties[a].default: Invalid value: \"string\":  in body must be of type integer: \"string\""},
      {R"({"type":"object","properties":{"a":{"type":"string","pattern":"("}}})", ""},
      {R"({"type":"object","anyOf":[{"properties":{"a":{"minimum":1}}}]})",
       root + ".properties[a]: Required value: because it is defined in " + root + ".anyOf[0].properties[a]"},
      {R"({"type":"object","properties":{"a":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{"type":"object","properties":{"k":{"type":"string"}}}}}})",
       root + ".properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have "
              "a default or be a required property"},
      {R"({"type":"object","properties":{"a":{"type":"object","additionalProperties":{"type":"string"},"properties":{"b":{"type":"string"}}}}})",
       root + ".properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"},
      {R"({"type":"object","properties":{"a":{"type":"string","x-kubernetes-preserve-unknown-fields":false}}})",
       root + ".properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"},
  };
  for (const auto& [schema, expected] : cases) {
    auto made = define(definition_of(version_of("v1", true, schema)));
    ASSERT_FALSE(made) << schema;
    if (!expected.empty()) EXPECT_EQ(message(made), head + expected);
  }
  const std::string fine = R"({"type":"object"})";
  EXPECT_EQ(
      message(define(definition_of(version_of("v1", false, fine)))).rfind(": must have exactly one version marked as storage version") !=
          std::string::npos,
      true);
  EXPECT_NE(message(define(definition_of(version_of("v1", true, fine), R"(,"preserveUnknownFields":true)")))
                .find("spec.preserveUnknownFields: Invalid value: true"),
            std::string::npos);
}

TEST_F(CustomResourcesTest, ProtectedGroupsNeedAnApproval) {
  auto body = [](const std::string& annotation) {
    return R"({"metadata":{"name":"foos.x.k8s.io","annotations":{)" + annotation +
           R"(}},"spec":{"group":"x.k8s.io","scope":"Cluster","names":{"plural":"foos","kind":"Foo"},"versions":[)" +
           version_of("v1", true, R"({"type":"object"})") + "]}}";
  };
  EXPECT_NE(message(define(body("")))
                .find("metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation"),
            std::string::npos);
  auto made = define(body(R"("api-approved.kubernetes.io":"https://github.com/kubernetes/kubernetes/pull/1")"));
  ASSERT_TRUE(made) << message(made);
  EXPECT_NE(made->object.print().find(R"("reason":"ApprovedAnnotation","status":"True","type":"KubernetesAPIApprovalPolicyConformant")"),
            std::string::npos);
}

}  // namespace
}  // namespace estiba::apiserver
