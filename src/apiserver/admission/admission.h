// Admission: what the server itself makes of a write before it is stored, by plugins with Kubernetes' names, in Kubernetes'
// order. The mutating phase comes after the kind's defaults and before its validation, the validating phase after
// validation and before the write. A plugin is one file and one row of the table in table.cpp.
//
// Deletions pass both phases without a new object. Connections to pods, and subresources that are objects of their own
// (bindings, evictions, tokens), pass only NodeRestriction and what the cluster's users have added: webhooks and policies
// (admit_act). Reads do not come here.
#pragma once
#include <map>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "apiserver/action.h"
#include "apiserver/strategy.h"
#include "base/result.h"
#include "base/task.h"
#include "model/json.h"

namespace estiba::apiserver::admission {

enum class Operation : uint8_t { create, update, remove, connect };

/// The rounds of the mutating phase. A second one begins when a webhook or policy has changed the object; those that were
/// asked before the change and want it (reinvocationPolicy IfNeeded) are asked again in it.
struct Reinvocation {
  struct Asked {
    std::set<std::string> before, again;  ///< asked already; to be asked again
    std::string left;                     ///< the object as the plugin left it in the first round
    /// The object has changed: who was asked before is to be asked again.
    void require() { again.merge(before), before.clear(); }
  };
  bool second = false, wanted = false;
  std::map<std::string_view, Asked> by_plugin;
};

/// What a plugin sees of a write.
struct Attributes {
  Operation operation = Operation::create;
  const Action& action;  ///< the resource and subresource, who asks, the options as sent
  Cluster& cluster;
  json::Document* doc = nullptr;    ///< where the new object lives; null in deletions
  json::Node* object = nullptr;     ///< the new object, changed in the mutating phase only; null in deletions
  const json::Node* old = nullptr;  ///< what is stored; null in creations
  bool dry_run = false;
  std::vector<std::string>& warnings;
  bool changed = false;            ///< a webhook or policy has changed the object
  Reinvocation* rounds = nullptr;  ///< in the mutating phase

  static Attributes of(Draft& draft);

  /// Whether the write is about this resource itself, not a subresource.
  bool is(std::string_view group, std::string_view resource) const { return action.subresource.empty() && is_any(group, resource); }
  /// The same, whatever the subresource.
  bool is_any(std::string_view group, std::string_view resource) const {
    return action.resource->plural == resource && action.resource->group == group;
  }
  bool creating() const { return operation == Operation::create; }
  bool updating() const { return operation == Operation::update; }
  bool removing() const { return operation == Operation::remove; }

  /// A warning for the client, once.
  void warn(std::string text);
  std::string_view name() const;
  std::string_view ns() const { return action.resource->namespaced ? std::string_view(action.ns) : std::string_view{}; }
  json::Node& spec() { return doc->ensure_object(*object, "spec"); }
  /// `pods "x" is forbidden: why`
  std::unexpected<Error> forbidden(std::string_view why) const;
};

struct Plugin {
  std::string_view name;
  Result<void> (*mutate)(Attributes&) = nullptr;
  Result<void> (*validate)(Attributes&) = nullptr;
  // The same for plugins that must wait: for a write of their own, for a webhook.
  Task<Result<void>> (*mutate_waiting)(Attributes&) = nullptr;
  Task<Result<void>> (*validate_waiting)(Attributes&) = nullptr;
};

/// All plugins, in order.
std::span<const Plugin> plugins();

/// The two phases; the first refusal ends them. What a webhook or policy has changed passes the mutating plugins once more.
/// `attributes` must outlive the task.
Task<Result<void>> mutate(Attributes& attributes);
Task<Result<void>> validate(Attributes& attributes);
/// NodeRestriction and both phases of webhooks and policies, for an act on an object: `object` is the act's own (a Binding, an Eviction,
/// PodExecOptions), changed in place. Nothing of an update has an `old`.
Task<Result<void>> admit_act(Cluster& cluster, const Action& action, Operation operation, json::Document& object,
                             std::vector<std::string>& warnings);
/// Whether any webhook or policy may want to know of writes; if not, admit_act need not be called.
bool has_extensions(Cluster& cluster);

}  // namespace estiba::apiserver::admission
