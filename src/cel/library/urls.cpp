// url(), isURL() and the parts of a URL.
#include <map>

#include "base/strings.h"
#include "cel/compare.h"
#include "cel/function.h"
#include "cel/library/objects.h"

namespace estiba::cel {

namespace {

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
int hex_digit(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

/// Undoes %XX; nullopt with the bad escape when there is one. '+' is a space in queries.
std::optional<std::string> unescape(std::string_view text, bool query, std::string& bad) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] != '%') {
      out += query && text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) {
      bad = text.substr(i, 3);
      return std::nullopt;
    }
    out += char(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
    i += 2;
  }
  return out;
}

bool valid_host(std::string_view host, std::string& problem) {
  std::string_view port;
  if (host.starts_with('[')) {
    const size_t end = host.rfind(']');
    if (end == std::string_view::npos) return problem = "missing ']' in host", false;
    port = host.substr(end + 1);
  } else if (const size_t colon = host.rfind(':'); colon != std::string_view::npos) {
    port = host.substr(colon);
  }
  const bool digits = port.find_first_not_of("0123456789", 1) == std::string_view::npos;
  if (!port.empty() && (port[0] != ':' || !digits)) return problem = "invalid port " + quoted(port) + " after host", false;
  for (const char c : host)
    if (c == ' ' || c == '"' || c == '<' || c == '>' || c == '\\' || c == '^' || c == '`' || c == '{' || c == '|' || c == '}') {
      if (c == '"' || c == '<' || c == '>') continue;
      problem = "invalid character " + quoted(std::string_view(&c, 1)) + " in host name";
      return false;
    }
  std::string bad;
  if (!unescape(host, false, bad)) return problem = "invalid URL escape " + quoted(bad), false;
  return true;
}

bool valid_userinfo(std::string_view text) {
  for (const char c : text) {
    const bool valid = isalnum(static_cast<unsigned char>(c)) || std::string_view("-._:~!$&'()*+,;=%@").find(c) != std::string_view::npos;
    if (!valid) return false;
  }
  return true;
}

/// The scheme's length, 0 without one; npos when the text begins with a colon.
size_t scheme_length(std::string_view text) {
  for (size_t i = 0; i < text.size(); i++) {
    const char c = text[i];
    if (isalpha(static_cast<unsigned char>(c))) continue;
    const bool inner = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
    if (inner && i > 0) continue;
    if (c == ':') return i == 0 ? std::string_view::npos : i;
    return 0;
  }
  return 0;
}

std::string_view hostname(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, host.rfind(']') - 1);
  return host.substr(0, host.rfind(':'));
}

std::string_view port(std::string_view host) {
  const size_t bracket = host.starts_with('[') ? host.rfind(']') : 0;
  const size_t colon = host.find(':', bracket);
  return colon == std::string_view::npos ? std::string_view() : host.substr(colon + 1);
}

}  // namespace

std::optional<UrlObject> parse_url(std::string_view text, std::string& error) {
  const auto refuse = [&](std::string_view why) {
    error = "parse " + quoted(text) + ": " + std::string(why);
    return std::nullopt;
  };
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return refuse("net/url: invalid control character in URL");
  if (text.empty()) return refuse("empty url");
  UrlObject url{{Object::Is::url}, {}, {}, {}, {}, text};
  if (text == "*") return url.path = "*", url;
  const size_t scheme = scheme_length(text);
  if (scheme == std::string_view::npos) return refuse("missing protocol scheme");
  std::string_view rest = text;
  if (scheme > 0) {
    url.scheme = text.substr(0, scheme);
    rest.remove_prefix(scheme + 1);
  }
  if (const size_t question = rest.find('?'); question != std::string_view::npos) {
    url.query = rest.substr(question + 1);
    rest = rest.substr(0, question);
  }
  if (!rest.starts_with('/')) {
    if (scheme > 0) return url;  // opaque: "mailto:me"
    return refuse("invalid URI for request");
  }
  if (rest.starts_with("//") && (scheme > 0 || !rest.starts_with("///"))) {
    std::string_view authority = rest.substr(2, rest.find('/', 2) - 2);
    rest.remove_prefix(2 + authority.size());
    if (scheme == 0) {
      // Without a scheme two slashes are a path for a request.
      rest = text.substr(0, text.find('?'));
      authority = {};
    }
    const size_t at = authority.rfind('@');
    if (at != std::string_view::npos) {
      if (!valid_userinfo(authority.substr(0, at))) return refuse("net/url: invalid userinfo");
      authority.remove_prefix(at + 1);
    }
    std::string problem;
    if (!valid_host(authority, problem)) return refuse(problem);
    url.host = authority;
  }
  std::string bad;
  if (!unescape(rest, false, bad)) return refuse("invalid URL escape " + quoted(bad));
  url.path = rest;
  return url;
}

