#include "docker/config.h"

#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "model/cdi_name.h"

namespace estiba::docker {

namespace {

using json::Document;
using json::Node;

enum class Kind : unsigned char { text, number, boolean, list, map, any };

struct Field {
  std::string_view name;
  Kind kind;
  std::string_view fallback;  ///< JSON; empty: the field is left out when it is not given
};

constexpr Field config_fields[] = {
    {"Hostname", Kind::text, "\"\""},
    {"Domainname", Kind::text, "\"\""},
    {"User", Kind::text, "\"\""},
    {"AttachStdin", Kind::boolean, "false"},
    {"AttachStdout", Kind::boolean, "false"},
    {"AttachStderr", Kind::boolean, "false"},
    {"ExposedPorts", Kind::map, ""},
    {"Tty", Kind::boolean, "false"},
    {"OpenStdin", Kind::boolean, "false"},
    {"StdinOnce", Kind::boolean, "false"},
    {"Env", Kind::list, "[]"},
    {"Cmd", Kind::any, "null"},
    {"Healthcheck", Kind::map, ""},
    {"ArgsEscaped", Kind::boolean, ""},
    {"Image", Kind::text, "\"\""},
    {"Volumes", Kind::map, "null"},
    {"WorkingDir", Kind::text, "\"\""},
    {"Entrypoint", Kind::any, "null"},
    {"NetworkDisabled", Kind::boolean, ""},
    {"MacAddress", Kind::text, ""},
    {"OnBuild", Kind::list, "null"},
    {"Labels", Kind::map, "{}"},
    {"StopSignal", Kind::text, ""},
    {"StopTimeout", Kind::number, ""},
    {"Shell", Kind::list, ""},
};

constexpr Field host_fields[] = {
    {"Binds", Kind::list, "null"},
    {"ContainerIDFile", Kind::text, "\"\""},
    {"LogConfig", Kind::map, R"({"Type":"json-file","Config":{}})"},
    {"NetworkMode", Kind::text, "\"bridge\""},
    {"PortBindings", Kind::map, "{}"},
    {"RestartPolicy", Kind::map, R"({"Name":"no","MaximumRetryCount":0})"},
    {"AutoRemove", Kind::boolean, "false"},
    {"VolumeDriver", Kind::text, "\"\""},
    {"VolumesFrom", Kind::list, "null"},
    {"ConsoleSize", Kind::list, "[0,0]"},
    {"Annotations", Kind::map, ""},
    {"CapAdd", Kind::any, "null"},
    {"CapDrop", Kind::any, "null"},
    {"CgroupnsMode", Kind::text, "\"private\""},
    {"Dns", Kind::list, "[]"},
    {"DnsOptions", Kind::list, "[]"},
    {"DnsSearch", Kind::list, "[]"},
    {"ExtraHosts", Kind::list, "null"},
    {"GroupAdd", Kind::list, "null"},
    {"IpcMode", Kind::text, "\"private\""},
    {"Cgroup", Kind::text, "\"\""},
    {"Links", Kind::list, "null"},
    {"OomScoreAdj", Kind::number, "0"},
    {"PidMode", Kind::text, "\"\""},
    {"Privileged", Kind::boolean, "false"},
    {"PublishAllPorts", Kind::boolean, "false"},
    {"ReadonlyRootfs", Kind::boolean, "false"},
    {"SecurityOpt", Kind::list, "null"},
    {"StorageOpt", Kind::map, ""},
    {"Tmpfs", Kind::map, ""},
    {"UTSMode", Kind::text, "\"\""},
    {"UsernsMode", Kind::text, "\"\""},
    {"ShmSize", Kind::number, "67108864"},
    {"Sysctls", Kind::map, ""},
    {"Runtime", Kind::text, "\"runc\""},
    {"Isolation", Kind::text, "\"\""},
    {"CpuShares", Kind::number, "0"},
    {"Memory", Kind::number, "0"},
    {"NanoCpus", Kind::number, "0"},
    {"CgroupParent", Kind::text, "\"\""},
    {"BlkioWeight", Kind::number, "0"},
    {"BlkioWeightDevice", Kind::list, "[]"},
    {"BlkioDeviceReadBps", Kind::list, "[]"},
    {"BlkioDeviceWriteBps", Kind::list, "[]"},
    {"BlkioDeviceReadIOps", Kind::list, "[]"},
    {"BlkioDeviceWriteIOps", Kind::list, "[]"},
    {"CpuPeriod", Kind::number, "0"},
    {"CpuQuota", Kind::number, "0"},
    {"CpuRealtimePeriod", Kind::number, "0"},
    {"CpuRealtimeRuntime", Kind::number, "0"},
    {"CpusetCpus", Kind::text, "\"\""},
    {"CpusetMems", Kind::text, "\"\""},
    {"Devices", Kind::list, "[]"},
    {"DeviceCgroupRules", Kind::list, "null"},
    {"DeviceRequests", Kind::list, "null"},
    {"MemoryReservation", Kind::number, "0"},
    {"MemorySwap", Kind::number, "0"},
    {"MemorySwappiness", Kind::number, "null"},
    {"OomKillDisable", Kind::boolean, "null"},
    {"Init", Kind::boolean, ""},
    {"PidsLimit", Kind::number, "null"},
    {"Ulimits", Kind::list, "[]"},
    {"CpuCount", Kind::number, "0"},
    {"CpuPercent", Kind::number, "0"},
    {"IOMaximumIOps", Kind::number, "0"},
    {"IOMaximumBandwidth", Kind::number, "0"},
    {"Mounts", Kind::list, ""},
    {"MaskedPaths", Kind::list,
     R"(["/proc/asound","/proc/acpi","/proc/interrupts","/proc/kcore","/proc/keys","/proc/latency_stats","/proc/timer_list","/proc/timer_stats","/proc/sched_debug","/proc/scsi","/sys/firmware","/sys/devices/virtual/powercap"])"},
    {"ReadonlyPaths", Kind::list, R"(["/proc/bus","/proc/fs","/proc/irq","/proc/sys","/proc/sysrq-trigger"])"},
};

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::text: return "a string";
    case Kind::number: return "a whole number";
    case Kind::boolean: return "true or false";
    case Kind::list: return "an array";
    case Kind::map: return "an object";
    case Kind::any: return "a string or an array";
  }
  return "";
}

