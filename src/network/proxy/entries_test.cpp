#include "network/proxy/entries.h"

#include <gtest/gtest.h>

#include "model/object.h"
#include "network/proxy/state.h"

namespace estiba::network {

using model::core_v1::Service;
using model::discovery_v1::EndpointSlice;

class EntriesTest : public testing::Test {
 protected:
  std::string_view zone;
  /// "10.43.0.5:80/tcp > 10.42.0.2:8080 …", one line an entry, with "masq" and "sticky".
  std::string entries(const std::string& spec, const std::string& endpoints, const std::string& status = "{}") {
    auto service = model::Object::parse(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":)" + spec +
                                        R"(,"status":)" + status + "}");
    auto slice = model::Object::parse(
        R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"web-x"},"addressType":"IPv4",)"
        R"("ports":[{"name":"http","port":8080,"protocol":"TCP"},{"name":"dns","port":53,"protocol":"UDP"}],"endpoints":)" +
        endpoints + "}");
    std::string text;
    for (const Entry& entry : entries_of((*service)->as<Service>(), {&(*slice)->as<EndpointSlice>()}, {"here", zone})) {
      text +=
          entry.front.address.text() + ":" + std::to_string(entry.front.port) + (entry.front.protocol == Protocol::udp ? "/udp" : "/tcp");
      if (entry.masquerade) text += " masq";
      if (entry.affinity) text += entry.affinity == 10800 ? " sticky" : " sticky " + std::to_string(entry.affinity);
      for (const Backend& backend : entry.backends) text += " " + backend.address.text() + ":" + std::to_string(backend.port);
      if (!entry.inside.empty()) text += " inside";
      for (const Backend& backend : entry.inside) text += " " + backend.address.text() + ":" + std::to_string(backend.port);
      if (entry.drops) text += " drops";
      for (const Prefix& range : entry.sources) text += " from " + range.text();
      text += "\n";
    }
    return text;
  }
  static std::string entry_text(const Service& service, const std::vector<const EndpointSlice*>& slices) {
    std::string text;
    for (const Entry& entry : entries_of(service, slices, {"here", ""})) {
      text += entry.front.address.text() + " " + std::to_string(entry.front.port);
      for (const Backend& backend : entry.backends) text += " " + backend.address.text();
      for (const Prefix& range : entry.sources) text += " from " + range.text();
      text += "\n";
    }
    return text;
  }
  static constexpr const char* kTwo =
      R"([{"addresses":["10.42.0.3"],"nodeName":"there"},{"addresses":["10.42.0.2"],"nodeName":"here","conditions":{"ready":true}}])";
};

TEST_F(EntriesTest, PortsAreMatchedByNameAndProtocol) {
  EXPECT_EQ(
      entries(
          R"({"clusterIP":"10.43.0.5","ports":[{"name":"http","port":80},{"name":"dns","port":53,"protocol":"UDP"},{"name":"other","port":1}]})",
          kTwo),
      "10.43.0.5:80/tcp 10.42.0.2:8080 10.42.0.3:8080\n10.43.0.5:53/udp 10.42.0.2:53 10.42.0.3:53\n10.43.0.5:1/tcp\n");
}

// KEP-2433 and KEP-3015: hints are followed when all have them and some are for this place.
TEST_F(EntriesTest, HintsKeepClientsNear) {
  constexpr const char* spec = R"({"clusterIP":"10.43.0.5","ports":[{"name":"http","port":80}]})";
  auto endpoint = [](std::string address, std::string hints, std::string ready = "true") {
    return R"({"addresses":["10.42.0.)" + address + R"("],"conditions":{"ready":)" + ready + "}" +
           (hints.empty() ? "" : R"(,"hints":)" + hints) + "}";
  };
  const std::string a = R"({"forZones":[{"name":"a"}]})", b = R"({"forZones":[{"name":"b"}]})";
  const std::string here = R"({"forZones":[{"name":"a"}],"forNodes":[{"name":"here"}]})";
  const std::string there = R"({"forZones":[{"name":"a"}],"forNodes":[{"name":"there"}]})";
  struct Case {
    std::string_view zone;
    std::string endpoints, chosen;
  };
  for (const Case& one : std::initializer_list<Case>{
           {"a", endpoint("1", a) + "," + endpoint("2", b), " 10.42.0.1:8080"},
           {"", endpoint("1", a) + "," + endpoint("2", b), " 10.42.0.1:8080 10.42.0.2:8080"},
           {"c", endpoint("1", a) + "," + endpoint("2", b), " 10.42.0.1:8080 10.42.0.2:8080"},
           {"a", endpoint("1", a) + "," + endpoint("2", ""), " 10.42.0.1:8080 10.42.0.2:8080"},
           {"a", endpoint("1", a) + "," + endpoint("2", "", "false"), " 10.42.0.1:8080"},
           {"a", endpoint("1", here) + "," + endpoint("2", there), " 10.42.0.1:8080"},
           {"", endpoint("1", here) + "," + endpoint("2", there), " 10.42.0.1:8080"},
           {"a", endpoint("1", there) + "," + endpoint("2", there) + "," + endpoint("3", b), " 10.42.0.1:8080 10.42.0.2:8080"}}) {
    zone = one.zone;
    EXPECT_EQ(entries(spec, "[" + one.endpoints + "]"), "10.43.0.5:80/tcp" + one.chosen + "\n") << one.zone << " " << one.endpoints;
  }
}

