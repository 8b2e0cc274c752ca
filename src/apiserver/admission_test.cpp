// What the admission plugins do, driven through the registry.
#include <gtest/gtest.h>

#include "apiserver/api_errors.h"
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

class AdmissionTest : public ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    ASSERT_TRUE(create("", "v1", "serviceaccounts", "default", R"({"metadata":{"name":"default"}})"));
  }
  static std::string pod(const std::string& name, const std::string& container = {}, const std::string& spec = {}) {
    return R"({"metadata":{"name":")" + name + R"("},"spec":{"containers":[{"name":"c","image":"busybox:1")" + container + "}]" + spec +
           "}}";
  }
  static std::string resources(const std::string& requests, const std::string& limits) {
    return R"(,"resources":{"requests":{)" + requests + R"(},"limits":{)" + limits + "}}";
  }
  std::string refusal(const std::string& body, std::string_view resource = "pods") {
    auto made = create("", "v1", resource, "default", body);
    return made ? "" : made.error().message;
  }
  void range(const std::string& limits) {
    auto made = create("", "v1", "limitranges", "default", R"({"metadata":{"name":"r"},"spec":{"limits":[)" + limits + "]}}");
    ASSERT_TRUE(made) << made.error().message;
  }
  // A quota as its controller leaves it: with limits and usage in its status.
  void quota(const std::string& name, const std::string& hard, const std::string& used, const std::string& more = {}) {
    const std::string body = R"({"metadata":{"name":")" + name + R"("},"spec":{"hard":{)" + hard + "}" + more + "}}";
    auto made = create("", "v1", "resourcequotas", "default", body);
    ASSERT_TRUE(made) << made.error().message;
    auto known = patch("", "v1", "resourcequotas", "default", name, BodyType::merge_patch,
                       R"({"status":{"hard":{)" + hard + R"(},"used":{)" + used + "}}}", "status");
    ASSERT_TRUE(known) << known.error().message;
  }
  std::string used(const std::string& name) {
    return json::print(*json_of(*get("", "v1", "resourcequotas", "default", name)).at("status", "used"));
  }
  void label_namespace(const std::string& labels) {
    auto done = patch("", "v1", "namespaces", {}, "default", BodyType::merge_patch, R"({"metadata":{"labels":{)" + labels + "}}}");
    ASSERT_TRUE(done) << done.error().message;
  }
};

// LimitRanger

TEST_F(AdmissionTest, containers_get_the_defaults_of_limit_ranges) {
  range(R"({"type":"Container","default":{"cpu":"500m","memory":"512Mi"},"defaultRequest":{"cpu":"100m"}})");
  auto made = create("", "v1", "pods", "default", pod("p", resources(R"("memory":"64Mi")", R"("memory":"128Mi")")));
  ASSERT_TRUE(made) << made.error().message;
  const json::Node& root = json_of(made->object);
  const json::Node& own = *(*root.at("spec", "containers"))[0].find("resources");
  EXPECT_EQ(own.string_at("limits", "cpu"), "500m");
  EXPECT_EQ(own.string_at("limits", "memory"), "128Mi");
  EXPECT_EQ(own.string_at("requests", "cpu"), "100m");
  EXPECT_EQ(own.string_at("requests", "memory"), "64Mi");
  EXPECT_EQ(root.string_at("metadata", "annotations", "kubernetes.io/limit-ranger"),
            "LimitRanger plugin set: cpu request for container c; cpu limit for container c");
  EXPECT_EQ(root.string_at("status", "qosClass"), "Burstable");
}

TEST_F(AdmissionTest, limits_of_containers_pods_and_claims_are_kept) {
  range(R"({"type":"Container","max":{"cpu":"1"},"min":{"memory":"32Mi"}},{"type":"Container","maxLimitRequestRatio":{"cpu":"2"}})"
        R"(,{"type":"PersistentVolumeClaim","max":{"storage":"2Gi"},"min":{"storage":"1Gi"}})");
  EXPECT_EQ(refusal(pod("x", resources(R"("cpu":"1","memory":"64Mi")", R"("cpu":"2","memory":"64Mi")"))),
            "pods \"x\" is forbidden: maximum cpu usage per Container is 1, but limit is 2");
  EXPECT_EQ(refusal(pod("x", resources(R"("cpu":"800m","memory":"16Mi")", R"("cpu":"800m","memory":"64Mi")"))),
            "pods \"x\" is forbidden: minimum memory usage per Container is 32Mi, but request is 16Mi");
  EXPECT_EQ(refusal(pod("x", resources(R"("cpu":"250m","memory":"64Mi")", R"("cpu":"1","memory":"64Mi")"))),
            "pods \"x\" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000");
  auto claim = [](const std::string& size) {
    return R"({"metadata":{"name":"d"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":")" + size + R"("}}}})";
  };
  EXPECT_EQ(refusal(claim("3Gi"), "persistentvolumeclaims"),
            "persistentvolumeclaims \"d\" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi");
  EXPECT_EQ(refusal(claim("2Gi"), "persistentvolumeclaims"), "");
}