bool fits(const Node& node, Kind kind) {
  switch (kind) {
    case Kind::text: return node.is_string();
    case Kind::number: return node.as_int().has_value();
    case Kind::boolean: return node.is_bool();
    case Kind::list: return node.is_array();
    case Kind::map: return node.is_object();
    case Kind::any: return node.is_string() || node.is_array();
  }
  return false;
}

Result<Document> filled(const Node* given, std::span<const Field> fields, std::string_view what) {
  Document out;
  Node& root = out.make_object();
  out.set_root(root);
  for (const Field& field : fields) {
    const Node* value = given ? given->find(field.name) : nullptr;
    if (value && !value->is_null()) {
      if (!fits(*value, field.kind))
        return fail(Code::invalid, std::string(what) + "." + std::string(field.name) + ": " + std::string(name_of(field.kind)) +
                                       " is expected, not " + json::print(*value));
      Node& copy = out.copy(*value);
      // A lone string stands for a list of one, as old clients send Cmd and CapAdd.
      if (field.kind == Kind::any && value->is_string()) out.append(out.set(root, field.name, out.make_array()), copy);
      else out.set(root, field.name, copy);
    } else if (!field.fallback.empty()) {
      Document fallback = TRY(Document::parse(field.fallback));
      out.set(root, field.name, out.copy(fallback.root()));
    }
  }
  return out;
}

// --- merging with the image ------------------------------------------------------------------------------------------------------

/// Adds the members of the image's map that the container does not have.
void merge_map(Document& doc, const Node* image, std::string_view key) {
  if (!image || image->empty()) return;
  Node& map = doc.ensure_object(doc.root(), key);
  for (const Node& item : *image)
    if (!map.find(item.key())) doc.set(map, item.key(), doc.copy(item));
}

void merge_env(Document& doc, const Node* image) {
  if (!image) return;
  Node& own = *doc.root().find("Env");
  for (const Node& item : *image) {
    const std::string_view name = split_once(item.as_string(), '=').first;
    bool there = false;
    for (const Node& mine : own) there |= split_once(mine.as_string(), '=').first == name;
    if (!there) doc.append(own, doc.make_string(item.as_string()));
  }
}

bool empty_list(const Node* node) { return !node || node->empty(); }

void merge_command(Document& doc, const Node& image) {
  Node& root = doc.root();
  const Node* entrypoint = root.find("Entrypoint");
  const bool given = entrypoint && entrypoint->is_array() && !entrypoint->empty();
  if (!given) {
    if (empty_list(root.find("Cmd")))
      if (const Node* cmd = image.find("Cmd")) doc.set(root, "Cmd", doc.copy(*cmd));
    if (const Node* theirs = image.find("Entrypoint")) doc.set(root, "Entrypoint", doc.copy(*theirs));
  } else if (entrypoint->size() == 1 && (*entrypoint)[0].as_string().empty()) {
    doc.set(root, "Entrypoint", doc.make_null());  // --entrypoint "" undoes the image's
  }
}

