#include "cli/hollow_nodes.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "client/informer.h"
#include "client/json_writer.h"
#include "client/work_queue.h"
#include "model/codec.h"
#include "model/node_features.h"
#include "model/types/core_v1.h"

namespace estiba::cli {

using model::ObjectRef;
using namespace model::core_v1;
using namespace std::chrono_literals;

namespace {

const std::string lease_namespace = "kube-node-lease";
constexpr Duration beat = 100ms;  // leases are renewed a share at a time

std::string dotted(uint32_t address) {
  return std::to_string(address >> 24) + "." + std::to_string(address >> 16 & 255) + "." + std::to_string(address >> 8 & 255) + "." +
         std::to_string(address & 255);
}
constexpr uint32_t node_addresses = 0x0AC8'0000;  // 10.200.0.0/13
constexpr uint32_t pod_addresses = 0x6440'0000;   // 100.64.0.0/10, of carriers' networks: nobody routes it here

NodeCondition node_condition(const char* type, const char* status, const char* reason, const std::string& now) {
  NodeCondition out;
  out.type = type;
  out.status = status;
  out.reason = reason;
  out.message = "a simulated node";
  out.lastHeartbeatTime = out.lastTransitionTime = now;
  return out;
}

// Sets a condition; one that says the same already keeps its time.
void set_condition(PodStatus& status, const char* type, bool holds, const std::string& now, const char* reason = "") {
  const std::string value = holds ? "True" : "False";
  for (PodCondition& there : status.conditions) {
    if (there.type != type) continue;
    if (there.status != value) there.lastTransitionTime = now;
    there.status = value;
    there.reason = reason;
    return;
  }
  PodCondition& made = status.conditions.emplace_back();
  made.type = type;
  made.status = value;
  made.reason = reason;
  made.lastTransitionTime = now;
}

bool is_ready(const Node& node) {
  return std::ranges::any_of(node.status.conditions, [](const NodeCondition& c) { return c.type == "Ready" && c.status == "True"; });
}
bool is_job(const Pod& pod) { return pod.spec.restartPolicy == "Never" || pod.spec.restartPolicy == "OnFailure"; }
bool is_ready(const Pod& pod) {
  return std::ranges::any_of(pod.status.conditions, [](const PodCondition& c) { return c.type == "Ready" && c.status == "True"; });
}
bool has_ended(const Pod& pod) { return pod.status.phase == "Succeeded" || pod.status.phase == "Failed"; }

Duration seconds_of(std::string_view text, Duration otherwise) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  return text.empty() || error != std::errc{} || seconds < 0 ? otherwise
                                                             : std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

struct HollowNodes::State {
  client::Client& client;
  Executor& executor;
  const HollowOptions options;
  std::unordered_set<std::string> names;  // of the nodes that are there
  std::unique_ptr<client::Informer> nodes, pods;
  std::unordered_map<std::string, Instant> started;  // of pods that have an end, by uid
  uint32_t addresses = 0;                            // given to pods so far
  std::unique_ptr<client::WorkQueue> node_work, pod_work;
  Job heart;  // last: ends first

  std::string name_of(size_t number) const { return options.prefix + std::to_string(number); }
  std::string now() const { return format_rfc3339(executor.wall_now()); }
  bool is_ours(const std::string& node) const { return names.contains(node); }
  size_t number_of(const std::string& node) const {
    return parse_number<size_t>(std::string_view(node).substr(options.prefix.size())).value_or(0);
  }

  // --- nodes ---------------------------------------------------------------------------------------------------------

  std::string node_body(size_t number) const {
    Node node;
    node.metadata.name = name_of(number);
    node.metadata.labels = {
        {"kubernetes.io/hostname", node.metadata.name}, {"kubernetes.io/os", "linux"}, {"kubernetes.io/arch", "amd64"}, {"type", "hollow"}};
    if (options.zones) node.metadata.labels["topology.kubernetes.io/zone"] = "zone-" + std::to_string((number - 1) % options.zones + 1);
    return model::encode(node);
  }
  std::string node_status(size_t number) const {
    NodeStatus status;
    status.capacity = status.allocatable = {
        {"cpu", options.cpu}, {"memory", options.memory}, {"pods", std::to_string(options.pods)}, {"ephemeral-storage", "100Gi"}};
    status.declaredFeatures = model::node_features::declared_here();
    const std::string at = now();
    for (const char* pressure : {"MemoryPressure", "DiskPressure", "PIDPressure"})
      status.conditions.push_back(node_condition(pressure, "False", "Simulated", at));
    status.conditions.push_back(node_condition("Ready", "True", "KubeletReady", at));
    auto& address = status.addresses.emplace_back();
    address.type = "InternalIP";
    address.address = dotted(node_addresses + uint32_t(number));
    auto& host = status.addresses.emplace_back();
    host.type = "Hostname";
    host.address = name_of(number);
    auto& info = status.nodeInfo.ensure();
    info.kubeletVersion = "v1.36.0+estiba-hollow";
    info.operatingSystem = "linux";
    info.architecture = "amd64";
    info.osImage = "none";
    info.containerRuntimeVersion = "hollow://1.36.0";
    return R"({"status":)" + model::encode(status) + "}";
  }

