// Store: what is on disk for sure, and what a power cut may have left half written.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "image/store.h"
#include "os/file.h"

namespace estiba::image {

Store::~Store() {
  std::thread last;
  {
    std::lock_guard lock(settling_);
    last = std::move(settler_);
  }
  if (last.joinable()) last.join();
}

Result<void> Store::note_unsynced(std::string_view what, std::string_view digest) {
  // A symlink, since its text is written with its name: a file could be there and still empty after a power cut.
  const std::string note = root_ + "/unsynced/" + std::string(what) + "-" + std::string(hex_of(digest));
  if (::symlink(boot_.c_str(), note.c_str()) != 0 && errno != EEXIST) return fail_errno("note " + note);
  return {};
}

std::string Store::noted_path(std::string_view note) const {
  auto [what, hex] = split_once(note, '-');
  const std::string digest = "sha256:" + std::string(hex.value_or(""));
  if (!valid_digest(digest)) return "";
  if (what == "blob") return blob_path(digest);
  if (what == "recipe") return recipe_path(digest);
  return what == "layer" ? root_ + "/layers/" + std::string(*hex) : "";
}

Result<void> Store::settle() {
  // Only what has its name already: what gets it during the sync may not be covered.
  auto notes = TRY(os::list_dir(root_ + "/unsynced"));
  std::erase_if(notes, [&](const os::DirEntry& note) { return !os::exists(noted_path(note.name)); });
  if (notes.empty()) return {};
  Fd root = TRY(os::open_file(root_, O_RDONLY | O_DIRECTORY));
  if (::syncfs(root.get()) != 0) return fail_errno("sync " + root_);
  for (const auto& note : notes) TRY(os::remove_file(root_ + "/unsynced/" + note.name));
  return {};
}

void Store::settle_soon() {
  std::lock_guard lock(settling_);
  settle_wanted_ = true;
  if (settle_runs_) return;
  if (settler_.joinable()) settler_.join();  // it has said that it is at its end
  settle_runs_ = true;
  settler_ = std::thread([this] {
    std::vector<Temporary> discarded;
    for (;;) {
      {
        std::lock_guard inner(settling_);
        if (!std::exchange(settle_wanted_, false)) {
          settle_runs_ = false;
          return;
        }
        discarded = std::move(discarded_);
        discarded_.clear();
      }
      // First, so that it need not be synced.
      for (const Temporary& unneeded : discarded) (void)os::remove_all(unneeded.path);
      discarded.clear();
      if (auto done = settle(); !done) log::warn("image", "the image store could not be synced", {{"error", done.error()}});
    }
  });
}

void Store::discard_soon(Temporary unneeded) {
  {
    std::lock_guard lock(settling_);
    discarded_.push_back(std::move(unneeded));
  }
  settle_soon();
}

Result<void> Store::pin(const std::string& owner, const std::vector<std::string>& digests) {
  if (digests.empty()) return os::remove_file(root_ + "/pins/" + owner);
  return os::write_file_atomic(root_ + "/pins/" + owner, join(digests, "\n") + "\n", 0600, false);
}

Result<void> Store::repair() {
  std::vector<std::string> doubtful;
  for (const auto& note : TRY(os::list_dir(root_ + "/unsynced"))) {
    auto boot = os::read_link(root_ + "/unsynced/" + note.name);
    if (boot && *boot != boot_) doubtful.push_back(note.name);
  }
  if (doubtful.empty()) return {};
  Fd content = TRY(os::lock_file(root_ + "/content.lock"));
  Fd lock = TRY(os::lock_file(root_ + "/index.lock"));
  IndexFile index = *TRY(load_index());
  for (const auto& note : doubtful)
    if (auto path = noted_path(note); !path.empty()) TRY(os::remove_all(path));
  auto broken = [&](const Record& r) {
    auto parsed = manifest(r);
    auto settings = parsed ? config(r.id) : std::unexpected(parsed.error());
    if (!settings) return true;
    auto paths = layer_paths(**settings);
    bool whole = std::all_of(paths.begin(), paths.end(), os::exists) &&
                 std::all_of(parsed->layers.begin(), parsed->layers.end(), [&](const Descriptor& d) { return has_blob(d.digest); });
    if (!whole) log::warn("image", "an image was not yet on disk when the machine stopped, and is gone", {{"image", r.id}});
    return !whole;
  };
  if (std::erase_if(index.images, broken)) TRY(save_index(index));
  for (const auto& note : doubtful) TRY(os::remove_file(root_ + "/unsynced/" + note));
  return {};
}

}  // namespace estiba::image
