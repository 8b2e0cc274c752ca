#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/strings.h"
#include "cli/verbs.h"

namespace estiba::cli {

namespace {

size_t words(std::string_view name) { return size_t(std::count(name.begin(), name.end(), ' ')) + 1; }

bool matches(const Verb& verb, const Arguments& arguments) {
  const auto parts = split(verb.name, ' ');
  return parts.size() <= arguments.size() && std::equal(parts.begin(), parts.end(), arguments.begin());
}

void print_usage(const std::vector<Verb>& all, std::string_view group, FILE* to) {
  std::string out = group.empty() ? "Estiba takes an application from code to production.\n\nUsage: estiba VERB [FLAGS] [ARGUMENTS]\n\nVerbs:\n"
                                  : "Usage: estiba " + std::string(group) + " VERB [FLAGS] [ARGUMENTS]\n\nVerbs:\n";
  for (const Verb& verb : all) {
    if (!group.empty() && !(verb.name.starts_with(group) && verb.name.size() > group.size() && verb.name[group.size()] == ' ')) continue;
    out += "  " + std::string(verb.name);
    out.append(verb.name.size() < 18 ? 18 - verb.name.size() : 1, ' ');
    out += std::string(verb.summary) + "\n";
  }
  out += "\n'estiba VERB --help' tells a verb's flags.\n";
  std::fputs(out.c_str(), to);
}

}  // namespace

int run(const Arguments& arguments, std::span<const Verb> more) {
  std::vector<Verb> all(verbs().begin(), verbs().end());
  all.insert(all.end(), more.begin(), more.end());
  std::sort(all.begin(), all.end(), [](const Verb& a, const Verb& b) { return a.name < b.name; });
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    print_usage(all, "", arguments.empty() ? stderr : stdout);
    return arguments.empty() ? 2 : 0;
  }
  const Verb* found = nullptr;
  for (const Verb& verb : all)
    if (matches(verb, arguments) && (!found || words(verb.name) > words(found->name))) found = &verb;
  if (!found) {
    const std::string group(arguments[0]);
    if (std::any_of(all.begin(), all.end(), [&](const Verb& v) { return v.name.starts_with(group + " "); })) {
      const bool asked = arguments.size() > 1 && (arguments[1] == "--help" || arguments[1] == "-h");
      if (!asked && arguments.size() > 1) std::fprintf(stderr, "estiba %s: there is no verb %s\n", group.c_str(), quoted(arguments[1]).c_str());
      print_usage(all, group, asked ? stdout : stderr);
      return asked ? 0 : 2;
    }
    std::vector<std::string_view> names;
    for (const Verb& verb : all) names.push_back(split_once(verb.name, ' ').first);
    std::string hint;
    if (auto near = nearest(arguments[0], names); !near.empty()) hint = "; did you mean '" + std::string(near) + "'?";
    std::fprintf(stderr, "estiba: there is no verb %s%s ('estiba --help' lists them)\n", quoted(arguments[0]).c_str(), hint.c_str());
    return 2;
  }
  const Arguments rest(arguments.begin() + long(words(found->name)), arguments.end());
  Result<int> code = found->run(rest);
  if (code) return *code;
  std::fprintf(stderr, "estiba %s: %s\n", std::string(found->name).c_str(), code.error().message.c_str());
  return 1;
}

}  // namespace estiba::cli
