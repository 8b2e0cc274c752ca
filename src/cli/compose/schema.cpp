#include "cli/compose/schema.h"

#include <vector>

#include "base/strings.h"
#include "cli/flags.h"

namespace estiba::cli::compose {
namespace {

// "key:kind" or "key:kind:type". Kinds: t text (a number or boolean counts), n number, b boolean, l list of texts, tl text or list of
// texts, m map of texts or list of KEY=VALUE, o object of a type, to text or object, M map of objects, lM list of names or map of
// objects, L list of texts or objects, any.
struct Type {
  std::string_view name, fields;
};
constexpr Type types[] = {
    {"project",
     "version:t name:t services:M:service networks:M:network volumes:M:volume secrets:M:file configs:M:file include:any models:any"},
    {"service",
     "annotations:m attach:b blkio_config:any build:to:build cap_add:l cap_drop:l cgroup:t cgroup_parent:t command:tl configs:L:grant "
     "container_name:t cpu_count:n cpu_percent:n cpu_period:t cpu_quota:t cpu_rt_period:t cpu_rt_runtime:t cpu_shares:n cpus:n cpuset:t "
     "credential_spec:any depends_on:lM:dependency deploy:o:deploy develop:any device_cgroup_rules:l devices:L:device dns:tl dns_opt:l "
     "dns_search:tl domainname:t entrypoint:tl env_file:any environment:m expose:l extends:to:extends external_links:l extra_hosts:m "
     "gpus:any "
     "group_add:l healthcheck:o:healthcheck hostname:t image:t init:b ipc:t isolation:t label_file:tl labels:m links:l logging:o:logging "
     "mac_address:t mem_limit:t mem_reservation:t mem_swappiness:n memswap_limit:t models:any network_mode:t networks:lM:attachment "
     "oom_kill_disable:b oom_score_adj:n pid:t pids_limit:n platform:t ports:L:port post_start:any pre_stop:any privileged:b profiles:l "
     "provider:any pull_policy:t pull_refresh_after:t read_only:b restart:t runtime:t scale:n secrets:L:grant security_opt:l shm_size:t "
     "stdin_open:b stop_grace_period:t stop_signal:t storage_opt:any sysctls:m tmpfs:tl tty:b ulimits:any use_api_socket:b user:t "
     "userns_mode:t uts:t volumes:L:mount volumes_from:l working_dir:t"},
    {"build",
     "additional_contexts:m args:m cache_from:l cache_to:l context:t dockerfile:t dockerfile_inline:t entitlements:l extra_hosts:m "
     "isolation:t labels:m network:t no_cache:b platforms:l privileged:b provenance:any pull:b sbom:any secrets:L:grant shm_size:t ssh:any "
     "tags:l target:t ulimits:any"},
    {"healthcheck", "disable:b interval:t retries:n start_interval:t start_period:t test:tl timeout:t"},
    {"deploy",
     "endpoint_mode:t labels:m mode:t placement:any replicas:n resources:o:resources restart_policy:o:restart_policy rollback_config:any "
     "update_config:any"},
    {"resources", "limits:o:limits reservations:o:reservations"},
    {"limits", "cpus:t memory:t pids:n"},
    {"reservations", "cpus:t devices:any generic_resources:any memory:t"},
    {"restart_policy", "condition:t delay:t max_attempts:n window:t"},
    {"logging", "driver:t options:any"},
    {"dependency", "condition:t required:b restart:b"},
    {"device", "source:t target:t permissions:t"},
    {"extends", "file:t service:t"},
    {"port", "app_protocol:t host_ip:t mode:t name:t protocol:t published:t target:n"},
    {"mount", "bind:o:bind consistency:t image:any read_only:b source:t target:t tmpfs:o:tmpfs type:t volume:o:volume_options"},
    {"bind", "create_host_path:b propagation:t recursive:t selinux:t"},
    {"volume_options", "labels:m nocopy:b subpath:t"},
    {"tmpfs", "mode:n size:t"},
    {"grant", "gid:t mode:n source:t target:t uid:t"},
    {"attachment",
     "aliases:l driver_opts:any gw_priority:n interface_name:t ipv4_address:t ipv6_address:t link_local_ips:l mac_address:t priority:n"},
    {"network", "attachable:b driver:t driver_opts:any enable_ipv4:b enable_ipv6:b external:any internal:b ipam:o:ipam labels:m name:t"},
    {"ipam", "config:any driver:t options:any"},
    {"volume", "driver:t driver_opts:any external:any labels:m name:t"},
    {"file", "content:t driver:t driver_opts:any environment:t external:any file:t labels:m name:t template_driver:t"},
};

struct Field {
  std::string_view key, kind, type;
};

std::string_view fields_of(std::string_view name) {
  for (const Type& type : types)
    if (type.name == name) return type.fields;
  return {};
}

bool find_field(std::string_view fields, std::string_view key, Field& out) {
  for (std::string_view each : split(fields, ' ')) {
    auto [name, rest] = split_once(each, ':');
    if (name != key) continue;
    auto [kind, type] = split_once(*rest, ':');
    out = {name, kind, type.value_or("")};
    return true;
  }
  return false;
}

std::string_view said(const json::Node& node) {
  switch (node.type()) {
    case json::Type::null: return "nothing";
    case json::Type::boolean: return "a boolean";
    case json::Type::number: return "a number";
    case json::Type::string: return "a text";
    case json::Type::array: return "a list";
    case json::Type::object: return "a map";
  }
  return "";
}

class Check {
 public:
  explicit Check(std::string_view file) : file_(file) {}

