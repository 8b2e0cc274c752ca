// Admission policies, applied by the registry.
#include <gtest/gtest.h>

#include "apiserver/api_errors.h"
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

constexpr std::string_view group = "admissionregistration.k8s.io";

class AdmissionPoliciesTest : public ApiFixture {
 protected:
  static constexpr std::string_view rules =
      R"("matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"],"operations":["CREATE","UPDATE"]}]})";

  std::string post(std::string_view resource, const std::string& name, const std::string& spec) {
    auto made = create(group, "v1", resource, "", R"({"metadata":{"name":")" + name + R"("},"spec":{)" + spec + "}}");
    return made ? "" : made.error().message;
  }
  void validating(const std::string& validations, const std::string& more = {},
                  const std::string& binding = R"("validationActions":["Deny"])") {
    ASSERT_EQ(post("validatingadmissionpolicies", "p", std::string(rules) + R"(,"validations":[)" + validations + "]" + more), "");
    ASSERT_EQ(post("validatingadmissionpolicybindings", "b", R"("policyName":"p",)" + binding), "");
  }
  void mutating(const std::string& mutations, const std::string& more = {}) {
    ASSERT_EQ(post("mutatingadmissionpolicies", "p",
                   std::string(rules) + R"(,"reinvocationPolicy":"Never","mutations":[)" + mutations + "]" + more),
              "");
    ASSERT_EQ(post("mutatingadmissionpolicybindings", "b", R"("policyName":"p")"), "");
  }
  static std::string configuration(const std::string& expression) {
    std::string out = R"({"patchType":"ApplyConfiguration","applyConfiguration":{"expression":)";
    json::append_string(out, expression);
    return out + "}}";
  }
  static std::string patching(const std::string& expression) {
    std::string out = R"({"patchType":"JSONPatch","jsonPatch":{"expression":)";
    json::append_string(out, expression);
    return out + "}}";
  }
  Result<Outcome> config_map(const std::string& name = "x", const std::string& data = R"("a":"b")") {
    return create("", "v1", "configmaps", "default", R"({"metadata":{"name":")" + name + R"("},"data":{)" + data + "}}");
  }
  static std::string message(const Result<Outcome>& outcome) { return outcome ? "" : outcome.error().message; }
  std::string data(const Result<Outcome>& outcome) {
    EXPECT_TRUE(outcome) << outcome.error().message;
    return outcome ? json::print(*json_of(outcome->object).find("data")) : "";
  }
};

