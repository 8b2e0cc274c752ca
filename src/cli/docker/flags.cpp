#include "cli/docker/flags.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>

#include "base/go_duration.h"
#include "base/strings.h"
#include "cli/docker/verb.h"

namespace estiba::cli::docker {

Result<bool> parse_bool(std::string_view text) {
  for (const char* yes : {"1", "t", "T", "TRUE", "true", "True"})
    if (text == yes) return true;
  for (const char* no : {"0", "f", "F", "FALSE", "false", "False"})
    if (text == no) return false;
  return fail(Code::invalid, "strconv.ParseBool: parsing " + quoted(text) + ": invalid syntax");
}

Result<int64_t> parse_bytes(std::string_view text) {
  auto bad = [&] { return fail(Code::invalid, "invalid size: '" + std::string(text) + "'"); };
  size_t digits = text.find_first_not_of("0123456789.");
  if (digits == text.npos) digits = text.size();
  const std::string number(text.substr(0, digits));
  std::string unit = to_lower(trim(text.substr(digits)));
  char* end = nullptr;
  const double value = std::strtod(number.c_str(), &end);
  if (number.empty() || *end != '\0' || !std::isfinite(value)) return bad();
  int power = 0;
  if (!unit.empty() && unit != "b") {
    const size_t at = std::string_view("kmgtp").find(unit[0]);
    if (at == std::string_view::npos || !(unit.size() == 1 || unit.substr(1) == "b" || unit.substr(1) == "ib")) return bad();
    power = int(at) + 1;
  }
  const double bytes = std::ldexp(value, power * 10);
  if (bytes >= 9.2e18) return bad();
  return int64_t(bytes);
}

// --- declaring --------------------------------------------------------------------------------------------------------------

void Flags::add_flag(std::string_view name, bool is_bool, Setter set, std::string_view help, std::string_view type, std::string fallback) {
  auto [longer, letter] = split_once(name, ',');
  flags_.push_back({std::string(longer), letter && !letter->empty() ? letter->front() : '\0', is_bool, false, false, std::move(set), help,
                    type, std::move(fallback)});
}

void Flags::add(std::string_view name, bool* value, std::string_view help) {
  auto set = [value](std::string_view text) -> Result<void> {
    *value = TRY(parse_bool(text));
    return {};
  };
  add_flag(name, true, set, help, "", *value ? "true" : "");
}

void Flags::add(std::string_view name, std::string* value, std::string_view help, std::string_view type) {
  auto set = [value](std::string_view text) -> Result<void> {
    *value = text;
    return {};
  };
  add_flag(name, false, set, help, type, value->empty() ? "" : quoted(*value));
}

void Flags::add(std::string_view name, int64_t* value, std::string_view help, std::string_view type) {
  auto set = [value](std::string_view text) -> Result<void> {
    auto number = parse_number<int64_t>(text);
    if (!number) return fail(Code::invalid, "strconv.ParseInt: parsing " + quoted(text) + ": invalid syntax");
    *value = *number;
    return {};
  };
  add_flag(name, false, set, help, type, *value ? std::to_string(*value) : "");
}

void Flags::add(std::string_view name, std::vector<std::string>* values, std::string_view help, std::string_view type) {
  auto set = [values, filter = type == "filter"](std::string_view text) -> Result<void> {
    if (filter && !text.contains('=')) return fail(Code::invalid, "bad format of filter (expected name=value)");
    values->emplace_back(text);
    return {};
  };
  add_flag(name, false, set, help, type, "");
}

void Flags::add(std::string_view name, Setter setter, std::string_view help, std::string_view type, std::string_view fallback) {
  add_flag(name, false, std::move(setter), help, type, std::string(fallback));
}

void Flags::add_bytes(std::string_view name, int64_t* value, std::string_view help, bool negative) {
  auto set = [value, negative](std::string_view text) -> Result<void> {
    *value = negative && text == "-1" ? -1 : TRY(parse_bytes(text));
    return {};
  };
  add_flag(name, false, set, help, "bytes", "");
}

void Flags::add_duration(std::string_view name, int64_t* value, std::string_view help) {
  auto set = [value](std::string_view text) -> Result<void> {
    *value = TRY(parse_go_duration(text)).count();
    return {};
  };
  add_flag(name, false, set, help, "duration", "0s");
}

void Flags::hide() { flags_.back().hidden = true; }

// --- parsing ----------------------------------------------------------------------------------------------------------------

Flags::Flag* Flags::find(std::string_view name) {
  for (Flag& flag : flags_)
    if (!flag.name.empty() && flag.name == name) return &flag;
  return nullptr;
}

Flags::Flag* Flags::find(char letter) {
  for (Flag& flag : flags_)
    if (flag.letter == letter) return &flag;
  return nullptr;
}

bool Flags::given(std::string_view name) const {
  for (const Flag& flag : flags_)
    if (flag.name == name) return flag.given;
  return false;
}

Result<void> Flags::assign(Flag& flag, std::string_view value) {
  flag.given = true;
  if (auto set = flag.set(value); !set) {
    std::string shown = flag.letter ? std::string("-") + flag.letter + ", --" + flag.name : "--" + flag.name;
    return refuse("invalid argument " + quoted(value) + " for \"" + shown + "\" flag: " + set.error().message);
  }
  return {};
}

Result<void> Flags::parse_long(std::string_view argument, size_t& index) {
  auto [name, value] = split_once(argument.substr(2), '=');
  Flag* flag = find(name);
  if (!flag) return refuse("unknown flag: --" + std::string(name));
  if (!value && flag->is_bool) value = "true";
  if (!value) {
    if (index + 1 >= call_.arguments.size()) return refuse("flag needs an argument: --" + std::string(name));
    value = call_.arguments[++index];
  }
  return assign(*flag, *value);
}

Result<void> Flags::parse_letters(std::string_view letters, size_t& index) {
  const std::string_view all = letters;
  while (!letters.empty()) {
    const char letter = letters.front();
    letters.remove_prefix(1);
    Flag* flag = find(letter);
    if (!flag) return refuse(std::string("unknown shorthand flag: '") + letter + "' in -" + std::string(all));
    if (letters.size() > 1 && letters.starts_with('=')) return assign(*flag, letters.substr(1));
    if (flag->is_bool) {
      TRY(assign(*flag, "true"));
      continue;
    }
    if (!letters.empty()) return assign(*flag, letters);
    if (index + 1 >= call_.arguments.size()) return refuse(std::string("flag needs an argument: '") + letter + "' in -" + std::string(all));
    return assign(*flag, call_.arguments[++index]);
  }
  return {};
}

Result<void> Flags::check_count(size_t count) const {
  const int least = call_.verb.least, most = call_.verb.most;
  if (int(count) >= least && (most < 0 || int(count) <= most)) return {};
  std::string wants;
  auto arguments = [](int n) { return std::to_string(n) + (n == 1 ? " argument" : " arguments"); };
  if (least == most) wants = least == 0 ? "accepts no arguments" : "requires " + arguments(least);
  else if (most < 0) wants = "requires at least " + arguments(least);
  else if (least == 0) wants = "requires at most " + arguments(most);
  else wants = "requires at least " + std::to_string(least) + " and at most " + arguments(most);
  return refuse(std::string(call_.cli.program()) + ": '" + call_.name + "' " + wants, 1);
}

Result<Arguments> Flags::parse(bool stop_at_first) {
  const Arguments& arguments = call_.arguments;
  Arguments rest;
  size_t i = 0;
  for (; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--") {
      ++i;
      break;
    }
    if (argument.size() < 2 || argument[0] != '-') {
      if (stop_at_first) break;
      rest.push_back(argument);
      continue;
    }
    if (argument == "--help" || (argument == "-h" && !find('h'))) {
      if (argument == "-h") complain("Flag shorthand -h has been deprecated, use --help");
      std::fputs(help().c_str(), stdout);
      return exit_with(0);
    }
    TRY(argument[1] == '-' ? parse_long(argument, i) : parse_letters(argument.substr(1), i));
  }
  rest.insert(rest.end(), arguments.begin() + long(std::min(i, arguments.size())), arguments.end());
  TRY(check_count(rest.size()));
  return rest;
}

