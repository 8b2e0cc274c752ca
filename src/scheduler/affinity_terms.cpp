#include "scheduler/affinity_terms.h"

#include <algorithm>

#include "model/types/meta_v1.h"

namespace estiba::scheduler {

using model::LabelSelector;
using model::core_v1::PodAffinityTerm;

bool Term::matches(const model::Meta& pod, const NamespaceLabels& all) const {
  if (std::ranges::find(namespaces, pod.ns) == namespaces.end() && (!asks_for_namespaces() || !by_namespace.matches(all.labels_of(pod.ns))))
    return false;
  return selector.matches(pod.labels);
}

static bool matches_nothing(const LabelSelector& selector) { return !selector.empty() && selector.requirements().empty(); }

static std::string text_of(const LabelSelector& selector) { return matches_nothing(selector) ? "-" : selector.print(); }

static TermPtr finished(Term term) {
  std::ranges::sort(term.namespaces);
  for (const std::string& ns : term.namespaces) term.text += ns + ",";
  term.text += "\n" + text_of(term.by_namespace) + "\n" + text_of(term.selector);
  return std::make_shared<const Term>(std::move(term));
}

TermPtr term_for(std::string ns, LabelSelector selector, std::string topology_key) {
  return finished({.namespaces = {std::move(ns)}, .selector = std::move(selector), .topology_key = std::move(topology_key)});
}

LabelSelector selector_of(const model::Opt<model::meta_v1::LabelSelector>& selector) {
  auto made = selector ? LabelSelector::from(*selector) : LabelSelector::nothing();
  return made ? std::move(*made) : LabelSelector::nothing();
}

static TermPtr term_of(const PodAffinityTerm& from, const model::Meta& pod) {
  Term term{.namespaces = from.namespaces, .topology_key = from.topologyKey};
  if (from.namespaces.empty() && !from.namespaceSelector) term.namespaces = {pod.ns};
  if (from.namespaceSelector) term.by_namespace = selector_of(from.namespaceSelector);
  term.selector = selector_of(from.labelSelector);
  return finished(std::move(term));
}

template <class Affinity>
static void collect(const Affinity& from, const model::Meta& pod, std::vector<TermPtr>& required, std::vector<WeightedTerm>& preferred,
                    int32_t sign) {
  for (const auto& term : from.requiredDuringSchedulingIgnoredDuringExecution) required.push_back(term_of(term, pod));
  for (const auto& term : from.preferredDuringSchedulingIgnoredDuringExecution)
    preferred.push_back({term_of(term.podAffinityTerm, pod), sign * term.weight});
}

std::shared_ptr<const AffinityTerms> affinity_terms_of(const model::ObjectRef& pod) {
  const auto& affinity = pod.as<model::core_v1::Pod>().spec.affinity;
  if (!affinity || (!affinity->podAffinity && !affinity->podAntiAffinity)) return nullptr;
  auto terms = std::make_shared<AffinityTerms>();
  if (affinity->podAffinity) collect(*affinity->podAffinity, pod.meta(), terms->required, terms->preferred, 1);
  if (affinity->podAntiAffinity) collect(*affinity->podAntiAffinity, pod.meta(), terms->required_anti, terms->preferred, -1);
  return terms;
}

}  // namespace estiba::scheduler
