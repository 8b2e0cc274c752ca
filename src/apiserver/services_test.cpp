// Services: what they hold, what reserves it, and what a change of type gives back.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "apiserver/api_errors.h"
#include "apiserver/kept.h"
#include "apiserver/reservations.h"
#include "apiserver/service_repair.h"
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

class ServicesTest : public ApiFixture {
 protected:
  static std::string body(std::string_view name, std::string spec) {
    std::ranges::replace(spec, '\'', '"');
    return R"({"metadata":{"name":")" + std::string(name) + R"("},"spec":)" + spec + "}";
  }
  Result<Outcome> make_service(std::string_view name, std::string spec = "{'selector':{'a':'b'},'ports':[{'port':80}]}") {
    return create("", "v1", "services", "default", body(name, std::move(spec)));
  }
  Result<Outcome> change(std::string name, std::string merge) {
    std::ranges::replace(merge, '\'', '"');
    return patch("", "v1", "services", "default", std::move(name), BodyType::merge_patch, std::move(merge));
  }
  /// A member of the stored spec as JSON; "" when it is absent.
  std::string spec(std::string name, std::string_view member) {
    auto object = get("", "v1", "services", "default", std::move(name));
    const json::Node* node = object ? json_of(*object).at("spec", member) : nullptr;
    return node ? json::print(*node) : "";
  }
  std::string address(std::string name) {
    auto object = get("", "v1", "services", "default", std::move(name));
    return object ? std::string(json_of(*object).string_at("spec", "clusterIP")) : "";
  }
  Result<model::ObjectRef> ip_address(std::string name) { return get("networking.k8s.io", "v1", "ipaddresses", "", std::move(name)); }
  std::set<std::string> reserved_ports() {
    std::set<std::string> out;
    for (const store::EntryPtr& entry : store_->list(ports_prefix)->entries) out.insert(entry->key.substr(ports_prefix.size()));
    return out;
  }
  uint64_t reserved_addresses() { return store_->count("/registry/networking.k8s.io/ipaddresses/"); }
  static std::string causes(const Result<Outcome>& refused) {
    if (refused) return "made";
    if (!refused.error().details || refused.error().details->causes.empty()) return refused.error().message;
    const FieldCause& cause = refused.error().details->causes[0];
    return cause.field + ": " + cause.message;
  }
};

TEST_F(ServicesTest, an_address_is_an_ip_address_object_while_the_service_is_there) {
  auto made = make_service("s");
  ASSERT_TRUE(made) << made.error().message;
  const std::string taken = address("s");
  EXPECT_TRUE(taken.starts_with("10.43.")) << taken;
  auto object = ip_address(taken);
  ASSERT_TRUE(object) << object.error().message;
  const json::Node& root = json_of(*object);
  EXPECT_EQ(json::print(*root.at("spec", "parentRef")), R"({"group":"","resource":"services","namespace":"default","name":"s"})");
  EXPECT_EQ(root.string_at("metadata", "labels", "ipaddress.kubernetes.io/managed-by"), "ipallocator.k8s.io");
  EXPECT_EQ(root.string_at("metadata", "labels", "ipaddress.kubernetes.io/ip-family"), "IPv4");
  EXPECT_EQ(root.string_at("metadata", "name"), taken);
  EXPECT_FALSE(object->meta().uid.empty());

  EXPECT_EQ(causes(make_service("t", "{'clusterIP':'" + taken + "','ports':[{'port':80}]}")),
            "spec.clusterIPs: Invalid value: [\"" + taken + "\"]: failed to allocate IP " + taken + ": provided IP is already allocated");
  ASSERT_TRUE(remove("", "v1", "services", "default", "s"));
  EXPECT_FALSE(ip_address(taken));
  EXPECT_TRUE(make_service("t", "{'clusterIP':'" + taken + "','ports':[{'port':80}]}"));
}

TEST_F(ServicesTest, a_service_and_what_it_holds_are_one_write) {
  const uint64_t before = store_->counters().batches;
  ASSERT_TRUE(make_service("s", "{'type':'NodePort','selector':{'a':'b'},'ports':[{'name':'a','port':80},{'name':'b','port':81}]}"));
  EXPECT_EQ(store_->counters().batches, before + 1);
  EXPECT_EQ(reserved_ports().size(), 2u);
}

