// Instances and bindings on a fake API server and a clock that is advanced, with a broker that answers what the test says.
#include <deque>

#include "controllers/catalog/brokers.h"
#include "controllers/catalog/kinds.h"
#include "controllers/testing/cluster.h"

namespace estiba::controllers {

using namespace catalog;
using namespace std::chrono_literals;
using model::ObjectRef;

namespace {

struct FakeBrokers final : Brokers {
  struct Asked {
    std::string what, body, stored;  ///< "PUT /v2/…"; the instance's status as it is stored meanwhile
  };
  std::deque<Result<BrokerAnswer>> answers;  ///< in their order; {200, "{}"} after the last one
  std::vector<Asked> asked;
  std::function<std::string()> look;

  Task<Result<BrokerAnswer>> send(BrokerRequest request) override {
    const size_t path = request.url.find("/v2/");
    asked.push_back({request.method + " " + request.url.substr(path), request.body, look ? look() : ""});
    if (answers.empty()) co_return BrokerAnswer{200, "{}"};
    auto answer = std::move(answers.front());
    answers.pop_front();
    co_return answer;
  }
  std::string sha224(std::string_view text) const override { return "d" + std::to_string(std::hash<std::string_view>{}(text)); }
  std::string sha256(std::string_view text) const override { return sha224(text); }
};

struct ServiceCatalog : ControllerTest {
  FakeBrokers brokers;

  ServiceCatalog() {
    options.brokers = &brokers;
    brokers.look = [this] { return status("instance"); };
    for (const char* ns : {"kube-system", "x"})
      server.add(client::namespaces, "", R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":")" + std::string(ns) + "\"}}");
    server.add(namespaced_scope.brokers, "x", object("ServiceBroker", "b", R"({"url":"http://b","relistBehavior":"Manual"})"));
    server.merge(namespaced_scope.brokers, "x", "b",
                 R"({"status":{"reconciledGeneration":1,"conditions":[{"type":"Ready","status":"True"}]}})", "status");
    server.add(namespaced_scope.classes, "x",
               object("ServiceClass", "c", R"({"serviceBrokerName":"b","externalName":"db","externalID":"C","bindable":true})"));
    plan("p", R"("maximumPollingDuration":600)");
  }
  void plan(const std::string& name, const std::string& more) {
    server.add(namespaced_scope.plans, "x",
               object("ServicePlan", name,
                      R"({"serviceBrokerName":"b","serviceClassRef":{"name":"c"},"externalName":")" + name + R"(","externalID":")" + name +
                          "-id\"," + more + "}"));
  }
  static std::string object(std::string_view kind, std::string_view name, std::string_view spec) {
    return R"({"apiVersion":"servicecatalog.k8s.io/v1beta1","kind":")" + std::string(kind) + R"(","metadata":{"name":")" +
           std::string(name) + R"(","finalizers":["kubernetes-incubator/service-catalog"]},"spec":)" + std::string(spec) + "}";
  }
  void add_instance(const std::string& more = R"(,"servicePlanExternalName":"p")") {
    server.add(instances, "x", object("ServiceInstance", "instance", R"({"serviceClassExternalName":"db","externalID":"I")" + more + "}"));
  }
  void run() { start({make_service_instance_controller, make_service_binding_controller}); }
  std::string status(std::string_view name) {
    const ObjectRef found = server.find(instances, "x", name);
    if (!found) return {};
    const json::Document doc = *json::Document::parse(found.object->json());
    const json::Node* status = doc.root().find("status");
    return status ? json::print(*status) : "";
  }
  std::string text(std::string_view field) {
    const auto doc = json::Document::parse(status("instance"));
    const json::Node* value = doc ? doc->root().find(field) : nullptr;
    return !value ? "" : value->is_string() ? std::string(value->as_string()) : json::print(*value);
  }
  std::string reason(std::string_view type = "Ready") {
    const auto doc = json::Document::parse(status("instance"));
    const json::Node* list = doc ? doc->root().find("conditions") : nullptr;
    if (list)
      for (const json::Node& one : *list)
        if (one.string_at("type") == type) return std::string(one.string_at("reason"));
    return {};
  }
  std::vector<std::string> methods() const {
    std::vector<std::string> out;
    for (const auto& one : brokers.asked) out.push_back(one.what.substr(0, one.what.find(' ')));
    return out;
  }
  using Methods = std::vector<std::string>;
};

