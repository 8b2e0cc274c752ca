#include "network/flows.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include "model/json.h"

namespace estiba::network {
namespace {

model::ObjectRef object(const std::string& json) {
  auto made = model::Object::parse(json);
  EXPECT_TRUE(made) << made.error().message;
  return {std::move(*made), 1};
}

model::ObjectRef pod(const std::string& ns, const std::string& name, const std::string& ip, const std::string& phase = "Running") {
  return object(R"({"apiVersion":"v1","kind":"Pod","metadata":{"namespace":")" + ns + R"(","name":")" + name + R"(","labels":{"app":")" +
                name + R"("}},"spec":{"nodeName":"n1","containers":[]},"status":{"phase":")" + phase + R"(","podIP":")" + ip +
                R"(","podIPs":[{"ip":")" + ip + R"("}]}})");
}

Directory directory() {
  Directory names;
  names.add_pod(pod("shop", "web", "10.42.0.5"));
  names.add_pod(pod("shop", "db", "10.42.0.6"));
  names.add_pod(pod("shop", "old", "10.42.0.6", "Succeeded"));
  names.add_service(object(
      R"({"apiVersion":"v1","kind":"Service","metadata":{"namespace":"shop","name":"db"},"spec":{"clusterIP":"10.43.0.9","clusterIPs":["10.43.0.9"]}})"));
  names.add_node(object(
      R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"},"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.1"},{"type":"Hostname","address":"n1"}]}})"));
  for (const char* policy : {R"("name":"deny-db"},"spec":{"podSelector":{"matchLabels":{"app":"db"}}})",
                             R"("name":"out"},"spec":{"podSelector":{},"policyTypes":["Egress"]})"})
    names.add_policy(object(R"({"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"namespace":"shop",)" +
                            std::string(policy) + "}"));
  return names;
}

std::string raw(const std::string& address) { return std::string(Address::parse(address)->raw()); }

os::conntrack::Connection connection(const std::string& from, const std::string& to, uint16_t port, const std::string& server,
                                     uint16_t server_port) {
  return {.protocol = IPPROTO_TCP,
          .source = raw(from),
          .destination = raw(to),
          .server = raw(server),
          .source_port = 40000,
          .destination_port = port,
          .server_port = server_port,
          .answered = true,
          .packets_sent = 3,
          .bytes_sent = 300,
          .packets_received = 2,
          .bytes_received = 1000,
          .began_ns = 1'700'000'000'000'000'000};
}

TEST(Flows, ConnectionsOfAClientToAPortAreOne) {
  auto later = connection("10.42.0.5", "10.43.0.9", 5432, "10.42.0.6", 15432);
  later.source_port = 40001;
  later.began_ns += 5'000'000'000;
  const auto flows = flows_of({later, connection("10.42.0.5", "10.43.0.9", 5432, "10.42.0.6", 15432)}, {}, directory(), WallTime{});
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(
      flows_json(flows),
      R"({"flows":[{"source":{"address":"10.42.0.5","kind":"pod","namespace":"shop","name":"web","node":"n1"},)"
      R"("destination":{"address":"10.42.0.6","port":15432,"kind":"pod","namespace":"shop","name":"db","node":"n1"},)"
      R"("by":{"address":"10.43.0.9","port":5432,"kind":"service","namespace":"shop","name":"db"},)"
      R"("protocol":"tcp","verdict":"accepted","answered":true,"connections":2,"packets":10,"bytes":2600,"since":"2023-11-14T22:13:20Z"}]})");
}

TEST(Flows, WhatTheKernelSaysIsTold) {
  struct Case {
    os::conntrack::Connection connection;
    std::string row;
  };
  auto silent = connection("192.0.2.1", "198.51.100.7", 443, "198.51.100.7", 443);
  silent.answered = false;
  silent.began_ns = 0;
  auto ping = connection("10.42.0.5", "10.42.0.6", 0, "10.42.0.6", 0);
  ping.protocol = IPPROTO_ICMP;
  auto six = connection("fd00::5", "fd00::6", 80, "fd00::6", 80);
  six.protocol = IPPROTO_UDP;
  for (const auto& [one, row] : {Case{silent, "node/n1 198.51.100.7:443/tcp - 5 1300 - accepted, no answer"},
                                 Case{ping, "shop/web shop/db/icmp - 5 1300"}, Case{six, "fd00::5 [fd00::6]:80/udp - 5 1300"}}) {
    std::string text = flows_table(flows_of({one}, {}, directory(), WallTime{}), false), packed;
    for (char c : text)
      if (c != ' ' || !packed.ends_with(' ')) packed += c;
    EXPECT_TRUE(packed.starts_with(row)) << packed;
  }
}

TEST(Flows, WhatPoliciesDropNamesThem) {
  const WallTime now(std::chrono::seconds(1'700'000'000));
  const auto web = *Address::parse("10.42.0.5"), db = *Address::parse("10.42.0.6"), away = *Address::parse("203.0.113.4");
  const auto flows = flows_of({},
                              {{.source = web,
                                .destination = away,
                                .protocol = IPPROTO_UDP,
                                .port = 53,
                                .direction = policy::Direction::egress,
                                .packets = 2,
                                .bytes = 120,
                                .ago_ms = 4000},
                               {.source = away,
                                .destination = db,
                                .protocol = IPPROTO_TCP,
                                .port = 5432,
                                .direction = policy::Direction::ingress,
                                .packets = 1,
                                .bytes = 60}},
                              directory(), now);
  ASSERT_EQ(flows.size(), 2u);
  EXPECT_EQ(flows[0].policies, std::vector<std::string>{"shop/deny-db"});
  EXPECT_EQ(flows[0].source.text(), "203.0.113.4");
  EXPECT_EQ(flows[1].policies, std::vector<std::string>{"shop/out"});
  EXPECT_EQ(flows[1].last, now - std::chrono::seconds(4));
  EXPECT_TRUE(flows_table(flows, true).contains("denied by shop/deny-db")) << flows_table(flows, true);
}

TEST(Flows, Filters) {
  const auto flows = flows_of({connection("10.42.0.5", "10.43.0.9", 5432, "10.42.0.6", 15432)}, {}, directory(), WallTime{});
  EXPECT_TRUE(FlowFilter{}.wants(flows[0]));
  EXPECT_TRUE((FlowFilter{.ns = "shop", .pod = "db"}.wants(flows[0])));
  EXPECT_FALSE((FlowFilter{.ns = "shop", .pod = "old"}.wants(flows[0])));
  EXPECT_FALSE((FlowFilter{.ns = "other"}.wants(flows[0])));
}

}  // namespace
}  // namespace estiba::network
