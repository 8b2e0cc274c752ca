#include "cli/compose/host_config.h"

#include <algorithm>

#include "base/go_duration.h"
#include "base/strings.h"
#include "cli/compose/shape.h"
#include "cli/docker/container_options.h"
#include "cli/docker/flags.h"
#include "model/cdi_name.h"

namespace estiba::cli::compose {
namespace {

using docker::Object;
using json::Node;

std::string scalar(const Node* node) {
  if (!node) return "";
  if (node->is_number()) return std::string(node->number_text());
  if (node->is_bool()) return node->as_bool() ? "true" : "false";
  return std::string(node->as_string());
}

/// Fills HostConfig from one service.
class Host {
 public:
  Host(const Project& project, const Node& service, const BodyOptions& options, Object body)
      : project_(project), service_(service), options_(options), body_(body), host_(body.object("HostConfig")) {}

  Result<void> run() {
    TRY(namespaces());
    TRY(ports());
    mounts();
    grants();
    lists();
    TRY(limits());
    TRY(restart());
    ulimits();
    logging();
    return {};
  }

 private:
  Result<std::string> joined(const std::string& mode, std::string_view key) {
    if (!mode.starts_with("service:")) return mode;
    for (const auto& [name, id] : options_.containers)
      if (name == mode.substr(8)) return "container:" + id;
    return fail(Code::not_found, std::string(key) + ": service " + quoted(mode.substr(8)) + " has no container; start it first");
  }

  Result<void> namespaces() {
    const std::string mode = scalar(service_.find("network_mode"));
    const auto networks = networks_of(project_, service_);
    if (!mode.empty()) host_.set("NetworkMode", TRY(joined(mode, "network_mode")));
    else if (!networks.empty()) host_.set("NetworkMode", networks[0].second);
    for (auto [key, field] : {std::pair{"ipc", "IpcMode"}, {"pid", "PidMode"}})
      if (const std::string value = scalar(service_.find(key)); !value.empty()) host_.set(field, TRY(joined(value, key)));
    for (auto [key, field] : {std::pair{"userns_mode", "UsernsMode"},
                              {"uts", "UTSMode"},
                              {"cgroup", "CgroupnsMode"},
                              {"cgroup_parent", "CgroupParent"},
                              {"runtime", "Runtime"},
                              {"isolation", "Isolation"}})
      host_.maybe(field, scalar(service_.find(key)));
    return {};
  }

  Result<void> ports() {
    const Node* ports = service_.find("ports");
    if (ports && options_.service_ports)
      for (const Node& port : *ports) {
        const std::string inside = scalar(port.find("target")) + "/" + std::string(port.string_at("protocol"));
        body_.object("ExposedPorts").object(inside);
        Object binding = host_.object("PortBindings").append(inside);
        binding.set("HostIp", port.string_at("host_ip")).set("HostPort", port.string_at("published"));
      }
    if (const Node* exposed = service_.find("expose"))
      for (const Node& port : *exposed) TRY(docker::add_exposed(scalar(&port), body_));
    for (const auto& port : options_.publish) TRY(docker::add_published(port, body_, host_));
    return {};
  }

  void mounts() {
    if (const Node* mounts = service_.find("volumes"))
      for (const Node& mount : *mounts) {
        const std::string target(mount.string_at("target"));
        if (mount.string_at("type") == "bind") bind(mount, target);
        else if (mount.string_at("type") == "tmpfs") tmpfs(mount, target);
        else volume(mount, target);
      }
    if (const Node* tmpfs = service_.find("tmpfs"))
      for (const Node& each : *tmpfs) {
        auto [path, options] = split_once(each.as_string(), ':');
        host_.object("Tmpfs").set(path, options.value_or(""));
      }
    for (const auto& each : options_.inherited) host_.append("Binds", each);
    for (const auto& each : options_.binds) host_.append("Binds", each);
    if (const Node* from = service_.find("volumes_from"))
      for (const Node& each : *from) {
        std::string_view text = each.as_string();
        if (text.starts_with("container:")) {
          host_.append("VolumesFrom", text.substr(10));
          continue;
        }
        auto [name, mode] = split_once(text, ':');
        for (const auto& [service, id] : options_.containers)
          if (service == name) host_.append("VolumesFrom", id + (mode ? ":" + std::string(*mode) : ""));
      }
  }

  static bool read_only(const Node& mount) {
    const Node* flag = mount.find("read_only");
    return flag && flag->as_bool();
  }

