// Pod affinity as a pod asks for it: terms that other pods match or not, worked out once when the pod is first seen.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "model/object.h"
#include "model/selector.h"
#include "model/types/core_v1.h"

namespace estiba::scheduler {

/// The labels of a namespace; none when it is not known.
class NamespaceLabels {
 public:
  virtual ~NamespaceLabels() = default;
  virtual const model::Labels& labels_of(std::string_view ns) const = 0;
};

/// Pods of some namespaces with some labels.
struct Term {
  std::vector<std::string> namespaces;
  model::LabelSelector by_namespace = model::LabelSelector::nothing();  ///< beside `namespaces`
  model::LabelSelector selector;
  std::string topology_key;
  std::string text;  ///< what it says, without the topology key: equal terms have equal texts

  bool matches(const model::Meta& pod, const NamespaceLabels& all) const;
  bool asks_for_namespaces() const { return by_namespace.empty() || !by_namespace.requirements().empty(); }
};
using TermPtr = std::shared_ptr<const Term>;

/// A term about the pods of one namespace.
TermPtr term_for(std::string ns, model::LabelSelector selector, std::string topology_key);

struct WeightedTerm {
  TermPtr term;
  int32_t weight = 0;  ///< below zero: keeps away
};

struct AffinityTerms {
  std::vector<TermPtr> required, required_anti;
  std::vector<WeightedTerm> preferred;
};

/// Null when the pod has no pod affinity. matchLabelKeys and mismatchLabelKeys are in its selectors already, by the API server.
std::shared_ptr<const AffinityTerms> affinity_terms_of(const model::ObjectRef& pod);

/// An absent selector matches nothing, and neither does one that is invalid.
model::LabelSelector selector_of(const model::Opt<model::meta_v1::LabelSelector>& selector);

}  // namespace estiba::scheduler