  Result<void> object(const json::Node& node, std::string_view type, const std::string& path) {
    const std::string_view fields = fields_of(type);
    for (const json::Node& member : node) {
      const std::string_view key = member.key();
      if (key.starts_with("x-")) continue;
      const std::string inner = path.empty() ? std::string(key) : path + "." + std::string(key);
      Field field;
      if (!find_field(fields, key, field)) return unknown(inner, key, fields);
      if (!member.is_null()) TRY(value(member, field, inner));
    }
    return {};
  }

 private:
  std::unexpected<Error> stop(const std::string& path, const std::string& what) const {
    return fail(Code::invalid, std::string(file_) + ": " + path + ": " + what);
  }
  std::unexpected<Error> expected(const std::string& path, std::string_view what, const json::Node& node) const {
    return stop(path, std::string(what) + " is expected, but it is " + std::string(said(node)));
  }
  std::unexpected<Error> unknown(const std::string& path, std::string_view key, std::string_view fields) const {
    std::vector<std::string_view> known;
    for (std::string_view each : split(fields, ' ')) known.push_back(split_once(each, ':').first);
    const std::string_view near = nearest(key, known);
    return stop(path, "unknown key" + (near.empty() ? "; keys of your own begin with x-" : "; did you mean " + quoted(near) + "?"));
  }
  static bool scalar(const json::Node& node) { return node.is_string() || node.is_number() || node.is_bool(); }

  Result<void> texts(const json::Node& node, const std::string& path) {
    uint32_t i = 0;
    for (const json::Node& item : node) {
      if (!scalar(item)) return expected(path + "[" + std::to_string(i) + "]", "a text", item);
      ++i;
    }
    return {};
  }

  Result<void> value(const json::Node& node, const Field& field, const std::string& path) {
    const std::string_view kind = field.kind;
    if (kind == "t") return scalar(node) ? Result<void>() : expected(path, "a text", node);
    if (kind == "n") return number(node, path);
    if (kind == "b") return boolean(node, path);
    if (kind == "l") return node.is_array() ? texts(node, path) : expected(path, "a list", node);
    if (kind == "tl") return scalar(node) ? Result<void>() : node.is_array() ? texts(node, path) : expected(path, "a text or a list", node);
    if (kind == "m") return map(node, path);
    if (kind == "o" && !node.is_object()) return expected(path, "a map", node);
    if (kind == "to" && !node.is_object()) return scalar(node) ? Result<void>() : expected(path, "a text or a map", node);
    if (kind == "o" || kind == "to") return object(node, field.type, path);
    if (kind == "lM" && node.is_array()) return texts(node, path);
    if (kind == "M" || kind == "lM") return objects(node, field.type, path);
    if (kind == "L") return list(node, field.type, path);
    return {};
  }