  void bind(const Node& mount, const std::string& target) {
    const Node* create = mount.at("bind", "create_host_path");
    if (create && !create->as_bool()) {
      Object out = host_.append("Mounts");
      out.set("Type", "bind").set("Source", mount.string_at("source")).set("Target", target).set("ReadOnly", read_only(mount));
      if (const std::string_view propagation = mount.string_at("bind", "propagation"); !propagation.empty())
        out.object("BindOptions").set("Propagation", propagation);
      return;
    }
    std::vector<std::string> options{read_only(mount) ? "ro" : "rw"};
    for (const char* key : {"propagation", "selinux"})
      if (const std::string_view value = mount.string_at("bind", key); !value.empty()) options.emplace_back(value);
    host_.append("Binds", std::string(mount.string_at("source")) + ":" + target + ":" + join(options, ","));
  }

  void tmpfs(const Node& mount, const std::string& target) {
    Object out = host_.append("Mounts");
    out.set("Type", "tmpfs").set("Target", target).set("ReadOnly", read_only(mount));
    if (const std::string size = scalar(mount.at("tmpfs", "size")); !size.empty())
      out.object("TmpfsOptions").set("SizeBytes", docker::parse_bytes(size).value_or(0));
    if (const Node* mode = mount.at("tmpfs", "mode")) out.object("TmpfsOptions").set("Mode", mode->as_int().value_or(0));
  }

  void volume(const Node& mount, const std::string& target) {
    const std::string_view source = mount.string_at("source");
    auto inherited = [&](const std::string& each) { return each.ends_with(":" + target); };
    if (source.empty()) {
      if (std::none_of(options_.inherited.begin(), options_.inherited.end(), inherited)) body_.object("Volumes").object(target);
      return;
    }
    const Node* resource = project_.resource("volumes", source);
    const std::string name(resource ? resource->string_at("name") : source);
    const Node *nocopy = mount.at("volume", "nocopy"), *subpath = mount.at("volume", "subpath");
    if (!nocopy && !subpath) {
      host_.append("Binds", name + ":" + target + (read_only(mount) ? ":ro" : ":rw"));
      return;
    }
    Object out = host_.append("Mounts");
    out.set("Type", "volume").set("Source", name).set("Target", target).set("ReadOnly", read_only(mount));
    if (nocopy) out.object("VolumeOptions").set("NoCopy", nocopy->as_bool());
    if (subpath) out.object("VolumeOptions").set("Subpath", scalar(subpath));
  }

  void grants() {
    for (std::string_view kind : {"secrets", "configs"})
      if (const Node* grants = service_.find(kind))
        for (const Node& grant : *grants) {
          const Node* source = project_.resource(kind, grant.string_at("source"));
          if (!source || source->string_at("file").empty()) continue;
          Object out = host_.append("Mounts");
          out.set("Type", "bind").set("Source", source->string_at("file")).set("Target", grant_target(kind, grant)).set("ReadOnly", true);
        }
  }

  void lists() {
    struct {
      const char *key, *field;
    } names[] = {{"cap_add", "CapAdd"},     {"cap_drop", "CapDrop"},         {"dns", "Dns"},
                 {"dns_opt", "DnsOptions"}, {"dns_search", "DnsSearch"},     {"extra_hosts", "ExtraHosts"},
                 {"group_add", "GroupAdd"}, {"security_opt", "SecurityOpt"}, {"device_cgroup_rules", "DeviceCgroupRules"}};
    for (const auto& [key, field] : names)
      if (const Node* list = service_.find(key))
        for (const Node& each : *list) {
          std::string text = scalar(&each);
          // The API separates a host and its address by a colon.
          if (std::string_view(key) == "extra_hosts")
            if (const size_t equals = text.find('='); equals != text.npos) text[equals] = ':';
          host_.append(field, text);
        }
    if (const Node* devices = service_.find("devices"))
      for (const Node& device : *devices) {
        if (model::parse_cdi_name(device.string_at("source"))) {
          host_.append("DeviceRequests").set("Driver", "cdi").append("DeviceIDs", std::string(device.string_at("source")));
          continue;
        }
        Object out = host_.append("Devices");
        const std::string permissions(device.string_at("permissions"));
        out.set("PathOnHost", device.string_at("source")).set("PathInContainer", device.string_at("target"));
        out.set("CgroupPermissions", permissions.empty() ? "rwm" : permissions);
      }
    for (auto [key, field] : {std::pair{"sysctls", "Sysctls"}, {"storage_opt", "StorageOpt"}, {"annotations", "Annotations"}})
      if (const Node* map = service_.find(key); map && map->is_object()) host_.put(field, host_.document().copy(*map));
    for (auto [key, field] :
         {std::pair{"privileged", "Privileged"}, {"read_only", "ReadonlyRootfs"}, {"init", "Init"}, {"oom_kill_disable", "OomKillDisable"}})
      if (const Node* flag = service_.find(key); flag && flag->is_bool()) host_.set(field, flag->as_bool());
  }