TEST_F(ServiceCatalog, WhatIsAskedForIsStoredBefore) {
  add_instance(R"(,"servicePlanExternalName":"p","parameters":{"a":1})");
  run();
  ASSERT_EQ(methods(), Methods{"PUT"});
  EXPECT_NE(brokers.asked[0].stored.find(R"("currentOperation":"Provision")"), std::string::npos);
  EXPECT_NE(brokers.asked[0].stored.find(R"("deprovisionStatus":"Required")"), std::string::npos);
  EXPECT_NE(brokers.asked[0].stored.find(R"("servicePlanExternalID":"p-id")"), std::string::npos);
  EXPECT_EQ(reason(), "ProvisionedSuccessfully");
  EXPECT_EQ(text("provisionStatus"), "Provisioned");
  server.erase(instances, "x", "instance");
  executor.run();
  EXPECT_EQ(brokers.asked.back().what, "DELETE /v2/service_instances/I?service_id=C&plan_id=p-id&accepts_incomplete=true");
  EXPECT_FALSE(server.find(instances, "x", "instance"));
}

TEST_F(ServiceCatalog, AnOrphanIsRemovedAndAskedForAgainAfterAPause) {
  brokers.answers = {BrokerAnswer{500, "{}"}, BrokerAnswer{503, ""}};
  add_instance();
  run();
  EXPECT_EQ(methods(), (Methods{"PUT", "DELETE"}));
  EXPECT_EQ(text("orphanMitigationInProgress"), "true");
  EXPECT_EQ(reason(), "DeprovisionCallFailed");
  executor.advance(10s);
  EXPECT_EQ(methods(), (Methods{"PUT", "DELETE", "DELETE", "PUT"}));
  EXPECT_EQ(reason(), "ProvisionedSuccessfully");
  EXPECT_EQ(reason("OrphanMitigation"), "");
}

TEST_F(ServiceCatalog, SilenceMayHideAnInstance) {
  brokers.answers = {fail(Code::timeout, "no answer")};
  add_instance();
  run();
  EXPECT_EQ(methods(), (Methods{"PUT", "DELETE"}));
  EXPECT_EQ(reason(), "OrphanMitigationSuccessful");
}

TEST_F(ServiceCatalog, ABrokerThatIsNotThereIsAskedLessAndLessOften) {
  for (int i = 0; i < 5; ++i) brokers.answers.push_back(fail(Code::unavailable, "connection refused"));
  add_instance();
  run();
  EXPECT_EQ(methods().size(), 1u);
  EXPECT_EQ(reason(), "ErrorCallingProvision");
  executor.advance(3500ms);
  EXPECT_EQ(methods().size(), 3u);
  executor.advance(60s);
  EXPECT_EQ(methods(), (Methods{"PUT", "PUT", "PUT", "PUT", "PUT", "PUT"}));
  EXPECT_EQ(reason(), "ProvisionedSuccessfully");
}

TEST_F(ServiceCatalog, AfterAWeekNobodyTriesAgain) {
  for (int i = 0; i < 5000; ++i) brokers.answers.push_back(fail(Code::unavailable, "connection refused"));
  add_instance();
  run();
  executor.advance(std::chrono::hours(24 * 7) + 20min);
  EXPECT_EQ(reason("Failed"), "ErrorReconciliationRetryTimeout");
  const size_t before = brokers.asked.size();
  executor.advance(std::chrono::hours(24));
  EXPECT_EQ(brokers.asked.size(), before);
  // Something may be there: its end asks for it.
  brokers.answers.clear();
  server.erase(instances, "x", "instance");
  executor.run();
  EXPECT_EQ(methods().back(), "DELETE");
}

TEST_F(ServiceCatalog, ARefusalLeavesNothingToRemove) {
  brokers.answers = {BrokerAnswer{400, R"({"description":"no"})"}};
  add_instance();
  run();
  EXPECT_EQ(reason("Failed"), "ClusterServiceBrokerReturnedFailure");
  EXPECT_EQ(text("deprovisionStatus"), "NotRequired");
  EXPECT_EQ(text("lastConditionState"), "Failed");
  executor.advance(std::chrono::hours(1));
  EXPECT_EQ(methods(), Methods{"PUT"});
  // A changed spec is tried.
  server.merge(instances, "x", "instance", R"({"spec":{"parameters":{"b":1}}})");
  executor.run();
  EXPECT_EQ(reason(), "ProvisionedSuccessfully");
  EXPECT_EQ(reason("Failed"), "");
}