TEST_F(AdmissionTest, a_pods_limits_are_those_of_its_containers_together) {
  range(R"({"type":"Pod","max":{"memory":"1Gi"}})");
  const std::string half = resources(R"("memory":"600Mi")", R"("memory":"600Mi")");
  EXPECT_EQ(refusal(pod("one", half)), "");
  const std::string two = R"({"metadata":{"name":"two"},"spec":{"containers":[{"name":"a","image":"i:1")" + half +
                          R"(},{"name":"b","image":"i:1")" + half + "}]}}";
  EXPECT_EQ(refusal(two), "pods \"two\" is forbidden: maximum memory usage per Pod is 1Gi, but limit is 1200Mi");
  EXPECT_EQ(refusal(pod("none")), "pods \"none\" is forbidden: maximum memory usage per Pod is 1Gi.  No limit is specified");
}

TEST_F(AdmissionTest, the_defaults_of_limit_ranges_follow_from_their_bounds) {
  range(R"({"type":"Container","max":{"cpu":"1"},"min":{"cpu":"100m"}})");
  const json::Node& item = (*json_of(*get("", "v1", "limitranges", "default", "r")).at("spec", "limits"))[0];
  EXPECT_EQ(item.string_at("default", "cpu"), "1");
  EXPECT_EQ(item.string_at("defaultRequest", "cpu"), "1");
  auto wrong = [&](const std::string& limit) {
    return refusal(R"({"metadata":{"name":"w"},"spec":{"limits":[)" + limit + "]}}", "limitranges");
  };
  EXPECT_EQ(wrong(R"({"type":"Pod","min":{"cpu":"2"},"max":{"cpu":"1"}})"),
            "LimitRange \"w\" is invalid: spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1");
  EXPECT_EQ(wrong(R"({"type":"Pod","default":{"cpu":"1"}})"),
            "LimitRange \"w\" is invalid: spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'");
}

// PersistentVolumeClaimResize

TEST_F(AdmissionTest, claims_grow_only_where_their_class_lets_them) {
  for (const char* name : {"fixed", "elastic"})
    ASSERT_TRUE(create("storage.k8s.io", "v1", "storageclasses", "",
                       std::string(R"({"provisioner":"p","metadata":{"name":")") + name + R"("},"allowVolumeExpansion":)" +
                           (name[0] == 'e' ? "true}" : "false}")));
  const auto claim = [&](const std::string& name, const std::string& of) {
    return create("", "v1", "persistentvolumeclaims", "default",
                  R"({"metadata":{"name":")" + name + R"("},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":")" + of +
                      R"(","resources":{"requests":{"storage":"1Gi"}}}})");
  };
  const auto grow = [&](const std::string& name, const std::string& size) {
    auto done = patch("", "v1", "persistentvolumeclaims", "default", name, BodyType::merge_patch,
                      R"({"spec":{"resources":{"requests":{"storage":")" + size + R"("}}}})");
    return done ? "" : done.error().message;
  };
  const auto bind = [&](const std::string& name) {
    ASSERT_TRUE(
        patch("", "v1", "persistentvolumeclaims", "default", name, BodyType::merge_patch, R"({"status":{"phase":"Bound"}})", "status"));
  };
  ASSERT_TRUE(claim("a", "elastic"));
  EXPECT_TRUE(grow("a", "2Gi").contains("bound claims")) << "which validation says before";
  bind("a");
  EXPECT_EQ(grow("a", "2Gi"), "");
  ASSERT_TRUE(claim("b", "fixed"));
  bind("b");
  EXPECT_EQ(
      grow("b", "2Gi"),
      "persistentvolumeclaims \"b\" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions "
      "the pvc must support resize");
}

// PodResizeValidator

TEST_F(AdmissionTest, pods_are_resized_within_what_their_node_has) {
  ASSERT_TRUE(create("", "v1", "nodes", {}, R"({"metadata":{"name":"n"},"status":{"allocatable":{"cpu":"2","memory":"1Gi"}}})"));
  ASSERT_TRUE(create("", "v1", "pods", "default", pod("p", resources(R"("cpu":"100m")", R"("memory":"64Mi")"), R"(,"nodeName":"n")")));
  const auto resize = [&](const std::string& requests) {
    return patch("", "v1", "pods", "default", "p", BodyType::strategic_patch,
                 R"({"spec":{"containers":[{"name":"c","resources":{"requests":{)" + requests + "}}}]}}", "resize");
  };
  EXPECT_TRUE(resize(R"("cpu":"2")"));
  const auto refused = resize(R"("cpu":"2500m")");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "pods \"p\" is forbidden: node didn't have enough allocatable resources: cpu, requested: 2500, allocatable: 2000");
  ASSERT_TRUE(refused.error().details);
  ASSERT_EQ(refused.error().details->causes.size(), 1u);
  EXPECT_EQ(refused.error().details->causes[0].reason, "NodeCapacity");
}

