#include "apiserver/kinds/webhook_rules.h"

#include <set>

#include "apiserver/edit.h"
#include "apiserver/kinds/rules.h"
#include "base/strings.h"
#include "model/names.h"

namespace estiba::apiserver {

using json::Node;

namespace {

constexpr size_t most_conditions = 64;

bool has_text(const Node& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(), [text](const Node& item) { return item.as_string() == text; });
}

// A list that must have items, of which "*" is the only one where it is.
void check_names(const Node& rule, std::string_view key, std::string_view others, bool may_be_empty, const std::string& path,
                 FieldErrors& errors) {
  const std::string field = path + "." + std::string(key);
  const Node* list = rule.find(key);
  if (!present(list) || list->empty()) return errors.required(field);
  if (list->size() > 1 && has_text(*list, "*"))
    errors.invalid(field, list, "if '*' is present, must not specify other " + std::string(others));
  size_t i = 0;
  for (const Node& item : *list) {
    if (item.as_string().empty() && !may_be_empty) errors.required(at(field, i));
    ++i;
  }
}

// "pods", "pods/log", "*", "pods/*", "*/scale", "*/*": none of which may cover another.
void check_resources(const Node& rule, const std::string& path, FieldErrors& errors) {
  const std::string field = path + ".resources";
  const Node* list = rule.find("resources");
  if (!present(list) || list->empty()) return errors.required(field);
  std::set<std::string_view> all_of_resource, resource_of_all;
  bool whole = false, single = false, plain = false;
  size_t i = 0;
  for (const Node& item : *list) {
    const std::string where = at(field, i++);
    const std::string text(item.as_string());
    if (text.empty()) {
      errors.required(where);
      continue;
    }
    whole |= text == "*/*";
    single |= text == "*";
    const auto [resource, rest] = split_once(item.as_string(), '/');
    if (!rest) {
      plain = text != "*";
      continue;
    }
    if (all_of_resource.contains(resource))
      errors.invalid_string(where, text, "if '" + std::string(resource) + "/*' is present, must not specify " + text);
    if (resource_of_all.contains(*rest))
      errors.invalid_string(where, text, "if '*/" + std::string(*rest) + "' is present, must not specify " + text);
    if (*rest == "*") all_of_resource.insert(resource);
    if (resource == "*") resource_of_all.insert(*rest);
  }
  if (list->size() > 1 && whole) errors.invalid(field, list, "if '*/*' is present, must not specify other resources");
  if (single && plain) errors.invalid(field, list, "if '*' is present, must not specify other resources without subresources");
}

}  // namespace

void check_webhook_url(std::string_view url, const std::string& field, FieldErrors& errors) {
  constexpr std::string_view form = "; desired format: https://host[/path]";
  if (!url.starts_with("https://")) {
    const auto scheme = split_once(url, ':').first;
    return errors.invalid_string(field, scheme == url ? std::string_view() : scheme,
                                 "'https' is the only allowed URL scheme" + std::string(form));
  }
  const std::string_view rest = url.substr(8), host = rest.substr(0, rest.find('/'));
  if (host.empty()) return errors.invalid_string(field, "", "host must be specified" + std::string(form));
  if (host.find('@') != std::string_view::npos)
    errors.invalid_string(field, host.substr(0, host.find('@')), "user information is not permitted in the URL");
  if (rest.find('#') != std::string_view::npos)
    errors.invalid_string(field, rest.substr(rest.find('#') + 1), "fragments are not permitted in the URL");
  if (rest.find('?') != std::string_view::npos)
    errors.invalid_string(field, rest.substr(rest.find('?') + 1), "query parameters are not permitted in the URL");
}

void check_webhook_service(const Node& service, const std::string& path, FieldErrors& errors) {
  if (service.string_at("name").empty()) errors.required(path + ".name", "service name is required");
  if (service.string_at("namespace").empty()) errors.required(path + ".namespace", "service namespace is required");
  const Node* port = service.find("port");
  const int64_t number = port ? port->as_int().value_or(443) : 443;
  if (number < 1 || number > 65535)
    errors.invalid(path + ".port", std::string_view(std::to_string(number)), "port is not valid: must be between 1 and 65535, inclusive");
  const std::string_view url_path = service.string_at("path");
  if (!url_path.empty() && url_path[0] != '/') errors.invalid_string(path + ".path", url_path, "must start with a '/'");
}

void check_webhook_client(const Node* config, const std::string& path, FieldErrors& errors) {
  const Node* url = present(config) ? config->find("url") : nullptr;
  const Node* service = present(config) ? config->find("service") : nullptr;
  if (present(url) == present(service)) errors.required(path, "exactly one of url or service is required");
  else if (present(url)) check_webhook_url(url->as_string(), path + ".url", errors);
  else check_webhook_service(*service, path + ".service", errors);
}

void check_review_versions(const Node* versions, const std::string& path, std::string_view missing, FieldErrors& errors) {
  if (!present(versions) || versions->empty()) return errors.required(path, missing);
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Node& version : *versions) {
    const std::string field = at(path, i++);
    if (!seen.insert(version.as_string()).second) errors.invalid(field, &version, "duplicate version");
    else
      for (const std::string& problem : model::check_dns1035_label(version.as_string())) errors.invalid(field, &version, problem);
  }
  if (!seen.contains("v1") && !seen.contains("v1beta1")) errors.invalid(path, versions, "must include at least one of v1, v1beta1");
}

void check_admission_rule(const Node& rule, const std::string& path, FieldErrors& errors) {
  check_names(rule, "operations", "operations", true, path, errors);
  if (const Node* operations = rule.find("operations"); present(operations)) {
    size_t i = 0;
    for (const Node& operation : *operations) {
      const std::string field = at(path + ".operations", i++);
      if (operation.as_string().empty()) errors.not_supported(field, "", {"*", "CONNECT", "CREATE", "DELETE", "UPDATE"});
      else require_one_of(&operation, field, {"*", "CONNECT", "CREATE", "DELETE", "UPDATE"}, errors);
    }
  }
  check_names(rule, "apiGroups", "API groups", true, path, errors);
  check_names(rule, "apiVersions", "API versions", false, path, errors);
  check_resources(rule, path, errors);
  require_one_of(rule.find("scope"), path + ".scope", {"*", "Cluster", "Namespaced"}, errors);
}

void check_expression(const admission::Expression& expression, std::string_view shown, std::string field, FieldErrors& errors) {
  if (!expression.program) errors.invalid_string(std::move(field), shown, expression.error);
}

void check_match_conditions(const Node* conditions, const admission::Names& names, const std::string& path, FieldErrors& errors) {
  if (!present(conditions)) return;
  if (conditions->size() > most_conditions)
    errors.add({"FieldValueTooMany", "Too many: " + std::to_string(conditions->size()) + ": must have at most 64 items", path});
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Node& condition : *conditions) {
    const std::string where = at(path, i++);
    const std::string_view text = trim(condition.string_at("expression")), name = condition.string_at("name");
    if (text.empty()) errors.required(where + ".expression");
    else if (i <= most_conditions)
      check_expression(admission::compile_expression(text, names, admission::Use::condition, admission::Wanted::boolean), text,
                       where + ".expression", errors);
    if (name.empty()) errors.required(where + ".name");
    else require_qualified_name(name, where + ".name", errors);
    if (!name.empty() && !seen.insert(name).second) errors.duplicate(where + ".name", name);
  }
}

}  // namespace estiba::apiserver
