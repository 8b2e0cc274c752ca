#include "cel/device.h"

#include <map>

#include "cel/library/objects.h"

namespace estiba::cel {

namespace {

// What a slice may hold, by which the cost of an expression is estimated.
constexpr int64_t longest_domain = 63, longest_name = 32, longest_driver = 63, longest_value = 64, most_entries = 32;

struct DeviceNames {
  DeclPool pool;
  Environment environment{Features{.bindings = true}};

  DeviceNames() {
    const DeclType* domain = pool.simple(DeclForm::string, longest_domain);
    const DeclType* name = pool.simple(DeclForm::string, longest_name);
    const DeclType* attributes = pool.map(pool.of(&types::any, longest_value), most_entries, name);
    const DeclType* capacities = pool.map(pool.of(&types::quantity), most_entries, name);
    const DeclPool::NewField fields[] = {
        {"driver", pool.simple(DeclForm::string, longest_driver), true},
        {"attributes", pool.map(attributes, most_entries, domain), true},
        {"capacity", pool.map(capacities, most_entries, domain), true},
        {"allowMultipleAllocations", pool.simple(DeclForm::boolean, 1), true},
    };
    environment.declare("device", pool.object("kubernetes.DRADevice", fields));
  }
};

Value read_attribute(Memory& memory, const json::Node& attribute) {
  if (const json::Node* number = attribute.find("int")) return Value::integer(number->as_int().value_or(0));
  if (const json::Node* flag = attribute.find("bool")) return Value::boolean(flag->as_bool());
  if (const json::Node* text = attribute.find("string")) return Value::string(text->as_string());
  const json::Node* version = attribute.find("version");
  if (!version) return memory.error("unsupported attribute value");
  std::string error;
  const auto parsed = parse_semver(version->as_string(), error);
  if (!parsed) return memory.error("parse semantic version: " + error);
  return Value::object(memory.arena().make<SemverObject>(*parsed), &types::semver);
}

Value read_capacity(Memory& memory, const json::Node& capacity) {
  const auto quantity = model::Quantity::parse(capacity.string_at("value"));
  if (!quantity) return memory.error(quantity.error().message);
  return Value::object(memory.arena().make<QuantityObject>(QuantityObject{{Object::Is::quantity}, *quantity}), &types::quantity);
}

// By domain and name. A domain that is not there reads as one without entries.
Result<Value> by_domain(Memory& memory, const DeviceFacts& device, const json::Node* entries,
                        Value (*read)(Memory&, const json::Node& entry)) {
  std::map<std::string_view, Value> domains;
  if (entries) {
    for (const json::Node& entry : *entries) {
      const size_t slash = entry.key().find('/');
      const bool own = slash == std::string_view::npos;
      const Value key = Value::string(own ? entry.key() : entry.key().substr(slash + 1));
      const Value value = read(memory, entry);
      if (value.is_error()) return fail(Code::invalid, "attribute " + std::string(entry.key()) + ": " + std::string(value.text()));
      auto [at, fresh] = domains.try_emplace(own ? device.driver : entry.key().substr(0, slash));
      if (fresh) at->second = memory.empty_map();
      if (!memory.find(at->second, key)) at->second = memory.insert(at->second, key, value);
    }
  }
  Value out = memory.empty_map();
  for (const auto& [domain, values] : domains) out = memory.insert(out, Value::string(domain), values);
  out.map_buffer()->otherwise = memory.arena().make<Value>(memory.empty_map());
  return out;
}

}  // namespace

const Environment& device_environment() {
  static const DeviceNames names;
  return names.environment;
}

Result<bool> device_matches(const Program& selector, const DeviceFacts& device) {
  Evaluation result;
  Memory& memory = result.memory();
  Value value = memory.empty_map();
  value = memory.insert(value, Value::string("driver"), Value::string(device.driver));
  value = memory.insert(value, Value::string("attributes"), TRY(by_domain(memory, device, device.attributes, read_attribute)));
  value = memory.insert(value, Value::string("capacity"), TRY(by_domain(memory, device, device.capacity, read_capacity)));
  value = memory.insert(value, Value::string("allowMultipleAllocations"), Value::boolean(device.allows_multiple));
  Activation values(device_environment());
  values.set("device", value);
  selector.evaluate(values, result, most_selector_cost, true);
  if (!result.ok()) return fail(Code::invalid, std::string(result.error()));
  if (!result.value.is(Kind::boolean))
    return fail(Code::invalid, "CEL result of type " + std::string(type_name(result.value)) + " could not be converted to bool");
  return result.value.as_bool();
}

}  // namespace estiba::cel
