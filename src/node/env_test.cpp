#include "node/env.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

using namespace model::core_v1;

EnvSources sources() {
  EnvSources out;
  out.config_map = [](std::string_view name) -> Result<std::map<std::string, std::string>> {
    if (name == "settings") return std::map<std::string, std::string>{{"colour", "blue"}, {"size", "3"}};
    return fail(Code::not_found, "configmap \"" + std::string(name) + "\" not found");
  };
  out.secret = out.config_map;
  out.field = [](const ObjectFieldSelector& field) -> Result<std::string> { return "<" + field.fieldPath + ">"; };
  out.resource = [](const ResourceFieldSelector&) -> Result<std::string> { return "1"; };
  return out;
}

EnvVar variable(std::string name, std::string value) {
  EnvVar out;
  out.name = std::move(name);
  out.value = std::move(value);
  return out;
}

TEST(Env, ExpandsAsKubernetesDoes) {
  const Environment env{{"A", "1"}, {"B", "two"}};
  EXPECT_EQ(expand("$(A)-$(B)", env), "1-two");
  EXPECT_EQ(expand("$$(A) $(NONE) $ $x $(A", env), "$(A) $(NONE) $ $x $(A");
  EXPECT_EQ(expand("$(A)$", env), "1$");
}

TEST(Env, LaterSourcesWinAndReferencesSeeWhatCameBefore) {
  Container container;
  auto& from = container.envFrom.emplace_back();
  from.prefix = "P_";
  from.configMapRef.ensure().name = "settings";
  container.env = {variable("A", "$(P_colour)/$(HOST)"), variable("P_size", "9"), variable("B", "$(A)$(P_size)")};
  auto& field = container.env.emplace_back(variable("POD", ""));
  field.valueFrom.ensure().fieldRef.ensure().fieldPath = "metadata.name";
  auto env = make_environment(container, {{"HOST", "h"}}, sources());
  ASSERT_TRUE(env);
  EXPECT_EQ(
      *env,
      (Environment{{"HOST", "h"}, {"P_colour", "blue"}, {"P_size", "9"}, {"A", "blue/h"}, {"B", "blue/h9"}, {"POD", "<metadata.name>"}}));
}

TEST(Env, MissingSourcesAreErrorsUnlessOptional) {
  Container container;
  auto& key = container.env.emplace_back(variable("X", "")).valueFrom.ensure().configMapKeyRef.ensure();
  key.name = "settings";
  key.key = "weight";
  EXPECT_EQ(make_environment(container, {}, sources()).error().message, "couldn't find key weight in ConfigMap settings");
  key.optional = true;
  EXPECT_TRUE(make_environment(container, {}, sources())->empty());
  key.optional = false;
  key.name = "nothing";
  EXPECT_EQ(make_environment(container, {}, sources()).error().message, "configmap \"nothing\" not found");
}

TEST(Env, ServicesBecomeVariables) {
  Service service;
  service.metadata.name = "my-db";
  service.spec.clusterIP = "10.43.0.7";
  auto& port = service.spec.ports.emplace_back();
  port.name = "sql";
  port.port = 5432;
  const Environment env = service_environment({&service});
  EXPECT_EQ(expand("$(MY_DB_SERVICE_HOST):$(MY_DB_SERVICE_PORT_SQL) $(MY_DB_PORT) $(MY_DB_PORT_5432_TCP_ADDR)", env),
            "10.43.0.7:5432 tcp://10.43.0.7:5432 10.43.0.7");
  service.spec.clusterIP = "fd00:43::7";
  EXPECT_EQ(expand("$(MY_DB_SERVICE_HOST) $(MY_DB_PORT) $(MY_DB_PORT_5432_TCP_ADDR)", service_environment({&service})),
            "fd00:43::7 tcp://[fd00:43::7]:5432 fd00:43::7");
}

}  // namespace
}  // namespace estiba::node
