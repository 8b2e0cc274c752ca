// links: cel
// Expressions as anybody writes them, over a typed and an untyped object: nothing crashes, and everything ends within its limits.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cel/cel.h"

using namespace estiba;

namespace {

struct World {
  World() : environment({.bindings = true, .mutation = true, .includes = true}) {
    schema = *json::Document::parse(
        R"({"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string", "maxLength": 20}, "f": {"type": "number"},
            "d": {"type": "string", "format": "duration"}, "t": {"type": "string", "format": "date-time"}, "b": {"type": "string", "format": "byte"},
            "l": {"type": "array", "maxItems": 9, "items": {"type": "string"}}, "m": {"type": "object", "additionalProperties": {"type": "integer"}},
            "p": {"x-kubernetes-int-or-string": true}}})");
    object = *json::Document::parse(
        R"({"n": 3, "s": "añb", "f": 1.5, "d": "1h", "t": "2020-02-29T12:00:00Z", "b": "YWI=", "l": ["x", "y", "x"], "m": {"a": 1, "b": 2}, "p": "http"})");
    self = pool.from_schema(schema.root(), "self", false);
    environment.declare("self", self).declare("oldSelf", self).declare("object", &cel::types::dyn);
  }
  cel::Environment environment;
  cel::DeclPool pool;
  json::Document schema, object;
  const cel::DeclType* self = nullptr;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const World& world = *new World;
  if (size > 2000) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto program = cel::compile(text, world.environment);
  if (!program) {
    if (program.error().text.empty()) abort();
    return 0;
  }
  static cel::Evaluation& result = *new cel::Evaluation;
  result.memory().limit_work(2'000'000);
  cel::Activation values(world.environment);
  values.set("self", cel::Value::json(world.object.root(), world.self));
  values.set("oldSelf", cel::Value::json(world.object.root(), world.self));
  values.set("object", cel::Value::json(world.object.root()));
  program->evaluate(values, result, 20'000);
  const bool failed = result.value.is_error();
  const uint64_t cost = result.cost;
  if (failed && result.error().empty()) abort();
  // What is known of a value's type holds.
  if (!failed && &program->type() == &cel::types::boolean && !result.value.is(cel::Kind::boolean)) abort();
  if (!failed && &program->type() == &cel::types::string && !result.value.is(cel::Kind::string)) abort();
  // And the same comes out again.
  program->evaluate(values, result, 20'000);
  if (result.value.is_error() != failed || result.cost != cost) abort();
  return 0;
}
