#include "model/names.h"

#include "base/strings.h"

namespace estiba::model {

static constexpr size_t label_max = 63, subdomain_max = 253;

static bool lower(char c) { return c >= 'a' && c <= 'z'; }
static bool letter(char c) { return lower(c) || (c >= 'A' && c <= 'Z'); }
static bool digit(char c) { return c >= '0' && c <= '9'; }
static bool lower_digit(char c) { return lower(c) || digit(c); }
static bool letter_digit(char c) { return letter(c) || digit(c); }

static std::string too_long(size_t max) { return "must be no more than " + std::to_string(max) + " characters"; }

// "what (e.g. 'a',  or 'b', regex used for validation is 'r')": Kubernetes' RegexError, with its two spaces.
static std::string with_regex(std::string_view what, std::string_view regex, std::initializer_list<std::string_view> examples) {
  std::string out(what);
  out += " (e.g. ";
  bool first = true;
  for (std::string_view example : examples) {
    if (!first) out += " or ";
    first = false;
    out += '\'';
    out += example;
    out += "', ";
  }
  out += "regex used for validation is '";
  out += regex;
  return out + "')";
}

// A run of characters with alphanumeric ends.
template <class Inner, class Edge>
static bool shaped(std::string_view text, Inner inner, Edge edge) {
  if (text.empty() || !edge(text.front()) || !edge(text.back())) return false;
  for (char c : text)
    if (!inner(c)) return false;
  return true;
}

static bool is_dns1123_label(std::string_view text) {
  return shaped(text, [](char c) { return lower_digit(c) || c == '-'; }, lower_digit);
}

static bool is_dns1123_subdomain(std::string_view text) {
  for (std::string_view part : split(text, '.'))
    if (!is_dns1123_label(part)) return false;
  return true;
}

Problems check_dns1123_label(std::string_view text) {
  Problems out;
  if (text.size() > label_max) out.push_back(too_long(label_max));
  if (!is_dns1123_label(text)) {
    if (is_dns1123_subdomain(text)) out.push_back("must not contain dots");
    else
      out.push_back(
          with_regex("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
                     "alphanumeric character",
                     "[a-z0-9]([-a-z0-9]*[a-z0-9])?", {"my-name", "123-abc"}));
  }
  return out;
}

Problems check_dns1123_subdomain(std::string_view text) {
  Problems out;
  if (text.size() > subdomain_max) out.push_back(too_long(subdomain_max));
  if (!is_dns1123_subdomain(text))
    out.push_back(
        with_regex("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
                   "with an alphanumeric character",
                   "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", {"example.com"}));
  return out;
}

Problems check_dns1035_label(std::string_view text) {
  Problems out;
  if (text.size() > label_max) out.push_back(too_long(label_max));
  if (!is_dns1123_label(text) || !lower(text.front()))
    out.push_back(with_regex(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with "
        "an alphanumeric character",
        "[a-z]([-a-z0-9]*[a-z0-9])?", {"my-name", "abc-123"}));
  return out;
}

Problems check_path_segment(std::string_view text) {
  Problems out;
  if (text == "." || text == "..") return {"may not be '" + std::string(text) + "'"};
  for (std::string_view part : {"/", "%"})
    if (text.find(part) != std::string_view::npos) out.push_back("may not contain '" + std::string(part) + "'");
  return out;
}

static constexpr std::string_view qualified_regex = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

static bool is_qualified_part(std::string_view text) {
  return shaped(text, [](char c) { return letter_digit(c) || c == '-' || c == '_' || c == '.'; }, letter_digit);
}

Problems check_qualified_name(std::string_view text) {
  const std::string what =
      with_regex("must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
                 qualified_regex, {"MyName", "my.name", "123-abc"});
  const auto parts = split(text, '/');
  if (parts.size() > 2) return {"a qualified name " + what + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"};
  Problems out;
  if (parts.size() == 2) {
    if (parts[0].empty()) out.push_back("prefix part must be non-empty");
    else
      for (const std::string& problem : check_dns1123_subdomain(parts[0])) out.push_back("prefix part " + problem);
  }
  const std::string_view name = parts.back();
  if (name.empty()) out.push_back("name part must be non-empty");
  else if (name.size() > label_max) out.push_back("name part " + too_long(label_max));
  if (!is_qualified_part(name)) out.push_back("name part " + what);
  return out;
}

Problems check_label_value(std::string_view text) {
  Problems out;
  if (text.size() > label_max) out.push_back(too_long(label_max));
  if (!text.empty() && !is_qualified_part(text))
    out.push_back(with_regex(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
        "alphanumeric character",
        "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", {"MyValue", "my_value", "12345"}));
  return out;
}

Problems check_port_name(std::string_view text) {
  Problems out;
  if (text.size() > 15) out.push_back(too_long(15));
  bool any = false;
  for (char c : text) {
    if (!lower_digit(c) && c != '-') {
      out.push_back("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
      break;
    }
  }
  for (char c : text) any |= lower(c);
  if (!any) out.push_back("must contain at least one letter (a-z)");
  if (text.find("--") != std::string_view::npos) out.push_back("must not contain consecutive hyphens");
  if (text.starts_with('-') || text.ends_with('-')) out.push_back("must not begin or end with a hyphen");
  return out;
}

Problems check_env_name(std::string_view text) {
  if (text.empty()) return {"environment variable name must be non-empty"};
  for (char c : text)
    if (c < ' ' || c > '~' || c == '=')
      return {"a valid environment variable name must consist only of printable ASCII characters other than '='"};
  return {};
}

Problems check_config_key(std::string_view text) {
  Problems out;
  if (text.size() > subdomain_max) out.push_back(too_long(subdomain_max));
  bool valid = !text.empty();
  for (char c : text) valid &= letter_digit(c) || c == '-' || c == '_' || c == '.';
  if (!valid)
    out.push_back(with_regex("a valid config key must consist of alphanumeric characters, '-', '_' or '.'", "[-._a-zA-Z0-9]+",
                             {"key.name", "KEY_NAME", "key-name"}));
  if (text == ".") out.push_back("must not be '.'");
  else if (text == "..") out.push_back("must not be '..'");
  else if (text.starts_with("..")) out.push_back("must not start with '..'");
  return out;
}

bool is_percentage(std::string_view text) {
  if (text.size() < 2 || !text.ends_with('%')) return false;
  text.remove_suffix(1);
  for (char c : text)
    if (!digit(c)) return false;
  return true;
}

std::string generate_name(std::string_view prefix) {
  static constexpr size_t random = 5, room = label_max - random;
  return std::string(prefix.substr(0, room)) + random_suffix(random);
}

}  // namespace estiba::model
