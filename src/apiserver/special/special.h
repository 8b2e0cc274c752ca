// Actions that are no plain reads and writes of objects: subresources (scale, binding, eviction, tokens, finalize) and the
// reviews, which nothing stores. One file a family; special/table.cpp gathers them.
#pragma once
#include <span>

#include "apiserver/registry.h"

namespace estiba::apiserver {

class Api;

using Act = Task<Result<Outcome>> (*)(Api& api, Action action);
struct Special {
  std::string_view group, resource, subresource;
  Act act;
};

std::span<const Special> scale_actions();
/// The scale of any custom kind that has one.
Act scale_of_custom();
/// The Scale of an object whose metadata has its resourceVersion, as the action's kind has it …
json::Document scale_of(const Action& action, const json::Node& object);
/// … and the number of replicas that a Scale says, put into the object.
void take_scale(const Action& action, json::Document& doc, const json::Node& scale);
std::span<const Special> pod_actions();
/// The element of status.conditions of this type, made when it is missing.
json::Node& condition_of(json::Document& doc, json::Node& status, std::string_view type);
/// pods/eviction: deletes a pod as far as the disruption budget that covers it allows.
Task<Result<Outcome>> evict(Api& api, Action action);
std::span<const Special> namespace_actions();
std::span<const Special> token_actions();
std::span<const Special> review_actions();
std::span<const Special> metrics_actions();

/// What acts on this action; null when the registry does. Also for reads of a subresource that is another kind (scale).
Act special_action(const Action& action);

}  // namespace estiba::apiserver
