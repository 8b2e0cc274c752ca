#include "apiserver/request.h"

#include <gtest/gtest.h>

#include "apiserver/api_errors.h"

namespace estiba::apiserver {
namespace {

Result<Target> parse(std::string method, std::string target, std::string accept = {}) {
  io::Request request(std::move(method), std::move(target));
  if (!accept.empty()) request.headers.set("Accept", std::move(accept));
  return parse_request(request);
}

int status_of(std::string method, std::string target, std::string accept = {}) {
  auto parsed = parse(std::move(method), std::move(target), std::move(accept));
  return parsed ? 200 : http_status(parsed.error());
}

TEST(Request, a_named_object_of_a_namespace) {
  auto target = parse("GET", "/apis/apps/v1/namespaces/shop/deployments/web");
  ASSERT_TRUE(target) << target.error().message;
  EXPECT_EQ(target->action.verb, Verb::get);
  EXPECT_EQ(target->action.resource->kind, "Deployment");
  EXPECT_EQ(target->action.ns, "shop");
  EXPECT_EQ(target->action.name, "web");
}

TEST(Request, namespaces_are_objects_too) {
  auto one = parse("GET", "/api/v1/namespaces/shop");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->action.resource->plural, "namespaces");
  EXPECT_EQ(one->action.name, "shop");
  EXPECT_EQ(one->action.ns, "");
  auto sub = parse("PUT", "/api/v1/namespaces/shop/finalize");
  ASSERT_TRUE(sub);
  EXPECT_EQ(sub->action.resource->plural, "namespaces");
  EXPECT_EQ(sub->action.subresource, "finalize");
}

TEST(Request, methods_become_verbs) {
  EXPECT_EQ(parse("GET", "/api/v1/pods")->action.verb, Verb::list);
  EXPECT_EQ(parse("GET", "/api/v1/pods?watch=1")->action.verb, Verb::watch);
  EXPECT_EQ(parse("POST", "/api/v1/namespaces/a/pods")->action.verb, Verb::create);
  EXPECT_EQ(parse("PUT", "/api/v1/namespaces/a/pods/b")->action.verb, Verb::update);
  EXPECT_EQ(parse("PATCH", "/api/v1/namespaces/a/pods/b")->action.verb, Verb::patch);
  EXPECT_EQ(parse("DELETE", "/api/v1/namespaces/a/pods/b")->action.verb, Verb::remove);
  EXPECT_EQ(parse("DELETE", "/api/v1/namespaces/a/pods")->action.verb, Verb::remove_collection);
  EXPECT_EQ(parse("POST", "/api/v1/namespaces/a/pods/b/binding")->action.verb, Verb::create);
}

TEST(Request, old_clients_watch_by_a_path_of_its_own) {
  auto all = parse("GET", "/api/v1/watch/namespaces/a/pods");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->action.verb, Verb::watch);
  EXPECT_EQ(all->action.ns, "a");
  auto one = parse("GET", "/apis/apps/v1/watch/namespaces/a/deployments/b");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->action.verb, Verb::watch);
  EXPECT_EQ(one->action.list.field_selector, "metadata.name=b");
  EXPECT_EQ(status_of("GET", "/api/v1/watch"), 404);
  EXPECT_EQ(status_of("DELETE", "/api/v1/watch/namespaces/a/pods/b"), 404);
}

TEST(Request, what_is_not_served_is_refused) {
  EXPECT_EQ(status_of("GET", "/api/v1/wombats"), 404);
  EXPECT_EQ(status_of("GET", "/apis/apps/v2/deployments"), 404);
  EXPECT_EQ(status_of("GET", "/api/v1/pods/x"), 404) << "a pod has a namespace";
  EXPECT_EQ(status_of("GET", "/api/v1/namespaces/a/nodes/x"), 404) << "a node has none";
  EXPECT_EQ(status_of("GET", "/api/v1/namespaces/a/pods/b/nothing"), 404);
  EXPECT_EQ(status_of("POST", "/api/v1/pods"), 405);
  EXPECT_EQ(status_of("DELETE", "/api/v1/namespaces"), 405);
  EXPECT_EQ(status_of("PUT", "/api/v1/namespaces/a/pods"), 405);
  EXPECT_EQ(status_of("GET", "/api/v1/pods", "text/html"), 406);
}

TEST(Request, path_tricks_are_refused) {
  for (std::string path : {"/api/v1/namespaces/a/pods/..", "/api/v1/namespaces/a//pods", "/api/v1/namespaces/a/pods/b%2Fc",
                           "/api/v1/namespaces/%2e%2e/pods", "/api/v1/namespaces/a/pods/b%00"}) {
    EXPECT_EQ(status_of("GET", path), 400) << path;
  }
}

TEST(Request, options_are_read) {
  auto target = parse("GET", "/api/v1/pods?limit=5&labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dn&resourceVersion=7&timeoutSeconds=9");
  ASSERT_TRUE(target);
  const ListOptions& list = target->action.list;
  EXPECT_EQ(list.limit, 5u);
  EXPECT_EQ(list.label_selector, "a=b");
  EXPECT_EQ(list.field_selector, "spec.nodeName=n");
  EXPECT_EQ(list.resource_version, "7");
  EXPECT_EQ(list.timeout_seconds, 9);
  EXPECT_EQ(status_of("POST", "/api/v1/namespaces/a/pods?dryRun=Some"), 400);
  EXPECT_EQ(status_of("POST", "/api/v1/namespaces/a/pods?fieldValidation=Maybe"), 400);
  EXPECT_EQ(status_of("GET", "/api/v1/pods?limit=x"), 400);
}

TEST(Request, the_form_is_negotiated_as_kubectl_asks) {
  constexpr std::string_view kubectl =
      "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
  EXPECT_EQ(negotiate(kubectl, true)->shape, Shape::table);
  EXPECT_EQ(negotiate("application/vnd.kubernetes.protobuf,application/json", true)->encoding, Encoding::protobuf);
  EXPECT_EQ(negotiate("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", true)->shape, Shape::partial);
  EXPECT_EQ(negotiate("application/json;q=0.1,application/yaml", true)->encoding, Encoding::yaml);
  EXPECT_FALSE(negotiate("image/png", true));
  EXPECT_FALSE(negotiate("application/json;as=Table;g=meta.k8s.io;v=v1", false));
  EXPECT_EQ(negotiate(kubectl, false)->shape, Shape::object);
}

}  // namespace
}  // namespace estiba::apiserver
