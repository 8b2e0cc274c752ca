// string.format(): %s %d %f %e %b %x %X %o with precisions, and what each accepts.
#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "cel/compare.h"
#include "cel/library/objects.h"

namespace estiba::cel {

namespace {

using Text = std::optional<std::string>;

class Formatter {
 public:
  Formatter(Memory& memory, std::string& error) : memory_(memory), error_(error) {}

  Text clause(char verb, std::optional<int> precision, const Value& value) {
    switch (verb) {
      case 's': return string(value);
      case 'd':
        if (value.is(Kind::integer) || value.is(Kind::uinteger)) return convert_to_string(value);
        return wrong("decimal clause can only be used on integers, was given ", value);
      case 'f': return real(value, precision, false);
      case 'e': return real(value, precision, true);
      case 'b': return binary(value);
      case 'x':
      case 'X': return hex(value, verb == 'X');
      case 'o': return based(value, 8, "octal clause can only be used on integers, was given ");
      default: return std::nullopt;
    }
  }

 private:
  Text wrong(std::string_view message, const Value& value) {
    error_ = "error during formatting: " + std::string(message) + std::string(type_name(value));
    return std::nullopt;
  }

  Text string(const Value& value) {
    switch (value.kind()) {
      case Kind::list: return list(value);
      case Kind::map: return map(value);
      case Kind::null: return "null";
      case Kind::bytes:
        if (is_utf8(value.text())) return std::string(value.text());
        error_ = "error during formatting: could not convert argument to string";
        return std::nullopt;
      default: break;
    }
    if (auto text = convert_to_string(value)) return text;
    return wrong(
        "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given ",
        value);
  }

  /// A value inside of a list or map, quoted as CEL writes it.
  Text nested(const Value& value) {
    if (!memory_.spend(1)) return std::nullopt;
    switch (value.kind()) {
      case Kind::real: {
        char text[400];
        snprintf(text, sizeof text, "%.6f", value.as_double());
        if (std::isnan(value.as_double())) return "\"NaN\"";
        if (std::isinf(value.as_double())) return value.as_double() < 0 ? "\"-Inf\"" : "\"+Inf\"";
        return text;
      }
      case Kind::string: return quoted(value.text());
      case Kind::bytes: return "b" + quoted(value.text());
      case Kind::timestamp: return "timestamp(" + quoted(*convert_to_string(value)) + ")";
      case Kind::duration: return "duration(" + quoted(*convert_to_string(value)) + ")";
      case Kind::optional:
      case Kind::object:
        error_ = "error during formatting: no formatting function for " + std::string(type_name(value));
        return std::nullopt;
      default: return string(value);
    }
  }

  Text list(const Value& value) {
    std::string out = "[";
    for (Items items(memory_, value); !items.done();) {
      if (out.size() > 1) out += ", ";
      const Text item = nested(items.next());
      if (!item || out.size() > Memory::max_bytes) return std::nullopt;
      out += *item;
    }
    return out + "]";
  }

  Text map(const Value& value) {
    std::vector<std::pair<std::string, std::string>> entries;
    for (Items items(memory_, value); !items.done();) {
      Value inner;
      const Value key = items.next(&inner);
      if (key.is(Kind::real)) {
        error_ = "error during formatting: no formatting function for map key of type double";
        return std::nullopt;
      }
      const Text key_text = nested(key);
      const Text inner_text = key_text ? nested(inner) : std::nullopt;
      if (!inner_text) return std::nullopt;
      entries.emplace_back(*key_text, *inner_text);
    }
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::string out = "{";
    for (const auto& [key, inner] : entries) {
      if (out.size() > 1) out += ", ";
      out += key + ":" + inner;
      if (out.size() > Memory::max_bytes) return std::nullopt;
    }
    return out + "}";
  }