TEST_F(AdmissionPoliciesTest, a_refusal_has_kubernetes_words_and_code) {
  validating(
      R"({"expression":"object.data.a == 'b'","message":" only b "},{"expression":"size(object.data) < 3","reason":"RequestEntityTooLarge"})");
  EXPECT_TRUE(config_map());
  auto refused = config_map("y", R"("a":"c")");
  ASSERT_FALSE(refused);
  EXPECT_EQ(message(refused), "configmaps \"y\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: only b");
  EXPECT_EQ(http_status(refused.error()), 422);
  EXPECT_EQ(reason_of(refused.error()), "Invalid");
  ASSERT_EQ(refused.error().details->causes.size(), 1u);
  EXPECT_EQ(refused.error().details->causes[0].message, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: only b");
  refused = config_map("y", R"("a":"b","c":"d","e":"f")");
  ASSERT_FALSE(refused);
  EXPECT_TRUE(message(refused).ends_with("denied request: failed expression: size(object.data) < 3"));
  EXPECT_EQ(http_status(refused.error()), 413);
}

TEST_F(AdmissionPoliciesTest, without_a_binding_nothing_happens) {
  ASSERT_EQ(post("validatingadmissionpolicies", "p", std::string(rules) + R"(,"validations":[{"expression":"false"}])"), "");
  EXPECT_TRUE(config_map());
  ASSERT_EQ(post("validatingadmissionpolicybindings", "b", R"("policyName":"p","validationActions":["Deny"])"), "");
  EXPECT_FALSE(config_map("y"));
  ASSERT_TRUE(remove(group, "v1", "validatingadmissionpolicies", "", "p"));
  EXPECT_TRUE(config_map("y"));
}

TEST_F(AdmissionPoliciesTest, warnings_are_told_once) {
  validating(R"({"expression":"false","messageExpression":"'too ' + object.data.a"},{"expression":"false","message":"too b"})", "",
             R"("validationActions":["Warn","Audit"])");
  auto made = config_map();
  ASSERT_TRUE(made);
  EXPECT_EQ(made->warnings, std::vector<std::string>{"Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': too b"});
}

TEST_F(AdmissionPoliciesTest, variables_are_computed_when_they_are_named) {
  validating(R"({"expression":"variables.twice == 'bb' || variables.broken"})",
             R"(,"variables":[{"name":"one","expression":"object.data.a"},{"name":"twice","expression":"variables.one + variables.one"},)"
             R"({"name":"broken","expression":"object.none == 1"}])");
  EXPECT_TRUE(config_map());
  EXPECT_TRUE(message(config_map("y", R"("a":"c")"))
                  .ends_with("expression 'variables.twice == 'bb' || variables.broken' resulted in error: composited variable \"broken\" "
                             "fails to evaluate: no such key: none"));
}

TEST_F(AdmissionPoliciesTest, a_broken_messageExpression_falls_back) {
  validating(R"-({"expression":"false","messageExpression":"string(object.none)","message":"the message"})-");
  EXPECT_TRUE(message(config_map()).ends_with("denied request: the message"));
}

TEST_F(AdmissionPoliciesTest, parameters_come_from_a_namespace_or_a_selector) {
  ASSERT_TRUE(config_map("params", R"("allowed":"b")"));
  validating(R"({"expression":"object.data.a == params.data.allowed"})", R"(,"paramKind":{"apiVersion":"v1","kind":"ConfigMap"})",
             R"("validationActions":["Deny"],"paramRef":{"name":"params","parameterNotFoundAction":"Deny"})");
  EXPECT_TRUE(config_map());
  EXPECT_FALSE(config_map("y", R"("a":"c")"));
  ASSERT_TRUE(remove("", "v1", "configmaps", "default", "params"));
  EXPECT_EQ(message(config_map("y")),
            "configmaps \"y\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed to configure binding: no "
            "params found for policy binding with `Deny` parameterNotFoundAction");
}

TEST_F(AdmissionPoliciesTest, configurations_are_applied_as_by_server_side_apply) {
  mutating(configuration("Object{metadata: Object.metadata{labels: {'l': 'v'}}, data: Object.data{added: object.data.a + '!'}}"));
  auto made = config_map();
  EXPECT_EQ(data(made), R"({"a":"b","added":"b!"})");
  EXPECT_EQ(json_of(made->object).string_at("metadata", "labels", "l"), "v");
}

TEST_F(AdmissionPoliciesTest, patches_are_lists_of_operations) {
  mutating(
      patching("[JSONPatch{op: 'test', path: '/data/a', value: 'b'}, JSONPatch{op: 'copy', from: '/data/a', path: '/data/c'}, "
               "JSONPatch{op: 'add', path: '/metadata/labels', value: {'list': string(size([1, 2]))}}]"));
  EXPECT_EQ(data(config_map()), R"({"a":"b","c":"b"})");
  EXPECT_EQ(data(config_map("y", R"("a":"c")")), R"({"a":"c"})") << "a failed test leaves it";
}

TEST_F(AdmissionPoliciesTest, what_a_mutation_cannot_do_is_told_or_passed_over) {
  mutating(configuration("Object{data: Object.wrong{x: 'y'}}"));
  auto refused = config_map();
  ASSERT_FALSE(refused);
  EXPECT_EQ(
      message(refused),
      "policy 'p' with binding 'b' denied request: type mismatch: unexpected type name \"Object.wrong\", expected \"Object.data\", which "
      "matches field name path from root Object type");
  EXPECT_EQ(http_status(refused.error()), 403);
  EXPECT_EQ(reason_of(refused.error()), "Invalid");
  ASSERT_TRUE(patch(group, "v1", "mutatingadmissionpolicies", "", "p", BodyType::merge_patch, R"({"spec":{"failurePolicy":"Ignore"}})"));
  EXPECT_TRUE(config_map());
  ASSERT_TRUE(patch(group, "v1", "mutatingadmissionpolicies", "", "p", BodyType::merge_patch,
                    R"({"spec":{"failurePolicy":"Fail","mutations":[)" + configuration("Object{nothing: 5}") + "]}}"));
  EXPECT_TRUE(message(config_map("y")).contains("failed to convert patch object to typed object: .nothing: field not declared in schema"));
}

TEST_F(AdmissionPoliciesTest, the_types_of_named_kinds_are_checked) {
  ASSERT_EQ(post("validatingadmissionpolicies", "p",
                 std::string(rules) + R"(,"validations":[{"expression":"object.dataa == {}"},{"expression":"object.data.x == 'y'"}])"),
            "");
  const json::Node& root = json_of(*get(group, "v1", "validatingadmissionpolicies", "", "p"));
  const json::Node* warnings = root.at("status", "typeChecking", "expressionWarnings");
  ASSERT_TRUE(warnings);
  ASSERT_EQ(warnings->size(), 1u);
  EXPECT_EQ((*warnings)[0].string_at("fieldRef"), "spec.validations[0].expression");
  EXPECT_TRUE((*warnings)[0].string_at("warning").starts_with("v1, Kind=ConfigMap: ERROR: <input>:1:7: undefined field 'dataa'"))
      << (*warnings)[0].string_at("warning");
  EXPECT_EQ(root.at("status", "observedGeneration")->as_int(), 1);
}

TEST_F(AdmissionPoliciesTest, expressions_run_within_their_cost) {
  std::string many = "\"k\":\"v\"";
  for (int i = 0; i < 400; i++) many += ",\"k" + std::to_string(i) + "\":\"" + std::string(20, 'v') + "\"";
  validating(
      R"-({"expression":"object.data.all(a, object.data.all(b, object.data.all(c, object.data[a] + object.data[b] != object.data[c])))"})-");
  auto refused = config_map("x", many);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(message(refused).contains("cost limit exceeded")) << message(refused);
}

}  // namespace
}  // namespace estiba::apiserver
