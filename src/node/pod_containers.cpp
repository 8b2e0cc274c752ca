// The containers of a pod: their order, starts, restarts and probes.
#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "node/checks.h"
#include "node/container_spec.h"
#include "node/devices/devices.h"
#include "node/placement/placement.h"
#include "node/pod_worker.h"
#include "node/restart_policy.h"
#include "node/sources.h"

namespace estiba::node {

using namespace model::core_v1;
using namespace std::chrono_literals;
using client::EventType;

const Container* PodWorker::find_spec(std::string_view name) const {
  for (const Container& container : spec().spec.initContainers)
    if (container.name == name) return &container;
  for (const Container& container : spec().spec.containers)
    if (container.name == name) return &container;
  const auto found = ephemeral_.find(name);
  return found == ephemeral_.end() ? nullptr : &found->second;
}

std::optional<engine::ContainerStatus> PodWorker::current(const PodContainer& c) const { return status_of(c.id); }

bool PodWorker::is_running(const PodContainer& c) const {
  const auto status = current(c);
  return status && status->state == engine::ContainerState::running;
}

Task<void> PodWorker::sync_containers() {
  if (!co_await sync_init()) co_return;
  for (auto& c : containers_)
    if (c->kind == Kind::main || c->kind == Kind::ephemeral) co_await sync_container(*c);
}

// Init containers one after another, sidecars started on the way; true when the main ones may run. Once those have run, a
// finished init container never runs again in this sandbox.
Task<bool> PodWorker::sync_init() {
  bool main_ran = false;
  for (const auto& c : containers_) main_ran |= c->kind == Kind::main && !c->id.empty();
  for (auto& c : containers_) {
    if (c->kind == Kind::main) break;
    const auto status = current(*c);
    if (c->kind == Kind::init) {
      if (main_ran) continue;
      if (status && status->state == engine::ContainerState::exited && status->exit_code == 0) {
        c->waiting_reason.clear();
        take_exit_message(*status);
        continue;
      }
      co_await sync_container(*c);
      co_return false;
    }
    co_await sync_container(*c);
    if (!main_ran && !(is_running(*c) && c->started)) co_return false;
  }
  co_return true;
}

Task<bool> PodWorker::sync_container(PodContainer& c) {
  const bool done = co_await step_container(c);
  if (replaced_ == &c && (done || c.pull.done())) exchange_over();
  co_return done;
}

void PodWorker::exchange_over() {
  replaced_ = nullptr;
  if (std::exchange(exchanging_, false)) status_changed();
}

Task<bool> PodWorker::step_container(PodContainer& c) {
  auto status = current(c);
  bool again = false;  // whatever its policy says of how it ended
  if (status && status->state == engine::ContainerState::running) {
    const Container* spec = find_spec(c.name);
    const bool changed = spec && status->image != spec->image;
    if (changed && c.kill_why.empty()) {
      c.kill_why = "Container " + c.name + " definition changed";
      c.image_id.clear();  // that was the old one's
    }
    if (c.kill_why.empty()) {
      arrange_probes(c);
      co_return true;
    }
    again = changed || (spec && restart_policy(*spec, this->spec().spec) != "Never");
    event(EventType::normal, "Killing", c.kill_why + (again ? ", will be restarted" : ""), c.name);
    // One container for another, at once: what is told is the new one, or why there is none, and not the moment between them.
    // Nor does the API let a container come back whose policy would have let it rest.
    if (changed || (again && restart_policy(*spec, this->spec().spec) == "OnFailure")) replaced_ = &c, exchanging_ = true;
    co_await kill_container(c, c.kill_grace.value_or(grace()));
    c.kill_why.clear();
    c.kill_grace.reset();
    status = current(c);
  }
  if (status && status->state == engine::ContainerState::exited) {
    stop_probes(c);
    take_exit_message(*status);
    if (asks_for_all(c)) co_return false;
    if (!again && !may_restart(c, *status)) {
      c.waiting_reason.clear();
      co_return true;
    }
    if (backed_off(c, *status)) co_return false;
  }
  if (!ensure_pulled(c)) co_return false;
  co_await start_container(c);
  co_return is_running(c);
}

// --- images ----------------------------------------------------------------------------------------------------------

// True when the image is here; otherwise a pull is under way or waits for its next try.
bool PodWorker::ensure_pulled(PodContainer& c) {
  const Container* container = find_spec(c.name);
  if (!c.image_id.empty()) return true;
  if (!c.pull.done()) return false;
  const Instant now = context_.loop.now();
  if (!c.pulls.allowed(now)) {
    if (c.pull_failed && c.waiting_reason == "ErrImagePull") {
      c.waiting_reason = "ImagePullBackOff";
      c.waiting_message = "Back-off pulling image " + quoted(container->image) + ": " + c.waiting_message;
      event(EventType::normal, "BackOff", "Back-off pulling image " + quoted(container->image), c.name);
    }
    wake_at(c.pulls.next());
    return false;
  }
  c.pull = Job(pull_image(this, &c, *container));
  return !c.image_id.empty();
}

// What a container is started from: its own image and those that it mounts.
Task<void> PodWorker::pull_image(PodWorker* self, PodContainer* c, Container container) {
  const model::ObjectRef ref = self->pod_;
  const auto own = co_await pull_one(self, c, container.image, container.imagePullPolicy);
  bool all = own.has_value();
  for (const auto* image : mounted_images(ref.as<Pod>(), container))
    if (all) all = (co_await pull_one(self, c, image->reference, image->pullPolicy)).has_value();
  if (all) {
    c->image_id = *own;
    c->pulls.reset();
    c->pull_failed = false;
  }
  self->status_changed();
  self->wake();
}

Task<std::optional<std::string>> PodWorker::pull_one(PodWorker* self, PodContainer* c, std::string image, std::string policy_name) {
  using engine::PullPolicy;
  const PullPolicy policy = policy_name == "Always"  ? PullPolicy::always
                            : policy_name == "Never" ? PullPolicy::never
                                                     : PullPolicy::if_not_present;
  auto present = co_await self->context_.engine.image_status(image);
  if (present && *present && policy != PullPolicy::always) {
    self->event(EventType::normal, "Pulled", "Container image " + quoted(image) + " already present on machine", c->name);
    co_return (*present)->id;
  }
  if (self->replaced_ == c) self->exchange_over();  // it may take long
  const Instant begin = self->context_.loop.now();
  if (policy != PullPolicy::never) self->event(EventType::normal, "Pulling", "Pulling image " + quoted(image), c->name);
  auto pulled = co_await self->context_.engine.ensure_image(image, policy, co_await pull_credentials(self->context_, self->pod_));
  if (pulled) {
    const auto ms = (self->context_.loop.now() - begin) / 1ms;
    self->event(EventType::normal, "Pulled",
                "Successfully pulled image " + quoted(image) + " in " + std::to_string(ms) +
                    "ms. Image size: " + std::to_string(pulled->size) + " bytes.",
                c->name);
    co_return pulled->id;
  }
  const std::string reason(engine::reason_of(pulled.error()));
  c->waiting_reason = reason.empty() ? "ErrImagePull" : reason;
  c->waiting_message = pulled.error().message;
  c->pull_failed = true;
  c->pulls.failed_waiting(self->context_.loop.now());
  self->event(EventType::warning, "Failed", "Failed to pull image " + quoted(image) + ": " + pulled.error().message, c->name);
  self->event(EventType::warning, "Failed", "Error: " + c->waiting_reason, c->name);
  co_return std::nullopt;
}

// --- starting --------------------------------------------------------------------------------------------------------

Task<Result<Environment>> PodWorker::environment(const Container& container) {
  const model::ObjectRef object = pod_;  // update() may put another in its place meanwhile
  const Pod& pod = object.as<Pod>();
  std::vector<model::ObjectRef> kept;
  std::vector<const Service*> services;
  const bool links = pod.spec.enableServiceLinks.value_or(true);
  context_.informers.of(client::services).each([&](const model::ObjectRef& service) {
    const bool api = service.meta().ns == "default" && service.meta().name == "kubernetes";
    if (api || (links && service.meta().ns == pod_.meta().ns)) kept.push_back(service);
  });
  for (const auto& service : kept) services.push_back(&service.as<Service>());
  std::sort(services.begin(), services.end(), [](const Service* a, const Service* b) { return a->metadata.name < b->metadata.name; });
  ObjectData objects = co_await read_referenced(context_, pod.metadata.namespace_, container);
  EnvSources sources;
  sources.config_map = [&](std::string_view name) { return objects.config_map(name); };
  sources.secret = [&](std::string_view name) { return objects.secret(name); };
  sources.field = [&](const ObjectFieldSelector& field) { return field_value(pod, field.fieldPath, ips_, context_.options.node_ips); };
  sources.resource = [&](const ResourceFieldSelector& ref) {
    return resource_value(pod, ref.containerName.empty() ? container.name : ref.containerName, ref.resource, ref.divisor, {});
  };
  std::map<std::pair<std::string, std::string>, Result<std::string>> files;
  for (const EnvVar& variable : container.env) {
    if (!variable.valueFrom || !variable.valueFrom->fileKeyRef) continue;
    const FileKeySelector& ref = *variable.valueFrom->fileKeyRef;
    files.insert_or_assign({ref.volumeName, ref.path}, co_await volumes_.read_file(object, ref.volumeName, ref.path));
  }
  sources.file = [&](const FileKeySelector& ref) { return files.at({ref.volumeName, ref.path}); };
  co_return make_environment(container, service_environment(services), sources);
}

Task<Result<engine::ContainerSpec>> PodWorker::container_spec(PodContainer& c) {
  const model::ObjectRef ref = pod_;  // holds `container`: update() may put another in its place meanwhile
  const Container container = to_start(c);
  auto env = co_await environment(container);
  if (!env) co_return std::unexpected(config_error(std::move(env.error())));
  auto mounts = co_await volumes_.mounts(ref, container, *env);
  if (!mounts) co_return std::unexpected(config_error(std::move(mounts.error())));
  const uint32_t attempt = c.id.empty() ? c.attempt : c.attempt + 1;
  auto made = make_container_spec(context_.options, pod_with(true), container, attempt, std::move(*env), std::move(*mounts));
  if (!made) co_return made;
  made->devices = CO_TRY(volumes_.devices(ref, container));
  if (context_.devices) {
    if (auto added = co_await context_.devices->add_to(*made, uid_, c.name); !added)
      co_return std::unexpected(config_error(std::move(added.error())));
  }
  if (auto added = add_claimed(*made, c.name); !added) co_return std::unexpected(config_error(std::move(added.error())));
  if (context_.placement) context_.placement->limit(made->resources, uid_, c.name);
  if (c.kind == Kind::ephemeral) made->join.pid = CO_TRY(processes_of_target(c));
  co_return made;
}

// The PID namespace of the container that an ephemeral one was added for; "" when it was added for none.
Result<std::string> PodWorker::processes_of_target(const PodContainer& c) const {
  for (const EphemeralContainer& added : spec().spec.ephemeralContainers) {
    if (added.name != c.name || added.targetContainerName.empty()) continue;
    for (const auto& target : containers_)
      if (target->name == added.targetContainerName)
        if (const auto status = current(*target); status && status->state == engine::ContainerState::running)
          return "/proc/" + std::to_string(status->pid) + "/ns/pid";
    return fail(Code::unavailable, "targetContainerName: container " + quoted(added.targetContainerName) + " is not running");
  }
  return std::string();
}

Task<void> PodWorker::start_container(PodContainer& c) {
  const Container container = *find_spec(c.name);
  auto fail_with = [&](const Error& error, std::string_view fallback) {
    const std::string_view reason = engine::reason_of(error);
    c.waiting_reason = reason.empty() ? fallback : reason;
    c.waiting_message = error.message;
    event(EventType::warning, "Failed", "Error: " + error.message, c.name);
    c.restarts.failed_waiting(context_.loop.now());
    wake_at(c.restarts.next());
  };
  // Without a container to count its failures by, the errors of making one wait here.
  const auto before = current(c);
  if (!c.restarts.allowed(context_.loop.now()) && (!before || before->state != engine::ContainerState::exited)) {
    wake_at(c.restarts.next());
    co_return;
  }
  if (before && before->state == engine::ContainerState::created) {
    // A server was killed before it started this one: it never ran, so it is no restart.
    if (auto removed = co_await context_.engine.remove_container(c.id); !removed)
      co_return fail_with(removed.error(), "CreateContainerError");
    c.id.clear();
  }
  auto made = co_await container_spec(c);
  if (!made) co_return fail_with(made.error(), "CreateContainerConfigError");
  const uint32_t attempt = made->attempt;
  auto created = co_await context_.engine.create_container(uid_, std::move(*made));
  if (!created) {
    if (created.error().code == Code::not_found) c.image_id.clear();  // the image may have gone
    co_return fail_with(created.error(), "CreateContainerError");
  }
  if (!c.previous_id.empty()) {
    exit_messages_.erase(c.previous_id);
    dropped_.erase(c.previous_id);
    (void)co_await context_.engine.remove_container(c.previous_id);
  }
  c.previous_id = std::exchange(c.id, *created);
  c.attempt = attempt;
  c.started = c.ready = false;
  const auto mounted = mounted_images(spec(), container);
  if (container.imagePullPolicy == "Always" ||
      std::any_of(mounted.begin(), mounted.end(), [](const auto* image) { return image->pullPolicy == "Always"; }))
    c.image_id.clear();  // the next start pulls anew
  event(EventType::normal, "Created", "Container created", c.name);
  auto started = co_await context_.engine.start_container(c.id);
  if (!started) {
    event(EventType::warning, "Failed", "Error: " + started.error().message, c.name);
    c.waiting_reason = "RunContainerError";
    c.waiting_message = started.error().message;
    wake();  // it has exited with StartError: the restart policy decides
    co_return;
  }
  c.waiting_reason.clear();
  c.waiting_message.clear();
  event(EventType::normal, "Started", "Container started", c.name);
  link_log(context_.options, spec(), c.name, c.id);
  if (container.lifecycle && container.lifecycle->postStart) c.hook = Job(post_start(this, &c, container, c.id));
  arrange_probes(c);
  status_changed();
}

Task<void> PodWorker::post_start(PodWorker* self, PodContainer* c, Container container, std::string id) {
  auto done = co_await run_hook(self->context_, *container.lifecycle->postStart, container, id, self->ips_.empty() ? "" : self->ips_[0]);
  if (!done && c->id == id) {
    self->event(EventType::warning, "FailedPostStartHook", "PostStartHook failed: " + done.error().message, c->name);
    c->kill_why = "FailedPostStartHook";
    self->wake();
  }
}

// The end of the container's termination log becomes its exit message.
void PodWorker::take_exit_message(const engine::ContainerStatus& exited) {
  if (exit_messages_.contains(exited.id)) return;
  const Container* container = find_spec(exited.name);
  if (!container) return;
  exit_messages_[exited.id] = read_exit_message(context_.options, spec(), *container, exited);
}

// --- probes ----------------------------------------------------------------------------------------------------------

// Starts the probes whose time has come: the startup probe first, the others once it has passed.
void PodWorker::arrange_probes(PodContainer& c) {
  const Container* container = find_spec(c.name);
  if (!container || !is_running(c)) return;
  if (container->startupProbe && !c.started) {
    if (!c.startup) c.startup = make_prober(c, ProbeKind::startup, *container->startupProbe);
    return;
  }
  c.startup.reset();
  if (!c.started) {
    c.started = true;
    status_changed();
    if (c.kind == Kind::sidecar) wake();
  }
  if (container->livenessProbe && !c.liveness) c.liveness = make_prober(c, ProbeKind::liveness, *container->livenessProbe);
  if (container->readinessProbe && !c.readiness) c.readiness = make_prober(c, ProbeKind::readiness, *container->readinessProbe);
  if (!container->readinessProbe && !c.ready) {
    c.ready = true;
    status_changed();
  }
}

std::unique_ptr<Prober> PodWorker::make_prober(PodContainer& c, ProbeKind kind, const Probe& probe) {
  Check check =
      make_check(context_, probe, *find_spec(c.name), [&c] { return c.id; }, [this] { return ips_.empty() ? std::string() : ips_[0]; });
  static constexpr const char* names[] = {"Startup", "Liveness", "Readiness"};
  const bool initially = kind == ProbeKind::liveness || (kind == ProbeKind::readiness && c.ready);
  return std::make_unique<Prober>(
      context_.loop, kind, probe, std::move(check), initially,
      [this, &c, kind](bool healthy, const std::string& message) { probed(c, kind, healthy, message); },
      [this, &c, kind](const std::string& message) {
        event(EventType::warning, "Unhealthy", std::string(names[int(kind)]) + " probe failed: " + message, c.name);
      },
      [this, &c, kind](bool ok, Duration took) {
        if (context_.probes) context_.probes->add({uid(), pod().meta().ns, pod().meta().name, c.name, kind}, ok, took);
      });
}

void PodWorker::probed(PodContainer& c, ProbeKind kind, bool healthy, const std::string&) {
  if (kind == ProbeKind::readiness) {
    c.ready = healthy;
  } else if (kind == ProbeKind::startup && healthy) {
    c.started = true;
    wake();
  } else if (!healthy && c.kill_why.empty()) {
    c.kill_why = "Container " + c.name + " failed " + (kind == ProbeKind::startup ? "startup" : "liveness") + " probe";
    const Container* container = find_spec(c.name);
    const auto& probe = kind == ProbeKind::startup ? container->startupProbe : container->livenessProbe;
    if (probe && probe->terminationGracePeriodSeconds) c.kill_grace = std::chrono::seconds(*probe->terminationGracePeriodSeconds);
    wake();
  }
  status_changed();
}

void PodWorker::stop_probes(PodContainer& c) {
  c.startup.reset();
  c.liveness.reset();
  c.readiness.reset();
  c.hook.cancel();
  c.started = c.ready = false;
}

// preStop and then the stop signal, both within `grace`.
Task<void> PodWorker::kill_container(PodContainer& c, Duration grace) {
  const Container* found = find_spec(c.name);
  stop_probes(c);
  const Instant end = context_.loop.now() + grace;
  if (found && found->lifecycle && found->lifecycle->preStop && grace > 0s) {
    auto ran = co_await with_timeout(grace, run_hook(context_, *found->lifecycle->preStop, *found, c.id, ips_.empty() ? "" : ips_[0]));
    if (ran && !*ran) event(EventType::warning, "FailedPreStopHook", "PreStopHook failed: " + ran->error().message, c.name);
  }
  // Even a hook that has used the grace up leaves the process two seconds to hear the signal.
  const Duration left = grace > 0s ? std::max<Duration>(end - context_.loop.now(), std::min<Duration>(grace, 2s)) : grace;
  auto stopped = co_await context_.engine.stop_container(c.id, left);
  if (!stopped)
    log::warn("node", "container not stopped", {{"pod", client::key_of(pod_)}, {"container", c.name}, {"error", stopped.error()}});
}

}  // namespace estiba::node
