#include "docker/filters.h"

#include <algorithm>

#include "base/strings.h"
#include "model/json.h"

namespace estiba::docker {

Result<Filters> Filters::parse(std::string_view text, std::initializer_list<std::string_view> allowed) {
  Filters out;
  if (trim(text).empty()) return out;
  auto parsed = json::Document::parse(text, {.max_depth = 8, .allow_duplicate_keys = true});
  if (!parsed || !(parsed->root().is_object() || parsed->root().is_null()))
    return fail(Code::invalid, "invalid filters " + quoted(text) + ": a JSON object of lists is expected, as {\"label\":[\"a=b\"]}");
  for (const json::Node& field : parsed->root()) {
    if (std::find(allowed.begin(), allowed.end(), field.key()) == allowed.end())
      return fail(Code::invalid, "invalid filter '" + std::string(field.key()) + "'");
    auto& values = out.fields_[std::string(field.key())];
    for (const json::Node& value : field) {
      if (field.is_object()) {
        if (value.as_bool()) values.emplace_back(value.key());
      } else if (value.is_string()) {
        values.emplace_back(value.as_string());
      } else {
        return fail(Code::invalid, "invalid filter '" + std::string(field.key()) + "': its values are strings");
      }
    }
  }
  return out;
}

const std::vector<std::string>& Filters::get(std::string_view name) const {
  static const std::vector<std::string> none;
  auto it = fields_.find(name);
  return it == fields_.end() ? none : it->second;
}

bool Filters::exact(std::string_view name, std::string_view value) const {
  const auto& values = get(name);
  return values.empty() || std::find(values.begin(), values.end(), value) != values.end();
}

bool Filters::prefix(std::string_view name, std::string_view value) const {
  const auto& values = get(name);
  return values.empty() || std::any_of(values.begin(), values.end(), [&](const std::string& v) { return value.starts_with(v); });
}

bool Filters::contains(std::string_view name, std::string_view value) const {
  const auto& values = get(name);
  return values.empty() || std::any_of(values.begin(), values.end(), [&](std::string_view v) {
           const bool from_start = v.starts_with('^'), to_end = v.ends_with('$');
           if (from_start) v.remove_prefix(1);
           if (to_end) v.remove_suffix(1);
           // Names begin with a slash inside of Docker; people write them without.
           auto fits = [&](std::string_view whole) {
             if (from_start && to_end) return whole == v;
             if (from_start) return whole.starts_with(v);
             if (to_end) return whole.ends_with(v);
             return whole.find(v) != whole.npos;
           };
           return fits(value) || (value.starts_with('/') && fits(value.substr(1)));
         });
}

bool Filters::labels(const std::map<std::string, std::string>& labels) const {
  auto holds = [&](std::string_view text) {
    auto [key, value] = split_once(text, '=');
    auto it = labels.find(std::string(key));
    return it != labels.end() && (!value || it->second == *value);
  };
  const auto &wanted = get("label"), &unwanted = get("label!");
  return std::all_of(wanted.begin(), wanted.end(), holds) && std::none_of(unwanted.begin(), unwanted.end(), holds);
}

Result<bool> Filters::flag(std::string_view name, bool otherwise) const {
  const auto& values = get(name);
  if (values.empty()) return otherwise;
  if (values.size() == 1) {
    if (values[0] == "1" || values[0] == "true") return true;
    if (values[0] == "0" || values[0] == "false") return false;
  }
  return fail(Code::invalid, "invalid filter '" + std::string(name) + "=[" + join(values, " ") + "]'");
}

}  // namespace estiba::docker
