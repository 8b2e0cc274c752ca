// Lives: pause, rename, update, and joining and leaving networks.
#include "base/strings.h"
#include "docker/background.h"
#include "docker/config.h"
#include "docker/daemon.h"
#include "docker/engine_specs.h"
#include "docker/errors.h"
#include "docker/events.h"
#include "docker/lives.h"
#include "docker/network_spec.h"
#include "engine/engine.h"
#include "io/loop.h"
#include "io/pool.h"
#include "network/bridge/networks.h"
#include "os/file.h"

namespace estiba::docker {

using json::Node;

Task<Result<void>> Lives::pause(ContainerRef container) { return background(daemon_.tasks(), do_pause(std::move(container))); }
Task<Result<void>> Lives::unpause(ContainerRef container) { return background(daemon_.tasks(), do_unpause(std::move(container))); }
Task<Result<void>> Lives::rename(ContainerRef container, std::string name) {
  return background(daemon_.tasks(), do_rename(std::move(container), std::move(name)));
}
Task<Result<void>> Lives::update(ContainerRef container, json::Document body) {
  return background(daemon_.tasks(), do_update(std::move(container), std::move(body)));
}
Task<Result<void>> Lives::connect(ContainerRef container, std::string network, json::Document settings) {
  return background(daemon_.tasks(), do_connect(std::move(container), std::move(network), std::move(settings)));
}
Task<Result<void>> Lives::disconnect(ContainerRef container, std::string network, bool force) {
  return background(daemon_.tasks(), do_disconnect(std::move(container), std::move(network), force));
}

static Result<void> must_run(const Container& c) {
  if (c.removed) return no_such_container(c.id);
  if (!c.running()) return fail(Code::conflict, "Container " + c.id + " is not running");
  return {};
}

Task<Result<void>> Lives::do_pause(ContainerRef container) {
  Container& c = *container;
  auto held = co_await c.lifecycle.lock();
  CO_TRY(must_run(c));
  if (c.status == Status::paused) co_return fail(Code::conflict, "Container " + c.id + " is already paused");
  CO_TRY_AS("cannot pause container " + c.id, co_await daemon_.engine().pause(c.id));
  c.status = Status::paused;
  daemon_.containers().touch(c);
  daemon_.containers().save_soon(container);
  tell(c, "pause");
  co_return {};
}

Task<Result<void>> Lives::do_unpause(ContainerRef container) {
  Container& c = *container;
  auto held = co_await c.lifecycle.lock();
  if (c.removed) co_return no_such_container(c.id);
  if (c.status != Status::paused) co_return fail(Code::conflict, "Container " + c.id + " is not paused");
  CO_TRY_AS("cannot unpause container " + c.id, co_await daemon_.engine().unpause(c.id));
  c.status = Status::running;
  daemon_.containers().touch(c);
  daemon_.containers().save_soon(container);
  tell(c, "unpause");
  co_return {};
}

Task<Result<void>> Lives::do_rename(ContainerRef container, std::string name) {
  Container& c = *container;
  if (name.starts_with('/')) name.erase(0, 1);
  if (name.empty()) co_return fail(Code::invalid, "Neither old nor new names may be empty");
  auto held = co_await c.lifecycle.lock();
  if (c.removed) co_return no_such_container(c.id);
  if (name == c.name) co_return fail(Code::invalid, "Renaming a container with the same name as its current name");
  const std::string old = c.name;
  auto renamed = daemon_.containers().rename(container, name);
  if (!renamed) {
    if (renamed.error().code == Code::conflict)
      co_return fail(Code::conflict, "Error when allocating new name: " + renamed.error().message);
    co_return renamed;
  }
  if (auto told = co_await daemon_.networks().rename(c.id, name); !told) {
    (void)daemon_.containers().rename(container, old);
    co_return told;
  }
  CO_TRY(co_await daemon_.containers().save(container));
  tell(c, "rename", {{"oldName", "/" + old}});
  co_return {};
}

// --- update ----------------------------------------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view updatable[] = {"CpuShares",
                                          "Memory",
                                          "NanoCpus",
                                          "BlkioWeight",
                                          "BlkioWeightDevice",
                                          "CpuPeriod",
                                          "CpuQuota",
                                          "CpuRealtimePeriod",
                                          "CpuRealtimeRuntime",
                                          "CpusetCpus",
                                          "CpusetMems",
                                          "MemoryReservation",
                                          "MemorySwap",
                                          "PidsLimit",
                                          "BlkioDeviceReadBps",
                                          "BlkioDeviceWriteBps",
                                          "BlkioDeviceReadIOps",
                                          "BlkioDeviceWriteIOps"};

bool is_set(const Node& node) {
  if (node.is_number()) return node.as_int().value_or(0) != 0;
  if (node.is_string()) return !node.as_string().empty();
  return node.is_array() && !node.empty();
}

}  // namespace

