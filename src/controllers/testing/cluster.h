// A small cluster for the tests of controllers: the fake API server, a fake clock, and the controllers a test names.
#pragma once
#include <gtest/gtest.h>

#include "base/fake_executor.h"
#include "base/time.h"
#include "client/testing/fake_client.h"
#include "controllers/framework.h"
#include "controllers/table.h"

namespace estiba::controllers {

struct ControllerTest : ::testing::Test {
  using Make = std::unique_ptr<Controller> (*)(Context&);

  FakeExecutor executor;
  client::testing::FakeClient server{executor};
  Options options;
  std::unique_ptr<client::Informers> informers;
  std::unique_ptr<Context> context;
  std::vector<std::unique_ptr<Controller>> controllers;

  void start(std::initializer_list<Make> makes) {
    informers = std::make_unique<client::Informers>(server);
    context.reset(new Context{server, executor, *informers, options});
    for (Make make : makes) controllers.push_back(make(*context));
    for (auto& controller : controllers) controller->start();
    executor.run();
  }
  void stop() {
    controllers.clear();
    context.reset();
    informers.reset();
  }
  std::string now() const { return format_rfc3339(executor.wall_now()); }

  /// Metadata with owners, each "Kind/name/uid", optionally followed by "!" (blocks the owner's deletion).
  static std::string meta(const std::string& name, std::initializer_list<std::string> owners = {}) {
    std::string text = R"({"name":")" + name + R"(","ownerReferences":[)";
    bool first = true;
    for (std::string owner : owners) {
      const bool blocks = owner.back() == '!';
      if (blocks) owner.pop_back();
      const size_t a = owner.find('/'), b = owner.find('/', a + 1);
      const std::string kind = owner.substr(0, a);
      text += std::string(first ? "" : ",") + R"({"apiVersion":")" + (kind == "ReplicaSet" || kind == "Deployment" ? "apps/v1" : "v1") + R"(","kind":")" + kind +
              R"(","name":")" + owner.substr(a + 1, b - a - 1) + R"(","uid":")" + owner.substr(b + 1) + R"(")" + (blocks ? R"(,"blockOwnerDeletion":true)" : "") + "}";
      first = false;
    }
    return text + "]}";
  }
  model::ObjectRef add_map(const std::string& name, std::initializer_list<std::string> owners = {}, const std::string& ns = "x") {
    return server.add(client::configmaps, ns, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":)" + meta(name, owners) + "}");
  }
  bool has_map(const std::string& name, const std::string& ns = "x") { return bool(server.find(client::configmaps, ns, name)); }
};

}  // namespace estiba::controllers
