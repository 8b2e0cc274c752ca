#include "apiserver/edit.h"
#include "apiserver/kinds/device_checks.h"
#include "apiserver/kinds/field_rules.h"
#include "cel/cel.h"

namespace estiba::apiserver::devices {
namespace {

using json::Node;

constexpr uint64_t most_cost = 1'000'000;
constexpr size_t longest_expression = 10 * 1024;
// What a slice may hold, by which the cost of an expression is estimated.
constexpr int64_t longest_domain = 63, longest_name = 32, longest_driver = 63, longest_value = 64, most_entries = 32;

/// The variable `device`: driver, attributes and capacity by domain and name, allowMultipleAllocations.
struct DeviceNames {
  cel::DeclPool pool;
  cel::Environment environment{cel::Features{.bindings = true}};

  DeviceNames() {
    const cel::DeclType* domain = pool.simple(cel::DeclForm::string, longest_domain);
    const cel::DeclType* name = pool.simple(cel::DeclForm::string, longest_name);
    const cel::DeclType* attributes = pool.map(pool.of(&cel::types::any, longest_value), most_entries, name);
    const cel::DeclType* capacities = pool.map(pool.of(&cel::types::quantity), most_entries, name);
    const cel::DeclPool::NewField fields[] = {
        {"driver", pool.simple(cel::DeclForm::string, longest_driver), true},
        {"attributes", pool.map(attributes, most_entries, domain), true},
        {"capacity", pool.map(capacities, most_entries, domain), true},
        {"allowMultipleAllocations", pool.simple(cel::DeclForm::boolean, 1), true},
    };
    environment.declare("device", pool.object("kubernetes.DRADevice", fields));
  }
};

void validate_expression(std::string_view text, const std::string& field, FieldErrors& errors) {
  if (text.size() > longest_expression) return;  // the table of rules says so
  static const DeviceNames names;
  auto program = cel::compile(text, names.environment);
  if (!program) {
    const bool unsound = !program.error().issues.empty();
    return errors.invalid_string(field, text, (unsound ? "compilation failed: " : "program instantiation failed: ") + program.error().text);
  }
  const cel::Type& type = program->type();
  if (&type != &cel::types::boolean && &type != &cel::types::any)
    return errors.invalid_string(field, text, "must evaluate to bool or the unknown type, not " + cel::to_string(type));
  if (program->estimate().max > most_cost) errors.forbidden(field, "too complex, exceeds cost limit");
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
