#include "build/dockerfile/lint.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "build/dockerfile/expand.h"

namespace estiba::build {
namespace {

bool looks_secret(std::string_view name) {
  std::string lower = to_lower(name);
  for (std::string_view allowed : {"public"})
    if (lower.find(allowed) != lower.npos) return false;
  std::vector<std::string_view> parts = split(lower, '_');
  for (std::string_view word :
       {"apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token", "pwd", "passphrase"})
    if (word != "pwd" ? std::find(parts.begin(), parts.end(), word) != parts.end() : lower == "db_pwd") return true;
  return false;
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

class Lint {
 public:
  Lint(const Dockerfile& file, const LintFacts& facts) : file_(file), facts_(facts), out_(file.warnings) {}

  std::vector<Warning> run() {
    for (const Instruction& arg : file_.globals) secrets(arg);
    for (size_t i = 0; i < file_.stages.size(); ++i) stage(i);
    dockerignore();
    std::stable_sort(out_.begin(), out_.end(), [](const Warning& a, const Warning& b) { return a.line < b.line; });
    return std::move(out_);
  }

 private:
  void say(std::string rule, const Instruction& at, std::string message) {
    out_.push_back({std::move(rule), std::move(message), at.place.line});
  }

  void stage(size_t index) {
    const Stage& stage = file_.stages[index];
    base(stage, index);
    bool absolute = false, user = false, root = false;
    std::array<int, 3> commands{};
    for (const Instruction& i : stage.instructions) {
      secrets(i);
      if (i.kind == Kind::workdir) {
        bool is_absolute = i.words[0].starts_with('/') || i.words[0].starts_with('$') || i.words[0].starts_with("\"/");
        if (!is_absolute && !absolute)
          say("WorkdirRelativePath", i,
              "Relative workdir " + quoted(i.words[0]) + " can have unexpected results if the base image changes");
        absolute |= is_absolute;
      }
      if (i.kind == Kind::user) {
        user = true;
        std::string name(split_once(i.words[0], ':').first);
        root = name == "root" || name == "0";
      }
      if (i.kind == Kind::cmd) repeated(i, commands[0]);
      if (i.kind == Kind::entrypoint) repeated(i, commands[1]);
      if (i.kind == Kind::healthcheck) repeated(i, commands[2]);
      if (i.kind == Kind::run) caches(i);
      if (i.kind == Kind::add) plain_add(i);
    }
    if (index != facts_.target || based_on_stage(stage, index)) return;
    if (!user || root)
      say("RunsAsRoot", stage.from,
          std::string(root ? "the last USER is root" : "there is no USER instruction") +
              ": the container's processes run as root unless the base image says otherwise");
  }

  bool based_on_stage(const Stage& stage, size_t index) const {
    auto base = file_.find_stage(stage.base);
    return base && *base < index && !parse_number<size_t>(stage.base);
  }

  void base(const Stage& stage, size_t index) {
    if (stage.base == "scratch" || stage.base.find('$') != std::string::npos || based_on_stage(stage, index)) return;
    std::string_view image = stage.base;
    if (image.find('@') != image.npos) return;
    size_t slash = image.rfind('/');
    std::string_view last = slash == image.npos ? image : image.substr(slash + 1);
    size_t colon = last.find(':');
    if (colon == last.npos)
      say("LatestTag", stage.from,
          "the image " + quoted(image) + " has no tag, which means latest: it will change under you; name a version");
    else if (last.substr(colon + 1) == "latest")
      say("LatestTag", stage.from, "the tag latest will change under you: name a version of " + quoted(image.substr(0, image.size() - 7)));
  }

  void secrets(const Instruction& i) {
    if (i.kind != Kind::env && i.kind != Kind::arg) return;
    for (const Pair& pair : i.pairs) {
      if (looks_secret(pair.name))
        say("SecretsUsedInArgOrEnv", i,
            "Do not use ARG or ENV instructions for sensitive data (" + std::string(to_string(i.kind)) + " " + quoted(pair.name) +
                "); use RUN --mount=type=secret: it leaves no trace in the image");
    }
  }

  void repeated(const Instruction& i, int& before) {
    if (before != 0)
      say("MultipleInstructionsDisallowed", i,
          "Multiple " + std::string(to_string(i.kind)) +
              " instructions should not be used in the same stage because only the last one will be used");
    before = i.place.line;
  }

  void caches(const Instruction& i) {
    std::string command = join(i.words, " ");
    bool cached = false;
    for (const std::string& mount : i.flag_values("mount")) cached |= has(mount, "type=cache");
    if (cached) return;
    if ((has(command, "apt-get install") || has(command, "apt install")) && !has(command, "/var/lib/apt/lists"))
      say("CacheLeftBehind", i, "apt's package lists stay in the layer: add && rm -rf /var/lib/apt/lists/*");
    if ((has(command, "pip install") || has(command, "pip3 install")) && !has(command, "--no-cache-dir"))
      say("CacheLeftBehind", i, "pip's cache stays in the layer: add --no-cache-dir, or --mount=type=cache,target=/root/.cache/pip");
    if (has(command, "apk add") && !has(command, "--no-cache") && !has(command, "/var/cache/apk"))
      say("CacheLeftBehind", i, "apk's index stays in the layer: add --no-cache");
    if ((has(command, "yum install") || has(command, "dnf install")) && !has(command, "clean all"))
      say("CacheLeftBehind", i, "the package manager's cache stays in the layer: add && dnf clean all");
    if (has(command, "apt-get upgrade") || has(command, "dist-upgrade"))
      say("UpgradeInBuild", i, "an upgrade makes the image depend on the day it is built; take a newer base image instead");
  }

  void plain_add(const Instruction& i) {
    if (!i.heredocs.empty()) return;
    for (size_t w = 0; w + 1 < i.words.size(); ++w) {
      const std::string& source = i.words[w];
      if (has(source, "://") || has(source, ".tar") || has(source, ".tgz") || has(source, "$") || has(source, "*") || has(source, ".git"))
        return;
    }
    say("AddInsteadOfCopy", i, "ADD also downloads and unpacks; COPY says plainly what happens here");
  }

  void dockerignore() {
    if (facts_.has_dockerignore.value_or(true)) return;
    for (const Stage& stage : file_.stages) {
      for (const Instruction& i : stage.instructions) {
        if ((i.kind != Kind::copy && i.kind != Kind::add) || i.flag("from") || !i.heredocs.empty()) continue;
        for (size_t w = 0; w + 1 < i.words.size(); ++w) {
          if (i.words[w] != "." && i.words[w] != "./" && i.words[w] != "/") continue;
          say("NoDockerignore", i,
              "the whole context is copied and there is no .dockerignore: .git, local settings and secrets come along");
          return;
        }
      }
    }
  }

  const Dockerfile& file_;
  const LintFacts& facts_;
  std::vector<Warning> out_;
};

/// "skip=A,B;error=true"
std::string check_option(const Dockerfile& file, std::string_view wanted) {
  for (std::string_view part : split(file.check, ';')) {
    auto [key, value] = split_once(trim(part), '=');
    if (trim(key) == wanted) return std::string(trim(value.value_or("")));
  }
  return {};
}

}  // namespace

std::vector<Warning> lint(const Dockerfile& file, const LintFacts& facts) {
  std::vector<Warning> all = Lint(file, facts).run();
  const std::string skip = check_option(file, "skip");
  if (skip.empty()) return all;
  std::vector<std::string_view> skipped = split(skip, ',');
  std::erase_if(all, [&](const Warning& warning) {
    return std::any_of(skipped.begin(), skipped.end(),
                       [&](std::string_view name) { return trim(name) == warning.rule || equals_ignore_case(trim(name), "all"); });
  });
  return all;
}

bool warnings_are_errors(const Dockerfile& file) { return check_option(file, "error") == "true"; }

}  // namespace estiba::build