  Result<void> number(const json::Node& node, const std::string& path) {
    if (node.is_number()) return {};
    // What a variable gave is a text.
    const std::string_view text = node.as_string();
    if (!text.empty() && text.find_first_not_of("0123456789.-") == text.npos) return {};
    return node.is_string() ? stop(path, "a number is expected, but it is " + quoted(text)) : expected(path, "a number", node);
  }
  Result<void> boolean(const json::Node& node, const std::string& path) {
    if (node.is_bool()) return {};
    const std::string text = to_lower(node.as_string());
    if (text == "true" || text == "false" || text == "yes" || text == "no" || text == "on" || text == "off" || text == "1" || text == "0")
      return {};
    return node.is_string() ? stop(path, "true or false is expected, but it is " + quoted(node.as_string()))
                            : expected(path, "true or false", node);
  }
  Result<void> map(const json::Node& node, const std::string& path) {
    if (node.is_array()) return texts(node, path);
    if (!node.is_object()) return expected(path, "a map or a list", node);
    for (const json::Node& member : node)
      if (!member.is_null() && !scalar(member) && !member.is_array())
        return expected(path + "." + std::string(member.key()), "a text", member);
    return {};
  }
  Result<void> objects(const json::Node& node, std::string_view type, const std::string& path) {
    if (!node.is_object()) return expected(path, "a map", node);
    for (const json::Node& member : node) {
      const std::string inner = path + "." + std::string(member.key());
      if (member.is_null() && type != "service") continue;
      if (member.key().starts_with("x-")) continue;
      if (!member.is_object()) return expected(inner, "a map", member);
      TRY(object(member, type, inner));
    }
    return {};
  }
  Result<void> list(const json::Node& node, std::string_view type, const std::string& path) {
    if (!node.is_array()) return expected(path, "a list", node);
    uint32_t i = 0;
    for (const json::Node& item : node) {
      const std::string inner = path + "[" + std::to_string(i++) + "]";
      if (item.is_object()) TRY(object(item, type, inner));
      else if (!scalar(item)) return expected(inner, "a text or a map", item);
    }
    return {};
  }

  std::string_view file_;
};

void cast(json::Document& document, json::Node& node, std::string_view type) {
  const std::string_view fields = fields_of(type);
  for (json::Node& member : node) {
    Field field;
    if (!find_field(fields, member.key(), field)) continue;
    const std::string_view kind = field.kind;
    if (kind == "n" && member.is_string()) {
      // The check let digits, dots and minus signs through.
      if (auto parsed = json::Document::parse(member.as_string())) document.assign(member, parsed->root());
    } else if (kind == "b" && member.is_string()) {
      const std::string text = to_lower(member.as_string());
      document.assign(member, document.make_bool(text == "true" || text == "yes" || text == "on" || text == "1"));
    } else if ((kind == "o" || kind == "to") && member.is_object()) {
      cast(document, member, field.type);
    } else if ((kind == "M" || kind == "lM") && member.is_object()) {
      for (json::Node& each : member)
        if (each.is_object()) cast(document, each, field.type);
    } else if (kind == "L" && member.is_array()) {
      for (json::Node& each : member)
        if (each.is_object()) cast(document, each, field.type);
    }
  }
}

}  // namespace

void cast_scalars(json::Document& document, json::Node& root) { cast(document, root, "project"); }

Result<void> check_schema(const json::Node& root, std::string_view file) {
  if (!root.is_object())
    return fail(Code::invalid, std::string(file) + ": a map with services is expected, but it is " + std::string(said(root)));
  return Check(file).object(root, "project", "");
}

}  // namespace estiba::cli::compose
