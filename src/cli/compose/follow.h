// Output of several containers at once, each line with its container's name before it.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "cli/compose/context.h"

namespace estiba::cli::compose {

struct FollowOptions {
  std::string project;  ///< its name is left out of the containers'
  bool follow = true, timestamps = false, prefix = true;
  bool lasting = false;                    ///< goes on when a container starts again, and tells its exit code (up)
  std::string since, until, tail = "all";  ///< as the API wants them
};

/// Follows containers, each on a thread of its own.
class Follower {
 public:
  /// Follows `members` from now on.
  static Result<std::unique_ptr<Follower>> start(Context& context, const std::vector<Member>& members, FollowOptions options);
  /// Follows none yet: those of `members` come by add(), until close().
  static std::unique_ptr<Follower> open(Context& context, const std::vector<Member>& members, FollowOptions options);
  /// Follows a container whose output is wanted from `since` on (the options' when empty), its last `tail` lines first (likewise).
  Result<void> add(Context& context, const Member& member, const std::string& since = "", const std::string& tail = "");
  void close() { --left_; }
  /// Ends the threads, though their containers run.
  void stop();
  /// Waits for the threads: they end with their containers, or when the daemon's connection is gone.
  ~Follower();
  /// Nothing is followed any more, and nothing will come.
  bool done() const { return left_ == 0; }
  void join();

  struct Exit {
    std::string service, name;
    int64_t code = 0;
  };
  /// The first container that ended, when `lasting`.
  std::optional<Exit> first_exit();
  std::optional<Exit> exit_of(std::string_view service);
  /// What made a thread give up, if anything did.
  std::string error();

 private:
  struct Impl;
  explicit Follower(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  std::atomic<size_t>& left_;
};

/// The time after an RFC 3339 stamp as the API wants it ("1764343869.123456790"); empty when it is none.
std::string just_after(std::string_view stamp);

/// "web-1", or the container's own name where it does not begin with the project's.
std::string display_name(std::string_view project, const Member& member);

}  // namespace estiba::cli::compose
