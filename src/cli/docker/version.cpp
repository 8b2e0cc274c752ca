#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"

namespace estiba::cli::docker {

Result<int> version(Call& call) {
  Flags flags(call);
  std::string format;
  flags.add("format,f", &format, "Format output using a Go template");
  TRY(flags.parse());
  auto answer = TRY(TRY(call.cli.client())->call({.path = "/version"}));
  std::printf("%s\n", json::print(answer.root()).c_str());
  return 0;
}

}  // namespace estiba::cli::docker
