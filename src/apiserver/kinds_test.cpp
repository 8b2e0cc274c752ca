// What the kinds' own rules do, driven through the registry.
#include <gtest/gtest.h>

#include "apiserver/api_errors.h"
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

class KindsTest : public ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    ASSERT_TRUE(create("", "v1", "serviceaccounts", "default", R"({"metadata":{"name":"default"}})"));
  }
  static std::string pod(const std::string& name, const std::string& more = {}) {
    return R"({"metadata":{"name":")" + name + R"("},"spec":{"containers":[{"name":"c","image":"busybox:1"}])" + more + "}}";
  }
};

TEST_F(KindsTest, a_pod_gets_what_kubernetes_gives_it) {
  auto made = create("", "v1", "pods", "default", pod("p"));
  ASSERT_TRUE(made) << made.error().message;
  const json::Node& root = json_of(made->object);
  const json::Node& spec = *root.find("spec");
  EXPECT_EQ(spec.string_at("restartPolicy"), "Always");
  EXPECT_EQ(spec.string_at("dnsPolicy"), "ClusterFirst");
  EXPECT_EQ(spec.string_at("serviceAccountName"), "default");
  EXPECT_EQ(spec.string_at("schedulerName"), "default-scheduler");
  EXPECT_EQ(spec.at("terminationGracePeriodSeconds")->as_int(), 30);
  EXPECT_EQ(spec.at("priority")->as_int(), 0);
  EXPECT_EQ(spec.at("tolerations")->size(), 2u);
  const json::Node& container = (*spec.find("containers"))[0];
  EXPECT_EQ(container.string_at("imagePullPolicy"), "IfNotPresent");
  EXPECT_EQ(container.string_at("terminationMessagePath"), "/dev/termination-log");
  const json::Node& mount = (*container.find("volumeMounts"))[0];
  EXPECT_EQ(mount.string_at("mountPath"), "/var/run/secrets/kubernetes.io/serviceaccount");
  EXPECT_TRUE(mount.string_at("name").starts_with("kube-api-access-"));
  EXPECT_EQ(root.string_at("status", "phase"), "Pending");
  EXPECT_EQ(root.string_at("status", "qosClass"), "BestEffort");
}

TEST_F(KindsTest, a_pod_without_its_service_account_is_refused) {
  auto made = create("", "v1", "pods", "default", pod("p", R"(,"serviceAccountName":"nobody")"));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message,
            "pods \"p\" is forbidden: error looking up service account default/nobody: serviceaccount \"nobody\" not found");
}

TEST_F(KindsTest, a_pods_spec_changes_only_where_kubernetes_lets_it) {
  ASSERT_TRUE(create("", "v1", "pods", "default", pod("p")));
  EXPECT_TRUE(
      patch("", "v1", "pods", "default", "p", BodyType::strategic_patch, R"({"spec":{"containers":[{"name":"c","image":"busybox:2"}]}})"));
  auto refused = patch("", "v1", "pods", "default", "p", BodyType::merge_patch, R"({"spec":{"restartPolicy":"Never"}})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::invalid);
}

TEST_F(KindsTest, a_scheduled_pod_is_removed_by_its_node_only) {
  ASSERT_TRUE(create("", "v1", "pods", "default", pod("p", R"(,"nodeName":"n","terminationGracePeriodSeconds":7)")));
  auto marked = remove("", "v1", "pods", "default", "p");
  ASSERT_TRUE(marked) << marked.error().message;
  EXPECT_EQ(marked->object.meta().deletion_grace_seconds, 7);
  ASSERT_TRUE(get("", "v1", "pods", "default", "p")) << "still there";
  ASSERT_TRUE(remove("", "v1", "pods", "default", "p", {.grace_seconds = 0}));
  EXPECT_FALSE(get("", "v1", "pods", "default", "p"));
}

TEST_F(KindsTest, an_unscheduled_pod_goes_at_once) {
  ASSERT_TRUE(create("", "v1", "pods", "default", pod("p")));
  ASSERT_TRUE(remove("", "v1", "pods", "default", "p"));
  EXPECT_FALSE(get("", "v1", "pods", "default", "p"));
}

TEST_F(KindsTest, requests_above_limits_are_refused) {
  auto made = create(
      "", "v1", "pods", "default",
      R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"1"},"requests":{"cpu":"1500m"}}}]}})");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().details->causes[0].field, "spec.containers[0].resources.requests");
}

