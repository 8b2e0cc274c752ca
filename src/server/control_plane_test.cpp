// API server, store, controllers and scheduler together, in one process, on a real loop; the test plays the node.
#include <gtest/gtest.h>

#include <set>

#include "apiserver/testing/api_fixture.h"
#include "client/informer.h"
#include "controllers/controllers.h"
#include "model/types/apps_v1.h"
#include "model/types/discovery_v1.h"
#include "scheduler/scheduler.h"
#include "server/local_client.h"

namespace estiba::server {
namespace {

using namespace std::chrono_literals;
using client::PatchType;
using model::ObjectRef;
using model::apps_v1::Deployment;
using model::core_v1::Pod;

/// Runs what is bound to it as quickly as it can: pods become ready at once and go when they are told to.
struct FakeNode {
  client::Client& client;
  client::Informer pods{client, client::pods};
  TaskGroup work;
  int addresses = 0;
  std::set<std::string> seen;

  explicit FakeNode(client::Client& c) : client(c) {
    pods.on_change([this](const ObjectRef&, const ObjectRef& pod) {
      if (!pod || pod.as<Pod>().spec.nodeName != "n1") return;
      const model::Meta& meta = pod.meta();
      if (!meta.deletion_timestamp.empty()) {
        if (seen.insert("end " + meta.uid).second) work.start(end(this, meta.ns, meta.name));
      } else if (seen.insert("run " + meta.uid).second) {
        work.start(run(this, meta.ns, meta.name));
      }
    });
  }
  static Task<void> run(FakeNode* self, std::string ns, std::string name) {
    const std::string ip = "10.42.0." + std::to_string(++self->addresses);
    auto written = co_await self->client.patch(
        client::pods, ns, name, PatchType::merge,
        R"({"status":{"phase":"Running","podIP":")" + ip + R"(","podIPs":[{"ip":")" + ip +
            R"("}],"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}})",
        {.subresource = "status"});
    EXPECT_TRUE(written || written.error().code == Code::not_found) << written.error().message;
  }
  static Task<void> end(FakeNode* self, std::string ns, std::string name) {
    auto removed = co_await self->client.remove(client::pods, ns, name, {.grace_seconds = 0});
    EXPECT_TRUE(removed || removed.error().code == Code::not_found) << removed.error().message;
  }
};

struct ControlPlaneTest : apiserver::ApiFixture {
  struct Plane {
    std::unique_ptr<client::Client> controllers_client, scheduler_client, test;
    controllers::Controllers controllers;
    scheduler::Scheduler scheduler;
    FakeNode node;
    explicit Plane(apiserver::Api& api)
        : controllers_client(make_local_client(api, "system:kube-controller-manager")),
          scheduler_client(make_local_client(api, "system:kube-scheduler")),
          test(make_local_client(api, "tester")),
          controllers(*controllers_client, *Executor::current(), {.root_ca_pem = "PEM"}),
          scheduler(*scheduler_client, *Executor::current()),
          node(*test) {
      controllers.start();
      scheduler.start();
    }
  };
  /// The script runs beside a whole control plane.
  void with_plane(Task<void> (*script)(Plane& plane)) { run(go(this, script)); }
  static Task<int> go(ControlPlaneTest* self, Task<void> (*script)(Plane& plane)) {
    Plane plane(*self->api_);
    auto node = co_await plane.test->create(client::nodes, "", R"({"metadata":{"name":"n1"}})");
    EXPECT_TRUE(node) << node.error().message;
    auto ready = co_await plane.test->patch(
        client::nodes, "", "n1", PatchType::merge,
        R"({"status":{"allocatable":{"cpu":"8","memory":"16Gi","pods":"110"},"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","message":"","lastHeartbeatTime":"2026-01-01T00:00:00Z","lastTransitionTime":"2026-01-01T00:00:00Z"}]}})",
        {.subresource = "status"});
    EXPECT_TRUE(ready) << ready.error().message;
    co_await script(plane);
    co_return 0;
  }