  static Task<Result<void>> write_node(State* self, std::string name) {
    const size_t number = self->number_of(name);
    const ObjectRef there = self->nodes->get(name);
    if (there && is_ready(there.as<Node>())) co_return {};
    if (!there && !self->registered) {
      auto made = co_await self->client.create(client::nodes, "", self->node_body(number));
      if (!made && made.error().code != Code::already_exists)
        co_return std::unexpected(std::move(made.error()).context("register node " + name));
    }
    auto written = co_await self->client.patch(client::nodes, "", name, client::PatchType::merge, self->node_status(number),
                                               {.subresource = "status"});
    if (!written && written.error().code == Code::not_found && self->registered) co_return {};
    if (!written) co_return std::unexpected(std::move(written.error()).context("status of node " + name));
    self->nodes->observe(*written);
    co_return co_await (self->registered ? renew(self, number) : make_lease(self, number));
  }

  std::string lease_spec(const std::string& name) const {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options.lease).count();
    return R"("spec":{"holderIdentity":")" + name + R"(","leaseDurationSeconds":)" + std::to_string(seconds) + R"(,"renewTime":")" +
           format_rfc3339_micro(executor.wall_now()) + "\"}}";
  }
  static Task<Result<void>> make_lease(State* self, size_t number) {
    const std::string name = self->name_of(number);
    auto made = co_await self->client.create(client::leases, lease_namespace,
                                             R"({"metadata":{"name":")" + name + R"("},)" + self->lease_spec(name));
    if (!made && made.error().code == Code::already_exists) co_return co_await renew(self, number);
    if (!made) co_return std::unexpected(std::move(made.error()).context("lease of node " + name));
    co_return {};
  }
  static Task<Result<void>> renew(State* self, size_t number) {
    const std::string name = self->name_of(number);
    auto patched =
        co_await self->client.patch(client::leases, lease_namespace, name, client::PatchType::merge, "{" + self->lease_spec(name));
    if (patched) co_return {};
    if (patched.error().code == Code::not_found) co_return co_await make_lease(self, number);
    co_return std::unexpected(std::move(patched.error()));
  }
  static Task<void> renew_quietly(State* self, size_t number, bool* failed) { *failed |= !co_await renew(self, number); }

  // Each lease four times in its duration; those of a beat at once.
  static Task<void> keep_alive(State* self) {
    const double beats = std::max(1.0, double((self->options.lease / 4).count()) / double(beat.count()));
    double due = 0;
    bool failing = false;
    for (size_t next = 1;;) {
      co_await sleep_for(beat);
      due = std::min(due + double(self->options.nodes) / beats, double(self->options.nodes));
      bool failed = false, any = false;
      TaskGroup writing;
      for (; due >= 1; due -= 1, next = next % self->options.nodes + 1)
        if (self->is_ours(self->name_of(next))) {
          any = true;
          writing.start(renew_quietly(self, next, &failed));
        }
      co_await writing.join();
      if (any && failed != failing) {
        failing = failed;
        if (failed) log::warn("simulate", "leases are not renewed; will try again and again");
        else log::info("simulate", "the server answers again");
      }
    }
  }

  // --- pods ----------------------------------------------------------------------------------------------------------

