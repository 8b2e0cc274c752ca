// Docker's verbs: one file each (or one for a few that belong together), one table (table.cpp).
//
// To add one: declare it in verbs.h, write `Result<int> name(Call& call)`, add a row. It declares its flags, parses, acts:
//
//   Result<int> rename(Call& call) {
//     Flags flags(call);
//     const Arguments names = TRY(flags.parse());   // help and wrong usage end here
//     Client& client = *TRY(call.cli.client());
//     …
//     return 0;
//   }
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/docker/client.h"
#include "cli/docker/config.h"
#include "cli/docker/flags.h"

namespace estiba::cli::docker {

/// What a run of the program knows: how it was called, the user's configuration, the daemon.
class Cli {
 public:
  explicit Cli(std::string_view program) : program_(program) {}

  /// "docker" or "estiba": what usage texts say.
  std::string_view program() const { return program_; }
  Where where;             ///< the global flags
  std::string config_dir;  ///< --config; empty: DOCKER_CONFIG or ~/.docker

  /// Read when first asked for.
  Result<Config*> config();
  /// The daemon's client; nothing is sent yet.
  Result<Client*> client();
  /// One more, for another thread or a request beside a streaming one.
  Result<std::unique_ptr<Client>> connect();
  /// --config, DOCKER_CONFIG or ~/.docker.
  std::string config_directory() const;

 private:
  std::string program_;
  std::optional<Config> config_;
  std::unique_ptr<Client> client_;
};

struct Verb;

/// One call of a verb.
struct Call {
  Cli& cli;
  const Verb& verb;
  std::string name;  ///< as it was called: "docker container ls"
  Arguments arguments;
};

struct Verb {
  /// All names, by "|": "container ls|container list|container ps|ps". A name of one word stands at the top level.
  std::string_view names;
  std::string_view usage;    ///< "[OPTIONS] CONTAINER [CONTAINER...]"
  std::string_view summary;  ///< one line for lists and --help
  int least = 0, most = 0;   ///< arguments that are no flags; most -1: any number
  Result<int> (*run)(Call& call) = nullptr;
};

std::span<const Verb> docker_verbs();
/// Runs Docker's verb with the global flags before it, if there is such a verb or group (nullopt otherwise): prints errors,
/// returns the exit code.
std::optional<int> run_docker(std::string_view program, const Arguments& arguments);
/// The help of all Docker verbs ("docker --help").
std::string docker_usage(std::string_view program);
/// Names of verbs and groups at the top level, for suggestions.
std::vector<std::string_view> docker_names();

/// Ends the program with this code; what there was to say has been said.
[[nodiscard]] std::unexpected<Error> exit_with(int code);
/// Prints a line to stderr.
void complain(std::string_view line);

}  // namespace estiba::cli::docker