TEST_F(EntriesTest, NodePortsAndExternalAddressesMasquerade) {
  EXPECT_EQ(
      entries(
          R"({"type":"LoadBalancer","clusterIP":"10.43.0.5","externalIPs":["192.0.2.1"],"sessionAffinity":"ClientIP","ports":[{"name":"http","port":80,"nodePort":30080}]})",
          kTwo, R"({"loadBalancer":{"ingress":[{"ip":"192.0.2.2"},{"ip":"192.0.2.3","ipMode":"Proxy"}]}})"),
      "10.43.0.5:80/tcp sticky 10.42.0.2:8080 10.42.0.3:8080\n192.0.2.1:80/tcp masq sticky 10.42.0.2:8080 10.42.0.3:8080\n"
      "192.0.2.2:80/tcp masq sticky 10.42.0.2:8080 10.42.0.3:8080\n0.0.0.0:30080/tcp masq sticky 10.42.0.2:8080 10.42.0.3:8080\n");
}

TEST_F(EntriesTest, LocalPoliciesKeepToTheNodesOwnEndpoints) {
  EXPECT_EQ(
      entries(
          R"({"type":"NodePort","clusterIP":"10.43.0.5","externalTrafficPolicy":"Local","ports":[{"name":"http","port":80,"nodePort":30080}]})",
          kTwo),
      "10.43.0.5:80/tcp 10.42.0.2:8080 10.42.0.3:8080\n0.0.0.0:30080/tcp 10.42.0.2:8080 inside 10.42.0.2:8080 10.42.0.3:8080\n");
  EXPECT_EQ(entries(R"({"clusterIP":"10.43.0.5","internalTrafficPolicy":"Local","ports":[{"name":"http","port":80}]})", kTwo),
            "10.43.0.5:80/tcp 10.42.0.2:8080\n");
  const std::string away = R"([{"addresses":["10.42.0.3"],"nodeName":"there"}])";
  EXPECT_EQ(
      entries(
          R"({"type":"NodePort","clusterIP":"10.43.0.5","externalTrafficPolicy":"Local","internalTrafficPolicy":"Local","ports":[{"name":"http","port":80,"nodePort":30080}]})",
          away),
      "10.43.0.5:80/tcp drops\n0.0.0.0:30080/tcp inside 10.42.0.3:8080 drops\n")
      << "others may have some";
  EXPECT_EQ(
      entries(
          R"({"type":"NodePort","clusterIP":"10.43.0.5","externalTrafficPolicy":"Local","internalTrafficPolicy":"Local","ports":[{"name":"http","port":80,"nodePort":30080}]})",
          "[]"),
      "10.43.0.5:80/tcp\n0.0.0.0:30080/tcp\n")
      << "nobody has any: refused";
}

TEST_F(EntriesTest, SourceRangesAreOfTheLoadBalancersAddressAlone) {
  EXPECT_EQ(
      entries(
          R"({"type":"LoadBalancer","clusterIP":"10.43.0.5","externalIPs":["192.0.2.1"],"loadBalancerSourceRanges":["203.0.113.7/24 ","fd00::/8","198.51.100.1/32"],)"
          R"("ports":[{"name":"http","port":80,"nodePort":30080}]})",
          R"([{"addresses":["10.42.0.3"]}])", R"({"loadBalancer":{"ingress":[{"ip":"192.0.2.2"}]}})"),
      "10.43.0.5:80/tcp 10.42.0.3:8080\n192.0.2.1:80/tcp masq 10.42.0.3:8080\n"
      "192.0.2.2:80/tcp masq 10.42.0.3:8080 from 198.51.100.1/32 from 203.0.113.0/24\n0.0.0.0:30080/tcp masq 10.42.0.3:8080\n");
}

