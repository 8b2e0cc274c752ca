// Roles that a cluster has from the beginning, what they let people grant, and what nodes may.
#include "apiserver/authz.h"

#include "apiserver/bootstrap_rbac.h"
#include "apiserver/rbac_rules.h"
#include "apiserver/testing/api_fixture.h"
#include "base/strings.h"
#include "io/public_keys.h"

namespace estiba::apiserver {
namespace {

constexpr std::string_view rbac = "rbac.authorization.k8s.io";

TEST(BootstrapRbac, EveryObjectIsOneThatTheApiTakes) {
  const auto objects = bootstrap_rbac();
  EXPECT_GT(objects.size(), 120u);
  for (const BootstrapObject& object : objects) {
    auto doc = json::Document::parse(object.json);
    ASSERT_TRUE(doc);
    const bool binding = object.resource.ends_with("bindings");
    EXPECT_EQ(binding, doc->root().find("roleRef") != nullptr) << object.name;
    if (!binding)
      for (const Rule& rule : rules_in(doc->root())) {
        EXPECT_FALSE(rule.verbs.empty()) << object.name;
        EXPECT_EQ(rule.resources.empty(), !rule.paths.empty()) << object.name;
      }
  }
  // Every binding leads to a role that is there.
  for (const BootstrapObject& object : objects) {
    auto doc = json::Document::parse(object.json);
    if (!object.resource.ends_with("bindings")) continue;
    EXPECT_TRUE(std::ranges::any_of(objects, [&](const BootstrapObject& role) {
      return role.name == doc->root().string_at("roleRef", "name") && role.ns == object.ns && !role.resource.ends_with("bindings");
    })) << object.name;
  }
}

TEST(RbacRules, CoverWhatTheyAllow) {
  const std::vector<Rule> owned = {{{"get", "list"}, {""}, {"pods", "*/log"}, {}, {}},
                                   {{"*"}, {"apps"}, {"*"}, {}, {}},
                                   {{"get"}, {""}, {"secrets"}, {"a", "b"}, {}},
                                   {{"get"}, {}, {}, {}, {"/healthz/*"}}};
  const auto missing = [&](Rule wanted) { return not_covered(owned, {wanted}).size(); };
  EXPECT_EQ(missing({{"get"}, {""}, {"pods", "pods/log"}, {}, {}}), 0u);
  EXPECT_EQ(missing({{"get", "delete"}, {""}, {"pods"}, {}, {}}), 1u);
  EXPECT_EQ(missing({{"*"}, {"apps"}, {"deployments/scale"}, {"x"}, {}}), 0u);
  EXPECT_EQ(missing({{"get"}, {"*"}, {"pods"}, {}, {}}), 1u);
  EXPECT_EQ(missing({{"get"}, {""}, {"secrets"}, {"a"}, {}}), 0u);
  EXPECT_EQ(missing({{"get"}, {""}, {"secrets"}, {"a", "c"}, {}}), 1u);
  EXPECT_EQ(missing({{"get"}, {""}, {"secrets"}, {}, {}}), 1u) << "all of them is more than two";
  EXPECT_EQ(missing({{"get"}, {}, {}, {}, {"/healthz/etcd", "/metrics"}}), 1u);
}

struct AuthzTest : ApiFixture {
  void SetUp() override {
    ApiFixture::SetUp();
    ASSERT_TRUE(create("", "v1", "serviceaccounts", "default", R"({"metadata":{"name":"default"}})"));
  }
  User jane{"jane", {}, {"devs", "system:authenticated"}, {}};
  void give(std::string rules) {
    ASSERT_TRUE(create(rbac, "v1", "clusterroles", "", R"({"metadata":{"name":"given"},"rules":[)" + rules + "]}"));
    ASSERT_TRUE(
        create(rbac, "v1", "clusterrolebindings", "",
               R"({"metadata":{"name":"given"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"given"},)"
               R"("subjects":[{"kind":"User","name":"jane","apiGroup":"rbac.authorization.k8s.io"}]})"));
  }
  std::string as_jane(std::string_view resource, std::string body) {
    Action action = make(Verb::create, rbac, "v1", resource, resource.starts_with("cluster") ? "" : "default", "");
    action.user = jane;
    action.body = std::move(body);
    auto done = run(api_->run(std::move(action)));
    return done ? "" : done.error().message;
  }
};

constexpr std::string_view pods_rule = R"({"apiGroups":[""],"resources":["pods"],"verbs":["get"]})";

TEST_F(AuthzTest, NobodyGrantsWhatHeDoesNotHave) {
  give(std::string(pods_rule));
  EXPECT_EQ(as_jane("roles", R"({"metadata":{"name":"same"},"rules":[)" + std::string(pods_rule) + "]}"), "");
  EXPECT_EQ(as_jane("roles", R"({"metadata":{"name":"more"},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get","delete"]}]})"),
            "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"jane\" (groups=[\"devs\" \"system:authenticated\"]) is "
            "attempting to grant "
            "RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}");
  const auto binding = [](std::string name) {
    return R"({"metadata":{"name":"b-)" + name + R"("},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":")" +
           name + R"("}})";
  };
  EXPECT_EQ(as_jane("rolebindings", binding("given")), "");
  EXPECT_TRUE(as_jane("rolebindings", binding("cluster-admin")).contains("not currently held"));
  EXPECT_TRUE(as_jane("rolebindings", binding("nowhere")).contains("not found"));
  EXPECT_TRUE(
      as_jane("clusterroles", R"({"metadata":{"name":"all"},"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]}})")
          .contains("not currently held"));
}

