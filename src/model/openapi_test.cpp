#include "model/openapi.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/protobuf_wire.h"
#include "model/openapi_routes.h"

namespace estiba::model {
namespace {

using json::Document;
using json::Node;

TEST(OpenApi, Version2DescribesFieldsForPatchesAndLists) {
  const Document document = openapi_v2(Catalog(), "v1.36.0");
  const Node* spec = document.root().at("definitions", "io.k8s.api.core.v1.PodSpec");
  ASSERT_TRUE(spec);
  EXPECT_EQ(json::print(*spec->at("properties", "containers")),
            R"({"type":"array","items":{"$ref":"#/definitions/io.k8s.api.core.v1.Container"},"x-kubernetes-list-map-keys":["name"],)"
            R"("x-kubernetes-list-type":"map","x-kubernetes-patch-merge-key":"name","x-kubernetes-patch-strategy":"merge"})");
  EXPECT_EQ(json::print(*spec->find("required")), R"(["containers"])");
  const Node* pod = document.root().at("definitions", "io.k8s.api.core.v1.Pod");
  EXPECT_EQ(json::print(*pod->find("x-kubernetes-group-version-kind")), R"([{"group":"","kind":"Pod","version":"v1"}])");
}

TEST(OpenApi, Version2HasTheParametersThatKubectlLooksFor) {
  const Document document = openapi_v2(Catalog(), "v1.36.0");
  const Node* patch = document.root().at("paths", "/apis/apps/v1/namespaces/{namespace}/deployments/{name}", "patch");
  ASSERT_TRUE(patch);
  EXPECT_EQ(patch->string_at("operationId"), "patchAppsV1NamespacedDeployment");
  EXPECT_EQ(patch->string_at("x-kubernetes-group-version-kind", "kind"), "Deployment");
  int found = 0;
  for (const Node& parameter : *patch->find("parameters"))
    found += parameter.string_at("name") == "dryRun" || parameter.string_at("name") == "fieldValidation";
  EXPECT_EQ(found, 2);
  EXPECT_TRUE(document.root().at("paths", "/api/v1/namespaces/{namespace}/pods/{name}/exec", "post"));
  EXPECT_TRUE(document.root().at("paths", "/apis/rbac.authorization.k8s.io/v1/clusterroles", "get"));
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
  const Document document = openapi_v2(Catalog(), "v1.36.0");
  const std::string text = json::print(document.root());
  size_t count = 0;
  for (size_t at = 0; (at = text.find("\"$ref\":\"#/", at)) != std::string::npos; ++count) {
    at += 10;
    const std::string target = text.substr(at, text.find('"', at) - at);
    const size_t slash = target.find('/');
    ASSERT_TRUE(document.root().at(std::string_view(target).substr(0, slash), std::string_view(target).substr(slash + 1))) << target;
  }
  EXPECT_GT(count, 3000u);
}

TEST(OpenApi, Version3HoldsWhatItsPathsNeed) {
  auto text = openapi_v3(Catalog(), "apis/apps/v1", "v1.36.0");
  ASSERT_TRUE(text);
  auto document = Document::parse(*text);
  ASSERT_TRUE(document);
  const Node* schemas = document->root().at("components", "schemas");
  EXPECT_TRUE(schemas->find("io.k8s.api.core.v1.PodSpec"));
  EXPECT_TRUE(schemas->find("io.k8s.api.autoscaling.v1.Scale"));
  EXPECT_FALSE(schemas->find("io.k8s.api.core.v1.Node"));
  EXPECT_EQ(json::print(*schemas->at("io.k8s.api.core.v1.ContainerPort", "properties", "protocol")),
            R"({"type":"string","default":"TCP"})");
  for (size_t at = 0; (at = text->find("#/components/schemas/", at)) != std::string::npos;) {
    at += 21;
    const std::string target = text->substr(at, text->find('"', at) - at);
    ASSERT_TRUE(schemas->find(target)) << target;
  }
  EXPECT_FALSE(openapi_v3(Catalog(), "apis/none/v1", ""));
  EXPECT_NE(openapi_v3_index(Catalog(), "1").find(R"("apis/apps/v1":{"serverRelativeURL":"/openapi/v3/apis/apps/v1?hash=1"})"),
            std::string::npos);
}

TEST(OpenApi, ProtobufHoldsEveryDefinitionAndPath) {
  const Document document = openapi_v2(Catalog(), "v1.36.0");
  const std::string bytes = openapi_v2_protobuf(document.root());
  size_t definitions = 0, paths = 0;
  for (wire::Reader reader(bytes); !reader.done();) {
    const auto field = reader.next();
    ASSERT_TRUE(field);
    if (field->number != 8 && field->number != 9) continue;
    for (wire::Reader inner(field->bytes); !inner.done();) {
      ASSERT_TRUE(inner.next());
      ++(field->number == 8 ? paths : definitions);
    }
  }
  EXPECT_EQ(definitions, schema::types().size());
  EXPECT_EQ(paths, document.root().find("paths")->size());
}

// Without what the facts have and we leave out on purpose; the order of required fields does not matter.
std::string comparable(const Node& node) {
  Document copy;
  Node& out = copy.copy(node);
  if (const Node* required = out.find("required")) {
    std::vector<std::string_view> names;
    for (const Node& name : *required) names.push_back(name.as_string());
    std::ranges::sort(names);
    copy.set(out, "required", openapi::strings(copy, names));
  }
  for (const char* key : {"description", "x-kubernetes-unions"}) copy.remove(out, key);
  if (Node* properties = out.find("properties"))
    for (Node& property : *properties) copy.remove(property, "description");
  if (Node* kinds = out.find("x-kubernetes-group-version-kind"); kinds && kinds->size() > 1)
    copy.remove(out, "x-kubernetes-group-version-kind");
  return json::print(out);
}

TEST(OpenApi, DefinitionsAreThoseOfKubernetes) {
  const char* folder = getenv("ESTIBA_REFERENCE");
  std::ifstream file(std::string(folder ? folder : "../shared/reference") + "/kubernetes-1.36/openapi-v2.json");
  if (!file) GTEST_SKIP() << "the facts of Kubernetes are not here (ESTIBA_REFERENCE)";
  std::stringstream text;
  text << file.rdbuf();
  auto theirs = Document::parse(text.str());
  ASSERT_TRUE(theirs);
  const Document ours = openapi_v2(Catalog(), "v1.36.0");
  for (const Node& definition : *theirs->root().find("definitions")) {
    const Node* mine = ours.root().at("definitions", definition.key());
    ASSERT_TRUE(mine) << definition.key();
    auto a = *Document::parse(comparable(definition)), b = *Document::parse(comparable(*mine));
    // WatchEvent has no apiVersion and kind of its own, but is listed as a kind of every group.
    if (definition.key().ends_with(".WatchEvent")) continue;
    EXPECT_TRUE(json::equal(a.root(), b.root())) << definition.key() << "\n" << json::print(a.root()) << "\n" << json::print(b.root());
  }
  for (const schema::Group& group : schema::groups()) {
    if (group.name == "metrics.k8s.io") continue;  // in Kubernetes an extension server answers it
    for (const schema::Version& version : group.versions)
      for (const openapi::Path& path : openapi::paths_of(group, version))
        for (const openapi::Operation& operation : path.operations) {
          const Node* their = theirs->root().at("paths", path.path, operation.method);
          ASSERT_TRUE(their) << operation.method << " " << path.path;
          EXPECT_EQ(their->string_at("operationId"), operation.id);
          EXPECT_EQ(their->string_at("x-kubernetes-action"), operation.action);
          EXPECT_EQ(their->string_at("x-kubernetes-group-version-kind", "kind"), operation.kind);
          const std::string_view response = their->string_at("responses", "200", "schema", "$ref");
          EXPECT_EQ(response, operation.response ? "#/definitions/" + operation.response->full_name() : "") << operation.id;
        }
  }
}

}  // namespace
}  // namespace estiba::model
