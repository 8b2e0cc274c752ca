#include "node/pod_worker.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "model/codec.h"
#include "network/bandwidth.h"
#include "network/pod_ports.h"
#include "node/not_honoured.h"
#include "node/placement/placement.h"
#include "node/sandbox_spec.h"
#include "node/static_manifest.h"

namespace estiba::node {

using namespace model::core_v1;
using namespace std::chrono_literals;

PodWorker::PodWorker(const Context& context, model::ObjectRef pod, std::function<void()> on_finished)
    : context_(context),
      uid_(pod.meta().uid),
      pod_(std::move(pod)),
      static_(is_static(pod_.meta())),
      on_finished_(std::move(on_finished)),
      volumes_(context, uid_) {
  for (const Container& container : spec().spec.initContainers) {
    auto& c = *containers_.emplace_back(std::make_unique<PodContainer>());
    c.name = container.name;
    c.kind = is_sidecar(container) ? Kind::sidecar : Kind::init;
  }
  for (const Container& container : spec().spec.containers)
    containers_.emplace_back(std::make_unique<PodContainer>())->name = container.name;
  take_ephemeral();
  adopt();
  adopt_resources();
  writer_ = Job(write_status(this));
  job_ = Job(run(this));
}

PodWorker::~PodWorker() = default;

void PodWorker::refuse(const std::string& reason, const std::string& message) {
  failed_reason_ = reason;
  failed_message_ = "Pod was rejected: " + message;
  event(client::EventType::warning, reason, message);
}

bool PodWorker::ended() const {
  const std::string phase = phase_of(spec(), facts());
  return gone_ || phase == "Succeeded" || phase == "Failed";
}

// Containers that kubectl debug has added since the last look. Called between steps only: sync() walks the list across waits.
void PodWorker::take_ephemeral() {
  for (const EphemeralContainer& added : spec().spec.ephemeralContainers) {
    if (ephemeral_.contains(added.name)) continue;
    // The fields are a container's own; only the target's name is beside them.
    auto document = json::Document::parse(model::encode(added));
    auto container = document ? model::decode<Container>(document->root()) : std::unexpected(document.error());
    if (!container) continue;
    ephemeral_.emplace(added.name, std::move(*container));
    auto& c = *containers_.emplace_back(std::make_unique<PodContainer>());
    c.name = added.name;
    c.kind = Kind::ephemeral;
  }
}

// --- what an earlier server left -------------------------------------------------------------------------------------

void PodWorker::adopt() {
  const PodStatus& known = spec().status;
  if (auto started = parse_rfc3339(known.startTime)) start_time_ = *started;
  else start_time_ = context_.loop.wall_now();
  if (known.phase == "Failed") {
    failed_reason_ = known.reason;
    failed_message_ = known.message;
  }
  auto sandbox = context_.engine.sandbox(uid_);
  if (!sandbox) return adopt_lost();
  if (spec().spec.hostNetwork.value_or(false)) {
    ips_ = context_.options.node_ips;
  } else if (auto net = context_.network.find(uid_)) {
    ips_ = net->ips;
  }
  sandbox_ready_ = sandbox->ready && !ips_.empty();
  adopt_containers(*sandbox);
}

// The API tells of containers that the engine does not know: the machine was rebooted. They start anew, as restarts; with
// the policy Never they have failed.
void PodWorker::adopt_lost() {
  const PodStatus& known = spec().status;
  if (known.phase == "Succeeded" || known.phase == "Failed") return;
  bool ran = false;
  for (auto& c : containers_)
    for (const auto* list : {&known.containerStatuses, &known.initContainerStatuses})
      for (const ContainerStatus& status : *list) {
        if (status.name != c->name || status.containerID.empty()) continue;
        c->attempt = uint32_t(status.restartCount) + 1;
        ran |= c->kind == Kind::main && status.state && (status.state->running || status.state->terminated);
      }
  if (!ran || spec().spec.restartPolicy != "Never") return;
  failed_reason_ = "ContainerStatusUnknown";
  failed_message_ = "The pod's containers were lost while the node was down, and its restart policy is Never";
}

void PodWorker::adopt_containers(const engine::SandboxStatus& sandbox) {
  const PodStatus& known = spec().status;
  for (auto& c : containers_) {
    for (const engine::ContainerStatus& found : sandbox.containers) {
      if (found.name != c->name) continue;
      if (!c->id.empty() && found.attempt < c->attempt) {
        c->previous_id = found.id;
        continue;
      }
      c->previous_id = c->id;
      c->id = found.id;
      c->attempt = found.attempt;
    }
    adopt_reset(*c);
    // What was ready stays ready until a probe says otherwise: endpoints must not flap because a server restarted.
    for (const auto* list : {&known.containerStatuses, &known.initContainerStatuses})
      for (const ContainerStatus& status : *list)
        if (status.name == c->name && status.containerID == "estiba://" + c->id && is_running(*c)) {
          c->ready = status.ready;
          c->started = status.started.value_or(false);
        }
  }
}

// A restart of all containers has removed it; the restart may still be under way.
void PodWorker::adopt_reset(PodContainer& c) {
  const PodStatus& known = spec().status;
  for (const auto* list : {&known.containerStatuses, &known.initContainerStatuses})
    for (const ContainerStatus& status : *list) {
      if (status.name != c.name) continue;
      c.reset = c.previous_id.empty() && status.lastState && status.lastState->terminated &&
                status.lastState->terminated->reason == "RestartingAllContainers";
      if (c.id.empty()) c.attempt = uint32_t(status.restartCount) + (status.state && status.state->waiting ? 0 : 1);
    }
}

// --- what happens ----------------------------------------------------------------------------------------------------

void PodWorker::update(model::ObjectRef pod) {
  const model::Meta &now = pod.meta(), &before = pod_.meta();
  const bool labels_changed =
      now.labels != before.labels || now.annotations != before.annotations || now.last_applied != before.last_applied;
  const bool hurried =
      stopping_ && pod.meta().deletion_grace_seconds >= 0 && pod.meta().deletion_grace_seconds < pod_.meta().deletion_grace_seconds;
  pod_ = std::move(pod);
  look_at_resize();
  if (labels_changed && PodVolumes::uses_metadata(spec())) volumes_stale_ = true;
  if (labels_changed) retry_configuration();
  if (hurried) {
    const Duration limit = std::chrono::seconds(pod_.meta().deletion_grace_seconds);
    for (auto& c : containers_)
      if (is_running(*c))
        hurry_.start([](engine::Engine* engine, std::string id, Duration grace) -> Task<void> {
          (void)co_await engine->stop_container(id, grace);
        }(&context_.engine, c->id, limit));
  }
  status_changed();
  wake();
}

void PodWorker::gone() {
  gone_ = true;
  wake();
}

void PodWorker::source_changed(bool secret, std::string_view name) {
  if (!PodVolumes::uses(spec(), secret, name)) {
    retry_configuration();
    return;
  }
  volumes_stale_ = true;
  volume_backoff_.reset();
  wake();
}

void PodWorker::claim_changed(std::string_view name) {
  if ((volumes_ready_ && !volumes_.has_of_driver()) || !PodVolumes::claims(spec(), name)) return;
  volumes_stale_ = true;
  volume_backoff_.reset();
  wake();
}

void PodWorker::driver_registered() {
  if (volumes_ready_ || std::ranges::none_of(spec().spec.volumes, is_claimed)) return;
  volumes_stale_ = true;
  volume_backoff_.reset();
  wake();
}

void PodWorker::certificate_answered() {
  volumes_stale_ = true;
  volume_backoff_.reset();
  wake();
}

void PodWorker::address_changed() {
  if (spec().spec.hostNetwork.value_or(false) && sandbox_ready_) ips_ = context_.options.node_ips;
  status_changed();
}

// What a container's environment or paths name has changed: one that could not be made may be made now.
void PodWorker::retry_configuration() {
  for (auto& c : containers_)
    if (c->waiting_reason == "CreateContainerConfigError") c->restarts.reset(), wake();
}

void PodWorker::engine_event(const engine::Event& event) {
  if (event.type == engine::Event::Type::sandbox_died) sandbox_ready_ = false;
  status_changed();
  wake();
}

std::optional<engine::ContainerStatus> PodWorker::container(std::string_view name, bool previous) const {
  for (const auto& c : containers_)
    if (c->name == name) {
      const std::string& id = previous ? c->previous_id : c->id;
      return status_of(id);
    }
  return std::nullopt;
}

void PodWorker::event(client::EventType type, std::string_view reason, std::string_view message, std::string_view container) {
  client::EventTarget target = client::EventTarget::of(pod_);
  if (!container.empty()) {
    bool init = false;
    for (const Container& c : spec().spec.initContainers) init |= c.name == container;
    const char* list = init ? "spec.initContainers{" : ephemeral_.contains(container) ? "spec.ephemeralContainers{" : "spec.containers{";
    target.field_path = list + std::string(container) + "}";
  }
  context_.events.record(target, type, reason, message);
}

void PodWorker::retry_later(Backoff& backoff, std::string_view reason, const Error& error) {
  event(client::EventType::warning, reason, error.message);
  log::warn("node", "will try again", {{"pod", client::key_of(pod_)}, {"reason", reason}, {"error", error}});
  backoff.failed_waiting(context_.loop.now());
  wake_at(backoff.next());
}

// --- status ----------------------------------------------------------------------------------------------------------

PodFacts PodWorker::facts() const {
  PodFacts out;
  out.sandbox_ready = sandbox_ready_;
  out.pod_ips = ips_;
  out.host_ips = context_.options.node_ips;
  out.start_time = start_time_;
  out.terminating = ending();
  out.failed_reason = failed_reason_;
  out.failed_message = failed_message_;
  out.restarting_all = restarting_all_;
  out.resources = shown_resources_;
  out.granted = granted_requests_;
  out.resize_deferred = resize_deferred_;
  out.resize_infeasible = resize_infeasible_;
  out.resizing = resize_under_way();
  out.resize_generation = resize_generation_;
  out.disruption = disruption_;
  out.resize_error = resize_error_;
  auto with_message = [&](std::optional<engine::ContainerStatus> status) {
    if (status && status->message.empty())
      if (auto found = exit_messages_.find(status->id); found != exit_messages_.end()) status->message = found->second;
    return status;
  };
  for (const auto& c : containers_) {
    ContainerFacts& f = out.containers[c->name];
    f.current = with_message(current(*c));
    f.previous = with_message(status_of(c->previous_id));
    f.restarts = c->attempt;
    f.reset = c->reset;
    f.ready = c->ready;
    f.started = c->started;
    if (c->kind != Kind::ephemeral) f.resources = c->given, f.granted = c->granted;
    f.waiting_reason = c->waiting_reason;
    f.waiting_message = c->waiting_message;
  }
  return out;
}

PodStatus PodWorker::status() const {
  if (!mirror_) {
    PodStatus out = compute_status(spec(), facts(), context_.loop.wall_now());
    tell_of_claims(out);
    return out;
  }
  // What others have said of it is in the mirror; how it goes, only we know.
  Pod shown = spec();
  shown.status = mirror_.as<Pod>().status;
  shown.status.phase.clear();
  shown.metadata.generation = mirror_.as<Pod>().metadata.generation;
  return compute_status(shown, facts(), context_.loop.wall_now());
}

void PodWorker::show_by(model::ObjectRef mirror) {
  if (mirror && (!mirror_ || mirror_.meta().uid != mirror.meta().uid)) written_revision_ = 0;
  mirror_ = std::move(mirror);
  status_changed();
}

Task<void> PodWorker::write_status(PodWorker* self) {
  for (;;) {
    co_await self->dirty_.wait();
    self->dirty_.reset();
    if (self->gone_ && !self->static_) continue;
    for (int i = 0; self->exchanging_ && i < 50; ++i) co_await sleep_for(20ms);  // a second at most
    const PodStatus status = self->status();
    auto put = co_await self->put_status(status);
    if (put || put.error().code == Code::not_found) continue;
    if (put.error().code == Code::invalid) {  // the pod is another by now, or the API server does not take what it is told
      log::info("node", "status refused", {{"pod", client::key_of(self->pod_)}, {"error", put.error()}});
      continue;
    }
    log::warn("node", "status not written", {{"pod", client::key_of(self->pod_)}, {"error", put.error()}});
    co_await sleep_for(1s);
    self->dirty_.set();
  }
}

// The whole status is replaced, if the pod is still this one: the test of the uid makes the patch fail otherwise.
Task<Result<void>> PodWorker::put_status(const PodStatus& status) {
  const model::ObjectRef shown = static_ ? mirror_ : pod_;
  if (!shown) co_return {};
  std::string text = model::encode(status);
  // What we wrote and have not seen come back counts as there; what somebody else has changed since is put right.
  const bool ours_is_newer = shown.revision < written_revision_;
  if (text == (ours_is_newer ? written_status_ : model::encode(shown.as<Pod>().status))) co_return {};
  std::string patch = R"([{"op":"test","path":"/metadata/uid","value":)";
  json::append_string(patch, shown.meta().uid);
  patch += R"(},{"op":"add","path":"/status","value":)" + text + "}]";
  auto written = co_await context_.client.patch(client::pods, shown.meta().ns, shown.meta().name, client::PatchType::json, std::move(patch),
                                                {.subresource = "status"});
  if (!written) co_return std::unexpected(std::move(written.error()));
  written_status_ = std::move(text);
  written_revision_ = written->revision;
  co_return {};
}

// --- the loop --------------------------------------------------------------------------------------------------------

Task<void> PodWorker::run(PodWorker* self) {
  co_await yield_now();  // the constructor has returned
  while (!self->finished_) {
    self->wake_.reset();
    self->deadline_ = Instant::max();
    co_await self->sync();
    self->status_changed();
    if (self->finished_) break;
    if (self->deadline_ == Instant::max()) co_await self->wake_.wait();
    else co_await self->wake_.wait_until(self->deadline_);
  }
  self->on_finished_();
}

Task<void> PodWorker::sync() {
  if (ending()) {
    co_await end();
    co_return;
  }
  if (!drop_tokens_.empty()) co_await drop_what_ended();
  if (rested_ || held_) co_return;
  take_ephemeral();
  // Before the deadline: a pod that has ended in time does not fail by it later, when a restarted server looks again.
  const std::string phase = phase_of(spec(), facts());
  if (phase == "Succeeded" || phase == "Failed") {
    co_await rest();
    co_return;
  }
  if (co_await check_deadline()) co_return;
  if (!co_await ensure_claims() || ending() || !co_await ensure_volumes()) co_return;
  if (ending() || !co_await ensure_sandbox()) co_return;
  if (ending()) co_return;  // deleted meanwhile: nothing is started only to be stopped
  co_await sync_resources();
  co_await sync_all_restarts();
  if (restarting_all_) co_return;
  co_await sync_containers();
  const std::string after = phase_of(spec(), facts());
  if (after == "Succeeded" || after == "Failed") co_await rest();
}

// activeDeadlineSeconds: true when the pod has failed by it.
Task<bool> PodWorker::check_deadline() {
  const auto seconds = spec().spec.activeDeadlineSeconds;
  if (!seconds || !failed_reason_.empty()) co_return false;
  const Duration left = start_time_ + std::chrono::seconds(*seconds) - context_.loop.wall_now();
  if (left > 0s) {
    wake_at(context_.loop.now() + left);
    co_return false;
  }
  failed_reason_ = "DeadlineExceeded";
  failed_message_ = "Pod was active on the node longer than the specified deadline";
  event(client::EventType::normal, failed_reason_, failed_message_);
  co_await rest();
  co_return true;
}

Task<bool> PodWorker::ensure_volumes() {
  if (context_.loop.now() >= volumes_.next_refresh()) volumes_stale_ = true;
  if (volumes_.next_refresh() != Instant::max()) wake_at(std::max(volumes_.next_refresh(), context_.loop.now() + 1s));
  if (!volumes_stale_) co_return true;
  if (!volume_backoff_.allowed(context_.loop.now())) {
    wake_at(volume_backoff_.next());
    co_return volumes_ready_;
  }
  volumes_stale_ = false;
  const auto outcome = co_await prepare_volumes();
  if (!outcome) co_return false;  // it is to go
  const Result<void>& prepared = *outcome;
  if (!prepared) {
    volumes_stale_ = true;
    retry_later(volume_backoff_, "FailedMount", prepared.error());
    co_return volumes_ready_;  // a refresh that fails leaves the old content in place
  }
  volume_backoff_.reset();
  volumes_ready_ = true;
  if (volumes_.next_refresh() != Instant::max()) wake_at(volumes_.next_refresh());
  co_return true;
}

// A driver may take its time, or never answer: a pod that is to go waits for none. Nothing then.
Task<std::optional<Result<void>>> PodWorker::prepare_volumes() {
  std::optional<Result<void>> out;
  Job job([](PodWorker* self, std::optional<Result<void>>* result) -> Task<void> {
    *result = co_await self->volumes_.prepare(self->pod_);
    self->wake();
  }(this, &out));
  while (!out && !ending()) {
    wake_.reset();
    co_await wake_.wait();
  }
  wake();  // what else has woken it is looked at in the next round
  co_return out;
}

Task<bool> PodWorker::ensure_sandbox() {
  if (sandbox_ready_) co_return true;
  if (!sandbox_backoff_.allowed(context_.loop.now())) {
    wake_at(sandbox_backoff_.next());
    co_return false;
  }
  auto made = co_await make_sandbox();
  if (!made) {
    retry_later(sandbox_backoff_, "FailedCreatePodSandBox", made.error().context("Failed to create pod sandbox"));
    // A field that this node cannot honour stands in the status, where those look who never see events.
    if (made.error().code == Code::unsupported)
      for (auto& c : containers_) {
        c->waiting_reason = "CreatePodSandboxError";
        c->waiting_message = made.error().message;
      }
    co_return false;
  }
  sandbox_backoff_.reset();
  sandbox_ready_ = true;
  for (auto& c : containers_)
    if (c->waiting_reason == "CreatePodSandboxError") c->waiting_reason.clear(), c->waiting_message.clear();
  co_return true;
}

Task<Result<void>> PodWorker::make_sandbox() {
  if (context_.engine.sandbox(uid_)) {
    // Its shim has died, and the containers with it: all start anew.
    event(client::EventType::normal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
    CO_TRY(co_await context_.engine.remove_sandbox(uid_));
    for (auto& c : containers_) {
      stop_probes(*c);
      if (!c->id.empty()) ++c->attempt;
      c->id.clear();
      c->previous_id.clear();
    }
  }
  const model::ObjectRef ref = pod_;  // update() may put another in its place meanwhile
  const Pod pod = pod_with(true);
  engine::UserNamespace users;
  if (!pod.spec.hostUsers.value_or(true)) {
    const auto ids = CO_TRY(co_await take_user_ids());
    users.uids = users.gids = {{0, ids.first, ids.size}};
  }
  if (!pod.spec.runtimeClassName.empty()) CO_TRY(co_await check_runtime_class(pod.spec.runtimeClassName));
  if (const auto fields = not_honoured(pod); !fields.empty()) event(client::EventType::warning, "FieldsNotHonoured", join(fields, "; "));
  std::string netns;
  if (pod.spec.hostNetwork.value_or(false)) {
    ips_ = context_.options.node_ips;
  } else {
    network::PodRequest request{.uid = uid_,
                                .ns = pod.metadata.namespace_,
                                .name = pod.metadata.name,
                                .host_ports = host_ports(pod),
                                .bandwidth = CO_TRY(network::bandwidth_of(ref.meta().annotations)),
                                .labels = ref.meta().labels,
                                .named_ports = network::named_ports(pod.spec)};
    for (const auto& range : users.uids) request.uids.push_back({range.inside, range.outside, range.size});
    request.gids = request.uids;
    auto net = CO_TRY_AS("network", co_await context_.network.attach(request, static_));
    if (users.uids.empty() == !net.userns_path.empty()) {
      // It was made before this node gave the pod a user namespace.
      CO_TRY_AS("network", co_await context_.network.detach(uid_));
      net = CO_TRY_AS("network", co_await context_.network.attach(std::move(request), static_));
    }
    users.path = net.userns_path;
    ips_ = net.ips;
    netns = net.netns_path;
  }
  auto spec = CO_TRY(sandbox_spec(context_.options, pod, netns, ips_, context_.network.dns_address()));
  spec.users = std::move(users);
  if (context_.placement) context_.placement->limit_pod(spec.resources, uid_);
  co_return co_await context_.engine.run_sandbox(std::move(spec));
}

Task<Result<UserIds::Range>> PodWorker::take_user_ids() {
  if (!context_.user_ids)
    co_return fail(Code::unsupported, "can't set `spec.hostUsers: false`: this node does not support user namespaces");
  if (spec().spec.hostNetwork.value_or(false)) co_return fail(Code::invalid, "spec.hostUsers: false cannot be with hostNetwork: true");
  co_return co_await context_.pool.run([ids = context_.user_ids, uid = uid_] { return ids->take(uid); });
}

// There is one runtime: handlers of others are told of as the kubelet does.
Task<Result<void>> PodWorker::check_runtime_class(std::string name) {
  constexpr client::Resource runtime_classes{"node.k8s.io", "v1", "runtimeclasses"};
  auto found = co_await context_.client.get(runtime_classes, "", name);
  if (!found) co_return std::unexpected(std::move(found.error()).context("spec.runtimeClassName " + quoted(name)));
  const auto document = CO_TRY(json::Document::parse(found->object->json()));
  const std::string_view handler = document.root().string_at("handler");
  if (handler == "estiba-oci" || handler == "runc") co_return {};
  co_return fail(Code::unsupported, "spec.runtimeClassName " + quoted(name) + ": no runtime for handler " + quoted(handler) +
                                        " is configured; this node has \"estiba-oci\", also as \"runc\"");
}

}  // namespace estiba::node
