// compose up, create, scale, and the attached end of up.
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>

#include "base/strings.h"
#include "cli/compose/commands.h"
#include "cli/compose/converge.h"
#include "cli/compose/follow.h"
#include "cli/compose/order.h"
#include "cli/docker/session.h"

namespace estiba::cli::compose {
namespace {

struct Attached {
  bool abort_on_exit = false, abort_on_failure = false, no_prefix = false, timestamps = false;
  std::string exit_code_from;
  std::vector<std::string> attach, no_attach;
};

/// --scale web=3
Result<void> parse_scale(std::string_view text, std::map<std::string, int64_t>& out) {
  auto [name, number] = split_once(text, '=');
  auto count = number ? parse_number<int64_t>(*number) : std::nullopt;
  if (!count || *count < 0 || name.empty())
    return fail(Code::invalid, "invalid scale specifier: " + std::string(text) + "; SERVICE=NUMBER is expected");
  out[std::string(name)] = *count;
  return {};
}

void convergence_flags(docker::Flags& flags, UpOptions& options, int64_t& timeout) {
  flags.add("build", &options.images.build, "Build images before starting containers");
  flags.add("force-recreate", &options.force_recreate, "Recreate containers even if their configuration and image haven't changed");
  flags.add("no-build", &options.images.no_build, "Don't build an image, even if it's missing");
  flags.add("no-recreate", &options.no_recreate, "If containers already exist, don't recreate them");
  flags.add("pull", &options.images.pull, "Pull image before running (\"always\"|\"missing\"|\"never\")");
  flags.add("quiet-pull", &options.images.quiet, "Pull without printing progress information");
  flags.add("remove-orphans", &options.remove_orphans, "Remove containers for services not defined in the Compose file");
  flags.add(
      "scale", [&options](std::string_view text) { return parse_scale(text, options.scale); }, "Scale SERVICE to NUM instances", "scale");
  flags.add("timeout,t", &timeout, "Use this timeout in seconds for container shutdown");
}

Result<void> check(const UpOptions& options) {
  if (options.force_recreate && options.no_recreate) return fail(Code::invalid, "--force-recreate and --no-recreate are incompatible");
  if (options.images.build && options.images.no_build) return fail(Code::invalid, "--build and --no-build are incompatible");
  const std::string& pull = options.images.pull;
  if (!pull.empty() && pull != "always" && pull != "missing" && pull != "never")
    return fail(Code::invalid, "--pull is always, missing or never, not " + quoted(pull));
  return {};
}

/// Blocks SIGINT and SIGTERM in this thread and those that it starts; next() takes them.
class Interrupts {
 public:
  Interrupts() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~Interrupts() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  /// Whether one came within 50 ms.
  bool next() {
    const timespec limit{0, 50'000'000};
    return ::sigtimedwait(&set_, nullptr, &limit) > 0;
  }

 private:
  sigset_t set_, before_;
};

/// What `up` does while it is attached: starts, shows, and ends all when it must.
class Foreground {
 public:
  Foreground(Context& context, const Project& project, const std::vector<std::string>& services, const Attached& options,
             std::optional<int64_t> timeout)
      : context_(context), project_(project), services_(services), options_(options), timeout_(timeout) {}

  Result<int> run() {
    shown_ = TRY(shown());
    Interrupts interrupts;
    follower_ = Follower::open(
        context_, shown_, {.project = project_.name, .timestamps = options_.timestamps, .prefix = !options_.no_prefix, .lasting = true});
    if (context_.progress) context_.progress->only_lines();
    if (auto names = attached_names(); !names.empty()) context_.say("Attaching to " + names);
    std::thread starter([this] { start(); });
    const auto outcome = watch(interrupts);
    starter.join();
    for (auto& thread : ending_) thread.join();
    follower_->join();
    return outcome;
  }

 private:
  Result<std::vector<Member>> shown() {
    std::vector<Member> out;
    const auto present = TRY(members(*TRY(context_.client()), project_.name));
    auto listed = [](const std::vector<std::string>& list, const std::string& name) {
      return std::find(list.begin(), list.end(), name) != list.end();
    };
    for (const auto& name : services_)
      for (const auto& member : present) {
        if (member.service != name) continue;
        const json::Node* attach = project_.service(name)->find("attach");
        const bool silent = (attach && !attach->as_bool()) || listed(options_.no_attach, name);
        if (options_.attach.empty() ? !silent : listed(options_.attach, name)) out.push_back(member);
      }
    return out;
  }

