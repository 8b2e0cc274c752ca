#include "engine/cdi_file.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "base/strings.h"
#include "engine/files.h"
#include "model/cdi_name.h"
#include "model/yaml.h"
#include "runtime/decode.h"

namespace estiba::engine {

using runtime::field_error;
using runtime::read;

namespace {

// Released versions ("Released versions" of the specification).
constexpr std::array<std::string_view, 10> versions{"0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0",
                                                    "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"};

Result<void> check_object(const json::Node& node, const std::string& field, std::initializer_list<std::string_view> keys) {
  if (!node.is_object()) return field_error(field, "must be an object");
  for (const json::Node& member : node)
    if (std::ranges::find(keys, member.key()) == keys.end())
      return field_error(field.empty() ? std::string(member.key()) : field + "." + std::string(member.key()), "is no field of CDI 1.0");
  return {};
}

Result<void> check_absolute(const std::string& path, const std::string& field) {
  if (path.starts_with('/')) return {};
  return field_error(field, path.empty() ? "is required" : "must be an absolute path, not " + quoted(path));
}

/// Calls `each` with every element of the list `key` and the element's field.
template <class F>
Result<void> for_each(const json::Node& object, std::string_view key, const std::string& field, F each) {
  const json::Node* list = object.find(key);
  if (!list || list->is_null()) return {};
  const std::string name = field.empty() ? std::string(key) : field + "." + std::string(key);
  if (!list->is_array()) return field_error(name, "must be a list");
  size_t i = 0;
  for (const json::Node& element : *list) TRY(each(element, name + "[" + std::to_string(i++) + "]"));
  return {};
}

Result<void> read_device_node(const json::Node& node, const std::string& field, CdiEdits& out) {
  TRY(check_object(node, field, {"path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid"}));
  CdiEdits::Device device;
  std::string type;
  TRY(read(node, "path", field, device.node.path));
  TRY(read(node, "hostPath", field, device.host_path));
  TRY(read(node, "type", field, type));
  TRY(read(node, "major", field, device.node.major));
  TRY(read(node, "minor", field, device.node.minor));
  TRY(read(node, "fileMode", field, device.node.file_mode));
  TRY(read(node, "permissions", field, device.permissions));
  TRY(read(node, "uid", field, device.node.uid));
  TRY(read(node, "gid", field, device.node.gid));
  TRY(check_absolute(device.node.path, field + ".path"));
  if (!device.host_path.empty()) TRY(check_absolute(device.host_path, field + ".hostPath"));
  if (!type.empty() && (type.size() != 1 || !std::string_view("bcup").contains(type[0])))
    return field_error(field + ".type", "must be b, c, u or p, not " + quoted(type));
  if (device.permissions.find_first_not_of("rwm") != std::string::npos)
    return field_error(field + ".permissions", "must be of r, w and m, not " + quoted(device.permissions));
  if (device.permissions.empty()) device.permissions = "rwm";
  device.node.type = type.empty() ? '\0' : type[0];
  out.devices.push_back(std::move(device));
  return {};
}

Result<void> read_mount(const json::Node& node, const std::string& field, CdiEdits& out) {
  TRY(check_object(node, field, {"hostPath", "containerPath", "options", "type"}));
  runtime::SpecMount mount;
  TRY(read(node, "hostPath", field, mount.source));
  TRY(read(node, "containerPath", field, mount.destination));
  TRY(read(node, "options", field, mount.options));
  TRY(read(node, "type", field, mount.type));
  if (mount.source.empty()) return field_error(field + ".hostPath", "is required");
  TRY(check_absolute(mount.destination, field + ".containerPath"));
  if (mount.type.empty()) mount.type = "bind";
  if (mount.type == "bind" && !std::ranges::contains(mount.options, "bind") && !std::ranges::contains(mount.options, "rbind"))
    mount.options.emplace_back("bind");
  out.mounts.push_back(std::move(mount));
  return {};
}

Result<void> read_hook(const json::Node& node, const std::string& field, CdiEdits& out) {
  TRY(check_object(node, field, {"hookName", "path", "args", "env", "timeout"}));
  std::string name;
  runtime::SpecHook hook;
  TRY(read(node, "hookName", field, name));
  TRY(read(node, "path", field, hook.path));
  TRY(read(node, "args", field, hook.args));
  TRY(read(node, "env", field, hook.env));
  TRY(read(node, "timeout", field, hook.timeout_seconds));
  TRY(check_absolute(hook.path, field + ".path"));
  if (hook.timeout_seconds && *hook.timeout_seconds <= 0) return field_error(field + ".timeout", "must be greater than 0");
  const auto kind = std::ranges::find(cdi_hooks, name, &CdiHookKind::name);
  if (kind == cdi_hooks.end())
    return field_error(field + ".hookName",
                       "must be prestart, createRuntime, createContainer, startContainer, poststart or poststop, not " + quoted(name));
  (out.hooks.*kind->list).push_back(std::move(hook));
  return {};
}

Result<CdiEdits> read_edits(const json::Node& parent, const std::string& parent_field) {
  const std::string field = parent_field.empty() ? "containerEdits" : parent_field + ".containerEdits";
  CdiEdits out;
  const json::Node* node = parent.find("containerEdits");
  if (!node || node->is_null()) return out;
  TRY(check_object(*node, field, {"env", "deviceNodes", "netDevices", "mounts", "hooks", "intelRdt", "additionalGids"}));
  for (const char* key : {"intelRdt", "netDevices"})
    if (const json::Node* value = node->find(key); value && !value->is_null() && !value->empty()) out.unsupported = field + "." + key;
  TRY(read(*node, "env", field, out.env));
  for (const std::string& item : out.env)
    if (item.find('=') == std::string::npos || item.starts_with('='))
      return field_error(field + ".env", "must be NAME=value, not " + quoted(item));
  TRY(for_each(*node, "deviceNodes", field, [&](const json::Node& one, const std::string& at) { return read_device_node(one, at, out); }));
  TRY(for_each(*node, "mounts", field, [&](const json::Node& one, const std::string& at) { return read_mount(one, at, out); }));
  TRY(for_each(*node, "hooks", field, [&](const json::Node& one, const std::string& at) { return read_hook(one, at, out); }));
  TRY(read(*node, "additionalGids", field, out.additional_gids));
  std::erase(out.additional_gids, 0u);
  return out;
}

Result<void> read_device(const json::Node& node, const std::string& field, CdiFile& out) {
  TRY(check_object(node, field, {"name", "annotations", "containerEdits"}));
  std::string name;
  TRY(read(node, "name", field, name));
  if (!model::is_cdi_device(name))
    return field_error(field + ".name", "must be letters, digits, _, -, . and :, a letter or digit first and last, not " + quoted(name));
  const json::Node* edits = node.find("containerEdits");
  if (!edits || edits->is_null() || (edits->is_object() && edits->empty())) return field_error(field + ".containerEdits", "is required");
  if (!out.devices.emplace(name, TRY(read_edits(node, field))).second)
    return field_error(field + ".name", quoted(name) + " is there twice");
  return {};
}

Result<CdiFile> read_document(const json::Node& root, const std::string& path) {
  CdiFile out;
  out.path = path;
  if (!root.is_object()) return fail(Code::invalid, "it must be an object with cdiVersion, kind and devices");
  TRY(check_object(root, "", {"cdiVersion", "kind", "annotations", "devices", "containerEdits"}));
  std::string version;
  TRY(read(root, "cdiVersion", "", version));
  if (std::ranges::find(versions, version) == versions.end())
    return field_error("cdiVersion", quoted(version) + " is no version that is known here; 1.0.0 is, and those before it");
  TRY(read(root, "kind", "", out.kind));
  if (!model::is_cdi_kind(out.kind)) return field_error("kind", "must be VENDOR/CLASS as in vendor.com/gpu, not " + quoted(out.kind));
  out.edits = TRY(read_edits(root, ""));
  TRY(for_each(root, "devices", "", [&](const json::Node& one, const std::string& at) { return read_device(one, at, out); }));
  if (out.devices.empty()) return field_error("devices", "must have at least one device");
  return out;
}

}  // namespace

Result<CdiFile> read_cdi_file(const std::string& path) {
  const std::string text = TRY(read_file(path));
  auto document = path.ends_with(".json") ? json::Document::parse(text) : model::parse_yaml(text);
  if (!document) return std::unexpected(std::move(document.error()).context(path));
  return within(path, read_document(document->root(), path));
}

}  // namespace estiba::engine
