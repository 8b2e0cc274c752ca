#include "model/yaml_scalar.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/strings.h"

namespace estiba::model::yaml {

using json::Document;
using json::Node;

static constexpr std::string_view tag_prefix = "tag:yaml.org,2002:";

static bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

static std::optional<bool> boolean(std::string_view text) {
  if (is_one_of(text, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) return true;
  if (is_one_of(text, {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) return false;
  return std::nullopt;
}

bool is_yes_or_no(std::string_view text) { return boolean(text) && to_lower(text) != "true" && to_lower(text) != "false"; }

static bool is_null(std::string_view text) { return is_one_of(text, {"", "~", "null", "Null", "NULL"}); }

// Decimal, 0x, 0b, 0o and 0-prefixed octal, with underscores: the literal in decimal.
static std::optional<std::string> integer(std::string_view text) {
  std::string digits(text);
  std::erase(digits, '_');
  std::string_view rest = digits;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  int base = 10;
  if (rest.starts_with("0x") || rest.starts_with("0X")) base = 16, rest.remove_prefix(2);
  else if (rest.starts_with("0b") || rest.starts_with("0B")) base = 2, rest.remove_prefix(2);
  else if (rest.starts_with("0o") || rest.starts_with("0O")) base = 8, rest.remove_prefix(2);
  else if (rest.size() > 1 && rest[0] == '0') base = 8, rest.remove_prefix(1);
  if (rest.empty() || rest[0] == '-' || rest[0] == '+') return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value, base);
  if (error != std::errc() || end != rest.data() + rest.size()) return std::nullopt;
  if (negative && value > uint64_t(INT64_MAX) + 1) return std::nullopt;
  return (negative && value ? "-" : "") + std::to_string(value);
}

static bool is_float(std::string_view text) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t start = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - start;
  };
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
  const size_t whole = digits();
  size_t fraction = 0;
  if (i < text.size() && text[i] == '.') {
    ++i;
    fraction = digits();
  }
  if (whole + fraction == 0) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    if (!digits()) return false;
  }
  return i == text.size();
}

static bool may_be_number(std::string_view text) {
  return !text.empty() && ((text[0] >= '0' && text[0] <= '9') || text[0] == '-' || text[0] == '+' || text[0] == '.');
}

static bool is_special_float(std::string_view text) {
  return is_one_of(text, {".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF"});
}

static Node* number(Document& document, std::string_view text) {
  if (!may_be_number(text)) return nullptr;
  if (auto literal = integer(text)) return &document.make_number(*literal);
  if (!is_float(text)) return nullptr;
  Node& node = document.make_double(strtod(std::string(text).c_str(), nullptr));
  return node.is_null() ? nullptr : &node;  // out of range
}

static Node* plain_node(Document& document, std::string_view text) {
  if (is_null(text)) return &document.make_null();
  if (const auto flag = boolean(text)) return &document.make_bool(*flag);
  return number(document, text);
}

static std::unexpected<Error> not_a(std::string_view what, std::string_view text) {
  return fail(Code::malformed, "cannot read " + quoted(text) + " as " + std::string(what));
}

Result<Node*> resolve(Document& document, std::string_view text, std::string_view tag, bool plain) {
  if (tag.starts_with(tag_prefix)) tag.remove_prefix(tag_prefix.size());
  if (tag == "str" || tag == "!" || (tag.empty() && !plain)) return &document.make_string(text);
  if (tag == "binary") return &document.make_string(TRY(base64_decode(text)));
  if (tag == "null") return &document.make_null();
  if (tag == "bool") {
    const auto flag = boolean(text);
    return flag ? Result<Node*>(&document.make_bool(*flag)) : not_a("a boolean", text);
  }
  if (tag == "int" || tag == "float") {
    Node* made = number(document, text);
    return made ? Result<Node*>(made) : not_a("a number", text);
  }
  if (is_special_float(text) && plain) return fail(Code::malformed, "JSON has no number like " + std::string(text));
  if (Node* made = plain ? plain_node(document, text) : nullptr) return made;
  return &document.make_string(text);
}

bool reads_as_string(std::string_view text) {
  if (is_null(text) || boolean(text) || is_special_float(text) || text == "<<" || text == "=") return false;
  return !may_be_number(text) || (!integer(text) && !is_float(text));
}

std::string key_text(const Node& node) {
  if (node.is_string()) return std::string(node.as_string());
  if (node.is_number()) return std::string(node.number_text());
  return node.as_bool() ? "true" : "false";
}

}  // namespace estiba::model::yaml
