#include "controllers/selector_text.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace estiba::controllers {

using model::meta_v1::LabelSelector;
using model::meta_v1::LabelSelectorRequirement;

namespace {

std::string print_requirement(const LabelSelectorRequirement& each) {
  if (each.operator_ == "Exists") return each.key;
  if (each.operator_ == "DoesNotExist") return "!" + each.key;
  std::vector<std::string> values = each.values;
  std::sort(values.begin(), values.end());
  std::string list;
  for (const std::string& value : values) list += (list.empty() ? "" : ",") + value;
  return each.key + (each.operator_ == "In" ? " in (" : " notin (") + list + ")";
}

// At commas that are in no parentheses.
std::vector<std::string> split_requirements(std::string_view text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : text) {
    if (c == '(') ++depth;
    if (c == ')') --depth;
    if (c == ',' && depth == 0) parts.emplace_back();
    else parts.back() += c;
  }
  return parts;
}

std::vector<std::string> split_values(std::string_view list) {
  std::vector<std::string> values;
  for (;;) {
    const size_t comma = list.find(',');
    values.emplace_back(trim(list.substr(0, comma)));
    if (comma == list.npos) return values;
    list.remove_prefix(comma + 1);
  }
}

Result<LabelSelectorRequirement> parse_requirement(const std::string& part) {
  const auto is_key = [](const std::string& key) { return !key.empty() && key.find_first_of(" =!(),") == key.npos; };
  const auto wrong = [&] { return fail(Code::invalid, "unable to parse requirement: " + quoted(part)); };
  LabelSelectorRequirement made;
  for (const auto& [word, name] : {std::pair(" notin ", "NotIn"), std::pair(" in ", "In")}) {
    const size_t at = part.find(word);
    if (at == part.npos) continue;
    const std::string list(trim(std::string_view(part).substr(at + std::string_view(word).size())));
    made.key = std::string(trim(part.substr(0, at)));
    if (!is_key(made.key) || list.size() < 2 || list.front() != '(' || list.back() != ')') return wrong();
    made.operator_ = name;
    made.values = split_values(std::string_view(list).substr(1, list.size() - 2));
    return made;
  }
  const size_t equals = part.find('=');
  if (equals == part.npos) {
    const bool absent = part.starts_with('!');
    made.key = std::string(trim(part.substr(absent ? 1 : 0)));
    made.operator_ = absent ? "DoesNotExist" : "Exists";
  } else {
    const bool differs = equals > 0 && part[equals - 1] == '!';
    made.key = std::string(trim(part.substr(0, differs ? equals - 1 : equals)));
    made.operator_ = differs ? "NotIn" : "In";
    made.values = {std::string(trim(part.substr(part[equals + 1] == '=' ? equals + 2 : equals + 1)))};
  }
  if (!is_key(made.key)) return wrong();
  return made;
}

}  // namespace

std::string print_selector(const LabelSelector& selector) {
  std::vector<std::pair<std::string, std::string>> parts;  // by key
  for (const auto& [key, value] : selector.matchLabels) parts.emplace_back(key, key + "=" + value);
  for (const auto& each : selector.matchExpressions) parts.emplace_back(each.key, print_requirement(each));
  std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text;
  for (const auto& [key, part] : parts) text += (text.empty() ? "" : ",") + part;
  return text;
}

Result<LabelSelector> parse_selector(std::string_view text) {
  LabelSelector selector;
  if (trim(text).empty()) return selector;
  for (const std::string& part : split_requirements(text))
    selector.matchExpressions.push_back(TRY(parse_requirement(std::string(trim(part)))));
  return selector;
}

}  // namespace estiba::controllers
