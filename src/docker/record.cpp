// What of a Container is kept on disk, as JSON.
#include "base/strings.h"
#include "base/time.h"
#include "docker/containers.h"
#include "docker/json_writer.h"

namespace estiba::docker {

namespace {

using json::Node;

std::string string_of(const Node& node, std::string_view key) { return std::string(node.string_at(key)); }
int64_t int_of(const Node& node, std::string_view key, int64_t otherwise = 0) {
  const Node* found = node.find(key);
  return found ? found->as_int().value_or(otherwise) : otherwise;
}
bool bool_of(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  return found && found->as_bool();
}
WallTime time_of(const Node& node, std::string_view key) { return WallTime(Duration(int_of(node, key))); }

std::vector<std::string> strings_of(const Node* node) {
  std::vector<std::string> out;
  if (node)
    for (const Node& item : *node) out.emplace_back(item.as_string());
  return out;
}

json::Document document_of(const Node& node, std::string_view key) {
  json::Document out;
  const Node* found = node.find(key);
  out.set_root(found ? out.copy(*found) : out.make_object());
  return out;
}

void put_mounts(JsonWriter& out, const std::vector<MountPoint>& mounts) {
  out.array("mounts");
  for (const auto& m : mounts) {
    out.object().put("type", m.type).put("name", m.name).put("source", m.source).put("destination", m.destination).put("driver", m.driver);
    out.put("mode", m.mode)
        .put("propagation", m.propagation)
        .put("subpath", m.subpath)
        .put("writable", m.writable)
        .put("copyUp", m.copy_up);
    out.put("anonymous", m.anonymous).put("recursiveReadonly", m.recursive_readonly).put("makeSource", m.make_source).end();
  }
  out.end();
}

std::vector<MountPoint> mounts_of(const Node* list) {
  std::vector<MountPoint> out;
  if (!list) return out;
  for (const Node& item : *list) {
    MountPoint m;
    m.type = string_of(item, "type");
    m.name = string_of(item, "name");
    m.source = string_of(item, "source");
    m.destination = string_of(item, "destination");
    m.driver = string_of(item, "driver");
    m.mode = string_of(item, "mode");
    m.propagation = string_of(item, "propagation");
    m.subpath = string_of(item, "subpath");
    m.writable = bool_of(item, "writable");
    m.copy_up = bool_of(item, "copyUp");
    m.anonymous = bool_of(item, "anonymous");
    m.recursive_readonly = bool_of(item, "recursiveReadonly");
    m.make_source = bool_of(item, "makeSource");
    out.push_back(std::move(m));
  }
  return out;
}

Result<Status> parse_status(std::string_view text) {
  for (Status status :
       {Status::created, Status::running, Status::paused, Status::restarting, Status::removing, Status::exited, Status::dead})
    if (to_string(status) == text) return status;
  return fail(Code::malformed, "unknown status " + quoted(text));
}

}  // namespace

Facts facts_of(const Node& config, const Node& host_config) {
  Facts out;
  if (const Node* labels = config.find("Labels"))
    for (const Node& label : *labels) out.labels.emplace(label.key(), label.as_string());
  out.command = strings_of(config.find("Entrypoint"));
  for (auto& word : strings_of(config.find("Cmd"))) out.command.push_back(std::move(word));
  out.tty = bool_of(config, "Tty");
  out.open_stdin = bool_of(config, "OpenStdin");
  out.stdin_once = bool_of(config, "StdinOnce");
  out.stop_signal = string_of(config, "StopSignal");
  if (out.stop_signal.empty()) out.stop_signal = "SIGTERM";
  if (const Node* timeout = config.find("StopTimeout")) out.stop_timeout = timeout->as_int();
  out.auto_remove = bool_of(host_config, "AutoRemove");
  out.privileged = bool_of(host_config, "Privileged");
  out.network_mode = string_of(host_config, "NetworkMode");
  if (const Node* policy = host_config.find("RestartPolicy")) {
    out.restart_policy = string_of(*policy, "Name");
    out.max_retries = int_of(*policy, "MaximumRetryCount");
  }
  if (out.restart_policy.empty()) out.restart_policy = "no";
  out.log_type = std::string(host_config.string_at("LogConfig", "Type"));
  return out;
}

std::string print_record(const Container& c) {
  JsonWriter out;
  out.object().put("version", 1).put("id", c.id).put("name", c.name).put("created", c.created.time_since_epoch().count());
  out.put("image", c.image).put("imageId", c.image_id);
  out.put_raw("config", json::print(c.config.root())).put_raw("hostConfig", json::print(c.host_config.root()));
  out.put_raw("endpoints", json::print(c.endpoints.root()));
  put_mounts(out, c.mounts);
  out.put("status", to_string(c.status)).put("exitCode", c.exit_code).put("oomKilled", c.oom_killed).put("error", c.error);
  out.put("started", c.started.time_since_epoch().count()).put("finished", c.finished.time_since_epoch().count());
  out.put("restartCount", c.restart_count).put("manuallyStopped", c.manually_stopped).put("creating", c.creating);
  return out.end().take();
}

Result<ContainerRef> parse_record(std::string_view text) {
  auto parsed = TRY(json::Document::parse(text));
  const Node& root = parsed.root();
  if (int_of(root, "version") != 1) return fail(Code::unsupported, "the record's version is not 1");
  auto c = std::make_shared<Container>();
  c->id = string_of(root, "id");
  c->name = string_of(root, "name");
  if (c->id.size() != 64 || c->name.empty()) return fail(Code::malformed, "the record has no id or name");
  c->created = time_of(root, "created");
  c->image = string_of(root, "image");
  c->image_id = string_of(root, "imageId");
  c->config = document_of(root, "config");
  c->host_config = document_of(root, "hostConfig");
  c->endpoints = document_of(root, "endpoints");
  c->mounts = mounts_of(root.find("mounts"));
  c->status = TRY(parse_status(root.string_at("status")));
  c->exit_code = int(int_of(root, "exitCode"));
  c->oom_killed = bool_of(root, "oomKilled");
  c->error = string_of(root, "error");
  c->started = time_of(root, "started");
  c->finished = time_of(root, "finished");
  c->restart_count = int_of(root, "restartCount");
  c->manually_stopped = bool_of(root, "manuallyStopped");
  c->creating = bool_of(root, "creating");
  c->facts = facts_of(c->config.root(), c->host_config.root());
  return c;
}

}  // namespace estiba::docker
