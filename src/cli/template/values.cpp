#include "cli/template/values.h"

#include <cmath>

#include "base/strings.h"

namespace estiba::cli::template_detail {

bool truth(Value value) {
  if (!value) return false;
  switch (value->type()) {
    case json::Type::null: return false;
    case json::Type::boolean: return value->as_bool();
    case json::Type::number: return value->as_double().value_or(0) != 0;
    case json::Type::string: return !value->as_string().empty();
    default: return !value->empty();
  }
}

namespace {

// What Go's type of a member is shows when it is nil; JSON tells the name alone.
std::string_view show_null(std::string_view key) {
  for (const char* map : {"Volumes", "Labels", "Options", "Sysctls", "Tmpfs", "PortBindings", "ExposedPorts", "Ports", "Networks",
                          "Annotations", "StorageOpt", "DriverOpts", "Attributes"})
    if (key == map) return "map[]";
  for (const char* pointer :
       {"", "OomKillDisable", "PidsLimit", "MemorySwappiness", "Init", "Health", "Healthcheck", "IPAMConfig", "UsageData", "Status"})
    if (key == pointer) return "<nil>";
  return "[]";
}

void show_to(std::string& out, const json::Node& node) {
  switch (node.type()) {
    case json::Type::null: out += show_null(node.key()); return;
    case json::Type::boolean: out += node.as_bool() ? "true" : "false"; return;
    case json::Type::number: out += node.number_text(); return;
    case json::Type::string: out += node.as_string(); return;
    case json::Type::array: {
      out += '[';
      bool first = true;
      for (const json::Node& each : node) {
        if (!std::exchange(first, false)) out += ' ';
        show_to(out, each);
      }
      out += ']';
      return;
    }
    case json::Type::object: {
      std::vector<const json::Node*> members;
      for (const json::Node& each : node) members.push_back(&each);
      std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key() < b->key(); });
      out += "map[";
      for (size_t i = 0; i < members.size(); ++i) {
        if (i) out += ' ';
        out += std::string(members[i]->key()) + ":";
        show_to(out, *members[i]);
      }
      out += ']';
    }
  }
}

}  // namespace

std::string show(Value value) {
  std::string out;
  if (value) show_to(out, *value);
  else out = "<nil>";
  return out;
}

std::string to_json(Value value) {
  if (!value) return "null";
  const std::string text = json::print(*value);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const std::string_view escape = std::string_view(text).substr(i, 6);
    if (escape == "\\u003c" || escape == "\\u003e" || escape == "\\u0026") {
      out += escape == "\\u003c" ? '<' : escape == "\\u003e" ? '>' : '&';
      i += 5;
    } else {
      out += text[i];
      out += text[++i];
    }
  }
  return out;
}

// --- printf -----------------------------------------------------------------------------------------------------------------

