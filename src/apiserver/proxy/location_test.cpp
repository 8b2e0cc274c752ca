#include "apiserver/proxy/location.h"

#include "apiserver/request.h"
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

TEST(ProxyNames, have_one_to_three_parts) {
  auto name = parse_proxy_name("pod", "https:web:443");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->scheme + "|" + name->name + "|" + name->port, "https|web|443");
  EXPECT_EQ(parse_proxy_name("pod", "web")->name, "web");
  EXPECT_EQ(parse_proxy_name("pod", "web:http")->port, "http");
  EXPECT_EQ(parse_proxy_name("service", "http:web:")->port, "");
  for (const char* wrong : {"", ":80", "ftp:web:80", "a:b:c:d"}) {
    auto refused = parse_proxy_name("service", wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().message, "invalid service request \"" + std::string(wrong) + "\"");
  }
}

TEST(ProxyPaths, cannot_leave_where_they_begin) {
  EXPECT_EQ(clean_proxy_path(""), "");
  EXPECT_EQ(clean_proxy_path("/"), "/");
  EXPECT_EQ(clean_proxy_path("/a/b/"), "/a/b/");
  EXPECT_EQ(clean_proxy_path("/a/../../b"), "/b");
  EXPECT_EQ(clean_proxy_path("/a/%2e%2E/b"), "/b");
  EXPECT_EQ(clean_proxy_path("//a/./b"), "/a/b");
  EXPECT_EQ(clean_proxy_path("/a%2Fb%20c"), "/a%2Fb%20c") << "what is encoded stays so";
}

TEST(ProxyAddresses, are_global_unicast) {
  for (const char* good : {"10.42.0.7", "192.168.1.1", "fd00::1", "2001:db8::1"}) EXPECT_TRUE(is_global_unicast(good)) << good;
  for (const char* bad :
       {"", "x", "0.0.0.0", "127.0.0.1", "169.254.169.254", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "ff02::1"})
    EXPECT_FALSE(is_global_unicast(bad)) << bad;
}

TEST(ProxyRequests, keep_their_tail_as_it_was_sent) {
  auto target = parse_request(io::Request("PATCH", "/api/v1/namespaces/a/pods/https:p:1/proxy/x%2Fy/..//z/?limit=no&watch=1"));
  ASSERT_TRUE(target) << target.error().message;
  EXPECT_EQ(target->tail, "/x%2Fy/..//z/");
  EXPECT_EQ(target->action.name, "https:p:1");
  EXPECT_EQ(target->action.subresource, "proxy");
  EXPECT_EQ(target->action.verb, Verb::patch);
  EXPECT_EQ(parse_request(io::Request("GET", "/api/v1/nodes/n/proxy"))->tail, "");
  EXPECT_EQ(parse_request(io::Request("GET", "/api/v1/nodes/n/proxy/"))->tail, "/");
  EXPECT_EQ(parse_request(io::Request("OPTIONS", "/api/v1/namespaces/a/services/s/proxy/"))->action.verb, Verb::get);
  EXPECT_FALSE(parse_request(io::Request("TRACE", "/api/v1/namespaces/a/services/s/proxy/")));
  EXPECT_FALSE(parse_request(io::Request("GET", "/api/v1/namespaces/a/secrets/s/proxy/")));
  EXPECT_FALSE(parse_request(io::Request("GET", "/api/v1/namespaces/../pods/s/proxy/"))) << "before the tail, path tricks are refused";
}

struct LocationTest : ApiFixture {
  void SetUp() override {
    ApiFixture::SetUp();
    ASSERT_TRUE(create("", "v1", "serviceaccounts", "default", R"({"metadata":{"name":"default"}})"));
  }
  void pod(const std::string& name, const std::string& ip, const std::string& ports = "[]") {
    auto made = create("", "v1", "pods", "default",
                       R"({"metadata":{"name":")" + name + R"("},"spec":{"containers":[{"name":"c","image":"i","ports":)" + ports + "}]}}");
    ASSERT_TRUE(made) << made.error().message;
    auto patched = patch("", "v1", "pods", "default", name, BodyType::merge_patch,
                         R"({"status":{"podIP":")" + ip + R"(","podIPs":[{"ip":")" + ip + R"("}]}})", "status");
    ASSERT_TRUE(patched) << patched.error().message;
  }
  std::string where(std::string_view resource, std::string_view id) {
    auto location = proxy_location(api_->cluster(), resource, resource == "nodes" ? "" : "default", id);
    if (!location) return location.error().message;
    return location->scheme + "://" + location->authority + (location->node_api ? " (node)" : "");
  }
};

TEST_F(LocationTest, of_pods) {
  pod("p", "10.42.0.5", R"([{"containerPort":8080},{"containerPort":9090}])");
  pod("bare", "10.42.0.6");
  pod("local", "127.0.0.1");
  EXPECT_EQ(where("pods", "p"), "http://10.42.0.5:8080") << "the first port there is";
  EXPECT_EQ(where("pods", "https:p:9090"), "https://10.42.0.5:9090");
  EXPECT_EQ(where("pods", "bare"), "http://10.42.0.6");
  EXPECT_EQ(where("pods", "local"), "address not allowed");
  EXPECT_EQ(where("pods", "p:http"), "invalid pod request \"p:http\"");
  EXPECT_EQ(where("pods", "no"), "pods \"no\" not found");
}

TEST_F(LocationTest, of_services) {
  pod("p", "10.42.0.5");
  ASSERT_TRUE(
      create("", "v1", "services", "default",
             R"({"metadata":{"name":"s"},"spec":{"ports":[{"name":"web","port":80,"targetPort":8080},{"name":"tls","port":443}]}})"));
  EXPECT_EQ(where("services", "s:81"), "no service port 81 found for service \"s\"");
  EXPECT_EQ(where("services", "s:web"), "endpoints \"s\" not found");
  ASSERT_TRUE(
      create("", "v1", "endpoints", "default",
             R"({"metadata":{"name":"s"},"subsets":[{"addresses":[{"ip":"10.42.0.9"},)"
             R"({"ip":"10.42.0.5","targetRef":{"kind":"Pod","name":"p","namespace":"default"}},)"
             R"({"ip":"10.42.0.8","targetRef":{"kind":"Pod","name":"p","namespace":"default"}}],"ports":[{"name":"web","port":8080}]}]})"));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(where("services", "s:web"), "http://10.42.0.5:8080") << "only addresses of pods";
  EXPECT_EQ(where("services", "https:s:80"), "https://10.42.0.5:8080") << "by the port's number";
  EXPECT_EQ(where("services", "s:tls"), "no endpoints available for service \"s:tls\"");
}

TEST_F(LocationTest, of_nodes) {
  ASSERT_TRUE(create("", "v1", "nodes", "", R"({"metadata":{"name":"n"}})"));
  EXPECT_EQ(where("nodes", "n"), "node n has no address yet");
  ASSERT_TRUE(patch("", "v1", "nodes", "", "n", BodyType::merge_patch,
                    R"({"status":{"addresses":[{"type":"Hostname","address":"n"},{"type":"InternalIP","address":"192.168.7.1"}],)"
                    R"("daemonEndpoints":{"kubeletEndpoint":{"Port":10251}}}})",
                    "status"));
  EXPECT_EQ(where("nodes", "n"), "https://192.168.7.1:10251 (node)");
  EXPECT_EQ(where("nodes", "n:10251"), "https://192.168.7.1:10251 (node)");
  EXPECT_EQ(where("nodes", "https:n:9100"), "https://192.168.7.1:9100");
}

}  // namespace
}  // namespace estiba::apiserver
