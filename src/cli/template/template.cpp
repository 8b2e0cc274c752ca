#include "cli/template/template.h"

#include "base/strings.h"
#include "cli/template/ast.h"
#include "cli/template/values.h"

namespace estiba::cli {

using namespace template_detail;

namespace {

enum class Flow : uint8_t { on, stop, next };

// The functions that a template names must exist, whether the branch is taken or not.
Result<void> check(const Block& block);
Result<void> check(const Pipe& pipe) {
  for (const Command& command : pipe.commands)
    for (const Operand& operand : command.operands) {
      if (operand.kind == Operand::Kind::function && !is_function(operand.name))
        return fail(Code::malformed, "template: :1: function " + quoted(operand.name) + " not defined");
      if (operand.pipe) TRY(check(*operand.pipe));
    }
  return {};
}
Result<void> check(const Block& block) {
  for (const Statement& statement : block.statements) {
    TRY(check(statement.pipe));
    TRY(check(statement.body));
    TRY(check(statement.otherwise));
  }
  return {};
}

class Execution {
 public:
  Execution(std::string_view text, const json::Node& data, std::string& out, const TemplateOptions& options)
      : text_(text), root_(&data), out_(out), options_(options) {
    scratch_.set_root(scratch_.make_null());
    variables_.emplace_back("$", &data);
  }

  Result<Flow> run(const Block& block, Value dot) {
    for (const Statement& statement : block.statements) {
      const Flow flow = TRY(run(statement, dot));
      if (flow != Flow::on) return flow;
    }
    return Flow::on;
  }

 private:
  Result<Flow> run(const Statement& statement, Value dot) {
    if (++steps_ > 1'000'000 || out_.size() > 64 * 1024 * 1024) return fail(Code::too_large, "template: the output has no end");
    const size_t scope = variables_.size();
    Flow flow = Flow::on;
    switch (statement.kind) {
      case Statement::Kind::text: out_ += statement.text; break;
      case Statement::Kind::action: {
        const Value value = TRY(evaluate(statement.pipe, dot));
        if (statement.pipe.variables.empty()) out_ += !value ? "<no value>" : show(value);
        return Flow::on;  // a variable that it declares lives on
      }
      case Statement::Kind::condition: {
        const bool holds = truth(TRY(evaluate(statement.pipe, dot)));
        flow = TRY(run(holds ? statement.body : statement.otherwise, dot));
        break;
      }
      case Statement::Kind::with: {
        const Value value = TRY(evaluate(statement.pipe, dot));
        flow = TRY(truth(value) ? run(statement.body, value) : run(statement.otherwise, dot));
        break;
      }
      case Statement::Kind::range: flow = TRY(range(statement, dot)); break;
      case Statement::Kind::stop: return Flow::stop;
      case Statement::Kind::next: return Flow::next;
    }
    variables_.resize(scope);
    return flow;
  }

  Result<Flow> range(const Statement& statement, Value dot) {
    const std::vector<std::string>& names = statement.pipe.variables;
    const Value over = TRY(evaluate(statement.pipe, dot, false));
    std::vector<const json::Node*> elements;
    if (over && over->is_number()) {
      const int64_t count = over->as_int().value_or(0);
      if (count > 1'000'000) return fail(Code::invalid, "range over " + std::to_string(count) + " is too long");
      for (int64_t i = 0; i < count; ++i) elements.push_back(&scratch_.make_int(i));
    } else if (over && !over->is_null() && !over->is_array() && !over->is_object()) {
      return fail(Code::invalid, "template: executing \"\": range can't iterate over " + show(over));
    } else if (over) {
      for (const json::Node& each : *over) elements.push_back(&each);
      if (over->is_object()) std::sort(elements.begin(), elements.end(), [](auto* a, auto* b) { return a->key() < b->key(); });
    }
    if (elements.empty()) return run(statement.otherwise, dot);
    const size_t scope = variables_.size();
    for (size_t i = 0; i < elements.size(); ++i) {
      variables_.resize(scope);
      if (names.size() == 2) {
        const Value key = over->is_object() ? &scratch_.make_string(elements[i]->key()) : &scratch_.make_int(int64_t(i));
        variables_.emplace_back(names[0], key);
      }
      if (!names.empty()) variables_.emplace_back(names.back(), elements[i]);
      const Flow flow = TRY(run(statement.body, elements[i]));
      if (flow == Flow::stop) break;
    }
    return Flow::on;
  }

  Result<Value> evaluate(const Pipe& pipe, Value dot, bool declare = true) {
    Value value = nullptr;
    bool first = true;
    for (const Command& command : pipe.commands) {
      value = TRY(evaluate(command, dot, first ? std::nullopt : std::optional<Value>(value)));
      first = false;
    }
    if (!declare) return value;
    for (const std::string& name : pipe.variables) {
      if (!pipe.assigns) {
        variables_.emplace_back(name, value);
      } else if (auto* variable = find_variable(name)) {
        *variable = value;
      }
    }
    return value;
  }

  Value* find_variable(std::string_view name) {
    for (size_t i = variables_.size(); i-- > 0;)
      if (variables_[i].first == name) return &variables_[i].second;
    return nullptr;
  }

