#include "node/registration.h"

#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "model/codec.h"
#include "model/node_features.h"
#include "model/quantity.h"
#include "model/types/coordination_v1.h"
#include "node/container_spec.h"
#include "node/csi/volumes.h"
#include "node/devices/devices.h"
#include "node/machine.h"
#include "node/node_events.h"
#include "node/reserved.h"

namespace estiba::node {

using namespace model::core_v1;
using namespace std::chrono_literals;

namespace {

std::string os_name() {
  for (std::string_view line : split(read_text_file("/etc/os-release"), '\n'))
    if (line.starts_with("PRETTY_NAME=")) {
      line.remove_prefix(12);
      if (line.size() >= 2 && line.front() == '"') line = line.substr(1, line.size() - 2);
      return std::string(line);
    }
  return "Linux";
}

std::string architecture(const char* machine) {
  const std::string_view name(machine);
  return name == "x86_64" ? "amd64" : name == "aarch64" ? "arm64" : std::string(name);
}

NodeSystemInfo system_info(const Options& options) {
  NodeSystemInfo info;
  utsname names{};
  uname(&names);
  info.machineID = trim(read_text_file("/etc/machine-id"));
  info.systemUUID = trim(read_text_file("/sys/class/dmi/id/product_uuid"));
  if (info.systemUUID.empty()) info.systemUUID = info.machineID;
  info.bootID = trim(read_text_file("/proc/sys/kernel/random/boot_id"));
  info.kernelVersion = names.release;
  info.osImage = os_name();
  info.containerRuntimeVersion = "estiba://" + options.version.substr(1);
  info.kubeletVersion = options.version;
  info.kubeProxyVersion = "";
  info.operatingSystem = "linux";
  if (const uint64_t swap = machine_memory().swap_total) info.swap.ensure().capacity = int64_t(swap);
  info.architecture = architecture(names.machine);
  return info;
}

std::map<std::string, std::string> capacity(const Options& options) {
  struct statvfs disk{};
  uint64_t bytes = 0;
  if (statvfs(options.data_dir.c_str(), &disk) == 0) bytes = uint64_t(disk.f_blocks) * disk.f_frsize;
  return {{"cpu", std::to_string(sysconf(_SC_NPROCESSORS_ONLN))},
          {"memory", std::to_string(uint64_t(sysconf(_SC_PHYS_PAGES)) * uint64_t(sysconf(_SC_PAGESIZE)) / 1024) + "Ki"},
          {"ephemeral-storage", std::to_string(bytes / 1024) + "Ki"},
          {"pods", std::to_string(options.max_pods)}};
}

// Memory that is kept for huge pages is nobody else's (the kubelet's setters.go, MachineInfo()).
void add_huge_pages(NodeStatus& status, const std::vector<HugePages>& pages) {
  int64_t memory = model::quantity_to_int64(status.capacity["memory"]);
  for (const HugePages& size : pages) {
    const uint64_t bytes = size.page_bytes * size.count;
    const std::string name = huge_page_resource(size.page_bytes);
    status.capacity[name] = status.allocatable[name] = bytes ? model::canonical_quantity(std::to_string(bytes / 1024) + "Ki") : "0";
    memory -= int64_t(bytes);
  }
  status.allocatable["memory"] = std::to_string(std::max<int64_t>(memory, 0) / 1024) + "Ki";
}

void add_condition(NodeStatus& status, const char* type, const char* value, const char* reason, const char* message,
                   const std::string& now) {
  NodeCondition& condition = status.conditions.emplace_back();
  condition.type = type;
  condition.status = value;
  condition.reason = reason;
  condition.message = message;
  condition.lastHeartbeatTime = now;
  condition.lastTransitionTime = now;
}

struct PressureTexts {
  const char *type, *good_reason, *good, *bad_reason, *bad, *good_event, *bad_event;
};
constexpr PressureTexts pressures[] = {
    {"MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available", "KubeletHasInsufficientMemory",
     "kubelet has insufficient memory available", "NodeHasSufficientMemory", "NodeHasInsufficientMemory"},
    {"DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure", "KubeletHasDiskPressure", "kubelet has disk pressure",
     "NodeHasNoDiskPressure", "NodeHasDiskPressure"},
    {"PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available", "KubeletHasInsufficientPID",
     "kubelet has insufficient PID available", "NodeHasSufficientPID", "NodeHasInsufficientPID"},
};

}  // namespace

NodeStatus machine_status(const Options& options, WallTime wall, const std::vector<std::string_view>& pressure,
                          const std::string& unready) {
  NodeStatus status;
  const std::string now = format_rfc3339(wall);
  status.capacity = status.allocatable = capacity(options);
  add_huge_pages(status, huge_pages());
  for (const auto* reserved : {&options.system_reserved, &options.kube_reserved}) set_apart(status.allocatable, *reserved);
  status.nodeInfo.ensure() = system_info(options);
  for (const std::string& ip : options.node_ips) {
    NodeAddress& address = status.addresses.emplace_back();
    address.type = "InternalIP";
    address.address = ip;
  }
  NodeAddress& host = status.addresses.emplace_back();
  host.type = "Hostname";
  host.address = options.node_name;
  for (const PressureTexts& texts : pressures) {
    const bool short_of = std::ranges::find(pressure, texts.type) != pressure.end();
    if (short_of) add_condition(status, texts.type, "True", texts.bad_reason, texts.bad, now);
    else add_condition(status, texts.type, "False", texts.good_reason, texts.good, now);
  }
  if (unready.empty()) add_condition(status, "Ready", "True", "KubeletReady", "kubelet is posting ready status", now);
  else add_condition(status, "Ready", "False", "KubeletNotReady", unready.c_str(), now);
  // One runtime runs the pods, whatever their RuntimeClass.
  auto& runtime = status.runtimeHandlers.emplace_back().features.ensure();
  runtime.recursiveReadOnlyMounts = true;
  runtime.userNamespaces = options.user_namespaces;
  status.features.ensure().supplementalGroupsPolicy = true;
  status.declaredFeatures = model::node_features::declared_here();
  status.daemonEndpoints.ensure().kubeletEndpoint.ensure().Port = options.api_port;
  return status;
}

Registration::Registration(Context& context) : context_(context) {}

Task<Result<void>> Registration::start() {
  const model::ObjectRef node = CO_TRY(co_await register_node(context_.client, context_.options));
  node_uid_ = node.meta().uid;
  co_await look_at_network();
  CO_TRY(co_await put_status());
  CO_TRY(co_await renew_lease());
  watch_own();
  job_ = Job(keep_alive(this));
  co_return {};
}

void Registration::set_pressure(std::vector<std::string_view> conditions) {
  for (const PressureTexts& texts : pressures) {
    const bool before = std::ranges::find(pressure_, texts.type) != pressure_.end();
    const bool now = std::ranges::find(conditions, texts.type) != conditions.end();
    if (before == now) continue;
    const std::string event = now ? texts.bad_event : texts.good_event;
    log::info("node", "pressure has changed", {{"condition", texts.type}, {"holds", now}});
    record_of_node(context_, client::EventType::normal, event, "Node " + context_.options.node_name + " status is now: " + event);
  }
  pressure_ = std::move(conditions);
  wrong_.set();
}

void Registration::watch_own() {
  context_.informers.of(client::nodes, "", {.field_selector = "metadata.name=" + context_.options.node_name})
      .on_change([this](const model::ObjectRef&, const model::ObjectRef& after) {
        bool ready = false;
        if (after)
          for (const NodeCondition& condition : after.as<Node>().status.conditions)
            ready |= condition.type == "Ready" && condition.status == "True";
        if (!ready && unready_.empty()) wrong_.set();
      });
}

// Whether the machine has another address than before.
bool Registration::take_address() {
  Options& options = context_.options;
  const std::string now = options.find_address ? options.find_address() : std::string();
  if (now.empty() || join(options.node_ips, ",") == now) return false;
  log::info("node", "the machine's address has changed", {{"address", now}, {"before", join(options.node_ips, ",")}});
  options.node_ips.clear();
  for (std::string_view ip : split(now, ',')) options.node_ips.emplace_back(ip);
  if (on_address_) on_address_();
  return true;
}

// Whether the pods' network has come or gone.
Task<bool> Registration::look_at_network() {
  auto status = co_await context_.network.status();
  // In the kubelet's words, which people search for.
  std::string now = status ? ""
                           : "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin "
                             "returns error: " +
                                 status.error().message;
  if (now == unready_) co_return false;
  if (now.empty()) log::info("node", "the pods' network is ready");
  else log::warn("node", "the node is not ready", {{"error", now}});
  unready_ = std::move(now);
  co_return true;
}

Task<void> Registration::keep_alive(Registration* self) {
  constexpr Duration status_period = 5min;
  Executor& loop = self->context_.loop;
  Instant next_status = loop.now() + status_period, next_lease = loop.now();
  bool reached = true;
  for (;;) {
    Duration rest = self->context_.options.lease / 4;
    if (!self->unready_.empty()) rest = std::min(rest, Duration(1s));  // what is missing is being installed, most likely
    const bool wrong = co_await self->wrong_.wait_for(rest);
    self->wrong_.reset();
    bool due = self->take_address() || wrong;
    due |= co_await self->look_at_network();
    if (!due && !self->unready_.empty() && loop.now() < next_lease) continue;
    next_lease = loop.now() + self->context_.options.lease / 4;
    auto renewed = co_await self->renew_lease();
    if (!renewed && reached) log::warn("node", "lease not renewed; will try again and again", {{"error", renewed.error()}});
    // A server that was away, or that did not hear of us, has marked us lost.
    if (renewed && !reached) log::info("node", "the server answers again");
    due |= renewed && !reached;
    reached = renewed.has_value();
    if (!due && loop.now() < next_status) continue;
    next_status = loop.now() + status_period;
    if (auto put = co_await self->put_status(); !put) {
      if (reached) log::warn("node", "node status not written", {{"error", put.error()}});
      reached = false;
    }
  }
}

Task<Result<model::ObjectRef>> register_node(client::Client& client, const Options& options) {
  Node node;
  node.metadata.name = options.node_name;
  utsname names{};
  uname(&names);
  const std::string arch = architecture(names.machine);
  node.metadata.labels = {{"kubernetes.io/hostname", options.node_name},
                          {"kubernetes.io/os", "linux"},
                          {"kubernetes.io/arch", arch},
                          {"beta.kubernetes.io/os", "linux"},
                          {"beta.kubernetes.io/arch", arch}};
  for (const auto& [key, value] : options.labels) node.metadata.labels[key] = value;
  node.spec.taints = options.taints;
  if (!options.pod_cidr.empty())
    for (std::string_view range : split(options.pod_cidr, ',')) node.spec.podCIDRs.emplace_back(range);
  if (!node.spec.podCIDRs.empty()) node.spec.podCIDR = node.spec.podCIDRs.front();
  auto created = co_await client.create(client::nodes, "", model::encode(node));
  if (created) co_return created;
  if (created.error().code != Code::already_exists)
    co_return std::unexpected(std::move(created.error()).context("register node " + options.node_name));
  co_return co_await client.get(client::nodes, "", options.node_name);
}

// Keeps transition times where nothing changed: the present conditions are read first.
Task<Result<void>> Registration::put_status() {
  auto there = co_await context_.client.get(client::nodes, "", context_.options.node_name);
  if (!there) {
    if (there.error().code != Code::not_found) co_return std::unexpected(std::move(there.error()));
    there = CO_TRY(co_await register_node(context_.client, context_.options));
    node_uid_ = there->meta().uid;
  }
  NodeStatus status = machine_status(context_.options, context_.loop.wall_now(), pressure_, unready_);
  const Node& before = there->as<Node>();
  if (context_.devices)
    for (const auto& [resource, count] : context_.devices->counts()) {
      status.capacity[resource] = std::to_string(count.capacity);
      status.allocatable[resource] = std::to_string(count.allocatable);
    }
  if (context_.csi) status.volumesInUse = context_.csi->in_use();
  status.volumesAttached = before.status.volumesAttached;  // the attach/detach controller's
  for (NodeCondition& condition : status.conditions)
    for (const NodeCondition& old : before.status.conditions)
      if (old.type == condition.type && old.status == condition.status && !old.lastTransitionTime.empty())
        condition.lastTransitionTime = old.lastTransitionTime;
  const std::string patch = R"([{"op":"add","path":"/status","value":)" + model::encode(status) + "}]";
  auto written = co_await context_.client.patch(client::nodes, "", context_.options.node_name, client::PatchType::json, patch,
                                                {.subresource = "status"});
  if (!written) co_return std::unexpected(std::move(written.error()).context("status of node " + context_.options.node_name));
  co_return {};
}

Task<Result<void>> Registration::renew_lease() {
  const auto lease_seconds = std::chrono::duration_cast<std::chrono::seconds>(context_.options.lease).count();
  const std::string ns = "kube-node-lease", name = context_.options.node_name, now = format_rfc3339_micro(context_.loop.wall_now());
  const std::string patch = R"({"spec":{"holderIdentity":")" + name + R"(","leaseDurationSeconds":)" + std::to_string(lease_seconds) +
                            R"(,"renewTime":")" + now + "\"}}";
  auto patched = co_await context_.client.patch(client::leases, ns, name, client::PatchType::merge, patch);
  if (patched) co_return {};
  if (patched.error().code != Code::not_found) co_return std::unexpected(std::move(patched.error()));
  model::coordination_v1::Lease lease;
  lease.metadata.name = name;
  lease.metadata.namespace_ = ns;
  auto& owner = lease.metadata.ownerReferences.emplace_back();
  owner.apiVersion = "v1";
  owner.kind = "Node";
  owner.name = name;
  owner.uid = node_uid_;
  lease.spec.holderIdentity = name;
  lease.spec.leaseDurationSeconds = int32_t(lease_seconds);
  lease.spec.renewTime = now;
  auto created = co_await context_.client.create(client::leases, ns, model::encode(lease));
  if (!created && created.error().code != Code::already_exists)
    co_return std::unexpected(std::move(created.error()).context("lease of node " + name));
  co_return {};
}

}  // namespace estiba::node