  std::string patch_of(const ObjectRef& pod, const PodStatus& status) const {
    return R"({"metadata":{"uid":")" + pod.meta().uid + R"("},"status":)" + model::encode(status) + "}";
  }
  PodStatus running(const ObjectRef& pod) {
    const Pod& typed = pod.as<Pod>();
    PodStatus status = typed.status;
    const std::string at = now(), ip = typed.spec.hostNetwork.value_or(false) ? host_ip(typed) : dotted(pod_addresses + ++addresses);
    status.phase = "Running";
    status.startTime = at;
    status.hostIP = host_ip(typed);
    status.hostIPs = {HostIP{.ip = status.hostIP}};
    status.podIP = ip;
    status.podIPs = {PodIP{.ip = ip}};
    for (const char* type : {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"})
      set_condition(status, type, true, at);
    status.containerStatuses.clear();
    for (const Container& container : typed.spec.containers) {
      ContainerStatus& told = status.containerStatuses.emplace_back();
      told.name = container.name;
      told.image = told.imageID = container.image;
      told.containerID = "hollow://" + pod.meta().uid + "-" + container.name;
      told.ready = true;
      told.started = true;
      told.state.ensure().running.ensure().startedAt = at;
    }
    return status;
  }
  // Pods of a node that was lost for a time have been marked by the control plane.
  PodStatus ready_again(const ObjectRef& pod) const {
    PodStatus status = pod.as<Pod>().status;
    for (const char* type : {"Ready", "ContainersReady"}) set_condition(status, type, true, now());
    return status;
  }
  std::string host_ip(const Pod& pod) const { return dotted(node_addresses + uint32_t(number_of(pod.spec.nodeName))); }
  PodStatus ended(const ObjectRef& pod, int exit_code) const {
    PodStatus status = pod.as<Pod>().status;
    const std::string at = now();
    status.phase = exit_code ? "Failed" : "Succeeded";
    const char* reason = exit_code ? "PodFailed" : "PodCompleted";
    set_condition(status, "Ready", false, at, reason);
    set_condition(status, "ContainersReady", false, at, reason);
    for (ContainerStatus& told : status.containerStatuses) {
      told.ready = false;
      told.started = false;
      const std::string began = told.state && told.state->running ? told.state->running->startedAt : at;
      told.state = {};
      ContainerStateTerminated& terminated = told.state.ensure().terminated.ensure();
      terminated.exitCode = exit_code;
      terminated.reason = exit_code ? "Error" : "Completed";
      terminated.startedAt = began;
      terminated.finishedAt = at;
      terminated.containerID = told.containerID;
    }
    return status;
  }

  // How long until `since` is `wait` ago; and the key comes again then.
  bool is_due(const std::string& key, Instant since, Duration wait) {
    const Duration left = since + wait - executor.now();
    if (left > Duration::zero()) pod_work->add_after(key, left);
    return left <= Duration::zero();
  }
  Instant first_seen(const std::string& what) { return started.try_emplace(what, executor.now()).first->second; }

  static Task<Result<void>> run_pod(State* self, std::string key) {
    const ObjectRef pod = self->pods->get(key);
    if (!pod || !self->is_ours(pod.as<Pod>().spec.nodeName)) co_return {};
    const model::Meta& meta = pod.meta();
    const Pod& typed = pod.as<Pod>();
    std::optional<PodStatus> next;
    if (!meta.deletion_timestamp.empty()) {
      const Duration grace = std::chrono::seconds(std::max<int64_t>(meta.deletion_grace_seconds, 0));
      if (!self->is_due(key, self->first_seen("end " + meta.uid), std::min(self->options.stop, grace))) co_return {};
      auto removed = co_await self->client.remove(client::pods, meta.ns, meta.name, {.grace_seconds = 0, .uid = meta.uid});
      // A finalizer holds it: the next change says when to look again.
      co_return removed || removed.error().code == Code::not_found || removed.error().code == Code::conflict ? Result<void>{}
                                                                                                             : std::move(removed);
    }
    if (has_ended(typed)) co_return {};
    if (typed.status.phase != "Running") {
      if (!self->is_due(key, self->first_seen("run " + meta.uid), self->options.start)) co_return {};
      next = self->running(pod);
    } else if (is_job(typed)) {
      const Duration runs = seconds_of(meta.annotation(hollow_seconds), self->options.job);
      if (!self->is_due(key, self->first_seen("job " + meta.uid), runs)) co_return {};
      next = self->ended(pod, parse_number<int>(meta.annotation(hollow_exit_code)).value_or(0));
    } else if (is_ready(typed)) {
      co_return {};
    } else if (const ObjectRef node = self->nodes->get(typed.spec.nodeName); !node || !is_ready(node.as<Node>())) {
      self->pod_work->add_after(key, 1s);
      co_return {};
    } else {
      next = self->ready_again(pod);
    }
    auto written = co_await self->client.patch(client::pods, meta.ns, meta.name, client::PatchType::merge, self->patch_of(pod, *next),
                                               {.subresource = "status"});
    if (written) self->pods->observe(*written);
    else if (written.error().code != Code::not_found && written.error().code != Code::conflict)
      co_return std::unexpected(std::move(written.error()));
    co_return {};
  }

  void pod_changed(const ObjectRef& before, const ObjectRef& after) {
    if (!after) {
      for (const char* what : {"end ", "run ", "job "}) started.erase(what + before.meta().uid);
      return;
    }
    const Pod& typed = after.as<Pod>();
    if (!is_ours(typed.spec.nodeName)) return;
    const bool rests = typed.status.phase == "Running" ? !is_job(typed) && is_ready(typed) : has_ended(typed);
    if (after.meta().deletion_timestamp.empty() && rests) return;
    pod_work->add(client::key_of(after));
  }

  bool registered = false;
};

HollowNodes::HollowNodes(client::Client& client, Executor& executor, HollowOptions options)
    : state_(new State{.client = client, .executor = executor, .options = std::move(options), .names = {}}) {
  State* s = state_.get();
  for (size_t number = 1; number <= s->options.nodes; ++number) s->names.insert(s->name_of(number));
  const client::WorkQueueOptions queue{.workers = s->options.at_once, .longest_pause = 5s};
  s->node_work = std::make_unique<client::WorkQueue>(
      executor, "simulate nodes", [s](std::string key) { return State::write_node(s, std::move(key)); }, queue);
  s->pod_work = std::make_unique<client::WorkQueue>(
      executor, "simulate pods", [s](std::string key) { return State::run_pod(s, std::move(key)); }, queue);
}

HollowNodes::~HollowNodes() {
  state_->heart.cancel();
  state_->pod_work.reset();
  state_->node_work.reset();
}

Task<Result<void>> HollowNodes::start() {
  State* s = state_.get();
  s->nodes = std::make_unique<client::Informer>(s->client, client::nodes);
  co_await s->nodes->wait_synced();
  {
    // Some at once, each the next that nobody has taken.
    size_t next = 1;
    Result<void> done;
    const auto register_some = [](State* self, size_t* next, Result<void>* done) -> Task<void> {
      while (*done && *next <= self->options.nodes) {
        auto written = co_await State::write_node(self, self->name_of((*next)++));
        if (!written && *done) *done = std::move(written);
      }
    };
    TaskGroup registering;
    for (size_t i = 0; i < s->options.at_once; ++i) registering.start(register_some(s, &next, &done));
    co_await registering.join();
    CO_TRY(std::move(done));
  }
  s->registered = true;
  s->heart = Job(State::keep_alive(s));
  s->nodes->on_change([s](const ObjectRef& before, const ObjectRef& after) {
    if (!after) s->names.erase(before.meta().name);  // somebody has deleted it: it stays deleted
    // A server that did not hear of us has marked it lost.
    if (after && s->is_ours(after.meta().name) && !is_ready(after.as<Node>())) s->node_work->add(after.meta().name);
  });
  s->node_work->start();
  s->pods = std::make_unique<client::Informer>(s->client, client::pods);
  co_await s->pods->wait_synced();
  // Addresses of an earlier run are not given again.
  s->pods->each([s](const ObjectRef& pod) { s->addresses += s->is_ours(pod.as<Pod>().spec.nodeName); });
  s->pods->on_change([s](const ObjectRef& before, const ObjectRef& after) { s->pod_changed(before, after); });
  s->pod_work->start();
  co_return {};
}

Task<Result<void>> HollowNodes::remove() {
  State* s = state_.get();
  s->heart.cancel();
  size_t next = 1;
  Result<void> done;
  const auto remove_some = [](State* self, size_t* next, Result<void>* done) -> Task<void> {
    while (*next <= self->options.nodes) {
      const std::string name = self->name_of((*next)++);
      for (const auto& [resource, ns] : {std::pair{client::nodes, std::string()}, std::pair{client::leases, lease_namespace}}) {
        auto removed = co_await self->client.remove(resource, ns, name);
        if (!removed && removed.error().code != Code::not_found && *done)
          *done = std::unexpected(std::move(removed.error()).context("remove node " + name));
      }
    }
  };
  TaskGroup removing;
  for (size_t i = 0; i < s->options.at_once; ++i) removing.start(remove_some(s, &next, &done));
  co_await removing.join();
  co_return done;
}

HollowNodes::Counts HollowNodes::counts() const {
  Counts out{.nodes = state_->names.size()};
  if (state_->pods)
    state_->pods->each([&](const ObjectRef& pod) {
      if (!state_->is_ours(pod.as<Pod>().spec.nodeName)) return;
      ++out.pods;
      out.running += pod.as<Pod>().status.phase == "Running";
    });
  return out;
}

}  // namespace estiba::cli