TEST_F(AuthzTest, WhoMayEscalateOrBindGrantsAnything) {
  give(R"({"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles"],"verbs":["escalate"]},)"
       R"({"apiGroups":["rbac.authorization.k8s.io"],"resources":["clusterroles"],"resourceNames":["edit"],"verbs":["bind"]})");
  EXPECT_EQ(as_jane("roles", R"({"metadata":{"name":"x"},"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]})"), "");
  EXPECT_EQ(as_jane("rolebindings",
                    R"({"metadata":{"name":"e"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"edit"}})"),
            "");
  EXPECT_NE(as_jane("rolebindings",
                    R"({"metadata":{"name":"a"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"admin"}})"),
            "");
}

TEST_F(AuthzTest, ANodeReadsWhatItsPodsName) {
  ASSERT_TRUE(create("", "v1", "nodes", "", R"({"metadata":{"name":"n1"}})"));
  ASSERT_TRUE(
      create("", "v1", "pods", "default",
             R"({"metadata":{"name":"p"},"spec":{"nodeName":"n1","imagePullSecrets":[{"name":"pull"}],)"
             R"("containers":[{"name":"c","image":"i","env":[{"name":"E","valueFrom":{"secretKeyRef":{"name":"env","key":"k"}}}],)"
             R"("envFrom":[{"configMapRef":{"name":"all"}}]}],)"
             R"("volumes":[{"name":"s","secret":{"secretName":"volume"}},{"name":"c","persistentVolumeClaim":{"claimName":"claim"}},)"
             R"({"name":"p","projected":{"sources":[{"configMap":{"name":"part"}},{"secret":{"name":"piece"}}]}}]}})"));
  const User node{"system:node:n1", {}, {"system:nodes", "system:authenticated"}, {}};
  const auto may = [&](Attributes asked) { return api_->authorizer().authorize(node, asked).allowed; };
  const auto reads = [&](std::string resource, std::string name, std::string verb = "get") {
    return may({.verb = verb, .version = "v1", .resource = resource, .ns = "default", .name = name});
  };
  for (const char* name : {"pull", "env", "volume", "piece"}) EXPECT_TRUE(reads("secrets", name)) << name;
  for (const char* name : {"all", "part"}) EXPECT_TRUE(reads("configmaps", name, "watch")) << name;
  EXPECT_TRUE(reads("persistentvolumeclaims", "claim"));
  EXPECT_FALSE(reads("secrets", "other"));
  EXPECT_FALSE(reads("secrets", "all")) << "that is a ConfigMap";
  EXPECT_FALSE(reads("secrets", "", "list"));
  EXPECT_FALSE(reads("secrets", "volume", "delete"));
  EXPECT_FALSE(may({.verb = "get", .version = "v1", .resource = "secrets", .ns = "kube-system", .name = "volume"}));
  EXPECT_TRUE(may({.verb = "get", .version = "v1", .resource = "nodes", .name = "n1"}));
  EXPECT_TRUE(may({.verb = "get", .version = "v1", .resource = "nodes", .name = "n2"})) << "by the role estiba:node";
  EXPECT_TRUE(may({.verb = "watch", .version = "v1", .resource = "pods", .field_selector = "spec.nodeName=n1"}));
  EXPECT_TRUE(may({.verb = "watch", .version = "v1", .resource = "pods"})) << "network policies mean pods of all nodes";
  EXPECT_TRUE(may({.verb = "list", .version = "v1", .resource = "services"}));
  EXPECT_TRUE(may(
      {.verb = "update", .group = "coordination.k8s.io", .version = "v1", .resource = "leases", .ns = "kube-node-lease", .name = "n1"}));
  EXPECT_FALSE(may(
      {.verb = "update", .group = "coordination.k8s.io", .version = "v1", .resource = "leases", .ns = "kube-node-lease", .name = "n2"}));
  // A volume of the node's that waits for the node to let go of it.
  const auto lets_go = [&](std::string name) {
    return may({.verb = "patch", .version = "v1", .resource = "persistentvolumes", .name = name});
  };
  const auto volume = [&](std::string name, std::string holder) {
    ASSERT_TRUE(create(
        "", "v1", "persistentvolumes", "",
        R"({"metadata":{"name":")" + name + R"(","finalizers":["local-path.estiba.io/directory"]},"spec":{"capacity":{"storage":"1"},)" +
            R"("accessModes":["ReadWriteOnce"],"csi":{"driver":"local-path.estiba.io","volumeHandle":"h","volumeAttributes":{"node":")" +
            holder + R"("}}}})"));
  };
  volume("mine", "n1");
  volume("theirs", "n2");
  EXPECT_FALSE(lets_go("mine")) << "it is not being deleted";
  for (const char* name : {"mine", "theirs"}) (void)run(api_->run(make(Verb::remove, "", "v1", "persistentvolumes", "", name)));
  EXPECT_TRUE(lets_go("mine"));
  EXPECT_FALSE(lets_go("theirs"));
  EXPECT_FALSE(lets_go("nothing"));
  const auto certificates = [&](std::string verb, std::string name, std::string selector = {}, std::string subresource = {}) {
    return may({.verb = verb,
                .group = "certificates.k8s.io",
                .version = "v1beta1",
                .resource = "podcertificaterequests",
                .subresource = subresource,
                .ns = "default",
                .name = name,
                .field_selector = selector});
  };
  const std::string key = base64_encode(io::make_stub_request("ED25519")->der);
  for (const char* holder : {"n1", "n2"})
    ASSERT_TRUE(create("certificates.k8s.io", "v1beta1", "podcertificaterequests", "default",
                       R"({"metadata":{"name":"of-)" + std::string(holder) +
                           R"("},"spec":{"signerName":"example.com/s","podName":"p","podUID":"1",)"
                           R"("serviceAccountName":"a","serviceAccountUID":"2","nodeName":")" +
                           holder + R"(","nodeUID":"3","stubPKCS10Request":")" + key + R"("}})"));
  EXPECT_TRUE(certificates("create", "") && certificates("get", "of-n1") && certificates("watch", "", "spec.nodeName=n1"));
  EXPECT_FALSE(certificates("get", "of-n2") || certificates("list", "") || certificates("watch", "", "spec.nodeName=n2") ||
               certificates("delete", "of-n1") || certificates("update", "of-n1", "", "status"));
  const User other{"system:node:n2", {}, {"system:nodes"}, {}};
  EXPECT_FALSE(
      api_->authorizer().authorize(other, {.verb = "get", .version = "v1", .resource = "secrets", .ns = "default", .name = "env"}).allowed);
}

