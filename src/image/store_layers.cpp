// Store: layers.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <thread>

#include "image/overlay.h"
#include "image/store.h"
#include "image/unpack.h"
#include "os/file.h"
#include "os/mount.h"
#include "os/namespace.h"

namespace estiba::image {
namespace {

/// Runs `work` on a thread with a mount namespace of its own: what it mounts is seen by nobody and is gone with it, also
/// when this process is killed.
Result<void> in_private_mounts(UniqueFunction<Result<void>()> work) {
  Result<void> result;
  std::thread thread([&] {
    result = [&]() -> Result<void> {
      TRY(os::unshare(CLONE_NEWNS));
      TRY(os::mount("", "/", "", MS_REC | MS_PRIVATE));
      return work();
    }();
  });
  thread.join();
  return result;
}

}  // namespace

std::string Store::layer_path(std::string_view chain) const { return root_ + "/layers/" + std::string(hex_of(chain)) + "/fs"; }

bool Store::has_layer(std::string_view chain) const { return os::exists(layer_path(chain)); }

std::vector<std::string> Store::layer_paths(const Config& config) const {
  std::vector<std::string> out;
  std::string chain;
  for (const auto& diff : config.diff_ids) {
    chain = chain_id(chain, diff);
    out.push_back(layer_path(chain));
  }
  return out;
}

Result<std::string> Store::unpack_layer(Source& tar, const std::vector<std::string>& below, std::string_view expected, bool whiteouts,
                                        TarLimits limits, bool known) {
  Temporary place = TRY(temporary(true));
  struct Cleanup {
    const std::string& path;
    bool wanted = true;
    ~Cleanup() {
      if (wanted) (void)os::remove_all(path);
    }
  } cleanup{place.path};
  const std::string fs = place.path + "/fs";
  TRY(os::make_dir(fs, 0755));
  HashingSource hashing(tar);
  Source& content = known ? tar : hashing;
  uint64_t size = 0;
  auto fill = [&](const std::string& where) -> Result<void> {
    Fd root = TRY(os::open_file(where, O_RDONLY | O_DIRECTORY));
    size = TRY(unpack(content, root.get(), {.limits = limits, .whiteouts = whiteouts}));
    TRY(copy_all(content, nullptr));  // the digest covers what follows the archive's end as well
    return {};
  };
  if (below.empty()) {
    TRY(fill(fs));
  } else {
    // On top of an overlay of the layers below, so that the kernel makes whiteouts and opaque directories, and parents and
    // hard links that only exist further down are found.
    TRY(os::make_dir(place.path + "/work", 0700));
    TRY(os::make_dir(place.path + "/merged", 0755));
    std::vector<std::string> layers;
    for (const auto& chain : below) layers.push_back(layer_path(chain));
    auto info = TRY(os::stat_file(layers.back()));
    TRY(os::change_owner(fs, info.st_uid, info.st_gid));
    TRY(os::change_mode(fs, info.st_mode & 07777));
    TRY(in_private_mounts([&]() -> Result<void> {
      TRY(mount_overlay(layers, fs, place.path + "/work", place.path + "/merged", Writes::passing));
      auto filled = fill(place.path + "/merged");
      // Not left to the end of the thread, which the kernel may follow late: the layer is about to be used below others.
      auto unmounted = os::umount(place.path + "/merged");
      return filled ? unmounted : filled;
    }));
    TRY(os::remove_all(place.path + "/work"));
    TRY(os::remove_all(place.path + "/merged"));
  }
  std::string diff = known ? std::string(expected) : hashing.digest();
  if (!expected.empty() && diff != expected)
    return fail(Code::malformed, "the layer unpacks to digest " + diff + ", but the image's configuration says " + std::string(expected));
  std::string chain = chain_id(below.empty() ? std::string_view() : std::string_view(below.back()), diff);
  cleanup.wanted = !TRY(place_layer(place.path, chain, size));
  return diff;
}

Result<bool> Store::place_layer(const std::string& from, std::string_view chain, uint64_t size) {
  TRY(os::write_file(from + "/size", std::to_string(size), O_CREAT, 0600));
  TRY(note_unsynced("layer", chain));
  auto moved = os::rename_file(from, root_ + "/layers/" + std::string(hex_of(chain)));
  if (!moved && (moved.error().sys == EEXIST || moved.error().sys == ENOTEMPTY)) return false;  // somebody else was first
  TRY(std::move(moved));
  return true;
}

namespace {
/// Tells how far it has been read, every MiB.
class ToldSource final : public Source {
 public:
  ToldSource(Source& inner, std::function<void(uint64_t)> tell) : inner_(inner), tell_(std::move(tell)) {}
  Result<size_t> read(std::span<char> buffer) override {
    size_t n = TRY(inner_.read(buffer));
    count_ += n;
    if (tell_ && (count_ - told_ >= 1 << 20 || (n == 0 && told_ != count_))) tell_(told_ = count_);
    return n;
  }

 private:
  Source& inner_;
  std::function<void(uint64_t)> tell_;
  uint64_t count_ = 0, told_ = 0;
};
}  // namespace

Result<void> Store::unpack_layers(const Manifest& manifest, const Config& config, const LayerProgress& progress, TarLimits limits) {
  if (manifest.layers.size() != config.diff_ids.size())
    return fail(Code::malformed, "the manifest has " + std::to_string(manifest.layers.size()) + " layers, but the configuration lists " +
                                     std::to_string(config.diff_ids.size()));
  std::vector<std::string> below;
  std::string chain;
  for (size_t i = 0; i < manifest.layers.size(); ++i) {
    chain = chain_id(chain, config.diff_ids[i]);
    if (!has_layer(chain)) {
      auto blob = TRY(open_layer_source(manifest.layers[i].digest));
      std::function<void(uint64_t)> tell;
      if (progress) tell = [&](uint64_t current) { progress(config.diff_ids[i], current, manifest.layers[i].size); };
      ToldSource told(*blob, std::move(tell));
      Decompressor plain(told);
      // A blob here has the digest that names it.
      const bool known = manifest.layers[i].digest == config.diff_ids[i] && TRY(plain.find_compression()) == Compression::none;
      TRY_AS("layer " + manifest.layers[i].digest, unpack_layer(plain, below, config.diff_ids[i], true, limits, known));
    }
    below.push_back(chain);
  }
  return {};
}

}  // namespace estiba::image
