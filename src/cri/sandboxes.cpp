// Runtime: sandboxes.
#include "base/strings.h"
#include "client/json_writer.h"
#include "cri/runtime.h"
#include "cri/specs.h"
#include "network/bandwidth.h"

namespace estiba::cri {

namespace {

/// What a sandbox is called: no two have the same.
std::string full_name(const v1::PodSandboxMetadata& name) {
  return name.name + "_" + name.ns + "_" + name.uid + "_" + std::to_string(name.attempt);
}

/// Holds a name while what it names is being made.
struct Hold {
  std::set<std::string>& names;
  std::string name;
  Hold(std::set<std::string>& names, std::string name) : names(names), name(std::move(name)) { names.insert(this->name); }
  Hold(const Hold&) = delete;
  ~Hold() { names.erase(name); }
};

}  // namespace

bool Runtime::ready(const SandboxRecord& sandbox) const {
  auto status = parts_.engine.sandbox(sandbox.id);
  return status && status->ready;
}

Task<Result<v1::RunPodSandboxResponse>> Runtime::run_pod_sandbox(v1::RunPodSandboxRequest request) {
  CO_TRY(check(request.config));
  if (!request.runtime_handler.empty())
    co_return fail(Code::invalid, "no runtime for " + quoted(request.runtime_handler) + " is configured; leave the runtime handler out");
  const std::string name = full_name(request.config.metadata);
  for (const auto& [id, other] : records_.sandboxes())
    if (full_name(other.config.metadata) == name)
      co_return fail(Code::already_exists, "sandbox name " + quoted(name) + " is reserved for " + id);
  if (names_.contains(name)) co_return fail(Code::already_exists, "sandbox name " + quoted(name) + " is being made");
  Hold hold(names_, name);
  SandboxRecord record;
  record.id = hex_encode(random_bytes(32));
  record.config = std::move(request.config);
  record.created_at = now_ns();
  CO_TRY(records_.save(record));
  if (auto started = co_await start_sandbox(record); !started) {
    (void)co_await parts_.network.detach(record.id);
    records_.remove_sandbox(record.id);
    // Whatever was not found, it was not what the request names.
    if (started.error().code == Code::not_found) started.error().code = Code::internal;
    co_return std::unexpected(std::move(started.error()));
  }
  tell(v1::ContainerEventType::created, record.id, record.id);
  tell(v1::ContainerEventType::started, record.id, record.id);
  co_return v1::RunPodSandboxResponse{record.id};
}

Task<Result<void>> Runtime::start_sandbox(SandboxRecord record) {
  network::PodNet net;
  if (!record.host_network()) {
    network::PodRequest wanted = pod_request(record);
    wanted.bandwidth = CO_TRY(network::bandwidth_of({record.config.annotations.begin(), record.config.annotations.end()}));
    net = CO_TRY(co_await parts_.network.attach(std::move(wanted)));
    record.ips = net.ips;
    CO_TRY(records_.save(record));
  }
  co_return co_await parts_.engine.run_sandbox(sandbox_spec(options_, record, net));
}

Task<Result<v1::Empty>> Runtime::stop_pod_sandbox(v1::StopPodSandboxRequest request) {
  const SandboxRecord* found = records_.sandbox(request.pod_sandbox_id);
  if (!found) co_return v1::Empty{};
  const SandboxRecord sandbox = *found;
  const bool was_ready = ready(sandbox);
  CO_TRY(co_await parts_.engine.stop_sandbox(sandbox.id, Duration::zero()));
  CO_TRY(co_await parts_.network.detach(sandbox.id));
  if (was_ready) tell(v1::ContainerEventType::stopped, sandbox.id, sandbox.id);
  co_return v1::Empty{};
}

Task<Result<v1::Empty>> Runtime::remove_pod_sandbox(v1::RemovePodSandboxRequest request) {
  const SandboxRecord* found = records_.sandbox(request.pod_sandbox_id);
  if (!found) co_return v1::Empty{};
  const std::string id = found->id;
  CO_TRY(co_await stop_pod_sandbox({id}));
  for (const ContainerRecord& container : containers_of(id)) CO_TRY(co_await remove_container({container.id}));
  CO_TRY(co_await parts_.engine.remove_sandbox(id));
  tell(v1::ContainerEventType::deleted, id, id);
  records_.remove_sandbox(id);
  cpu_.erase(id);
  co_return v1::Empty{};
}

v1::PodSandboxStatus Runtime::describe(const SandboxRecord& sandbox) const {
  v1::PodSandboxStatus out;
  out.id = sandbox.id;
  out.metadata = sandbox.config.metadata;
  out.state = ready(sandbox) ? v1::PodSandboxState::ready : v1::PodSandboxState::not_ready;
  out.created_at = sandbox.created_at;
  if (out.state == v1::PodSandboxState::ready && !sandbox.ips.empty()) {
    out.network.ip = sandbox.ips.front();
    for (size_t i = 1; i < sandbox.ips.size(); ++i) out.network.additional_ips.push_back({sandbox.ips[i]});
  }
  out.linux.namespaces.options = sandbox.config.linux.security_context.namespace_options;
  out.labels = sandbox.config.labels;
  out.annotations = sandbox.config.annotations;
  out.runtime_handler = sandbox.runtime_handler;
  return out;
}

std::string Runtime::verbose(const SandboxRecord& sandbox) const {
  auto status = parts_.engine.sandbox(sandbox.id);
  client::JsonWriter json;
  json.object().field("pid", status ? status->shim_pid : 0).field("netNSPath", status ? status->netns_path : std::string());
  json.field("cgroupPath", status ? status->cgroup_parent : std::string()).field("logDirectory", sandbox.config.log_directory).end();
  return json.take();
}

Task<Result<v1::PodSandboxStatusResponse>> Runtime::pod_sandbox_status(v1::PodSandboxStatusRequest request) {
  const SandboxRecord sandbox = CO_TRY(known_sandbox(request.pod_sandbox_id));
  v1::PodSandboxStatusResponse out;
  out.status = describe(sandbox);
  for (const ContainerRecord& container : containers_of(sandbox.id)) out.containers_statuses.push_back(describe(container));
  out.timestamp = now_ns();
  if (request.verbose) out.info["info"] = verbose(sandbox);
  co_return out;
}

Task<Result<v1::ListPodSandboxResponse>> Runtime::list_pod_sandbox(v1::ListPodSandboxRequest request) {
  const v1::PodSandboxFilter& filter = request.filter;
  v1::ListPodSandboxResponse out;
  const SandboxRecord* only = filter.id.empty() ? nullptr : records_.sandbox(filter.id);
  if (!filter.id.empty() && !only) co_return out;
  for (const auto& [id, sandbox] : records_.sandboxes()) {
    const auto state = ready(sandbox) ? v1::PodSandboxState::ready : v1::PodSandboxState::not_ready;
    if ((only && only->id != id) || filter.state.value_or(state) != state || !selects(filter.label_selector, sandbox.config.labels))
      continue;
    v1::PodSandbox& item = out.items.emplace_back();
    item.id = id;
    item.metadata = sandbox.config.metadata;
    item.state = state;
    item.created_at = sandbox.created_at;
    item.labels = sandbox.config.labels;
    item.annotations = sandbox.config.annotations;
    item.runtime_handler = sandbox.runtime_handler;
  }
  co_return out;
}

Task<Result<v1::Empty>> Runtime::update_pod_sandbox_resources(v1::UpdatePodSandboxResourcesRequest request) {
  const SandboxRecord sandbox = CO_TRY(known_sandbox(request.pod_sandbox_id));
  CO_TRY(co_await parts_.engine.update(sandbox.id, resources_of(request.resources)));
  co_return v1::Empty{};
}

}  // namespace estiba::cri
