// x-kubernetes-validations of custom kinds: at the definition and at every write of an object.
#include <gtest/gtest.h>

#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

class CustomRulesTest : public ApiFixture {
 protected:
  Result<Outcome> define(const std::string& spec_schema) {
    return create(
        "apiextensions.k8s.io", "v1", "customresourcedefinitions", "",
        R"({"metadata":{"name":"things.example.com"},"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"things","kind":"Thing"},)"
        R"("versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":)" +
            spec_schema + "}}}}]}}");
  }
  Result<Outcome> add(const std::string& spec) {
    return create("example.com", "v1", "things", "default", R"({"metadata":{"name":"x"},"spec":)" + spec + "}");
  }
  Result<Outcome> change(const std::string& spec) {
    return patch("example.com", "v1", "things", "default", "x", BodyType::merge_patch, R"({"spec":)" + spec + "}");
  }
  static std::string message(const Result<Outcome>& outcome) { return outcome ? "no error" : outcome.error().message; }
  const std::string head_ = "Thing.example.com \"x\" is invalid: ";
};

TEST_F(CustomRulesTest, RulesHoldAtEveryWrite) {
  auto made = define(
      R"J({"type":"object","properties":{"replicas":{"type":"integer"},"max":{"type":"integer"},"fixed":{"type":"string","x-kubernetes-validations":[{"rule":"self == oldSelf","message":"is immutable"}]}},"x-kubernetes-validations":[{"rule":"self.replicas <= self.max","messageExpression":"self.max == 2 ? 'replicas must be at most two' : 'too many'","fieldPath":".replicas"},{"rule":"self.replicas != 7","reason":"FieldValueForbidden","message":"not seven"}]})J");
  ASSERT_TRUE(made) << message(made);
  EXPECT_EQ(message(add(R"({"replicas":3,"max":2})")), head_ + "spec.replicas: Invalid value: replicas must be at most two");
  EXPECT_EQ(message(add(R"({"replicas":7,"max":9})")), head_ + "spec: Forbidden: not seven");
  ASSERT_TRUE(add(R"({"replicas":1,"max":2,"fixed":"a"})"));
  EXPECT_EQ(message(change(R"({"fixed":"b"})")), head_ + "spec.fixed: Invalid value: \"b\": is immutable");
  EXPECT_EQ(message(change(R"({"replicas":2})")), "no error");
  EXPECT_EQ(message(change(R"({"fixed":null})")), "no error");
  EXPECT_EQ(message(change(R"({"fixed":"c"})")), "no error") << "without an old value a transition rule says nothing";
}

TEST_F(CustomRulesTest, AnOptionalOldValueIsSeenAtCreation) {
  ASSERT_TRUE(define(
      R"({"type":"object","properties":{"a":{"type":"string","x-kubernetes-validations":[{"rule":"oldSelf.hasValue() || self == 'first'","optionalOldSelf":true,"message":"begins with first"}]}}})"));
  EXPECT_EQ(message(add(R"({"a":"second"})")), head_ + "spec.a: Invalid value: \"second\": begins with first");
  ASSERT_TRUE(add(R"({"a":"first"})"));
  EXPECT_EQ(message(change(R"({"a":"second"})")), "no error");
}

TEST_F(CustomRulesTest, DefinitionsWithBadRulesAreRefused) {
  const std::string path = "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule: ";
  auto rule = [](const std::string& text) {
    return R"({"type":"object","properties":{"x":{"type":"integer"},"list":{"type":"array","items":{"type":"string"}}},"x-kubernetes-validations":[{"rule":")" +
           text + R"("}]})";
  };
  EXPECT_NE(message(define(rule("self.z < 5"))).find("undefined field 'z'"), std::string::npos) << message(define(rule("self.z < 5")));
  EXPECT_NE(message(define(rule("self.x < "))).find("compilation failed"), std::string::npos);
  EXPECT_NE(message(define(rule("self.x + 1"))).find("cel expression must evaluate to a bool"), std::string::npos);
  EXPECT_NE(message(define(rule("self.list.all(a, self.list.all(b, self.list.all(c, a == b || b == c)))")))
                .find("estimated rule cost exceeds budget by factor of more than 100x"),
            std::string::npos);
  EXPECT_NE(message(define(rule("self.z < 5"))).find(path), std::string::npos);
  EXPECT_NE(
      message(
          define(
              R"({"type":"object","properties":{"l":{"type":"array","items":{"type":"string","maxLength":3,"x-kubernetes-validations":[{"rule":"self == oldSelf"}]},"maxItems":3}}})"))
          .find("oldSelf cannot be used on the uncorrelatable portion of the schema within"),
      std::string::npos);
}

TEST_F(CustomRulesTest, WhatHasNotChangedMayBreakANewRule) {
  ASSERT_TRUE(define(R"({"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}})"));
  ASSERT_TRUE(add(R"({"a":"bad"})"));
  ASSERT_TRUE(patch(
      "apiextensions.k8s.io", "v1", "customresourcedefinitions", "", "things.example.com", BodyType::json_patch,
      R"([{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/a/x-kubernetes-validations","value":[{"rule":"self != 'bad'","message":"no longer"}]}])"));
  EXPECT_EQ(message(change(R"({"b":"x"})")), "no error");
  EXPECT_EQ(message(change(R"({"a":"good"})")), "no error");
  EXPECT_EQ(message(change(R"({"a":"bad"})")), head_ + "spec.a: Invalid value: \"bad\": no longer");
}

}  // namespace
}  // namespace estiba::apiserver