  Result<Value> evaluate(const Command& command, Value dot, std::optional<Value> last) {
    const Operand& first = command.operands[0];
    const bool has_arguments = command.operands.size() > 1 || last;
    if (first.kind != Operand::Kind::function) {
      if (!has_arguments) return operand(first, dot);
      return method(command, dot, last);
    }
    if (first.name == "and" || first.name == "or") return logic(command, dot, last);
    std::vector<Value> arguments;
    for (size_t i = 1; i < command.operands.size(); ++i) arguments.push_back(TRY(operand(command.operands[i], dot)));
    if (last) arguments.push_back(*last);
    if (first.name == "json" && options_.escape_whole && arguments.size() == 1 && arguments[0] == root_)
      return &scratch_.make_string(json::print(*root_));
    auto value = call_function(first.name, arguments, scratch_, options_.headers);
    if (!value) return failure(command, value.error().message);
    return value;
  }

  // Stops at the first argument that decides.
  Result<Value> logic(const Command& command, Value dot, std::optional<Value> last) {
    const bool until = command.operands[0].name == "or";
    Value value = nullptr;
    for (size_t i = 1; i < command.operands.size(); ++i) {
      value = TRY(operand(command.operands[i], dot));
      if (truth(value) == until) return value;
    }
    if (command.operands.size() == 1 && !last)
      return failure(command.operands[0], "wrong number of args for " + command.operands[0].name + ": want at least 1 got 0");
    return last ? *last : value;
  }

  // Only `.Label "name"` takes an argument.
  Result<Value> method(const Command& command, Value dot, std::optional<Value> last) {
    const Operand& first = command.operands[0];
    if (first.fields.empty())
      return failure(first, "can't give argument to non-function " + std::string(text_.substr(first.offset, first.length)));
    if (first.fields.back() != "Label" || (!options_.labels && !options_.headers))
      return failure(first, first.fields.back() + " is not a method but has arguments");
    const Value key = command.operands.size() > 1 ? TRY(operand(command.operands[1], dot)) : *last;
    if (!key || !key->is_string()) return failure(first, "wrong type for value; expected string");
    if (options_.headers) {
      // A column of a label is headed by the last part of its name.
      std::string header(key->as_string().substr(key->as_string().rfind('.') + 1));
      for (char& c : header)
        if (c == '-' || c == '_') c = ' ';
      return &scratch_.make_string(header);
    }
    const json::Node* found = options_.labels->find(key->as_string());
    return found ? found : &scratch_.make_string("");
  }

  Result<Value> operand(const Operand& operand, Value dot) {
    Value value = nullptr;
    switch (operand.kind) {
      case Operand::Kind::nil: return nullptr;
      case Operand::Kind::literal:
        if (operand.literal == json::Type::string) return &scratch_.make_string(operand.name);
        if (operand.literal == json::Type::boolean) return &scratch_.make_bool(operand.name == "true");
        return &scratch_.make_number(operand.name);
      case Operand::Kind::function: {
        auto called = call_function(operand.name, {}, scratch_, options_.headers);
        if (!called) return failure(operand, called.error().message);
        return called;
      }
      case Operand::Kind::dot: value = dot; break;
      case Operand::Kind::variable:
        if (Value* variable = find_variable(operand.name)) value = *variable;
        break;
      case Operand::Kind::pipe: {
        const size_t scope = variables_.size();
        value = TRY(evaluate(*operand.pipe, dot));
        variables_.resize(scope);
        break;
      }
    }
    for (const std::string& field : operand.fields) value = TRY(member(operand, value, field));
    return value;
  }

  Result<Value> member(const Operand& operand, Value of, const std::string& name) {
    if (!of || of->is_null()) return failure(operand, "nil data; no entry for key " + quoted(name));
    if (!of->is_object())
      return failure(operand, "can't evaluate field " + name + " in type " +
                                  (of->is_string()   ? "string"
                                   : of->is_number() ? "int"
                                   : of->is_bool()   ? "bool"
                                                     : "[]interface {}"));
    if (const json::Node* exact = of->find(name)) return exact;
    for (const json::Node& each : *of)
      if (equals_ignore_case(each.key(), name)) return &each;
    if (options_.headers) return nullptr;
    if (std::find(options_.optional.begin(), options_.optional.end(), name) != options_.optional.end()) return nullptr;
    if (!options_.type.empty() && of == root_)
      return failure(operand, "can't evaluate field " + name + " in type " + std::string(options_.type));
    return failure(operand, "map has no entry for key " + quoted(name));
  }

  std::unexpected<Error> failure(const Operand& operand, const std::string& what) const {
    return failure(operand.offset, operand.length, what);
  }
  // A call of a function is shown with its arguments.
  std::unexpected<Error> failure(const Command& command, const std::string& what) const {
    const Operand &first = command.operands.front(), &last = command.operands.back();
    return failure(first.offset, last.offset + last.length - first.offset, what);
  }
  std::unexpected<Error> failure(size_t offset, size_t length, const std::string& what) const {
    const std::string_view before = text_.substr(0, offset);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const size_t start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
    return fail(Code::invalid, "template: :" + std::to_string(line) + ":" + std::to_string(offset - start) + ": executing \"\" at <" +
                                   std::string(text_.substr(offset, length)) + ">: " + what);
  }

  std::string_view text_;
  const json::Node* root_;
  std::string& out_;
  const TemplateOptions& options_;
  json::Document scratch_;
  size_t steps_ = 0;
  std::vector<std::pair<std::string_view, Value>> variables_;
};

}  // namespace

Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Result<Template> Template::parse(std::string_view text) {
  Template out;
  out.text_ = std::make_unique<const std::string>(text);
  out.block_ = std::make_unique<Block>(TRY(template_detail::parse(*out.text_)));
  TRY(check(*out.block_));
  return out;
}

Result<void> Template::execute(const json::Node& data, std::string& out, const TemplateOptions& options) const {
  Execution execution(*text_, data, out, options);
  TRY(execution.run(*block_, &data));
  return {};
}

}  // namespace estiba::cli