std::string escaped_path(const UrlObject& url) {
  std::string out;
  for (const char c : url.path) {
    const bool plain =
        isalnum(static_cast<unsigned char>(c)) || std::string_view("-_.~$&+,/:;=@%!'()*[]").find(c) != std::string_view::npos;
    if (plain) out += c;
    else
      out += "%" + [](std::string hex) {
        for (char& d : hex)
          if (d >= 'a') d = char(d - 32);
        return hex;
      }(hex_encode(std::string_view(&c, 1)));
  }
  return out;
}

namespace library {

namespace {

Value to_url(Context& c, Args a) {
  std::string error;
  auto url = parse_url(a[0].text(), error);
  if (!url) return c.memory.error("URL parse error during conversion from string: " + error);
  // A fragment is cut off only now: a request has none.
  const auto cut = [](std::string_view& text) { text = text.substr(0, text.find('#')); };
  cut(url->path);
  cut(url->query);
  cut(url->host);
  return Value::object(c.memory.arena().make<UrlObject>(*url), &types::url);
}

Value is_url(Context&, Args a) {
  std::string error;
  return Value::boolean(parse_url(a[0].text(), error).has_value());
}

Value scheme(Context& c, Args a) { return c.memory.string(to_lower(as<UrlObject>(a[0]).scheme)); }
Value host(Context&, Args a) { return Value::string(as<UrlObject>(a[0]).host); }
Value host_name(Context&, Args a) { return Value::string(hostname(as<UrlObject>(a[0]).host)); }
Value port_of(Context&, Args a) { return Value::string(port(as<UrlObject>(a[0]).host)); }
Value path(Context& c, Args a) { return c.memory.string(escaped_path(as<UrlObject>(a[0]))); }

Value query(Context& c, Args a) {
  std::map<std::string, std::vector<Value>> all;
  for (const std::string_view part : split(as<UrlObject>(a[0]).query, '&')) {
    if (part.empty() || part.find(';') != std::string_view::npos) continue;
    const auto [key, value] = split_once(part, '=');
    std::string bad;
    const auto name = unescape(key, true, bad), content = unescape(value.value_or(""), true, bad);
    if (name && content) all[*name].push_back(c.memory.string(*content));
  }
  Value map = c.memory.empty_map();
  for (const auto& [name, values] : all) map = c.memory.insert(map, c.memory.string(name), c.memory.list(values));
  return map;
}

constexpr auto table = std::to_array<Native>({
    {"url", "string_to_url", "(string):kubernetes.URL", to_url},
    {"isURL", "is_url_string", "(string):bool", is_url},
    {"getScheme", "url_get_scheme", "kubernetes.URL.():string", scheme},
    {"getHost", "url_get_host", "kubernetes.URL.():string", host},
    {"getHostname", "url_get_hostname", "kubernetes.URL.():string", host_name},
    {"getPort", "url_get_port", "kubernetes.URL.():string", port_of},
    {"getEscapedPath", "url_get_escaped_path", "kubernetes.URL.():string", path},
    {"getQuery", "url_get_query", "kubernetes.URL.():map(string,list(string))", query},
});

}  // namespace

std::span<const Native> urls() { return table; }

}  // namespace library
}  // namespace estiba::cel
