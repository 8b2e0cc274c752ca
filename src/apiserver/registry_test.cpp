#include "apiserver/registry.h"

#include <gtest/gtest.h>

#include "apiserver/api_errors.h"
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

using RegistryTest = ApiFixture;

TEST_F(RegistryTest, a_created_object_has_metadata_and_can_be_read) {
  auto made = create("", "v1", "configmaps", "default", R"({"metadata":{"name":"a"},"data":{"k":"v"}})");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->status, 201);
  EXPECT_FALSE(made->object.meta().uid.empty());
  EXPECT_FALSE(made->object.meta().creation_timestamp.empty());
  auto got = get("", "v1", "configmaps", "default", "a");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->object.get(), made->object.object.get()) << "the very same object, not a copy";
  EXPECT_EQ(got->revision, made->object.revision);
}

TEST_F(RegistryTest, a_second_object_of_the_name_is_refused_in_kubernetes_words) {
  ASSERT_TRUE(create("", "v1", "configmaps", "default", R"({"metadata":{"name":"a"}})"));
  auto again = create("", "v1", "configmaps", "default", R"({"metadata":{"name":"a"}})");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().message, "configmaps \"a\" already exists");
}

TEST_F(RegistryTest, creating_in_a_missing_namespace_fails) {
  auto made = create("", "v1", "configmaps", "nowhere", R"({"metadata":{"name":"a"}})");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::not_found);
  EXPECT_EQ(made.error().message, "namespaces \"nowhere\" not found");
}

TEST_F(RegistryTest, generate_name_makes_different_names) {
  auto a = create("", "v1", "configmaps", "default", R"({"metadata":{"generateName":"x-"}})");
  auto b = create("", "v1", "configmaps", "default", R"({"metadata":{"generateName":"x-"}})");
  ASSERT_TRUE(a && b);
  EXPECT_NE(a->object.meta().name, b->object.meta().name);
  EXPECT_TRUE(a->object.meta().name.starts_with("x-"));
}

TEST_F(RegistryTest, an_update_with_a_stale_revision_conflicts) {
  auto made = create("", "v1", "configmaps", "default", R"({"metadata":{"name":"a"},"data":{"k":"1"}})");
  ASSERT_TRUE(made);
  std::string stale = made->object.print();
  ASSERT_TRUE(update("", "v1", "configmaps", "default", "a", R"({"metadata":{"name":"a"},"data":{"k":"2"}})"));
  auto refused = update("", "v1", "configmaps", "default", "a", stale);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest "
            "version and try again");
}

// Replaces a's data with a number, without a revision.
Task<void> overwrite(Api& api, Action action, int number, std::vector<store::Revision>& revisions) {
  action.body = R"({"metadata":{"name":"a"},"data":{"k":")" + std::to_string(number) + R"("}})";
  auto outcome = co_await api.run(std::move(action));
  if (outcome) revisions.push_back(outcome->object.revision);
}

Task<void> overwrite_at_once(Api& api, Action action, std::vector<store::Revision>& revisions) {
  TaskGroup group;
  for (int i = 1; i <= 8; i++) group.start(overwrite(api, action, i, revisions));
  co_await group.join();
}

TEST_F(RegistryTest, updates_without_a_revision_that_race_all_happen) {
  ASSERT_TRUE(create("", "v1", "configmaps", "default", R"({"metadata":{"name":"a"},"data":{"k":"0"}})"));
  std::vector<store::Revision> revisions;
  io::Loop loop;
  loop.block_on(overwrite_at_once(*api_, make(Verb::update, "", "v1", "configmaps", "default", "a"), revisions));
  std::ranges::sort(revisions);
  EXPECT_EQ(revisions.size(), 8u);
  EXPECT_EQ(std::ranges::adjacent_find(revisions), revisions.end());
  auto last = get("", "v1", "configmaps", "default", "a");
  ASSERT_TRUE(last);
  EXPECT_NE(json_of(*last).string_at("data", "k"), "0");
}

