#include "engine/cdi.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "base/strings.h"
#include "engine/cdi_file.h"
#include "engine/errors.h"
#include "engine/files.h"
#include "model/cdi_name.h"

namespace estiba::engine {

namespace {

constexpr std::string_view annotation_prefix = "cdi.k8s.io/";

/// All files, and which of them says what a device is.
class Registry {
 public:
  explicit Registry(const std::vector<std::string>& dirs) {
    for (const std::string& dir : dirs) add_dir(dir);
  }

  struct Device {
    const CdiFile* file = nullptr;
    const CdiFile* other = nullptr;  ///< another one of the same directory that has it too
    std::string name;                ///< within the file
  };
  const std::map<std::string, Device>& devices() const { return devices_; }
  const std::vector<std::string>& errors() const { return errors_; }

 private:
  void add_dir(const std::string& dir) {
    auto names = list_names(dir);
    if (!names) {
      errors_.push_back(names.error().message);
      return;
    }
    std::ranges::sort(*names);
    std::map<std::string, Device> found;
    for (const std::string& name : *names) {
      if (!name.ends_with(".json") && !name.ends_with(".yaml")) continue;
      auto file = read_cdi_file(dir + "/" + name);
      if (!file) {
        errors_.push_back(file.error().message);
        continue;
      }
      files_.push_back(std::make_unique<CdiFile>(std::move(*file)));
      const CdiFile* whole = files_.back().get();
      for (const auto& [device, edits] : whole->devices) {
        auto [place, added] = found.try_emplace(whole->kind + "=" + device, whole, nullptr, device);
        if (!added) place->second.other = whole;
      }
    }
    for (auto& [name, device] : found) devices_[name] = std::move(device);
  }

  std::vector<std::unique_ptr<CdiFile>> files_;
  std::map<std::string, Device> devices_;
  std::vector<std::string> errors_;
};

/// As the host's node is, where the file does not say it.
Result<void> complete(CdiEdits::Device& device) {
  runtime::SpecDevice& node = device.node;
  if (node.type == 'p' || (node.type != '\0' && node.major != 0)) return {};
  const std::string& path = device.host_path.empty() ? node.path : device.host_path;
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return fail_errno("device node " + path);
  const char type = S_ISBLK(info.st_mode) ? 'b' : S_ISCHR(info.st_mode) ? 'c' : S_ISFIFO(info.st_mode) ? 'p' : '\0';
  if (type == '\0') return fail(Code::invalid, "device node " + path + " is no device");
  if (node.type != '\0' && node.type != type && !(node.type == 'u' && type == 'c'))
    return fail(Code::invalid, "device node " + path + " is of the type " + type + ", not " + node.type);
  if (node.type == '\0') node.type = type;
  if (type != 'p') {
    node.major = int64_t(major(info.st_rdev));
    node.minor = int64_t(minor(info.st_rdev));
  }
  return {};
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

Result<void> add(CdiEdits& to, const CdiEdits& more) {
  if (!more.unsupported.empty()) return fail(Code::unsupported, more.unsupported + " is not offered by this engine");
  append(to.env, more.env);
  append(to.mounts, more.mounts);
  append(to.additional_gids, more.additional_gids);
  for (const CdiHookKind& kind : cdi_hooks) append(to.hooks.*kind.list, more.hooks.*kind.list);
  for (CdiEdits::Device device : more.devices) {
    TRY(complete(device));
    to.devices.push_back(std::move(device));
  }
  return {};
}

Error unresolvable(const std::vector<std::string>& names, const Registry& registry, const std::vector<std::string>& dirs) {
  std::string text = "unresolvable CDI devices " + join(names, ", ") + ": no file in " + join(dirs, " or ") + " says what they are";
  for (const std::string& error : registry.errors()) text += "; " + error;
  return {Code::not_found, 0, std::move(text), nullptr};
}

}  // namespace

Result<CdiEdits> cdi_edits(const std::vector<std::string>& names, const std::vector<std::string>& dirs) {
  CdiEdits out;
  if (names.empty()) return out;
  const Registry registry(dirs);
  std::vector<std::string> missing;
  std::set<std::string_view> seen;
  std::set<const CdiFile*> files;
  for (const std::string& name : names) {
    if (!seen.insert(name).second) continue;
    if (!model::parse_cdi_name(name))
      return failed(reason::create_container, Code::invalid, "CDI device " + quoted(name) + ": a name like vendor.com/gpu=0 is expected");
    const auto found = registry.devices().find(name);
    if (found == registry.devices().end()) {
      missing.push_back(name);
      continue;
    }
    const auto& [file, other, device] = found->second;
    if (other)
      return failed(reason::create_container, Code::conflict,
                    "CDI device " + name + " is in " + file->path + " and in " + other->path + ": take it out of one of them");
    auto added = files.insert(file).second ? add(out, file->edits) : Result<void>();
    if (added) added = add(out, file->devices.at(device));
    if (!added)
      return reasoned(reason::create_container,
                      within("CDI device " + name + " (" + file->path + ")", Result<CdiEdits>(std::unexpected(std::move(added.error())))));
  }
  if (!missing.empty()) return std::unexpected(with_reason(reason::create_container, unresolvable(missing, registry, dirs)));
  return out;
}

std::vector<std::string> cdi_devices(const std::vector<std::string>& dirs) {
  std::vector<std::string> out;
  for (const auto& [name, device] : Registry(dirs).devices())
    if (!device.other) out.push_back(name);
  return out;
}

Result<std::vector<std::string>> cdi_annotated(const Labels& annotations) {
  std::vector<std::string> out;
  for (const auto& [key, value] : annotations) {
    if (!key.starts_with(annotation_prefix)) continue;
    for (std::string_view name : split(value, ',')) {
      if (!model::parse_cdi_name(name))
        return fail(Code::invalid, "annotation " + key + ": " + quoted(name) + " is no name of a CDI device such as vendor.com/gpu=0");
      out.emplace_back(name);
    }
  }
  return out;
}

}  // namespace estiba::engine
