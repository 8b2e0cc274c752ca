#include <bit>

#include "model/json.h"
#include "model/json_arena.h"

namespace estiba::json {

static constexpr char hex_digits[] = "0123456789abcdef";

static void append_unit(std::string& out, unsigned c) {
  const char text[6] = {'\\', 'u', hex_digits[c >> 12 & 15], hex_digits[c >> 8 & 15], hex_digits[c >> 4 & 15], hex_digits[c & 15]};
  out.append(text, 6);
}

static void append_escaped(std::string& out, unsigned char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: append_unit(out, c); return;
  }
}

// The first byte from `p` on that is not simply copied, or `end`.
static const char* skip_plain(const char* p, const char* end) {
  while (end - p >= 8) {
    const uint64_t w = swar::load(p);
    const uint64_t mask = swar::equal(w, '"') | swar::equal(w, '\\') | swar::less(w, 0x20) | (w & swar::highs) | swar::equal(w, '<') |
                          swar::equal(w, '>') | swar::equal(w, '&');
    if (mask) return p + swar::first(mask);
    p += 8;
  }
  for (; p < end; ++p) {
    const unsigned char c = static_cast<unsigned char>(*p);
    if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&') break;
  }
  return p;
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  const char* p = text.data();
  const char* end = p + text.size();
  const char* copied = p;
  for (;;) {
    p = skip_plain(p, end);
    if (p == end) break;
    const unsigned char c = static_cast<unsigned char>(*p);
    if (c >= 0x80) {
      const int length = utf8_length(reinterpret_cast<const unsigned char*>(p), size_t(end - p));
      // U+2028 and U+2029 (e2 80 a8, e2 80 a9) end lines in JavaScript, so Go escapes them.
      const bool line = length == 3 && c == 0xe2 && uint8_t(p[1]) == 0x80 && (uint8_t(p[2]) | 1) == 0xa9;
      if (length && !line) {
        p += length;
        continue;
      }
      out.append(copied, p);
      append_unit(out, line ? 0x2000 | (uint8_t(p[2]) & 0x3f) : 0xfffd);
      p += length ? length : 1;
    } else {
      out.append(copied, p);
      append_escaped(out, c);
      ++p;
    }
    copied = p;
  }
  out.append(copied, end);
  out += '"';
}

void print_to(std::string& out, const Node& node) {
  switch (node.type()) {
    case Type::null: out += "null"; return;
    case Type::boolean: out += node.as_bool() ? "true" : "false"; return;
    case Type::number: out += node.number_text(); return;
    case Type::string: append_string(out, node.as_string()); return;
    case Type::array:
    case Type::object: break;
  }
  const bool object = node.is_object();
  out += object ? '{' : '[';
  bool first = true;
  for (const Node& child : node) {
    if (!first) out += ',';
    first = false;
    if (object) {
      append_string(out, child.key());
      out += ':';
    }
    print_to(out, child);
  }
  out += object ? '}' : ']';
}

std::string print(const Node& node) {
  std::string out;
  print_to(out, node);
  return out;
}

static void print_indented(std::string& out, const Node& node, size_t indent) {
  if (node.type() < Type::array || node.empty()) return print_to(out, node);
  const bool object = node.is_object();
  out += object ? '{' : '[';
  bool first = true;
  for (const Node& child : node) {
    out += first ? "\n" : ",\n";
    first = false;
    out.append(indent + 2, ' ');
    if (object) {
      append_string(out, child.key());
      out += ": ";
    }
    print_indented(out, child, indent + 2);
  }
  out += '\n';
  out.append(indent, ' ');
  out += object ? '}' : ']';
}

std::string print_pretty(const Node& node) {
  std::string out;
  print_indented(out, node, 0);
  return out;
}

}  // namespace estiba::json