  std::string attached_names() const {
    std::string out;
    for (const Member& member : shown_) out += (out.empty() ? "" : ", ") + display_name(project_.name, member);
    return out;
  }

  void start() {
    Context own = context_;
    own.cancelled = &cancelled_;
    auto started = own.call.cli.connect();
    if (started) own.connection = started->get();
    auto outcome = !started ? Result<void>(std::unexpected(std::move(started.error())))
                            : start_all(own, project_, services_, [this](const Member& member) { return follow(member); });
    if (!outcome && !cancelled_) {
      failure_ = std::move(outcome.error());
      follower_->stop();
    }
    follower_->close();
    is_started_ = true;
    is_started_.notify_all();
  }

  /// Output of this start alone: what earlier ones wrote has been seen.
  Result<void> follow(const Member& member) {
    if (std::none_of(shown_.begin(), shown_.end(), [&](const Member& each) { return each.id == member.id; })) return {};
    if (member.running()) return follower_->add(context_, member, "", "0");
    return follower_->add(context_, member, member.finished.empty() ? "" : just_after(member.finished));
  }

  /// Stops or kills all, dependents first. Connections are new, so that a second signal finds the first one's under way; what is
  /// just starting is waited for, so that nothing starts after it.
  void end_all(bool kill) {
    cancelled_ = true;
    auto client = context_.call.cli.connect();
    if (!client) return;
    ending_.emplace_back([this, kill, client = std::move(*client)] {
      is_started_.wait(false);
      Context own = context_;
      own.connection = client.get();
      auto all = members(*client, project_.name);
      if (!all) return;
      (void)in_order(own, project_, services_, Direction::reverse, [&](Context& each, const std::string& service) -> Result<void> {
        for (const Member& member : of_services(*all, {service})) end(each, member, kill);
        return {};
      });
    });
  }

  void end(Context& context, const Member& member, bool kill) {
    auto client = context.client();
    if (!member.running() || !client) return;
    docker::Request request{.method = "POST", .path = "/containers/" + docker::segment(member.id) + (kill ? "/kill" : "/stop")};
    if (timeout_ && !kill) request.query.add("t", std::to_string(*timeout_));
    context.tell("Container", member.name, kill ? "Killing" : "Stopping");
    if ((*client)->text(std::move(request))) context.tell("Container", member.name, kill ? "Killed" : "Stopped");
  }

  Result<int> watch(Interrupts& interrupts) {
    int signals = 0, code = 0;
    bool aborting = false;
    while (!follower_->done()) {
      if (interrupts.next()) {
        if (signals == 0) std::fprintf(stderr, "Gracefully Stopping... press Ctrl+C again to force\n");
        if (signals < 2) end_all(signals == 1);
        ++signals;
        continue;
      }
      auto exit = follower_->first_exit();
      if (!exit || aborting || signals) continue;
      if (!options_.exit_code_from.empty() || options_.abort_on_exit || (options_.abort_on_failure && exit->code != 0)) {
        std::fprintf(stderr, "Aborting on container exit...\n");
        code = int(exit->code);
        end_all(false);
        aborting = true;
      }
    }
    if (signals) return 130;
    if (failure_) return std::unexpected(std::move(*failure_));
    if (const std::string error = follower_->error(); !error.empty()) return fail(Code::unavailable, error);
    if (!options_.exit_code_from.empty())
      if (auto exit = follower_->exit_of(options_.exit_code_from)) code = int(exit->code);
    return code;
  }

