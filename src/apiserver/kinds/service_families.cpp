#include "apiserver/kinds/service_families.h"

#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/value_checks.h"
#include "base/strings.h"

namespace estiba::apiserver::service {
namespace {

using json::Node;

constexpr std::string_view policy_field = "spec.ipFamilyPolicy";

std::string_view other_than(std::string_view family) { return family == "IPv4" ? "IPv6" : "IPv4"; }

uint32_t count(const Node& spec, std::string_view list) {
  const Node* found = spec.find(list);
  return present(found) ? found->size() : 0;
}

bool is_dual(const Node& spec) { return spec.string_at("ipFamilyPolicy") != "SingleStack"; }

bool selectorless_headless(const Node& spec) { return spec.string_at("clusterIP") == "None" && !has_value(spec, "selector"); }

// A PreferDualStack Service stays as it is while nobody touches what the policy is about.
bool stays(const Node& spec, const Node& old) {
  return spec.string_at("type") == old.string_at("type") && spec.string_at("type") != "ExternalName" &&
         spec.string_at("ipFamilyPolicy") == "PreferDualStack" && old.string_at("ipFamilyPolicy") == "PreferDualStack" &&
         same(spec.find("clusterIPs"), old.find("clusterIPs")) && same(spec.find("ipFamilies"), old.find("ipFamilies"));
}

void default_policy(Draft& draft, const Node* old) {
  Node& spec = draft.spec();
  if (has_value(spec, "ipFamilyPolicy")) return;
  std::string_view policy = selectorless_headless(spec) ? "RequireDualStack" : "SingleStack";
  if (old && has_value(*old, "ipFamilyPolicy")) policy = old->string_at("ipFamilyPolicy");
  draft.doc.set(spec, "ipFamilyPolicy", policy);
}

void cut_to_first(Draft& draft, std::string_view list) {
  Node& kept = draft.doc.make_array();
  draft.doc.append(kept, draft.doc.copy((*draft.spec().find(list))[0]));
  draft.doc.set(draft.spec(), list, kept);
}

// Leaving dual stack needs the policy: then what only the policy would take away goes with it.
void follow_change(Draft& draft, const Node& old) {
  Node& spec = draft.spec();
  for (auto [list, what] :
       {std::pair<std::string_view, std::string_view>{"clusterIPs", "secondary cluster IP"}, {"ipFamilies", "secondary IP family"}}) {
    const uint32_t now = count(spec, list), before = count(old, list);
    if (!is_dual(spec)) {
      if (now > 1 && same(spec.find(list), old.find(list))) cut_to_first(draft, list);
    } else if (now > 0 && now < before) {
      draft.errors.invalid_string(std::string(policy_field), spec.string_at("ipFamilyPolicy"),
                                  "must be 'SingleStack' to release the " + std::string(what));
    }
  }
}

void refuse_two_of_one(Draft& draft) {
  const Node& spec = draft.spec();
  if (is_dual(spec)) return;
  for (auto [list, what] : {std::pair<std::string_view, std::string_view>{"clusterIPs", "cluster IPs"}, {"ipFamilies", "IP families"}}) {
    if (count(spec, list) != 2) continue;
    draft.errors.invalid_string(std::string(policy_field), spec.string_at("ipFamilyPolicy"),
                                "must be 'RequireDualStack' or 'PreferDualStack' when multiple " + std::string(what) + " are specified");
  }
}

void infer_from_addresses(Draft& draft) {
  Node& spec = draft.spec();
  const Node* list = spec.find("clusterIPs");
  if (!present(list)) return;
  for (uint32_t i = 0; i < list->size(); ++i) {
    const std::string_view address = (*list)[i].as_string();
    const int family = ip_family(address);
    if (address == "None" || family == 0) break;
    if (i < count(spec, "ipFamilies")) continue;
    const std::string_view name = family_name(family == 6);
    if (!draft.cluster.services().has_family(name))
      draft.errors.invalid(at("spec.clusterIPs", i), list, std::string(name) + " is not configured on this cluster");
    else draft.doc.append(ensure_array(draft.doc, spec, "ipFamilies"), draft.doc.make_string(name));
  }
}

void default_families(Draft& draft) {
  if (count(draft.spec(), "ipFamilies") == 0)
    draft.doc.append(ensure_array(draft.doc, draft.spec(), "ipFamilies"), draft.doc.make_string(draft.cluster.services().default_family()));
}

void add_other_family(Draft& draft) {
  Node& families = *draft.spec().find("ipFamilies");
  if (families.size() > 1 || !is_dual(draft.spec())) return;
  draft.doc.append(families, draft.doc.make_string(other_than(families[0].as_string())));
}

}  // namespace

void choose_families(Draft& draft, const Node* old) {
  const ServiceAllocator& allocator = draft.cluster.services();
  const bool both = allocator.cidrs().size() == 2;
  Node& spec = draft.spec();
  if (spec.string_at("type") == "ExternalName") return;
  if (old && stays(spec, *old)) return;
  default_policy(draft, old);
  if (old) follow_change(draft, *old);
  refuse_two_of_one(draft);
  infer_from_addresses(draft);
  if (!draft.errors.empty()) return;
  if (selectorless_headless(spec)) {
    // Nobody knows the families of endpoints that are made by hand: both, unless one is asked for, whatever the cluster has.
    default_families(draft);
    return add_other_family(draft);
  }
  if (!both && spec.string_at("ipFamilyPolicy") == "RequireDualStack")
    draft.errors.invalid_string(std::string(policy_field), "RequireDualStack", "this cluster is not configured for dual-stack services");
  const Node* families = spec.find("ipFamilies");
  for (uint32_t i = 0; i < count(spec, "ipFamilies"); ++i) {
    const std::string_view family = (*families)[i].as_string();
    if (!allocator.has_family(family)) draft.errors.invalid_string(at("spec.ipFamilies", i), family, "not configured on this cluster");
  }
  if (!draft.errors.empty()) return;
  default_families(draft);
  if (both) add_other_family(draft);
}

}  // namespace estiba::apiserver::service
