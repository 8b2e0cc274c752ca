#include "engine/record.h"

#include "base/strings.h"
#include "base/time.h"
#include "model/json.h"

namespace estiba::engine {
namespace {

using json::Document;
using json::Node;

void put(Document& doc, Node& to, const char* key, const Labels& map) {
  if (map.empty()) return;
  Node& node = doc.set(to, key, doc.make_object());
  for (const auto& [name, value] : map) doc.set(node, name, value);
}
void put(Document& doc, Node& to, const char* key, WallTime time) {
  if (time != WallTime{}) doc.set(to, key, format_rfc3339_nano(time));
}

void put(Document& doc, Node& to, const std::optional<NumericUser>& user) {
  if (!user) return;
  Node& node = doc.set(to, "user", doc.make_object());
  doc.set(node, "uid", doc.make_int(user->uid));
  doc.set(node, "gid", doc.make_int(user->gid));
  Node& groups = doc.set(node, "groups", doc.make_array());
  for (const uint32_t group : user->groups) doc.append(groups, doc.make_int(group));
}

Labels labels_at(const Node& node, const char* key) {
  Labels out;
  if (const Node* map = node.find(key); map && map->is_object())
    for (const auto& item : *map) out.emplace(item.key(), item.as_string());
  return out;
}
bool flag_at(const Node& node, const char* key) {
  const Node* value = node.find(key);
  return value && value->as_bool();
}
int64_t int_at(const Node& node, const char* key) {
  const Node* value = node.find(key);
  return value ? value->as_int().value_or(0) : 0;
}
std::optional<NumericUser> user_at(const Node& node) {
  const Node* user = node.find("user");
  if (!user) return std::nullopt;
  NumericUser out{.uid = uint32_t(int_at(*user, "uid")), .gid = uint32_t(int_at(*user, "gid")), .groups = {}};
  if (const Node* groups = user->find("groups"))
    for (const Node& group : *groups) out.groups.push_back(uint32_t(group.as_int().value_or(0)));
  return out;
}
WallTime time_at(const Node& node, const char* key) {
  auto time = parse_rfc3339(node.string_at(key));
  return time ? *time : WallTime{};
}

void put(Document& doc, Node& to, const char* key, const std::vector<UserNamespace::Range>& ranges) {
  Node& list = doc.set(to, key, doc.make_array());
  for (const UserNamespace::Range& range : ranges) {
    Node& item = doc.append(list, doc.make_object());
    doc.set(item, "containerId", doc.make_int(range.inside));
    doc.set(item, "hostId", doc.make_int(range.outside));
    doc.set(item, "length", doc.make_int(range.size));
  }
}

std::vector<UserNamespace::Range> ranges_at(const Node& node, const char* key) {
  std::vector<UserNamespace::Range> out;
  if (const Node* list = node.find(key); list && list->is_array())
    for (const Node& item : *list)
      out.push_back({uint32_t(int_at(item, "containerId")), uint32_t(int_at(item, "hostId")), uint32_t(int_at(item, "length"))});
  return out;
}

constexpr const char* phases[] = {"creating", "created", "failed"};

}  // namespace

std::string print_record(const SandboxRecord& r) {
  Document doc;
  Node& root = doc.make_object();
  doc.set_root(root);
  doc.set(root, "uid", r.uid);
  doc.set(root, "name", r.name);
  doc.set(root, "namespace", r.ns);
  if (!r.owner.empty()) doc.set(root, "owner", r.owner);
  doc.set(root, "hostname", r.hostname);
  doc.set(root, "netns", r.netns_path);
  if (r.users) {
    doc.set(root, "userns", r.users.path);
    put(doc, root, "uidMappings", r.users.uids);
    put(doc, root, "gidMappings", r.users.gids);
  }
  doc.set(root, "cgroup", r.cgroup_parent);
  doc.set(root, "logs", r.log_dir);
  doc.set(root, "hostPID", doc.make_bool(r.host_pid));
  doc.set(root, "hostIPC", doc.make_bool(r.host_ipc));
  doc.set(root, "sharePID", doc.make_bool(r.share_process_namespace));
  doc.set(root, "stopped", doc.make_bool(r.stopped));
  put(doc, root, "created", r.created);
  put(doc, root, "labels", r.labels);
  put(doc, root, "annotations", r.annotations);
  return json::print_pretty(root) + "\n";
}

std::string print_record(const ContainerRecord& r) {
  const ContainerStatus& s = r.status;
  Document doc;
  Node& root = doc.make_object();
  doc.set_root(root);
  doc.set(root, "id", s.id);
  doc.set(root, "name", s.name);
  doc.set(root, "pod", s.pod_uid);
  doc.set(root, "attempt", doc.make_int(s.attempt));
  doc.set(root, "phase", phases[size_t(r.phase)]);
  doc.set(root, "image", s.image);
  doc.set(root, "imageID", s.image_id);
  doc.set(root, "imageRef", s.image_ref);
  doc.set(root, "log", s.log_path);
  doc.set(root, "stopSignal", doc.make_int(s.stop_signal));
  put(doc, root, s.user);
  doc.set(root, "tty", doc.make_bool(r.tty));
  doc.set(root, "stdin", doc.make_bool(r.stdin_open));
  doc.set(root, "stdinOnce", doc.make_bool(r.stdin_once));
  doc.set(root, "keepRoot", doc.make_bool(r.keep_root));
  doc.set(root, "logMaxBytes", doc.make_int(int64_t(r.log_max_bytes)));
  doc.set(root, "logMaxFiles", doc.make_int(r.log_max_files));
  put(doc, root, "created", s.created);
  if (r.phase == ContainerRecord::Phase::failed) {
    put(doc, root, "finished", s.finished);
    doc.set(root, "exitCode", doc.make_int(s.exit_code));
    doc.set(root, "reason", s.reason);
    doc.set(root, "message", s.message);
  }
  put(doc, root, "labels", s.labels);
  put(doc, root, "annotations", s.annotations);
  return json::print_pretty(root) + "\n";
}

Result<SandboxRecord> parse_sandbox_record(std::string_view text) {
  Document doc = TRY(Document::parse(text));
  const Node& root = doc.root();
  SandboxRecord r;
  r.uid = root.string_at("uid");
  if (r.uid.empty()) return fail(Code::malformed, "sandbox.json has no uid");
  r.name = root.string_at("name");
  r.ns = root.string_at("namespace");
  r.owner = root.string_at("owner");
  r.hostname = root.string_at("hostname");
  r.netns_path = root.string_at("netns");
  r.users = {std::string(root.string_at("userns")), ranges_at(root, "uidMappings"), ranges_at(root, "gidMappings")};
  r.cgroup_parent = root.string_at("cgroup");
  r.log_dir = root.string_at("logs");
  r.host_pid = flag_at(root, "hostPID");
  r.host_ipc = flag_at(root, "hostIPC");
  r.share_process_namespace = flag_at(root, "sharePID");
  r.stopped = flag_at(root, "stopped");
  r.created = time_at(root, "created");
  r.labels = labels_at(root, "labels");
  r.annotations = labels_at(root, "annotations");
  return r;
}

Result<ContainerRecord> parse_container_record(std::string_view text) {
  Document doc = TRY(Document::parse(text));
  const Node& root = doc.root();
  ContainerRecord r;
  ContainerStatus& s = r.status;
  s.id = root.string_at("id");
  s.pod_uid = root.string_at("pod");
  if (s.id.empty() || s.pod_uid.empty()) return fail(Code::malformed, "container.json has no id or pod");
  s.name = root.string_at("name");
  s.attempt = uint32_t(int_at(root, "attempt"));
  for (size_t i = 0; i < std::size(phases); ++i)
    if (root.string_at("phase") == phases[i]) r.phase = ContainerRecord::Phase(i);
  s.image = root.string_at("image");
  s.image_id = root.string_at("imageID");
  s.image_ref = root.string_at("imageRef");
  s.log_path = root.string_at("log");
  s.stop_signal = int(int_at(root, "stopSignal"));
  s.user = user_at(root);
  r.tty = flag_at(root, "tty");
  r.stdin_open = flag_at(root, "stdin");
  r.stdin_once = flag_at(root, "stdinOnce");
  r.keep_root = flag_at(root, "keepRoot");
  if (root.find("logMaxBytes")) r.log_max_bytes = uint64_t(int_at(root, "logMaxBytes"));
  if (root.find("logMaxFiles")) r.log_max_files = uint32_t(int_at(root, "logMaxFiles"));
  s.created = time_at(root, "created");
  s.finished = time_at(root, "finished");
  s.exit_code = int(int_at(root, "exitCode"));
  s.reason = root.string_at("reason");
  s.message = root.string_at("message");
  s.labels = labels_at(root, "labels");
  s.annotations = labels_at(root, "annotations");
  if (r.phase == ContainerRecord::Phase::failed) s.state = ContainerState::exited;
  return r;
}

}  // namespace estiba::engine
