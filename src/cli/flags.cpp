#include "cli/flags.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::cli {

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known) {
  std::string_view best;
  size_t least = word.size() <= 4 ? 2 : 3;  // farther than this is another word
  for (std::string_view candidate : known) {
    std::vector<size_t> row(candidate.size() + 1);
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j < row.size(); ++j) {
        const size_t substituted = diagonal + (word[i - 1] != candidate[j - 1]);
        diagonal = row[j];
        row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
      }
    }
    if (row.back() < least) {
      least = row.back();
      best = candidate;
    }
  }
  return best;
}

void Flags::add_flag(std::string_view name, Place place, std::string fallback, std::string_view help) {
  auto [longer, letter] = split_once(name, ',');
  flags_.push_back({longer, letter ? letter->front() : '\0', place, help, std::move(fallback), false});
}

void Flags::add(std::string_view name, std::string* value, std::string_view help) { add_flag(name, value, *value, help); }
void Flags::add(std::string_view name, int64_t* value, std::string_view help) { add_flag(name, value, std::to_string(*value), help); }
void Flags::add(std::string_view name, bool* value, std::string_view help) { add_flag(name, value, *value ? "true" : "", help); }
void Flags::add(std::string_view name, std::vector<std::string>* values, std::string_view help) { add_flag(name, values, "", help); }

Flags::Flag* Flags::find(std::string_view name) {
  for (Flag& flag : flags_)
    if (flag.name == name || (name.size() == 1 && flag.letter == name[0])) return &flag;
  return nullptr;
}

bool Flags::given(std::string_view name) const {
  for (const Flag& flag : flags_)
    if (flag.name == name) return flag.given;
  return false;
}

Error Flags::unknown(std::string_view name) const {
  std::vector<std::string_view> names;
  for (const Flag& flag : flags_) names.push_back(flag.name);
  std::string message = "unknown flag --" + std::string(name);
  if (auto near = nearest(name, names); !near.empty()) message += "; did you mean --" + std::string(near) + "?";
  return {Code::invalid, 0, message + " (--help lists them)", nullptr};
}

Result<void> Flags::assign(Flag& flag, std::string_view value) {
  flag.given = true;
  if (auto* text = std::get_if<std::string*>(&flag.place)) {
    **text = value;
  } else if (auto* list = std::get_if<std::vector<std::string>*>(&flag.place)) {
    (*list)->emplace_back(value);
  } else if (auto* number = std::get_if<int64_t*>(&flag.place)) {
    auto parsed = parse_number<int64_t>(value);
    if (!parsed) return fail(Code::invalid, "--" + std::string(flag.name) + " takes a whole number, not " + quoted(value));
    **number = *parsed;
  } else if (auto* truth = std::get_if<bool*>(&flag.place)) {
    if (value != "true" && value != "false") return fail(Code::invalid, "--" + std::string(flag.name) + " is true or false, not " + quoted(value));
    **truth = value == "true";
  }
  return {};
}

Result<void> Flags::set(std::string_view name, std::string_view value) {
  Flag* flag = find(name);
  if (!flag || name.size() == 1) return std::unexpected(unknown(name));
  return assign(*flag, value);
}

Result<Arguments> Flags::parse(const Arguments& arguments, bool stop_at_first) {
  Arguments rest;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string_view argument = arguments[i];
    if (argument == "--") {
      rest.insert(rest.end(), arguments.begin() + long(i) + 1, arguments.end());
      return rest;
    }
    if (argument.size() < 2 || argument[0] != '-') {
      if (stop_at_first) {
        rest.insert(rest.end(), arguments.begin() + long(i), arguments.end());
        return rest;
      }
      rest.push_back(argument);
      continue;
    }
    if (argument == "--help" || argument == "-h") {
      help_ = true;
      continue;
    }
    argument.remove_prefix(argument.starts_with("--") ? 2 : 1);
    auto [name, value] = split_once(argument, '=');
    Flag* flag = find(name);
    if (!flag) return std::unexpected(unknown(name));
    if (!value && std::holds_alternative<bool*>(flag->place)) value = "true";
    if (!value) {
      if (++i == arguments.size()) return fail(Code::invalid, "--" + std::string(flag->name) + " needs a value");
      value = arguments[i];
    }
    TRY(assign(*flag, *value));
  }
  return rest;
}

std::string Flags::help() const {
  std::string out = "Usage: " + std::string(usage_) + "\n";
  if (!flags_.empty()) out += "\nFlags:\n";
  size_t width = 0;
  for (const Flag& flag : flags_) width = std::max(width, flag.name.size());
  for (const Flag& flag : flags_) {
    out += flag.letter ? std::string("  -") + flag.letter + ", --" : "      --";
    out += flag.name;
    out.append(width - flag.name.size() + 3, ' ');
    out += flag.help;
    if (!flag.fallback.empty()) out += " (default " + flag.fallback + ")";
    out += '\n';
  }
  return out;
}

}  // namespace estiba::cli