  Context& context_;
  const Project& project_;
  const std::vector<std::string>& services_;
  const Attached& options_;
  const std::optional<int64_t> timeout_;
  std::vector<Member> shown_;
  std::unique_ptr<Follower> follower_;
  std::vector<std::thread> ending_;
  std::atomic<bool> cancelled_ = false, is_started_ = false;
  std::optional<Error> failure_;  // of the start; read when the follower is done
};

}  // namespace

Result<int> up(Context& context) {
  UpOptions options;
  Attached attach;
  bool detach = false, wait = false, no_log_prefix = false, no_color = false, menu = false, watch_flag = false, yes = false,
       attach_deps = false;
  int64_t timeout = 0, wait_timeout = 0;
  docker::Flags flags(context.call);
  convergence_flags(flags, options, timeout);
  flags.add("abort-on-container-exit", &attach.abort_on_exit, "Stops all containers if any container was stopped. Incompatible with -d");
  flags.add("abort-on-container-failure", &attach.abort_on_failure,
            "Stops all containers if any container exited with failure. Incompatible with -d");
  flags.add("always-recreate-deps", &options.always_recreate_deps, "Recreate dependent containers. Incompatible with --no-recreate");
  flags.add("attach", &attach.attach, "Restrict attaching to the specified services. Incompatible with --attach-dependencies");
  flags.add("attach-dependencies", &attach_deps, "Automatically attach to log output of dependent services");
  flags.add("detach,d", &detach, "Detached mode: Run containers in the background");
  flags.add("exit-code-from", &attach.exit_code_from,
            "Return the exit code of the selected service container. Implies --abort-on-container-exit");
  flags.add("menu", &menu, "Accepted; there is no menu");
  flags.hide();
  flags.add("no-attach", &attach.no_attach, "Do not attach (stream logs) to the specified services");
  flags.add("no-color", &no_color, "Produce monochrome output");
  flags.add("no-deps", &options.no_deps, "Don't start linked services");
  flags.add("no-log-prefix", &no_log_prefix, "Don't print prefix in logs");
  flags.add("no-start", &options.no_start, "Don't start the services after creating them");
  flags.add("renew-anon-volumes,V", &options.renew_anonymous_volumes,
            "Recreate anonymous volumes instead of retrieving data from the previous containers");
  flags.add("timestamps", &attach.timestamps, "Show timestamps");
  flags.add("wait", &wait, "Wait for services to be running|healthy. Implies detached mode");
  flags.add("wait-timeout", &wait_timeout, "Maximum duration in seconds to wait for the project to be running|healthy");
  flags.add("watch,w", &watch_flag, "Watch source code and rebuild/refresh containers when files are updated");
  flags.hide();
  flags.add("yes,y", &yes, "Accepted; nothing is asked");
  flags.hide();
  const auto names = strings(TRY(flags.parse()));
  TRY(check(options));
  if (watch_flag) return watch(context);
  if (detach && (attach.abort_on_exit || attach.abort_on_failure || !attach.exit_code_from.empty()))
    return fail(Code::invalid,
                "--abort-on-container-exit, --abort-on-container-failure and --exit-code-from are incompatible with --detach");
  if (no_color) context.colour = false;
  attach.no_prefix = no_log_prefix;
  if (flags.given("timeout")) options.timeout = timeout;
  const Project project = TRY(context.load(names));
  if (!attach.exit_code_from.empty()) TRY(project.check_services({attach.exit_code_from}));
  const bool background = detach || wait || options.no_start || context.dry_run;
  const auto services = TRY(background ? converge(context, project, names, options) : make_all(context, project, names, options));
  if (options.no_start || context.dry_run) return 0;
  if (wait) {
    TRY(wait_until_ready(context, project, services, wait_timeout));
    return 0;
  }
  if (detach) return 0;
  const bool only_named = !names.empty() && !attach_deps && !options.no_deps;
  if (only_named && attach.attach.empty()) attach.attach = names;
  return Foreground(context, project, services, attach, options.timeout).run();
}

Result<int> create(Context& context) {
  UpOptions options;
  options.no_start = true;
  int64_t timeout = 0;
  docker::Flags flags(context.call);
  convergence_flags(flags, options, timeout);
  const auto names = strings(TRY(flags.parse()));
  TRY(check(options));
  if (flags.given("timeout")) options.timeout = timeout;
  const Project project = TRY(context.load(names));
  TRY(converge(context, project, names, options));
  return 0;
}

Result<int> scale(Context& context) {
  UpOptions options;
  docker::Flags flags(context.call);
  flags.add("no-deps", &options.no_deps, "Don't start linked services");
  const auto words = strings(TRY(flags.parse()));
  std::vector<std::string> names;
  for (const auto& word : words) {
    TRY(parse_scale(word, options.scale));
    names.emplace_back(split_once(word, '=').first);
  }
  options.no_recreate = true;
  const Project project = TRY(context.load(names));
  TRY(converge(context, project, names, options));
  return 0;
}

Result<int> watch(Context&) {
  return fail(Code::unsupported,
              "compose watch is not supported; run 'compose up -d --build' after a change, or mount the source with a bind volume");
}

}  // namespace estiba::cli::compose