TEST_F(EntriesTest, AnAddressOfThePoolIsWhollyTheServices) {
  const std::string spec = R"({"type":"LoadBalancer","clusterIP":"10.43.0.5","ports":[{"name":"http","port":80}]})";
  const std::string ingress = R"("loadBalancer":{"ingress":[{"ip":"192.0.2.2"}]})";
  const std::string served = "10.43.0.5:80/tcp 10.42.0.3:8080\n192.0.2.2:80/tcp masq 10.42.0.3:8080\n";
  EXPECT_EQ(entries(spec, R"([{"addresses":["10.42.0.3"]}])", "{" + ingress + "}"), served) << "of others' ports others answer";
  EXPECT_EQ(entries(spec, R"([{"addresses":["10.42.0.3"]}])",
                    "{" + ingress + R"(,"conditions":[{"type":"estiba.dev/LoadBalancerAddress","status":"True"}]})"),
            served + "192.0.2.2:0/tcp\n");
}

TEST_F(EntriesTest, TerminatingEndpointsServeOnlyWhenNothingElseDoes) {
  std::string spec = R"({"clusterIP":"10.43.0.5","ports":[{"name":"http","port":80}]})";
  std::string down = R"({"addresses":["10.42.0.4"],"conditions":{"ready":false}})";
  std::string ending = R"({"addresses":["10.42.0.5"],"conditions":{"ready":false,"serving":true,"terminating":true}})";
  std::string dead = R"({"addresses":["10.42.0.6"],"conditions":{"ready":false,"serving":false,"terminating":true}})";
  std::string up = R"({"addresses":["10.42.0.7"],"conditions":{"ready":true}})";
  EXPECT_EQ(entries(spec, "[" + down + "," + ending + "," + dead + "," + up + "]"), "10.43.0.5:80/tcp 10.42.0.7:8080\n");
  EXPECT_EQ(entries(spec, "[" + down + "," + ending + "," + dead + "]"), "10.43.0.5:80/tcp 10.42.0.5:8080\n");
  EXPECT_EQ(entries(spec, "[" + down + "]"), "10.43.0.5:80/tcp\n");
}

TEST_F(EntriesTest, AffinityHasATimeout) {
  EXPECT_EQ(
      entries(
          R"({"clusterIP":"10.43.0.5","sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":5}},"ports":[{"name":"dns","port":53,"protocol":"UDP"}]})",
          kTwo),
      "10.43.0.5:53/udp sticky 5 10.42.0.2:53 10.42.0.3:53\n");
}

TEST_F(EntriesTest, HeadlessAndExternalNamesWantNothing) {
  EXPECT_EQ(entries(R"({"clusterIP":"None","ports":[{"name":"http","port":80}]})", kTwo), "");
  EXPECT_EQ(entries(R"({"type":"ExternalName","externalName":"x.example"})", kTwo), "");
  EXPECT_EQ(entries(R"({"ports":[{"name":"http","port":80}]})", kTwo), "") << "no address yet";
}

