// What every command of compose works with: the project, the daemon, and what of the project is there.
//
// To add a command: declare it in commands.h, write `Result<int> name(Context& context)`, add a row in compose.cpp. It declares its
// flags on context.call, parses, loads the project, acts.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/compose/progress.h"
#include "cli/compose/project.h"
#include "cli/docker/client.h"
#include "cli/docker/flags.h"
#include "cli/docker/verb.h"

namespace estiba::cli::compose {

/// A container of a project.
struct Member {
  std::string id, name, service, state, image, image_id, hash;
  std::string finished;  ///< when it ended last, known where start_all() started it again
  int64_t number = 0;
  bool one_off = false;
  bool running() const { return state == "running" || state == "paused" || state == "restarting"; }
};

struct Context {
  docker::Call& call;
  LoadOptions options;
  bool colour = true;                            ///< of log prefixes, on a terminal
  bool quiet = false;                            ///< --progress quiet: says nothing of what it does
  bool dry_run = false;                          ///< --dry-run: says what it would do
  std::shared_ptr<Progress> progress = nullptr;  ///< of all copies of this context; null: lines
  int64_t parallel = 0;                          ///< --parallel: services at once; from 0 down: as many as there are
  docker::Client* connection = nullptr;          ///< of the thread that uses this context; null: the command's own
  const std::atomic<bool>* cancelled = nullptr;  ///< when set and true, what waits gives up

  bool stopped() const { return cancelled && *cancelled; }

  Result<docker::Client*> client() {
    if (connection) return connection;
    return call.cli.client();
  }
  /// Loads the project and tells its warnings. `targets` are services that the command names.
  Result<Project> load(const std::vector<std::string>& targets = {});
  /// The same, but a project whose files are not there is known by its containers' labels (-p NAME alone): then it has only a name.
  Result<Project> load_or_name(const std::vector<std::string>& targets = {});

  /// " Container app-web-1  Started" on standard error.
  void tell(std::string_view kind, std::string_view name, std::string_view what) const;
  /// A line on standard error, unless quiet.
  void say(std::string_view line) const;
  /// Before something else writes on the terminal.
  void settle() const {
    if (progress) progress->settle();
  }
  /// Runs one of Docker's own verbs with these arguments.
  Result<int> run_verb(std::string_view name, const std::vector<std::string>& arguments);
};

std::vector<std::string> strings(const Arguments& arguments);

/// Containers of the project by service and number; `one_offs` includes those of `run`.
Result<std::vector<Member>> members(docker::Client& client, std::string_view project, bool one_offs = false);
/// Only those of the services named (all when empty).
std::vector<Member> of_services(std::vector<Member> all, const std::vector<std::string>& services);
/// The container of a service: number `index`, or the first when 0. not_found: `service "x" is not running` and how to start it.
Result<Member> find_member(docker::Client& client, const Project& project, std::string_view service, int64_t index, bool must_run = true);

/// {"label":["a=b",…]} for a list request.
std::string label_filter(const std::vector<std::string>& labels);

// Single steps, each told: "Stopping", "Stopped".
Result<void> stop_member(Context& context, const Member& member, std::optional<int64_t> timeout);
Result<void> start_member(Context& context, const Member& member);
Result<void> remove_member(Context& context, const Member& member, bool volumes, bool force = false);

}  // namespace estiba::cli::compose
