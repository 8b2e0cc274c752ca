#include "node/volumes.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "model/codec.h"
#include "model/quantity.h"
#include "node/csi/volumes.h"
#include "node/pod_token.h"
#include "node/sources.h"
#include "node/trust_bundles.h"
#include "volume/directory.h"

namespace estiba::node {

using namespace model::core_v1;

namespace {

bool has_files(const Volume& volume) { return volume.configMap || volume.secret || volume.projected || volume.downwardAPI; }

std::optional<gid_t> fs_group(const Pod& pod) {
  if (pod.spec.securityContext && pod.spec.securityContext->fsGroup) return gid_t(*pod.spec.securityContext->fsGroup);
  return std::nullopt;
}

// "nfs", "iscsi", …: the source that a volume, or a part of a projected one, has.
template <class Source>
std::string kind_of(const Source& source) {
  const auto document = json::Document::parse(model::encode(source));
  if (document)
    for (const json::Node& field : document->root())
      if (field.key() != "name") return std::string(field.key());
  return "no source";
}

Result<bool> add_downward(const Pod& pod, const DownwardAPIVolumeFile& item, mode_t mode, volume::Files* files) {
  const mode_t own = item.mode ? mode_t(*item.mode) : mode;
  if (item.fieldRef) {
    (*files)[item.path] = {TRY(field_value(pod, item.fieldRef->fieldPath, {pod.status.podIP}, {pod.status.hostIP})), own};
  } else if (item.resourceFieldRef) {
    const auto& ref = *item.resourceFieldRef;
    (*files)[item.path] = {TRY(resource_value(pod, ref.containerName, ref.resource, ref.divisor, {})), own};
  }
  return true;
}

// A path that depends on what is not known, or that leaves the volume's own tree, would mount something that nobody asked for.
Result<std::string> expand_sub_path(const std::string& expression, const Environment& environment) {
  std::string missing;
  const std::string path = expand(expression, [&](std::string_view name) -> const std::string* {
    for (const auto& [key, value] : environment)
      if (key == name) return &value;
    missing = name;
    return nullptr;
  });
  const std::string about = "subPathExpr " + quoted(expression);
  if (!missing.empty()) return fail(Code::invalid, about + ": the container has no environment variable " + quoted(missing));
  if (path.starts_with('/')) return fail(Code::invalid, about + " gives " + quoted(path) + ", which must not be an absolute path");
  return path;
}

}  // namespace

bool recursively_readonly(const VolumeMount& mount) {
  return mount.readOnly.value_or(false) && (mount.recursiveReadOnly == "Enabled" || mount.recursiveReadOnly == "IfPossible");
}

std::vector<const ImageVolumeSource*> mounted_images(const Pod& pod, const Container& container) {
  std::vector<const ImageVolumeSource*> out;
  for (const Volume& volume : pod.spec.volumes) {
    const auto mounts = [&](const VolumeMount& mount) { return mount.name == volume.name; };
    if (volume.image && std::any_of(container.volumeMounts.begin(), container.volumeMounts.end(), mounts)) out.push_back(&*volume.image);
  }
  return out;
}

PodVolumes::PodVolumes(const Context& context, std::string uid) : context_(context), uid_(std::move(uid)), certificates_(context, uid_) {}

std::string PodVolumes::memory_dir() const { return context_.options.run_dir + "/volumes/" + uid_; }

std::string PodVolumes::path_of(const Volume& volume) const {
  if (volume.hostPath) return volume.hostPath->path;
  if (auto claimed = claimed_.find(volume.name); claimed != claimed_.end()) return claimed->second.path;
  if (volume.secret || volume.projected) return memory_dir() + "/" + volume.name;
  return context_.options.data_dir + "/pods/" + uid_ + "/volumes/" + volume.name;
}

bool PodVolumes::uses(const Pod& pod, bool secret, std::string_view name) {
  for (const Volume& volume : pod.spec.volumes) {
    if (!secret && volume.configMap && volume.configMap->name == name) return true;
    if (secret && volume.secret && volume.secret->secretName == name) return true;
    if (!volume.projected) continue;
    for (const auto& source : volume.projected->sources) {
      if (!secret && source.configMap && source.configMap->name == name) return true;
      if (secret && source.secret && source.secret->name == name) return true;
    }
  }
  return false;
}

bool PodVolumes::claims(const Pod& pod, std::string_view claim) {
  return std::any_of(pod.spec.volumes.begin(), pod.spec.volumes.end(),
                     [&](const Volume& volume) { return has_claim(volume) && claim_name(pod, volume) == claim; });
}

bool PodVolumes::uses_metadata(const Pod& pod) {
  for (const Volume& volume : pod.spec.volumes) {
    if (volume.downwardAPI) return true;
    if (volume.projected)
      for (const auto& source : volume.projected->sources)
        if (source.downwardAPI) return true;
  }
  return false;
}

Instant PodVolumes::next_refresh() const {
  Instant next = std::min(bundles_refresh_at_, certificates_.next_look());
  for (const auto& [_, token] : tokens_) next = std::min(next, token.refresh_at);
  for (const auto& [_, claimed] : claimed_) next = std::min(next, claimed.look_again_at);
  return next;
}

Task<Result<void>> PodVolumes::prepare(model::ObjectRef ref) {
  const Pod& pod = ref.as<Pod>();
  // All of them at once: signers take their time.
  co_await certificates_.look(ref, [this](const std::string& volume) { return memory_dir() + "/" + volume; });
  for (const Volume& volume : pod.spec.volumes)
    CO_TRY_AS("MountVolume.SetUp failed for volume " + quoted(volume.name), co_await prepare_one(ref, volume));
  co_return {};
}

// Bytes of a page of "HugePages" or "HugePages-2Mi"; the messages are the kubelet's (getPageSizeMountOption in empty_dir.go).
static Result<uint64_t> page_of_medium(std::string_view medium, const Pod& pod) {
  constexpr std::string_view any = "HugePages", resource = "hugepages-";
  const std::string wanted = medium == any ? std::string() : model::canonical_quantity(medium.substr(any.size() + 1));
  std::string found;
  for (const auto* list : {&pod.spec.containers, &pod.spec.initContainers})
    for (const auto& container : *list) {
      if (!container.resources) continue;
      for (const auto& [name, quantity] : container.resources->limits) {
        if (!name.starts_with(resource)) continue;
        const std::string size = model::canonical_quantity(name.substr(resource.size()));
        if (wanted.empty() && !found.empty() && size != found)
          return fail(Code::invalid,
                      "medium HugePages can't be used if container requests multiple huge page sizes; say which, as in HugePages-2Mi");
        if (wanted.empty() || size == wanted) found = size;
      }
    }
  if (found.empty())
    return fail(Code::invalid,
                "medium " + std::string(medium) + ": hugePages storage requested, but there is no resource request for huge pages");
  return uint64_t(model::quantity_to_int64(found));
}

bool PodVolumes::has_of_driver() const {
  return std::ranges::any_of(claimed_, [](const auto& entry) { return entry.second.csi; });
}

// What a running pod has mounted stays, whatever becomes of its claim; a driver that has more to do for it is asked again.
Task<Result<void>> PodVolumes::prepare_claimed(model::ObjectRef ref, const Volume& volume) {
  const auto known = claimed_.find(volume.name);
  if (known != claimed_.end() && !known->second.csi) co_return {};
  auto made = co_await claimed_directory(context_, ref, volume, fs_group(ref.as<Pod>()));
  if (made) {
    claimed_[volume.name] = std::move(*made);
    co_return {};
  }
  if (known == claimed_.end()) co_return std::unexpected(std::move(made.error()));
  log::warn("node", "a mounted volume is not looked after; will try again",
            {{"pod", client::key_of(ref)}, {"volume", volume.name}, {"error", made.error()}});
  known->second.look_again_at = context_.loop.now() + std::chrono::seconds(30);
  co_return {};
}

Task<Result<void>> PodVolumes::prepare_one(model::ObjectRef ref, const Volume& volume) {
  const Pod& pod = ref.as<Pod>();
  const std::string path = path_of(volume);
  const auto group = fs_group(pod);
  if (volume.emptyDir) {
    if (volume.emptyDir->medium.starts_with("HugePages")) {
      const uint64_t page = CO_TRY(page_of_medium(volume.emptyDir->medium, pod));
      co_return co_await context_.pool.run([=] { return volume::make_huge_page_dir(path, page, group); });
    }
    const bool memory = volume.emptyDir->medium == "Memory";
    const uint64_t size = memory && !volume.emptyDir->sizeLimit.empty()
                              ? uint64_t(model::Quantity::parse(volume.emptyDir->sizeLimit).value_or({}).to_int64())
                              : 0;
    co_return co_await context_.pool.run(
        [=] { return memory ? volume::make_memory_dir(path, size, group) : volume::make_empty_dir(path, group); });
  }
  if (volume.hostPath) {
    const std::string type = volume.hostPath->type;
    co_return co_await context_.pool.run([=] { return volume::check_host_path(path, type); });
  }
  if (is_claimed(volume)) co_return co_await prepare_claimed(ref, volume);
  if (volume.image) co_return {};  // pulled with the images of the containers that have it, and mounted by the engine
  if (!has_files(volume))
    co_return fail(Code::unsupported, kind_of(volume) +
                                          ": this node knows claims, csi, ephemeral, emptyDir, hostPath, configMap, secret, projected, "
                                          "downwardAPI and image volumes only");
  volume::Files files;
  if (volume.configMap) {
    const auto& source = *volume.configMap;
    CO_TRY(co_await add_object(pod, false, source.name, source.items, source.optional.value_or(false),
                               mode_t(source.defaultMode.value_or(0644)), &files));
  } else if (volume.secret) {
    const auto& source = *volume.secret;
    CO_TRY(co_await add_object(pod, true, source.secretName, source.items, source.optional.value_or(false),
                               mode_t(source.defaultMode.value_or(0644)), &files));
  } else if (volume.downwardAPI) {
    for (const auto& item : volume.downwardAPI->items)
      CO_TRY(add_downward(pod, item, mode_t(volume.downwardAPI->defaultMode.value_or(0644)), &files));
  } else {
    const auto& sources = volume.projected->sources;
    for (size_t i = 0; i < sources.size(); ++i)
      CO_TRY(co_await add_source(pod, {volume.name, i}, sources[i], mode_t(volume.projected->defaultMode.value_or(0644)), &files));
  }
  const WallTime now = context_.loop.wall_now();
  auto written = co_await context_.pool.run([=, files = std::move(files)]() -> Result<bool> {
    TRY(volume::make_plain_dir(path));
    return volume::write_atomically(path, files, now, group);
  });
  if (!written) co_return std::unexpected(std::move(written.error()));
  co_return {};
}

Task<Result<bool>> PodVolumes::add_source(const Pod& pod, PodCertificates::Place place, const VolumeProjection& source, mode_t mode,
                                          volume::Files* files) {
  if (source.configMap)
    co_return co_await add_object(pod, false, source.configMap->name, source.configMap->items, source.configMap->optional.value_or(false),
                                  mode, files);
  if (source.secret)
    co_return co_await add_object(pod, true, source.secret->name, source.secret->items, source.secret->optional.value_or(false), mode,
                                  files);
  if (source.downwardAPI) {
    for (const auto& item : source.downwardAPI->items) CO_TRY(add_downward(pod, item, mode, files));
    co_return true;
  }
  if (source.serviceAccountToken) {
    // A token is its pod's own: readable by the user the pod runs as, which only root's group bit can grant here.
    (*files)[source.serviceAccountToken->path] = {CO_TRY(co_await token(pod, *source.serviceAccountToken)), mode};
    co_return true;
  }
  if (source.clusterTrustBundle) {
    bundles_refresh_at_ = context_.loop.now() + std::chrono::minutes(1);
    (*files)[source.clusterTrustBundle->path] = {CO_TRY(co_await trust_bundle(context_, *source.clusterTrustBundle)), mode};
    co_return true;
  }
  if (source.podCertificate) {
    const auto has = CO_TRY(certificates_.of(place));
    const auto& paths = *source.podCertificate;
    for (const auto& [path, text] : {std::pair(&paths.credentialBundlePath, has.key_pem + has.chain_pem),
                                     {&paths.keyPath, has.key_pem},
                                     {&paths.certificateChainPath, has.chain_pem}})
      if (!path->empty()) (*files)[*path] = {text, mode};
    co_return true;
  }
  co_return fail(Code::unsupported,
                 "projected.sources: " + kind_of(source) +
                     ": this node knows configMap, secret, downwardAPI, serviceAccountToken, clusterTrustBundle and podCertificate only");
}

Task<Result<bool>> PodVolumes::add_object(const Pod& pod, bool secret, std::string name, std::vector<KeyToPath> items, bool optional,
                                          mode_t mode, volume::Files* files) {
  auto data = co_await read_object(context_, secret, pod.metadata.namespace_, name);
  if (!data) {
    if (optional && data.error().code == Code::not_found) co_return false;
    co_return std::unexpected(std::move(data.error()));
  }
  if (items.empty()) {
    for (auto& [key, value] : *data) (*files)[key] = {std::move(value), mode};
    co_return true;
  }
  for (const KeyToPath& item : items) {
    auto found = data->find(item.key);
    if (found != data->end()) (*files)[item.path] = {found->second, item.mode ? mode_t(*item.mode) : mode};
    else if (!optional)
      co_return fail(Code::not_found, (secret ? "secret " : "configmap ") + quoted(name) + " has no key " + quoted(item.key));
  }
  co_return true;
}

Task<Result<std::string>> PodVolumes::token(const Pod& pod, const ServiceAccountTokenProjection& source) {
  const std::string key = source.audience + "|" + source.path;
  const Instant now = context_.loop.now();
  if (auto known = tokens_.find(key); known != tokens_.end() && now < known->second.refresh_at) co_return known->second.text;
  const int64_t seconds = source.expirationSeconds.value_or(3600);
  auto made = CO_TRY(co_await request_pod_token(context_, pod, source.audience, seconds));
  Token token{std::move(made.token), now + std::chrono::seconds(seconds) * 4 / 5};
  co_return (tokens_[key] = std::move(token)).text;
}

Task<Result<std::vector<engine::Mount>>> PodVolumes::mounts(model::ObjectRef ref, const Container& container, Environment environment) {
  const Pod& pod = ref.as<Pod>();
  std::vector<engine::Mount> out;
  for (const VolumeMount& mount : container.volumeMounts) {
    const Volume* volume = nullptr;
    for (const Volume& candidate : pod.spec.volumes)
      if (candidate.name == mount.name) volume = &candidate;
    if (!volume)
      co_return fail(Code::invalid, "container " + quoted(container.name) + ": volume " + quoted(mount.name) + " is not one of the pod's");
    engine::Mount made;
    made.host_path = path_of(*volume);
    if (const auto block = claimed_.find(mount.name); block != claimed_.end() && block->second.block)
      co_return fail(Code::invalid, "volume " + mount.name + " has volumeMode Block, but is specified in volumeMounts");
    made.container_path = mount.mountPath.starts_with('/') ? mount.mountPath : "/" + mount.mountPath;
    const auto claimed = claimed_.find(volume->name);
    made.readonly = mount.readOnly.value_or(false) || (claimed != claimed_.end() && claimed->second.readonly);
    made.readonly_recursive = recursively_readonly(mount);
    if (mount.mountPropagation == "HostToContainer") made.propagation = engine::Mount::Propagation::host_to_container;
    if (mount.mountPropagation == "Bidirectional") made.propagation = engine::Mount::Propagation::bidirectional;
    const std::string sub = mount.subPathExpr.empty() ? mount.subPath : CO_TRY(expand_sub_path(mount.subPathExpr, environment));
    if (volume->image) {
      made.host_path.clear();
      made.image = volume->image->reference;
      made.sub_path = sub;
    } else if (!sub.empty()) {
      const std::string root = made.host_path;
      made.host_path = CO_TRY_AS("volume " + quoted(volume->name),
                                 co_await context_.pool.run([=] { return volume::resolve_sub_path(root, sub, true); }));
    }
    out.push_back(std::move(made));
  }
  co_return out;
}

Result<std::vector<engine::Device>> PodVolumes::devices(model::ObjectRef ref, const Container& container) const {
  const Pod& pod = ref.as<Pod>();
  std::vector<engine::Device> out;
  for (const VolumeDevice& device : container.volumeDevices) {
    const auto claimed = claimed_.find(device.name);
    const bool known = std::ranges::any_of(pod.spec.volumes, [&](const Volume& volume) { return volume.name == device.name; });
    if (!known || claimed == claimed_.end()) return fail(Code::invalid, "volumeDevices: volume " + quoted(device.name) + " has no claim");
    if (!claimed->second.block)
      return fail(Code::invalid, "volume " + device.name + " has volumeMode Filesystem, but is specified in volumeDevices");
    out.push_back({claimed->second.path, device.devicePath, claimed->second.readonly ? "r" : "rwm"});
  }
  return out;
}

Task<Result<std::string>> PodVolumes::read_file(model::ObjectRef ref, std::string volume, std::string path) {
  const Pod& pod = ref.as<Pod>();
  for (const Volume& candidate : pod.spec.volumes)
    if (candidate.name == volume)
      co_return co_await context_.pool.run([root = path_of(candidate), path] { return volume::read_file_in(root, path, 1 << 20); });
  co_return fail(Code::not_found, "volume " + quoted(volume) + " is not one of the pod's");
}

Task<Result<void>> PodVolumes::remove() {
  const std::string disk = context_.options.data_dir + "/pods/" + uid_, memory = memory_dir();
  tokens_.clear();
  certificates_.forget();
  bundles_refresh_at_ = Instant::max();
  auto removed = co_await context_.pool.run([=]() -> Result<void> {
    TRY(volume::remove_dir_tree(disk));
    return volume::remove_dir_tree(memory);
  });
  if (!removed || !context_.csi) co_return removed;
  co_return co_await context_.csi->release(uid_);
}

}  // namespace estiba::node
