#include "apiserver/kinds/storage_versions.h"

#include <algorithm>
#include <map>
#include <set>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/rules.h"
#include "base/strings.h"
#include "model/custom/definition.h"
#include "model/names.h"

namespace estiba::apiserver::storage_versions {
namespace {

using json::Node;

// "v1" or "apps/v1"
model::Problems check_api_version(std::string_view text) {
  const auto parts = split(text, '/');
  model::Problems out;
  if (parts.size() > 2)
    return {
        "an apiVersion is a DNS-1035 label, which must consist of lower case alphanumeric characters or '-', start with an alphabetic "
        "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
        "'[a-z]([-a-z0-9]*[a-z0-9])?') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyVersion')"};
  const auto add = [&](std::string_view part, std::string_view value, model::Problems problems) {
    if (value.empty()) problems = {"must be non-empty"};
    for (const std::string& problem : problems) out.push_back(std::string(part) + " part: " + problem);
  };
  if (parts.size() == 2) add("group", parts[0], model::check_dns1123_subdomain(parts[0]));
  add("version", parts.back(), model::check_dns1035_label(parts.back()));
  return out;
}

void require_api_version(std::string_view text, const std::string& field, FieldErrors& errors) {
  std::string all;
  for (const std::string& problem : check_api_version(text)) all += (all.empty() ? "" : ",") + problem;
  if (!all.empty()) errors.invalid_string(field, text, all);
}

bool has_text(const Node* list, std::string_view text) {
  return present(list) && std::any_of(list->begin(), list->end(), [&](const Node& one) { return one.as_string() == text; });
}

std::string shown_list(const Node* list) {
  std::string out = "[";
  if (present(list))
    for (const Node& one : *list) out.append(out.size() > 1 ? " " : "").append(one.as_string());
  return out + "]";
}

void validate_server(const Node& server, const std::string& path, FieldErrors& errors) {
  const std::string_view encoding = server.string_at("encodingVersion");
  const Node* decodable = server.find("decodableVersions");
  require_dns_subdomain(server.string_at("apiServerID"), path + ".apiServerID", errors);
  require_api_version(encoding, path + ".encodingVersion", errors);
  each(server, "decodableVersions", path,
       [&](const Node& version, const std::string& here) { require_api_version(version.as_string(), here, errors); });
  if (!has_text(decodable, encoding))
    errors.invalid(path + ".decodableVersions", decodable, "decodableVersions must include encodingVersion " + std::string(encoding));
  each(server, "servedVersions", path, [&](const Node& version, const std::string& here) {
    require_api_version(version.as_string(), here, errors);
    if (!has_text(decodable, version.as_string()))
      errors.invalid_string(here, version.as_string(),
                            "individual served version : " + std::string(version.as_string()) +
                                " must be included in decodableVersions : " + shown_list(decodable));
  });
}

// What all servers encode in, which the status must say when they agree and must not when they do not.
void validate_common(const Node& status, FieldErrors& errors) {
  const std::string field = "status.commonEncodingVersion";
  const Node *servers = status.find("storageVersions"), *said = status.find("commonEncodingVersion");
  std::set<std::string_view> versions;
  if (present(servers))
    for (const Node& server : *servers) versions.insert(server.string_at("encodingVersion"));
  if (versions.size() != 1) {
    if (present(said))
      errors.invalid(field, said,
                     "should be nil if servers do not agree on the same encoding version, or if there is no server reporting the supported "
                     "versions yet");
    return;
  }
  const std::string common(*versions.begin());
  if (!present(said)) errors.invalid(field, said, "the common encoding version is " + common);
  else if (said->as_string() != common) errors.invalid(field, said, "the actual common encoding version is " + common);
}

void validate_version_conditions(const Node& status, FieldErrors& errors) {
  std::map<std::string, size_t, std::less<>> seen;
  size_t i = 0;
  each(status, "conditions", "status", [&](const Node& condition, const std::string&) {
    const std::string here = at("status", i);  // as Kubernetes names it
    const std::string_view type = condition.string_at("type");
    if (auto [first, fresh] = seen.emplace(type, i); !fresh)
      errors.invalid_string(
          here + ".type", type,
          "the type of the condition is not unique, it also appears in conditions[" + std::to_string(first->second) + "]");
    ++i;
    require_qualified_name(type, here + ".type", errors);
    require_qualified_name(condition.string_at("status"), here + ".status", errors);
    constexpr FieldRule rules[] = {{"reason", Check::required}, {"message", Check::required}};
    check_fields(condition, rules, here, errors);
  });
}

void check_migration(Draft& draft) {
  const std::string_view resource = draft.spec().string_at("resource", "resource"), group = draft.spec().string_at("resource", "group");
  FieldErrors& errors = draft.errors;
  const auto report = [&](const model::Problems& problems, std::string field, std::string_view value) {
    if (!problems.empty()) errors.invalid_string(std::move(field), value, join(problems, ","));
  };
  if (resource.empty()) errors.required("spec.resource.resource", "resource is required to be set");
  else report(model::check_dns1035_label(resource), "spec.resource.resource", resource);
  if (!group.empty()) report(model::check_dns1123_subdomain(group), "spec.resource.group", group);
}

}  // namespace

void validate_storage_version(Draft& draft) {
  if (!draft.creating()) return;
  const std::string_view name = draft.name();
  const size_t dot = name.rfind('.');
  FieldErrors& errors = draft.errors;
  if (dot == std::string_view::npos) return errors.invalid_string("metadata.name", name, "name must be in the form of <group>.<resource>");
  for (const std::string& problem : model::check_dns1123_subdomain(name.substr(0, dot)))
    errors.invalid_string("metadata.name", name, "the group segment " + problem);
  for (const std::string& problem : model::check_dns1035_label(name.substr(dot + 1)))
    errors.invalid_string("metadata.name", name, "the resource segment " + problem);
}

void validate_storage_version_status(Draft& draft) {
  const Node& status = draft.status();
  std::set<std::string, std::less<>> servers;
  each(status, "storageVersions", "status", [&](const Node& server, const std::string& here) {
    const std::string_view id = server.string_at("apiServerID");
    if (!servers.emplace(id).second) draft.errors.duplicate(here + ".apiServerID", id);
    validate_server(server, here, draft.errors);
  });
  validate_common(status, draft.errors);
  validate_version_conditions(status, draft.errors);
}

void validate_migration(Draft& draft) {
  check_migration(draft);
  if (!draft.creating()) require_unchanged(draft, "spec");
}

void validate_migration_status(Draft& draft) {
  FieldErrors& errors = draft.errors;
  const Node *now = draft.status().find("resourceVersion"), *before = draft.old->at("status", "resourceVersion");
  const std::string_view version = now ? now->as_string() : std::string_view();
  if (!version.empty() && !parse_number<uint64_t>(version))
    errors.invalid_string("status.resourceVersion", version, "resource version is not well formed: " + std::string(version));
  if (present(before) && !before->as_string().empty() && before->as_string() != version)
    errors.invalid_string("status.resourceVersion", version, "field is immutable");
  const Node* conditions = draft.status().find("conditions");
  constexpr FieldRule rules[] = {{"conditions[].type", Check::required},   {"conditions[].type", Check::qualified_name},
                                 {"conditions[].status", Check::required}, {"conditions[].status", Check::one_of, "False True Unknown"},
                                 {"conditions[].reason", Check::required}, {"conditions[].lastTransitionTime", Check::required}};
  check_fields(draft.status(), rules, "status", errors);
  if (model::has_condition(draft.object, "Succeeded") && model::has_condition(draft.object, "Failed"))
    errors.invalid("status.conditions", conditions, "Both success and failed conditions cannot be true at the same time");
  if (model::has_condition(*draft.old, "Succeeded") && !model::has_condition(draft.object, "Succeeded"))
    errors.invalid("status.conditions", conditions, "Success condition cannot be set to false once it is true");
  if (model::has_condition(*draft.old, "Failed") && !model::has_condition(draft.object, "Failed"))
    errors.invalid("status.conditions", conditions, "Failed condition cannot be set to false once it is true");
}

}  // namespace estiba::apiserver::storage_versions
