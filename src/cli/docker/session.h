// What run, start and attach share: attaching to a container, waiting for its end, pulling what is missing.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/docker/client.h"
#include "cli/docker/verb.h"

namespace estiba::cli::docker {

/// A request that answers when a container has ended. Made before the container starts, so that no end is missed.
class Waiting {
 public:
  /// `condition`: "next-exit", "removed", "not-running". Returns when the daemon has taken the request.
  static Result<Waiting> begin(Cli& cli, std::string_view container, std::string_view condition);
  /// The exit code; waits for it.
  Result<int> end();

 private:
  std::unique_ptr<Client> client_;
  std::unique_ptr<Response> response_;
};

struct AttachOptions {
  bool input = false, output = true, errors = true, logs = false;
  std::string detach_keys;  ///< as the user wrote it
};
Result<Hijacked> attach_to(Client& client, std::string_view container, const AttachOptions& options);

/// --detach-keys, else config.json's detachKeys, else "ctrl-p,ctrl-q".
Result<std::string> detach_keys(Cli& cli, std::string_view flag);

/// Sends a signal to a container; failures are not told (the container may have ended).
void forward_signal(Client& client, std::string_view container, int signal);
/// "containers" or "exec", and the id.
void resize(Client& client, std::string_view what, std::string_view id, uint16_t rows, uint16_t columns);

struct PullOptions {
  std::string image, platform;
  bool all_tags = false, quiet = false;
  int out = 1;  ///< where progress goes: 1 or 2
};
/// Pulls an image with its progress; returns after the last layer. With `quiet`, prints nothing.
Result<void> pull_image(Cli& cli, const PullOptions& options);
/// The base64 login for an image's registry, from config.json; an empty login is "{}" encoded, as Docker sends it.
Result<std::string> auth_for(Cli& cli, std::string_view image);

/// Reads the answer of pull, push, load, import and build: one JSON object after another. Progress bars on a terminal, a line
/// each otherwise. An `error` in it is the result. `aux` gets the auxiliary objects.
using Aux = UniqueFunction<void(const json::Node&)>;
Result<void> show_progress(Response& response, int fd, bool quiet = false, Aux aux = nullptr);

/// A path segment: names may hold slashes and colons that stay, spaces and % do not.
std::string segment(std::string_view name);
/// --filter KEY=VALUE pairs as the JSON that the API wants; refuses what is no pair.
Result<std::string> filters(const std::vector<std::string>& pairs);
/// "Are you sure you want to continue? [y/N] " on a terminal; true when confirmed.
bool confirmed(std::string_view warning);
/// Calls `each` for all names, prints each error on its line, returns exit code 1 if there was one.
Result<int> for_each(const Arguments& names, UniqueFunction<Result<void>(std::string_view)> each);

}  // namespace estiba::cli::docker