TEST_F(ServicesTest, an_ip_address_that_somebody_else_made_is_taken) {
  ASSERT_TRUE(
      create("networking.k8s.io", "v1", "ipaddresses", "",
             R"({"metadata":{"name":"10.43.7.7"},"spec":{"parentRef":{"group":"gateway.example.com","resource":"gateways","name":"g"}}})"));
  EXPECT_FALSE(make_service("s", "{'clusterIP':'10.43.7.7','ports':[{'port':80}]}"));
}

TEST_F(ServicesTest, node_ports_are_in_range_and_free) {
  ASSERT_TRUE(make_service("s", "{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]}"));
  EXPECT_EQ(causes(make_service("t", "{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]}")),
            "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated");
  EXPECT_EQ(causes(make_service("t", "{'type':'NodePort','ports':[{'port':80,'nodePort':80}]}")),
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767");
  EXPECT_EQ(reserved_ports(), (std::set<std::string>{"30080"}));
  // Back to ClusterIP: the port is free again.
  ASSERT_TRUE(change("s", "{'spec':{'type':'ClusterIP'}}"));
  EXPECT_EQ(reserved_ports(), std::set<std::string>{});
  EXPECT_TRUE(make_service("t", "{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]}"));
}

TEST_F(ServicesTest, one_port_for_both_protocols_is_one_node_port) {
  ASSERT_TRUE(make_service("dns", "{'type':'NodePort','ports':[{'name':'u','port':53,'protocol':'UDP'},{'name':'t','port':53}]}"));
  EXPECT_EQ(reserved_ports().size(), 1u);
  ASSERT_TRUE(remove("", "v1", "services", "default", "dns"));
  EXPECT_EQ(reserved_ports().size(), 0u);
}

TEST_F(ServicesTest, an_update_without_them_keeps_address_and_ports) {
  ASSERT_TRUE(make_service("s", "{'type':'NodePort','ports':[{'name':'a','port':80},{'name':'b','port':81}]}"));
  const std::string taken = address("s"), ports = spec("s", "ports");
  auto put = update("", "v1", "services", "default", "s",
                    body("s", "{'type':'NodePort','ports':[{'name':'a','port':80},{'name':'b','port':81}]}"));
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_EQ(address("s"), taken);
  EXPECT_EQ(spec("s", "ports"), ports);
  EXPECT_EQ(reserved_ports().size(), 2u);
}

TEST_F(ServicesTest, a_type_gives_back_what_it_does_not_have) {
  ASSERT_TRUE(make_service("s", "{'type':'LoadBalancer','externalTrafficPolicy':'Local','ports':[{'port':80}]}"));
  const std::string taken = address("s");
  EXPECT_EQ(reserved_ports().size(), 2u) << "a node port and the health check's";
  EXPECT_NE(spec("s", "healthCheckNodePort"), "");
  ASSERT_TRUE(change("s", "{'spec':{'externalTrafficPolicy':'Cluster'}}"));
  EXPECT_EQ(spec("s", "healthCheckNodePort"), "");
  EXPECT_EQ(reserved_ports().size(), 1u);
  auto external = change("s", "{'spec':{'type':'ExternalName','externalName':'a.b'}}");
  ASSERT_TRUE(external) << external.error().message;
  EXPECT_EQ(reserved_ports().size(), 0u);
  EXPECT_FALSE(ip_address(taken));
  for (std::string_view gone : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "externalTrafficPolicy", "internalTrafficPolicy",
                                "allocateLoadBalancerNodePorts"})
    EXPECT_EQ(spec("s", gone), "") << gone;
  ASSERT_TRUE(change("s", "{'spec':{'type':'ClusterIP','externalName':null}}"));
  EXPECT_TRUE(ip_address(address("s")));
  EXPECT_EQ(spec("s", "ipFamilies"), R"(["IPv4"])");
}

TEST_F(ServicesTest, a_load_balancer_without_node_ports_has_none) {
  ASSERT_TRUE(make_service("s", "{'type':'LoadBalancer','allocateLoadBalancerNodePorts':false,'ports':[{'port':80}]}"));
  EXPECT_EQ(reserved_ports().size(), 0u);
  ASSERT_TRUE(make_service("t", "{'type':'LoadBalancer','allocateLoadBalancerNodePorts':false,'ports':[{'port':80,'nodePort':30090}]}"));
  EXPECT_EQ(reserved_ports(), (std::set<std::string>{"30090"}));
}