  static std::string deployment_body(int replicas, const std::string& image) {
    return R"({"metadata":{"name":"web"},"spec":{"replicas":)" + std::to_string(replicas) +
           R"(,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":")" +
           image + R"(","resources":{"requests":{"cpu":"100m","memory":"64Mi"}}}]}}}})";
  }
  static bool is_rolled_out(const ObjectRef& deployment, int replicas) {
    const auto& status = deployment.as<Deployment>().status;
    if (status.observedGeneration.value_or(0) < deployment.meta().generation || status.availableReplicas.value_or(0) != replicas ||
        status.updatedReplicas.value_or(0) != replicas || status.replicas.value_or(0) != replicas)
      return false;
    return std::any_of(status.conditions.begin(), status.conditions.end(),
                       [](const auto& c) { return c.type == "Progressing" && c.reason == "NewReplicaSetAvailable"; });
  }
  static Task<bool> rolled_out(Plane& plane, int replicas) {
    for (int i = 0; i < 2000; ++i) {
      auto deployment = co_await plane.test->get(client::deployments, "default", "web");
      if (deployment && is_rolled_out(*deployment, replicas)) co_return true;
      co_await sleep_for(2ms);
    }
    co_return false;
  }
  static Task<size_t> count(Plane& plane, client::Resource resource, std::string ns) {
    auto list = co_await plane.test->list(resource, ns);
    co_return list ? list->items.size() : 0;
  }
  static Task<bool> none_left(Plane& plane, client::Resource resource, std::string ns) {
    for (int i = 0; i < 2000; ++i) {
      if (co_await count(plane, resource, ns) == 0) co_return true;
      co_await sleep_for(2ms);
    }
    co_return false;
  }
};

TEST_F(ControlPlaneTest, ADeploymentRunsRollsScalesAndGoes) {
  with_plane([](Plane& plane) -> Task<void> {
    auto service = co_await plane.test->create(
        client::services, "default",
        R"({"metadata":{"name":"web"},"spec":{"selector":{"app":"web"},"ports":[{"port":80,"targetPort":8080}]}})");
    EXPECT_TRUE(service) << service.error().message;
    const Instant begin = Executor::current()->now();
    auto made = co_await plane.test->create(client::deployments, "default", deployment_body(10, "v1"));
    EXPECT_TRUE(made) << made.error().message;
    EXPECT_TRUE(co_await rolled_out(plane, 10));
    const Instant ready_at = Executor::current()->now();
    EXPECT_EQ(co_await count(plane, client::pods, "default"), 10u);
    for (int i = 0; i < 200; ++i) {
      auto slices = co_await plane.test->list(client::endpoint_slices, "default");
      size_t ready = 0;
      for (const ObjectRef& slice : slices->items)
        for (const auto& e : slice.as<model::discovery_v1::EndpointSlice>().endpoints)
          ready += slice.meta().label("kubernetes.io/service-name") == "web" && *e.conditions->ready;
      if (ready == 10) break;
      if (i == 199) ADD_FAILURE() << ready << " endpoints are ready";
      co_await sleep_for(2ms);
    }
    const Instant rolling = Executor::current()->now();
    auto patched = co_await plane.test->patch(client::deployments, "default", "web", PatchType::strategic,
                                              R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":"v2"}]}}}})");
    EXPECT_TRUE(patched) << patched.error().message;
    EXPECT_TRUE(co_await rolled_out(plane, 10));
    const auto ms = [](Duration took) { return int(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()); };
    RecordProperty("ready_ms", ms(ready_at - begin));
    RecordProperty("rolled_ms", ms(Executor::current()->now() - rolling));
    // Settled: nothing writes any more.
    co_await sleep_for(300ms);
    auto settled = co_await plane.test->list(client::events, "");
    co_await sleep_for(500ms);
    auto later = co_await plane.test->list(client::events, "");
    EXPECT_EQ(settled->revision, later->revision);
    auto scaled = co_await plane.test->patch(client::deployments, "default", "web", PatchType::merge, R"({"spec":{"replicas":2}})");
    EXPECT_TRUE(scaled);
    EXPECT_TRUE(co_await rolled_out(plane, 2));
    auto removed = co_await plane.test->remove(client::deployments, "default", "web");
    EXPECT_TRUE(removed);
    EXPECT_TRUE(co_await none_left(plane, client::pods, "default"));
    EXPECT_TRUE(co_await none_left(plane, client::replica_sets, "default"));
  });
}