TEST_F(KindsTest, a_deployments_selector_never_changes) {
  ASSERT_TRUE(create("apps", "v1", "deployments", "default", deployment("web")));
  auto refused = patch("apps", "v1", "deployments", "default", "web", BodyType::merge_patch,
                       R"({"spec":{"selector":{"matchLabels":{"app":"y"}},"template":{"metadata":{"labels":{"app":"y"}}}}})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().details->causes[0].field, "spec.selector");
  EXPECT_NE(refused.error().message.find("field is immutable"), std::string::npos);
}

TEST_F(KindsTest, the_servers_own_service_comes_back_when_it_is_deleted) {
  std::string before = get("", "v1", "services", "default", "kubernetes")->meta().uid;
  ASSERT_TRUE(remove("", "v1", "services", "default", "kubernetes"));
  auto again = get("", "v1", "services", "default", "kubernetes");
  ASSERT_TRUE(again);
  EXPECT_NE(again->meta().uid, before);
  EXPECT_EQ(json_of(*again).string_at("spec", "clusterIP"), api_->cluster().services().first_address());
  EXPECT_TRUE(get("discovery.k8s.io", "v1", "endpointslices", "default", "kubernetes"));
}

TEST_F(KindsTest, a_namespace_ends_when_its_finalizer_is_gone) {
  ASSERT_TRUE(create("", "v1", "namespaces", "", R"({"metadata":{"name":"n"}})"));
  auto got = get("", "v1", "namespaces", "", "n");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->object->meta().label("kubernetes.io/metadata.name"), "n");
  ASSERT_TRUE(remove("", "v1", "namespaces", "", "n"));
  got = get("", "v1", "namespaces", "", "n");
  ASSERT_TRUE(got);
  EXPECT_EQ(json_of(*got).string_at("status", "phase"), "Terminating");
  auto late = create("", "v1", "configmaps", "n", R"({"metadata":{"name":"a"}})");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().message,
            "configmaps \"a\" is forbidden: unable to create new content in namespace n because it is being terminated");
  ASSERT_TRUE(update("", "v1", "namespaces", "", "n", R"({"metadata":{"name":"n"},"spec":{"finalizers":[]}})", "finalize"));
  EXPECT_FALSE(get("", "v1", "namespaces", "", "n"));
}

TEST_F(KindsTest, string_data_becomes_data) {
  auto made = create("", "v1", "secrets", "default", R"({"metadata":{"name":"s"},"stringData":{"a":"hi"}})");
  ASSERT_TRUE(made) << made.error().message;
  const json::Node& root = json_of(made->object);
  EXPECT_EQ(root.string_at("data", "a"), "aGk=");
  EXPECT_EQ(root.find("stringData"), nullptr);
  EXPECT_EQ(root.string_at("type"), "Opaque");
}

TEST_F(KindsTest, a_job_selects_its_own_pods) {
  auto made =
      create("batch", "v1", "jobs", "default",
             R"({"metadata":{"name":"j"},"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}})");
  ASSERT_TRUE(made) << made.error().message;
  const json::Node& root = json_of(made->object);
  std::string uid(root.string_at("metadata", "uid"));
  EXPECT_EQ(root.string_at("spec", "selector", "matchLabels", "batch.kubernetes.io/controller-uid"), uid);
  EXPECT_EQ(root.string_at("spec", "template", "metadata", "labels", "job-name"), "j");
  EXPECT_EQ(root.at("spec", "backoffLimit")->as_int(), 6);
}

TEST_F(KindsTest, events_are_the_same_in_both_groups) {
  ASSERT_TRUE(create(
      "", "v1", "events", "default",
      R"({"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","namespace":"default","name":"p"},"message":"m","reason":"r","type":"Normal"})"));
  auto other = get("events.k8s.io", "v1", "events", "default", "e");
  ASSERT_TRUE(other) << other.error().message;
  const json::Node& root = json_of(*other);
  EXPECT_EQ(root.string_at("apiVersion"), "events.k8s.io/v1");
  EXPECT_EQ(root.string_at("regarding", "name"), "p");
  EXPECT_EQ(root.string_at("note"), "m");
}

TEST_F(KindsTest, field_selectors_find_pods_by_node) {
  ASSERT_TRUE(create("", "v1", "pods", "default", pod("p", R"(,"nodeName":"n")")));
  ASSERT_TRUE(create("", "v1", "pods", "default", pod("q")));
  Action action = make(Verb::list, "", "v1", "pods", "");
  action.list.field_selector = "spec.nodeName=n";
  auto page = registry().list(action);
  ASSERT_TRUE(page);
  ASSERT_EQ(page->items.size(), 1u);
  EXPECT_EQ(page->items[0].meta().name, "p");
  action.list.field_selector = "spec.color=red";
  auto refused = registry().list(action);
  ASSERT_FALSE(refused);
  EXPECT_EQ(http_status(refused.error()), 400);
}

}  // namespace
}  // namespace estiba::apiserver