Task<Result<void>> Lives::do_update(ContainerRef container, json::Document body) {
  Container& c = *container;
  auto held = co_await c.lifecycle.lock();
  if (c.removed) co_return no_such_container(c.id);
  if (c.status == Status::removing || c.status == Status::dead)
    co_return fail(Code::conflict, "container is marked for removal and cannot be updated");
  json::Document host = copy_of(&c.host_config.root());
  json::Document changes;
  Node& changed = changes.make_object();
  changes.set_root(changed);
  for (std::string_view key : updatable) {
    const Node* value = body.root().find(key);
    if (!value || !is_set(*value)) continue;
    host.set(host.root(), key, host.copy(*value));
    changes.set(changed, key, changes.copy(*value));
    // One way of saying it replaces the other.
    if (key == "NanoCpus")
      for (const char* other : {"CpuPeriod", "CpuQuota"}) host.set(host.root(), other, host.make_int(0));
    if (key == "CpuQuota" || key == "CpuPeriod") host.set(host.root(), "NanoCpus", host.make_int(0));
  }
  if (int_at(changed, "Memory") > 0 && int_at(changed, "MemorySwap") == 0 && int_at(host.root(), "MemorySwap") > 0 &&
      int_at(host.root(), "MemorySwap") < int_at(changed, "Memory"))
    co_return fail(Code::invalid,
                   "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time");
  const Node* policy = body.root().find("RestartPolicy");
  if (policy && !policy->string_at("Name").empty()) {
    if (c.facts.auto_remove && policy->string_at("Name") != "no")
      co_return fail(Code::invalid, "Restart policy cannot be updated because AutoRemove is enabled for the container");
    CO_TRY(check_restart_policy(*policy, c.facts.auto_remove));
    host.set(host.root(), "RestartPolicy", host.copy(*policy));
  }
  CO_TRY(check_resources(host.root()));
  if (c.running() && !changed.empty())
    CO_TRY_AS("Cannot update container " + c.id, co_await daemon_.engine().update(c.id, CO_TRY(engine_resources(changed))));
  c.host_config = std::move(host);
  c.facts = facts_of(c.config.root(), c.host_config.root());
  daemon_.containers().touch(c);
  CO_TRY(co_await daemon_.containers().save(container));
  tell(c, "update");
  co_return {};
}

// --- networks ----------------------------------------------------------------------------------------------------------------------------

static std::unexpected<Error> not_shareable(std::string_view mode) {
  return fail(Code::forbidden,
              mode == "host"
                  ? "cannot connect container to host network - container must be created in host network mode"
                  : "container sharing network namespace with another container or host cannot be connected to any other network");
}

Task<Result<void>> Lives::do_connect(ContainerRef container, std::string network, json::Document settings) {
  Container& c = *container;
  auto held = co_await c.lifecycle.lock();
  if (c.removed) co_return no_such_container(c.id);
  auto info = CO_TRY(daemon_.networks().find(network));
  const std::string_view kind = network_kind(c);
  if (info.driver == "host" || kind == "host" || kind == "container") co_return not_shareable(info.driver == "host" ? "host" : kind);
  if (c.endpoints.root().find(info.name))
    co_return fail(Code::forbidden, "endpoint with name " + c.name + " already exists in network " + info.name);
  if (c.running()) {
    auto endpoint = CO_TRY(co_await daemon_.networks().connect(c.id, CO_TRY(endpoint_spec(info.name, settings.root()))));
    tell_network(c, endpoint, "connect");
  }
  // "none" is left by entering another network.
  if (c.endpoints.root().find("none")) c.endpoints.remove(c.endpoints.root(), "none");
  c.endpoints.set(c.endpoints.root(), info.name,
                  settings.root().is_object() ? c.endpoints.copy(settings.root()) : c.endpoints.make_object());
  daemon_.containers().touch(c);
  if (c.running()) CO_TRY(co_await write_files(container));
  co_return co_await daemon_.containers().save(container);
}

Task<Result<void>> Lives::do_disconnect(ContainerRef container, std::string network, bool force) {
  Container& c = *container;
  auto held = co_await c.lifecycle.lock();
  if (c.removed) co_return no_such_container(c.id);
  auto info = daemon_.networks().find(network);
  if (!info && !force) co_return std::unexpected(std::move(info.error()));
  const std::string name = info ? info->name : network;
  if (name == "host")
    co_return fail(Code::forbidden,
                   "container cannot be disconnected from host network - container can only be disconnected from host network when it was "
                   "started in host network mode");
  if (!c.endpoints.root().find(name)) co_return fail(Code::forbidden, "container " + c.id + " is not connected to network " + name);
  if (c.running()) {
    std::optional<network::bridge::EndpointInfo> endpoint;
    if (auto box = daemon_.networks().sandbox(c.id))
      for (const auto& one : box->endpoints)
        if (one.network_name == name) endpoint = one;
    CO_TRY(co_await daemon_.networks().disconnect(c.id, name));
    if (endpoint) tell_network(c, *endpoint, "disconnect");
  }
  c.endpoints.remove(c.endpoints.root(), name);
  daemon_.containers().touch(c);
  if (c.running()) CO_TRY(co_await write_files(container));
  co_return co_await daemon_.containers().save(container);
}

}  // namespace estiba::docker