std::unexpected<Error> Flags::refuse(std::string_view message, int code) const {
  complain(std::string(message) + "\n\nUsage:  " + call_.name + " " + std::string(call_.verb.usage) + "\n\nRun '" + call_.name +
           " --help' for more information");
  return exit_with(code);
}

// --- help -------------------------------------------------------------------------------------------------------------------

namespace {

size_t columns() {
  winsize size{};
  return isatty(1) && ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > 40 ? size.ws_col : 80;
}

// Words of `text` on lines of at most `width`; the lines after the first are indented.
std::string wrapped(std::string_view text, size_t indent, size_t width) {
  std::string out;
  const size_t room = width > indent + 24 ? width - indent : 24;
  while (text.size() > room || text.contains('\n')) {
    size_t end = text.substr(0, room + 1).find('\n');
    if (end == text.npos) end = text.size() <= room ? text.size() : text.substr(0, room + 1).rfind(' ');
    if (end == text.npos || end == 0) end = std::min(text.find(' '), text.size());
    out += std::string(text.substr(0, end)) + "\n" + std::string(indent, ' ');
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out += text;
}

}  // namespace

std::string Flags::help() const {
  const std::string program(call_.cli.program());
  std::string out = "Usage:  " + call_.name + " " + std::string(call_.verb.usage) + "\n\n" + std::string(call_.verb.summary) + "\n";
  if (!description_.empty()) out += "\n" + std::string(description_) + "\n";
  const auto names = split(call_.verb.names, '|');
  if (names.size() > 1) {
    out += "\nAliases:\n  ";
    for (size_t i = 0; i < names.size(); ++i) out += (i ? ", " : "") + program + " " + std::string(names[i]);
    out += "\n";
  }
  std::vector<const Flag*> shown;
  size_t width = 0;
  auto left = [](const Flag& flag) {
    std::string text = flag.letter ? std::string("  -") + flag.letter + ", --" + flag.name : "      --" + flag.name;
    if (!flag.type.empty()) text += " " + std::string(flag.type);
    return text;
  };
  for (const Flag& flag : flags_) {
    if (flag.hidden) continue;
    shown.push_back(&flag);
    width = std::max(width, left(flag).size());
  }
  std::sort(shown.begin(), shown.end(), [](const Flag* a, const Flag* b) { return a->name < b->name; });
  if (!shown.empty()) out += "\nOptions:\n";
  for (const Flag* flag : shown) {
    std::string line = left(*flag);
    line.append(width - line.size() + 3, ' ');
    std::string help(flag->help);
    if (!flag->fallback.empty()) help += " (default " + flag->fallback + ")";
    out += line + wrapped(help, width + 3, columns()) + "\n";
  }
  return out;
}

}  // namespace estiba::cli::docker
