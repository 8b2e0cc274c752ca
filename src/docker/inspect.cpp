#include "docker/inspect.h"

#include <chrono>

#include "base/strings.h"
#include "base/time.h"
#include "docker/config.h"
#include "docker/json_writer.h"
#include "docker/network_spec.h"
#include "docker/times.h"

namespace estiba::docker {

namespace {

using json::Node;
using network::bridge::EndpointInfo;

const EndpointInfo* endpoint_of(const Shown& shown, std::string_view network) {
  if (shown.network)
    for (const auto& endpoint : shown.network->endpoints)
      if (endpoint.network_name == network) return &endpoint;
  return nullptr;
}

void put_given(JsonWriter& out, const Node& settings, std::string_view key) {
  const Node* value = settings.find(key);
  if (value && !value->is_null()) out.put_raw(key, json::print(*value));
  else out.put_null(key);
}

void put_endpoint(JsonWriter& out, std::string_view name, const Node& settings, const EndpointInfo* info, std::string_view network_id) {
  static const EndpointInfo nothing;
  const bool live = info != nullptr;
  if (!live) info = &nothing;
  out.object(name);
  put_given(out, settings, "IPAMConfig");
  put_given(out, settings, "Links");
  put_given(out, settings, "Aliases");
  out.put("MacAddress", live ? std::string_view(info->mac) : settings.string_at("MacAddress"));
  put_given(out, settings, "DriverOpts");
  out.put("GwPriority", int_at(settings, "GwPriority"))
      .put("NetworkID", live ? std::string_view(info->network_id) : network_id)
      .put("EndpointID", info->endpoint_id);
  out.put("Gateway", info->gateway).put("IPAddress", info->ipv4).put("IPPrefixLen", info->ipv4_length);
  out.put("IPv6Gateway", info->gateway6).put("GlobalIPv6Address", info->ipv6).put("GlobalIPv6PrefixLen", info->ipv6_length);
  if (info->dns_names.empty()) out.put_null("DNSNames");
  else out.put_list("DNSNames", info->dns_names);
  out.end();
}

void put_networks(JsonWriter& out, const Container& c, const Shown& shown) {
  out.object("Networks");
  for (const Node& item : c.endpoints.root()) {
    auto id = shown.network_ids.find(item.key());
    put_endpoint(out, item.key(), item, endpoint_of(shown, item.key()),
                 id == shown.network_ids.end() ? std::string_view() : std::string_view(id->second));
  }
  out.end();
}

void put_ports(JsonWriter& out, const Container& c, const Shown& shown) {
  out.object("Ports");
  if (shown.network) {
    std::map<std::string, std::vector<const network::bridge::BoundPort*>> ports;
    if (const Node* exposed = c.config.root().find("ExposedPorts"))
      for (const Node& item : *exposed) ports[std::string(item.key())];
    for (const auto& port : shown.network->ports) ports[print_port(port.container_port, port.protocol)].push_back(&port);
    for (const auto& [name, bound] : ports) {
      if (bound.empty()) {
        out.put_null(name);
        continue;
      }
      out.array(name);
      for (const auto* port : bound) out.object().put("HostIp", port->host_ip).put("HostPort", std::to_string(port->host_port)).end();
      out.end();
    }
  }
  out.end();
}

void put_network_settings(JsonWriter& out, const Container& c, const Shown& shown) {
  out.object("NetworkSettings").put("Bridge", "").put("SandboxID", shown.network ? std::string_view(shown.network->id) : "");
  out.put("SandboxKey", shown.network ? std::string_view(shown.network->netns_path) : "");
  put_ports(out, c, shown);
  out.put("HairpinMode", false)
      .put("LinkLocalIPv6Address", "")
      .put("LinkLocalIPv6PrefixLen", 0)
      .put_null("SecondaryIPAddresses")
      .put_null("SecondaryIPv6Addresses");
  // The addresses on the default bridge, where clients of old look for them.
  static const EndpointInfo nothing;
  const EndpointInfo* bridge = endpoint_of(shown, "bridge");
  if (!bridge) bridge = &nothing;
  out.put("EndpointID", bridge->endpoint_id)
      .put("Gateway", bridge->gateway)
      .put("GlobalIPv6Address", bridge->ipv6)
      .put("GlobalIPv6PrefixLen", bridge->ipv6_length);
  out.put("IPAddress", bridge->ipv4)
      .put("IPPrefixLen", bridge->ipv4_length)
      .put("IPv6Gateway", bridge->gateway6)
      .put("MacAddress", bridge->mac);
  put_networks(out, c, shown);
  out.end();
}

void put_mounts(JsonWriter& out, const Container& c) {
  out.array("Mounts");
  for (const MountPoint& m : c.mounts) {
    out.object().put("Type", m.type);
    if (m.type == "volume") out.put("Name", m.name);
    out.put("Source", m.source).put("Destination", m.destination);
    if (m.type == "volume") out.put("Driver", m.driver);
    out.put("Mode", m.mode == "nonrecursive" ? "" : m.mode).put("RW", m.writable).put("Propagation", m.propagation).end();
  }
  if (const Node* mounts = c.host_config.root().find("Mounts"))
    for (const Node& item : *mounts)
      if (item.string_at("Type") == "tmpfs")
        out.object()
            .put("Type", "tmpfs")
            .put("Source", "")
            .put("Destination", item.string_at("Target"))
            .put("Mode", "")
            .put("RW", !bool_at(item, "ReadOnly"))
            .put("Propagation", "")
            .end();
  out.end();
}

void put_state(JsonWriter& out, const Container& c) {
  const bool restarting = c.status == Status::restarting;
  out.object("State")
      .put("Status", to_string(c.status))
      .put("Running", c.running() || restarting)
      .put("Paused", c.status == Status::paused);
  out.put("Restarting", restarting)
      .put("OOMKilled", c.oom_killed)
      .put("Dead", c.status == Status::dead)
      .put("Pid", c.pid)
      .put("ExitCode", c.exit_code);
  out.put("Error", c.error).put("StartedAt", docker_time(c.started)).put("FinishedAt", docker_time(c.finished));
  if (c.health) {
    out.object("Health").put("Status", c.health->status).put("FailingStreak", c.health->failing_streak).array("Log");
    for (const HealthProbe& probe : c.health->log)
      out.object()
          .put("Start", docker_time(probe.start))
          .put("End", docker_time(probe.end))
          .put("ExitCode", probe.exit_code)
          .put("Output", probe.output)
          .end();
    out.end().end();
  }
  out.end();
}

void put_graph_driver(JsonWriter& out, const Container& c, const Shown& shown) {
  std::vector<std::string> layers(shown.layers.rbegin(), shown.layers.rend());
  out.object("GraphDriver").object("Data").put("ID", c.id).put("LowerDir", join(layers, ":")).put("MergedDir", shown.root_dir + "/rootfs");
  out.put("UpperDir", shown.upper_dir).put("WorkDir", shown.root_dir + "/work").end().put("Name", "overlay2").end();
}

}  // namespace

std::string inspect_json(const Container& c, const Shown& shown) {
  JsonWriter out;
  out.object().put("Id", c.id).put("Created", format_rfc3339_nano(c.created));
  out.put("Path", c.facts.command.empty() ? std::string() : c.facts.command.front());
  out.array("Args");
  for (size_t i = 1; i < c.facts.command.size(); ++i) out.add(c.facts.command[i]);
  out.end();
  put_state(out, c);
  const std::string_view other = other_of(c.facts.network_mode);
  const std::string files = shown.containers->files_dir_of(other, c);
  out.put("Image", c.image_id)
      .put("ResolvConfPath", files + "/resolv.conf")
      .put("HostnamePath", files + "/hostname")
      .put("HostsPath", files + "/hosts");
  out.put("LogPath", c.facts.log_type == "none" ? "" : shown.containers->log_path(c))
      .put("Name", "/" + c.name)
      .put("RestartCount", c.restart_count);
  out.put("Driver", "overlay2").put("Platform", "linux").put("MountLabel", "").put("ProcessLabel", "").put("AppArmorProfile", "");
  if (c.exec_ids.empty()) out.put_null("ExecIDs");
  else out.put_list("ExecIDs", c.exec_ids);
  out.put_raw("HostConfig", json::print(c.host_config.root()));
  put_graph_driver(out, c, shown);
  if (shown.size) out.put("SizeRw", shown.size->writable).put("SizeRootFs", shown.size->root);
  put_mounts(out, c);
  out.put_raw("Config", json::print(c.config.root()));
  put_network_settings(out, c, shown);
  return out.end().take();
}

std::string status_text(const Container& c, WallTime now) {
  switch (c.status) {
    case Status::created: return "Created";
    case Status::removing: return "Removal In Progress";
    case Status::dead: return "Dead";
    case Status::exited: return "Exited (" + std::to_string(c.exit_code) + ") " + human_duration(now - c.finished) + " ago";
    case Status::restarting: return "Restarting (" + std::to_string(c.exit_code) + ") " + human_duration(now - c.finished) + " ago";
    case Status::paused: return "Up " + human_duration(now - c.started) + " (Paused)";
    case Status::running: break;
  }
  std::string out = "Up " + human_duration(now - c.started);
  if (c.health) out += c.health->status == "starting" ? " (health: starting)" : " (" + c.health->status + ")";
  return out;
}

static std::string command_line(const Container& c) {
  std::string out;
  for (const auto& word : c.facts.command) {
    if (!out.empty()) out += ' ';
    // As dockerd does: what has spaces is quoted.
    out += word.find(' ') == word.npos ? word : "'" + word + "'";
  }
  return out;
}

std::string summary_json(const Container& c, const Shown& shown, std::string_view image, WallTime now) {
  JsonWriter out;
  out.object().put("Id", c.id).array("Names").add("/" + c.name).end();
  out.put("Image", image).put("ImageID", c.image_id).put("Command", command_line(c));
  out.put("Created", std::chrono::duration_cast<std::chrono::seconds>(c.created.time_since_epoch()).count());
  out.array("Ports");
  if (shown.network) {
    const auto& bound = shown.network->ports;
    if (const Node* exposed = c.config.root().find("ExposedPorts"))
      for (const Node& item : *exposed) {
        auto port = parse_port(item.key());
        if (!port) continue;
        const bool published = std::any_of(bound.begin(), bound.end(),
                                           [&](const auto& b) { return b.container_port == port->first && b.protocol == port->second; });
        if (!published) out.object().put("PrivatePort", port->first).put("Type", print_port(0, port->second).substr(2)).end();
      }
    for (const auto& b : bound)
      out.object()
          .put("IP", b.host_ip)
          .put("PrivatePort", b.container_port)
          .put("PublicPort", b.host_port)
          .put("Type", print_port(0, b.protocol).substr(2))
          .end();
  }
  out.end();
  if (shown.size) out.put("SizeRw", shown.size->writable).put("SizeRootFs", shown.size->root);
  out.put_map("Labels", c.facts.labels).put("State", to_string(c.status)).put("Status", status_text(c, now));
  out.object("HostConfig").put("NetworkMode", c.facts.network_mode).end();
  if (c.health) out.object("Health").put("Status", c.health->status).put("FailingStreak", c.health->failing_streak).end();
  out.object("NetworkSettings");
  put_networks(out, c, shown);
  out.end();
  put_mounts(out, c);
  return out.end().take();
}

}  // namespace estiba::docker
