#include "network/dns/zone.h"

#include <gtest/gtest.h>

namespace estiba::network::dns {

using model::core_v1::Service;
using model::discovery_v1::Endpoint;
using model::discovery_v1::EndpointConditions;
using model::discovery_v1::EndpointPort;
using model::discovery_v1::EndpointSlice;

class ZoneTest : public testing::Test {
 protected:
  ZoneTest() {
    Service web = service("web", "10.43.0.5");
    web.spec.ports = {port("http", "TCP", 80), port("dns", "UDP", 53)};
    add(web, {});
    Service db = service("db", "None");
    db.spec.ports = {port("sql", "TCP", 5432)};
    EndpointSlice slice;
    slice.addressType = "IPv4";
    slice.ports = {EndpointPort{.name = "sql", .protocol = "TCP", .port = 5432}};
    Endpoint first, second, down;
    first.addresses = {"10.42.0.7"};
    first.hostname = "db-0";
    second.addresses = {"10.42.0.8"};
    down.addresses = {"10.42.0.9"};
    down.conditions = EndpointConditions{.ready = false};
    slice.endpoints = {first, second, down};
    add(db, {&slice});
    db.metadata.name = "early";
    db.spec.publishNotReadyAddresses = true;
    add(db, {&slice});
    Service away = service("away", "");
    away.spec.type = "ExternalName";
    away.spec.externalName = "www.example.org";
    add(away, {});
    away.metadata.name = "near";
    away.spec.externalName = "web.default.svc.cluster.local";
    add(away, {});
    Service six = service("six", "fd00::5");
    add(six, {});
  }
  static Service service(const std::string& name, const std::string& ip) {
    Service service;
    service.metadata.name = name;
    service.metadata.namespace_ = "default";
    service.spec.clusterIP = ip;
    return service;
  }
  static model::core_v1::ServicePort port(const std::string& name, const std::string& protocol, int number) {
    model::core_v1::ServicePort port;
    port.name = name;
    port.protocol = protocol;
    port.port = number;
    return port;
  }
  void add(const Service& service, const std::vector<const EndpointSlice*>& slices) {
    zone_.set(service.metadata.namespace_ + "/" + service.metadata.name, std::make_shared<ServiceNames>(names_of(service, slices)));
  }
  /// "NOERROR 10.0.0.1 …", addresses and names in the order of the answer; "forward" when it is nobody's here.
  std::string ask(const std::string& name, uint16_t type = type_a) {
    auto result = zone_.answer(*make_name(name), type);
    if (!result) return "forward";
    std::string text = result->reply.rcode == name_error ? "NXDOMAIN" : "NOERROR";
    for (const Record& record : result->reply.answers) {
      EXPECT_EQ(record.ttl, 5u);
      text += " ";
      if (record.type == type_a || record.type == type_aaaa) {
        Address address{.v6 = record.type == type_aaaa};
        std::ranges::copy(record.data, address.bytes.begin());
        text += address.text();
      } else if (record.type == type_srv) {
        text += std::to_string(uint8_t(record.data[4]) << 8 | uint8_t(record.data[5])) + ":" + text_of(record.data.substr(6));
      } else if (record.type == type_soa) {
        text += "SOA";
      } else if (record.type == type_txt) {
        text += record.data.substr(1);
      } else {
        text += text_of(record.data);
      }
    }
    if (result->reply.answers.empty()) EXPECT_EQ(result->reply.authority.size(), 1u) << "a denial says for how long";
    if (!result->chase.empty()) text += " then " + text_of(result->chase);
    return text;
  }

