// Migrations of stored versions: what is written again, in which order they run, and what the definition is told.
#include <algorithm>

#include "controllers/kinds.h"
#include "controllers/testing/cluster.h"
#include "model/custom/definition.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;

constexpr client::Resource migrations{"storagemigration.k8s.io", "v1beta1", "storageversionmigrations"};
constexpr client::Resource widgets{"x.io", "v2", "widgets"};

std::string quoted(std::string text) {
  std::ranges::replace(text, '\'', '"');
  return text;
}

struct StorageVersionMigrationTest : ControllerTest {
  std::vector<std::string> written;  // the names of objects, in order

  void SetUp() override {
    server.before_call = [this](std::string_view verb, client::Resource resource, std::string_view name) -> Result<void> {
      if (verb == "patch" && (resource == client::configmaps || resource == widgets)) written.emplace_back(name);
      return {};
    };
  }
  void migration(const std::string& name, const std::string& resource, const std::string& group = "") {
    server.add(
        migrations, "",
        quoted("{'apiVersion':'storagemigration.k8s.io/v1beta1','kind':'StorageVersionMigration','metadata':{'name':'" + name +
               "','creationTimestamp':'" + now() + "'},'spec':{'resource':{'group':'" + group + "','resource':'" + resource + "'}}}"));
    executor.run();
  }
  void definition() {
    server.add(
        custom_resource_definitions, "",
        quoted("{'apiVersion':'apiextensions.k8s.io/v1','kind':'CustomResourceDefinition','metadata':{'name':'widgets.x.io'},'spec':{"
               "'group':'x.io','scope':'Namespaced','names':{'plural':'widgets','singular':'widget','kind':'Widget'},'versions':["
               "{'name':'v1','served':true,'storage':false,'schema':{'openAPIV3Schema':{'type':'object'}}},"
               "{'name':'v2','served':true,'storage':true,'schema':{'openAPIV3Schema':{'type':'object'}}}]},"
               "'status':{'storedVersions':['v1','v2'],'conditions':[{'type':'NamesAccepted','status':'True'},"
               "{'type':'Established','status':'True'}]}}"));
  }
  json::Document text(client::Resource resource, const std::string& name) const {
    return std::move(*json::Document::parse(server.find(resource, "", name).object->json()));
  }
  bool holds(const std::string& name, std::string_view condition) const {
    return model::has_condition(text(migrations, name).root(), condition);
  }
  std::string reason(client::Resource resource, const std::string& name, std::string_view type) const {
    const json::Document document = text(resource, name);
    for (const json::Node& each : *document.root().at("status", "conditions"))
      if (each.string_at("type") == type) return std::string(each.string_at("status")) + " " + std::string(each.string_at("reason"));
    return "none";
  }
};

TEST_F(StorageVersionMigrationTest, EveryObjectIsWrittenOnce) {
  add_map("a"), add_map("b"), add_map("c", {}, "y");
  start({make_storage_version_migration});
  migration("m", "configmaps");
  EXPECT_EQ(written, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(holds("m", "Succeeded"));
  EXPECT_EQ(reason(migrations, "m", "Running"), "False MigrationCompleted");
  EXPECT_FALSE(text(migrations, "m").root().string_at("status", "resourceVersion").empty());
  server.merge(migrations, "", "m", R"({"metadata":{"labels":{"a":"b"}}})");
  executor.run();
  EXPECT_EQ(written.size(), 3u) << "it has ended";
}

TEST_F(StorageVersionMigrationTest, WhatChangesMeanwhileIsRight) {
  add_map("a"), add_map("b");
  start({make_storage_version_migration});
  server.before_call = [this](std::string_view verb, client::Resource resource, std::string_view name) -> Result<void> {
    if (verb != "patch" || resource != client::configmaps) return {};
    if (name == "a") server.merge(client::configmaps, "x", "a", R"({"data":{"k":"v"}})");
    else server.erase(client::configmaps, "x", "b");
    return {};
  };
  migration("m", "configmaps");
  EXPECT_TRUE(holds("m", "Succeeded"));
}

TEST_F(StorageVersionMigrationTest, ADefinitionForgetsVersionsThatAreStoredNoMore) {
  definition();
  server.add(widgets, "x", R"({"apiVersion":"x.io/v2","kind":"Widget","metadata":{"name":"w"}})");
  start({make_storage_version_migration});
  migration("m", "widgets", "x.io");
  EXPECT_EQ(written, std::vector<std::string>{"w"});
  EXPECT_EQ(json::print(*text(custom_resource_definitions, "widgets.x.io").root().at("status", "storedVersions")), R"(["v2"])");
  EXPECT_EQ(reason(custom_resource_definitions, "widgets.x.io", "StorageMigrating"), "False MigrationSucceeded");
  EXPECT_EQ(reason(custom_resource_definitions, "widgets.x.io", "Established"), "True ");
}

TEST_F(StorageVersionMigrationTest, ADefinitionThatChangesMeanwhileForgetsNothing) {
  definition();
  server.add(widgets, "x", R"({"apiVersion":"x.io/v2","kind":"Widget","metadata":{"name":"w"}})");
  start({make_storage_version_migration});
  server.before_call = [this](std::string_view verb, client::Resource resource, std::string_view) -> Result<void> {
    if (verb == "patch" && resource == widgets)
      server.merge(custom_resource_definitions, "", "widgets.x.io", R"({"spec":{"names":{"shortNames":["w"]}}})");
    return {};
  };
  migration("m", "widgets", "x.io");
  EXPECT_TRUE(holds("m", "Succeeded"));
  EXPECT_EQ(json::print(*text(custom_resource_definitions, "widgets.x.io").root().at("status", "storedVersions")), R"(["v1","v2"])");
}

TEST_F(StorageVersionMigrationTest, OneRunsForAResourceAtATime) {
  add_map("a");
  bool broken = true;
  server.before_call = [&](std::string_view verb, client::Resource resource, std::string_view) -> Result<void> {
    if (broken && verb == "patch" && resource == client::configmaps) return fail(Code::unavailable, "no");
    return {};
  };
  start({make_storage_version_migration});
  migration("z", "configmaps");
  executor.advance(5s);
  migration("b", "configmaps");
  EXPECT_TRUE(holds("z", "Running"));
  EXPECT_FALSE(holds("z", "Failed")) << "it may work later";
  EXPECT_FALSE(holds("b", "Running"));
  broken = false;
  executor.advance(6min);
  EXPECT_TRUE(holds("z", "Succeeded"));
  EXPECT_TRUE(holds("b", "Succeeded"));
}

TEST_F(StorageVersionMigrationTest, ItSaysWhatFails) {
  add_map("a");
  server.before_call = [](std::string_view verb, client::Resource resource, std::string_view) -> Result<void> {
    if (verb == "patch" && resource == client::configmaps) return fail(Code::invalid, "a rule");
    return {};
  };
  start({make_storage_version_migration});
  migration("m", "configmaps");
  EXPECT_EQ(reason(migrations, "m", "Failed"), "True StorageVersionMigrationFailed");
  EXPECT_TRUE(
      server.find(migrations, "", "m").object->json().contains("migration encountered unhandled error: write ConfigMap x/a: a rule"));
  migration("none", "nothings", "x.io");
  EXPECT_FALSE(holds("none", "Failed")) << "it may come yet";
  executor.advance(61s);
  EXPECT_TRUE(holds("none", "Failed"));
}

}  // namespace
}  // namespace estiba::controllers