  /// As the en_US locale writes it: digits in groups of three for %f, "1.5×10⁰⁶" for %e.
  Text real(const Value& value, std::optional<int> precision, bool scientific) {
    double number = value.as_double();
    if (value.is(Kind::string)) {
      const std::string_view text = value.text();
      if (text == "NaN") number = NAN;
      else if (text == "Infinity") number = INFINITY;
      else if (text == "-Infinity") number = -INFINITY;
      else
        return wrong(scientific ? "scientific clause can only be used on doubles, was given "
                                : "fixed-point clause can only be used on doubles, was given ",
                     value);
    } else if (!value.is(Kind::real)) {
      return wrong(scientific ? "scientific clause can only be used on doubles, was given "
                              : "fixed-point clause can only be used on doubles, was given ",
                   value);
    }
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-\u221e" : "\u221e";
    const int digits = std::min(precision.value_or(6), 1000);
    char text[1500];
    snprintf(text, sizeof text, scientific ? "%.*e" : "%.*f", digits, number);
    return scientific ? superscript(text) : grouped(text);
  }

  static std::string superscript(std::string_view text) {
    static constexpr std::string_view raised[] = {"\u2070", "\u00b9", "\u00b2", "\u00b3", "\u2074",
                                                  "\u2075", "\u2076", "\u2077", "\u2078", "\u2079"};
    const size_t at = text.find('e');
    std::string out = std::string(text.substr(0, at)) + "\u00d710";
    if (text[at + 1] == '-') out += "\u207b";
    for (const char c : text.substr(at + 2)) out += raised[c - '0'];
    return out;
  }

  static std::string grouped(std::string_view text) {
    const size_t sign = text.starts_with('-') ? 1 : 0;
    const size_t end = std::min(text.find('.'), text.size());
    std::string out(text.substr(0, sign));
    for (size_t i = sign; i < end; i++) {
      out += text[i];
      if ((end - i - 1) % 3 == 0 && i + 1 < end) out += ',';
    }
    return out + std::string(text.substr(end));
  }

  Text binary(const Value& value) {
    if (value.is(Kind::boolean)) return value.as_bool() ? "1" : "0";
    return based(value, 2, "only integers and bools can be formatted as binary, was given ");
  }

  Text based(const Value& value, int base, std::string_view message) {
    char text[80];
    if (value.is(Kind::integer)) return std::string(text, std::to_chars(text, text + sizeof text, value.as_int(), base).ptr);
    if (value.is(Kind::uinteger)) return std::string(text, std::to_chars(text, text + sizeof text, value.as_uint(), base).ptr);
    return wrong(message, value);
  }

  Text hex(const Value& value, bool upper) {
    Text out;
    if (value.is(Kind::string) || value.is(Kind::bytes)) out = hex_encode(value.text());
    else out = based(value, 16, "only integers, byte buffers, and strings can be formatted as hex, was given ");
    if (out && upper) std::transform(out->begin(), out->end(), out->begin(), [](char c) { return c >= 'a' ? char(c - 32) : c; });
    return out;
  }

  Memory& memory_;
  std::string& error_;
};

}  // namespace

std::optional<std::string> format_text(Memory& memory, std::string_view format, const Value& args, std::string& error) {
  Formatter formatter(memory, error);
  std::string out;
  uint32_t next = 0;
  for (size_t i = 0; i < format.size(); i++) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    if (format.substr(i + 1).starts_with('%')) {
      out += '%';
      i++;
      continue;
    }
    if (next >= args.count()) return error = "index " + std::to_string(next) + " out of range", std::nullopt;
    if (++i >= format.size()) return error = "unexpected end of string", std::nullopt;
    std::optional<int> precision;
    if (format[i] == '.') {
      const size_t from = ++i;
      while (i < format.size() && format[i] >= '0' && format[i] <= '9') i++;
      if (i >= format.size())
        return error = "could not parse formatting clause: error while parsing precision: could not find end of precision specifier",
               std::nullopt;
      precision = parse_number<int>(format.substr(from, i - from));
      if (!precision)
        return error = "could not parse formatting clause: error while parsing precision: error while converting precision to integer",
               std::nullopt;
    }
    if (std::string_view("sdfebxXo").find(format[i]) == std::string_view::npos)
      return error = "could not parse formatting clause: unrecognized formatting clause \"" + std::string(1, format[i]) + "\"",
             std::nullopt;
    const auto text = formatter.clause(format[i], precision, memory.item(args, next++));
    if (!text) return std::nullopt;
    out += *text;
    if (out.size() > Memory::max_bytes) return memory.admit(out.size()), std::nullopt;
  }
  return out;
}

}  // namespace estiba::cel