TEST_F(ServicesTest, a_health_checks_port_is_free_too) {
  const std::string local = "{'type':'LoadBalancer','externalTrafficPolicy':'Local','healthCheckNodePort':30100,'ports':[{'port':80}]}";
  ASSERT_TRUE(make_service("s", local));
  EXPECT_EQ(causes(make_service("t", local)),
            "failed to allocate requested HealthCheck NodePort 30100: provided port is already allocated");
  EXPECT_EQ(causes(change("s", "{'spec':{'healthCheckNodePort':30101}}")), "spec.healthCheckNodePort: Forbidden: field is immutable");
}

TEST_F(ServicesTest, a_dry_run_reserves_nothing) {
  const uint64_t before = reserved_addresses();
  Action action = make(Verb::create, "", "v1", "services", "default");
  action.write.dry_run = true;
  action.body = body("s", "{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]}");
  auto made = run(api_->run(std::move(action)));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(reserved_ports().size(), 0u);
  EXPECT_EQ(reserved_addresses(), before);
  EXPECT_TRUE(make_service("s", "{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]}"));
}

TEST_F(ServicesTest, what_is_refused_reserves_nothing) {
  const uint64_t before = reserved_addresses();
  ASSERT_TRUE(make_service("s"));
  EXPECT_EQ(make_service("s").error().code, Code::already_exists);
  EXPECT_FALSE(make_service("t", "{'type':'NodePort','ports':[{'name':'a','port':80},{'name':'b','port':81,'nodePort':7}]}"));
  EXPECT_EQ(reserved_addresses(), before + 1);
  EXPECT_EQ(reserved_ports().size(), 0u);
}

TEST_F(ServicesTest, what_is_asked_for_comes_from_the_lower_part_and_the_rest_from_above) {
  for (int i = 0; i < 40; ++i) {
    const std::string name = "s" + std::to_string(i);
    ASSERT_TRUE(make_service(name, "{'type':'NodePort','ports':[{'port':80}]}"));
    // A range of 65536 keeps 256 addresses, one of 2768 ports 86.
    EXPECT_FALSE(address(name).starts_with("10.43.0.")) << address(name);
  }
  for (const std::string& port : reserved_ports()) EXPECT_GE(std::stoi(port), 30086);
}

TEST_F(ServicesTest, families_follow_from_the_cluster) {
  struct Row {
    std::string spec, policy, families;
  };
  const Row rows[] = {
      {"{'ports':[{'port':80}],'selector':{'a':'b'}}", "\"SingleStack\"", R"(["IPv4"])"},
      {"{'ports':[{'port':80}],'ipFamilyPolicy':'PreferDualStack'}", "\"PreferDualStack\"", R"(["IPv4"])"},
      {"{'clusterIP':'None','selector':{'a':'b'}}", "\"SingleStack\"", R"(["IPv4"])"},
      {"{'clusterIP':'None'}", "\"RequireDualStack\"", R"(["IPv4","IPv6"])"},
      {"{'clusterIP':'None','ipFamilyPolicy':'SingleStack','ipFamilies':['IPv6']}", "\"SingleStack\"", R"(["IPv6"])"},
      {"{'type':'ExternalName','externalName':'a.b'}", "", ""},
  };
  for (const Row& row : rows) {
    auto made = make_service("f", row.spec);
    ASSERT_TRUE(made) << row.spec << made.error().message;
    EXPECT_EQ(spec("f", "ipFamilyPolicy"), row.policy) << row.spec;
    EXPECT_EQ(spec("f", "ipFamilies"), row.families) << row.spec;
    ASSERT_TRUE(remove("", "v1", "services", "default", "f"));
  }
  EXPECT_EQ(causes(make_service("f", "{'ports':[{'port':80}],'ipFamilyPolicy':'RequireDualStack'}")),
            "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services");
  EXPECT_EQ(causes(make_service("f", "{'ports':[{'port':80}],'ipFamilies':['IPv6']}")),
            "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster");
  EXPECT_EQ(causes(make_service("f", "{'ports':[{'port':80}],'clusterIP':'fd00::1'}")),
            "spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on this cluster");
}

