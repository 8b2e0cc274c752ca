#include "apiserver/custom/rules.h"

#include "apiserver/custom/values.h"
#include "base/strings.h"

namespace estiba::apiserver {

using json::Node;
using model::Structural;
using model::ValidationRule;

namespace {

constexpr size_t longest_message = 5 * 1024;
constexpr uint64_t request_bytes = 3 * 1024 * 1024;
constexpr std::string_view out_of_budget = "validation failed due to running out of cost budget, no further validation rules will be run";

std::string below(const std::string& path, std::string_view key) { return path.empty() ? std::string(key) : path + "." + std::string(key); }
bool has_lines(std::string_view text) { return text.find('\n') != std::string_view::npos; }
std::string shown(const ValidationRule& rule) { return std::string(trim(rule.message.empty() ? rule.rule : rule.message)); }
std::string default_message(const ValidationRule& rule) {
  return rule.message.empty() ? "failed rule: " + shown(rule) : std::string(trim(rule.message));
}

// "  .spec['a']" as the path of a field below the rule's own.
std::string normalized(std::string_view path) {
  std::string out;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path.substr(i).starts_with("['")) {
      const size_t end = std::min(path.find("']", i), path.size());
      out.append(out.empty() ? "" : ".").append(path.substr(i + 2, end - i - 2));
      i = end + 1;
    } else if (path[i] != '.' || !out.empty()) {
      out += path[i];
    }
  }
  return out;
}

void compile_rule(CompiledRule& out, const RuleSet& set) {
  const ValidationRule& rule = *out.rule;
  out.environment = rule.optional_old_self.value_or(false) ? &set.optional : &set.plain;
  if (trim(rule.rule).empty()) return;
  auto program = cel::compile(rule.rule, *out.environment);
  if (!program) {
    out.error = (program.error().issues.empty() ? "program instantiation failed: " : "compilation failed: ") + program.error().text;
    return;
  }
  if (&program->type() != &cel::types::boolean) {
    out.error = "cel expression must evaluate to a bool";
    return;
  }
  out.uses_old = program->uses("oldSelf");
  out.program.emplace(std::move(*program));
  if (rule.message_expression.empty()) return;
  auto message = cel::compile(rule.message_expression, *out.environment);
  if (!message) {
    out.message_error =
        (message.error().issues.empty() ? "messageExpression instantiation failed: " : "messageExpression compilation failed: ") +
        message.error().text;
  } else if (&message->type() != &cel::types::string) {
    out.message_error = "messageExpression must evaluate to a string";
  } else {
    out.message.emplace(std::move(*message));
  }
}

// One pass over an object. Ratcheting: what a rule without oldSelf says of a value that has not changed is no matter.
class Evaluate {
 public:
  Evaluate(const Rules& rules, FieldErrors& errors) : rules_(rules), errors_(errors) {}

  struct Before {
    const Node* value = nullptr;  // what correlates with the value
    bool unchanged = false;       // it, or (where nothing correlates) what holds it, equals the stored one
  };

  void value(const Node& node, const Structural& schema, const Before& before, const std::string& path) {
    if (over_ || !schema.has_rules || node.is_null()) return;
    if (const RuleSet* set = rules_.of(schema)) all(node, schema, *set, before, path);
    if (over_) return;
    if (node.is_array() && schema.items) {
      size_t i = 0;
      for (const Node& element : node)
        value(element, *schema.items, below_of(before, correlated_element(before.value, element, schema), element), at(path, i++));
    } else if (node.is_object()) {
      for (const Node& member : node) {
        const auto declared = schema.properties.find(member.key());
        const Structural* known = schema.member(member.key());
        if (!known) continue;
        const Node* old = before.value && before.value->is_object() ? before.value->find(member.key()) : nullptr;
        const std::string where = declared != schema.properties.end() ? apiserver::below(path, member.key()) : at(path, member.key());
        value(member, *known, below_of(before, old, member), where);
      }
    }
  }

 private:
  static Before below_of(const Before& before, const Node* old, const Node& now) {
    return {old, old ? json::equal(*old, now) : before.unchanged};
  }

  void all(const Node& node, const Structural& schema, const RuleSet& set, const Before& before, const std::string& path) {
    const bool has_old = before.value && !before.value->is_null();
    const cel::Value self = cel::Value::json(node, set.type);
    const cel::Value old = has_old ? cel::Value::json(*before.value, set.type) : cel::Value::null();
    for (const CompiledRule& rule : set.rules) {
      if (!rule.program) continue;
      const bool optional = rule.rule->optional_old_self.value_or(false);
      if (rule.uses_old && !has_old && !optional) continue;
      cel::Activation values(*rule.environment);
      values.set("self", self);
      values.set("oldSelf", !optional ? old : has_old ? cel::Value::optional(&old) : cel::Value::none());
      one(node, schema, rule, values, !rule.uses_old && before.unchanged, path);
      if (over_) return;
    }
  }

