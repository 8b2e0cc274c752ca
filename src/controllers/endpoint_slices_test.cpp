#include <set>

#include "controllers/slice_plan.h"
#include "controllers/testing/cluster.h"
#include "model/types/discovery_v1.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using model::ObjectRef;
using model::core_v1::Endpoints;
using model::discovery_v1::EndpointSlice;

struct EndpointTest : ControllerTest {
  int addresses = 0;
  void begin() { start({make_endpoint_slice_controller, make_endpoints_controller}); }
  void service(
      const std::string& spec =
          R"({"selector":{"app":"web"},"clusterIP":"10.0.0.1","ports":[{"name":"http","port":80,"targetPort":8080,"protocol":"TCP"}]})") {
    server.add(client::services, "x",
               R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"web","labels":{"team":"a"}},"spec":)" + spec + "}");
    executor.run();
  }
  void pod(const std::string& name, bool ready = true, const std::string& ports = R"([{"name":"web","containerPort":8080}])") {
    ++addresses;
    const std::string ip = "10.42.0." + std::to_string(addresses);
    server.add(client::pods, "x",
               R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + name +
                   R"(","labels":{"app":"web"}},"spec":{"nodeName":"n","containers":[{"name":"c","ports":)" + ports +
                   R"(}]},"status":{"phase":"Running","podIP":")" + ip + R"(","podIPs":[{"ip":")" + ip +
                   R"("}],"conditions":[{"type":"Ready","status":")" + (ready ? "True" : "False") + R"("}]}})");
    executor.run();
  }
  void set_ready(const std::string& name, bool ready) {
    server.merge(client::pods, "x", name,
                 R"({"status":{"conditions":[{"type":"Ready","status":")" + std::string(ready ? "True" : "False") + R"("}]}})", "status");
    executor.run();
  }
  std::vector<ObjectRef> slices() { return server.all(client::endpoint_slices, "x"); }
  /// "name+" ready, "name-" serving only, "name." neither; "t" when terminating.
  std::string told() {
    std::set<std::string> out;
    for (const ObjectRef& slice : slices())
      for (const auto& e : slice.as<EndpointSlice>().endpoints)
        out.insert(e.targetRef->name +
                   (*e.conditions->ready     ? "+"
                    : *e.conditions->serving ? "-"
                                             : ".") +
                   (*e.conditions->terminating ? "t" : ""));
    std::string text;
    for (const std::string& one : out) text += (text.empty() ? "" : " ") + one;
    return text;
  }
  std::string told_by_endpoints() {
    std::string text;
    const ObjectRef object = server.find(client::endpoints, "x", "web");
    if (!object) return "none";
    for (const auto& subset : object.as<Endpoints>().subsets) {
      for (const auto& a : subset.addresses) text += a.targetRef->name + "+ ";
      for (const auto& a : subset.notReadyAddresses) text += a.targetRef->name + ". ";
      for (const auto& p : subset.ports) text += p.name + ":" + std::to_string(p.port) + " ";
    }
    return text;
  }
};

TEST_F(EndpointTest, ReadyPodsAreInTheSliceAndInTheEndpoints) {
  begin();
  service();
  pod("a");
  pod("b", false);
  EXPECT_EQ(told(), "a+ b.");
  EXPECT_EQ(told_by_endpoints(), "a+ b. http:8080 ");
  ASSERT_EQ(slices().size(), 1u);
  const ObjectRef slice = slices()[0];
  EXPECT_TRUE(slice.meta().name.starts_with("web-"));
  EXPECT_EQ(slice.meta().label("kubernetes.io/service-name"), "web");
  EXPECT_EQ(slice.meta().label("endpointslice.kubernetes.io/managed-by"), "endpointslice-controller.k8s.io");
  EXPECT_EQ(slice.meta().label("team"), "a");
  EXPECT_EQ(slice.meta().controller()->kind, "Service");
  const auto& typed = slice.as<EndpointSlice>();
  EXPECT_EQ(typed.addressType, "IPv4");
  EXPECT_EQ(typed.ports[0].port, 8080);
  EXPECT_EQ(typed.endpoints[0].nodeName, "n");
  set_ready("b", true);
  EXPECT_EQ(told(), "a+ b+");
  EXPECT_EQ(told_by_endpoints(), "a+ b+ http:8080 ");
}

TEST_F(EndpointTest, ATerminatingPodServesButIsNotReady) {
  begin();
  service();
  pod("a");
  pod("b");
  server.erase(client::pods, "x", "a");
  executor.run();
  EXPECT_EQ(told(), "a-t b+");
  EXPECT_EQ(told_by_endpoints(), "b+ http:8080 ");
  server.erase(client::pods, "x", "a", {.grace_seconds = 0});
  executor.run();
  EXPECT_EQ(told(), "b+");
}

TEST_F(EndpointTest, NotReadyAddressesArePublishedWhenAskedFor) {
  begin();
  service(R"({"selector":{"app":"web"},"clusterIP":"None","publishNotReadyAddresses":true,"ports":[]})");
  pod("a", false);
  EXPECT_EQ(told(), "a+");
  EXPECT_EQ(told_by_endpoints(), "a+ ");
  EXPECT_TRUE(slices()[0].as<EndpointSlice>().ports.empty());
  EXPECT_EQ(slices()[0].meta().labels.size(), 4u);  // with service.kubernetes.io/headless
}