void merge_health(Document& doc, const Node* image) {
  if (!image || !image->is_object()) return;
  Node& own = doc.ensure_object(doc.root(), "Healthcheck");
  for (const Node& item : *image) {
    const Node* mine = own.find(item.key());
    const bool unset = !mine || mine->is_null() || (mine->is_array() && mine->empty()) || (mine->is_number() && mine->as_int() == 0);
    if (unset) doc.set(own, item.key(), doc.copy(item));
  }
}

void merge_image(Document& doc, const Node& image) {
  Node& root = doc.root();
  for (const char* key : {"User", "WorkingDir", "StopSignal"}) {
    const Node* theirs = image.find(key);
    if (root.string_at(key).empty() && theirs && !theirs->as_string().empty()) doc.set(root, key, theirs->as_string());
  }
  for (const char* key : {"ExposedPorts", "Volumes", "Labels"}) merge_map(doc, image.find(key), key);
  merge_env(doc, image.find("Env"));
  merge_command(doc, image);
  merge_health(doc, image.find("Healthcheck"));
  for (const char* key : {"Shell", "OnBuild"})
    if (const Node* theirs = image.find(key); theirs && !theirs->empty() && empty_list(root.find(key)))
      doc.set(root, key, doc.copy(*theirs));
}

Result<void> check_env(const Node& config) {
  for (const Node& item : *config.find("Env"))
    if (!item.is_string() || item.as_string().empty() || item.as_string().front() == '=')
      return fail(Code::invalid, "invalid environment variable: " + std::string(item.as_string()));
  return {};
}

Result<void> check_health(const Node* health) {
  if (!health) return {};
  const Node* test = health->find("Test");
  const std::string_view kind = empty_list(test) ? std::string_view() : (*test)[0].as_string();
  if (!kind.empty() && kind != "NONE" && kind != "CMD" && kind != "CMD-SHELL")
    return fail(Code::invalid, "Unknown healthcheck type '" + std::string(kind) + "' (expected 'CMD') in container's Healthcheck.Test");
  for (const char* key : {"Interval", "Timeout", "StartPeriod", "StartInterval"}) {
    const int64_t value = int_at(*health, key);
    if (value != 0 && value < 1'000'000) return fail(Code::invalid, std::string(key) + " in Healthcheck cannot be less than 1ms");
  }
  if (int_at(*health, "Retries") < 0) return fail(Code::invalid, "Retries in Healthcheck cannot be negative");
  return {};
}

}  // namespace

// --- reading -------------------------------------------------------------------------------------------------------------------------

std::vector<std::string> strings_of(const Node* list) {
  std::vector<std::string> out;
  if (list)
    for (const Node& item : *list) out.emplace_back(item.as_string());
  return out;
}

int64_t int_at(const Node& node, std::string_view key, int64_t otherwise) {
  const Node* found = node.find(key);
  return found ? found->as_int().value_or(otherwise) : otherwise;
}

bool bool_at(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  return found && found->as_bool();
}

Document copy_of(const Node* node) {
  Document out;
  out.set_root(node ? out.copy(*node) : out.make_object());
  return out;
}

// --- whole documents -----------------------------------------------------------------------------------------------------------------

Result<Document> whole_config(const Node& given, const Node* image, const std::string& image_name, const std::string& id) {
  Document out = TRY(filled(&given, config_fields, "Config"));
  if (image && image->is_object()) merge_image(out, *image);
  Node& root = out.root();
  out.set(root, "Image", image_name);
  if (root.string_at("Hostname").empty()) out.set(root, "Hostname", id.substr(0, 12));
  TRY(check_env(root));
  TRY(check_health(root.find("Healthcheck")));
  if (empty_list(root.find("Cmd")) && empty_list(root.find("Entrypoint"))) return fail(Code::invalid, "no command specified");
  if (const std::string_view dir = root.string_at("WorkingDir"); !dir.empty() && !dir.starts_with('/'))
    return fail(Code::invalid, "the working directory '" + std::string(dir) + "' is invalid, it needs to be an absolute path");
  return out;
}