// NodeDeclaredFeatureValidator

TEST_F(AdmissionTest, pods_change_only_as_their_node_declares_to_know) {
  const auto declare = [&](const std::string& features) {
    ASSERT_TRUE(
        patch("", "v1", "nodes", {}, "n", BodyType::merge_patch, R"({"status":{"declaredFeatures":[)" + features + "]}}", "status"));
  };
  ASSERT_TRUE(create("", "v1", "nodes", {}, R"({"metadata":{"name":"n"},"status":{"allocatable":{"cpu":"2","memory":"1Gi"}}})"));
  ASSERT_TRUE(create("", "v1", "pods", "default",
                     R"({"metadata":{"name":"p"},"spec":{"nodeName":"n","resources":{"requests":{"cpu":"200m"}},)"
                     R"("initContainers":[{"name":"i","image":"i","resources":{"requests":{"cpu":"100m"}}}],)"
                     R"("containers":[{"name":"c","image":"c"}]}})"));
  const auto resize = [&](const std::string& spec) -> std::string {
    const auto done = patch("", "v1", "pods", "default", "p", BodyType::strategic_patch, R"({"spec":{)" + spec + "}}", "resize");
    return done ? "" : done.error().message;
  };
  const std::string whole = R"("resources":{"requests":{"cpu":"$"}})",
                    first = R"("initContainers":[{"name":"i","resources":{"requests":{"cpu":"150m"}}}])";
  const auto of = [](std::string text, const std::string& cpu) { return text.replace(text.find('$'), 1, cpu); };
  EXPECT_EQ(resize(of(whole, "300m") + "," + first),
            "pods \"p\" is forbidden: pod update requires features InPlacePodLevelResourcesVerticalScaling, "
            "InPlacePodVerticalScalingInitContainers which are not available on node \"n\"");
  declare(R"("InPlacePodLevelResourcesVerticalScaling")");
  EXPECT_EQ(resize(of(whole, "300m")), "");
  EXPECT_EQ(resize(first),
            "pods \"p\" is forbidden: pod update requires features InPlacePodVerticalScalingInitContainers which are not available on node "
            "\"n\"");
  declare(R"("InPlacePodLevelResourcesVerticalScaling","InPlacePodVerticalScalingInitContainers")");
  EXPECT_EQ(resize(first), "");
}

// ResourceQuota

TEST_F(AdmissionTest, writes_are_charged_until_a_quota_is_exceeded) {
  quota("q", R"("pods":"2","requests.cpu":"1","count/deployments.apps":"1")",
        R"("pods":"0","requests.cpu":"0","count/deployments.apps":"0")");
  const std::string cpu = resources(R"("cpu":"400m")", R"("cpu":"1")");
  EXPECT_EQ(refusal(pod("a", cpu)), "");
  EXPECT_EQ(refusal(pod("a", cpu)), "pods \"a\" already exists") << "which costs nothing";
  EXPECT_EQ(used("q"), R"({"count/deployments.apps":"0","pods":"1","requests.cpu":"400m"})");
  EXPECT_EQ(refusal(pod("big", resources(R"("cpu":"700m")", R"("cpu":"1")"))),
            "pods \"big\" is forbidden: exceeded quota: q, requested: requests.cpu=700m, used: requests.cpu=400m, limited: requests.cpu=1");
  EXPECT_EQ(refusal(pod("none")), "pods \"none\" is forbidden: failed quota: q: must specify requests.cpu for: c");
  EXPECT_EQ(refusal(pod("b", cpu)), "");
  EXPECT_EQ(refusal(pod("c", resources(R"("cpu":"1m")", R"("cpu":"1m")"))),
            "pods \"c\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2");
  ASSERT_TRUE(create("apps", "v1", "deployments", "default", deployment("web")));
  auto second = create("apps", "v1", "deployments", "default", deployment("web2"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::forbidden);
  EXPECT_EQ(
      second.error().message,
      "deployments.apps \"web2\" is forbidden: exceeded quota: q, requested: count/deployments.apps=1, used: count/deployments.apps=1, "
      "limited: count/deployments.apps=1");
}

TEST_F(AdmissionTest, a_dry_run_is_checked_and_not_charged) {
  quota("q", R"("configmaps":"1")", R"("configmaps":"0")");
  Action action = make(Verb::create, "", "v1", "configmaps", "default");
  action.body = R"({"metadata":{"name":"a"}})";
  action.write.dry_run = true;
  ASSERT_TRUE(run(api_->run(action)));
  EXPECT_EQ(used("q"), R"({"configmaps":"0"})");
  EXPECT_EQ(refusal(R"({"metadata":{"name":"b"}})", "configmaps"), "");
  auto refused = run(api_->run(action));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "configmaps \"a\" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: configmaps=1");
}

