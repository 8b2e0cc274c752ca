// The strings extension, version 2. Indexes count code points.
#include <algorithm>

#include "cel/compare.h"
#include "cel/function.h"
#include "cel/library/objects.h"

namespace estiba::cel::library {

namespace {

Value out_of_range(Context& c, int64_t index) { return c.memory.error("index out of range: " + std::to_string(index)); }

Value char_at(Context& c, Args a) {
  const std::string_view text = a[0].text();
  const int64_t index = a[1].as_int();
  const size_t size = code_points(text);
  if (index < 0 || uint64_t(index) > size) return out_of_range(c, index);
  const size_t from = byte_offset(text, size_t(index));
  return Value::string(text.substr(from, byte_offset(text.substr(from), 1)));
}

Value index_of(Context& c, Args a) {
  const std::string_view text = a[0].text(), part = a[1].text();
  const int64_t offset = a.size() > 2 ? a[2].as_int() : 0;
  if (part.empty()) return Value::integer(offset);
  if (offset < 0) return out_of_range(c, offset);
  const size_t from = byte_offset(text, size_t(offset));
  const size_t found = text.find(part, from);
  if (found == std::string_view::npos) return Value::integer(-1);
  return Value::integer(offset + int64_t(code_points(text.substr(from, found - from))));
}

Value last_index_of(Context& c, Args a) {
  const std::string_view text = a[0].text(), part = a[1].text();
  const int64_t size = int64_t(code_points(text));
  if (a.size() == 2) {
    if (part.empty()) return Value::integer(size);
  } else {
    const int64_t offset = a[2].as_int();
    if (part.empty()) return Value::integer(offset);
    if (offset < 0) return out_of_range(c, offset);
    if (offset >= size) return Value::integer(-1);
  }
  const size_t from = a.size() == 2 ? std::string_view::npos : byte_offset(text, size_t(a[2].as_int()));
  const size_t found = text.rfind(part, from);
  return Value::integer(found == std::string_view::npos ? -1 : int64_t(code_points(text.substr(0, found))));
}

template <char first, char last, int by>
Value change_case(Context& c, Args a) {
  const std::string_view text = a[0].text();
  if (!c.memory.admit(text.size())) return Memory::over_limit();
  char* out = c.memory.arena().text(text.size());
  for (size_t i = 0; i < text.size(); i++) out[i] = text[i] >= first && text[i] <= last ? char(text[i] + by) : text[i];
  return Value::string({out, text.size()});
}

/// Go's strings.Replace; an empty text stands before each code point and at the end.
Value replace(Context& c, Args a) {
  const std::string_view text = a[0].text(), old = a[1].text(), by = a[2].text();
  const int64_t most = a.size() > 3 ? a[3].as_int() : -1;
  std::string out;
  size_t at = 0;
  for (int64_t done = 0; (most < 0 || done < most) && c.memory.spend(1); done++) {
    size_t found = at;
    if (!old.empty()) found = text.find(old, at);
    else if (done > 0) found = at < text.size() ? at + byte_offset(text.substr(at), 1) : std::string_view::npos;
    if (found == std::string_view::npos) break;
    out += text.substr(at, found - at);
    out += by;
    if (out.size() > Memory::max_bytes) return Memory::over_limit();
    at = found + old.size();
  }
  out += text.substr(at);
  return c.memory.string(out);
}

/// Go's strings.SplitN; an empty separator splits code points.
Value split(Context& c, Args a) {
  const std::string_view text = a[0].text(), separator = a[1].text();
  const int64_t most = a.size() > 2 ? a[2].as_int() : -1;
  std::vector<Value> parts;
  if (most == 0) return c.memory.list(parts);
  size_t at = 0;
  const auto room = [&] { return (most < 0 || int64_t(parts.size()) + 1 < most) && c.memory.spend(1); };
  if (separator.empty()) {
    while (at < text.size() && room()) {
      const size_t length = byte_offset(text.substr(at), 1);
      parts.push_back(Value::string(text.substr(at, length)));
      at += length;
    }
    if (at < text.size()) parts.push_back(Value::string(text.substr(at)));
    return c.memory.list(parts);
  }
  for (size_t found; room() && (found = text.find(separator, at)) != std::string_view::npos; at = found + separator.size())
    parts.push_back(Value::string(text.substr(at, found - at)));
  parts.push_back(Value::string(text.substr(at)));
  return c.memory.list(parts);
}

Value substring(Context& c, Args a) {
  const std::string_view text = a[0].text();
  const int64_t size = int64_t(code_points(text)), start = a[1].as_int(), end = a.size() > 2 ? a[2].as_int() : size;
  if (a.size() > 2 && start > end)
    return c.memory.error("invalid substring range. start: " + std::to_string(start) + ", end: " + std::to_string(end));
  if (start < 0 || start > size) return out_of_range(c, start);
  if (end < 0 || end > size) return out_of_range(c, end);
  const size_t from = byte_offset(text, size_t(start));
  return Value::string(text.substr(from, byte_offset(text.substr(from), size_t(end - start))));
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

Value trim(Context&, Args a) {
  const std::string_view text = a[0].text();
  size_t from = text.size(), to = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    if (is_space(next_code_point(text, at))) continue;
    from = std::min(from, start);
    to = at;
  }
  return Value::string(from < to ? text.substr(from, to - from) : std::string_view());
}

Value join(Context& c, Args a) {
  const std::string_view separator = a.size() > 1 ? a[1].text() : std::string_view();
  std::string out;
  for (Items items(c.memory, a[0]); !items.done();) {
    const bool first = items.position() == 0;
    const Value item = items.next();
    if (!item.is(Kind::string)) return item.is_error() ? item : c.memory.error("join: invalid input: " + print(c.memory, item));
    if (!first) out += separator;
    out += item.text();
    if (out.size() > Memory::max_bytes) return Memory::over_limit();
  }
  return c.memory.string(out);
}

Value quote(Context& c, Args a) {
  std::string out = "\"";
  for (size_t at = 0; at < a[0].text().size();) {
    const char32_t code = next_code_point(a[0].text(), at);
    static constexpr std::string_view special = "\a\b\f\n\r\t\v\\\"", names = "abfnrtv\\\"";
    const size_t found = code < 0x80 ? special.find(char(code)) : std::string_view::npos;
    if (found == std::string_view::npos) append_code_point(out, code);
    else out.append("\\").append(1, names[found]);
  }
  return c.memory.string(out + "\"");
}

Value format(Context& c, Args a) {
  std::string error;
  const auto text = format_text(c.memory, a[0].text(), a[1], error);
  return text ? c.memory.string(*text) : c.memory.exhausted() ? Memory::over_limit() : c.memory.error(error);
}

/// RFC 6901: '~' and '/' in one part of a pointer.
Value escape_key(Context& c, Args a) {
  std::string out;
  for (const char each : a[0].text()) {
    if (each == '~') out += "~0";
    else if (each == '/') out += "~1";
    else out += each;
  }
  return c.memory.string(out);
}

constexpr auto table = std::to_array<Native>({
    {"charAt", "string_char_at_int", "string.(int):string", char_at},
    {"indexOf", "string_index_of_string", "string.(string):int", index_of},
    {"indexOf", "string_index_of_string_int", "string.(string,int):int", index_of},
    {"lastIndexOf", "string_last_index_of_string", "string.(string):int", last_index_of},
    {"lastIndexOf", "string_last_index_of_string_int", "string.(string,int):int", last_index_of},
    {"lowerAscii", "string_lower_ascii", "string.():string", change_case<'A', 'Z', 32>},
    {"upperAscii", "string_upper_ascii", "string.():string", change_case<'a', 'z', -32>},
    {"replace", "string_replace_string_string", "string.(string,string):string", replace},
    {"replace", "string_replace_string_string_int", "string.(string,string,int):string", replace},
    {"split", "string_split_string", "string.(string):list(string)", split},
    {"split", "string_split_string_int", "string.(string,int):list(string)", split},
    {"substring", "string_substring_int", "string.(int):string", substring},
    {"substring", "string_substring_int_int", "string.(int,int):string", substring},
    {"trim", "string_trim", "string.():string", trim},
    {"format", "string_format", "string.(list(dyn)):string", format},
    {"strings.quote", "strings_quote", "(string):string", quote},
    {"join", "list_join", "list(string).():string", join},
    {"join", "list_join_string", "list(string).(string):string", join},
    {"jsonpatch.escapeKey", "string_jsonpatch_escapeKey_string", "(string):string", escape_key},
});

}  // namespace

std::span<const Native> strings() { return table; }

}  // namespace estiba::cel::library