TEST_F(ControlPlaneTest, ANamespaceGoesWithAllItsContent) {
  with_plane([](Plane& plane) -> Task<void> {
    auto ns = co_await plane.test->create(client::namespaces, "", R"({"metadata":{"name":"shop"}})");
    EXPECT_TRUE(ns) << ns.error().message;
    for (const char* kind : {"service account", "config map"}) {
      const bool account = std::string_view(kind) == "service account";
      bool there = false;
      for (int i = 0; i < 500 && !there; ++i) {
        there = bool(co_await plane.test->get(account ? client::service_accounts : client::configmaps, "shop",
                                              account ? "default" : "kube-root-ca.crt"));
        if (!there) co_await sleep_for(2ms);
      }
      EXPECT_TRUE(there) << kind;
    }
    auto made = co_await plane.test->create(client::deployments, "shop", deployment_body(3, "v1"));
    EXPECT_TRUE(made);
    for (int i = 0; i < 500 && co_await count(plane, client::pods, "shop") < 3; ++i) co_await sleep_for(2ms);
    auto removed = co_await plane.test->remove(client::namespaces, "", "shop");
    EXPECT_TRUE(removed) << removed.error().message;
    bool gone = false;
    for (int i = 0; i < 2000 && !gone; ++i) {
      auto there = co_await plane.test->get(client::namespaces, "", "shop");
      gone = !there && there.error().code == Code::not_found;
      if (!gone) co_await sleep_for(2ms);
    }
    EXPECT_TRUE(gone);
    EXPECT_EQ(co_await count(plane, client::pods, "shop"), 0u);
  });
}

TEST_F(ControlPlaneTest, AForegroundDeletionEndsWithTheDeployment) {
  with_plane([](Plane& plane) -> Task<void> {
    auto made = co_await plane.test->create(client::deployments, "default", deployment_body(3, "v1"));
    EXPECT_TRUE(made);
    EXPECT_TRUE(co_await rolled_out(plane, 3));
    auto removed = co_await plane.test->remove(client::deployments, "default", "web", {.propagation = "Foreground"});
    EXPECT_TRUE(removed);
    EXPECT_TRUE(co_await none_left(plane, client::deployments, "default"));
    EXPECT_EQ(co_await count(plane, client::replica_sets, "default"), 0u);
    EXPECT_EQ(co_await count(plane, client::pods, "default"), 0u);
  });
}

TEST_F(ControlPlaneTest, APodThatFitsNowhereIsToldWhy) {
  with_plane([](Plane& plane) -> Task<void> {
    auto made = co_await plane.test->create(
        client::pods, "default",
        R"({"metadata":{"name":"big"},"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"100"}}}]}})");
    EXPECT_TRUE(made) << made.error().message;
    std::string message;
    // At first the new node's taint may be the reason.
    for (int i = 0; i < 5000 && message.find("Insufficient cpu") == std::string::npos; ++i) {
      auto pod = co_await plane.test->get(client::pods, "default", "big");
      for (const auto& c : pod->as<Pod>().status.conditions)
        if (c.type == "PodScheduled" && c.reason == "Unschedulable") message = c.message;
      co_await sleep_for(2ms);
    }
    EXPECT_TRUE(message.starts_with("0/1 nodes are available: ") && message.find("1 Insufficient cpu") != std::string::npos) << message;
  });
}

}  // namespace
}  // namespace estiba::server
