#include "cel/evaluator.h"

#include "cel/compare.h"
#include "cel/cost.h"

namespace estiba::cel {

Evaluator::Evaluator(const Plan& plan, std::span<const Value> variables, Context context, uint64_t limit)
    : plan_(plan), variables_(variables), context_(context), limit_(limit), slots_(context.memory.arena().array<Slot>(plan.slots)) {}

Value Evaluator::eval(const Step& step) {
  switch (step.kind) {
    case StepKind::constant: return step.value;
    case StepKind::variable: {
      if (step.counted && !charge(1)) return Memory::over_limit();
      if (step.slot < variables_.size()) return variables_[step.slot];
      return context_.memory.error("no such attribute(s): " + std::string(step.value.text()));
    }
    case StepKind::local: return local(step);
    case StepKind::select: return select(step);
    case StepKind::has: return has(step);
    case StepKind::index: return index(step);
    case StepKind::logical_and: return logic(step, false);
    case StepKind::logical_or: return logic(step, true);
    case StepKind::conditional: return conditional(step);
    case StepKind::not_strictly_false: {
      const Value value = eval(*step.args[0]);
      if (value.is_fatal() || !charge(1)) return Memory::over_limit();
      return Value::boolean(!value.is_false());
    }
    case StepKind::call: return call(step);
    case StepKind::list: return list(step);
    case StepKind::map: return map(step);
    case StepKind::message: return message(step);
    case StepKind::fold: return fold(step);
    case StepKind::optional_or:
    case StepKind::optional_or_value: return optional_or(step);
  }
  return Value::null();
}

Value Evaluator::local(const Step& step) {
  Slot& slot = slots_[step.slot];
  if (slot.pending) {
    const Step& init = *slot.pending;
    slot.pending = nullptr;
    slot.value = eval(init);
  }
  if (step.counted && !charge(1)) return Memory::over_limit();
  return slot.value;
}

static const Value* message_field(const Value& value, std::string_view name) {
  return value.is_object(Object::Is::message) ? static_cast<const Message*>(value.as_object())->find(name) : nullptr;
}

std::optional<Value> Evaluator::member(const Value& value, const Value& key, bool presence) {
  Memory& memory = context_.memory;
  switch (value.kind()) {
    case Kind::map: {
      auto found = memory.find(value, key);
      if (!found && !value.is_json() && value.map_buffer()->otherwise) return *value.map_buffer()->otherwise;
      return found;
    }
    case Kind::list: {
      if (!key.is_number()) return memory.error("unsupported index type '" + std::string(type_name(key)) + "' in list");
      const auto at = to_int(key);
      if (!at) return memory.error("unsupported index value " + print(memory, key) + " in list");
      if (*at < 0 || *at >= int64_t(value.count())) return std::nullopt;
      return memory.item(value, uint32_t(*at));
    }
    case Kind::object:
      if (LazyFields* lazy = value.as_lazy(); lazy && key.is(Kind::string)) return lazy->field(key.text(), memory);
      if (const Value* field = key.is(Kind::string) ? message_field(value, key.text()) : nullptr) return *field;
      // A patch's texts are there, empty, when nobody set them.
      if (!presence && value.object_type() == &types::json_patch && !(key.is(Kind::string) && key.text() == "value"))
        return Value::string("");
      return std::nullopt;
    default: return std::nullopt;
  }
}

Value Evaluator::missing(const Value& value, const Value& key) {
  return context_.memory.error((value.is(Kind::list) ? "index out of bounds: " : "no such key: ") + print(context_.memory, key));
}

Value Evaluator::qualified(const Step& step, const Value& operand, const Value& key) {
  if (!charge(1 + (step.relative && step.counted))) return Memory::over_limit();
  const bool chained = operand.is(Kind::optional);
  if (!chained && !step.optional) {
    if (const auto found = member(operand, key, false)) return *found;
    return missing(operand, key);
  }
  if (chained && !operand.inner()) return operand;
  const auto found = member(chained ? *operand.inner() : operand, key, true);
  if (!found) return Value::none();
  return found->is_error() ? *found : context_.memory.optional(*found);
}

Value Evaluator::select(const Step& step) {
  const Value operand = eval(*step.operand);
  return operand.is_error() ? operand : qualified(step, operand, step.value);
}

Value Evaluator::index(const Step& step) {
  const Value operand = eval(*step.operand);
  if (operand.is_error()) return operand;
  const Value key = eval(*step.args[0]);
  return key.is_error() ? key : qualified(step, operand, key);
}

Value Evaluator::has(const Step& step) {
  Value operand = eval(*step.operand);
  if (operand.is_error()) return operand;
  if (!charge(1)) return Memory::over_limit();
  if (operand.is(Kind::optional)) {
    if (!operand.inner()) return Value::boolean(false);
    operand = *operand.inner();
  }
  const auto found = member(operand, step.value, true);
  if (found && found->is_fatal()) return *found;
  // A list has no fields: asking is an error, as selecting would be. Others that have none just do not have this one.
  if (found && found->is_error() && operand.is(Kind::list)) return *found;
  return Value::boolean(found.has_value());
}

Value Evaluator::logic(const Step& step, bool decisive) {
  Value error;
  for (const Step* term : step.args) {
    const Value value = eval(*term);
    if (value.is(Kind::boolean)) {
      if (value.as_bool() == decisive) return value;
      continue;
    }
    if (value.is_fatal()) return value;
    if (!error.is_error()) error = value.is_error() ? value : Memory::no_overload();
  }
  return error.is_error() ? error : Value::boolean(!decisive);
}

Value Evaluator::conditional(const Step& step) {
  const Value condition = eval(*step.args[0]);
  if (condition.is_error()) return condition;
  if (!condition.is(Kind::boolean)) return Memory::no_overload();
  return eval(*step.args[condition.as_bool() ? 1 : 2]);
}

Value Evaluator::no_overload(const Step& step, Args args) {
  const std::string_view function = step.overloads[0]->function;
  const bool is_operator = function.find('_') != std::string_view::npos && !function.starts_with("cel.");
  if (is_operator || function == "@in") return Memory::no_overload();
  std::string text = "no such overload: " + std::string(function) + "(";
  for (size_t i = 0; i < args.size(); i++) text += (i ? ", " : "") + std::string(type_name(args[i]));
  return context_.memory.error(text + ")");
}

Value Evaluator::call(const Step& step) {
  Value values[8];
  const size_t count = step.args.size();
  for (size_t i = 0; i < count; i++) {
    values[i] = eval(*step.args[i]);
    if (values[i].is_error()) return values[i];
  }
  const Args args(values, count);
  for (const Overload* overload : step.overloads) {
    if (!accepts(*overload, args)) continue;
    context_.regex = step.regex;
    const Value result = overload->code(context_, args);
    if (result.is_fatal()) return result;
    const CostRule rule = step.dynamic ? overload->dynamic_cost : overload->cost;
    return charge(call_cost(context_.memory, rule, args, result)) ? result : Memory::over_limit();
  }
  return charge(1) ? no_overload(step, args) : Memory::over_limit();
}

Value Evaluator::list(const Step& step) {
  Memory& memory = context_.memory;
  if (!memory.admit(step.args.size() * sizeof(Value))) return Memory::over_limit();
  ListBuffer* buffer = memory.new_list(uint32_t(step.args.size()));
  for (size_t i = 0; i < step.args.size(); i++) {
    Value item = eval(*step.args[i]);
    if (item.is_error()) return item;
    if (step.optional_at(i)) {
      if (!item.is(Kind::optional))
        return memory.error("cannot initialize optional list element from non-optional value " + print(memory, item));
      if (!item.inner()) continue;
      item = *item.inner();
    }
    buffer->items[buffer->used++] = item;
  }
  return charge(list_cost) ? Value::list(buffer, buffer->used) : Memory::over_limit();
}

Value Evaluator::map(const Step& step) {
  Memory& memory = context_.memory;
  Value map = memory.empty_map();
  for (size_t i = 0; i + 1 < step.args.size(); i += 2) {
    const Value key = eval(*step.args[i]);
    if (key.is_error()) return key;
    Value value = eval(*step.args[i + 1]);
    if (value.is_error()) return value;
    if (!is_key(key)) return memory.error("unsupported key type: " + std::string(type_name(key)));
    if (step.optional_at(i / 2)) {
      if (!value.is(Kind::optional))
        return memory.error("cannot initialize optional entry '" + print(memory, key) + "' from non-optional value " +
                            print(memory, value));
      if (!value.inner()) continue;
      value = *value.inner();
    }
    if (memory.find(map, key)) {
      // The last one counts: the entry is written anew, for nobody else has seen this map.
      for (uint32_t j = 0; j < map.count(); j++)
        if (equal(memory, map.map_buffer()->keys[j], key)) map.map_buffer()->values[j] = value;
      continue;
    }
    map = memory.insert(map, key, value);
    if (map.is_error()) return map;
  }
  return charge(map_cost) ? map : Memory::over_limit();
}

Value Evaluator::message(const Step& step) {
  Memory& memory = context_.memory;
  std::vector<std::string_view> names;
  std::vector<Value> values;
  for (size_t i = 0; i < step.args.size(); i++) {
    Value value = eval(*step.args[i]);
    if (value.is_error()) return value;
    if (step.optional_at(i)) {
      if (!value.is(Kind::optional))
        return memory.error("cannot initialize optional entry '" + std::string(step.names[i]) + "' from non-optional value " +
                            print(memory, value));
      if (!value.inner()) continue;
      value = *value.inner();
    }
    names.push_back(step.names[i]);
    values.push_back(value);
  }
  if (!charge(message_cost)) return Memory::over_limit();
  const std::span<const std::string_view> kept_names = memory.arena().copy(names);
  const std::span<const Value> kept_values = memory.arena().copy(values);
  return Value::object(memory.arena().make<Message>(Message{{Object::Is::message}, step.type, kept_names, kept_values}), step.type);
}

Value Evaluator::loop(const FoldStep& fold, const Value& range) {
  Slot& first = slots_[fold.first];
  for (Items items(context_.memory, range); !items.done();) {
    if (!context_.memory.spend(1)) return Memory::over_limit();
    const int64_t position = items.position();
    if (!fold.two_variables) {
      first = {items.next()};
    } else if (range.is(Kind::map)) {
      Slot& second = slots_[fold.first + 1];
      second.pending = nullptr;
      first = {items.next(&second.value)};
    } else {
      slots_[fold.first + 1] = {items.next()};
      first = {Value::integer(position)};
    }
    const Value condition = eval(*fold.condition);
    if (condition.is_fatal()) return condition;
    if (condition.is_false()) break;
    const Value accu = eval(*fold.step);
    if (accu.is_fatal()) return accu;
    slots_[fold.accu] = {accu};
  }
  return Value::null();
}

Value Evaluator::fold(const Step& step) {
  const FoldStep& fold = *step.fold;
  if (fold.binds) {
    if (fold.range->kind != StepKind::constant && !charge(list_cost)) return Memory::over_limit();
  }
  const Value range = fold.binds ? Value::null() : eval(*fold.range);
  if (range.is_error()) return range;
  if (!fold.binds && !range.is(Kind::list) && !range.is(Kind::map))
    return context_.memory.error("got '" + std::string(type_name(range)) + "', expected iterable type");
  slots_[fold.accu] = {Value::null(), fold.init};
  if (!fold.binds)
    if (const Value ended = loop(fold, range); ended.is_error()) return ended;
  return eval(*fold.result);
}

Value Evaluator::optional_or(const Step& step) {
  const Value first = eval(*step.args[0]);
  if (first.is_error()) return first;
  if (!first.is(Kind::optional)) return context_.memory.no_overload();
  if (!charge(1)) return Memory::over_limit();
  if (!first.inner()) return eval(*step.args[1]);
  return step.kind == StepKind::optional_or ? first : *first.inner();
}

}  // namespace estiba::cel
