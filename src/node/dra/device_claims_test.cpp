#include "node/dra/device_claims.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "client/testing/fake_client.h"
#include "io/grpc_server.h"
#include "io/loop.h"

namespace estiba::node {
namespace {

using namespace std::chrono_literals;
using Asked = std::vector<std::string>;

// A driver that answers at its socket, and what it was asked for: "prepare NAME", "unprepare NAME".
struct FakeDriver {
  Asked asked;
  std::string error;
  Event go_on;
  io::GrpcServer grpc{{{"/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin/NodePrepareResources",
                        {.unary = [this](std::string message) { return prepare(this, std::move(message)); }, .stream = {}}},
                       {"/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin/NodeUnprepareResources",
                        {.unary = [this](std::string message) { return unprepare(this, std::move(message)); }, .stream = {}}}}};
  io::HttpServer server;

  FakeDriver(io::Loop& loop, const std::string& socket)
      : server(std::vector<io::Loop*>{&loop}, {},
               [this](io::Request& request, io::Response& response) { return grpc.serve(request, response); }) {
    EXPECT_TRUE(server.listen_unix(socket));
    go_on.set();
  }
  static Task<io::GrpcAnswer> prepare(FakeDriver* self, std::string message) {
    dra_api::ClaimsRequest request;
    EXPECT_TRUE(protobuf::decode(message, request));
    dra_api::PrepareResponse answer;
    for (const dra_api::Claim& claim : request.claims) {
      self->asked.push_back("prepare " + claim.name);
      dra_api::Device device{
          .request_names = {"r"}, .pool_name = "n", .device_name = "g", .cdi_device_ids = {"d.io/gpu=" + claim.uid}, .share_id = {}};
      answer.claims.push_back({claim.uid, {.devices = {std::move(device)}, .error = self->error}});
    }
    co_await self->go_on.wait();
    co_return io::GrpcAnswer{{}, protobuf::encode(answer)};
  }
  static Task<io::GrpcAnswer> unprepare(FakeDriver* self, std::string message) {
    dra_api::ClaimsRequest request;
    EXPECT_TRUE(protobuf::decode(message, request));
    dra_api::UnprepareResponse answer;
    for (const dra_api::Claim& claim : request.claims) {
      self->asked.push_back("unprepare " + claim.name);
      answer.claims.push_back({claim.uid, {.error = self->error}});
    }
    co_await self->go_on.wait();
    co_return io::GrpcAnswer{{}, protobuf::encode(answer)};
  }
};

struct DeviceClaimsTest : testing::Test {
  std::string dir = testing::TempDir() + "estiba-claims-" + std::to_string(getpid());
  io::Loop loop;
  client::testing::FakeClient client{loop};
  std::unique_ptr<FakeDriver> driver;
  std::unique_ptr<DeviceClaims> claims;

  DeviceClaimsTest() {
    std::filesystem::create_directories(dir);
    driver = std::make_unique<FakeDriver>(loop, dir + "/dra.sock");
    open();
  }
  ~DeviceClaimsTest() override {
    claims.reset();
    driver.reset();
    std::error_code ignored;
    std::filesystem::remove_all(dir, ignored);
  }
  /// As a server that starts.
  void open() {
    claims = std::make_unique<DeviceClaims>(dir + "/claims.json", "n", client, loop);
    EXPECT_TRUE(claims->load());
  }
  void registers() {
    EXPECT_TRUE(run(claims->registry_handler().registered({"DRAPlugin", "d.io", dir + "/dra.sock", {"v1.DRAPlugin"}, dir + "/reg.sock"})));
  }
  void add_claim(const std::string& name, const std::string& pods) {
    std::string users;
    for (const char pod : pods)
      users += std::string(users.empty() ? "" : ",") + R"({"resource":"pods","name":")" + pod + R"(","uid":")" + pod + "\"}";
    const std::string allocation = R"("allocation":{"devices":{"results":[{"request":"r","driver":"d.io","pool":"n","device":"g"}]}})";
    client.add(client::resource_claims, "x",
               R"({"apiVersion":"resource.k8s.io/v1","kind":"ResourceClaim","metadata":{"name":")" + name + R"("}})");
    client.merge(client::resource_claims, "x", name, R"({"status":{"reservedFor":[)" + users + "]," + allocation + "}}", "status");
  }
  model::ObjectRef pod(const std::string& name, const std::string& claim) {
    return client.add(client::pods, "x",
                      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name + R"(","uid":")" + name +
                          R"("},"spec":{"resourceClaims":[{"name":"gpu","resourceClaimName":")" + claim +
                          R"("}],"containers":[{"name":"c","resources":{"claims":[{"name":"gpu"}]}}]}})");
  }
  template <class T>
  T run(Task<T> task) {
    return loop.block_on(std::move(task));
  }
  static Task<Result<void>> both(Task<Result<void>> one, Task<Result<void>> other, FakeDriver* driver) {
    driver->go_on.reset();
    Result<void> first, second;
    TaskGroup group;
    const auto keep = [](Task<Result<void>> task, Result<void>* out) -> Task<void> { *out = co_await std::move(task); };
    group.start(keep(std::move(one), &first));
    group.start(keep(std::move(other), &second));
    while (driver->asked.empty()) co_await sleep_for(1ms);
    co_await sleep_for(20ms);  // for one that would ask, too
    driver->go_on.set();
    co_await group.join();
    co_return first ? second : first;
  }
  Result<std::vector<std::string>> devices(const model::ObjectRef& of) {
    return claims->cdi_devices(of, of.as<model::core_v1::Pod>().spec.containers[0]);
  }
};

