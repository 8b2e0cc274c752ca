#include "apiserver/edit.h"
#include "apiserver/kinds/device_checks.h"
#include "apiserver/kinds/field_rules.h"
#include "cel/device.h"

namespace estiba::apiserver::devices {
namespace {

using json::Node;

constexpr size_t longest_expression = 10 * 1024;

void validate_expression(std::string_view text, const std::string& field, FieldErrors& errors) {
  if (text.size() > longest_expression) return;  // the table of rules says so
  auto program = cel::compile(text, cel::device_environment());
  if (!program) {
    const bool unsound = !program.error().issues.empty();
    return errors.invalid_string(field, text, (unsound ? "compilation failed: " : "program instantiation failed: ") + program.error().text);
  }
  const cel::Type& type = program->type();
  if (&type != &cel::types::boolean && &type != &cel::types::any)
    return errors.invalid_string(field, text, "must evaluate to bool or the unknown type, not " + cel::to_string(type));
  if (program->estimate().max > cel::most_selector_cost) errors.forbidden(field, "too complex, exceeds cost limit");
}

}  // namespace

void validate_selectors(const Node& holder, const Node* stored, const std::string& path, FieldErrors& errors) {
  const Node* known = stored ? stored->find("selectors") : nullptr;
  each(holder, "selectors", path, [&](const Node& selector, const std::string& here) {
    const std::string_view text = selector.string_at("cel", "expression");
    if (!present(selector.find("cel"))) return;
    if (present(known)) {
      for (const Node& before : *known)
        if (before.string_at("cel", "expression") == text) return;
    }
    validate_expression(text, here + ".cel.expression", errors);
  });
}

}  // namespace estiba::apiserver::devices
