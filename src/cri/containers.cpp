// Runtime: containers.
#include "base/strings.h"
#include "client/json_writer.h"
#include "cri/runtime.h"
#include "cri/specs.h"

namespace estiba::cri {

using engine::ContainerState;

/// What is not found while a container is made or started lies within it, and NotFound would say that the container itself is not there.
static Error within_container(Error error) {
  if (error.code == Code::not_found) error.code = Code::internal;
  return error;
}

Task<Result<v1::CreateContainerResponse>> Runtime::create_container(v1::CreateContainerRequest request) {
  const SandboxRecord sandbox = CO_TRY(known_sandbox(request.pod_sandbox_id));
  CO_TRY(check(request.config));
  if (!ready(sandbox)) co_return fail(Code::conflict, "sandbox " + sandbox.id + " is not running");
  const auto& name = request.config.metadata;
  for (const ContainerRecord& other : containers_of(sandbox.id))
    if (other.config.metadata.name == name.name && other.config.metadata.attempt == name.attempt)
      co_return fail(Code::already_exists, "container name " + quoted(name.name) + ", attempt " + std::to_string(name.attempt) +
                                               ", of sandbox " + sandbox.id + " is reserved for " + other.id);
  auto image = CO_TRY(co_await parts_.engine.image_status(request.config.image.image));
  if (!image) co_return fail(Code::not_found, "image " + quoted(request.config.image.image) + " is not here; pull it first");
  int target = 0;
  if (const auto& spaces = request.config.linux.security_context.namespace_options; spaces.pid == v1::NamespaceMode::target) {
    auto status = parts_.engine.container(CO_TRY(known_container(spaces.target_id)).id);
    if (!status || status->state != ContainerState::running)
      co_return fail(Code::conflict, "container " + spaces.target_id + ", whose processes are to be seen, is not running");
    target = status->pid;
  }
  ContainerRecord record;
  record.id = hex_encode(random_bytes(32));
  record.sandbox_id = sandbox.id;
  record.config = std::move(request.config);
  record.image_id = image->id;
  record.image_ref = image->digests.empty() ? image->id : image->digests.front();
  record.image_name = !image->tags.empty()      ? image->tags.front()
                      : !image->digests.empty() ? image->digests.front()
                                                : record.config.image.image;
  record.resources = record.config.linux.resources;
  record.created_at = now_ns();
  auto spec = container_spec(sandbox, record, target);
  if (!spec) co_return std::unexpected(within_container(std::move(spec.error())));
  CO_TRY(records_.save(record));
  if (auto made = co_await parts_.engine.create_container(sandbox.id, std::move(*spec)); !made) {
    records_.remove_container(record.id);
    co_return std::unexpected(within_container(std::move(made.error())));
  }
  tell(v1::ContainerEventType::created, record.id, sandbox.id);
  co_return v1::CreateContainerResponse{record.id};
}

Task<Result<v1::Empty>> Runtime::start_container(v1::StartContainerRequest request) {
  const ContainerRecord container = CO_TRY(known_container(request.container_id));
  if (const auto state = state_of(container); state != v1::ContainerState::created)
    co_return fail(Code::conflict, "container " + container.id +
                                       (state == v1::ContainerState::running ? " is running already" : " has been started before"));
  if (auto started = co_await parts_.engine.start_container(container.id); !started)
    co_return std::unexpected(within_container(std::move(started.error())));
  co_return v1::Empty{};
}

Task<Result<v1::Empty>> Runtime::stop_container(v1::StopContainerRequest request) {
  const ContainerRecord* found = records_.container(request.container_id);
  if (!found) co_return v1::Empty{};
  CO_TRY(co_await parts_.engine.stop_container(found->id, std::chrono::seconds(std::max<int64_t>(request.timeout, 0))));
  co_return v1::Empty{};
}

Task<Result<v1::Empty>> Runtime::remove_container(v1::RemoveContainerRequest request) {
  const ContainerRecord* found = records_.container(request.container_id);
  if (!found) co_return v1::Empty{};
  const ContainerRecord container = *found;
  CO_TRY(co_await parts_.engine.stop_container(container.id, Duration::zero()));
  CO_TRY(co_await parts_.engine.remove_container(container.id));
  records_.remove_container(container.id);
  cpu_.erase(container.id);
  tell(v1::ContainerEventType::deleted, container.id, container.sandbox_id);
  co_return v1::Empty{};
}

v1::ContainerState Runtime::state_of(const ContainerRecord& container) const {
  auto status = parts_.engine.container(container.id);
  if (!status) return v1::ContainerState::unknown;
  switch (status->state) {
    case ContainerState::created: return v1::ContainerState::created;
    case ContainerState::running: return v1::ContainerState::running;
    case ContainerState::exited: break;
  }
  return v1::ContainerState::exited;
}

Task<Result<v1::ListContainersResponse>> Runtime::list_containers(v1::ListContainersRequest request) {
  const v1::ContainerFilter& filter = request.filter;
  v1::ListContainersResponse out;
  const ContainerRecord* only = filter.id.empty() ? nullptr : records_.container(filter.id);
  const SandboxRecord* within = filter.pod_sandbox_id.empty() ? nullptr : records_.sandbox(filter.pod_sandbox_id);
  if ((!filter.id.empty() && !only) || (!filter.pod_sandbox_id.empty() && !within)) co_return out;
  for (const auto& [id, container] : records_.containers()) {
    const auto state = state_of(container);
    if ((only && only->id != id) || (within && within->id != container.sandbox_id)) continue;
    if (filter.state.value_or(state) != state || !selects(filter.label_selector, container.config.labels)) continue;
    v1::Container& item = out.containers.emplace_back();
    item.id = id;
    item.pod_sandbox_id = container.sandbox_id;
    item.metadata = container.config.metadata;
    item.image = container.config.image;
    item.image_ref = container.image_id;
    item.image_id = container.image_id;
    item.state = state;
    item.created_at = container.created_at;
    item.labels = container.config.labels;
    item.annotations = container.config.annotations;
  }
  co_return out;
}

v1::ContainerStatus Runtime::describe(const ContainerRecord& container) const {
  const auto status = parts_.engine.container(container.id).value_or(engine::ContainerStatus{});
  v1::ContainerStatus out;
  out.id = container.id;
  out.metadata = container.config.metadata;
  out.state = state_of(container);
  out.created_at = container.created_at;
  out.started_at = nanoseconds(status.started);
  out.finished_at = nanoseconds(status.finished);
  out.exit_code = status.exit_code;
  out.image = container.config.image;
  if (!container.image_name.empty()) out.image.image = container.image_name;  // a kubelet asks by id, and shows this
  out.image_ref = container.image_ref;
  out.image_id = container.image_id;
  out.reason = status.reason;
  out.message = status.message;
  out.labels = container.config.labels;
  out.annotations = container.config.annotations;
  out.mounts = container.config.mounts;
  out.log_path = status.log_path;
  out.resources.linux = container.resources;
  out.stop_signal = signal_of(status.stop_signal);
  if (status.user) {
    auto& user = out.user.emplace().linux.emplace();
    user.uid = status.user->uid;
    user.gid = status.user->gid;
    user.supplemental_groups.assign(status.user->groups.begin(), status.user->groups.end());
  }
  return out;
}

std::string Runtime::verbose(const ContainerRecord& container) const {
  const auto status = parts_.engine.container(container.id).value_or(engine::ContainerStatus{});
  client::JsonWriter json;
  json.object().field("sandboxID", container.sandbox_id).field("pid", status.pid).field("tty", container.config.tty);
  json.array("command");
  for (const auto* list : {&container.config.command, &container.config.args})
    for (const std::string& word : *list) json.value(word);
  json.end().end();
  return json.take();
}

Task<Result<v1::ContainerStatusResponse>> Runtime::container_status(v1::ContainerStatusRequest request) {
  const ContainerRecord container = CO_TRY(known_container(request.container_id));
  v1::ContainerStatusResponse out;
  out.status = describe(container);
  if (request.verbose) out.info["info"] = verbose(container);
  co_return out;
}

Task<Result<v1::Empty>> Runtime::update_container_resources(v1::UpdateContainerResourcesRequest request) {
  ContainerRecord container = CO_TRY(known_container(request.container_id));
  if (state_of(container) == v1::ContainerState::exited) co_return fail(Code::conflict, "container " + container.id + " has ended");
  CO_TRY(co_await parts_.engine.update(container.id, resources_of(request.linux)));
  merge(container.resources, request.linux);
  if (records_.container(container.id)) CO_TRY(records_.save(std::move(container)));
  co_return v1::Empty{};
}

Task<Result<v1::Empty>> Runtime::reopen_container_log(v1::ReopenContainerLogRequest request) {
  const ContainerRecord container = CO_TRY(known_container(request.container_id));
  if (state_of(container) != v1::ContainerState::running) co_return fail(Code::conflict, "container " + container.id + " is not running");
  CO_TRY(co_await parts_.engine.reopen_log(container.id));
  co_return v1::Empty{};
}

Task<Result<v1::Empty>> Runtime::checkpoint_container(v1::CheckpointContainerRequest request) {
  co_return fail(Code::unsupported, "container " + request.container_id + ": checkpoints are not offered, as this runtime has no CRIU");
}

}  // namespace estiba::cri