TEST_F(DeviceClaimsTest, PodsOfOneClaimThatComeTogetherHaveItPreparedOnce) {
  registers();
  add_claim("c", "ab");
  const auto a = pod("a", "c"), b = pod("b", "c");
  ASSERT_TRUE(run(both(claims->prepare(a), claims->prepare(b), driver.get())));
  EXPECT_EQ(driver->asked, Asked{"prepare c"});
  EXPECT_EQ(devices(a)->size(), 1u);
  EXPECT_EQ(devices(b)->size(), 1u);
  ASSERT_TRUE(run(claims->unprepare(a.meta().uid)));
  EXPECT_EQ(driver->asked, Asked{"prepare c"}) << "the other one still uses it";
  ASSERT_TRUE(run(claims->unprepare(b.meta().uid)));
  EXPECT_EQ(driver->asked, (Asked{"prepare c", "unprepare c"}));
}

TEST_F(DeviceClaimsTest, WhoComesWhileAClaimIsPutAwayHasItPreparedAgain) {
  registers();
  add_claim("c", "ab");
  const auto a = pod("a", "c"), b = pod("b", "c");
  ASSERT_TRUE(run(claims->prepare(a)));
  driver->asked.clear();
  ASSERT_TRUE(run(both(claims->unprepare(a.meta().uid), claims->prepare(b), driver.get())));
  EXPECT_EQ(driver->asked, (Asked{"unprepare c", "prepare c"}));
  EXPECT_TRUE(claims->has(b.meta().uid));
  EXPECT_FALSE(claims->has(a.meta().uid));
}

TEST_F(DeviceClaimsTest, APodWithoutItsDriverHasNothingToPutAway) {
  add_claim("c", "a");
  const auto a = pod("a", "c");
  EXPECT_EQ(run(claims->prepare(a)).error().message, "DRA driver d.io is not registered");
  EXPECT_FALSE(claims->has(a.meta().uid));
  EXPECT_TRUE(run(claims->unprepare(a.meta().uid)));
}

TEST_F(DeviceClaimsTest, WhatMayHaveBeenPreparedIsPutAway) {
  registers();
  add_claim("c", "a");
  const auto a = pod("a", "c");
  driver->error = "no";
  EXPECT_EQ(run(claims->prepare(a)).error().message, "NodePrepareResources failed for ResourceClaim c: no");
  EXPECT_TRUE(claims->has(a.meta().uid));
  EXPECT_FALSE(claims->has_all(a));
  EXPECT_FALSE(run(claims->unprepare(a.meta().uid)));
  EXPECT_TRUE(claims->has(a.meta().uid)) << "until the driver has done it";
  driver->error.clear();
  EXPECT_TRUE(run(claims->unprepare(a.meta().uid)));
  EXPECT_FALSE(claims->has(a.meta().uid));
}

TEST_F(DeviceClaimsTest, ARestartedServerKnowsTheDevicesAndAsksAgainForNewPods) {
  registers();
  add_claim("c", "ab");
  const auto a = pod("a", "c"), b = pod("b", "c");
  ASSERT_TRUE(run(claims->prepare(a)));
  const auto before = *devices(a);
  open();
  EXPECT_TRUE(claims->has_all(a));
  EXPECT_FALSE(claims->has_all(b));
  EXPECT_EQ(*devices(a), before);
  registers();
  ASSERT_TRUE(run(claims->prepare(b)));
  EXPECT_EQ(driver->asked, (Asked{"prepare c", "prepare c"})) << "the machine may have been started again";
}

TEST_F(DeviceClaimsTest, WhoMayNotUseAClaimIsToldSo) {
  registers();
  add_claim("c", "b");
  const auto a = pod("a", "c");
  EXPECT_TRUE(run(claims->prepare(a)).error().message.starts_with("pod a (" + a.meta().uid + ") is not allowed to use ResourceClaim c ("));
  EXPECT_TRUE(driver->asked.empty());
}

}  // namespace
}  // namespace estiba::node
