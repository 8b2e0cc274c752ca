// What instructions that touch no file do to an image's configuration, and the variables they speak of.
#pragma once
#include <string>
#include <vector>

#include "build/dockerfile/expand.h"
#include "build/dockerfile/instruction.h"
#include "image/manifest.h"

namespace estiba::build {

/// A stage as it grows.
struct Settings {
  image::Config config;
  Variables arguments;                ///< of ARG, by name; ENV of the same name wins
  std::vector<std::string> declared;  ///< ARGs of this stage in their order
  bool cmd_set = false;               ///< CMD came in this stage, so that ENTRYPOINT leaves it

  /// ARGs, with the environment over them.
  Variables variables() const;
  /// The words that run `instruction` (RUN, CMD, ENTRYPOINT, HEALTHCHECK): those of the JSON form, or the shell's with the line.
  std::vector<std::string> command(const Instruction& instruction) const;
};

/// Where ARG looks for values.
struct ArgumentSources {
  const Variables& given;     ///< --build-arg
  const Variables& globals;   ///< ARGs before the first FROM, expanded
  const Variables& platform;  ///< TARGETARCH and the like
};

/// ENV, LABEL, CMD, ENTRYPOINT, USER, EXPOSE, VOLUME, STOPSIGNAL, HEALTHCHECK, SHELL, ONBUILD, MAINTAINER, ARG, and WORKDIR's setting.
/// Returns the instruction as history tells it ("ENV A=1"). Errors are at the instruction's place.
Result<std::string> apply(const Instruction& instruction, char escape, const ArgumentSources& sources, Settings& settings);

/// Names that need no ARG: HTTP_PROXY and the like. They are not in the history and no part of cache keys.
bool is_proxy_argument(std::string_view name);
/// "A=1" sets or replaces a variable in an Env list.
void set_env(std::vector<std::string>& env, const std::string& name, const std::string& value);
/// expand() with the place of the instruction in the error.
Result<std::string> expand_at(const Instruction& instruction, std::string_view word, const Variables& variables, char escape);

}  // namespace estiba::build
