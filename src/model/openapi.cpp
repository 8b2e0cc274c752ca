#include "model/openapi.h"

#include <algorithm>
#include <set>

#include "model/openapi_routes.h"

namespace estiba::model {

using json::Document;
using json::Node;
using openapi::Dialect;
using openapi::Operation;
using openapi::Parameter;
using openapi::Path;
using schema::Type;

namespace {

// What both versions write for an operation.
void common(Document& document, Node& out, const Operation& operation, const std::string& tag) {
  document.set(out, "operationId", operation.id);
  const std::string_view tags[] = {tag};
  document.set(out, "tags", openapi::strings(document, tags));
  document.set(out, "x-kubernetes-action", operation.action);
  document.set(out, "x-kubernetes-group-version-kind", openapi::gvk(document, operation.group, operation.version, operation.kind));
}

class V2 {
 public:
  V2(Document& document, const Catalog& catalog) : document_(document), catalog_(catalog) {}

  void run(std::string_view version) {
    Node& root = document_.make_object();
    document_.set_root(root);
    document_.set(root, "swagger", "2.0");
    Node& info = document_.set(root, "info", document_.make_object());
    document_.set(info, "title", "Kubernetes");
    document_.set(info, "version", version);
    Node& paths = document_.set(root, "paths", document_.make_object());
    Node& definitions = document_.set(root, "definitions", document_.make_object());
    parameters_ = &document_.set(root, "parameters", document_.make_object());
    for (const schema::Group& group : catalog_.groups())
      for (const schema::Version& each : group.versions)
        for (const Path& path : openapi::paths_of(group, each))
          document_.add(paths, path.path, path_item(path, openapi::tag_of(group.name, each.name)));
    for (const Type& type : schema::types()) document_.add(definitions, type.full_name(), openapi::schema_of(document_, type, Dialect::v2));
    for (const CustomDefinitionPtr& definition : catalog_.definitions())
      for (const CustomVersion& each : definition->versions())
        if (each.served)
          for (const Type* type : each.published)
            document_.set(definitions, type->full_name(), openapi::schema_of(document_, *type, Dialect::v2));
    security(root);
  }

 private:
  void security(Node& root) {
    Node& scheme = document_.set(document_.ensure_object(root, "securityDefinitions"), "BearerToken", document_.make_object());
    document_.set(scheme, "in", "header");
    document_.set(scheme, "name", "authorization");
    document_.set(scheme, "type", "apiKey");
    Node& needed = document_.set(root, "security", document_.make_array());
    document_.set(document_.append(needed, document_.make_object()), "BearerToken", document_.make_array());
  }

  Node& parameter(const Parameter& from) {
    Node& out = document_.make_object();
    document_.set(out, "in", from.in);
    document_.set(out, "name", from.name);
    if (from.in == "path") document_.set(out, "required", document_.make_bool(true));
    document_.set(out, "type", from.type);
    document_.set(out, "uniqueItems", document_.make_bool(true));
    return out;
  }

  // kubectl reads dryRun and fieldValidation where they are used; the others are written once and referred to.
  Node& parameter_or_reference(const Parameter& from) {
    if (from.name == "dryRun" || from.name == "fieldValidation" || (from.in == "path" && from.name != "namespace")) return parameter(from);
    const std::string key = std::string(from.name) + "-" + std::string(from.in);
    if (known_.insert(key).second) document_.set(*parameters_, key, parameter(from));
    Node& out = document_.make_object();
    document_.set(out, "$ref", "#/parameters/" + key);
    return out;
  }

  Node& body(const Type& type) {
    Node& out = document_.make_object();
    document_.set(out, "in", "body");
    document_.set(out, "name", "body");
    if (&type != &openapi::delete_options()) document_.set(out, "required", document_.make_bool(true));
    document_.set(out, "schema", openapi::reference_to(document_, type, Dialect::v2));
    return out;
  }

  void response(Node& responses, std::string_view code, std::string_view description, const Operation* operation) {
    Node& out = document_.set(responses, code, document_.make_object());
    document_.set(out, "description", description);
    if (!operation) return;
    Node* schema = nullptr;
    if (operation->response) schema = &openapi::reference_to(document_, *operation->response, Dialect::v2);
    else document_.set(*(schema = &document_.make_object()), "type", "string");
    document_.set(out, "schema", *schema);
  }

