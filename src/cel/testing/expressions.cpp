#include "cel/testing/expressions.h"

#include "base/strings.h"
#include "cel/compare.h"

namespace estiba::cel::testing {

const json::Node& Expressions::keep(std::string_view text) {
  auto document = json::Document::parse(text);
  return documents_.emplace_back(document ? std::move(*document) : json::Document()).root();
}

void Expressions::json(std::string_view name, std::string_view text) {
  environment.declare(name, &types::dyn);
  values_[std::string(name)] = Value::json(keep(text));
}

void Expressions::typed(std::string_view name, std::string_view schema, std::string_view text) {
  const DeclType* type = pool.from_schema(keep(schema), name, false);
  environment.declare(name, type);
  values_[std::string(name)] = Value::json(keep(text), type);
}

static std::string show(Memory& memory, const Value& value) {
  switch (value.kind()) {
    case Kind::error: return "error: " + std::string(value.text());
    case Kind::string: return quoted(value.text());
    case Kind::bytes: return "b" + quoted(value.text());
    case Kind::uinteger: return std::to_string(value.as_uint()) + "u";
    case Kind::list: {
      std::string out = "[";
      for (Items items(memory, value); !items.done();) out += (out.size() > 1 ? ", " : "") + show(memory, items.next());
      return out + "]";
    }
    case Kind::map: {
      std::string out = "{";
      for (Items items(memory, value); !items.done();) {
        Value inner;
        const Value key = items.next(&inner);
        out += (out.size() > 1 ? ", " : "") + show(memory, key) + ": " + show(memory, inner);
      }
      return out + "}";
    }
    case Kind::optional: return value.inner() ? "optional(" + show(memory, *value.inner()) + ")" : "none";
    default: return print(memory, value);
  }
}

std::string Expressions::value(std::string_view expression, const CompileOptions& options) {
  auto program = compile(expression, environment, options);
  if (!program) return "issue: " + (program.error().issues.empty() ? program.error().text : program.error().issues[0].message);
  Activation activation(environment);
  activation.authorizer = authorizer;
  for (const auto& [name, value] : values_) activation.set(name, value);
  Evaluation result;
  result.memory().limit_work(work);
  if (environment.variable("authorizer")) activation.set("authorizer", make_authorizer(result.memory()));
  program->evaluate(activation, result, per_call_limit, true);
  return show(result.memory(), result.value);
}

std::string Expressions::truth(std::string_view expression) {
  const std::string is = value(expression);
  return is == "true" ? "ok" : std::string(expression) + " is " + is;
}

uint64_t Expressions::cost(std::string_view expression, const CompileOptions& options) {
  auto program = compile(expression, environment, options);
  if (!program) return UINT64_MAX;
  Activation activation(environment);
  activation.authorizer = authorizer;
  for (const auto& [name, value] : values_) activation.set(name, value);
  Evaluation result;
  result.memory().limit_work(work);
  if (environment.variable("authorizer")) activation.set("authorizer", make_authorizer(result.memory()));
  program->evaluate(activation, result, per_call_limit, true);
  return result.cost;
}

Range Expressions::estimate(std::string_view expression) {
  auto program = compile(expression, environment);
  return program ? program->estimate() : Range{UINT64_MAX, UINT64_MAX};
}

std::string Expressions::issues(std::string_view expression) {
  auto program = compile(expression, environment);
  return program ? std::string() : program.error().text;
}

}  // namespace estiba::cel::testing