TEST_F(AdmissionTest, quotas_see_what_their_scopes_say) {
  quota("best-effort", R"("pods":"1")", R"("pods":"0")", R"(,"scopes":["BestEffort"])");
  quota("high", R"("pods":"5")", R"("pods":"0")",
        R"(,"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"In","values":["high"]}]})");
  ASSERT_TRUE(create("scheduling.k8s.io", "v1", "priorityclasses", {}, R"({"metadata":{"name":"high"},"value":1000})"));
  EXPECT_EQ(refusal(pod("a")), "");
  EXPECT_EQ(refusal(pod("b", resources(R"("cpu":"1m")", R"("cpu":"1m")"))), "");
  EXPECT_EQ(refusal(pod("c", resources(R"("cpu":"1m")", R"("cpu":"1m")"), R"(,"priorityClassName":"high")")), "");
  EXPECT_EQ(used("best-effort"), R"({"pods":"1"})");
  EXPECT_EQ(used("high"), R"({"pods":"1"})");
  EXPECT_EQ(refusal(pod("d")), "pods \"d\" is forbidden: exceeded quota: best-effort, requested: pods=1, used: pods=1, limited: pods=1");
}

TEST_F(AdmissionTest, claims_are_charged_by_their_attributes_classes) {
  const auto of = [&](const std::string& name) {
    quota(name, R"("persistentvolumeclaims":"1")", R"("persistentvolumeclaims":"0")",
          R"(,"scopeSelector":{"matchExpressions":[{"scopeName":"VolumeAttributesClass","operator":"In","values":[")" + name + R"("]}]})");
  };
  of("gold"), of("silver");
  const auto claim = [](const std::string& name, const std::string& of_class) {
    return R"({"metadata":{"name":")" + name + R"("},"spec":{"accessModes":["ReadWriteOnce"],"volumeAttributesClassName":")" + of_class +
           R"(","resources":{"requests":{"storage":"1Gi"}}}})";
  };
  EXPECT_EQ(refusal(claim("a", "silver"), "persistentvolumeclaims"), "");
  EXPECT_EQ(used("silver"), R"({"persistentvolumeclaims":"1"})");
  EXPECT_TRUE(refusal(claim("b", "silver"), "persistentvolumeclaims").contains("exceeded quota: silver"));
  EXPECT_EQ(used("gold"), R"({"persistentvolumeclaims":"0"})");
  // It is what it has as well.
  ASSERT_TRUE(patch("", "v1", "persistentvolumeclaims", "default", "a", BodyType::merge_patch,
                    R"({"status":{"phase":"Bound","currentVolumeAttributesClassName":"gold"}})", "status"));
  EXPECT_EQ(used("gold"), R"({"persistentvolumeclaims":"1"})");
  EXPECT_TRUE(refusal(claim("b", "gold"), "persistentvolumeclaims").contains("exceeded quota: gold"));
}

TEST_F(AdmissionTest, attributes_classes_are_kept_while_they_are_named) {
  auto made = create("storage.k8s.io", "v1", "volumeattributesclasses", {},
                     R"({"metadata":{"name":"gold"},"driverName":"d.io","parameters":{"iops":"1"}})");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(json::print(*json_of(made->object).at("metadata", "finalizers")), R"(["kubernetes.io/vac-protection"])");
}

TEST_F(AdmissionTest, a_service_that_takes_more_is_charged_the_difference) {
  quota("q", R"("services":"2","services.nodeports":"1")", R"("services":"0","services.nodeports":"0")");
  ASSERT_EQ(refusal(R"({"metadata":{"name":"s"},"spec":{"selector":{"a":"b"},"ports":[{"name":"a","port":80},{"name":"b","port":81}]}})",
                    "services"),
            "");
  auto changed = patch("", "v1", "services", "default", "s", BodyType::merge_patch, R"({"spec":{"type":"NodePort"}})");
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().message,
            "services \"s\" is forbidden: exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, limited: "
            "services.nodeports=1");
  EXPECT_EQ(used("q"), R"({"services":"1","services.nodeports":"0"})");
}

