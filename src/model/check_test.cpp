#include "model/check.h"

#include <gtest/gtest.h>

namespace estiba::model {
namespace {

using json::Document;

const schema::Type& type_of(std::string_view api_version, std::string_view kind) { return *schema::find_kind(api_version, kind); }

std::string conformed(std::string_view text, std::string_view kind = "Pod", std::string_view api = "v1",
                      std::vector<std::string>* unknown = nullptr) {
  auto document = *Document::parse(text);
  auto result = conform(document, document.root(), type_of(api, kind));
  if (!result) return result.error().message;
  if (unknown) *unknown = *result;
  return json::print(document.root());
}

TEST(Conform, UnknownFieldsAreRemovedAndNamed) {
  std::vector<std::string> unknown;
  EXPECT_EQ(
      conformed(
          R"({"apiVersion":"apps/v1","kind":"Deployment","spec":{"replcas":3,"replicas":1,)"
          R"("template":{"spec":{"containers":[{"name":"a"},{"imagee":"x"}]}}},"x":1})",
          "Deployment", "apps/v1", &unknown),
      R"({"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":1,"template":{"spec":{"containers":[{"name":"a"},{}]}}}})");
  EXPECT_EQ(unknown, (std::vector<std::string>{"spec.replcas", "spec.template.spec.containers[1].imagee", "x"}));
}

TEST(Conform, WrongTypesReadAsKubernetesWordsThem) {
  EXPECT_EQ(conformed(R"({"spec":{"replicas":"3"}})", "Deployment", "apps/v1"),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32");
  EXPECT_EQ(conformed(R"({"spec":{"containers":{}}})"),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container");
  EXPECT_EQ(conformed(R"({"spec":{"containers":[{"ports":[{"containerPort":99999999999}]}]}})"),
            "json: cannot unmarshal number 99999999999 into Go struct field ContainerPort.spec.containers[0].ports[0].containerPort of "
            "type int32");
  EXPECT_EQ(conformed(R"({"metadata":{"labels":{"a":true}}})"),
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels.a of type string");
  EXPECT_EQ(conformed(R"({"kind":1})"), "json: cannot unmarshal number 1 into Go struct field Pod.kind of type string");
  EXPECT_EQ(conformed("[]"), "json: cannot unmarshal array into Go value of type v1.Pod");
  EXPECT_EQ(conformed(R"({"data":{"a":"*"}})", "Secret"), "data.a: illegal base64 data");
}

TEST(Conform, ValuesTakeTheirCanonicalForm) {
  EXPECT_EQ(conformed(R"({"spec":{"containers":[{"resources":{"limits":{"cpu":0.5,"memory":"1024Mi"}}}]}})"),
            R"({"spec":{"containers":[{"resources":{"limits":{"cpu":"500m","memory":"1Gi"}}}]}})");
  EXPECT_EQ(conformed(R"({"metadata":{"creationTimestamp":"2026-11-21T04:26:38.5+02:00"}})"),
            R"({"metadata":{"creationTimestamp":"2026-11-21T02:26:38Z"}})");
  EXPECT_EQ(conformed(R"({"spec":{"renewTime":"2026-11-21T02:26:38Z"}})", "Lease", "coordination.k8s.io/v1"),
            R"({"spec":{"renewTime":"2026-11-21T02:26:38.000000Z"}})");
  EXPECT_EQ(conformed(R"({"spec":{"overhead":{"cpu":"1x"}}})").substr(0, 60),
            "spec.overhead.cpu: quantities must match the regular express");
}

TEST(Conform, NullsAndWhatGoWouldNotWriteVanish) {
  EXPECT_EQ(
      conformed(
          R"({"metadata":{"creationTimestamp":null,"labels":{},"name":""},"spec":{"hostNetwork":false,)"
          R"("nodeName":"","hostUsers":false,"priority":0,"containers":[null],"volumes":[{"name":"v","emptyDir":{}}]},"status":{}})"),
      R"({"metadata":{},"spec":{"hostUsers":false,"priority":0,"containers":[{}],"volumes":[{"name":"v","emptyDir":{}}]},"status":{}})");
}

TEST(Required, MissingFieldsAndEnumsGiveCauses) {
  auto document = *Document::parse(
      R"({"metadata":{"name":"x"},"spec":{"restartPolicy":"Sometimes","containers":[{"name":"a"},{"image":"i","ports":[{}]}]}})");
  auto causes = check_required(document.root(), type_of("v1", "Pod"));
  ASSERT_EQ(causes.size(), 3u);
  EXPECT_EQ(causes[0].field, "spec.containers[1].name");
  EXPECT_EQ(causes[0].message, "Required value");
  EXPECT_EQ(causes[1].field, "spec.containers[1].ports[0].containerPort");
  EXPECT_EQ(causes[2].reason, "FieldValueNotSupported");
  EXPECT_EQ(causes[2].message, "Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"");
  document = *Document::parse(R"({"spec":{"containers":[]}})");
  causes = check_required(document.root(), type_of("v1", "Pod"));
  ASSERT_EQ(causes.size(), 1u);
  EXPECT_EQ(causes[0].field, "spec.containers");
}

TEST(Required, AnEmptyStringIsAnEnumsValueWhereItIsTheDefault) {
  auto document = *Document::parse(
      R"({"metadata":{"name":"x"},"spec":{"containers":[{"name":"a"}],"volumes":[{"name":"v","hostPath":{"path":"/","type":""}}]}})");
  EXPECT_TRUE(check_required(document.root(), type_of("v1", "Pod")).empty());
  document = *Document::parse(
      R"({"metadata":{"name":"x"},"spec":{"containers":[{"name":"a"}],"volumes":[{"name":"v","hostPath":{"path":"/","type":"Hole"}}]}})");
  auto causes = check_required(document.root(), type_of("v1", "Pod"));
  ASSERT_EQ(causes.size(), 1u);
  EXPECT_EQ(causes[0].field, "spec.volumes[0].hostPath.type");
}

TEST(Defaults, FillInAbsentFieldsAlsoInLists) {
  auto document = *Document::parse(R"({"spec":{"ports":[{"port":80},{"port":81,"protocol":"UDP"}]}})");
  set_defaults(document, document.root(), type_of("v1", "Service"));
  const json::Node& ports = *document.root().at("spec", "ports");
  EXPECT_EQ(ports[0].string_at("protocol"), "TCP");
  EXPECT_EQ(ports[1].string_at("protocol"), "UDP");
}

}  // namespace
}  // namespace estiba::model