TEST_F(ServicesTest, another_service_cidr_extends_the_range_while_it_is_ready) {
  EXPECT_EQ(causes(make_service("s", "{'ports':[{'port':80}],'clusterIP':'10.50.0.9'}")),
            "spec.clusterIPs: Invalid value: [\"10.50.0.9\"]: failed to allocate IP 10.50.0.9: the provided network does not match the "
            "current range");
  ASSERT_TRUE(create("networking.k8s.io", "v1", "servicecidrs", "", R"({"metadata":{"name":"more"},"spec":{"cidrs":["10.50.0.0/28"]}})"));
  ASSERT_TRUE(make_service("s", "{'ports':[{'port':80}],'clusterIP':'10.50.0.9'}"));
  EXPECT_EQ(
      causes(make_service("t", "{'ports':[{'port':80}],'clusterIP':'10.50.0.15'}")),
      "spec.clusterIPs: Invalid value: [\"10.50.0.15\"]: failed to allocate IP 10.50.0.15: the provided IP (10.50.0.15) is not in the "
      "valid range. The range of valid IPs is 10.50.0.0/28");
  ASSERT_TRUE(patch(
      "networking.k8s.io", "v1", "servicecidrs", "", "more", BodyType::merge_patch,
      R"({"status":{"conditions":[{"type":"Ready","status":"False","reason":"x","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z"}]}})",
      "status"));
  EXPECT_FALSE(make_service("t", "{'ports':[{'port':80}],'clusterIP':'10.50.0.10'}"));
  EXPECT_TRUE(remove("", "v1", "services", "default", "s")) << "what is there can go all the same";
  EXPECT_FALSE(ip_address("10.50.0.9"));
}

class SmallRangeTest : public ServicesTest {
 protected:
  void SetUp() override {
    options_.cluster.service_cidr = "10.43.0.0/29";
    ServicesTest::SetUp();
  }
};

TEST_F(SmallRangeTest, a_full_range_says_so_and_another_one_helps) {
  // Six addresses, one of them for default/kubernetes.
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(make_service("s" + std::to_string(i)));
  auto full = make_service("full");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::internal);
  EXPECT_TRUE(full.error().message.contains("failed to allocate a serviceIP for Service \"full\": range is full")) << full.error().message;
  ASSERT_TRUE(create("networking.k8s.io", "v1", "servicecidrs", "", R"({"metadata":{"name":"more"},"spec":{"cidrs":["10.50.0.0/29"]}})"));
  ASSERT_TRUE(make_service("full"));
  EXPECT_TRUE(address("full").starts_with("10.50.0.")) << address("full");
}

class DualStackServicesTest : public ServicesTest {
 protected:
  void SetUp() override {
    options_.cluster.service_cidr = "10.43.0.0/16,fd00:43::/64";
    ServicesTest::SetUp();
  }
  /// "4", "6", "46", "64": the families of the stored clusterIPs, when each has an IPAddress of the Service; else what is wrong.
  std::string families(std::string name) {
    auto object = get("", "v1", "services", "default", name);
    if (!object) return object.error().message;
    const json::Document whole = *json::Document::parse(object->print());  // what json_of gives goes with the next call
    const json::Node& spec = *whole.root().find("spec");
    std::string out;
    const json::Node* list = spec.find("clusterIPs");
    for (uint32_t i = 0; list && i < list->size(); ++i) {
      const std::string address((*list)[i].as_string());
      const bool v6 = address.starts_with("fd00:43::");
      if (!v6 && !address.starts_with("10.43.")) return "strange address " + address;
      auto reserved = ip_address(address);
      if (!reserved || json_of(*reserved).string_at("spec", "parentRef", "name") != name) return "no IPAddress " + address;
      if (json_of(*reserved).string_at("metadata", "labels", "ipaddress.kubernetes.io/ip-family") != family_name(v6)) return "wrong label";
      if ((*spec.find("ipFamilies"))[i].as_string() != family_name(v6)) return "wrong family of " + address;
      out += v6 ? '6' : '4';
    }
    if (list && list->size() && (*list)[0].as_string() != spec.string_at("clusterIP")) return "clusterIP is another";
    return out;
  }
};