TEST_F(ServiceCatalog, ARefusalAfterSilenceMayStillHideAnInstance) {
  brokers.answers = {fail(Code::unavailable, "connection lost"), BrokerAnswer{400, "{}"}};
  add_instance();
  run();
  executor.advance(10s);
  EXPECT_EQ(reason("Failed"), "ClusterServiceBrokerReturnedFailure");
  EXPECT_EQ(text("deprovisionStatus"), "Required");
}

TEST_F(ServiceCatalog, PollsComeWhenTheBrokerSays) {
  brokers.answers = {BrokerAnswer{202, R"({"operation":"o 1"})", 30}, BrokerAnswer{200, R"({"state":"in progress"})", 100},
                     BrokerAnswer{500, ""}, BrokerAnswer{200, R"({"state":"succeeded"})"}};
  add_instance();
  run();
  EXPECT_EQ(text("asyncOpInProgress"), "true");
  executor.advance(29s);
  EXPECT_EQ(methods(), Methods{"PUT"});
  executor.advance(2s);
  ASSERT_EQ(methods(), (Methods{"PUT", "GET"}));
  EXPECT_EQ(brokers.asked[1].what, "GET /v2/service_instances/I/last_operation?service_id=C&plan_id=p-id&operation=o%201");
  executor.advance(98s);
  EXPECT_EQ(methods().size(), 2u);
  executor.advance(3s);
  EXPECT_EQ(reason(), "ErrorPollingLastOperation");
  executor.advance(10s);
  EXPECT_EQ(reason(), "ProvisionedSuccessfully");
}

TEST_F(ServiceCatalog, PollsEndWithTheTimeOfThePlan) {
  brokers.answers = {BrokerAnswer{202, "{}"}};
  for (int i = 0; i < 30; ++i) brokers.answers.push_back(BrokerAnswer{200, R"({"state":"in progress"})", 60});
  add_instance();
  run();
  executor.advance(9min);
  EXPECT_EQ(reason(), "Provisioning");
  executor.advance(3min);
  EXPECT_TRUE(std::ranges::contains(methods(), "DELETE"));
}

TEST_F(ServiceCatalog, AnotherServerGoesOn) {
  brokers.answers = {BrokerAnswer{202, R"({"operation":"o"})", 30}};
  add_instance();
  run();
  stop();
  brokers.answers = {BrokerAnswer{200, R"({"state":"succeeded"})"}};
  run();
  EXPECT_EQ(methods(), (Methods{"PUT", "GET"}));
  EXPECT_EQ(reason(), "ProvisionedSuccessfully");
}

TEST_F(ServiceCatalog, ABrokerThatDiedInAProvisionIsAskedForTheSame) {
  add_instance(R"(,"servicePlanExternalName":"p","serviceClassRef":{"name":"c"},"servicePlanRef":{"name":"p"})");
  server.merge(instances, "x", "instance",
               R"({"status":{"currentOperation":"Provision","deprovisionStatus":"Required","provisionStatus":"NotProvisioned"}})",
               "status");
  run();
  EXPECT_EQ(methods(), Methods{"PUT"});
  EXPECT_EQ(reason(), "ProvisionedSuccessfully");
}

TEST_F(ServiceCatalog, WhatCannotBeAskedForAgainCanBePutRight) {
  add_instance(
      R"(,"servicePlanExternalName":"p","parametersFrom":[{"secretKeyRef":{"name":"gone","key":"k"}}],"serviceClassRef":{"name":"c"},"servicePlanRef":{"name":"p"})");
  server.merge(instances, "x", "instance", R"({"status":{"currentOperation":"Provision","deprovisionStatus":"Required"}})", "status");
  run();
  EXPECT_EQ(reason(), "ErrorWithParameters");
  EXPECT_EQ(text("currentOperation"), "");
  EXPECT_EQ(text("deprovisionStatus"), "Required");
  EXPECT_TRUE(brokers.asked.empty());
}

