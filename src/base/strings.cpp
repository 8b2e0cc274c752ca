#include "base/strings.h"

#include <sys/random.h>

#include <array>

namespace estiba {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  size_t start = 0;
  for (;;) {
    const size_t end = text.find(separator, start);
    parts.push_back(text.substr(start, end - start));
    if (end == std::string_view::npos) return parts;
    start = end + 1;
  }
}

std::pair<std::string_view, std::optional<std::string_view>> split_once(std::string_view text, char separator) {
  const size_t at = text.find(separator);
  if (at == std::string_view::npos) return {text, std::nullopt};
  return {text.substr(0, at), text.substr(at + 1)};
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::string_view word : split(text, ' '))
    if (!word.empty()) out.push_back(word);
  return out;
}

std::string_view trim(std::string_view text) {
  constexpr auto is_space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; }

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

bool equals_ignore_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
  return true;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i) out += separator;
    out += parts[i];
  }
  return out;
}

static constexpr char hex_digits[] = "0123456789abcdef";

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      default:
        if (c < 0x20 || c == 0x7f) {
          out += "\\x";
          out += hex_digits[c >> 4];
          out += hex_digits[c & 15];
        } else {
          out += char(c);
        }
    }
  }
  return out + '"';
}

static constexpr char base64_standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static constexpr char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static std::string encode64(std::string_view bytes, const char* alphabet, bool pad) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = std::min<size_t>(3, bytes.size() - i);
    uint32_t v = uint32_t(uint8_t(bytes[i])) << 16;
    if (left > 1) v |= uint32_t(uint8_t(bytes[i + 1])) << 8;
    if (left > 2) v |= uint8_t(bytes[i + 2]);
    out += alphabet[v >> 18];
    out += alphabet[(v >> 12) & 63];
    if (left > 1) out += alphabet[(v >> 6) & 63];
    else if (pad) out += '=';
    if (left > 2) out += alphabet[v & 63];
    else if (pad) out += '=';
  }
  return out;
}

static Result<std::string> decode64(std::string_view text, const char* alphabet) {
  std::array<int8_t, 256> value;
  value.fill(-1);
  for (int i = 0; i < 64; ++i) value[uint8_t(alphabet[i])] = int8_t(i);
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int count = 0;
  for (unsigned char c : text) {
    if (c == '\n' || c == '\r') continue;
    if (value[c] < 0) return fail(Code::malformed, "illegal base64 data");
    bits = bits << 6 | uint32_t(value[c]);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += char(bits >> count);
      bits &= (1u << count) - 1;
    }
  }
  if (count == 6) return fail(Code::malformed, "illegal base64 data: it ends in the middle of a byte");
  return out;
}

std::string base64_encode(std::string_view bytes) { return encode64(bytes, base64_standard, true); }
std::string base64url_encode(std::string_view bytes) { return encode64(bytes, base64_url, false); }
Result<std::string> base64_decode(std::string_view text) { return decode64(text, base64_standard); }
Result<std::string> base64url_decode(std::string_view text) { return decode64(text, base64_url); }

std::string hex_encode(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (unsigned char c : bytes) {
    out += hex_digits[c >> 4];
    out += hex_digits[c & 15];
  }
  return out;
}

std::string random_bytes(size_t count) {
  std::string out(count, '\0');
  size_t have = 0;
  while (have < count) {
    const ssize_t n = getrandom(out.data() + have, count - have, 0);
    if (n > 0) have += size_t(n);
  }
  return out;
}

std::string random_uuid() {
  std::string b = random_bytes(16);
  b[6] = char((b[6] & 0x0f) | 0x40);
  b[8] = char((b[8] & 0x3f) | 0x80);
  std::string h = hex_encode(b);
  return h.substr(0, 8) + '-' + h.substr(8, 4) + '-' + h.substr(12, 4) + '-' + h.substr(16, 4) + '-' + h.substr(20);
}

static constexpr std::string_view safe_letters = "bcdfghjklmnpqrstvwxz2456789";

std::string safe_encode(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = safe_letters[uint8_t(c) % safe_letters.size()];
  return out;
}

std::string random_suffix(size_t length) { return safe_encode(random_bytes(length)); }

uint64_t fnv1a64(std::string_view bytes) {
  uint64_t hash = 14695981039346656037ull;
  for (unsigned char c : bytes) hash = (hash ^ c) * 1099511628211ull;
  return hash;
}

uint32_t fnv1a32(std::string_view bytes) {
  uint32_t hash = 2166136261u;
  for (unsigned char c : bytes) hash = (hash ^ c) * 16777619u;
  return hash;
}

}  // namespace estiba
