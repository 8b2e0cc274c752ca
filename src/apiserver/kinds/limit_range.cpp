#include "apiserver/edit.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/simple.h"
#include "base/strings.h"
#include "model/quota.h"

namespace estiba::apiserver::simple {
namespace {

using model::Quantity;
using model::ResourceList;

// Copies what `from` says and `to` does not.
void fill(json::Document& doc, json::Node& item, std::string_view to, std::string_view from) {
  const json::Node* source = item.find(from);
  if (!present(source)) return;
  for (const json::Node& entry : *source) {
    json::Node& list = ensure(doc, item, to);
    if (!has(list, entry.key())) set_copy(doc, list, entry.key(), &entry);
  }
}

struct Bound {
  std::string_view low, high;  // what must not be above what
};
constexpr Bound bounds[] = {
    {"min", "max"},    {"min", "defaultRequest"}, {"min", "default"}, {"defaultRequest", "max"}, {"defaultRequest", "default"},
    {"default", "max"}};

void check_item(const json::Node& item, const std::string& path, FieldErrors& errors) {
  for (const Bound& bound : bounds) {
    const ResourceList low = model::read_resources(item.find(bound.low)), high = model::read_resources(item.find(bound.high));
    for (const auto& [name, quantity] : low) {
      const auto other = high.find(name);
      if (other == high.end() || quantity <= other->second) continue;
      // The complaint is about the field between the bounds.
      const std::string_view field = bound.low == "min" && bound.high != "max" ? bound.high : bound.low;
      const Quantity& value = field == bound.low ? quantity : other->second;
      const std::string than = field == bound.low ? std::string(bound.high) + " value " + other->second.print()
                                                  : std::string(bound.low) + " value " + quantity.print();
      const std::string relation = field == bound.low ? "greater than " : "less than ";
      errors.invalid_string(at(path + "." + std::string(field), name), value.print(),
                            std::string(field) + " value " + value.print() + " is " + relation + than);
    }
  }
  for (const auto& [name, ratio] : model::read_resources(item.find("maxLimitRequestRatio")))
    if (ratio < Quantity::of(1))
      errors.invalid_string(at(path + ".maxLimitRequestRatio", name), ratio.print(), "ratio " + ratio.print() + " is less than 1");
}

}  // namespace

void default_limit_range(json::Document& doc, json::Node& object) {
  json::Node* spec = object.find("spec");
  json::Node* limits = present(spec) ? spec->find("limits") : nullptr;
  if (!present(limits)) return;
  for (json::Node& item : *limits) {
    if (item.string_at("type") != "Container") continue;
    fill(doc, item, "default", "max");
    fill(doc, item, "defaultRequest", "default");
    fill(doc, item, "defaultRequest", "min");
  }
}

void validate_limit_range(Draft& draft) {
  const json::Node* limits = draft.spec().find("limits");
  if (!present(limits)) return;
  size_t i = 0;
  for (const json::Node& item : *limits) {
    const std::string path = at("spec.limits", i++);
    const std::string_view type = item.string_at("type");
    if (type == "Pod")
      for (std::string_view field : {"default", "defaultRequest"})
        if (has_value(item, field)) draft.errors.forbidden(path + "." + std::string(field), "may not be specified when `type` is 'Pod'");
    if (type == "PersistentVolumeClaim" && !item.at("min", "storage") && !item.at("max", "storage"))
      draft.errors.required(path + ".limits", "either minimum or maximum storage value is required, but neither was provided");
    check_item(item, path, draft.errors);
  }
}

}  // namespace estiba::apiserver::simple
