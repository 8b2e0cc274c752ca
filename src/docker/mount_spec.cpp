#include "docker/mount_spec.h"

#include <algorithm>

#include "base/strings.h"
#include "docker/config.h"
#include "os/file.h"

namespace estiba::docker {

namespace {

using json::Node;

constexpr std::string_view propagations[] = {"private", "rprivate", "shared", "rshared", "slave", "rslave"};

bool is_propagation(std::string_view text) {
  return std::find(std::begin(propagations), std::end(propagations), text) != std::end(propagations);
}

/// "/a//b/../c/" → "/a/c"
std::string clean_path(std::string_view path) {
  std::vector<std::string_view> parts;
  for (std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") parts.push_back(part);
    else if (!parts.empty()) parts.pop_back();
  }
  std::string out;
  for (std::string_view part : parts) out.append("/").append(part);
  return out.empty() ? "/" : out;
}

std::unexpected<Error> bad_bind(std::string_view text, std::string_view why) {
  return fail(Code::invalid, "invalid volume specification: '" + std::string(text) + "'" + (why.empty() ? "" : ": " + std::string(why)));
}

Result<void> bind_options(MountPoint& mount, std::string_view text, std::string_view options) {
  bool access = false, propagation = false;
  for (std::string_view option : split(options, ',')) {
    if (option == "ro" || option == "rw") {
      if (access) return bad_bind(text, "invalid mode: " + std::string(options));
      access = true;
      mount.writable = option == "rw";
    } else if (is_propagation(option)) {
      if (propagation) return bad_bind(text, "invalid mode: " + std::string(options));
      propagation = true;
      mount.propagation = option;
    } else if (option == "nocopy") {
      mount.copy_up = false;
    } else if (option != "z" && option != "Z" && option != "consistent" && option != "cached" && option != "delegated") {
      return bad_bind(text, "invalid mode: " + std::string(options));
    }
  }
  if (propagation && mount.type != "bind") return bad_bind(text, "invalid mode: propagation is for binds only");
  return {};
}

Result<void> check_destination(std::string_view destination, std::string_view text) {
  if (!destination.starts_with('/'))
    return bad_bind(text, "invalid mount path: '" + std::string(destination) + "' mount path must be absolute");
  if (clean_path(destination) == "/") return bad_bind(text, "destination can't be '/'");
  return {};
}

void as_volume(MountPoint& mount, std::string_view name, std::string_view driver) {
  mount.type = "volume";
  mount.name = name;
  mount.driver = driver.empty() ? "local" : driver;
  mount.copy_up = true;
  mount.anonymous = name.empty();
}

bool is_volume_name(std::string_view name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  return name.size() >= 2 && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || c == '_' || c == '.' || c == '-'; });
}

std::unexpected<Error> bad_mount(std::string_view type, std::string why) {
  return fail(Code::invalid, "invalid mount config for type \"" + std::string(type) + "\": " + std::move(why));
}

Result<void> bind_mount(MountPoint& out, const Node& mount) {
  if (out.source.empty()) return bad_mount(out.type, "field Source must not be empty");
  if (!out.source.starts_with('/')) return bad_mount(out.type, "invalid mount path: '" + out.source + "' mount path must be absolute");
  out.propagation = "rprivate";
  const Node* options = mount.find("BindOptions");
  if (options && !options->string_at("Propagation").empty()) out.propagation = options->string_at("Propagation");
  if (!is_propagation(out.propagation)) return bad_mount(out.type, "invalid propagation mode: " + out.propagation);
  if (options && bool_at(*options, "NonRecursive")) out.mode = "nonrecursive";
  out.recursive_readonly = options && bool_at(*options, "ReadOnlyForceRecursive");
  const bool create = options && bool_at(*options, "CreateMountpoint");
  if (os::exists(out.source)) return {};
  if (!create) return bad_mount(out.type, "bind source path does not exist: " + out.source);
  return os::make_dirs(out.source);
}

void volume_mount(MountPoint& out, const Node& mount) {
  as_volume(out, mount.string_at("Source"), mount.string_at("VolumeOptions", "DriverConfig", "Name"));
  out.source.clear();
  const Node* options = mount.find("VolumeOptions");
  if (options && bool_at(*options, "NoCopy")) out.copy_up = false;
  if (options) out.subpath = options->string_at("Subpath");
}

Result<void> put(std::map<std::string, MountPoint>& out, MountPoint mount, std::map<std::string, bool>* explicit_ones) {
  if (explicit_ones && !explicit_ones->emplace(mount.destination, true).second)
    return fail(Code::invalid, "Duplicate mount point: " + mount.destination);
  std::string key = mount.destination;
  out.insert_or_assign(std::move(key), std::move(mount));
  return {};
}

