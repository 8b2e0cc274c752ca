// What a Dockerfile says, checked as far as it can be without running it. Words are kept as written, with quotes, escapes and
// variables; the solver expands them (expand.h) when it knows the variables.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "build/dockerfile/scan.h"

namespace estiba::build {

enum class Kind : unsigned char {
  from,
  arg,
  env,
  label,
  run,
  copy,
  add,
  cmd,
  entrypoint,
  workdir,
  user,
  expose,
  volume,
  stopsignal,
  healthcheck,
  shell,
  onbuild,
  maintainer,
};
std::string_view to_string(Kind kind);  ///< "RUN"

struct Pair {
  std::string name, value;
  bool has_value = false;
};

/// HEALTHCHECK's flags, nanoseconds; 0 is the default.
struct Health {
  bool none = false;
  int64_t interval = 0, timeout = 0, start_period = 0, start_interval = 0;
  int retries = 0;
};

struct Instruction {
  Kind kind = Kind::run;
  Place place;
  std::string text;  ///< "RUN echo hi", as a build's output and errors show it
  std::vector<Flag> flags;
  /// CMD, ENTRYPOINT, RUN, HEALTHCHECK, SHELL, VOLUME, COPY and ADD: the words of the JSON form or those of the line. In shell form, one
  /// word: the line.
  std::vector<std::string> words;
  bool json = false;        ///< written as a JSON array
  std::vector<Pair> pairs;  ///< ENV, LABEL, ARG
  std::vector<Heredoc> heredocs;
  std::optional<Health> health;
  std::string trigger;  ///< ONBUILD: the instruction, as text

  const Flag* flag(std::string_view name) const;
  std::string flag_value(std::string_view name) const;
  /// `--link`, `--link=true`.
  bool flag_on(std::string_view name) const;
  std::vector<std::string> flag_values(std::string_view name) const;
};

struct Stage {
  std::string name;  ///< of AS, lower case; empty without
  std::string base;  ///< image or stage, as written
  std::string platform;
  Instruction from;
  std::vector<Instruction> instructions;
};

struct Dockerfile {
  std::string file = "Dockerfile";
  char escape = '\\';
  std::string syntax, check;
  std::vector<Instruction> globals;  ///< ARGs before the first FROM
  std::vector<Stage> stages;
  std::vector<Warning> warnings;
  /// The stage called `name` (without case) or numbered so; nullopt when there is none.
  std::optional<size_t> find_stage(std::string_view name) const;
};

/// The whole file. `file` is what errors call it.
Result<Dockerfile> parse_dockerfile(std::string_view text, const std::string& file = "Dockerfile");
/// Lines as `docker commit --change` and an image's OnBuild have them: all instructions but FROM and ARG.
Result<std::vector<Instruction>> parse_changes(std::string_view text, const std::string& what);

/// RUN --mount's value: key=value pairs after expansion.
struct RunMount {
  enum class Type : unsigned char { bind, cache, tmpfs, secret, ssh };
  enum class Sharing : unsigned char { shared, exclusive, locked };
  Type type = Type::bind;
  std::string target, source, from, id, env;
  Sharing sharing = Sharing::shared;
  bool readonly = false, required = false;
  std::optional<uint32_t> mode, uid, gid;
  uint64_t size = 0;  ///< bytes; 0: no limit
};
Result<RunMount> parse_run_mount(std::string_view value);

/// "64m", "1.5GB": bytes.
Result<uint64_t> parse_byte_size(std::string_view text);

}  // namespace estiba::build
