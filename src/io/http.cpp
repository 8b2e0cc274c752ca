#include "io/http.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "base/time.h"

namespace estiba::io {

// --- Headers -------------------------------------------------------------------------------------------------------------

const std::string* Headers::find(std::string_view name) const {
  for (const Header& header : list_)
    if (header.name.size() == name.size() && equals_ignore_case(header.name, name)) return &header.value;
  return nullptr;
}

std::string_view Headers::get(std::string_view name) const {
  const std::string* value = find(name);
  return value ? std::string_view(*value) : std::string_view();
}

std::vector<std::string_view> Headers::list(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const Header& header : list_) {
    if (!equals_ignore_case(header.name, name)) continue;
    for (std::string_view rest = header.value; !rest.empty();) {
      const auto [part, further] = split_once(rest, ',');
      if (const std::string_view value = trim(part); !value.empty()) values.push_back(value);
      rest = further.value_or("");
    }
  }
  return values;
}

bool Headers::has_token(std::string_view name, std::string_view token) const {
  for (const Header& header : list_) {
    if (!equals_ignore_case(header.name, name)) continue;
    for (std::string_view rest = header.value; !rest.empty();) {
      const auto [value, further] = split_once(rest, ',');
      if (equals_ignore_case(trim(value), token)) return true;
      rest = further.value_or("");
    }
  }
  return false;
}

void Headers::set(std::string_view name, std::string value) {
  remove(name);
  add(std::string(name), std::move(value));
}

void Headers::remove(std::string_view name) {
  std::erase_if(list_, [&](const Header& header) { return equals_ignore_case(header.name, name); });
}

// --- percent coding --------------------------------------------------------------------------------------------------------

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> percent_decode(std::string_view text, bool plus) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
      if (low < 0) return fail(Code::malformed, "invalid URL escape " + quoted(text.substr(i, 3)));
      out += char(high * 16 + low);
      i += 2;
    } else {
      out += plus && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::string percent_encode(std::string_view text, std::string_view keep) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text) {
    bool unreserved =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved || keep.find(char(c)) != keep.npos) {
      out += char(c);
    } else {
      out += '%';
      out += digits[c >> 4];
      out += digits[c & 15];
    }
  }
  return out;
}

// --- Query -----------------------------------------------------------------------------------------------------------------

Result<Query> Query::parse(std::string_view text) {
  Query query;
  if (text.empty()) return query;
  for (std::string_view part : split(text, '&')) {
    if (part.empty()) continue;
    auto [name, value] = split_once(part, '=');
    query.add(TRY(percent_decode(name, true)), TRY(percent_decode(value.value_or(""), true)));
  }
  return query;
}

const std::string* Query::find(std::string_view name) const {
  for (const Header& pair : list_)
    if (pair.name == name) return &pair.value;
  return nullptr;
}

std::string_view Query::get(std::string_view name) const {
  const std::string* value = find(name);
  return value ? std::string_view(*value) : std::string_view();
}

std::vector<std::string> Query::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const Header& pair : list_)
    if (pair.name == name) values.push_back(pair.value);
  return values;
}

bool Query::flag(std::string_view name) const {
  // As apimachinery's Convert_Slice_string_To_bool: "false" and "0" are false, whatever else is there is true.
  const std::string* value = find(name);
  return value && *value != "0" && !equals_ignore_case(*value, "false");
}

std::string Query::encode() const {
  std::string out;
  for (const Header& pair : list_) {
    if (!out.empty()) out += '&';
    out += percent_encode(pair.name) + '=' + percent_encode(pair.value);
  }
  return out;
}

// --- Url -------------------------------------------------------------------------------------------------------------------