  void invalid(const Structural& schema, const std::string& path, const std::string& detail) {
    errors_.invalid_string(path.empty() ? "<nil>" : path, to_string(schema.type), detail);
  }

  void one(const Node& node, const Structural& schema, const CompiledRule& rule, const cel::Activation& values, bool ratcheted,
           const std::string& path) {
    rule.program->evaluate(values, evaluation_);
    if (evaluation_.cost > budget_) {
      over_ = true;
      return invalid(schema, path, std::string(out_of_budget));
    }
    budget_ -= evaluation_.cost;
    const std::string name = shown(*rule.rule);
    if (!evaluation_.ok()) {
      const std::string error(evaluation_.error());
      over_ = evaluation_.over_limit();
      if (over_)
        return invalid(schema, path,
                       "'" + error + "': no further validation rules will be run due to call cost exceeds limit for rule: " + name);
      if (error.starts_with("no such overload"))
        return invalid(schema, path,
                       "'" + error + "': call arguments did not match a supported operator, function or macro signature for rule: " + name);
      return invalid(schema, path, error + " evaluating rule: " + name);
    }
    if (evaluation_.value.is_true() || ratcheted) return;
    const std::string detail = message(rule, values);
    const std::string where = rule.rule->field_path.empty() ? path : apiserver::below(path, normalized(trim(rule.rule->field_path)));
    report(node, *rule.rule, detail, where.empty() ? "<nil>" : where);
  }

  std::string message(const CompiledRule& rule, const cel::Activation& values) {
    if (!rule.message) return default_message(*rule.rule);
    rule.message->evaluate(values, evaluation_);
    if (evaluation_.cost > budget_) {
      over_ = true;
      return "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run";
    }
    budget_ -= evaluation_.cost;
    if (evaluation_.over_limit()) {
      over_ = true;
      return "no further validation rules will be run due to call cost exceeds limit for messageExpression: " +
             quoted(rule.rule->message_expression);
    }
    const bool text = evaluation_.ok() && evaluation_.value.is(cel::Kind::string);
    const std::string_view trimmed = text ? trim(evaluation_.value.text()) : std::string_view();
    if (trimmed.empty() || trimmed.size() > longest_message || has_lines(trimmed)) return default_message(*rule.rule);
    return std::string(trimmed);
  }

  void report(const Node& node, const ValidationRule& rule, const std::string& detail, const std::string& where) {
    const bool compound = node.is_object() || node.is_array();
    if (rule.reason == "FieldValueForbidden") return errors_.forbidden(where, detail);
    if (rule.reason == "FieldValueRequired") return errors_.required(where, detail);
    const bool duplicate = rule.reason == "FieldValueDuplicate";
    std::string text = duplicate ? "Duplicate value" : "Invalid value";
    if (!compound) text += ": " + json::print(node);
    if (!duplicate) text += ": " + detail;
    errors_.add({duplicate ? "FieldValueDuplicate" : "FieldValueInvalid", std::move(text), where});
  }

  const Rules& rules_;
  FieldErrors& errors_;
  cel::Evaluation evaluation_;
  uint64_t budget_ = cel::runtime_budget;
  bool over_ = false;
};

}  // namespace

Rules::Rules(const Structural& schema) {
  if (schema.has_rules) compile(schema, true);
}

void Rules::compile(const Structural& schema, bool resource) {
  if (!schema.has_rules) return;
  if (!schema.rules.empty()) {
    const cel::DeclType* type = pool_.from_schema(*schema.source, "selfType" + std::to_string(sets_.size()), resource || schema.embedded);
    if (type) {
      auto set = std::make_unique<RuleSet>();
      set->type = type;
      set->plain.declare("self", type).declare("oldSelf", type);
      set->optional.declare("self", type).declare("oldSelf", pool_.types().optional(type->type));
      for (const ValidationRule& rule : schema.rules) {
        CompiledRule& made = set->rules.emplace_back();
        made.rule = &rule;
        compile_rule(made, *set);
      }
      sets_.emplace(&schema, std::move(set));
    }
  }
  for (const auto& [key, property] : schema.properties) compile(property, false);
  for (const auto* next : {&schema.items, &schema.additional})
    if (*next) compile(**next, false);
}

void Rules::check(const Node& object, const Structural& schema, const Node* old, FieldErrors& errors) const {
  if (sets_.empty()) return;
  Evaluate(*this, errors).value(object, schema, {old, old && json::equal(*old, object)}, "");
}

namespace {

// The rules of a definition as it is written: whether they compile, and what they may cost together.
class Definition {
 public:
  Definition(const Rules& rules, FieldErrors& errors) : rules_(rules), errors_(errors) {}

