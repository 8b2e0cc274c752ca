// SubjectAccessReview and its relatives: questions to the authorizer.
#include "apiserver/api_errors.h"
#include "apiserver/body.h"
#include "apiserver/edit.h"
#include "apiserver/server.h"
#include "apiserver/special/special.h"

namespace estiba::apiserver {
namespace {

std::string text(const json::Node& node, std::string_view key) { return std::string(node.string_at(key)); }

Result<Attributes> question(const json::Node& spec) {
  Attributes out;
  if (const json::Node* resource = spec.find("resourceAttributes"); present(resource)) {
    out = {text(*resource, "verb"),        text(*resource, "group"),     text(*resource, "version"), text(*resource, "resource"),
           text(*resource, "subresource"), text(*resource, "namespace"), text(*resource, "name"),    {}};
    return out;
  }
  if (const json::Node* path = spec.find("nonResourceAttributes"); present(path)) {
    out.verb = text(*path, "verb");
    out.path = text(*path, "path");
    return out;
  }
  return bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified");
}

User subject(const json::Node& spec) {
  User out{text(spec, "user"), text(spec, "uid"), {}, {}};
  if (const json::Node* groups = spec.find("groups"); present(groups)) {
    for (const json::Node& group : *groups) out.groups.emplace_back(group.as_string());
  }
  return out;
}

Task<Result<Outcome>> review(Api& api, Action action) {
  Decoded decoded = CO_TRY(decode_object(action));
  json::Document& doc = decoded.doc;
  const json::Node* spec = doc.root().find("spec");
  if (!present(spec)) co_return bad_request("spec is required");
  Attributes asked = CO_TRY(question(*spec));
  bool self = action.resource->plural == "selfsubjectaccessreviews";
  if (action.resource->namespaced && asked.ns != action.ns)
    co_return bad_request("spec.resourceAttributes.namespace must match the request's namespace");
  Decision decision = api.authorizer().authorize(self ? action.user : subject(*spec), asked);
  json::Node& status = doc.set(doc.root(), "status", doc.make_object());
  set_bool(doc, status, "allowed", decision.allowed);
  if (!decision.reason.empty()) doc.set(status, "reason", decision.reason);
  co_return Outcome{201, {}, json::print(doc.root()), {}};
}

void write_list(json::Document& doc, json::Node& object, std::string_view key, const std::vector<std::string>& values) {
  if (values.empty()) return;
  json::Node& list = doc.set(object, key, doc.make_array());
  for (const std::string& value : values) doc.append(list, doc.make_string(value));
}

Task<Result<Outcome>> review_rules(Api& api, Action action) {
  Decoded decoded = CO_TRY(decode_object(action));
  json::Document& doc = decoded.doc;
  std::string ns(doc.root().string_at("spec", "namespace"));
  if (ns.empty()) co_return bad_request("no namespace on request");
  json::Node& status = doc.set(doc.root(), "status", doc.make_object());
  json::Node& resources = doc.set(status, "resourceRules", doc.make_array());
  json::Node& paths = doc.set(status, "nonResourceRules", doc.make_array());
  set_bool(doc, status, "incomplete", false);
  for (const Rule& rule : api.authorizer().rules_of(action.user, ns)) {
    json::Node& node = doc.append(rule.paths.empty() ? resources : paths, doc.make_object());
    write_list(doc, node, "verbs", rule.verbs);
    write_list(doc, node, "apiGroups", rule.groups);
    write_list(doc, node, "resources", rule.resources);
    write_list(doc, node, "resourceNames", rule.names);
    write_list(doc, node, "nonResourceURLs", rule.paths);
  }
  co_return Outcome{201, {}, json::print(doc.root()), {}};
}

constexpr std::string_view group = "authorization.k8s.io";
constexpr Special rows[] = {
    {group, "subjectaccessreviews", "", review},
    {group, "localsubjectaccessreviews", "", review},
    {group, "selfsubjectaccessreviews", "", review},
    {group, "selfsubjectrulesreviews", "", review_rules},
};

}  // namespace

std::span<const Special> review_actions() { return rows; }

}  // namespace estiba::apiserver