// Each family has its own endpoints, and is served only where the Service has a cluster address of it.
TEST_F(EntriesTest, FamiliesAreServedApart) {
  const auto slice = [](std::string family, std::string address) {
    return *model::Object::parse(R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"x"},"addressType":")" +
                                 family + R"(","ports":[{"name":"","port":8080,"protocol":"TCP"}],"endpoints":[{"addresses":[")" + address +
                                 "\"]}]}");
  };
  const auto four = slice("IPv4", "10.42.0.2"), six = slice("IPv6", "fd00:42::2"), name = slice("FQDN", "web.example");
  const std::vector<const EndpointSlice*> slices{&four->as<EndpointSlice>(), &six->as<EndpointSlice>(), &name->as<EndpointSlice>()};
  const auto text = [&](std::string spec) {
    const auto service = *model::Object::parse(
        R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"type":"LoadBalancer","externalIPs":["192.0.2.1","2001:db8::1"],)"
        R"("loadBalancerSourceRanges":["198.51.100.0/24","2001:db8:1::/64"],"ports":[{"port":80,"nodePort":30080}],)" +
        spec + R"(},"status":{"loadBalancer":{"ingress":[{"ip":"2001:db8::2"},{"ip":"192.0.2.2"}]}}})");
    return entry_text(service->as<Service>(), slices);
  };
  const std::string fours =
      "10.43.0.5 80 10.42.0.2\n192.0.2.1 80 10.42.0.2\n192.0.2.2 80 10.42.0.2 from 198.51.100.0/24\n0.0.0.0 30080 10.42.0.2\n";
  const std::string sixes =
      "fd00:43::5 80 fd00:42::2\n2001:db8::1 80 fd00:42::2\n2001:db8::2 80 fd00:42::2 from 2001:db8:1::/64\n:: 30080 fd00:42::2\n";
  EXPECT_EQ(text(R"("clusterIP":"10.43.0.5")"), fours);
  EXPECT_EQ(text(R"("clusterIP":"fd00:43::5")"), sixes);
  EXPECT_EQ(text(R"("clusterIP":"fd00:43::5","clusterIPs":["fd00:43::5","10.43.0.5"])"), fours + sixes);
}

TEST(HostPorts, AreOnTheAddressThatTheyAskFor) {
  const auto entries = entries_of(std::vector<HostPort>{{Protocol::tcp, 8080, 80},
                                                        {Protocol::tcp, 8081, 80, "192.0.2.1"},
                                                        {Protocol::udp, 53, 53, "0.0.0.0"},
                                                        {Protocol::udp, 53, 53, "::"}},
                                  {*Address::parse("10.42.0.2"), *Address::parse("fd00:42::2")});
  std::vector<Front> fronts;
  for (const Entry& entry : entries) fronts.push_back(entry.front);
  EXPECT_EQ(fronts, (std::vector<Front>{{{}, Protocol::tcp, 8080},
                                        {{.v6 = true}, Protocol::tcp, 8080},
                                        {*Address::parse("192.0.2.1"), Protocol::tcp, 8081},
                                        {{}, Protocol::udp, 53},
                                        {{.v6 = true}, Protocol::udp, 53}}));
  for (const Entry& entry : entries) EXPECT_EQ(entry.backends[0].address.v6, entry.front.address.v6);
}

class ProxyStateTest : public testing::Test {
 protected:
  ProxyState state_{*Prefix::parse("10.42.0.0/16")};
  static Address ip(uint32_t number) { return Address::from_number(number); }
  const Front front_{ip(0x0a2b0005), Protocol::tcp, 80};
  const Backend a_{ip(0x0a2a0002), 80}, b_{ip(0x0a2a0003), 80}, outside_{ip(0xc0000201), 6443};
};

TEST_F(ProxyStateTest, OnlyDifferencesAreWritten) {
  state_.set("x", {{front_, false, 0, {a_, b_}}});
  Change change = state_.take_change();
  EXPECT_EQ(change.picks.added.size(), 1u);
  EXPECT_EQ(change.backends.added.size(), 2u);
  EXPECT_EQ(change.pods.added.size(), 2u);
  state_.set("x", {{front_, false, 0, {a_, b_}}});
  EXPECT_TRUE(state_.take_change().empty());
  state_.set("x", {{front_, false, 0, {a_}}});
  state_.set("x", {{front_, false, 0, {a_, outside_}}});
  change = state_.take_change();
  EXPECT_TRUE(change.picks.empty()) << "there are two again";
  EXPECT_EQ(change.backends.removed, (std::vector<std::pair<Slot, Backend>>{{{front_, 1}, b_}}));
  EXPECT_EQ(change.backends.added, (std::vector<std::pair<Slot, Backend>>{{{front_, 1}, outside_}}));
  EXPECT_EQ(change.pods.removed.size(), 1u);
  EXPECT_TRUE(change.pods.added.empty()) << "not in the pod network";
  state_.set("x", {{front_, false, 0, {}}});
  change = state_.take_change();
  EXPECT_EQ(change.refused.added.size(), 1u);
  EXPECT_EQ(change.picks.removed.size(), 1u);
  state_.set("x", {});
  change = state_.take_change();
  EXPECT_EQ(change.refused.removed.size(), 1u);
  EXPECT_TRUE(state_.take_whole().empty());
}

TEST_F(ProxyStateTest, FencesAreSharedAndGoWithTheirLast) {
  const std::vector<Prefix> ranges{*Prefix::parse("192.0.2.0/24")};
  const Front other{ip(0x0a2b0006), Protocol::tcp, 80};
  state_.set("x", {{.front = front_, .backends = {a_}, .sources = ranges}});
  state_.set("y", {{.front = other, .backends = {a_}, .sources = ranges}});
  Change change = state_.take_change();
  EXPECT_EQ(change.allowed.added.size(), 1u);
  EXPECT_EQ(change.fences.added.size(), 2u);
  state_.set("x", {{.front = front_, .backends = {a_}}});
  change = state_.take_change();
  EXPECT_TRUE(change.allowed.empty());
  EXPECT_EQ(change.fences.removed.size(), 1u);
  state_.set("y", {});
  EXPECT_EQ(state_.take_change().allowed.removed.size(), 1u);
}

TEST_F(ProxyStateTest, AFrontHasOneOwnerAndGoesToTheNext) {
  state_.set("first", {{front_, false, 0, {a_}}});
  state_.set("second", {{front_, false, 0, {b_}}});
  EXPECT_EQ(state_.take_change().backends.added, (std::vector<std::pair<Slot, Backend>>{{{front_, 0}, a_}}));
  state_.set("first", {});
  Change change = state_.take_change();
  EXPECT_EQ(change.backends.added, (std::vector<std::pair<Slot, Backend>>{{{front_, 0}, b_}}));
  state_.set("second", {});
  EXPECT_TRUE(state_.take_whole().empty());
}

}  // namespace estiba::network