Result<void> volumes_from(std::map<std::string, MountPoint>& out, const Node* list,
                          const std::function<Result<ContainerRef>(std::string_view)>& find) {
  if (!list) return {};
  for (const Node& item : *list) {
    auto [name, mode] = split_once(item.as_string(), ':');
    if (name.empty()) return fail(Code::invalid, "invalid volumes-from specification: '" + std::string(item.as_string()) + "'");
    if (mode && *mode != "ro" && *mode != "rw" && *mode != "z" && *mode != "Z")
      return fail(Code::invalid, "invalid mode for volumes-from: " + std::string(*mode));
    auto found = find(name);
    // Not "not found": clients would take the image for missing and pull it.
    if (!found) return fail(Code::invalid, found.error().message);
    ContainerRef other = *found;
    for (MountPoint mount : other->mounts) {
      mount.anonymous = false;  // it belongs to the other one
      mount.copy_up = false;
      if (mode && *mode == "ro") mount.writable = false;
      TRY(put(out, std::move(mount), nullptr));
    }
  }
  return {};
}

}  // namespace

Result<MountPoint> parse_bind(std::string_view text) {
  const auto parts = split(text, ':');
  if (parts.size() > 3 || parts[0].empty()) return bad_bind(text, "");
  MountPoint out;
  if (parts.size() == 1) {
    TRY(check_destination(parts[0], text));
    as_volume(out, "", "");
    out.destination = clean_path(parts[0]);
    return out;
  }
  TRY(check_destination(parts[1], text));
  out.destination = clean_path(parts[1]);
  if (parts[0].starts_with('/')) {
    out.type = "bind";
    out.source = clean_path(parts[0]);
    out.propagation = "rprivate";
    out.make_source = true;
  } else {
    if (!is_volume_name(parts[0]))
      return fail(Code::invalid, "create " + std::string(parts[0]) + ": \"" + std::string(parts[0]) +
                                     "\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are "
                                     "allowed. If you intended to pass a host directory, use absolute path");
    as_volume(out, parts[0], "");
  }
  if (parts.size() == 3) {
    TRY(bind_options(out, text, parts[2]));
    out.mode = parts[2];
  }
  return out;
}

Result<MountPoint> parse_mount(const Node& mount) {
  MountPoint out;
  out.type = mount.string_at("Type");
  out.source = mount.string_at("Source");
  const std::string_view target = mount.string_at("Target");
  if (out.type != "bind" && out.type != "volume" && out.type != "tmpfs")
    return fail(Code::invalid, "mount type unknown: \"" + out.type + "\"; bind, volume and tmpfs are offered");
  if (target.empty()) return bad_mount(out.type, "field Target must not be empty");
  if (!target.starts_with('/')) return bad_mount(out.type, "invalid mount path: '" + std::string(target) + "' mount path must be absolute");
  out.destination = clean_path(target);
  if (out.destination == "/") return bad_mount(out.type, "invalid specification: destination can't be '/'");
  out.writable = !bool_at(mount, "ReadOnly");
  if (out.type == "bind") TRY(bind_mount(out, mount));
  if (out.type == "volume") volume_mount(out, mount);
  if (out.type == "tmpfs" && !out.source.empty()) return bad_mount(out.type, "field Source must not be specified");
  return out;
}

Result<std::vector<MountPoint>> mount_points(const Node& config, const Node& host,
                                             const std::function<Result<ContainerRef>(std::string_view)>& find) {
  std::map<std::string, MountPoint> out;
  if (const Node* volumes = config.find("Volumes"))
    for (const Node& item : *volumes) {
      TRY(check_destination(item.key(), item.key()));
      MountPoint mount;
      as_volume(mount, "", "");
      mount.destination = clean_path(item.key());
      TRY(put(out, std::move(mount), nullptr));
    }
  TRY(volumes_from(out, host.find("VolumesFrom"), find));
  std::map<std::string, bool> seen;
  if (const Node* binds = host.find("Binds"))
    for (const Node& item : *binds) TRY(put(out, TRY(parse_bind(item.as_string())), &seen));
  if (const Node* mounts = host.find("Mounts"))
    for (const Node& item : *mounts) {
      MountPoint mount = TRY(parse_mount(item));
      if (mount.type == "tmpfs") {
        // It is mounted by the engine; nothing of it is kept. It hides what else would be there.
        out.erase(mount.destination);
        if (!seen.emplace(mount.destination, true).second) return fail(Code::invalid, "Duplicate mount point: " + mount.destination);
      } else {
        TRY(put(out, std::move(mount), &seen));
      }
    }
  if (const Node* tmpfs = host.find("Tmpfs"))
    for (const Node& item : *tmpfs) {
      if (!item.key().starts_with('/'))
        return fail(Code::invalid, "invalid mount path: '" + std::string(item.key()) + "' mount path must be absolute");
      const std::string destination = clean_path(item.key());
      if (seen.contains(destination)) return fail(Code::invalid, "Duplicate mount point: " + destination);
      out.erase(destination);
    }
  std::vector<MountPoint> list;
  for (auto& [destination, mount] : out) list.push_back(std::move(mount));
  return list;
}

}  // namespace estiba::docker