Result<void> check_restart_policy(const Node& policy, bool auto_remove) {
  const std::string_view name = policy.string_at("Name");
  const int64_t retries = int_at(policy, "MaximumRetryCount");
  constexpr std::string_view known[] = {"", "no", "always", "unless-stopped", "on-failure", "on-unhealthy"};
  if (std::find(std::begin(known), std::end(known), name) == std::end(known))
    return fail(Code::invalid, "invalid restart policy: unknown policy '" + std::string(name) +
                                   "'; use one of 'no', 'always', 'on-failure', 'unless-stopped', or 'on-unhealthy'");
  if (retries < 0) return fail(Code::invalid, "invalid restart policy: maximum retry count cannot be negative");
  if (retries > 0 && name != "on-failure" && name != "on-unhealthy")
    return fail(Code::invalid, "invalid restart policy: maximum retry count can only be used with 'on-failure'");
  if (auto_remove && !name.empty() && name != "no") return fail(Code::invalid, "can't create 'AutoRemove' container with restart policy");
  return {};
}

Result<void> check_resources(const Node& host) {
  const int64_t memory = int_at(host, "Memory"), swap = int_at(host, "MemorySwap"), reservation = int_at(host, "MemoryReservation");
  if (memory < 0 || (memory != 0 && memory < (6 << 20))) return fail(Code::invalid, "Minimum memory limit allowed is 6MB");
  if (memory > 0 && swap > 0 && swap < memory)
    return fail(Code::invalid, "Minimum memoryswap limit should be larger than memory limit, see usage");
  if (memory == 0 && swap > 0) return fail(Code::invalid, "You should always set the Memory limit when using Memoryswap limit, see usage");
  if (swap < -1) return fail(Code::invalid, "MemorySwap: -1 (unlimited) or a number of bytes is expected");
  if (const Node* swappiness = host.find("MemorySwappiness"); swappiness && swappiness->is_number())
    if (const int64_t value = swappiness->as_int().value_or(0); value < -1 || value > 100)
      return fail(Code::invalid, "Invalid value: " + std::to_string(value) + ", valid memory swappiness range is 0-100");
  if (reservation < 0 || (reservation != 0 && reservation < (6 << 20)))
    return fail(Code::invalid, "Minimum memory reservation allowed is 6MB");
  if (memory > 0 && reservation > memory)
    return fail(Code::invalid, "Minimum memory limit can not be less than memory reservation limit, see usage");
  const int64_t nano = int_at(host, "NanoCpus"), period = int_at(host, "CpuPeriod"), quota = int_at(host, "CpuQuota");
  if (nano > 0 && period > 0) return fail(Code::invalid, "Conflicting options: Nano CPUs and CPU Period cannot both be set");
  if (nano > 0 && quota > 0) return fail(Code::invalid, "Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  const int64_t cpus = ::sysconf(_SC_NPROCESSORS_ONLN);
  if (nano < 0 || nano > cpus * 1'000'000'000)
    return fail(Code::invalid, "range of CPUs is from 0.01 to " + std::to_string(cpus) + ".00, as there are only " + std::to_string(cpus) +
                                   " CPUs available");
  if (period != 0 && (period < 1000 || period > 1'000'000))
    return fail(Code::invalid, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  if (quota > 0 && quota < 1000) return fail(Code::invalid, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
  if (int_at(host, "CpuShares") < 0)
    return fail(Code::invalid, "invalid CPU shares (" + std::to_string(int_at(host, "CpuShares")) + "): value must be a positive integer");
  if (const int64_t weight = int_at(host, "BlkioWeight"); weight != 0 && (weight < 10 || weight > 1000))
    return fail(Code::invalid, "range of blkio weight is from 10 to 1000");
  return {};
}

static Result<void> check_device_requests(const Node* requests) {
  if (!requests) return {};
  for (const Node& request : *requests) {
    if (const std::string_view driver = request.string_at("Driver"); driver != "cdi") {
      const Node* capabilities = request.find("Capabilities");
      return fail(Code::invalid, "could not select device driver " + quoted(driver) +
                                     " with capabilities: " + (capabilities ? json::print(*capabilities) : "[]") +
                                     ": there is the driver cdi alone; name the devices with --device vendor.com/gpu=0");
    }
    const std::vector<std::string> names = strings_of(request.find("DeviceIDs"));
    if (names.empty()) return fail(Code::invalid, "DeviceRequests: the driver cdi needs DeviceIDs, such as vendor.com/gpu=0");
    for (const std::string& name : names)
      if (!model::parse_cdi_name(name))
        return fail(Code::invalid, "DeviceRequests: " + quoted(name) + " is no name of a CDI device such as vendor.com/gpu=0");
  }
  return {};
}

static Result<void> check_modes(const Node& host) {
  if (int_at(host, "ShmSize") < 0) return fail(Code::invalid, "SHM size can not be less than 0");
  if (const int64_t score = int_at(host, "OomScoreAdj"); score < -1000 || score > 1000)
    return fail(Code::invalid, "Invalid value " + std::to_string(score) + ", range for oom score adj is [-1000, 1000]");
  const std::string_view runtime = host.string_at("Runtime");
  constexpr std::string_view runtimes[] = {"runc", "crun", "estiba-oci", "io.containerd.runc.v2"};
  if (std::find(std::begin(runtimes), std::end(runtimes), runtime) == std::end(runtimes))
    return fail(Code::invalid, "unknown or invalid runtime name: " + std::string(runtime));
  const std::string_view log = host.string_at("LogConfig", "Type");
  if (log != "json-file" && log != "local" && log != "none")
    return fail(Code::invalid, "logger: no log driver named '" + std::string(log) + "' is registered");
  TRY(check_device_requests(host.find("DeviceRequests")));
  if (const std::string_view mode = host.string_at("UsernsMode"); !mode.empty() && mode != "host")
    return fail(Code::invalid, "invalid user namespace mode: " + std::string(mode));
  if (const std::string_view mode = host.string_at("CgroupnsMode"); mode != "private" && mode != "host")
    return fail(Code::invalid, "invalid cgroup namespace mode: " + std::string(mode));
  if (const std::string_view mode = host.string_at("UTSMode"); !mode.empty() && mode != "host")
    return fail(Code::invalid, "invalid UTS mode: " + std::string(mode));
  if (const std::string_view mode = host.string_at("PidMode"); !mode.empty() && mode != "host" && !mode.starts_with("container:"))
    return fail(Code::invalid, "invalid PID mode: " + std::string(mode));
  const std::string_view ipc = host.string_at("IpcMode");
  if (ipc != "private" && ipc != "host" && ipc != "shareable" && ipc != "none" && !ipc.starts_with("container:"))
    return fail(Code::invalid, "invalid IPC mode: " + std::string(ipc));
  if (const Node* sysctls = host.find("Sysctls"); sysctls && host.string_at("NetworkMode") == "host")
    for (const Node& item : *sysctls)
      if (item.key().starts_with("net."))
        return fail(Code::invalid,
                    "sysctl '" + std::string(item.key()) + "=" + std::string(item.as_string()) + "' not allowed in host network namespace");
  return {};
}

Result<Document> whole_host_config(const Node* given) {
  Document out = TRY(filled(given, host_fields, "HostConfig"));
  Node& root = out.root();
  auto fallback = [&](std::string_view key, std::string_view value) {
    if (root.string_at(key).empty()) out.set(root, key, value);
  };
  fallback("NetworkMode", "bridge");
  if (root.string_at("NetworkMode") == "default") out.set(root, "NetworkMode", "bridge");
  fallback("IpcMode", "private");
  fallback("CgroupnsMode", bool_at(root, "Privileged") ? "host" : "private");
  fallback("Runtime", "runc");
  Node& log = *root.find("LogConfig");
  if (log.string_at("Type").empty()) out.set(log, "Type", "json-file");
  if (const Node* options = log.find("Config"); !options || !options->is_object()) out.set(log, "Config", out.make_object());
  Node& policy = *root.find("RestartPolicy");
  if (policy.string_at("Name").empty()) out.set(policy, "Name", "no");
  if (!policy.find("MaximumRetryCount")) out.set(policy, "MaximumRetryCount", out.make_int(0));
  // -1 is how the command line says that nothing was said.
  if (int_at(root, "MemorySwappiness") == -1) out.set(root, "MemorySwappiness", out.make_null());
  if (int_at(root, "ShmSize") == 0) out.set(root, "ShmSize", out.make_int(64 << 20));
  if (bool_at(root, "Privileged")) {
    // What is not hidden from a privileged container is not listed.
    out.set(root, "MaskedPaths", out.make_null());
    out.set(root, "ReadonlyPaths", out.make_null());
  }
  if (int_at(root, "Memory") > 0 && int_at(root, "MemorySwap") == 0) out.set(root, "MemorySwap", out.make_int(int_at(root, "Memory") * 2));
  TRY(check_restart_policy(policy, bool_at(root, "AutoRemove")));
  TRY(check_resources(root));
  TRY(check_modes(root));
  return out;
}

}  // namespace estiba::docker