TEST_F(ServiceCatalog, AnInstanceThatDiedInAProvisionIsDeprovisioned) {
  add_instance(R"(,"servicePlanExternalName":"p","serviceClassRef":{"name":"c"},"servicePlanRef":{"name":"p"})");
  server.merge(
      instances, "x", "instance",
      R"({"status":{"currentOperation":"Provision","deprovisionStatus":"Required","inProgressProperties":{"servicePlanExternalID":"p-id"}}})",
      "status");
  server.erase(instances, "x", "instance");
  run();
  ASSERT_EQ(methods(), Methods{"DELETE"});
  EXPECT_NE(brokers.asked[0].what.find("plan_id=p-id"), std::string::npos);
  EXPECT_FALSE(server.find(instances, "x", "instance"));
}

TEST_F(ServiceCatalog, TheOnlyPlanIsTakenAndSeveralAreTold) {
  add_instance("");
  run();
  EXPECT_EQ(reason(), "ProvisionedSuccessfully");
  stop();
  plan("q", R"("free":true)");
  server.add(instances, "x", object("ServiceInstance", "other", R"({"serviceClassExternalName":"db","externalID":"O"})"));
  run();
  EXPECT_NE(status("other").find("choose one of p, q"), std::string::npos) << status("other");
}

TEST_F(ServiceCatalog, AnUpdateSendsWhatDiffers) {
  plan("q", R"("maintenanceInfo":{"version":"2"})");
  add_instance();
  run();
  server.merge(instances, "x", "instance", R"({"spec":{"servicePlanExternalName":"q","servicePlanRef":null}})");
  executor.run();
  ASSERT_EQ(methods(), (Methods{"PUT", "PATCH"}));
  const std::string& body = brokers.asked[1].body;
  EXPECT_NE(body.find(R"("plan_id":"q-id")"), std::string::npos) << body;
  EXPECT_NE(body.find(R"("previous_values":{"service_id":"C","plan_id":"p-id"})"), std::string::npos) << body;
  EXPECT_NE(body.find(R"("maintenance_info":{"version":"2"})"), std::string::npos) << body;
  EXPECT_EQ(body.find("parameters"), std::string::npos) << body;
}

TEST_F(ServiceCatalog, ABindingWaitsForItsInstanceAndAnInstanceForItsBindings) {
  server.add(bindings, "x", object("ServiceBinding", "access", R"({"instanceRef":{"name":"instance"},"externalID":"B","secretName":"s"})"));
  run();
  EXPECT_TRUE(brokers.asked.empty());
  brokers.answers = {BrokerAnswer{201, "{}"}, BrokerAnswer{201, R"({"credentials":{"user":"u","port":1}})"}};
  add_instance();
  executor.run();
  EXPECT_EQ(methods(), (Methods{"PUT", "PUT"}));
  const ObjectRef secret = server.find(client::secrets, "x", "s");
  ASSERT_TRUE(secret);
  EXPECT_NE(secret.object->json().find(R"("data":{"port":"MQ==","user":"dQ=="})"), std::string::npos) << secret.object->json();

  server.erase(instances, "x", "instance");
  executor.run();
  EXPECT_EQ(reason(), "DeprovisionBlockedByExistingCredentials");
  server.erase(bindings, "x", "access");
  executor.run();
  EXPECT_EQ(methods(), (Methods{"PUT", "PUT", "DELETE", "DELETE"}));
  EXPECT_FALSE(server.find(client::secrets, "x", "s"));
  EXPECT_FALSE(server.find(instances, "x", "instance"));
  EXPECT_FALSE(server.find(bindings, "x", "access"));
}

TEST_F(ServiceCatalog, WhatIsBoundInvisiblyIsRevoked) {
  add_instance();
  run();
  brokers.asked.clear();
  brokers.answers = {BrokerAnswer{202, "{}"}};
  server.add(bindings, "x", object("ServiceBinding", "access", R"({"instanceRef":{"name":"instance"},"externalID":"B","secretName":"s"})"));
  executor.run();
  EXPECT_EQ(methods(), (Methods{"PUT", "DELETE"}));
  EXPECT_FALSE(server.find(client::secrets, "x", "s"));
}

}  // namespace

}  // namespace estiba::controllers