  Node& operation(const Operation& from, const std::string& tag) {
    Node& out = document_.make_object();
    common(document_, out, from, tag);
    document_.set(out, "consumes", openapi::strings(document_, openapi::consumed(from)));
    document_.set(out, "produces", openapi::strings(document_, openapi::produced(from)));
    static constexpr std::string_view https[] = {"https"};
    document_.set(out, "schemes", openapi::strings(document_, https));
    if (from.body || !from.parameters.empty()) {
      Node& parameters = document_.set(out, "parameters", document_.make_array());
      if (from.body) document_.append(parameters, body(*from.body));
      for (const Parameter& each : from.parameters) document_.append(parameters, parameter_or_reference(each));
    }
    Node& responses = document_.set(out, "responses", document_.make_object());
    response(responses, "200", "OK", &from);
    if (from.action == "post" || from.action == "put" || from.action == "patch") response(responses, "201", "Created", &from);
    if (from.action == "post" || from.action == "delete") response(responses, "202", "Accepted", &from);
    response(responses, "401", "Unauthorized", nullptr);
    return out;
  }

  Node& path_item(const Path& path, const std::string& tag) {
    Node& out = document_.make_object();
    for (const Operation& each : path.operations) document_.add(out, each.method, operation(each, tag));
    const auto parameters = openapi::path_parameters(path);
    if (parameters.empty()) return out;
    Node& list = document_.set(out, "parameters", document_.make_array());
    for (const Parameter& each : parameters) document_.append(list, parameter_or_reference(each));
    return out;
  }

  Document& document_;
  const Catalog& catalog_;
  Node* parameters_ = nullptr;
  std::set<std::string> known_;
};

class V3 {
 public:
  void run(const schema::Group& group, const schema::Version& version, std::string_view server) {
    Node& root = document_.make_object();
    document_.set_root(root);
    document_.set(root, "openapi", "3.0.0");
    Node& info = document_.set(root, "info", document_.make_object());
    document_.set(info, "title", "Kubernetes");
    document_.set(info, "version", server);
    Node& paths = document_.set(root, "paths", document_.make_object());
    const std::string tag = openapi::tag_of(group.name, version.name);
    for (const Path& path : openapi::paths_of(group, version)) document_.add(paths, path.path, path_item(path, tag));
    schemas(root);
  }
  std::string print() const { return json::print(document_.root()); }

 private:
  Node& reference(const Type& type) {
    wanted_.push_back(&type);
    return openapi::reference_to(document_, type, Dialect::v3);
  }

  // The types that the paths need, and those that they need.
  void schemas(Node& root) {
    Node& components = document_.set(root, "components", document_.make_object());
    std::set<const Type*> done;
    while (!wanted_.empty()) {
      const Type* type = wanted_.back();
      wanted_.pop_back();
      if (done.insert(type).second) (void)openapi::schema_of(scratch_, *type, Dialect::v3, &wanted_);
    }
    Node& out = document_.set(components, "schemas", document_.make_object());
    for (const Type& type : schema::types())
      if (done.erase(&type) > 0) document_.add(out, type.full_name(), openapi::schema_of(document_, type, Dialect::v3));
    for (const Type* type : done) document_.set(out, type->full_name(), openapi::schema_of(document_, *type, Dialect::v3));  // custom ones
    Node& scheme = document_.set(document_.ensure_object(components, "securitySchemes"), "BearerToken", document_.make_object());
    document_.set(scheme, "in", "header");
    document_.set(scheme, "name", "authorization");
    document_.set(scheme, "type", "apiKey");
  }

  Node& parameter(const Parameter& from) {
    Node& out = document_.make_object();
    document_.set(out, "in", from.in);
    document_.set(out, "name", from.name);
    if (from.in == "path") document_.set(out, "required", document_.make_bool(true));
    Node& schema = document_.set(out, "schema", document_.make_object());
    document_.set(schema, "type", from.type);
    document_.set(schema, "uniqueItems", document_.make_bool(true));
    return out;
  }

