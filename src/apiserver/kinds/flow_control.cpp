// FlowSchema and PriorityLevelConfiguration (pkg/apis/flowcontrol/validation).
#include <cmath>

#include "apiserver/edit.h"
#include "apiserver/fairness/bootstrap.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/simple.h"
#include "base/strings.h"

namespace estiba::apiserver::simple {
namespace {

constexpr int64_t last_precedence = 10000, most_queues = 10'000'000;
constexpr double most_hash_bits = 60;  // k8s.io/apiserver, pkg/util/shufflesharding

int64_t number(const json::Node* node) { return present(node) ? node->as_int().value_or(0) : 0; }
std::string shown(int64_t value) { return std::to_string(value); }

bool has_wildcard(const json::Node* list) {
  return present(list) && std::any_of(list->begin(), list->end(), [](const json::Node& one) { return one.as_string() == "*"; });
}

// A list that holds '*' alone, or other values; whether there is more to check in it.
bool require_list(const json::Node& rule, std::string_view key, const std::string& path, std::string_view missing, std::string_view what,
                  FieldErrors& errors) {
  const json::Node* list = rule.find(key);
  const std::string field = path + "." + std::string(key);
  if (!present(list) || list->empty()) {
    errors.required(field, missing);
    return false;
  }
  if (!has_wildcard(list)) return true;
  if (list->size() > 1) errors.invalid(field, list, "if '*' is present, must not specify other " + std::string(what));
  return false;
}

void validate_verbs(const json::Node& rule, const std::string& path, FieldErrors& errors) {
  static constexpr std::string_view known[] = {"create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"};
  if (!require_list(rule, "verbs", path, "verbs must contain at least one value", "verbs", errors)) return;
  for (const json::Node& verb : *rule.find("verbs")) {
    if (std::find(std::begin(known), std::end(known), verb.as_string()) != std::end(known)) continue;
    errors.not_supported(path + ".verbs", json::print(*rule.find("verbs")), known);
    return;
  }
}

void validate_subject(const json::Node& subject, const std::string& path, FieldErrors& errors) {
  struct Kind {
    std::string_view kind, member;
  };
  static constexpr Kind kinds[] = {{"ServiceAccount", "serviceAccount"}, {"Group", "group"}, {"User", "user"}};
  const std::string_view kind = subject.string_at("kind");
  const auto* found = std::find_if(std::begin(kinds), std::end(kinds), [&](const Kind& one) { return one.kind == kind; });
  if (found == std::end(kinds)) return errors.not_supported(path + ".kind", kind, {"Group", "ServiceAccount", "User"});
  for (const Kind& one : kinds) {
    const std::string field = path + "." + std::string(one.member), member(one.member);
    const json::Node* value = subject.find(one.member);
    if (one.kind != kind) {
      if (present(value)) errors.forbidden(field, member + " is forbidden when subject kind is not '" + std::string(one.kind) + "'");
    } else if (!present(value)) {
      errors.required(field, member + " is required when subject kind is '" + std::string(kind) + "'");
    } else {
      const std::string_view name = value->string_at("name");
      if (name.empty()) errors.required(field + ".name");
      if (kind != "ServiceAccount") continue;
      if (!name.empty() && name != "*") require_dns_subdomain(name, field + ".name", errors);
      if (value->string_at("namespace").empty()) errors.required(field + ".namespace", "must specify namespace for service account");
      else require_dns_label(value->string_at("namespace"), field + ".namespace", errors);
    }
  }
}

void validate_path(std::string_view path, const std::string& field, FieldErrors& errors) {
  const char* wrong = nullptr;
  const size_t star = path.find('*');
  if (path.empty()) wrong = "must not be empty";
  else if (path == "/") return;
  else if (!path.starts_with('/')) wrong = "must start with slash";
  else if (path.find(' ') != path.npos) wrong = "must not contain white-space";
  else if (path.find("//") != path.npos) wrong = "must not contain double slash";
  else if (star != path.npos && (star + 1 != path.size() || !path.ends_with("/*"))) wrong = "wildcard can only do suffix matching";
  if (wrong) errors.invalid_string(field, path, wrong);
}

void validate_resource_rule(const json::Node& rule, const std::string& path, FieldErrors& errors) {
  validate_verbs(rule, path, errors);
  require_list(rule, "apiGroups", path, "resource rules must supply at least one api group", "api groups", errors);
  require_list(rule, "resources", path, "resource rules must supply at least one resource", "resources", errors);
  const json::Node *cluster = rule.find("clusterScope"), *namespaces = rule.find("namespaces");
  if (present(cluster) && cluster->as_bool() && (!present(namespaces) || namespaces->empty())) return;
  if (!require_list(rule, "namespaces", path, "resource rules that are not cluster scoped must supply at least one namespace", "namespaces",
                    errors))
    return;
  for (size_t i = 0; i < namespaces->size(); ++i) require_dns_label((*namespaces)[i].as_string(), at(path + ".namespaces", i), errors);
}

void validate_flow_rule(const json::Node& rule, const std::string& path, FieldErrors& errors) {
  const json::Node *subjects = rule.find("subjects"), *resources = rule.find("resourceRules"), *paths = rule.find("nonResourceRules");
  auto none = [](const json::Node* list) { return !present(list) || list->empty(); };
  if (none(subjects)) errors.required(path + ".subjects", "subjects must contain at least one value");
  for (size_t i = 0; !none(subjects) && i < subjects->size(); ++i) validate_subject((*subjects)[i], at(path + ".subjects", i), errors);
  if (none(resources) && none(paths)) errors.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty");
  for (size_t i = 0; !none(resources) && i < resources->size(); ++i)
    validate_resource_rule((*resources)[i], at(path + ".resourceRules", i), errors);
  for (size_t i = 0; !none(paths) && i < paths->size(); ++i) {
    const std::string here = at(path + ".nonResourceRules", i);
    validate_verbs((*paths)[i], here, errors);
    if (!require_list((*paths)[i], "nonResourceURLs", here, "nonResourceURLs must contain at least one value", "non-resource URLs", errors))
      continue;
    const json::Node& urls = *(*paths)[i].find("nonResourceURLs");
    for (size_t j = 0; j < urls.size(); ++j) validate_path(urls[j].as_string(), at(here + ".nonResourceURLs", j), errors);
  }
}

// What every cluster has stays as it is.
void require_fixed(Draft& draft, std::string_view resource) {
  const FairnessObject* fixed = find_fairness_object(resource, draft.name());
  if (!fixed || !fixed->mandatory) return;
  json::Document wanted = std::move(*json::Document::parse(fixed->spec));
  json::Document now;
  now.set_root(now.copy(draft.spec()));
  const bool exempt = draft.name() == "exempt" && resource != "flowschemas";
  for (json::Document* doc : {&wanted, &now})
    if (exempt) doc->remove(doc->root(), "exempt");
  if (same(&wanted.root(), &now.root())) return;
  draft.errors.invalid(
      "spec", &draft.spec(),
      "spec of '" + std::string(draft.name()) + (exempt ? "' except the 'spec.exempt' field" : "'") + " must equal the fixed value");
}

void validate_shares(const json::Node& part, const std::string& path, FieldErrors& errors) {
  const int64_t shares = number(part.find("nominalConcurrencyShares")), lendable = number(part.find("lendablePercent"));
  if (shares < 0) errors.invalid(path + ".nominalConcurrencyShares", std::string_view(shown(shares)), "must be a non-negative integer");
  if (lendable < 0 || lendable > 100)
    errors.invalid(path + ".lendablePercent", std::string_view(shown(lendable)), "must be between 0 and 100, inclusive");
}

void validate_queuing(const json::Node& queuing, const std::string& path, FieldErrors& errors) {
  const int64_t length = number(queuing.find("queueLengthLimit")), queues = number(queuing.find("queues")),
                hand = number(queuing.find("handSize"));
  auto wrong = [&](std::string_view key, int64_t value, std::string text) {
    errors.invalid(path + "." + std::string(key), std::string_view(shown(value)), text);
  };
  if (length <= 0) wrong("queueLengthLimit", length, "must be positive");
  if (queues <= 0) wrong("queues", queues, "must be positive");
  else if (queues > most_queues) wrong("queues", queues, "must not be greater than " + shown(most_queues));
  if (hand <= 0) return wrong("handSize", hand, "must be positive");
  if (hand > queues) return wrong("handSize", hand, "should not be greater than queues (" + shown(queues) + ")");
  double bits = 0;
  for (int64_t i = 0; i < hand && bits <= most_hash_bits; ++i) bits += std::log2(double(queues - i));
  if (std::ceil(bits) > most_hash_bits)
    wrong("handSize", hand,
          "required entropy bits of deckSize " + shown(queues) + " and handSize " + shown(hand) + " should not be greater than 60");
}

void validate_limited(const json::Node& limited, FieldErrors& errors) {
  const std::string path = "spec.limited";
  validate_shares(limited, path, errors);
  const std::string_view type = limited.string_at("limitResponse", "type");
  const json::Node* queuing = limited.at("limitResponse", "queuing");
  if (type == "Reject") {
    if (present(queuing)) errors.forbidden(path + ".limitResponse.queuing", "must be nil if limited.limitResponse.type is not Limited");
  } else if (type == "Queue") {
    if (present(queuing)) validate_queuing(*queuing, path + ".limitResponse.queuing", errors);
    else errors.required(path + ".limitResponse.queuing", "must not be empty if limited.limitResponse.type is Limited");
  } else {
    errors.not_supported(path + ".limitResponse.type", type, {"Queue", "Reject"});
  }
  if (const int64_t borrowing = number(limited.find("borrowingLimitPercent")); borrowing < 0)
    errors.invalid(path + ".borrowingLimitPercent", std::string_view(shown(borrowing)), "if specified, must be a non-negative integer");
}

}  // namespace

void default_flow_schema(json::Document& doc, json::Node& object) {
  json::Node& spec = ensure(doc, object, "spec");
  if (!has_value(spec, "matchingPrecedence")) set_int(doc, spec, "matchingPrecedence", 1000);
}

void default_priority_level(json::Document& doc, json::Node& object) {
  json::Node& spec = ensure(doc, object, "spec");
  json::Node *exempt = spec.find("exempt"), *limited = spec.find("limited");
  if (present(exempt)) {
    default_int(doc, *exempt, "nominalConcurrencyShares", 0);
    default_int(doc, *exempt, "lendablePercent", 0);
  }
  if (!present(limited)) return;
  default_int(doc, *limited, "nominalConcurrencyShares", 30);
  default_int(doc, *limited, "lendablePercent", 0);
  json::Node* response = limited->find("limitResponse");
  json::Node* queuing = response ? response->find("queuing") : nullptr;
  if (!present(queuing)) return;
  for (const auto& [key, value] : {std::pair{"queues", 64}, std::pair{"handSize", 8}, std::pair{"queueLengthLimit", 50}})
    if (!has_value(*queuing, key)) set_int(doc, *queuing, key, value);
}

void validate_flow_schema(Draft& draft) {
  const json::Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  const int64_t precedence = number(spec.find("matchingPrecedence"));
  auto wrong = [&](std::string_view text) { errors.invalid("spec.matchingPrecedence", std::string_view(shown(precedence)), text); };
  if (precedence <= 0) wrong("must be a positive value");
  if (precedence > last_precedence) wrong("must not be greater than 10000");
  if (precedence == 1 && draft.name() != "exempt") wrong("only the schema named 'exempt' may have matchingPrecedence 1");
  if (const json::Node* method = spec.find("distinguisherMethod"); present(method))
    if (const std::string_view type = method->string_at("type"); type != "ByUser" && type != "ByNamespace")
      errors.not_supported("spec.distinguisherMethod.type", type, {"ByNamespace", "ByUser"});
  const std::string_view level = spec.string_at("priorityLevelConfiguration", "name");
  if (level.empty()) errors.required("spec.priorityLevelConfiguration.name", "must reference a priority level");
  else require_dns_subdomain(level, "spec.priorityLevelConfiguration.name", errors);
  const json::Node* rules = spec.find("rules");
  for (size_t i = 0; present(rules) && i < rules->size(); ++i) validate_flow_rule((*rules)[i], at("spec.rules", i), errors);
  require_fixed(draft, "flowschemas");
}

void validate_priority_level(Draft& draft) {
  const json::Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  const std::string_view type = spec.string_at("type");
  const json::Node *exempt = spec.find("exempt"), *limited = spec.find("limited");
  if ((draft.name() == "exempt") != (type == "Exempt"))
    errors.invalid_string("spec.type", type, "must be 'Exempt' if and only if `name` is 'exempt'");
  if (type == "Exempt") {
    if (present(limited)) errors.forbidden("spec.limited", "must be nil if the type is not Limited");
    if (present(exempt)) validate_shares(*exempt, "spec.exempt", errors);
  } else if (type == "Limited") {
    if (present(exempt)) errors.forbidden("spec.exempt", "must be nil if the type is Limited");
    if (present(limited)) validate_limited(*limited, errors);
    else errors.required("spec.limited", "must not be empty when type is Limited");
  } else {
    errors.not_supported("spec.type", type, {"Exempt", "Limited"});
  }
  require_fixed(draft, "prioritylevelconfigurations");
}

}  // namespace estiba::apiserver::simple
