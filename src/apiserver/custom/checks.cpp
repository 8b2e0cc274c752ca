#include "apiserver/custom/checks.h"

namespace estiba::apiserver {
namespace {

using model::Structural;

template <class F>
void each(const Structural& schema, F&& visit) {
  visit(schema);
  for (const auto& [key, property] : schema.properties) each(property, visit);
  for (const auto* below : {&schema.items, &schema.additional, &schema.negated})
    if (*below) each(**below, visit);
  for (const auto* list : {&schema.all_of, &schema.any_of, &schema.one_of})
    for (const Structural& below : *list) each(below, visit);
}

}  // namespace

void compile_patterns(const Structural& schema, Checks& out) {
  each(schema, [&out](const Structural& one) {
    if (one.pattern.empty() || out.patterns.contains(one.pattern)) return;
    if (auto compiled = Pattern::compile(one.pattern)) out.patterns.emplace(one.pattern, std::move(*compiled));
  });
}

void add_checks(model::CustomVersion& version) {
  auto made = std::make_shared<Checks>();
  compile_patterns(version.schema, *made);
  if (version.schema.has_rules) made->rules = std::make_unique<const Rules>(version.schema);
  version.checks = std::move(made);
}

const Checks* checks_of(const model::CustomVersion& version) { return static_cast<const Checks*>(version.checks.get()); }

}  // namespace estiba::apiserver