TEST_F(AdmissionTest, quotas_name_what_is_counted_and_fit_their_scopes) {
  auto wrong = [&](const std::string& spec) { return refusal(R"({"metadata":{"name":"w"},"spec":)" + spec + "}", "resourcequotas"); };
  EXPECT_EQ(wrong(R"({"hard":{"poods":"1"}})"),
            "ResourceQuota \"w\" is invalid: spec.hard[poods]: Invalid value: \"poods\": must be a standard resource for quotas");
  EXPECT_EQ(wrong(R"({"hard":{"pods":"1500m"}})"),
            "ResourceQuota \"w\" is invalid: spec.hard[pods]: Invalid value: \"1500m\": must be an integer");
  EXPECT_EQ(wrong(R"({"hard":{"cpu":"-1"}})"),
            "ResourceQuota \"w\" is invalid: spec.hard[cpu]: Invalid value: \"-1\": must be greater than or equal to 0");
  EXPECT_EQ(wrong(R"({"hard":{"cpu":"1"},"scopes":["BestEffort"]})"),
            "ResourceQuota \"w\" is invalid: spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource");
  EXPECT_EQ(wrong(R"({"hard":{"pods":"1"},"scopes":["BestEffort","NotBestEffort"]})"),
            "ResourceQuota \"w\" is invalid: spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes");
  EXPECT_EQ(wrong(R"({"hard":{"pods":"1"},"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"In"}]}})"),
            "ResourceQuota \"w\" is invalid: spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when "
            "`operator` is 'In' or 'NotIn' for scope selector");
  quota("q", R"("pods":"1","requests.example.com/gpu":"2","count/widgets.example.com":"3")", "");
  auto changed = patch("", "v1", "resourcequotas", "default", "q", BodyType::merge_patch, R"({"spec":{"scopes":["Terminating"]}})");
  ASSERT_FALSE(changed);
  EXPECT_NE(changed.error().message.find("field is immutable"), std::string::npos) << changed.error().message;
}

// PodSecurity

TEST_F(AdmissionTest, restricted_namespaces_take_restricted_pods) {
  label_namespace(R"("pod-security.kubernetes.io/enforce":"restricted")");
  EXPECT_EQ(
      refusal(pod("p")),
      "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must set "
      "securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set "
      "securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set "
      "securityContext.runAsNonRoot=true), "
      "seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")");
  EXPECT_EQ(refusal(pod(
                "p", R"(,"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"],"add":["NET_BIND_SERVICE"]}})",
                R"(,"securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}})")),
            "");
  auto workload = create("apps", "v1", "deployments", "default", deployment("web"));
  ASSERT_TRUE(workload);
  ASSERT_EQ(workload->warnings.size(), 1u);
  EXPECT_TRUE(workload->warnings[0].starts_with("would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false"));
}

TEST_F(AdmissionTest, baseline_refuses_what_reaches_the_host) {
  label_namespace(R"("pod-security.kubernetes.io/enforce":"baseline","pod-security.kubernetes.io/enforce-version":"v1.33")");
  EXPECT_EQ(refusal(pod("p")), "");
  EXPECT_EQ(
      refusal(
          pod("q",
              R"(,"securityContext":{"privileged":true,"capabilities":{"add":["SYS_ADMIN"]}},"ports":[{"containerPort":80,"hostPort":80}])",
              R"(,"hostPID":true,"volumes":[{"name":"h","hostPath":{"path":"/"}}])")),
      "pods \"q\" is forbidden: violates PodSecurity \"baseline:v1.33\": non-default capabilities (container \"c\" must not include "
      "\"SYS_ADMIN\" in securityContext.capabilities.add), host namespaces (hostPID=true), hostPath volumes (volume \"h\"), hostPort "
      "(container \"c\" uses hostPort 80), privileged (container \"c\" must not set securityContext.privileged=true)");
}

TEST_F(AdmissionTest, a_namespaces_new_level_is_checked_against_its_pods) {
  ASSERT_EQ(refusal(pod("a", "", R"(,"hostNetwork":true)")), "");
  ASSERT_EQ(refusal(pod("b", "", R"(,"hostNetwork":true)")), "");
  auto labelled = patch("", "v1", "namespaces", {}, "default", BodyType::merge_patch,
                        R"({"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"baseline"}}})");
  ASSERT_TRUE(labelled);
  EXPECT_EQ(labelled->warnings, (std::vector<std::string>{
                                    "existing pods in namespace \"default\" violate the new PodSecurity enforce level \"baseline:latest\"",
                                    "a (and 1 other pod): host namespaces"}));
  auto wrong = patch("", "v1", "namespaces", {}, "default", BodyType::merge_patch,
                     R"({"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"tight"}}})");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::invalid);
  EXPECT_NE(wrong.error().message.find("must be one of privileged, baseline, restricted"), std::string::npos) << wrong.error().message;
}

// Priority, RuntimeClass, DefaultStorageClass, TaintNodesByCondition, NodeRestriction, NamespaceLifecycle

