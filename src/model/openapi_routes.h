// The operations of the API, as both versions of OpenAPI list them, and the schemas of types. Private to openapi*.cpp.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/json.h"
#include "model/schema.h"

namespace estiba::model::openapi {

struct Parameter {
  std::string_view name, type;
  std::string_view in = "query";
};

struct Operation {
  std::string_view method;  ///< "get"
  std::string_view action;  ///< "list"
  std::string id;           ///< "listAppsV1NamespacedDeployment"
  std::string_view group, version, kind;
  const schema::Type* body = nullptr;
  const schema::Type* response = nullptr;  ///< null: plain text
  std::span<const Parameter> parameters;
  bool custom = false;  ///< of a custom kind: no strategic merge patches, no protobuf
};

struct Path {
  std::string path;  ///< "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
  bool with_name = false, with_namespace = false, with_rest = false;
  std::vector<Operation> operations;
};

/// "api/v1" or "apis/apps/v1"
std::string base_path(const schema::Group& group, const schema::Version& version);
std::vector<Path> paths_of(const schema::Group& group, const schema::Version& version);
std::vector<Parameter> path_parameters(const Path& path);
/// The tag of a group and version: "rbacAuthorization_v1".
std::string tag_of(std::string_view group, std::string_view version);

const schema::Type& delete_options();
const schema::Type& patch_body();

/// The media types that bodies of an operation may have, and that its answers have.
std::span<const std::string_view> consumed(const Operation& operation);
std::span<const std::string_view> produced(const Operation& operation);

enum class Dialect : uint8_t { v2, v3 };
/// The schema of a type; `references` gathers the types it refers to.
json::Node& schema_of(json::Document& document, const schema::Type& type, Dialect dialect,
                      std::vector<const schema::Type*>* references = nullptr);
json::Node& reference_to(json::Document& document, const schema::Type& type, Dialect dialect);
json::Node& gvk(json::Document& document, std::string_view group, std::string_view version, std::string_view kind);
json::Node& strings(json::Document& document, std::span<const std::string_view> values);

}  // namespace estiba::model::openapi
