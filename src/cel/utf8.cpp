#include "cel/compare.h"

namespace estiba::cel {

static bool tail(std::string_view text, size_t at) { return at < text.size() && (text[at] & 0xc0) == 0x80; }

char32_t next_code_point(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return char32_t(static_cast<unsigned char>(text[i])); };
  const char32_t c = byte(at);
  if (c < 0x80) return at++, c;
  if (c >= 0xc2 && c <= 0xdf && tail(text, at + 1)) {
    at += 2;
    return (c & 0x1f) << 6 | (byte(at - 1) & 0x3f);
  }
  if (c >= 0xe0 && c <= 0xef && tail(text, at + 1) && tail(text, at + 2)) {
    const char32_t value = (c & 0xf) << 12 | (byte(at + 1) & 0x3f) << 6 | (byte(at + 2) & 0x3f);
    if (value >= 0x800 && (value < 0xd800 || value > 0xdfff)) return at += 3, value;
  }
  if (c >= 0xf0 && c <= 0xf4 && tail(text, at + 1) && tail(text, at + 2) && tail(text, at + 3)) {
    const char32_t value = (c & 7) << 18 | (byte(at + 1) & 0x3f) << 12 | (byte(at + 2) & 0x3f) << 6 | (byte(at + 3) & 0x3f);
    if (value >= 0x10000 && value <= 0x10ffff) return at += 4, value;
  }
  return at++, char32_t(0xfffd);
}

size_t code_points(std::string_view text) {
  size_t count = 0, at = 0;
  for (; at < text.size(); count++) {
    if (static_cast<unsigned char>(text[at]) < 0x80) at++;
    else next_code_point(text, at);
  }
  return count;
}

size_t byte_offset(std::string_view text, size_t n) {
  size_t at = 0;
  for (; n > 0 && at < text.size(); n--) next_code_point(text, at);
  return at;
}

void append_code_point(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += char(0xc0 | c >> 6);
    out += char(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += char(0xe0 | c >> 12);
    out += char(0x80 | (c >> 6 & 0x3f));
    out += char(0x80 | (c & 0x3f));
  } else {
    out += char(0xf0 | c >> 18);
    out += char(0x80 | (c >> 12 & 0x3f));
    out += char(0x80 | (c >> 6 & 0x3f));
    out += char(0x80 | (c & 0x3f));
  }
}

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    if (next_code_point(text, at) == 0xfffd && at == from + 1) return false;
  }
  return true;
}

}  // namespace estiba::cel