TEST_F(AdmissionTest, priorities_come_from_classes_alone) {
  ASSERT_TRUE(create("scheduling.k8s.io", "v1", "priorityclasses", {},
                     R"({"metadata":{"name":"usual"},"value":7,"globalDefault":true,"preemptionPolicy":"Never"})"));
  auto made = create("", "v1", "pods", "default", pod("p"));
  ASSERT_TRUE(made) << made.error().message;
  const json::Node& spec = *json_of(made->object).find("spec");
  EXPECT_EQ(spec.at("priority")->as_int(), 7);
  EXPECT_EQ(spec.string_at("priorityClassName"), "usual");
  EXPECT_EQ(spec.string_at("preemptionPolicy"), "Never");
  EXPECT_EQ(refusal(pod("q", "", R"(,"priority":8)")),
            "pods \"q\" is forbidden: the integer value of priority (8) must not be provided in pod spec; priority admission controller "
            "computed 7 from the given PriorityClass name");
  auto second = create("scheduling.k8s.io", "v1", "priorityclasses", {}, R"({"metadata":{"name":"other"},"value":9,"globalDefault":true})");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message,
            "priorityclasses.scheduling.k8s.io \"other\" is forbidden: PriorityClass usual is already marked as default. Only one default "
            "can exist");
}

TEST_F(AdmissionTest, priority_classes_keep_their_value) {
  auto make_class = [&](const std::string& name, const std::string& value) {
    auto made =
        create("scheduling.k8s.io", "v1", "priorityclasses", {}, R"({"metadata":{"name":")" + name + R"("},"value":)" + value + "}");
    return made ? "" : made.error().message;
  };
  EXPECT_EQ(make_class("high", "1000000001"),
            "PriorityClass.scheduling.k8s.io \"high\" is invalid: value: Forbidden: maximum allowed value of a user defined priority is "
            "1000000000");
  EXPECT_EQ(make_class("system-mine", "1"),
            "PriorityClass.scheduling.k8s.io \"system-mine\" is invalid: metadata.name: Forbidden: priority class names with 'system-' "
            "prefix are "
            "reserved for system use only. error: system-mine is not a known system priority class");
  EXPECT_EQ(make_class("high", "1000"), "");
  auto changed = patch("scheduling.k8s.io", "v1", "priorityclasses", {}, "high", BodyType::merge_patch, R"({"value":1001})");
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().message,
            "PriorityClass.scheduling.k8s.io \"high\" is invalid: value: Forbidden: may not be changed in an update.");
  EXPECT_TRUE(get("scheduling.k8s.io", "v1", "priorityclasses", {}, "system-node-critical"));
}

TEST_F(AdmissionTest, ingresses_get_the_default_class) {
  ASSERT_TRUE(create(
      "networking.k8s.io", "v1", "ingressclasses", {},
      R"({"metadata":{"name":"edge","annotations":{"ingressclass.kubernetes.io/is-default-class":"true"}},"spec":{"controller":"x.io/y"}})"));
  const std::string backend = R"("defaultBackend":{"service":{"name":"s","port":{"number":80}}})";
  auto made = create("networking.k8s.io", "v1", "ingresses", "default", R"({"metadata":{"name":"i"},"spec":{)" + backend + "}}");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(json_of(made->object).string_at("spec", "ingressClassName"), "edge");
  auto own = create("networking.k8s.io", "v1", "ingresses", "default",
                    R"({"metadata":{"name":"o"},"spec":{"ingressClassName":"own",)" + backend + "}}");
  ASSERT_TRUE(own) << own.error().message;
  EXPECT_EQ(json_of(own->object).string_at("spec", "ingressClassName"), "own");
}