TEST_F(DualStackServicesTest, families_and_addresses_go_together) {
  struct Row {
    std::string spec, policy, families;
  };
  const std::string ports = "'ports':[{'port':80}],'selector':{'a':'b'}";
  const Row rows[] = {
      {"{" + ports + "}", "SingleStack", "4"},
      {"{" + ports + ",'ipFamilies':['IPv6']}", "SingleStack", "6"},
      {"{" + ports + ",'clusterIP':'fd00:43::abcd'}", "SingleStack", "6"},
      {"{" + ports + ",'ipFamilyPolicy':'PreferDualStack'}", "PreferDualStack", "46"},
      {"{" + ports + ",'ipFamilyPolicy':'RequireDualStack'}", "RequireDualStack", "46"},
      {"{" + ports + ",'ipFamilyPolicy':'RequireDualStack','ipFamilies':['IPv6']}", "RequireDualStack", "64"},
      {"{" + ports + ",'ipFamilyPolicy':'PreferDualStack','ipFamilies':['IPv6','IPv4']}", "PreferDualStack", "64"},
      {"{" + ports + ",'ipFamilyPolicy':'PreferDualStack','clusterIP':'fd00:43::abcd'}", "PreferDualStack", "64"},
      {"{" + ports + ",'ipFamilyPolicy':'PreferDualStack','clusterIP':'10.43.9.9','clusterIPs':['10.43.9.9','fd00:43::0:abcd']}",
       "PreferDualStack", "46"},
  };
  for (const Row& row : rows) {
    auto made = make_service("f", row.spec);
    ASSERT_TRUE(made) << row.spec << made.error().message;
    EXPECT_EQ(spec("f", "ipFamilyPolicy"), "\"" + row.policy + "\"") << row.spec;
    if (!row.spec.contains("::0:")) EXPECT_EQ(families("f"), row.families) << row.spec;
    else EXPECT_TRUE(ip_address("fd00:43::abcd")) << "an IPAddress has the canonical form for its name";
    ASSERT_TRUE(remove("", "v1", "services", "default", "f"));
    EXPECT_EQ(reserved_addresses(), 1u) << "that of default/kubernetes; " << row.spec;
  }
  EXPECT_EQ(
      causes(make_service("f", "{" + ports + ",'ipFamilies':['IPv4','IPv6']}")),
      "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families "
      "are specified");
  EXPECT_EQ(causes(make_service("f", "{" + ports + ",'clusterIP':'fd00:44::1'}")),
            "spec.clusterIPs: Invalid value: [\"fd00:44::1\"]: failed to allocate IP fd00:44::1: the provided network does not match the "
            "current range");
  EXPECT_EQ(causes(make_service("f", "{" + ports + ",'clusterIP':'fd00:43::'}")),
            "spec.clusterIPs: Invalid value: [\"fd00:43::\"]: failed to allocate IP fd00:43::: the provided IP (fd00:43::) is not in the "
            "valid range. The range of valid IPs is fd00:43::/64");
}

TEST_F(DualStackServicesTest, a_second_family_comes_and_goes) {
  ASSERT_TRUE(make_service("s"));
  const std::string first = address("s");
  ASSERT_TRUE(change("s", "{'spec':{'ipFamilyPolicy':'PreferDualStack'}}"));
  EXPECT_EQ(families("s"), "46");
  EXPECT_EQ(address("s"), first);
  EXPECT_EQ(reserved_addresses(), 3u);

  auto dual = get("", "v1", "services", "default", "s");
  const std::string second((*json_of(*dual).at("spec", "clusterIPs"))[1].as_string());
  EXPECT_EQ(causes(change("s", "{'spec':{'clusterIPs':['" + first + "']}}")),
            "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be 'SingleStack' to release the secondary cluster IP");
  EXPECT_EQ(causes(change("s", "{'spec':{'ipFamilies':['IPv4']}}")),
            "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be 'SingleStack' to release the secondary IP family");
  auto swapped = change("s", "{'spec':{'ipFamilies':['IPv6','IPv4']}}");
  ASSERT_FALSE(swapped);
  EXPECT_EQ(families("s"), "46");

  ASSERT_TRUE(change("s", "{'spec':{'ipFamilyPolicy':'SingleStack'}}"));
  EXPECT_EQ(families("s"), "4");
  EXPECT_EQ(address("s"), first);
  EXPECT_FALSE(ip_address(second)) << "what is given up is free again";

  ASSERT_TRUE(change(
      "s", "{'spec':{'ipFamilyPolicy':'RequireDualStack','ipFamilies':['IPv4','IPv6'],'clusterIPs':['" + first + "','fd00:43::7']}}"));
  EXPECT_EQ(families("s"), "46");
  EXPECT_TRUE(ip_address("fd00:43::7"));
  ASSERT_TRUE(change("s", "{'spec':{'type':'ExternalName','externalName':'a.b'}}"));
  EXPECT_EQ(spec("s", "clusterIPs") + spec("s", "ipFamilies") + spec("s", "ipFamilyPolicy"), "");
  EXPECT_EQ(reserved_addresses(), 1u);
}

