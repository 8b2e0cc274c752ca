#include "model/codec.h"

#include <gtest/gtest.h>

#include "model/types/apps_v1.h"
#include "model/types/authentication_v1.h"
#include "model/types/discovery_v1.h"

namespace estiba::model {
namespace {

TEST(Codec, EncodeIsTheInverseOfDecode) {
  const std::string text =
      R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","labels":{"a":"1"}},)"
          R"("spec":{"replicas":0,)"
      R"("selector":{"matchLabels":{"a":"1"}},)"
      R"("template":{"metadata":{"labels":{"a":"1"}},"spec":{"containers":[{"name":"c","command":["x","y"],)"
      R"("ports":[{"containerPort":80,"protocol":"TCP"}],"env":[{"name":"E","value":"v"}],"resources":{"limits":{"cpu":"500m"}},)"
      R"("livenessProbe":{"httpGet":{"path":"/","port":"http"}}}],"hostNetwork":false,"nodeSelector":{"k":"v"}}},)"
      R"("strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":1}}}})";
  auto deployment = decode<apps_v1::Deployment>(text);
  ASSERT_TRUE(deployment) << deployment.error().message;
  EXPECT_EQ(deployment->spec.replicas, 0);
  EXPECT_EQ(deployment->spec.strategy->rollingUpdate->maxSurge, IntOrString(1));
  EXPECT_EQ(deployment->spec.template_.spec.containers[0].livenessProbe->httpGet->port, IntOrString("http"));
  auto document = json::Document::parse(encode(*deployment));
  ASSERT_TRUE(document);
  EXPECT_TRUE(json::equal(document->root(), json::Document::parse(text)->root())) << encode(*deployment);
}

TEST(Codec, EmptyStructsKeepOnlyWhatIsRequired) {
  EXPECT_EQ(encode(core_v1::Pod{}), R"({"apiVersion":"v1","kind":"Pod"})");
  EXPECT_EQ(encode(core_v1::ContainerPort{}), R"({"containerPort":0})");
  EXPECT_EQ(encode(core_v1::PodSpec{}), R"({"containers":[]})");
  EXPECT_EQ(encode(discovery_v1::EndpointSlice{}), R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":""})");
}

TEST(Codec, WrongTypesNameThePath) {
  const auto error = [](std::string_view text) { return decode<core_v1::Pod>(text).error().message; };
  EXPECT_EQ(error(R"({"spec":{"containers":[{},{"ports":[{"containerPort":"80"}]}]}})"),
            "Pod.spec.containers[1].ports[0].containerPort: expected a 32-bit integer, got string");
  EXPECT_EQ(error(R"({"metadata":{"labels":{"a":1}}})"), "Pod.metadata.labels[a]: expected a string, got number");
  EXPECT_EQ(error(R"({"spec":[]})"), "Pod.spec: expected an object, got array");
  EXPECT_EQ(error(R"({"spec":{"priority":2147483648}})"), "Pod.spec.priority: expected a 32-bit integer, got number");
}

TEST(Codec, NullIsAbsentAndUnknownFieldsAreSkipped) {
  auto pod = decode<core_v1::Pod>(R"({"spec":{"hostNetwork":null,"what":{},"nodeName":"n"}})");
  ASSERT_TRUE(pod);
  EXPECT_FALSE(pod->spec.hostNetwork);
  EXPECT_EQ(pod->spec.nodeName, "n");
}

TEST(Codec, BytesAreBase64AndQuantitiesMayBeNumbers) {
  auto secret = decode<core_v1::Secret>(R"({"data":{"k":"aGk="}})");
  ASSERT_TRUE(secret);
  EXPECT_EQ(secret->data["k"], "hi");
  EXPECT_EQ(encode(*secret), R"({"apiVersion":"v1","kind":"Secret","data":{"k":"aGk="}})");
  EXPECT_FALSE(decode<core_v1::Secret>(R"({"data":{"k":"*"}})"));
  auto resources = decode<core_v1::ResourceRequirements>(R"({"limits":{"cpu":2}})");
  EXPECT_EQ(resources->limits["cpu"], "2");
}

TEST(Codec, MapsOfListsAndRawJson) {
  auto user = decode<authentication_v1::UserInfo>(R"({"extra":{"a":["b","c"]},"username":"u"})");
  ASSERT_TRUE(user);
  EXPECT_EQ(user->extra["a"][1], "c");
  auto revision = decode<apps_v1::ControllerRevision>(R"({"data":{"any":[1,"x"]},"revision":2})");
  EXPECT_EQ(revision->data, R"({"any":[1,"x"]})");
  EXPECT_EQ(encode(*revision), R"({"apiVersion":"apps/v1","kind":"ControllerRevision","data":{"any":[1,"x"]},"revision":2})");
}

TEST(Codec, OptCopiesDeeply) {
  core_v1::Container a;
  a.resources.ensure().limits["cpu"] = "1";
  core_v1::Container b = a;
  b.resources->limits["cpu"] = "2";
  EXPECT_EQ(a.resources->limits["cpu"], "1");
  EXPECT_FALSE(same(a, b));
  a = b;
  EXPECT_TRUE(same(a, b));
}

TEST(IntOrString, PercentagesScaleAsKubernetesRoundsThem) {
  EXPECT_EQ(*IntOrString("25%").scaled(10, true), 3);
  EXPECT_EQ(*IntOrString("25%").scaled(10, false), 2);
  EXPECT_EQ(*IntOrString(7).scaled(10, false), 7);
  EXPECT_FALSE(IntOrString("x").scaled(10, false));
  EXPECT_FALSE(IntOrString("5").scaled(10, false));
}

}  // namespace
}  // namespace estiba::model