TEST_F(AdmissionTest, runtime_classes_bring_overhead_and_scheduling) {
  ASSERT_TRUE(create("node.k8s.io", "v1", "runtimeclasses", {},
                     R"({"metadata":{"name":"vm"},"handler":"vm","overhead":{"podFixed":{"memory":"64Mi"}},)"
                     R"("scheduling":{"nodeSelector":{"vm":"yes"},"tolerations":[{"key":"vm","operator":"Exists"}]}})"));
  auto made = create("", "v1", "pods", "default", pod("p", "", R"(,"runtimeClassName":"vm")"));
  ASSERT_TRUE(made) << made.error().message;
  const json::Node& spec = *json_of(made->object).find("spec");
  EXPECT_EQ(spec.string_at("overhead", "memory"), "64Mi");
  EXPECT_EQ(spec.string_at("nodeSelector", "vm"), "yes");
  EXPECT_EQ(spec.find("tolerations")->size(), 3u);
  EXPECT_EQ(refusal(pod("q", "", R"(,"runtimeClassName":"none")")),
            "pods \"q\" is forbidden: pod rejected: RuntimeClass \"none\" not found");
  EXPECT_EQ(refusal(pod("q", "", R"(,"overhead":{"memory":"1Mi"})")),
            "pods \"q\" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
  EXPECT_EQ(refusal(pod("q", "", R"(,"runtimeClassName":"vm","nodeSelector":{"vm":"no"})")),
            "pods \"q\" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no");
}

TEST_F(AdmissionTest, default_tolerations_come_back_when_the_list_is_replaced) {
  auto made = create("", "v1", "pods", "default", pod("p", ""));
  ASSERT_TRUE(made) << made.error().message;
  json::Document changed;
  changed.set_root(changed.copy(json_of(made->object)));
  json::Node& tolerations = *changed.root().find("spec")->find("tolerations");
  changed.clear(tolerations);
  changed.append(tolerations, changed.copy(json::Document::parse(R"({"key":"a","operator":"Exists"})")->root()));
  auto updated = update("", "v1", "pods", "default", "p", json::print(changed.root()));
  ASSERT_TRUE(updated) << updated.error().message;
  EXPECT_EQ(json_of(updated->object).at("spec", "tolerations")->size(), 3u);
}

TEST_F(AdmissionTest, claims_get_the_default_class) {
  ASSERT_TRUE(
      create("storage.k8s.io", "v1", "storageclasses", {},
             R"({"metadata":{"name":"fast","annotations":{"storageclass.kubernetes.io/is-default-class":"true"}},"provisioner":"x"})"));
  auto claim = [](const std::string& name, const std::string& more) {
    return R"({"metadata":{"name":")" + name + R"("},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}})" +
           more + "}}";
  };
  auto made = create("", "v1", "persistentvolumeclaims", "default", claim("a", ""));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(json_of(made->object).string_at("spec", "storageClassName"), "fast");
  auto none = create("", "v1", "persistentvolumeclaims", "default", claim("b", R"(,"storageClassName":"")"));
  ASSERT_TRUE(none);
  EXPECT_EQ(json_of(none->object).string_at("spec", "storageClassName"), "");
}

TEST_F(AdmissionTest, a_node_writes_what_is_its_own) {
  auto as_node = [&](Verb verb, std::string_view group, std::string_view resource, std::string ns, std::string name, std::string body,
                     std::string subresource = {}) {
    Action action = make(verb, group, "v1", resource, std::move(ns), std::move(name));
    if (verb == Verb::patch) action.body_type = BodyType::merge_patch;
    action.body = std::move(body);
    action.subresource = std::move(subresource);
    action.user = {"system:node:n1", {}, {"system:nodes"}, {}};
    auto outcome = run(api_->run(std::move(action)));
    return outcome ? std::string() : outcome.error().message;
  };
  EXPECT_EQ(as_node(Verb::create, "", "nodes", {}, {}, R"({"metadata":{"name":"n2"}})"),
            "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"");
  EXPECT_EQ(as_node(Verb::create, "", "nodes", {}, {}, R"({"metadata":{"name":"n1","labels":{"node-role.kubernetes.io/admin":""}}})"),
            "nodes \"n1\" is forbidden: node \"n1\" is not allowed to set the following labels: node-role.kubernetes.io/admin");
  EXPECT_EQ(as_node(Verb::create, "", "nodes", {}, {}, R"({"metadata":{"name":"n1","labels":{"kubernetes.io/hostname":"n1","mine":"x"}}})"),
            "");
  const std::string taints = json::print(*json_of(*get("", "v1", "nodes", {}, "n1")).at("spec", "taints"));
  EXPECT_EQ(taints, R"([{"key":"node.kubernetes.io/not-ready","effect":"NoSchedule"}])");
  EXPECT_EQ(as_node(Verb::patch, "", "nodes", {}, "n1", R"({"spec":{"taints":null}})"),
            "nodes \"n1\" is forbidden: node \"n1\" is not allowed to modify taints");
  ASSERT_EQ(refusal(pod("mine", "", R"(,"nodeName":"n1")")), "");
  ASSERT_EQ(refusal(pod("other", "", R"(,"nodeName":"n2")")), "");
  const std::string status = R"({"status":{"phase":"Running"}})";
  EXPECT_EQ(as_node(Verb::patch, "", "pods", "default", "mine", status, "status"), "");
  EXPECT_EQ(as_node(Verb::patch, "", "pods", "default", "other", status, "status"),
            "pods \"other\" is forbidden: node \"n1\" can only update pod status for pods with spec.nodeName set to itself");
  EXPECT_EQ(as_node(Verb::remove, "", "pods", "default", "other", {}),
            "pods \"other\" is forbidden: node \"n1\" can only delete pods with spec.nodeName set to itself");
  EXPECT_EQ(
      as_node(Verb::create, "", "pods", "default", {}, pod("x")),
      "pods \"x\" is forbidden: pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can only create mirror pods");
  ASSERT_TRUE(create(
      "", "v1", "persistentvolumes", {},
      R"({"metadata":{"name":"v","finalizers":["local-path.estiba.io/directory","x.example/y"]},"spec":{"capacity":{"storage":"1"},)"
      R"("accessModes":["ReadWriteOnce"],"csi":{"driver":"local-path.estiba.io","volumeHandle":"h","volumeAttributes":{"node":"n1"}}}})"));
  const std::string kept =
      "persistentvolumes \"v\" is forbidden: node \"n1\" is not allowed to change anything of a PV but the finalizer "
      "\"local-path.estiba.io/directory\"";
  EXPECT_EQ(as_node(Verb::patch, "", "persistentvolumes", {}, "v", R"({"spec":{"persistentVolumeReclaimPolicy":"Delete"}})"), kept);
  EXPECT_EQ(as_node(Verb::patch, "", "persistentvolumes", {}, "v", R"({"metadata":{"finalizers":[]}})"), kept) << "another's finalizer";
  EXPECT_EQ(as_node(Verb::patch, "", "persistentvolumes", {}, "v",
                    R"({"metadata":{"finalizers":["x.example/y","kubernetes.io/pv-protection"]}})"),
            "");
  EXPECT_EQ(as_node(Verb::create, "coordination.k8s.io", "leases", "kube-node-lease", {}, R"({"metadata":{"name":"n1"}})"), "");
  EXPECT_EQ(as_node(Verb::create, "coordination.k8s.io", "leases", "kube-node-lease", {}, R"({"metadata":{"name":"n2"}})"),
            "leases.coordination.k8s.io \"n2\" is forbidden: can only access node lease with the same name as the requesting node");
  EXPECT_EQ(as_node(Verb::create, "", "configmaps", "default", {}, R"({"metadata":{"name":"free"}})"), "")
      << "which is authorization's to refuse";

  // What it asks for: tokens and evictions of its own pods, certificates of its own name, slices of its own devices.
  const auto token = [&](const std::string& bound) {
    return as_node(Verb::create, "", "serviceaccounts", "default", "default", R"({"spec":{"boundObjectRef":)" + bound + "}}", "token");
  };
  const auto of = [&](const std::string& name) {
    return R"({"apiVersion":"v1","kind":"Pod","name":")" + name + R"(","uid":")" + get("", "v1", "pods", "default", name)->meta().uid +
           "\"}";
  };
  const std::string refused = "serviceaccounts \"default\" is forbidden: ";
  EXPECT_EQ(token("null"), refused + "node requested token not bound to a pod");
  EXPECT_EQ(token(R"({"apiVersion":"v1","kind":"Pod","name":"mine"})"), refused + "node requested token with a pod binding without a uid");
  EXPECT_EQ(token(R"({"apiVersion":"v1","kind":"Pod","name":"mine","uid":"u"})"),
            refused +
                "the UID in the bound object reference (u) does not match the UID in record. The object might have been deleted and "
                "then recreated");
  EXPECT_EQ(token(of("other")), refused + "node requested token bound to a pod scheduled on a different node");
  EXPECT_EQ(token(of("mine")), "");
  EXPECT_EQ(token(of("mine") + R"(,"audiences":["a","b"])"), refused + "node may only request 0 or 1 audiences");
  EXPECT_EQ(
      token(of("mine") + R"(,"audiences":["vault"])"),
      refused + "audience \"vault\" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience");
  ASSERT_EQ(
      refusal(pod(
          "asking", "",
          R"(,"nodeName":"n1","volumes":[{"name":"v","projected":{"sources":[{"serviceAccountToken":{"audience":"vault","path":"t"}}]}}])")),
      "");
  EXPECT_EQ(token(of("asking") + R"(,"audiences":["vault"])"), "");
  EXPECT_EQ(as_node(Verb::create, "", "pods", "default", "other", R"({"metadata":{"name":"other"}})", "eviction"),
            "pods \"other\" is forbidden: node n1 can only evict pods with spec.nodeName set to itself");
  EXPECT_EQ(
      as_node(Verb::create, "resource.k8s.io", "resourceslices", "", {}, R"({"metadata":{"name":"s"},"spec":{"nodeName":"n2"}})"),
      "resourceslices.resource.k8s.io \"s\" is forbidden: can only create ResourceSlice with the same NodeName as the requesting node");
  EXPECT_EQ(
      as_node(
          Verb::create, "certificates.k8s.io", "certificatesigningrequests", "", {},
          R"({"metadata":{"name":"c"},"spec":{"signerName":"kubernetes.io/kubelet-serving","request":"bm9uZQ==","usages":["server auth"]}})")
          .substr(0, 84),
      "certificatesigningrequests.certificates.k8s.io \"c\" is forbidden: unable to parse csr");
}

TEST_F(AdmissionTest, some_namespaces_stay) {
  auto refused = remove("", "v1", "namespaces", {}, "kube-system");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "namespaces \"kube-system\" is forbidden: this namespace may not be deleted");
  auto nowhere = create("", "v1", "configmaps", "nowhere", R"({"metadata":{"name":"m"}})");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().message, "namespaces \"nowhere\" not found");
}

}  // namespace
}  // namespace estiba::apiserver