  Result<void> bytes(const char* field, const std::string& text, const char* key) {
    if (text.empty()) return {};
    if (text == "-1") host_.set(field, -1);
    else host_.set(field, TRY_AS(key, docker::parse_bytes(text)));
    return {};
  }

  Result<void> limits() {
    auto either = [&](const char* key, const Node* deployed) { return deployed ? scalar(deployed) : scalar(service_.find(key)); };
    TRY(bytes("Memory", either("mem_limit", service_.at("deploy", "resources", "limits", "memory")), "mem_limit"));
    TRY(bytes("MemoryReservation", either("mem_reservation", service_.at("deploy", "resources", "reservations", "memory")),
              "mem_reservation"));
    TRY(bytes("MemorySwap", scalar(service_.find("memswap_limit")), "memswap_limit"));
    TRY(bytes("ShmSize", scalar(service_.find("shm_size")), "shm_size"));
    if (const std::string cpus = either("cpus", service_.at("deploy", "resources", "limits", "cpus")); !cpus.empty())
      host_.set("NanoCpus", TRY_AS("cpus", docker::parse_nano_cpus(cpus)));
    if (const std::string pids = either("pids_limit", service_.at("deploy", "resources", "limits", "pids")); !pids.empty())
      host_.set("PidsLimit", parse_number<int64_t>(pids).value_or(0));
    host_.maybe("CpusetCpus", scalar(service_.find("cpuset")));
    for (auto [key, field] : {std::pair{"cpu_shares", "CpuShares"},
                              {"mem_swappiness", "MemorySwappiness"},
                              {"oom_score_adj", "OomScoreAdj"},
                              {"cpu_count", "CpuCount"},
                              {"cpu_percent", "CpuPercent"}})
      if (const Node* number = service_.find(key)) host_.set(field, number->as_int().value_or(0));
    for (auto [key, field] : {std::pair{"cpu_period", "CpuPeriod"},
                              {"cpu_quota", "CpuQuota"},
                              {"cpu_rt_period", "CpuRealtimePeriod"},
                              {"cpu_rt_runtime", "CpuRealtimeRuntime"}})
      if (const std::string value = scalar(service_.find(key)); !value.empty()) {
        auto number = parse_number<int64_t>(value);
        host_.set(field, number ? *number : TRY_AS(key, parse_go_duration(value)).count() / 1000);
      }
    return {};
  }

  Result<void> restart() {
    if (options_.one_off) return {};
    std::string policy(service_.string_at("restart"));
    if (const Node* deploy = service_.at("deploy", "restart_policy"); deploy && policy.empty()) {
      const std::string condition(deploy->string_at("condition"));
      policy = condition == "none" ? "no" : condition == "on-failure" ? "on-failure" : "always";
      if (const Node* most = deploy->find("max_attempts"); most && policy == "on-failure") policy += ":" + scalar(most);
    }
    return policy.empty() ? Result<void>() : docker::set_restart_policy(policy, host_);
  }

  void ulimits() {
    const Node* limits = service_.find("ulimits");
    if (!limits || !limits->is_object()) return;
    for (const Node& each : *limits) {
      const bool pair = each.is_object();
      const std::string soft = scalar(pair ? each.find("soft") : &each), hard = scalar(pair ? each.find("hard") : &each);
      Object out = host_.append("Ulimits");
      out.set("Name", each.key()).set("Soft", parse_number<int64_t>(soft).value_or(0)).set("Hard", parse_number<int64_t>(hard).value_or(0));
    }
  }

  void logging() {
    const Node* logging = service_.find("logging");
    if (!logging || !logging->is_object()) return;
    Object config = host_.object("LogConfig");
    config.set("Type", logging->string_at("driver").empty() ? "json-file" : logging->string_at("driver"));
    if (const Node* options = logging->find("options")) config.put("Config", config.document().copy(*options));
  }

  const Project& project_;
  const Node& service_;
  const BodyOptions& options_;
  Object body_, host_;
};

}  // namespace

std::string grant_target(std::string_view kind, const Node& grant) {
  const std::string target(grant.string_at("target")), source(grant.string_at("source"));
  if (target.starts_with('/')) return target;
  const std::string base = kind == "secrets" ? "/run/secrets/" : "/";
  return base + (target.empty() ? source : target);
}

Result<void> host_config(const Project& project, const Node& service, const BodyOptions& options, Object body) {
  return Host(project, service, options, body).run();
}

}  // namespace estiba::cli::compose
