#include <gtest/gtest.h>

#include <functional>

#include "apiserver/aggregation/aggregator.h"
#include "apiserver/discovery.h"
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

TEST(RemoteDiscovery, is_taken_from_either_form) {
  auto found = resources_of_aggregated(
      R"({"items":[{"metadata":{"name":"a"},"versions":[{"version":"v1","resources":[{"resource":"x"}]},{"version":"v2"}]}]})", "a", "v1");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(**found, R"([{"resource":"x"}])");
  EXPECT_EQ(*resources_of_aggregated(R"({"items":[]})", "a", "v1"), std::nullopt);
  EXPECT_FALSE(resources_of_aggregated("{}", "a", "v1"));
  auto legacy = resources_of_legacy(
      R"({"kind":"APIResourceList","resources":[{"name":"pods/scale","kind":"Scale","group":"autoscaling","version":"v1","verbs":["get"]},)"
      R"({"name":"pods","singularName":"pod","namespaced":true,"kind":"Pod","verbs":["get","list"],"shortNames":["po"]}]})");
  ASSERT_TRUE(legacy) << legacy.error().message;
  EXPECT_EQ(*legacy,
            R"([{"resource":"pods","responseKind":{"group":"","version":"","kind":"Pod"},"scope":"Namespaced","singularResource":"pod",)"
            R"("verbs":["get","list"],"shortNames":["po"],"subresources":[{"subresource":"scale",)"
            R"("responseKind":{"group":"autoscaling","version":"v1","kind":"Scale"},"verbs":["get"]}]}])");
  EXPECT_FALSE(resources_of_legacy(R"({"kind":"Status"})"));
  EXPECT_FALSE(resources_of_legacy("<html>"));
}

TEST(RemoteAttributes, are_those_of_any_resource) {
  auto of = [](const char* method, const char* target) {
    Attributes a = remote_attributes(io::Request(method, target));
    if (!a.path.empty()) return a.verb + " path " + a.path;
    return a.verb + " " + a.ns + "/" + a.resource + "/" + a.name + "/" + a.subresource + "." + a.group;
  };
  EXPECT_EQ(of("GET", "/apis/g.io/v1"), "get path /apis/g.io/v1");
  EXPECT_EQ(of("GET", "/apis/g.io/v1/things"), "list /things//.g.io");
  EXPECT_EQ(of("GET", "/apis/g.io/v1/things?watch=true"), "watch /things//.g.io");
  EXPECT_EQ(of("GET", "/apis/g.io/v1/watch/namespaces/n/things"), "watch n/things//.g.io");
  EXPECT_EQ(of("HEAD", "/apis/g.io/v1/namespaces/n/things/a"), "get n/things/a/.g.io");
  EXPECT_EQ(of("PATCH", "/apis/g.io/v1/namespaces/n/things/a/status"), "patch n/things/a/status.g.io");
  EXPECT_EQ(of("POST", "/apis/g.io/v1/namespaces/n/things"), "create n/things//.g.io");
  EXPECT_EQ(of("DELETE", "/apis/g.io/v1/namespaces/n/things"), "deletecollection n/things//.g.io");
  EXPECT_EQ(of("GET", "/apis/g.io/v1/namespaces/n"), "get n/namespaces/n/.g.io");
}

TEST(RemoteIdentity, stands_in_headers) {
  io::Headers headers = identity_headers({"jane", "u1", {"a", "b"}, {{"acme.com/scope of", {"x", "y"}}}});
  std::string all;
  for (const io::Header& header : headers) all += header.name + "=" + header.value + ";";
  EXPECT_EQ(all,
            "X-Remote-User=jane;X-Remote-Uid=u1;X-Remote-Group=a;X-Remote-Group=b;X-Remote-Extra-acme.com%2Fscope%20of=x;"
            "X-Remote-Extra-acme.com%2Fscope%20of=y;");
}

