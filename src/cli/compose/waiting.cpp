// Waiting for containers: conditions of depends_on, --wait.
#include <time.h>

#include "base/strings.h"
#include "cli/compose/converge.h"
#include "cli/docker/session.h"

namespace estiba::cli::compose {
namespace {

using docker::Client;
using json::Node;

struct State {
  std::string status, health;
  int64_t exit_code = 0;
};

Result<State> state_of(Client& client, const Member& member) {
  const json::Document container = TRY(client.call({.path = "/containers/" + docker::segment(member.id) + "/json"}));
  State out;
  out.status = container.root().string_at("State", "Status");
  out.health = container.root().string_at("State", "Health", "Status");
  if (const Node* code = container.root().at("State", "ExitCode")) out.exit_code = code->as_int().value_or(0);
  return out;
}

/// Sleeps longer each time: 20 ms at first, half a second at last.
class Patience {
 public:
  explicit Patience(int64_t limit_seconds) : limit_ms_(limit_seconds * 1000) {}
  /// False when the limit has passed.
  bool wait() {
    if (limit_ms_ > 0 && waited_ms_ >= limit_ms_) return false;
    timespec pause{0, step_ms_ * 1'000'000};
    ::nanosleep(&pause, nullptr);
    waited_ms_ += step_ms_;
    step_ms_ = std::min<long>(500, step_ms_ * 3 / 2);
    return true;
  }

 private:
  int64_t limit_ms_, waited_ms_ = 0;
  long step_ms_ = 20;
};

std::unexpected<Error> interrupted(const Member& member) {
  return fail(Code::cancelled, "interrupted while waiting for container " + member.name);
}

Result<void> wait_healthy(const Context& context, Client& client, const Member& member) {
  for (Patience patience(0);; (void)patience.wait()) {
    const State state = TRY(state_of(client, member));
    if (state.health == "healthy") return {};
    if (context.stopped()) return interrupted(member);
    if (state.health == "unhealthy") return fail(Code::unavailable, "container " + member.name + " is unhealthy");
    if (state.status == "exited" || state.status == "dead")
      return fail(Code::unavailable, "container " + member.name + " exited (" + std::to_string(state.exit_code) + ")");
    if (state.health.empty() || state.health == "none")
      return fail(Code::invalid, "container " + member.name +
                                     " has no healthcheck configured; give its service a healthcheck, or depend on service_started");
  }
}

Result<void> wait_completed(const Context& context, Client& client, const Member& member) {
  for (Patience patience(0);; (void)patience.wait()) {
    const State state = TRY(state_of(client, member));
    if (context.stopped()) return interrupted(member);
    if (state.status == "running" || state.status == "restarting" || state.status == "paused") continue;
    if (state.status == "created") return fail(Code::unavailable, "container " + member.name + " was never started");
    if (state.exit_code == 0) return {};
    return fail(Code::unavailable,
                "service " + quoted(member.service) + " didn't complete successfully: exit " + std::to_string(state.exit_code));
  }
}

}  // namespace

Result<void> wait_for_dependencies(Context& context, const Project& project, const Node& service) {
  const Node* depends = service.find("depends_on");
  if (!depends) return {};
  Client& client = *TRY(context.client());
  for (const Node& each : *depends) {
    const std::string_view condition = each.string_at("condition");
    if (condition == "service_started") continue;
    const Node* required = each.find("required");
    for (const auto& member : of_services(TRY(members(client, project.name)), {std::string(each.key())})) {
      context.tell("Container", member.name, "Waiting");
      auto waited = condition == "service_healthy" ? wait_healthy(context, client, member) : wait_completed(context, client, member);
      if (!waited && !context.stopped() && required && !required->as_bool(true)) {
        context.say("WARN[0000] optional dependency " + quoted(each.key()) + " failed to start: " + waited.error().message);
        continue;
      }
      if (!waited) {
        context.tell("Container", member.name, "Error");
        return std::unexpected(std::move(waited.error()).context("dependency failed to start"));
      }
      context.tell("Container", member.name, condition == "service_healthy" ? "Healthy" : "Exited");
    }
  }
  return {};
}

Result<void> wait_until_ready(Context& context, const Project& project, const std::vector<std::string>& services, int64_t limit) {
  Client& client = *TRY(context.client());
  Patience patience(limit);
  for (const auto& member : of_services(TRY(members(client, project.name)), services)) {
    for (;;) {
      const State state = TRY(state_of(client, member));
      if (state.health == "healthy" || (state.status == "running" && (state.health.empty() || state.health == "none"))) break;
      if (state.health == "unhealthy") return fail(Code::unavailable, "container " + member.name + " is unhealthy");
      if (state.status == "exited" && state.exit_code == 0) break;
      if (state.status == "exited" || state.status == "dead")
        return fail(Code::unavailable, "container " + member.name + " exited (" + std::to_string(state.exit_code) + ")");
      if (!patience.wait())
        return fail(Code::timeout, "container " + member.name + " is not ready after " + std::to_string(limit) + " s; it is " +
                                       state.status + ", " + state.health);
    }
    context.tell("Container", member.name, "Healthy");
  }
  return {};
}

}  // namespace estiba::cli::compose
