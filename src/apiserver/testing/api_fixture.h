// A cluster for tests: the embedded store in a directory of its own, the API on top, a loop to run actions on.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "apiserver/server.h"
#include "io/loop.h"
#include "io/pki.h"
#include "store/embedded/embedded.h"
#include "store/testing/temp_directory.h"

namespace estiba::apiserver {

class ApiFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = store::open_embedded({.directory = directory_.path()});
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
    auto key = io::make_private_key();
    ASSERT_TRUE(key);
    options_.authn.signing_key_pem = *key;
    auto api = Api::make(*store_, options_);
    ASSERT_TRUE(api) << api.error().message;
    api_ = std::move(*api);
    auto ready = run(api_->bootstrap());
    ASSERT_TRUE(ready) << ready.error().message;
  }

  Registry& registry() { return api_->registry(); }
  template <class T>
  T run(Task<T> task) {
    io::Loop loop;
    return loop.block_on(std::move(task));
  }

  Action make(Verb verb, std::string_view group, std::string_view version, std::string_view resource, std::string ns,
              std::string name = {}) {
    Action action;
    action.verb = verb;
    model::ResourceRef found = api_->cluster().find_resource(group, version, resource);
    action.resource = found.resource;
    action.tables = std::move(found.definition);
    action.ns = std::move(ns);
    action.name = std::move(name);
    action.body_type = BodyType::json;
    action.user = {"tester", {}, {"system:masters"}, {}};
    return action;
  }
  Result<Outcome> create(std::string_view group, std::string_view version, std::string_view resource, std::string ns, std::string body) {
    Action action = make(Verb::create, group, version, resource, std::move(ns));
    action.body = std::move(body);
    return run(api_->run(std::move(action)));
  }
  Result<Outcome> update(std::string_view group, std::string_view version, std::string_view resource, std::string ns, std::string name,
                         std::string body, std::string subresource = {}) {
    Action action = make(Verb::update, group, version, resource, std::move(ns), std::move(name));
    action.subresource = std::move(subresource);
    action.body = std::move(body);
    return run(api_->run(std::move(action)));
  }
  Result<Outcome> patch(std::string_view group, std::string_view version, std::string_view resource, std::string ns, std::string name,
                        BodyType type, std::string body, std::string subresource = {}) {
    Action action = make(Verb::patch, group, version, resource, std::move(ns), std::move(name));
    action.subresource = std::move(subresource);
    action.body_type = type;
    action.body = std::move(body);
    return run(api_->run(std::move(action)));
  }
  Result<Outcome> remove(std::string_view group, std::string_view version, std::string_view resource, std::string ns, std::string name,
                         DeleteOptions options = {}) {
    Action action = make(Verb::remove, group, version, resource, std::move(ns), std::move(name));
    action.remove = std::move(options);
    return run(api_->run(std::move(action)));
  }
  Result<model::ObjectRef> get(std::string_view group, std::string_view version, std::string_view resource, std::string ns,
                               std::string name) {
    return registry().get(make(Verb::get, group, version, resource, std::move(ns), std::move(name)));
  }
  /// The object's JSON; lives until the next call.
  const json::Node& json_of(const model::ObjectRef& object) {
    auto parsed = json::Document::parse(object.print());
    EXPECT_TRUE(parsed);
    parsed_ = std::move(*parsed);
    return parsed_.root();
  }
  static std::string deployment(const std::string& name) {
    return R"({"metadata":{"name":")" + name +
           R"("},"spec":{"selector":{"matchLabels":{"app":"x"}},"template":{"metadata":{"labels":{"app":"x"}},)" +
           R"("spec":{"containers":[{"name":"c","image":"busybox"}]}}}})";
  }

  store::TempDirectory directory_;
  ServerOptions options_;
  std::unique_ptr<store::EmbeddedStore> store_;
  std::unique_ptr<Api> api_;
  json::Document parsed_;
};

}  // namespace estiba::apiserver
