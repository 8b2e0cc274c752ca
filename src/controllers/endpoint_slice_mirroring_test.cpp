#include "controllers/table.h"
#include "controllers/testing/cluster.h"
#include "model/types/discovery_v1.h"

namespace estiba::controllers {
namespace {

using model::ObjectRef;
using model::discovery_v1::EndpointSlice;

struct MirroringTest : ControllerTest {
  void add_service(const std::string& spec = "{}") {
    server.add(client::services, "x", R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"db"},"spec":)" + spec + "}");
  }
  void add_endpoints(const std::string& subsets, const std::string& meta = "") {
    server.add(client::endpoints, "x",
               R"({"apiVersion":"v1","kind":"Endpoints","metadata":{"name":"db")" + meta + R"(},"subsets":)" + subsets + "}");
    executor.run();
  }
  void set_subsets(const std::string& subsets) {
    server.merge(client::endpoints, "x", "db", R"({"subsets":)" + subsets + "}");
    executor.run();
  }
  /// "IPv4 5432 10.0.0.1 10.0.0.2- | …": those that are not ready have a "-".
  std::string slices() {
    std::vector<std::string> each;
    for (const ObjectRef& object : server.all(client::endpoint_slices, "x")) {
      const auto& slice = object.as<EndpointSlice>();
      std::string text = slice.addressType;
      for (const auto& port : slice.ports) text += " " + std::to_string(port.port.value_or(0));
      for (const auto& endpoint : slice.endpoints) text += " " + endpoint.addresses[0] + (*endpoint.conditions->ready ? "" : "-");
      each.push_back(std::move(text));
    }
    std::sort(each.begin(), each.end());
    std::string all;
    for (const std::string& text : each) all += (all.empty() ? "" : " | ") + text;
    return all;
  }
};

constexpr const char* one = R"([{"addresses":[{"ip":"10.0.0.1"}],"ports":[{"port":5432}]}])";

TEST_F(MirroringTest, SlicesFollowTheEndpoints) {
  start({make_endpoint_slice_mirroring});
  add_service();
  add_endpoints(one, R"(,"labels":{"a":"b"},"annotations":{"c":"d"})");
  EXPECT_EQ(slices(), "IPv4 5432 10.0.0.1");
  const ObjectRef slice = server.all(client::endpoint_slices, "x")[0];
  EXPECT_EQ(slice.meta().label("kubernetes.io/service-name"), "db");
  EXPECT_EQ(slice.meta().label("endpointslice.kubernetes.io/managed-by"), "endpointslicemirroring-controller.k8s.io");
  EXPECT_EQ(slice.meta().label("a"), "b");
  EXPECT_EQ(slice.meta().annotation("c"), "d");
  EXPECT_EQ(slice.meta().controller()->kind, "Endpoints");
  const int64_t revision = server.revision();
  server.merge(client::services, "x", "db", R"({"metadata":{"labels":{"z":"z"}}})");
  executor.run();
  EXPECT_EQ(server.revision(), revision + 1) << "what is right is not written again";
  set_subsets(
      R"([{"addresses":[{"ip":"10.0.0.1"},{"ip":"fd00::1"},{"ip":"nowhere"}],"notReadyAddresses":[{"ip":"10.0.0.2"}],"ports":[{"port":5432}]},{"addresses":[{"ip":"10.0.0.3"}],"ports":[{"port":80}]}])");
  EXPECT_EQ(slices(), "IPv4 5432 10.0.0.1 10.0.0.2- | IPv4 80 10.0.0.3 | IPv6 5432 fd00::1");
  EXPECT_TRUE(server.find(client::endpoint_slices, "x", slice.meta().name)) << "the one that was there is used on";
  set_subsets(one);
  EXPECT_EQ(slices(), "IPv4 5432 10.0.0.1");
  server.erase(client::endpoints, "x", "db");
  executor.run();
  EXPECT_EQ(slices(), "");
}

TEST_F(MirroringTest, OnlyOfServicesThatSelectNothing) {
  start({make_endpoint_slice_mirroring});
  add_endpoints(one);
  EXPECT_EQ(slices(), "") << "no service yet";
  add_service();
  executor.run();
  EXPECT_EQ(slices(), "IPv4 5432 10.0.0.1");
  server.merge(client::services, "x", "db", R"({"spec":{"selector":{"app":"db"}}})");
  executor.run();
  EXPECT_EQ(slices(), "");
  server.merge(client::services, "x", "db", R"({"spec":{"selector":null}})");
  executor.run();
  EXPECT_EQ(slices(), "IPv4 5432 10.0.0.1");
  server.merge(client::endpoints, "x", "db", R"({"metadata":{"labels":{"endpointslice.kubernetes.io/skip-mirror":"true"}}})");
  executor.run();
  EXPECT_EQ(slices(), "");
  server.merge(client::endpoints, "x", "db",
               R"({"metadata":{"labels":null,"annotations":{"control-plane.alpha.kubernetes.io/leader":"{}"}}})");
  executor.run();
  EXPECT_EQ(slices(), "");
}

TEST_F(MirroringTest, AThousandAddressesOfASubset) {
  start({make_endpoint_slice_mirroring});
  add_service();
  std::string addresses;
  for (int i = 0; i < 1003; ++i)
    addresses += (i ? "," : "") + std::string(R"({"ip":"10.1.)") + std::to_string(i / 200) + "." + std::to_string(i % 200) + "\"}";
  add_endpoints(R"([{"addresses":[)" + addresses + R"(],"ports":[{"port":80}]}])");
  ASSERT_EQ(server.all(client::endpoint_slices, "x").size(), 1u);
  EXPECT_EQ(server.all(client::endpoint_slices, "x")[0].as<EndpointSlice>().endpoints.size(), 1000u);
}

}  // namespace
}  // namespace estiba::controllers
