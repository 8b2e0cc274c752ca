#include "model/openapi_routes.h"

#include "base/strings.h"
#include "model/custom/definition.h"

namespace estiba::model::openapi {

using schema::Resource;
using schema::Subresource;
using schema::Type;

// kubectl looks for dryRun and fieldValidation to learn what the server can do.
static constexpr Parameter create_parameters[] = {{"dryRun", "string"}, {"fieldManager", "string"}, {"fieldValidation", "string"}};
static constexpr Parameter patch_parameters[] = {
    {"dryRun", "string"}, {"fieldManager", "string"}, {"fieldValidation", "string"}, {"force", "boolean"}};
static constexpr Parameter delete_parameters[] = {{"dryRun", "string"},
                                                  {"gracePeriodSeconds", "integer"},
                                                  {"ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"},
                                                  {"orphanDependents", "boolean"},
                                                  {"propagationPolicy", "string"}};
static constexpr Parameter list_parameters[] = {{"allowWatchBookmarks", "boolean"},
                                                {"continue", "string"},
                                                {"fieldSelector", "string"},
                                                {"labelSelector", "string"},
                                                {"limit", "integer"},
                                                {"resourceVersion", "string"},
                                                {"resourceVersionMatch", "string"},
                                                {"sendInitialEvents", "boolean"},
                                                {"timeoutSeconds", "integer"},
                                                {"watch", "boolean"}};
static constexpr Parameter delete_collection_parameters[] = {{"continue", "string"},          {"dryRun", "string"},
                                                             {"fieldSelector", "string"},     {"gracePeriodSeconds", "integer"},
                                                             {"labelSelector", "string"},     {"limit", "integer"},
                                                             {"orphanDependents", "boolean"}, {"propagationPolicy", "string"},
                                                             {"resourceVersion", "string"},   {"resourceVersionMatch", "string"},
                                                             {"timeoutSeconds", "integer"}};
static constexpr Parameter log_parameters[] = {
    {"container", "string"},   {"follow", "boolean"},    {"insecureSkipTLSVerifyBackend", "boolean"},
    {"limitBytes", "integer"}, {"previous", "boolean"},  {"sinceSeconds", "integer"},
    {"tailLines", "integer"},  {"timestamps", "boolean"}};
static constexpr Parameter exec_parameters[] = {{"command", "string"}, {"container", "string"}, {"stderr", "boolean"},
                                                {"stdin", "boolean"},  {"stdout", "boolean"},   {"tty", "boolean"}};
static constexpr Parameter attach_parameters[] = {
    {"container", "string"}, {"stderr", "boolean"}, {"stdin", "boolean"}, {"stdout", "boolean"}, {"tty", "boolean"}};
static constexpr Parameter port_parameters[] = {{"ports", "integer"}};
static constexpr Parameter proxy_parameters[] = {{"path", "string"}};

static std::string capital(std::string_view word) {
  std::string out(word);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = char(out[0] - 32);
  return out;
}

// "rbac.authorization.k8s.io" → "rbacAuthorization"; the group without a name is "core".
static std::string short_group(std::string_view group) {
  if (group.empty()) return "core";
  if (group.ends_with(".k8s.io")) group.remove_suffix(7);
  std::string out;
  for (std::string_view part : split(group, '.')) out += out.empty() ? std::string(part) : capital(part);
  return out;
}

std::string tag_of(std::string_view group, std::string_view version) { return short_group(group) + "_" + std::string(version); }

std::string base_path(const schema::Group& group, const schema::Version& version) {
  if (group.name.empty()) return "api/" + std::string(version.name);
  return "apis/" + std::string(group.name) + "/" + std::string(version.name);
}

const Type& delete_options() { return *schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"); }
const Type& patch_body() { return *schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.Patch"); }
static const Type& status() { return *schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.Status"); }

namespace {

class Routes {
 public:
  Routes(const schema::Group& group, const schema::Version& version)
      : base_("/" + base_path(group, version)), group_(capital(short_group(group.name)) + capital(version.name)) {}

  std::vector<Path> run(const schema::Version& version) {
    for (const Resource& resource : version.resources) {
      resource_ = &resource;
      scope_ = resource.namespaced ? "Namespaced" : "";
      collection();
      item();
      for (const Subresource& sub : resource.subresources) subresource(sub);
    }
    return std::move(out_);
  }

 private:
  std::string where() const { return base_ + (resource_->namespaced ? "/namespaces/{namespace}/" : "/") + std::string(resource_->plural); }

  Path& path(std::string text) {
    Path& out = out_.emplace_back();
    out.path = std::move(text);
    out.with_namespace = out.path.find("{namespace}") != std::string::npos;
    out.with_name = out.path.find("{name}") != std::string::npos;
    out.with_rest = out.path.find("{path}") != std::string::npos;
    return out;
  }

  Operation& add(Path& path, std::string_view method, std::string_view action, std::string id) {
    Operation& out = path.operations.emplace_back();
    out.method = method;
    out.action = action;
    out.id = std::move(id);
    out.group = resource_->group;
    out.version = resource_->version;
    out.kind = resource_->kind;
    out.response = resource_->type;
    out.custom = custom_of(*resource_) != nullptr;
    return out;
  }

  const Type* list_type() const {
    if (custom_of(*resource_)) return custom_of(*resource_)->list_type;
    return schema::find_type(resource_->group, resource_->version, list_kind_of(*resource_));
  }

  void list(Path& path, std::string id) {
    Operation& operation = add(path, "get", "list", std::move(id));
    operation.response = list_type();
    operation.parameters = list_parameters;
  }

  void collection() {
    const std::string kind(resource_->kind);
    if (resource_->namespaced && resource_->can("list"))
      list(path(base_ + "/" + std::string(resource_->plural)), "list" + group_ + kind + "ForAllNamespaces");
    Path& all = path(where());
    if (resource_->can("list")) list(all, "list" + group_ + scope_ + kind);
    if (resource_->can("create")) {
      Operation& create = add(all, "post", "post", "create" + group_ + scope_ + kind);
      create.body = resource_->type;
      create.parameters = create_parameters;
    }
    if (resource_->can("deletecollection")) {
      Operation& remove = add(all, "delete", "deletecollection", "delete" + group_ + "Collection" + scope_ + kind);
      remove.body = &delete_options();
      remove.response = &status();
      remove.parameters = delete_collection_parameters;
    }
  }

  void item() {
    if (!resource_->can("get")) return;
    const std::string name = group_ + scope_ + std::string(resource_->kind);
    Path& one = path(where() + "/{name}");
    add(one, "get", "get", "read" + name);
    if (resource_->can("update")) change(one, "put", "replace" + name, resource_->type);
    if (resource_->can("patch")) change(one, "patch", "patch" + name, resource_->type);
    if (!resource_->can("delete")) return;
    Operation& remove = add(one, "delete", "delete", "delete" + name);
    remove.body = &delete_options();
    remove.parameters = delete_parameters;
    if (!resource_->returns_deleted) remove.response = &status();
  }

  Operation& change(Path& path, std::string_view method, std::string id, const Type* type) {
    Operation& out = add(path, method, method, std::move(id));
    const bool patch = method == "patch";
    out.body = patch ? &patch_body() : type;
    out.response = type;
    out.parameters = patch ? std::span<const Parameter>(patch_parameters) : std::span<const Parameter>(create_parameters);
    return out;
  }

  static std::span<const Parameter> connect_parameters(std::string_view name) {
    if (name == "exec") return exec_parameters;
    if (name == "attach") return attach_parameters;
    if (name == "portforward") return port_parameters;
    return proxy_parameters;
  }

  void subresource(const Subresource& sub) {
    const bool itself = custom_of(*resource_) && sub.kind == resource_->kind && sub.group == resource_->group;
    const Type* type = itself ? resource_->type : schema::find_type(sub.group, sub.version, sub.kind);
    Path& at = path(where() + "/{name}/" + std::string(sub.name));
    const std::string name = group_ + scope_ + std::string(resource_->kind) + capital(sub.name);
    if (sub.name == "log") {
      Operation& log = add(at, "get", "get", "read" + name);
      log.response = nullptr;
      log.parameters = log_parameters;
      return;
    }
    if (!type) return connect(at, sub);
    for (std::string_view verb : sub.verbs) {
      Operation* made = nullptr;
      if (verb == "get") made = &add(at, "get", "get", "read" + name);
      if (verb == "update") made = &change(at, "put", "replace" + name, type);
      if (verb == "patch") made = &change(at, "patch", "patch" + name, type);
      if (verb == "create") {
        made = &change(at, "post", "create" + name, type);
        made->action = "post";
      }
      if (!made) continue;
      made->response = type;
      made->group = sub.group;
      made->version = sub.version;
      made->kind = sub.kind;
    }
  }

  // Streams: the kind only names the query's parameters.
  void connect(Path& at, const Subresource& sub) {
    const std::string name = scope_ + std::string(resource_->kind) + capital(sub.name);
    const auto operations = [&](Path& path, std::string_view suffix) {
      for (std::string_view verb : sub.verbs) {
        const std::string_view method = verb == "create" ? "post" : verb == "update" ? "put" : verb;
        Operation& out = add(path, method, "connect", "connect" + group_ + capital(method) + name + std::string(suffix));
        out.response = nullptr;
        out.kind = sub.kind;
        out.parameters = connect_parameters(sub.name);
      }
    };
    const std::string prefix = at.path;
    operations(at, "");
    if (sub.name == "proxy") operations(path(prefix + "/{path}"), "WithPath");
  }

  std::string base_, group_, scope_;
  const Resource* resource_ = nullptr;
  std::vector<Path> out_;
};

}  // namespace

std::vector<Path> paths_of(const schema::Group& group, const schema::Version& version) { return Routes(group, version).run(version); }

std::vector<Parameter> path_parameters(const Path& path) {
  std::vector<Parameter> out;
  if (path.with_name) out.push_back({"name", "string", "path"});
  if (path.with_namespace) out.push_back({"namespace", "string", "path"});
  if (path.with_rest) out.push_back({"path", "string", "path"});
  return out;
}

std::span<const std::string_view> consumed(const Operation& operation) {
  static constexpr std::string_view any[] = {"*/*"};
  static constexpr std::string_view patches[] = {"application/json-patch+json", "application/merge-patch+json",
                                                 "application/strategic-merge-patch+json", "application/apply-patch+yaml"};
  static constexpr std::string_view custom_patches[] = {"application/json-patch+json", "application/merge-patch+json",
                                                        "application/apply-patch+yaml"};
  static constexpr std::string_view custom_bodies[] = {"application/json", "application/yaml"};
  if (operation.custom && operation.body && operation.method != "delete")
    return operation.method == "patch" ? std::span<const std::string_view>(custom_patches) : custom_bodies;
  if (operation.method == "patch" && operation.body) return patches;
  return any;
}

std::span<const std::string_view> produced(const Operation& operation) {
  static constexpr std::string_view any[] = {"*/*"};
  static constexpr std::string_view text[] = {"text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"};
  static constexpr std::string_view objects[] = {"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"};
  static constexpr std::string_view lists[] = {"application/json", "application/yaml", "application/vnd.kubernetes.protobuf",
                                               "application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"};
  static constexpr std::string_view custom[] = {"application/json", "application/yaml"};
  if (operation.action == "connect") return any;
  if (operation.custom) return custom;
  if (!operation.response) return text;
  if (operation.action == "list") return lists;
  return objects;
}

}  // namespace estiba::model::openapi