Result<Url> Url::parse(std::string_view text) {
  auto wrong = [&](std::string_view why) { return fail(Code::malformed, "URL " + quoted(text) + ": " + std::string(why)); };
  for (unsigned char c : text)
    if (c <= 0x20 || c == 0x7f) return wrong("must not hold spaces or control characters");
  size_t colon = text.find("://");
  if (colon == text.npos) return wrong("must begin with a scheme, such as https://");
  Url url;
  url.scheme = to_lower(text.substr(0, colon));
  std::string_view rest = text.substr(colon + 3);
  size_t end = rest.find_first_of("/?#");
  std::string_view authority = rest.substr(0, end);
  if (end != rest.npos) {
    rest.remove_prefix(end);
    rest = rest.substr(0, rest.find('#'));
    url.target = rest.empty() || rest[0] != '/' ? "/" + std::string(rest) : std::string(rest);
  }
  if (size_t at = authority.rfind('@'); at != authority.npos) {
    url.user_info = authority.substr(0, at);
    authority.remove_prefix(at + 1);
  }
  url.port = url.scheme == "https" || url.scheme == "wss" ? 443 : 80;
  size_t host_end = authority.size();
  if (!authority.empty() && authority[0] == '[') {
    host_end = authority.find(']');
    if (host_end == authority.npos) return wrong("the IPv6 address has no closing bracket");
    url.host = authority.substr(1, host_end - 1);
    if (!url.host.contains(':') || url.host.contains('[')) return wrong("brackets are for IPv6 addresses");
    ++host_end;
  } else {
    host_end = std::min(authority.find(':'), authority.size());
    url.host = authority.substr(0, host_end);
    if (url.host.find_first_of("[]") != url.host.npos) return wrong("brackets are for IPv6 addresses");
  }
  if (host_end < authority.size()) {
    auto port = authority[host_end] == ':' ? parse_number<uint16_t>(authority.substr(host_end + 1)) : std::nullopt;
    if (!port) return wrong("the port must be a number up to 65535");
    url.port = *port;
  }
  if (url.host.empty()) return wrong("the host is missing");
  return url;
}

std::string Url::authority() const {
  std::string text = host.find(':') == host.npos ? host : "[" + host + "]";
  uint16_t usual = scheme == "https" || scheme == "wss" ? 443 : 80;
  return port == usual ? text : text + ":" + std::to_string(port);
}

std::string Url::text() const { return scheme + "://" + authority() + target; }

Result<Url> Url::resolve(std::string_view reference) const {
  if (reference.find("://") != reference.npos) return parse(reference);
  if (reference.starts_with("//")) return parse(scheme + ":" + std::string(reference));
  if (reference.starts_with('/')) return parse(scheme + "://" + authority() + std::string(reference));
  std::string base = target.substr(0, target.find('?'));
  return parse(scheme + "://" + authority() + base.substr(0, base.rfind('/') + 1) + std::string(reference));
}

// --- Body and the rest -------------------------------------------------------------------------------------------------------

std::string Body::text() const {
  std::string all;
  all.reserve(size_);
  for (const Chunk& chunk : chunks_) all += chunk.bytes();
  return all;
}

std::string_view status_text(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Request Entity Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Entity";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
  }
}

std::string format_http_date(WallTime time) {
  static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  time_t seconds = time_t(std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count());
  tm t{};
  gmtime_r(&seconds, &t);
  char text[40];
  int length = snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[t.tm_wday], t.tm_mday, months[t.tm_mon],
                        t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
  return std::string(text, size_t(length));
}

bool is_http_token(std::string_view text) {
  static constexpr auto allowed = [] {
    std::array<bool, 256> table{};
    for (unsigned char c : std::string_view("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
      table[c] = true;
    return table;
  }();
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return allowed[c]; });
}

// Whether one of eight characters is below 0x20 or 0x7f; it may say so of a tab.
static bool has_control(uint64_t eight) {
  constexpr uint64_t ones = ~0ull / 255, tops = ones * 0x80;
  const uint64_t low = (eight - ones * 0x20) & ~eight & tops, unlike_delete = eight ^ (ones * 0x7f);
  return low | ((unlike_delete - ones) & ~unlike_delete & tops);
}

bool is_http_value(std::string_view text) {
  const auto good = [](unsigned char c) { return c == '\t' || (c >= 0x20 && c != 0x7f); };
  while (text.size() >= 8) {
    uint64_t eight;
    memcpy(&eight, text.data(), 8);
    if (has_control(eight) && !std::ranges::all_of(text.substr(0, 8), good)) return false;
    text.remove_prefix(8);
  }
  return std::ranges::all_of(text, good);
}

}  // namespace estiba::io