  void content(Node& out, std::span<const std::string_view> media, const Type* type) {
    Node& content = document_.set(out, "content", document_.make_object());
    for (std::string_view each : media) {
      Node* schema = &document_.make_object();
      if (type) schema = &reference(*type);
      else document_.set(*schema, "type", "string");
      document_.set(document_.set(content, each, document_.make_object()), "schema", *schema);
    }
  }

  void response(Node& responses, std::string_view code, std::string_view description, const Operation* operation) {
    Node& out = document_.set(responses, code, document_.make_object());
    document_.set(out, "description", description);
    if (operation) content(out, openapi::produced(*operation), operation->response);
  }

  Node& operation(const Operation& from, const std::string& tag) {
    Node& out = document_.make_object();
    common(document_, out, from, tag);
    if (!from.parameters.empty()) {
      Node& parameters = document_.set(out, "parameters", document_.make_array());
      for (const Parameter& each : from.parameters) document_.append(parameters, parameter(each));
    }
    if (from.body) {
      Node& body = document_.set(out, "requestBody", document_.make_object());
      if (from.body != &openapi::delete_options()) document_.set(body, "required", document_.make_bool(true));
      content(body, openapi::consumed(from), from.body);
    }
    Node& responses = document_.set(out, "responses", document_.make_object());
    response(responses, "200", "OK", &from);
    if (from.action == "post" || from.action == "put" || from.action == "patch") response(responses, "201", "Created", &from);
    response(responses, "401", "Unauthorized", nullptr);
    return out;
  }

  Node& path_item(const Path& path, const std::string& tag) {
    Node& out = document_.make_object();
    for (const Operation& each : path.operations) document_.add(out, each.method, operation(each, tag));
    const auto parameters = openapi::path_parameters(path);
    if (parameters.empty()) return out;
    Node& list = document_.set(out, "parameters", document_.make_array());
    for (const Parameter& each : parameters) document_.append(list, parameter(each));
    return out;
  }

  Document document_, scratch_;
  std::vector<const Type*> wanted_;
};

}  // namespace

// What a group and version's document follows from, beside the program: the definitions that give it resources.
static uint64_t fingerprint_of(const schema::Version& version) {
  uint64_t out = 0;
  for (const schema::Resource& resource : version.resources)
    if (custom_of(resource)) out = out * 1099511628211u + custom_of(resource)->definition->fingerprint();
  return out;
}

Document openapi_v2(const Catalog& catalog, std::string_view version) {
  Document document;
  V2(document, catalog).run(version);
  return document;
}

namespace {

std::string hash_of(const schema::Version& version, std::string_view hash) {
  const uint64_t custom = fingerprint_of(version);
  if (!custom) return std::string(hash);
  char text[17];
  snprintf(text, sizeof text, "%016lX", static_cast<unsigned long>(custom));
  return std::string(hash) + text;
}

struct Place {
  const schema::Group* group = nullptr;
  const schema::Version* version = nullptr;
};

Place find_place(const Catalog& catalog, std::string_view path) {
  for (const schema::Group& group : catalog.groups())
    for (const schema::Version& version : group.versions)
      if (openapi::base_path(group, version) == path) return {&group, &version};
  return {};
}

}  // namespace

std::string openapi_v3_index(const Catalog& catalog, std::string_view hash) {
  Document document;
  Node& root = document.make_object();
  Node& paths = document.set(root, "paths", document.make_object());
  for (const schema::Group& group : catalog.groups())
    for (const schema::Version& version : group.versions) {
      const std::string path = openapi::base_path(group, version);
      document.set(document.set(paths, path, document.make_object()), "serverRelativeURL",
                   "/openapi/v3/" + path + "?hash=" + hash_of(version, hash));
    }
  return json::print(root);
}

std::string openapi_v3_hash(const Catalog& catalog, std::string_view path, std::string_view hash) {
  const Place place = find_place(catalog, path);
  return place.version ? hash_of(*place.version, hash) : std::string(hash);
}

std::optional<std::string> openapi_v3(const Catalog& catalog, std::string_view path, std::string_view server) {
  const Place place = find_place(catalog, path);
  if (!place.version) return std::nullopt;
  V3 builder;
  builder.run(*place.group, *place.version, server);
  return builder.print();
}

}  // namespace estiba::model