TEST_F(RegistryTest, a_write_that_changes_nothing_makes_no_revision) {
  auto made = create("apps", "v1", "deployments", "default", deployment("web"));
  ASSERT_TRUE(made) << made.error().message;
  auto same = update("apps", "v1", "deployments", "default", "web", deployment("web"));
  ASSERT_TRUE(same) << same.error().message;
  EXPECT_EQ(same->object.revision, made->object.revision);
}

TEST_F(RegistryTest, only_changes_of_the_spec_count_the_generation) {
  ASSERT_TRUE(create("apps", "v1", "deployments", "default", deployment("web")));
  auto labelled = patch("apps", "v1", "deployments", "default", "web", BodyType::merge_patch, R"({"metadata":{"labels":{"a":"b"}}})");
  ASSERT_TRUE(labelled) << labelled.error().message;
  EXPECT_EQ(labelled->object.meta().generation, 1);
  auto scaled = patch("apps", "v1", "deployments", "default", "web", BodyType::strategic_patch, R"({"spec":{"replicas":5}})");
  ASSERT_TRUE(scaled);
  EXPECT_EQ(scaled->object.meta().generation, 2);
}

TEST_F(RegistryTest, the_status_is_written_by_its_subresource_only) {
  ASSERT_TRUE(create("apps", "v1", "deployments", "default", deployment("web")));
  auto main = patch("apps", "v1", "deployments", "default", "web", BodyType::merge_patch, R"({"status":{"replicas":9}})");
  ASSERT_TRUE(main);
  EXPECT_EQ(json_of(main->object).at("status", "replicas"), nullptr);
  auto status = patch("apps", "v1", "deployments", "default", "web", BodyType::merge_patch,
                      R"({"status":{"replicas":9},"spec":{"replicas":9}})", "status");
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(json_of(status->object).at("status", "replicas")->as_int(), 9);
  EXPECT_EQ(json_of(status->object).at("spec", "replicas")->as_int(), 1);
}

TEST_F(RegistryTest, invalid_objects_name_every_field) {
  auto refused = create(
      "apps", "v1", "deployments", "default",
      R"({"metadata":{"name":"Web"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"c"}},"spec":{"containers":[{"name":"c"}]}}}})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::invalid);
  std::vector<std::string> fields;
  for (const FieldCause& cause : refused.error().details->causes) fields.push_back(cause.field);
  for (std::string_view field : {"metadata.name", "spec.template.metadata.labels", "spec.template.spec.containers[0].image"}) {
    EXPECT_NE(std::find(fields.begin(), fields.end(), field), fields.end()) << field << " in " << refused.error().message;
  }
}

TEST_F(RegistryTest, unknown_fields_warn_or_fail) {
  Action action = make(Verb::create, "", "v1", "configmaps", "default");
  action.body = R"({"metadata":{"name":"a"},"dota":{}})";
  auto warned = run(registry().create(action));
  ASSERT_TRUE(warned);
  EXPECT_EQ(warned->warnings, std::vector<std::string>{"unknown field \"dota\""});
  action.write.validation = FieldValidation::strict;
  auto refused = run(registry().create(action));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"dota\"");
}

TEST_F(RegistryTest, finalizers_keep_an_object_until_the_last_is_gone) {
  ASSERT_TRUE(create("", "v1", "configmaps", "default", R"({"metadata":{"name":"a","finalizers":["x.io/y"]}})"));
  ASSERT_TRUE(remove("", "v1", "configmaps", "default", "a"));
  auto marked = get("", "v1", "configmaps", "default", "a");
  ASSERT_TRUE(marked);
  EXPECT_FALSE(marked->object->meta().deletion_timestamp.empty());
  auto last = patch("", "v1", "configmaps", "default", "a", BodyType::merge_patch, R"({"metadata":{"finalizers":null}})");
  ASSERT_TRUE(last);
  EXPECT_TRUE(last->object.meta().finalizers.empty());  // the answer is what the write made of it
  EXPECT_FALSE(get("", "v1", "configmaps", "default", "a"));
}

