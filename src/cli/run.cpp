#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/strings.h"
#include "cli/docker/verb.h"
#include "cli/verbs.h"

namespace estiba::cli {

namespace {

size_t words(std::string_view name) { return size_t(std::count(name.begin(), name.end(), ' ')) + 1; }

bool matches(const Verb& verb, const Arguments& arguments) {
  const auto parts = split(verb.name, ' ');
  return parts.size() <= arguments.size() && std::equal(parts.begin(), parts.end(), arguments.begin());
}

std::string usage(const std::vector<Verb>& all) {
  std::string out = "Estiba takes an application from code to production.\n\nUsage: estiba VERB [FLAGS] [ARGUMENTS]\n\nVerbs:\n";
  for (const Verb& verb : all) {
    out += "  " + std::string(verb.name);
    out.append(verb.name.size() < 18 ? 18 - verb.name.size() : 1, ' ');
    out += std::string(verb.summary) + "\n";
  }
  return out + "\nWhat Docker does:\n\n" + docker::docker_usage("estiba");
}

bool asks_for_help(std::string_view argument) { return argument == "--help" || argument == "-h" || argument == "help"; }

// Verbs that work on the content store of this machine, and that Docker has too, for the daemon: --data-dir names the store.
bool on_local_store(const Arguments& arguments) {
  return std::any_of(arguments.begin(), arguments.end(),
                     [](std::string_view a) { return a == "--data-dir" || a.starts_with("--data-dir="); });
}

int unknown(std::string_view program, std::string_view name, const std::vector<Verb>& all) {
  std::vector<std::string_view> names = docker::docker_names();
  for (const Verb& verb : all) names.push_back(split_once(verb.name, ' ').first);
  if (program == "docker") {
    std::fprintf(stderr, "docker: unknown command: docker %s\n\nRun 'docker --help' for more information\n", std::string(name).c_str());
    return 1;
  }
  std::string hint;
  if (auto near = nearest(name, names); !near.empty()) hint = "; did you mean '" + std::string(near) + "'?";
  std::fprintf(stderr, "estiba: there is no verb %s%s ('estiba --help' lists them)\n", quoted(name).c_str(), hint.c_str());
  return 2;
}

}  // namespace

int run(std::string_view program, const Arguments& arguments, std::span<const Verb> more) {
  program.remove_prefix(program.rfind('/') == program.npos ? 0 : program.rfind('/') + 1);
  program = program == "docker" ? "docker" : "estiba";
  std::vector<Verb> all;
  if (program == "estiba") {
    all.assign(verbs().begin(), verbs().end());
    all.insert(all.end(), more.begin(), more.end());
    std::sort(all.begin(), all.end(), [](const Verb& a, const Verb& b) { return a.name < b.name; });
    if (arguments.empty() || (arguments.size() == 1 && asks_for_help(arguments[0]))) {
      std::fputs(usage(all).c_str(), arguments.empty() ? stderr : stdout);
      return arguments.empty() ? 2 : 0;
    }
  }
  const Verb* found = nullptr;
  for (const Verb& verb : all)
    if (matches(verb, arguments) && (!found || words(verb.name) > words(found->name))) found = &verb;
  if (found && found->name.starts_with("image ") && found->name != "image export" && !on_local_store(arguments)) found = nullptr;
  if (!found) {
    if (auto code = docker::run_docker(program, arguments)) return *code;
    return unknown(program, arguments[0], all);
  }
  const Arguments rest(arguments.begin() + long(words(found->name)), arguments.end());
  Result<int> code = found->run(rest);
  if (code) return *code;
  std::fprintf(stderr, "estiba %s: %s\n", std::string(found->name).c_str(), code.error().message.c_str());
  return 1;
}

}  // namespace estiba::cli
