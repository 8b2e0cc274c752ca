// Registry: server-side apply.
#include "apiserver/api_errors.h"
#include "apiserver/body.h"
#include "apiserver/edit.h"
#include "apiserver/kept.h"
#include "apiserver/ownership.h"
#include "apiserver/registry.h"
#include "base/strings.h"
#include "model/object.h"
#include "model/typed.h"
#include "model/yaml.h"

namespace estiba::apiserver {
namespace {

Result<json::Document> parse_configuration(const Action& action, std::vector<std::string>& duplicates) {
  const std::string_view body = trim(action.body);
  // JSON is YAML; reading it as JSON is quicker. What says a key twice is told by its line.
  if (body.starts_with('{'))
    if (auto doc = json::Document::parse(body)) return doc;
  auto doc = model::parse_yaml(action.body, {.allow_duplicate_keys = true, .duplicates = &duplicates});
  if (!doc) return bad_request("error decoding YAML: " + doc.error().message);
  if (!doc->root().is_object())
    return bad_request("error decoding YAML: expected an object, got " + std::string(json::to_string(doc->root().type())));
  return doc;
}

Result<void> check_kind(const Resource& resource, const json::Node& configuration) {
  const auto [group, version] = model::schema::split_api_version(configuration.string_at("apiVersion"));
  const std::string_view kind = configuration.string_at("kind");
  if (kind != resource.kind || group != resource.group || version != resource.version)
    return bad_request("invalid object type: " + std::string(group) + "/" + std::string(version) + ", Kind=" + std::string(kind));
  return {};
}

Result<void> check_configuration(const Resource& resource, const json::Node& configuration) {
  const json::Node* metadata = configuration.find("metadata");
  if (metadata && present(metadata->find("managedFields"))) return bad_request("metadata.managedFields must be nil");
  const std::vector<std::string> problems = model::check_typed(configuration, *resource.type);
  if (problems.empty()) return {};
  std::string what = problems.size() == 1 ? problems[0] : "errors:\n  " + join(problems, "\n  ");
  const std::string_view ns = configuration.string_at("metadata", "namespace"), name = configuration.string_at("metadata", "name");
  return bad_request("failed to create typed patch object (" + std::string(ns) + "/" + std::string(name) + "; " +
                     model::schema::join_api_version(resource.group, resource.version) + ", Kind=" + std::string(resource.kind) +
                     "): " + what);
}

// kubectl's client-side apply of later goes by this annotation; its server-side apply keeps it right where it is there.
void update_last_applied(json::Document& doc, const json::Node& configuration) {
  json::Node* metadata = doc.root().find("metadata");
  json::Node* annotations = metadata ? metadata->find("annotations") : nullptr;
  if (!annotations || annotations->string_at(model::last_applied_annotation).empty()) return;
  json::Document text;
  text.set_root(text.copy(configuration));
  if (json::Node* own = text.root().find("metadata"))
    if (json::Node* list = own->find("annotations")) text.remove(*list, model::last_applied_annotation);
  doc.set(*annotations, model::last_applied_annotation, json::print(text.root()) + "\n");
}

}  // namespace

Result<json::Document> decode_configuration(const Action& action, const Resource& kind, std::vector<std::string>& warnings) {
  std::vector<std::string> duplicates;
  json::Document doc = TRY(parse_configuration(action, duplicates));
  if (!duplicates.empty() && action.write.validation != FieldValidation::ignore) {
    const std::string problem = "error converting YAML to JSON: yaml: unmarshal errors:\n  " + join(duplicates, "\n  ");
    if (action.write.validation == FieldValidation::strict) return bad_request("error strict decoding YAML: " + problem);
    warnings.push_back(problem);
  }
  TRY(check_kind(kind, doc.root()));
  TRY(check_configuration(kind, doc.root()));
  return doc;
}

Result<json::Document> applied(const Action& action, const json::Node& old, const json::Node& configuration, WallTime now) {
  json::Document live;
  live.set_root(live.copy(old));
  Ownership owners(action, &live, now);
  json::Document doc = TRY(owners.apply(live.root(), configuration));
  if (action.write.field_manager == "kubectl") update_last_applied(doc, configuration);
  owners.write(doc);
  return doc;
}

Task<Result<Outcome>> Registry::apply(Action action) {
  auto warnings = std::make_shared<std::vector<std::string>>();
  auto configuration = std::make_shared<json::Document>(CO_TRY(decode_configuration(action, *action.resource, *warnings)));
  auto shared = std::make_shared<const Action>(action);
  const WallTime now = cluster_.now();
  for (int attempt = 0;; attempt++) {
    const bool missing = action.subresource.empty() && !store_.get(key_of(*action.resource, action.ns, action.name));
    Result<Outcome> outcome = fail(Code::internal, "not applied");
    if (missing) {
      outcome = co_await create_applied(action, configuration, *warnings);
    } else {
      const Part part = action.subresource == "status" || action.subresource == "approval" ? Part::status : Part::main;
      outcome = co_await modify(action, part, [shared, configuration, warnings, now](const json::Node& old) -> Result<json::Document> {
        json::Document doc = TRY(applied(*shared, old, configuration->root(), now));
        std::vector<std::string> again;
        TRY(check_document(*shared, doc, again));
        return doc;
      });
      if (outcome) outcome->warnings.insert(outcome->warnings.begin(), warnings->begin(), warnings->end());
    }
    // Somebody has created or deleted it meanwhile.
    const Code code = outcome ? Code::internal : outcome.error().code;
    const bool again = missing ? code == Code::already_exists : code == Code::not_found && action.subresource.empty();
    if (outcome || !again || attempt == 3) co_return outcome;
  }
}

Task<Result<Outcome>> Registry::create_applied(const Action& action, std::shared_ptr<json::Document> configuration,
                                               std::vector<std::string> warnings) {
  if (!action.write.create_denied.empty()) co_return forbidden(*action.resource, action.name, action.write.create_denied);
  const json::Node& wanted = configuration->root();
  if (wanted.string_at("metadata", "name").empty())
    co_return bad_request("the name of the object (" + action.name + " based on URL) was undeterminable: name must be provided");
  if (const std::string_view uid = wanted.string_at("metadata", "uid"); !uid.empty())
    co_return conflict(*action.resource, action.name,
                       "uid mismatch: the provided object specified uid " + std::string(uid) + ", and no existing object was found");
  json::Document nothing;
  nothing.set_root(nothing.make_object());
  json::Document doc = CO_TRY(applied(action, nothing.root(), wanted, cluster_.now()));
  CO_TRY(check_document(action, doc, warnings));
  co_return co_await create_document(action, std::move(doc), std::move(warnings));
}

}  // namespace estiba::apiserver