namespace {

struct Directive {
  bool minus = false, plus = false, zero = false, sharp = false, space = false;
  int width = -1, precision = -1;
  char verb = 0;
};

size_t runes(std::string_view text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

void pad_to(std::string& out, const Directive& directive, std::string text, bool number) {
  const size_t width = directive.width > 0 ? size_t(directive.width) : 0, have = runes(text);
  if (have >= width) {
    out += text;
  } else if (directive.minus) {
    out += text + std::string(width - have, ' ');
  } else if (directive.zero && number) {
    const size_t sign = text.starts_with('-') || text.starts_with('+');
    out += text.substr(0, sign) + std::string(width - have, '0') + text.substr(sign);
  } else {
    out += std::string(width - have, ' ') + text;
  }
}

std::string in_base(int64_t value, int base, bool upper) {
  char digits[80];
  auto [end, error] = std::to_chars(digits, digits + sizeof digits, value, base);
  std::string out(digits, end);
  if (upper)
    for (char& c : out) c = char(std::toupper(c));
  return out;
}

// An empty answer for a verb that does not fit.
std::optional<std::string> formatted(const Directive& d, Value value) {
  const auto number = value ? value->as_int() : std::nullopt;
  const auto real = value ? value->as_double() : std::nullopt;
  const bool is_string = value && value->is_string();
  switch (d.verb) {
    case 'v': return is_string && d.sharp ? quoted(value->as_string()) : show(value);
    case 's':
      if (is_string && d.precision >= 0) return std::string(value->as_string().substr(0, size_t(d.precision)));
      if (value && (value->is_number() || value->is_bool())) return std::nullopt;
      return show(value);
    case 'q': return is_string ? std::optional(quoted(value->as_string())) : std::nullopt;
    case 't': return value && value->is_bool() ? std::optional(show(value)) : std::nullopt;
    case 'd': return number ? std::optional((d.plus && *number >= 0 ? "+" : "") + std::to_string(*number)) : std::nullopt;
    case 'b': return number ? std::optional(in_base(*number, 2, false)) : std::nullopt;
    case 'o': return number ? std::optional(in_base(*number, 8, false)) : std::nullopt;
    case 'c': return number && *number > 0 && *number < 128 ? std::optional(std::string(1, char(*number))) : std::nullopt;
    case 'x':
    case 'X':
      if (is_string) return hex_encode(value->as_string());
      return number ? std::optional((d.sharp ? "0x" : "") + in_base(*number, 16, d.verb == 'X')) : std::nullopt;
    case 'f':
    case 'F':
    case 'e':
    case 'g': {
      if (!real) return std::nullopt;
      char text[400];
      const char format[] = {'%', '.', '*', d.verb, '\0'}, shortest[] = {'%', d.verb, '\0'};
      if (d.precision >= 0 || d.verb != 'g')
        std::snprintf(text, sizeof text, format, std::min(d.precision < 0 ? 6 : d.precision, 60), *real);
      else std::snprintf(text, sizeof text, shortest, *real);
      return (d.plus && *real >= 0 ? "+" : "") + std::string(text);
    }
    default: return std::nullopt;
  }
}

std::string_view type_name(Value value) {
  if (!value || value->is_null()) return "nil";
  switch (value->type()) {
    case json::Type::boolean: return "bool";
    case json::Type::number: return value->as_int() ? "int" : "float64";
    case json::Type::string: return "string";
    case json::Type::array: return "[]interface {}";
    default: return "map[string]interface {}";
  }
}

Directive parse_directive(std::string_view format, size_t& i) {
  Directive out;
  for (; i < format.size(); ++i) {
    if (format[i] == '-') out.minus = true;
    else if (format[i] == '+') out.plus = true;
    else if (format[i] == '0') out.zero = true;
    else if (format[i] == '#') out.sharp = true;
    else if (format[i] == ' ') out.space = true;
    else break;
  }
  auto number = [&] {
    int value = 0;
    for (; i < format.size() && format[i] >= '0' && format[i] <= '9'; ++i) value = std::min(value * 10 + (format[i] - '0'), 10000);
    return value;
  };
  if (i < format.size() && format[i] >= '1' && format[i] <= '9') out.width = number();
  if (i < format.size() && format[i] == '.') {
    ++i;
    out.precision = number();
  }
  if (i < format.size()) out.verb = format[i];
  return out;
}

}  // namespace

std::string format_values(std::string_view format, std::span<const Value> arguments) {
  std::string out;
  size_t used = 0;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const Directive directive = parse_directive(format, ++i);
    if (directive.verb == 0) return out += "%!(NOVERB)";
    if (directive.verb == '%') {
      out += '%';
    } else if (used >= arguments.size()) {
      out += std::string("%!") + directive.verb + "(MISSING)";
    } else {
      const Value value = arguments[used++];
      if (auto text = formatted(directive, value)) pad_to(out, directive, std::move(*text), value && value->is_number());
      else out += std::string("%!") + directive.verb + "(" + std::string(type_name(value)) + "=" + show(value) + ")";
    }
  }
  if (used < arguments.size()) {
    out += "%!(EXTRA ";
    for (size_t i = used; i < arguments.size(); ++i)
      out += (i > used ? ", " : "") + std::string(type_name(arguments[i])) + "=" + show(arguments[i]);
    out += ")";
  }
  return out;
}

}  // namespace estiba::cli::template_detail