TEST_F(DualStackServicesTest, default_kubernetes_is_of_the_primary_family_alone) {
  EXPECT_EQ(spec("kubernetes", "clusterIPs"), R"(["10.43.0.1"])");
  EXPECT_EQ(spec("kubernetes", "ipFamilyPolicy"), "\"SingleStack\"");
  auto cidr = get("networking.k8s.io", "v1", "servicecidrs", "", "kubernetes");
  ASSERT_TRUE(cidr);
  EXPECT_EQ(json::print(*json_of(*cidr).at("spec", "cidrs")), R"(["10.43.0.0/16","fd00:43::/64"])");
}

TEST_F(DualStackServicesTest, another_range_may_be_of_one_family) {
  ASSERT_TRUE(create("networking.k8s.io", "v1", "servicecidrs", "", R"({"metadata":{"name":"more"},"spec":{"cidrs":["fd00:50::/112"]}})"));
  ASSERT_TRUE(make_service("s", "{'ports':[{'port':80}],'clusterIP':'fd00:50::ffff'}")) << "IPv6 has no broadcast address";
  EXPECT_EQ(spec("s", "ipFamilies"), R"(["IPv6"])");
  EXPECT_TRUE(ip_address("fd00:50::ffff"));
}

// What was stored by a cluster of IPv4 alone stays as it is when the cluster gets the second family.
TEST_F(ServicesTest, a_cluster_may_be_given_a_second_family) {
  ASSERT_TRUE(make_service("before", "{'ports':[{'port':80}],'ipFamilyPolicy':'PreferDualStack'}"));
  options_.cluster.service_cidr = "10.43.0.0/16,fd00:43::/112";
  options_.cluster.advertise_address = "127.0.0.1";
  auto again = Api::make(*store_, options_);
  ASSERT_TRUE(again) << again.error().message;
  api_ = std::move(*again);
  ASSERT_TRUE(run(api_->bootstrap()));
  ASSERT_TRUE(run(api_->publish_service()));
  auto cidr = get("networking.k8s.io", "v1", "servicecidrs", "", "kubernetes");
  EXPECT_EQ(json::print(*json_of(*cidr).at("spec", "cidrs")), R"(["10.43.0.0/16","fd00:43::/112"])");
  ASSERT_TRUE(change("before", "{'metadata':{'labels':{'a':'b'}}}"));
  EXPECT_EQ(spec("before", "ipFamilies"), R"(["IPv4"])") << "PreferDualStack changes nothing by itself";
  ASSERT_TRUE(change("before", "{'spec':{'ipFamilyPolicy':'RequireDualStack'}}"));
  EXPECT_EQ(spec("before", "ipFamilies"), R"(["IPv4","IPv6"])");
}

class Ipv6ServicesTest : public ServicesTest {
 protected:
  void SetUp() override {
    options_.cluster.service_cidr = "fd00:43::/112";
    options_.cluster.advertise_address = "fd00::9";
    ServicesTest::SetUp();
  }
};

