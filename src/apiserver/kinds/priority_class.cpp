#include <algorithm>

#include "apiserver/edit.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/simple.h"

namespace estiba::apiserver::simple {
namespace {

constexpr int64_t highest_of_users = 1'000'000'000;

// Why a class with a system's name is not the system's own; empty when it is.
std::string unlike_system_class(std::string_view name, int64_t value, bool is_default) {
  struct Known {
    std::string_view name;
    int64_t value;
  };
  constexpr Known known[] = {{"system-node-critical", 2000001000}, {"system-cluster-critical", 2000000000}};
  const auto* row = std::find_if(std::begin(known), std::end(known), [&](const Known& k) { return k.name == name; });
  const std::string called(name);
  if (row == std::end(known)) return called + " is not a known system priority class";
  if (row->value != value) return "value of " + called + " PriorityClass must be " + std::to_string(row->value);
  return is_default ? "globalDefault of " + called + " PriorityClass must be false" : "";
}

}  // namespace

void default_priority_class(json::Document& doc, json::Node& object) {
  default_string(doc, object, "preemptionPolicy", "PreemptLowerPriority");
}

void validate_priority_class(Draft& draft) {
  const json::Node *number = draft.object.find("value"), *flag = draft.object.find("globalDefault");
  const int64_t value = number ? number->as_int().value_or(0) : 0;
  if (draft.name().starts_with("system-")) {
    const std::string why = unlike_system_class(draft.name(), value, present(flag) && flag->as_bool());
    if (!why.empty())
      draft.errors.forbidden("metadata.name", "priority class names with 'system-' prefix are reserved for system use only. error: " + why);
  } else if (value > highest_of_users) {
    draft.errors.forbidden("value", "maximum allowed value of a user defined priority is " + std::to_string(highest_of_users));
  }
  require_one_of(draft.object.find("preemptionPolicy"), "preemptionPolicy", {"Never", "PreemptLowerPriority"}, draft.errors);
  if (draft.creating()) return;
  if (!same(draft.old->find("value"), number)) draft.errors.forbidden("value", "may not be changed in an update.");
  require_unchanged(draft, "preemptionPolicy");
}

}  // namespace estiba::apiserver::simple