  // `times`: how often a value of this schema may occur in an object; nullopt: as often as its size lets it.
  void schema(const Structural& schema, const std::string& path, std::optional<uint64_t> times, const std::string& uncorrelated) {
    if (!schema.has_rules) return;
    if (const RuleSet* set = rules_.of(schema)) {
      for (size_t i = 0; i < set->rules.size(); ++i)
        one(set->rules[i], *set, at(path + ".x-kubernetes-validations", i), times, uncorrelated);
    }
    for (const auto& [key, property] : schema.properties) this->schema(property, at(path + ".properties", key), times, uncorrelated);
    if (schema.additional)
      this->schema(*schema.additional, path + ".additionalProperties", many(times, schema.max_properties), uncorrelated);
    if (!schema.items) return;
    const bool map = schema.list_type == model::schema::ListType::map;
    this->schema(*schema.items, path + ".items", many(times, schema.max_items), map || !uncorrelated.empty() ? uncorrelated : path);
  }

  void finish(const std::string& path) {
    if (total_ <= cel::total_estimate_limit) return;
    for (const auto& [where, cost] : costs_)
      if (cost > total_ / 20)
        errors_.forbidden(where, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema");
    errors_.forbidden(path, too_costly("x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema", total_,
                                       cel::total_estimate_limit));
  }

 private:
  static uint64_t times(uint64_t a, uint64_t b) { return a != 0 && UINT64_MAX / a < b ? UINT64_MAX : a * b; }
  static std::optional<uint64_t> many(std::optional<uint64_t> outer, std::optional<int64_t> most) {
    if (!outer || !most) return std::nullopt;
    return times(*outer, uint64_t(std::max<int64_t>(*most, 0)));
  }

  static std::string too_costly(std::string_view what, uint64_t cost, uint64_t limit) {
    const double factor = double(cost) / double(limit);
    char text[48];
    if (factor > 100) snprintf(text, sizeof text, "more than 100x");
    else snprintf(text, sizeof text, factor < 1.5 ? "%fx" : "%.1fx", factor);
    return std::string(what) + " exceeds budget by factor of " + text +
           " (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";
  }

  static std::string rule_text(const ValidationRule& rule) {
    std::string out = "{\"Rule\":";
    json::append_string(out, rule.rule);
    out += ",\"Message\":";
    json::append_string(out, rule.message);
    out += ",\"MessageExpression\":";
    json::append_string(out, rule.message_expression);
    out += ",\"Reason\":";
    if (rule.reason.empty()) out += "null";
    else json::append_string(out, rule.reason);
    out += ",\"FieldPath\":";
    json::append_string(out, rule.field_path);
    out += ",\"OptionalOldSelf\":";
    return out + (!rule.optional_old_self ? "null" : *rule.optional_old_self ? "true" : "false") + "}";
  }

  void cost(const cel::Program& program, const RuleSet& set, std::optional<uint64_t> often, const std::string& where,
            std::string_view what) {
    const uint64_t most = often ? *often : request_bytes / uint64_t(set.type->min_size + 1);
    const uint64_t estimate = what == "estimated rule cost" ? times(program.estimate().max, most) : program.estimate().max;
    if (estimate > cel::rule_estimate_limit) errors_.forbidden(where, too_costly(what, estimate, cel::rule_estimate_limit));
    total_ = UINT64_MAX - total_ < estimate ? UINT64_MAX : total_ + estimate;
    costs_.emplace_back(where, estimate);
  }

  void one(const CompiledRule& rule, const RuleSet& set, const std::string& path, std::optional<uint64_t> often,
           const std::string& uncorrelated) {
    if (!rule.error.empty()) return errors_.invalid(path + ".rule", std::string_view(rule_text(*rule.rule)), rule.error);
    if (!rule.program) return;
    cost(*rule.program, set, often, path + ".rule", "estimated rule cost");
    if (!rule.message_error.empty())
      errors_.invalid(path + ".messageExpression", std::string_view(rule_text(*rule.rule)), rule.message_error);
    else if (rule.message) cost(*rule.message, set, often, path + ".messageExpression", "estimated messageExpression cost");
    if (rule.uses_old && !uncorrelated.empty())
      errors_.invalid_string(path + ".rule", rule.rule->rule,
                             "oldSelf cannot be used on the uncorrelatable portion of the schema within " + uncorrelated);
    if (!rule.uses_old && rule.rule->optional_old_self)
      errors_.invalid(path + ".optionalOldSelf", std::string_view(*rule.rule->optional_old_self ? "true" : "false"),
                      "may not be set if oldSelf is not used in rule");
  }

  const Rules& rules_;
  FieldErrors& errors_;
  uint64_t total_ = 0;
  std::vector<std::pair<std::string, uint64_t>> costs_;
};

}  // namespace

void check_rules(const Structural& schema, const std::string& path, FieldErrors& errors) {
  if (!schema.has_rules) return;
  const Rules rules(schema);
  Definition definition(rules, errors);
  definition.schema(schema, path, 1, "");
  definition.finish(path);
}

}  // namespace estiba::apiserver