  Zone zone_{{.domain = "cluster.local",
              .servers = {*Address::parse("10.43.0.10")},
              .owned = {*Prefix::parse("10.42.0.0/16"), *Prefix::parse("10.43.0.0/16")}}};
};

TEST_F(ZoneTest, Services) {
  EXPECT_EQ(ask("web.default.svc.cluster.local"), "NOERROR 10.43.0.5");
  EXPECT_EQ(ask("WEB.Default.svc.Cluster.LOCAL"), "NOERROR 10.43.0.5");
  EXPECT_EQ(ask("web.default.svc.cluster.local", type_aaaa), "NOERROR");
  EXPECT_EQ(ask("six.default.svc.cluster.local", type_aaaa), "NOERROR fd00::5");
  EXPECT_EQ(ask("none.default.svc.cluster.local"), "NXDOMAIN");
  EXPECT_EQ(ask("web.other.svc.cluster.local"), "NXDOMAIN");
  EXPECT_EQ(ask("x.web.default.svc.cluster.local"), "NXDOMAIN");
  EXPECT_EQ(ask("example.com.default.svc.cluster.local"), "NXDOMAIN") << "what a search path makes of outside names";
}

TEST_F(ZoneTest, HeadlessServicesAndTheirEndpoints) {
  EXPECT_EQ(ask("db.default.svc.cluster.local"), "NOERROR 10.42.0.7 10.42.0.8");
  EXPECT_EQ(ask("early.default.svc.cluster.local"), "NOERROR 10.42.0.7 10.42.0.8 10.42.0.9");
  EXPECT_EQ(ask("db-0.db.default.svc.cluster.local"), "NOERROR 10.42.0.7");
  EXPECT_EQ(ask("10-42-0-8.db.default.svc.cluster.local"), "NOERROR 10.42.0.8");
  EXPECT_EQ(ask("db-9.db.default.svc.cluster.local"), "NXDOMAIN");
}

TEST_F(ZoneTest, NamedPorts) {
  EXPECT_EQ(ask("_http._tcp.web.default.svc.cluster.local", type_srv), "NOERROR 80:web.default.svc.cluster.local.");
  EXPECT_EQ(ask("_http._udp.web.default.svc.cluster.local", type_srv), "NXDOMAIN");
  EXPECT_EQ(ask("web.default.svc.cluster.local", type_srv), "NOERROR 80:web.default.svc.cluster.local. 53:web.default.svc.cluster.local.");
  EXPECT_EQ(ask("_sql._tcp.db.default.svc.cluster.local", type_srv),
            "NOERROR 5432:db-0.db.default.svc.cluster.local. 5432:10-42-0-8.db.default.svc.cluster.local.");
  EXPECT_EQ(ask("_sql._tcp.db.default.svc.cluster.local"), "NOERROR");
  auto srv = zone_.answer(*make_name("_sql._tcp.db.default.svc.cluster.local"), type_srv);
  EXPECT_EQ(srv->reply.additional.size(), 2u) << "the targets' addresses come along";
}

TEST_F(ZoneTest, ExternalNames) {
  EXPECT_EQ(ask("away.default.svc.cluster.local"), "NOERROR www.example.org. then www.example.org.");
  EXPECT_EQ(ask("away.default.svc.cluster.local", type_cname), "NOERROR www.example.org.");
  EXPECT_EQ(ask("near.default.svc.cluster.local"), "NOERROR web.default.svc.cluster.local. 10.43.0.5");
}

TEST_F(ZoneTest, PodsAndTheZoneItself) {
  EXPECT_EQ(ask("10-42-0-5.default.pod.cluster.local"), "NOERROR 10.42.0.5");
  EXPECT_EQ(ask("fd00--7.default.pod.cluster.local", type_aaaa), "NOERROR fd00::7");
  EXPECT_EQ(ask("nonsense.default.pod.cluster.local"), "NXDOMAIN");
  EXPECT_EQ(ask("cluster.local", type_soa), "NOERROR SOA");
  EXPECT_EQ(ask("cluster.local", type_ns), "NOERROR ns.dns.cluster.local.");
  EXPECT_EQ(ask("ns.dns.cluster.local"), "NOERROR 10.43.0.10");
  EXPECT_EQ(ask("dns-version.cluster.local", type_txt), "NOERROR 1.1.0");
  EXPECT_EQ(ask("default.svc.cluster.local"), "NOERROR") << "there are names below it";
  EXPECT_EQ(ask("svc.cluster.local"), "NOERROR");
  EXPECT_EQ(ask("x.cluster.local"), "NXDOMAIN");
}

TEST_F(ZoneTest, ReverseNames) {
  EXPECT_EQ(ask("5.0.43.10.in-addr.arpa", type_ptr), "NOERROR web.default.svc.cluster.local.");
  EXPECT_EQ(ask("7.0.42.10.in-addr.arpa", type_ptr), "NOERROR db-0.db.default.svc.cluster.local. db-0.early.default.svc.cluster.local.");
  EXPECT_EQ(ask("77.0.42.10.in-addr.arpa", type_ptr), "NXDOMAIN") << "ours, so not forwarded";
  EXPECT_EQ(ask("1.1.1.1.in-addr.arpa", type_ptr), "forward");
  EXPECT_EQ(ask("5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", type_ptr),
            "NOERROR six.default.svc.cluster.local.");
}

TEST_F(ZoneTest, OtherNamesAreNotOurs) {
  EXPECT_EQ(ask("example.org"), "forward");
  EXPECT_EQ(ask("local"), "forward");
  EXPECT_EQ(ask("notcluster.local"), "forward");
  EXPECT_EQ(ask("xcluster.local"), "forward");
  EXPECT_FALSE(zone_.answer(std::string("\x0fx\7cluster\5local\0", 17), type_a)) << "one label with the bytes of the domain's end";
}

TEST_F(ZoneTest, AServiceThatGoesTakesItsNames) {
  zone_.set("default/db", nullptr);
  EXPECT_EQ(ask("db.default.svc.cluster.local"), "NXDOMAIN");
  EXPECT_EQ(ask("7.0.42.10.in-addr.arpa", type_ptr), "NOERROR db-0.early.default.svc.cluster.local.");
  for (const char* name : {"web", "early", "away", "near", "six"}) zone_.set(std::string("default/") + name, nullptr);
  EXPECT_EQ(ask("7.0.42.10.in-addr.arpa", type_ptr), "NXDOMAIN");
  EXPECT_EQ(ask("default.svc.cluster.local"), "NXDOMAIN");
}

}  // namespace estiba::network::dns