TEST(MergedDiscovery, puts_extension_servers_where_their_priority_says) {
  model::Catalog catalog;
  RemoteVersions remote;
  remote.push_back({"early.io", "v1", 19000, 10, "[]", true, {}, {}});
  remote.push_back({"custom.metrics.k8s.io", "v1beta1", 100, 100, R"([{"resource":"nodes"}])", false, {}, {}});
  remote.push_back({"apps", "v9", 17800, 1, "[]", true, {}, {}});
  Discovery discovery(catalog, "h:1", remote);
  const DiscoveryDocument* groups = discovery.find("/apis", "application/json");
  ASSERT_TRUE(groups);
  EXPECT_LT(groups->json.find("\"early.io\""), groups->json.find("\"apps\""));
  EXPECT_GT(groups->json.find("\"custom.metrics.k8s.io\""), groups->json.find("\"storage.k8s.io\""));
  EXPECT_NE(groups->json.find(R"({"groupVersion":"apps/v9","version":"v9"}],"preferredVersion":{"groupVersion":"apps/v1")"),
            std::string::npos);
  EXPECT_EQ(
      discovery.find("/apis/custom.metrics.k8s.io", "")->json,
      R"({"kind":"APIGroup","apiVersion":"v1","name":"custom.metrics.k8s.io","versions":[{"groupVersion":"custom.metrics.k8s.io/v1beta1","version":"v1beta1"}],)"
      R"("preferredVersion":{"groupVersion":"custom.metrics.k8s.io/v1beta1","version":"v1beta1"}})");
  EXPECT_EQ(discovery.find("/apis/custom.metrics.k8s.io/v1beta1", ""), nullptr) << "the server itself answers that";
  const DiscoveryDocument* all = discovery.find("/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  EXPECT_NE(all->json.find(R"({"version":"v1beta1","resources":[{"resource":"nodes"}],"freshness":"Stale"})"), std::string::npos);
}

struct AggregationTest : ApiFixture {
  static Task<void> until_good(Task<void> run, std::function<bool()> good) {
    Job job(std::move(run));
    for (int i = 0; i < 3000 && !good(); ++i) co_await sleep_for(std::chrono::milliseconds(10));
  }
};

TEST_F(AggregationTest, what_is_served_is_registered_once) {
  ASSERT_TRUE(run(register_local(registry(), true)));
  auto core = get("apiregistration.k8s.io", "v1", "apiservices", "", "v1.");
  ASSERT_TRUE(core) << core.error().message;
  EXPECT_EQ(json_of(*core).at("status", "conditions")->size(), 1u);
  ASSERT_TRUE(run(register_local(registry(), true)));
  EXPECT_EQ(get("apiregistration.k8s.io", "v1", "apiservices", "", "v1.")->meta().uid, core->meta().uid);
  ASSERT_TRUE(create("apiregistration.k8s.io", "v1", "apiservices", "",
                     R"({"metadata":{"name":"v1.gone.io","labels":{"kube-aggregator.kubernetes.io/automanaged":"true"}},)"
                     R"("spec":{"group":"gone.io","version":"v1","groupPriorityMinimum":1000,"versionPriority":100}})"));
  ASSERT_TRUE(run(register_local(registry(), false)));
  EXPECT_FALSE(get("apiregistration.k8s.io", "v1", "apiservices", "", "v1.gone.io"));
}

TEST_F(AggregationTest, a_remote_one_has_a_route_and_a_condition) {
  ASSERT_TRUE(create("apiregistration.k8s.io", "v1", "apiservices", "",
                     R"({"metadata":{"name":"v1.far.io"},"spec":{"group":"far.io","version":"v1","groupPriorityMinimum":1000,)"
                     R"("versionPriority":100,"insecureSkipTLSVerify":true,"service":{"namespace":"default","name":"far"}}})"));
  Aggregator& aggregator = api_->aggregator();
  EXPECT_EQ(aggregator.find("/apis/far.io/v1/things"), nullptr) << "nothing runs yet";
  io::Loop loop;
  loop.block_on(until_good(aggregator.run(), [this] {
    auto object = get("apiregistration.k8s.io", "v1", "apiservices", "", "v1.far.io");
    return object && json_of(*object).at("status", "conditions");
  }));
  RemotePtr remote = aggregator.find("/apis/far.io/v1/things");
  ASSERT_TRUE(remote);
  EXPECT_EQ(remote->port, 443);
  EXPECT_EQ(aggregator.find("/apis/far.io/v1"), remote);
  EXPECT_EQ(aggregator.find("/apis/far.io/v2/things"), nullptr);
  EXPECT_EQ(aggregator.find("/apis/far.io"), nullptr);
  EXPECT_EQ(aggregator.find("/api/v1/pods"), nullptr);
  auto object = get("apiregistration.k8s.io", "v1", "apiservices", "", "v1.far.io");
  ASSERT_TRUE(object);
  const json::Node& condition = (*json_of(*object).at("status", "conditions"))[0];
  EXPECT_EQ(condition.string_at("reason"), "ServiceNotFound");
  ASSERT_EQ(aggregator.versions()->size(), 1u);
  EXPECT_FALSE(aggregator.versions()->front().current);
}

}  // namespace
}  // namespace estiba::apiserver