// core/v1 ServiceSpec.trafficDistribution
TEST_F(EndpointTest, HintsFollowTheTrafficDistribution) {
  server.add(client::nodes, {},
             R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n","labels":{"topology.kubernetes.io/zone":"z"}}})");
  begin();
  service();
  pod("a");
  pod("b", false);
  auto hints = [&](std::string_view distribution) {
    server.merge(client::services, "x", "web", R"({"spec":{"trafficDistribution":)" + std::string(distribution) + "}}");
    executor.run();
    std::string text;
    for (const ObjectRef& slice : slices())
      for (const auto& e : slice.as<EndpointSlice>().endpoints) {
        text += e.targetRef->name + ":";
        if (!e.hints) continue;
        for (const auto& zone : e.hints->forZones) text += " zone " + zone.name;
        for (const auto& node : e.hints->forNodes) text += " node " + node.name;
      }
    return text;
  };
  EXPECT_EQ(hints("\"PreferClose\""), "a: zone zb:") << "what is not ready has none";
  EXPECT_EQ(hints("\"PreferSameZone\""), "a: zone zb:");
  EXPECT_EQ(hints("\"PreferSameNode\""), "a: zone z node nb:");
  EXPECT_EQ(hints("null"), "a:b:");
}

TEST_F(EndpointTest, NamedPortsMayDifferFromPodToPod) {
  begin();
  service(R"({"selector":{"app":"web"},"ports":[{"port":80,"targetPort":"web","protocol":"TCP"}]})");
  pod("a");
  pod("b", true, R"([{"name":"web","containerPort":9090}])");
  pod("c", true, "[]");  // has no such port
  EXPECT_EQ(told(), "a+ b+");
  EXPECT_EQ(slices().size(), 2u);
}

TEST_F(EndpointTest, AServiceWithoutPodsHasOneEmptySliceThatIsUsedLater) {
  begin();
  service();
  ASSERT_EQ(slices().size(), 1u);
  const std::string name = slices()[0].meta().name;
  pod("a");
  ASSERT_EQ(slices().size(), 1u);
  EXPECT_EQ(slices()[0].meta().name, name);
  EXPECT_EQ(told(), "a+");
}

TEST_F(EndpointTest, ServicesWithoutSelectorAreLeftAlone) {
  begin();
  service(R"({"clusterIP":"10.0.0.1","ports":[{"port":80}]})");
  pod("a");
  EXPECT_TRUE(slices().empty());
  EXPECT_EQ(told_by_endpoints(), "none");
}

TEST_F(EndpointTest, NothingIsWrittenWhenNothingChanges) {
  begin();
  service();
  for (int i = 0; i < 5; ++i) pod("p" + std::to_string(i));
  const int64_t revision = server.revision();
  stop();
  begin();
  executor.advance(1h);
  EXPECT_EQ(server.revision(), revision);
}

TEST_F(EndpointTest, EndpointsGoWithTheirService) {
  begin();
  service();
  pod("a");
  server.erase(client::services, "x", "web");
  executor.run();
  EXPECT_EQ(told_by_endpoints(), "none");
}

std::vector<EndpointGroup> group(int from, int to) {
  EndpointGroup group{.family = "IPv4", .ports = {{"http", "TCP", "", 80}}};
  for (int i = from; i < to; ++i) group.endpoints.push_back({.address = std::to_string(i), .pod_uid = std::to_string(i)});
  return {group};
}
std::vector<SliceState> named(std::vector<SliceState> slices) {
  for (size_t i = 0; i < slices.size(); ++i)
    if (slices[i].name.empty()) slices[i].name = "s" + std::to_string(i);
  return slices;
}

TEST(SlicePlan, SlicesHoldAHundredAtMost) {
  const auto slices = plan_slices({}, group(0, 250), {"IPv4"});
  ASSERT_EQ(slices.size(), 3u);
  EXPECT_EQ(slices[0].endpoints.size() + slices[1].endpoints.size() + slices[2].endpoints.size(), 250u);
  for (const SliceState& slice : slices) EXPECT_LE(slice.endpoints.size(), slice_capacity);
}

TEST(SlicePlan, EndpointsStayWhereTheyAreAndFreePlacesAreFilled) {
  const auto before = named(plan_slices({}, group(0, 200), {"IPv4"}));
  const auto after = plan_slices(before, group(10, 205), {"IPv4"});
  ASSERT_EQ(after.size(), 2u);
  EXPECT_EQ(after[1], before[1]);  // one write, not two
  EXPECT_EQ(after[0].endpoints.size(), 95u);
}

TEST(SlicePlan, AnEmptiedSliceGoesButTheLastOneStays) {
  const auto before = named(plan_slices({}, group(0, 150), {"IPv4"}));
  EXPECT_EQ(plan_slices(before, group(0, 50), {"IPv4"}).size(), 1u);
  const auto none = plan_slices(before, {}, {"IPv4"});
  ASSERT_EQ(none.size(), 1u);
  EXPECT_TRUE(none[0].endpoints.empty());
}

}  // namespace
}  // namespace estiba::controllers
