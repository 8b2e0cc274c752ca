// GET /_ping, /version, /info.
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>

#include "base/strings.h"
#include "base/time.h"
#include "docker/api/build_context.h"
#include "docker/api/routes.h"
#include "docker/containers.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/events.h"
#include "docker/json_writer.h"
#include "engine/cdi.h"
#include "image/store.h"
#include "io/pool.h"
#include "os/cgroup.h"
#include "os/file.h"

namespace estiba::docker {

namespace {

std::string architecture() {
  utsname names{};
  ::uname(&names);
  return names.machine;
}
/// Go's name of the architecture.
std::string go_architecture() {
  const std::string machine = architecture();
  return machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine;
}
std::string kernel_version() {
  utsname names{};
  ::uname(&names);
  return names.release;
}

Task<void> ping(Daemon&, ApiRequest& request, io::Response& response) {
  io::Headers headers{
      {"Content-Type", "text/plain; charset=utf-8"}, {"Cache-Control", "no-cache, no-store, must-revalidate"}, {"Pragma", "no-cache"}};
  // "1": the classic builder is the one to talk to, so that `docker build` of new clients does not try BuildKit's sessions.
  headers.add("Builder-Version", "1");
  headers.add("Swarm", "inactive");
  headers.add(std::string(context_header), "directory");
  response.send(200, std::move(headers), request.http.method == "HEAD" ? io::Body() : io::Body("OK"));
  co_return;
}

Task<void> version(Daemon&, ApiRequest&, io::Response& response) {
  JsonWriter out;
  const std::string arch = go_architecture(), kernel = kernel_version();
  out.object();
  out.object("Platform").put("Name", "Estiba").end();
  out.array("Components").object();
  out.put("Name", "Engine").put("Version", engine_version);
  out.object("Details")
      .put("ApiVersion", api_version)
      .put("Arch", arch)
      .put("BuildTime", "2026-11-28T00:00:00.000000000+00:00")
      .put("Experimental", "false");
  out.put("GitCommit", "estiba")
      .put("GoVersion", "none")
      .put("KernelVersion", kernel)
      .put("MinAPIVersion", oldest_api_version)
      .put("Os", "linux")
      .end();
  out.end().end();
  out.put("Version", engine_version).put("ApiVersion", api_version).put("MinAPIVersion", oldest_api_version);
  out.put("GitCommit", "estiba").put("GoVersion", "none").put("Os", "linux").put("Arch", arch).put("KernelVersion", kernel);
  out.put("BuildTime", "2026-11-28T00:00:00.000000000+00:00");
  send_json(response, 200, out.end().take());
  co_return;
}

/// PRETTY_NAME of os-release(5).
std::string operating_system() {
  const std::string text = os::read_file("/etc/os-release").value_or("");
  for (std::string_view line : split(text, '\n'))
    if (line.starts_with("PRETTY_NAME=")) {
      line.remove_prefix(12);
      if (line.size() >= 2 && line.starts_with('"')) line = line.substr(1, line.size() - 2);
      return std::string(line);
    }
  return "Linux";
}

uint64_t total_memory() { return uint64_t(::sysconf(_SC_PHYS_PAGES)) * uint64_t(::sysconf(_SC_PAGESIZE)); }

struct HostFacts {
  std::string system, hostname;
  bool cgroup_v2 = true, memory = true, swap = true, cpu = true, cpuset = true, pids = true, forwarding = false;
  size_t images = 0, descriptors = 0;
  std::vector<std::string> cdi_devices;
};

HostFacts host_facts(image::Store& store, const std::vector<std::string>& cdi_spec_dirs) {
  HostFacts out;
  out.cdi_devices = engine::cdi_devices(cdi_spec_dirs);
  out.system = operating_system();
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  out.hostname = name;
  if (auto host = os::cgroup_host()) {
    out.cgroup_v2 = (*host)->mode == os::CgroupMode::v2;
    if (!out.cgroup_v2) {
      const std::string* memory = (*host)->v1_mount("memory");
      out.memory = memory != nullptr;
      out.swap = memory && os::exists(*memory + "/memory.memsw.limit_in_bytes");
      out.cpu = (*host)->v1_mount("cpu") != nullptr;
      out.cpuset = (*host)->v1_mount("cpuset") != nullptr;
      out.pids = (*host)->v1_mount("pids") != nullptr;
    }
  }
  out.forwarding = trim(os::read_file("/proc/sys/net/ipv4/ip_forward").value_or("")) == "1";
  if (auto images = store.list()) out.images = images->size();
  if (auto fds = os::list_dir("/proc/self/fd")) out.descriptors = fds->size();
  return out;
}

void put_counts(JsonWriter& out, const Containers& containers) {
  size_t running = 0, paused = 0;
  for (const auto& c : containers.all()) {
    running += c->status == Status::running;
    paused += c->status == Status::paused;
  }
  out.put("Containers", containers.size()).put("ContainersRunning", running).put("ContainersPaused", paused);
  out.put("ContainersStopped", containers.size() - running - paused);
}

void put_kernel(JsonWriter& out, const HostFacts& facts) {
  out.put("MemoryLimit", facts.memory).put("SwapLimit", facts.swap).put("CpuCfsPeriod", facts.cpu).put("CpuCfsQuota", facts.cpu);
  out.put("CPUShares", facts.cpu).put("CPUSet", facts.cpuset).put("PidsLimit", facts.pids).put("OomKillDisable", !facts.cgroup_v2);
  out.put("IPv4Forwarding", facts.forwarding).put("BridgeNfIptables", false).put("BridgeNfIp6tables", false);
}

void put_plugins(JsonWriter& out) {
  out.object("Plugins")
      .put_list("Volume", std::vector<std::string>{"local"})
      .put_list("Network", std::vector<std::string>{"bridge", "host", "null"});
  out.put_null("Authorization").put_list("Log", std::vector<std::string>{"json-file", "local", "none"}).end();
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

void put_runtime(JsonWriter& out) {
  out.object("Runtimes");
  for (const char* name : {"estiba-oci", "io.containerd.runc.v2", "runc"}) out.object(name).put("path", "estiba-oci").end();
  out.end().put("DefaultRuntime", "runc");
  out.object("Swarm")
      .put("NodeID", "")
      .put("NodeAddr", "")
      .put("LocalNodeState", "inactive")
      .put("ControlAvailable", false)
      .put("Error", "")
      .put_null("RemoteManagers")
      .end();
  out.put("LiveRestoreEnabled", true).put("Isolation", "").put("InitBinary", "estiba-oci");
  for (const char* name : {"ContainerdCommit", "RuncCommit", "InitCommit"}) out.object(name).put("ID", "").put("Expected", "").end();
  out.put_list("SecurityOptions", std::vector<std::string>{"name=seccomp,profile=builtin", "name=cgroupns"});
}

void put_registry(JsonWriter& out) {
  out.put("IndexServerAddress", "https://index.docker.io/v1/").object("RegistryConfig");
  out.put_raw("AllowNondistributableArtifactsCIDRs", "null").put_raw("AllowNondistributableArtifactsHostnames", "null");
  out.put_list("InsecureRegistryCIDRs", std::vector<std::string>{"::1/128", "127.0.0.0/8"});
  out.object("IndexConfigs")
      .object("docker.io")
      .put("Name", "docker.io")
      .put_raw("Mirrors", "[]")
      .put("Secure", true)
      .put("Official", true)
      .end()
      .end();
  out.put_raw("Mirrors", "[]").end();
}

Task<Result<void>> info(Daemon& daemon, ApiRequest&, io::Response& response) {
  const HostFacts facts =
      co_await daemon.pool().run([store = daemon.images(), dirs = daemon.options().cdi_spec_dirs] { return host_facts(*store, dirs); });
  JsonWriter out;
  out.object().put("ID", daemon.id());
  put_counts(out, daemon.containers());
  out.put("Images", facts.images).put("Driver", "overlay2");
  out.put_raw("DriverStatus",
              R"([["Backing Filesystem","extfs"],["Supports d_type","true"],["Native Overlay Diff","true"],["userxattr","false"]])");
  out.put("DockerRootDir", daemon.options().data_dir);
  put_plugins(out);
  put_kernel(out, facts);
  out.put("Debug", false)
      .put("NFd", facts.descriptors)
      .put("NGoroutines", 1)
      .put("SystemTime", format_rfc3339_nano(daemon.loop().wall_now()));
  out.put("LoggingDriver", "json-file").put("CgroupDriver", "cgroupfs").put("CgroupVersion", facts.cgroup_v2 ? "2" : "1");
  out.put("NEventsListener", daemon.events().subscribers());
  out.put("KernelVersion", kernel_version())
      .put("OperatingSystem", facts.system)
      .put("OSVersion", "")
      .put("OSType", "linux")
      .put("Architecture", architecture());
  put_registry(out);
  out.put("NCPU", ::sysconf(_SC_NPROCESSORS_ONLN)).put("MemTotal", total_memory()).put_raw("GenericResources", "null");
  out.put("HttpProxy", environment("HTTP_PROXY")).put("HttpsProxy", environment("HTTPS_PROXY")).put("NoProxy", environment("NO_PROXY"));
  out.put("Name", facts.hostname).put_raw("Labels", "[]").put("ExperimentalBuild", false).put("ServerVersion", engine_version);
  put_runtime(out);
  out.put_list("CDISpecDirs", daemon.options().cdi_spec_dirs).object("FirewallBackend").put("Driver", "nftables").end();
  out.array("DiscoveredDevices");
  for (const std::string& name : facts.cdi_devices) out.object().put("Source", "cdi").put("ID", name).end();
  out.end();
  std::vector<std::string> warnings;
  if (!facts.swap) warnings.emplace_back("WARNING: No swap limit support");
  if (!daemon.options().listen_tcp.empty())
    warnings.push_back("WARNING: API is accessible on http://" + daemon.options().listen_tcp +
                       " without encryption.\n         Access to the remote API is equivalent to root access on the host.");
  if (warnings.empty()) out.put_null("Warnings");
  else out.put_list("Warnings", warnings);
  send_json(response, 200, out.end().take());
  co_return {};
}

}  // namespace

void add_system_routes(Router& router) {
  router.get("/_ping", ping);
  router.head("/_ping", ping);
  router.get("/version", version);
  router.get("/info", info);
}

}  // namespace estiba::docker
