#include "node/csi/layout.h"

#include <sys/stat.h>

#include "base/log.h"
#include "base/strings.h"
#include "client/json_writer.h"
#include "io/hmac.h"
#include "os/file.h"
#include "os/mount.h"

namespace estiba::node {

namespace {

constexpr std::string_view record_name = "/vol_data.json";
constexpr std::string_view plugin_folder = "kubernetes.io~csi";

std::vector<std::string> names_in(const std::string& dir) {
  std::vector<std::string> out;
  if (auto found = os::list_dir(dir))
    for (os::DirEntry& entry : *found) out.push_back(std::move(entry.name));
  return out;
}

Result<CsiPlace> read_record(const std::string& dir) {
  const std::string text = TRY(os::read_file(dir + std::string(record_name)));
  const auto document = TRY_AS(dir, json::Document::parse(text));
  const json::Node& root = document.root();
  CsiPlace out;
  out.driver = root.string_at("driverName");
  out.handle = root.string_at("volumeHandle");
  out.attachment = root.string_at("attachmentID");
  out.ephemeral = root.string_at("volumeLifecycleMode") == "Ephemeral";
  if (out.driver.empty() || out.handle.empty()) return fail(Code::malformed, dir + ": driverName or volumeHandle is missing");
  return out;
}

// A directory that is empty; one that is not stays.
void remove_if_empty(const std::string& dir) { (void)::rmdir(dir.c_str()); }

}  // namespace

std::string inline_handle(const std::string& pod_uid, const std::string& volume) { return "csi-" + io::sha256_hex(pod_uid + volume); }

std::string CsiLayout::handle_dir(const CsiPlace& place) const {
  return plugin_dir() + "/" + place.driver + "/" + io::sha256_hex(place.handle);
}

std::string CsiLayout::staging_path(const CsiPlace& place) const {
  if (place.block) return plugin_dir() + "/volumeDevices/staging/" + place.volume;
  return handle_dir(place) + "/globalmount";
}

std::string CsiLayout::target_path(const CsiPlace& place) const {
  if (place.block) return plugin_dir() + "/volumeDevices/publish/" + place.volume + "/" + place.pod_uid;
  return record_dir(place) + "/mount";
}

std::string CsiLayout::record_dir(const CsiPlace& place) const {
  return root_ + "/pods/" + place.pod_uid + (place.block ? "/volumeDevices/" : "/volumes/") + std::string(plugin_folder) + "/" +
         place.volume;
}

Result<void> CsiLayout::add(const CsiPlace& place, const std::string& node) const {
  const std::string dir = record_dir(place);
  TRY(os::make_dirs(dir, 0750));
  if (place.block) TRY(os::make_dirs(plugin_dir() + "/volumeDevices/publish/" + place.volume, 0750));
  client::JsonWriter json;
  json.object().field("attachmentID", place.attachment).field("driverName", place.driver).field("nodeName", node);
  json.field("specVolID", place.volume).field("volumeHandle", place.handle);
  json.field("volumeLifecycleMode", place.ephemeral ? "Ephemeral" : "Persistent").end();
  return os::write_file_atomic(dir + std::string(record_name), json.take(), 0600);
}

Result<void> CsiLayout::add_staging(const CsiPlace& place) const {
  TRY(os::make_dirs(staging_path(place), 0750));
  if (place.block) return {};
  client::JsonWriter json;
  json.object().field("driverName", place.driver).field("volumeHandle", place.handle).end();
  return os::write_file_atomic(handle_dir(place) + std::string(record_name), json.take(), 0600);
}

Result<bool> CsiLayout::is_published(const CsiPlace& place) const {
  const std::string target = target_path(place);
  if (!place.block) return os::exists(target) ? os::is_mount_point(target) : Result<bool>(false);
  const auto info = os::stat_file(target);
  return info && S_ISBLK(info->st_mode);
}

Result<void> CsiLayout::remove(const CsiPlace& place) const {
  const std::string target = target_path(place), dir = record_dir(place);
  struct stat info{};
  if (::lstat(target.c_str(), &info) == 0) {
    if (TRY(os::is_mount_point(target)))
      return fail(Code::conflict, "CSI driver " + place.driver + " has not unmounted " + target + " in NodeUnpublishVolume");
    // The driver's own business by the specification, which not all of them know. Nothing in it is ours to delete.
    if (S_ISDIR(info.st_mode)) TRY(os::remove_dir(target));
    else TRY(os::remove_file(target));
  }
  TRY(os::remove_file(dir + std::string(record_name)));
  TRY(os::remove_dir(dir));
  const std::string pod = root_ + "/pods/" + place.pod_uid, kind = pod + (place.block ? "/volumeDevices" : "/volumes");
  remove_if_empty(kind + "/" + std::string(plugin_folder));
  remove_if_empty(kind);
  remove_if_empty(pod);
  if (place.block) remove_if_empty(plugin_dir() + "/volumeDevices/publish/" + place.volume);
  return {};
}

Result<void> CsiLayout::remove_staging(const CsiPlace& place) const {
  const std::string path = staging_path(place);
  if (os::exists(path)) {
    if (TRY(os::is_mount_point(path)))
      return fail(Code::conflict, "CSI driver " + place.driver + " has not unmounted " + path + " in NodeUnstageVolume");
    TRY(os::remove_dir(path));
  }
  if (place.block) return {};
  TRY(os::remove_file(handle_dir(place) + std::string(record_name)));
  TRY(os::remove_dir(handle_dir(place)));
  remove_if_empty(plugin_dir() + "/" + place.driver);
  return {};
}

std::vector<CsiPlace> CsiLayout::places() const {
  std::vector<CsiPlace> out;
  for (const std::string& uid : names_in(root_ + "/pods"))
    for (const bool block : {false, true}) {
      CsiPlace at{.pod_uid = uid, .block = block};
      for (const std::string& volume : names_in(record_dir(at))) {
        at.volume = volume;
        auto place = read_record(record_dir(at));
        if (!place) {
          log::warn("node", "a volume of a CSI driver is not known: its record cannot be read", {{"error", place.error()}});
          continue;
        }
        place->pod_uid = uid;
        place->volume = volume;
        place->block = block;
        out.push_back(std::move(*place));
      }
    }
  return out;
}

std::vector<CsiPlace> CsiLayout::staged() const {
  std::vector<CsiPlace> out;
  for (const std::string& driver : names_in(plugin_dir()))
    for (const std::string& hash : names_in(plugin_dir() + "/" + driver)) {
      const std::string dir = plugin_dir() + "/" + driver + "/" + hash;
      if (auto place = read_record(dir)) out.push_back(std::move(*place));
    }
  return out;
}

}  // namespace estiba::node
