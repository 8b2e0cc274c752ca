#include <compare>

#include "base/strings.h"
#include "cli/template/values.h"

namespace estiba::cli::template_detail {

namespace {

struct Environment {
  json::Document& scratch;
  std::string_view name;  // of the function that runs
  bool headers;

  Value text(std::string_view value) const { return &scratch.make_string(value); }
  Value truth(bool value) const { return &scratch.make_bool(value); }
  std::unexpected<Error> failure(std::string message) const {
    return fail(Code::invalid, "error calling " + std::string(name) + ": " + std::move(message));
  }
};
using Values = std::span<const Value>;
using Function = Result<Value> (*)(const Environment&, Values);

bool is_text(Value value) { return value && value->is_string(); }

// --- Go's -------------------------------------------------------------------------------------------------------------------

Result<Value> do_not(const Environment& e, Values v) { return e.truth(!truth(v[0])); }

Result<Value> do_len(const Environment& e, Values v) {
  if (v[0] && v[0]->is_string()) return &e.scratch.make_int(int64_t(v[0]->as_string().size()));
  if (v[0] && (v[0]->is_number() || v[0]->is_bool())) return e.failure("len of type " + std::string(v[0]->is_bool() ? "bool" : "int"));
  return &e.scratch.make_int(v[0] ? v[0]->size() : 0);
}

Result<Value> do_index(const Environment& e, Values v) {
  Value at = v[0];
  for (Value key : v.subspan(1)) {
    if (!at || at->is_null()) return e.failure("index of untyped nil");
    if (at->is_object()) {
      if (!is_text(key)) return e.failure("value has type int; should be string");
      at = at->find(key->as_string());
      if (!at) return e.text("");  // the zero value of a map of strings
    } else if (at->is_array()) {
      const auto number = key ? key->as_int() : std::nullopt;
      if (!number) return e.failure("cannot index slice/array with type string");
      if (*number < 0 || *number >= int64_t(at->size())) return e.failure("index out of range: " + std::to_string(*number));
      at = &(*at)[uint32_t(*number)];
    } else if (at->is_string()) {
      const auto number = key ? key->as_int() : std::nullopt;
      if (!number || *number < 0 || *number >= int64_t(at->as_string().size())) return e.failure("index out of range");
      at = &e.scratch.make_int(uint8_t(at->as_string()[size_t(*number)]));
    } else {
      return e.failure("can't index item of type " + std::string(json::to_string(at->type())));
    }
  }
  return at;
}

Result<Value> do_slice(const Environment& e, Values v) {
  const bool string = is_text(v[0]);
  if (!string && !(v[0] && v[0]->is_array())) return e.failure("can't slice item of that type");
  const int64_t size = string ? int64_t(v[0]->as_string().size()) : v[0]->size();
  int64_t bounds[2] = {0, size};
  for (size_t i = 1; i < v.size(); ++i) {
    const auto number = v[i] ? v[i]->as_int() : std::nullopt;
    if (!number || *number < 0 || *number > size)
      return e.failure("index out of range: " + (number ? std::to_string(*number) : show(v[i])));
    bounds[i - 1] = *number;
  }
  if (bounds[0] > bounds[1]) return e.failure("invalid slice index: " + std::to_string(bounds[0]) + " > " + std::to_string(bounds[1]));
  if (string) return e.text(v[0]->as_string().substr(size_t(bounds[0]), size_t(bounds[1] - bounds[0])));
  json::Node& out = e.scratch.make_array();
  for (int64_t i = bounds[0]; i < bounds[1]; ++i) e.scratch.append(out, e.scratch.copy((*v[0])[uint32_t(i)]));
  return &out;
}

Result<Value> do_print(const Environment& e, Values v) {
  std::string out;
  for (size_t i = 0; i < v.size(); ++i) {
    if (i && !is_text(v[i]) && !is_text(v[i - 1])) out += ' ';  // Go's Sprint puts spaces between operands that are no strings
    out += show(v[i]);
  }
  return e.text(out);
}

Result<Value> do_println(const Environment& e, Values v) {
  std::string out;
  for (size_t i = 0; i < v.size(); ++i) out += (i ? " " : "") + show(v[i]);
  return e.text(out + "\n");
}

Result<Value> do_printf(const Environment& e, Values v) {
  if (!is_text(v[0])) return e.failure("wrong type for value; expected string");
  return e.text(format_values(v[0]->as_string(), v.subspan(1)));
}

Result<Value> do_html(const Environment& e, Values v) {
  std::string out;
  for (char c : do_print(e, v).value()->as_string()) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return e.text(out);
}

Result<Value> do_urlquery(const Environment& e, Values v) {
  std::string out;
  for (unsigned char c : do_print(e, v).value()->as_string()) {
    if (std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~') out += char(c);
    else if (c == ' ') out += '+';
    else {
      out += '%';
      const std::string digits = hex_encode(std::string_view(reinterpret_cast<const char*>(&c), 1));
      for (char digit : digits) out += char(std::toupper(digit));
    }
  }
  return e.text(out);
}

Result<Value> do_js(const Environment& e, Values v) {
  std::string out;
  json::append_string(out, do_print(e, v).value()->as_string());
  return e.text(std::string_view(out).substr(1, out.size() - 2));
}

Result<std::partial_ordering> compare(const Environment& e, Value a, Value b) {
  const bool nil_a = !a || a->is_null(), nil_b = !b || b->is_null();
  if (nil_a || nil_b) return nil_a == nil_b ? std::partial_ordering::equivalent : std::partial_ordering::unordered;
  if (a->type() != b->type()) return e.failure("incompatible types for comparison");
  if (a->is_string()) {
    const int order = a->as_string().compare(b->as_string());
    return order <=> 0;
  }
  if (a->is_number()) {
    const auto x = a->as_int(), y = b->as_int();
    if (x && y) return *x <=> *y;
    return a->as_double().value_or(0) <=> b->as_double().value_or(0);
  }
  if (a->is_bool()) return a->as_bool() == b->as_bool() ? std::partial_ordering::equivalent : std::partial_ordering::unordered;
  return e.failure("non-comparable type");
}

Result<Value> do_eq(const Environment& e, Values v) {
  for (Value other : v.subspan(1))
    if (TRY(compare(e, v[0], other)) == std::partial_ordering::equivalent) return e.truth(true);
  return e.truth(false);
}
Result<Value> do_ne(const Environment& e, Values v) { return e.truth(TRY(compare(e, v[0], v[1])) != std::partial_ordering::equivalent); }
Result<Value> do_lt(const Environment& e, Values v) { return e.truth(TRY(compare(e, v[0], v[1])) < 0); }
Result<Value> do_le(const Environment& e, Values v) { return e.truth(TRY(compare(e, v[0], v[1])) <= 0); }
Result<Value> do_gt(const Environment& e, Values v) { return e.truth(TRY(compare(e, v[0], v[1])) > 0); }
Result<Value> do_ge(const Environment& e, Values v) { return e.truth(TRY(compare(e, v[0], v[1])) >= 0); }

// --- Docker's ---------------------------------------------------------------------------------------------------------------

Result<Value> do_json(const Environment& e, Values v) { return e.headers ? v[0] : e.text(to_json(v[0])); }

Result<Value> do_split(const Environment& e, Values v) {
  if (e.headers) return v[0];
  if (!is_text(v[0]) || !is_text(v[1])) return e.failure("wrong type for value; expected string");
  std::string_view text = v[0]->as_string();
  const std::string_view separator = v[1]->as_string();
  json::Node& out = e.scratch.make_array();
  if (separator.empty()) {
    for (size_t i = 0; i < text.size(); ++i) e.scratch.append(out, e.scratch.make_string(text.substr(i, 1)));
    return &out;
  }
  for (;;) {
    const size_t end = text.find(separator);
    e.scratch.append(out, e.scratch.make_string(text.substr(0, end)));
    if (end == text.npos) return &out;
    text.remove_prefix(end + separator.size());
  }
}

Result<Value> do_join(const Environment& e, Values v) {
  if (e.headers) return v[0];
  if (!is_text(v[1])) return e.failure("wrong type for value; expected string");
  if (v[0] && !v[0]->is_null() && !v[0]->is_array()) return e.failure("wrong type for value; expected []string; got string");
  std::string out;
  bool first = true;
  if (v[0])
    for (const json::Node& each : *v[0]) {
      if (!std::exchange(first, false)) out += v[1]->as_string();
      out += show(&each);
    }
  return e.text(out);
}

Result<Value> change_case(const Environment& e, Value value, bool upper, bool title) {
  if (e.headers) return value;
  if (!is_text(value)) return e.failure("wrong type for value; expected string");
  std::string out(value->as_string());
  bool start = true;
  for (char& c : out) {
    const bool letter = std::isalnum(static_cast<unsigned char>(c)) || (c & 0x80) || c == '_' || c == '\'';
    if (!title) c = char(upper ? std::toupper(static_cast<unsigned char>(c)) : std::tolower(static_cast<unsigned char>(c)));
    else if (start && letter) c = char(std::toupper(static_cast<unsigned char>(c)));
    start = !letter;
  }
  return e.text(out);
}
Result<Value> do_lower(const Environment& e, Values v) { return change_case(e, v[0], false, false); }
Result<Value> do_upper(const Environment& e, Values v) { return change_case(e, v[0], true, false); }
Result<Value> do_title(const Environment& e, Values v) { return change_case(e, v[0], true, true); }

Result<Value> do_pad(const Environment& e, Values v) {
  if (e.headers) return v[0];
  const auto before = v[1] ? v[1]->as_int() : std::nullopt, after = v[2] ? v[2]->as_int() : std::nullopt;
  if (!is_text(v[0]) || !before || !after || *before < 0 || *after < 0 || *before > 10000 || *after > 10000)
    return e.failure("wrong type for value");
  if (v[0]->as_string().empty()) return v[0];
  return e.text(std::string(size_t(*before), ' ') + std::string(v[0]->as_string()) + std::string(size_t(*after), ' '));
}

Result<Value> do_truncate(const Environment& e, Values v) {
  if (e.headers) return v[0];
  const auto length = v[1] ? v[1]->as_int() : std::nullopt;
  if (!is_text(v[0]) || !length || *length < 0) return e.failure("wrong type for value");
  return e.text(v[0]->as_string().substr(0, size_t(*length)));
}

struct Row {
  std::string_view name;
  size_t least, most;  // arguments
  Function call;
};
constexpr size_t any = 1000;
constexpr Row functions[] = {
    {"not", 1, 1, do_not},         {"len", 1, 1, do_len},
    {"index", 1, any, do_index},   {"slice", 1, 3, do_slice},
    {"print", 0, any, do_print},   {"println", 0, any, do_println},
    {"printf", 1, any, do_printf}, {"html", 0, any, do_html},
    {"js", 0, any, do_js},         {"urlquery", 0, any, do_urlquery},
    {"eq", 2, any, do_eq},         {"ne", 2, 2, do_ne},
    {"lt", 2, 2, do_lt},           {"le", 2, 2, do_le},
    {"gt", 2, 2, do_gt},           {"ge", 2, 2, do_ge},
    {"json", 1, 1, do_json},       {"split", 2, 2, do_split},
    {"join", 2, 2, do_join},       {"title", 1, 1, do_title},
    {"lower", 1, 1, do_lower},     {"upper", 1, 1, do_upper},
    {"pad", 3, 3, do_pad},         {"truncate", 2, 2, do_truncate},
};

const Row* find(std::string_view name) {
  for (const Row& row : functions)
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace

bool is_function(std::string_view name) { return name == "and" || name == "or" || find(name) != nullptr; }

Result<Value> call_function(std::string_view name, Values arguments, json::Document& scratch, bool headers) {
  const Row* row = find(name);
  if (!row) return fail(Code::malformed, "function " + quoted(name) + " not defined");
  if (arguments.size() < row->least || arguments.size() > row->most) {
    return fail(Code::invalid, "wrong number of args for " + std::string(name) + ": want " + (row->most == any ? "at least " : "") +
                                   std::to_string(row->least) + " got " + std::to_string(arguments.size()));
  }
  return row->call({scratch, name, headers}, arguments);
}

}  // namespace estiba::cli::template_detail