TEST_F(Ipv6ServicesTest, a_cluster_of_ipv6_alone) {
  EXPECT_EQ(address("kubernetes"), "fd00:43::1");
  auto slice = get("discovery.k8s.io", "v1", "endpointslices", "default", "kubernetes");
  ASSERT_TRUE(slice);
  EXPECT_EQ(json_of(*slice).string_at("addressType"), "IPv6");
  ASSERT_TRUE(make_service("s"));
  EXPECT_TRUE(address("s").starts_with("fd00:43::")) << address("s");
  EXPECT_EQ(spec("s", "ipFamilies"), R"(["IPv6"])");
  ASSERT_TRUE(make_service("h", "{'clusterIP':'None'}"));
  EXPECT_EQ(spec("h", "ipFamilies"), R"(["IPv6","IPv4"])") << "without a selector both, the cluster's first";
  EXPECT_EQ(causes(make_service("f", "{'ports':[{'port':80}],'ipFamilies':['IPv4']}")),
            "spec.ipFamilies[0]: Invalid value: \"IPv4\": not configured on this cluster");
}

TEST_F(ServicesTest, ranges_that_services_cannot_have) {
  for (const char* bad : {"fd00::/63", "fd00::/127", "10.0.0.0/7", "10.0.0.0/31", "10.0.0.0/16,10.1.0.0/16", "fd00::/112,", "x"}) {
    options_.cluster.service_cidr = bad;
    EXPECT_FALSE(Api::make(*store_, options_)) << bad;
  }
}

TEST_F(ServicesTest, repair_makes_what_is_missing_and_removes_what_nobody_holds) {
  ASSERT_TRUE(make_service("s", "{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]}"));
  const std::string taken = address("s");
  const auto drop = [&](std::string key) {
    io::Loop loop;
    ASSERT_TRUE(loop.block_on(store_->commit({.kind = store::Write::Kind::remove, .key = std::move(key)})));
  };
  drop(address_key(taken));
  drop(port_key(30080));
  {
    io::Loop loop;
    auto dangling = take_address("10.43.9.9", {"default", "nobody"}, api_->cluster().now());
    ASSERT_TRUE(dangling);
    ASSERT_TRUE(loop.block_on(store_->commit(std::move(*dangling))));
    ASSERT_TRUE(loop.block_on(store_->commit(take_port(30099, {"default", "nobody"}))));
  }
  // What is not made for a Service is left alone.
  ASSERT_TRUE(
      create("networking.k8s.io", "v1", "ipaddresses", "",
             R"({"metadata":{"name":"10.43.7.7"},"spec":{"parentRef":{"group":"gateway.example.com","resource":"gateways","name":"g"}}})"));
  auto done = run(repair_reservations(registry()));
  ASSERT_TRUE(done) << done.error().message;
  auto again = ip_address(taken);
  ASSERT_TRUE(again);
  EXPECT_EQ(json_of(*again).string_at("spec", "parentRef", "name"), "s");
  EXPECT_EQ(reserved_ports(), (std::set<std::string>{"30080"}));
  EXPECT_FALSE(ip_address("10.43.9.9"));
  EXPECT_TRUE(ip_address("10.43.7.7"));
  // Nothing is left to do.
  const store::Revision before = store_->revision();
  ASSERT_TRUE(run(repair_reservations(registry())));
  EXPECT_EQ(store_->revision(), before);
}

TEST_F(ServicesTest, headless_and_external_services_have_no_address) {
  const uint64_t before = reserved_addresses();
  ASSERT_TRUE(make_service("h", "{'clusterIP':'None','selector':{'a':'b'}}"));
  EXPECT_EQ(address("h"), "None");
  ASSERT_TRUE(make_service("e", "{'type':'ExternalName','externalName':'a.b'}"));
  EXPECT_EQ(spec("e", "clusterIP"), "");
  EXPECT_EQ(reserved_addresses(), before);
}

TEST_F(ServicesTest, the_mode_of_a_load_balancers_address_is_vip_unless_it_says_otherwise) {
  ASSERT_TRUE(make_service("s", "{'type':'LoadBalancer','ports':[{'port':80}]}"));
  auto set =
      patch("", "v1", "services", "default", "s", BodyType::merge_patch,
            R"({"status":{"loadBalancer":{"ingress":[{"ip":"1.2.3.4"},{"ip":"1.2.3.5","ipMode":"Proxy"},{"hostname":"a.b"}]}}})", "status");
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(json::print(*json_of(set->object).at("status", "loadBalancer", "ingress")),
            R"([{"ip":"1.2.3.4","ipMode":"VIP"},{"ip":"1.2.3.5","ipMode":"Proxy"},{"hostname":"a.b"}])");
}

}  // namespace
}  // namespace estiba::apiserver