TEST_F(AuthzTest, ANodeReadsTheCertificatesThatItServes) {
  const User node{"system:node:n1", {}, {"system:nodes", "system:authenticated"}, {}};
  const auto reads = [&](std::string ns, std::string name, std::string verb = "get") {
    return api_->authorizer().authorize(node, {.verb = verb, .version = "v1", .resource = "secrets", .ns = ns, .name = name}).allowed;
  };
  constexpr std::string_view networking = "networking.k8s.io", gateways = "gateway.networking.k8s.io";
  const auto ingress = [&](std::string name, std::string class_name) {
    ASSERT_TRUE(create(networking, "v1", "ingresses", "default",
                       R"({"metadata":{"name":")" + name + R"("},"spec":{"ingressClassName":")" + class_name +
                           R"(","tls":[{"hosts":["a.example"],"secretName":"tls-)" + name +
                           R"("}],"defaultBackend":{"service":{"name":"s","port":{"number":80}}}}})"));
  };
  ingress("ours", "estiba");
  EXPECT_FALSE(reads("default", "tls-ours")) << "the cluster does not say that nodes serve Ingresses";
  const auto say = [&](std::string yes) {
    auto said = create("", "v1", "configmaps", "kube-system",
                       R"({"metadata":{"name":"estiba-cluster"},"data":{"ingressOnAgents":")" + yes + "\"}}");
    ASSERT_TRUE(said) << said.error().message;
  };
  say("false");
  EXPECT_FALSE(reads("default", "tls-ours"));
  ASSERT_TRUE(remove("", "v1", "configmaps", "kube-system", "estiba-cluster"));
  say("true");
  ASSERT_TRUE(
      create(networking, "v1", "ingressclasses", "", R"({"metadata":{"name":"nginx"},"spec":{"controller":"k8s.io/ingress-nginx"}})"));
  ingress("theirs", "nginx");
  ingress("nobodys", "nothing");
  for (const char* verb : {"get", "list", "watch"}) EXPECT_TRUE(reads("default", "tls-ours", verb)) << verb;
  EXPECT_FALSE(reads("default", "tls-ours", "delete"));
  EXPECT_FALSE(reads("kube-system", "tls-ours"));
  EXPECT_FALSE(reads("default", "", "list"));
  EXPECT_FALSE(reads("default", "other"));
  EXPECT_FALSE(reads("default", "tls-theirs"));
  EXPECT_FALSE(reads("default", "tls-nobodys"));

  ASSERT_TRUE(create("", "v1", "namespaces", "", R"({"metadata":{"name":"infra"}})"));
  for (const char* name : {"estiba", "other"})
    (void)create(gateways, "v1", "gatewayclasses", "",
                 R"({"apiVersion":"gateway.networking.k8s.io/v1","kind":"GatewayClass","metadata":{"name":")" + std::string(name) +
                     R"("},"spec":{"controllerName":"estiba.dev/)" + (name == std::string_view("estiba") ? "gateway" : "other") + "\"}}");
  const auto gateway = [&](std::string name, std::string class_name, std::string refs) {
    auto made = create(gateways, "v1", "gateways", "default",
                       R"({"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","metadata":{"name":")" + name +
                           R"("},"spec":{"gatewayClassName":")" + class_name +
                           R"(","listeners":[{"name":"https","protocol":"HTTPS","port":443,"tls":{"certificateRefs":[)" + refs + "]}}]}}");
    ASSERT_TRUE(made) << made.error().message;
  };
  gateway("gw", "estiba", R"({"name":"here"},{"name":"there","namespace":"infra"})");
  gateway("foreign", "other", R"({"name":"foreign"})");
  EXPECT_TRUE(reads("default", "here"));
  EXPECT_FALSE(reads("default", "foreign"));
  EXPECT_FALSE(reads("infra", "here"));
  EXPECT_FALSE(reads("infra", "there")) << "without a grant";
  const auto granted = create(
      gateways, "v1", "referencegrants", "infra",
      R"({"apiVersion":"gateway.networking.k8s.io/v1","kind":"ReferenceGrant","metadata":{"name":"g"},"spec":{"from":[{"group":"gateway.networking.k8s.io","kind":"Gateway","namespace":"default"}],"to":[{"group":"","kind":"Secret","name":"there"}]}})");
  ASSERT_TRUE(granted) << granted.error().message;
  EXPECT_TRUE(reads("infra", "there"));
  EXPECT_FALSE(reads("infra", "elsewhere"));
  const User nobody{"jane", {}, {"system:authenticated"}, {}};
  EXPECT_FALSE(api_->authorizer()
                   .authorize(nobody, {.verb = "get", .version = "v1", .resource = "secrets", .ns = "default", .name = "here"})
                   .allowed);
}

}  // namespace
}  // namespace estiba::apiserver
