#include "controllers/testing/cluster.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;

struct NamespaceTest : ControllerTest {
  void begin() {
    options.kinds = {{client::configmaps, "ConfigMap", true},
                     {client::pods, "Pod", true},
                     {client::service_accounts, "ServiceAccount", true},
                     {client::nodes, "Node", false}};
    options.root_ca_pem = "PEM";
    start({make_namespace_controller, make_service_account_controller, make_root_ca_controller});
  }
  void add_namespace(const std::string& name) {
    server.add(client::namespaces, "", R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":")" + name + R"("}})");
    executor.run();
  }
  bool has_namespace(const std::string& name) { return bool(server.find(client::namespaces, "", name)); }
};

TEST_F(NamespaceTest, EveryNamespaceHasItsAccountAndTheCertificate) {
  add_namespace("before");
  begin();
  add_namespace("x");
  for (const char* ns : {"before", "x"}) {
    EXPECT_TRUE(server.find(client::service_accounts, ns, "default"));
    EXPECT_EQ(server.find(client::configmaps, ns, "kube-root-ca.crt").as<model::core_v1::ConfigMap>().data.at("ca.crt"), "PEM");
  }
  server.erase(client::service_accounts, "x", "default");
  server.merge(client::configmaps, "x", "kube-root-ca.crt", R"({"data":{"ca.crt":"other"}})");
  executor.run();
  EXPECT_TRUE(server.find(client::service_accounts, "x", "default"));
  EXPECT_EQ(server.find(client::configmaps, "x", "kube-root-ca.crt").as<model::core_v1::ConfigMap>().data.at("ca.crt"), "PEM");
}

TEST_F(NamespaceTest, ADeletedNamespaceTakesItsContentWithIt) {
  begin();
  add_namespace("x");
  add_namespace("y");
  add_map("a", {}, "x");
  add_map("a", {}, "y");
  server.erase(client::namespaces, "", "x");
  executor.advance(1s);
  EXPECT_FALSE(has_namespace("x"));
  EXPECT_TRUE(server.all(client::configmaps, "x").empty());
  EXPECT_TRUE(server.all(client::service_accounts, "x").empty());
  EXPECT_TRUE(has_namespace("y") && has_map("a", "y"));
  EXPECT_EQ(executor.timers(), 0u);
}

TEST_F(NamespaceTest, ItWaitsForPodsToEndAndSaysWhatRemains) {
  begin();
  add_namespace("x");
  server.add(client::pods, "x",
             R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"nodeName":"n","terminationGracePeriodSeconds":30}})");
  server.erase(client::namespaces, "", "x");
  executor.advance(3s);
  ASSERT_TRUE(has_namespace("x"));
  const auto& status = server.find(client::namespaces, "", "x").as<model::core_v1::Namespace>().status;
  EXPECT_EQ(status.phase, "Terminating");
  ASSERT_EQ(status.conditions.size(), 5u);
  EXPECT_EQ(status.conditions[3].type + " " + status.conditions[3].status, "NamespaceContentRemaining True");
  EXPECT_EQ(status.conditions[3].message, "Some resources are remaining: pods. has 1 resource instances");
  server.erase(client::pods, "x", "p", {.grace_seconds = 0});
  executor.run();  // at once, not after a wait
  EXPECT_FALSE(has_namespace("x"));
}

TEST_F(NamespaceTest, PodsGoBeforeEverythingElse) {
  begin();
  add_namespace("x");
  add_map("a", {}, "x");
  server.add(client::pods, "x",
             R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","finalizers":["test/hold"]},"spec":{"nodeName":"n"}})");
  server.erase(client::namespaces, "", "x");
  executor.advance(1min);
  EXPECT_TRUE(has_map("a", "x"));
  EXPECT_EQ(server.find(client::namespaces, "", "x").as<model::core_v1::Namespace>().status.conditions[2].type,
            "NamespaceDeletionContentFailure");
  server.merge(client::pods, "x", "p", R"({"metadata":{"finalizers":null}})");
  server.erase(client::pods, "x", "p", {.grace_seconds = 0});
  executor.advance(11s);
  EXPECT_FALSE(has_map("a", "x") || has_namespace("x"));
}

TEST_F(NamespaceTest, FinalizersOfOthersHoldIt) {
  begin();
  add_namespace("x");
  add_map("a", {}, "x");
  server.merge(client::configmaps, "x", "a", R"({"metadata":{"finalizers":["test/hold"]}})");
  server.erase(client::namespaces, "", "x");
  executor.advance(1min);
  ASSERT_TRUE(has_namespace("x"));
  EXPECT_EQ(server.find(client::namespaces, "", "x").as<model::core_v1::Namespace>().status.conditions[4].message,
            "Some content in the namespace has finalizers remaining: test/hold in 1 resource instances");
  server.merge(client::configmaps, "x", "a", R"({"metadata":{"finalizers":null}})");
  executor.advance(11s);
  EXPECT_FALSE(has_namespace("x"));
}

TEST_F(NamespaceTest, ARestartInTheMiddleGoesOn) {
  add_namespace("x");
  add_map("a", {}, "x");
  server.erase(client::namespaces, "", "x");
  begin();
  executor.advance(1s);
  EXPECT_FALSE(has_namespace("x"));
}

}  // namespace
}  // namespace estiba::controllers