TEST_F(RegistryTest, dry_runs_leave_nothing) {
  Action action = make(Verb::create, "", "v1", "services", "default");
  action.body = R"({"metadata":{"name":"s"},"spec":{"ports":[{"port":80}]}})";
  action.write.dry_run = true;
  ASSERT_TRUE(run(registry().create(action)));
  EXPECT_FALSE(get("", "v1", "services", "default", "s"));
}

TEST_F(RegistryTest, lists_go_on_where_they_stopped_at_the_same_revision) {
  for (char c : std::string("abcde"))
    ASSERT_TRUE(create("", "v1", "configmaps", "default", std::string(R"({"metadata":{"name":")") + c + "\"}}"));
  Action action = make(Verb::list, "", "v1", "configmaps", "default");
  action.list.limit = 2;
  std::string names;
  store::Revision revision = 0;
  for (int pages = 0; pages < 3; pages++) {
    auto page = registry().list(action);
    ASSERT_TRUE(page) << page.error().message;
    if (revision == 0) revision = page->revision;
    EXPECT_EQ(page->revision, revision);
    for (const auto& item : page->items) names += item.meta().name;
    if (pages == 0) {
      EXPECT_EQ(page->remaining, 3u);
    }
    action.list.continue_token = page->continue_token;
    ASSERT_TRUE(create("", "v1", "configmaps", "default", R"({"metadata":{"generateName":"z"}})"));
  }
  EXPECT_EQ(names, "abcde");
}

TEST_F(RegistryTest, a_list_whose_revision_is_compacted_may_go_on_as_things_are_now) {
  for (char c : std::string("abc"))
    ASSERT_TRUE(create("", "v1", "configmaps", "default", std::string(R"({"metadata":{"name":")") + c + "\"}}"));
  Action action = make(Verb::list, "", "v1", "configmaps", "default");
  action.list.limit = 2;
  action.list.continue_token = registry().list(action)->continue_token;
  ASSERT_TRUE(create("", "v1", "configmaps", "default", R"({"metadata":{"name":"d"}})"));
  store::Store& store = registry().cluster().store();
  ASSERT_TRUE(store.compact(store.revision()));
  auto late = registry().list(action);
  ASSERT_FALSE(late);
  EXPECT_EQ(http_status(late.error()), 410);
  auto status = json::Document::parse(status_json(late.error()));
  EXPECT_EQ(status->root().string_at("reason"), "Expired");
  action.list.continue_token = status->root().string_at("metadata", "continue");
  auto rest = registry().list(action);
  ASSERT_TRUE(rest) << rest.error().message;
  ASSERT_EQ(rest->items.size(), 2u);
  EXPECT_EQ(std::string(rest->items[0].meta().name) + std::string(rest->items[1].meta().name), "cd");
  EXPECT_EQ(rest->revision, store.revision());
}

TEST_F(RegistryTest, watches_show_objects_that_start_and_stop_matching) {
  ASSERT_TRUE(create("", "v1", "configmaps", "default", R"({"metadata":{"name":"a"}})"));
  Action action = make(Verb::watch, "", "v1", "configmaps", "default");
  action.list.label_selector = "on=yes";
  auto watcher = registry().watch(action);
  ASSERT_TRUE(watcher) << watcher.error().message;
  ASSERT_TRUE(patch("", "v1", "configmaps", "default", "a", BodyType::merge_patch, R"({"metadata":{"labels":{"on":"yes"}}})"));
  ASSERT_TRUE(patch("", "v1", "configmaps", "default", "a", BodyType::merge_patch, R"({"data":{"x":"y"}})"));
  ASSERT_TRUE(patch("", "v1", "configmaps", "default", "a", BodyType::merge_patch, R"({"metadata":{"labels":{"on":"no"}}})"));
  std::vector<WatchItem::Kind> kinds;
  while (kinds.size() < 3) {
    auto items = run((*watcher)->next());
    ASSERT_TRUE(items);
    for (const WatchItem& item : *items) kinds.push_back(item.kind);
  }
  EXPECT_EQ(kinds, (std::vector{WatchItem::Kind::added, WatchItem::Kind::modified, WatchItem::Kind::removed}));
}

}  // namespace
}  // namespace estiba::apiserver
