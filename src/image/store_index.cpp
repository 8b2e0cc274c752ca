// Store: the index of images, and garbage collection.
//
// index.json: {"version":1,"images":[{"id":…,"manifest":…,"size":…,"imported":…,"tags":[…],"digests":[…],…}]}, fields as in
// struct Record.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "base/time.h"
#include "image/overlay.h"
#include "image/reference.h"
#include "image/registry_server/repositories.h"
#include "image/store.h"
#include "model/json.h"
#include "os/file.h"

namespace estiba::image {
namespace {

Result<std::vector<std::string>> string_list(const json::Node* node) {
  std::vector<std::string> out;
  if (node)
    for (const auto& item : *node) out.emplace_back(item.as_string());
  return out;
}

Result<std::vector<Record>> parse_records(std::string_view text) {
  json::Document doc = TRY(json::Document::parse(text));
  auto version = doc.root().find("version");
  if (!version || version->as_int() != 1) return fail(Code::unsupported, "it was written by another version of Estiba");
  std::vector<Record> out;
  const json::Node* images = doc.root().find("images");
  if (!images) return out;
  for (const auto& node : *images) {
    Record r;
    r.id = node.string_at("id");
    r.manifest = node.string_at("manifest");
    if (!valid_digest(r.id) || !valid_digest(r.manifest)) return fail(Code::malformed, "an image without id or manifest");
    if (auto size = node.find("size")) r.size = uint64_t(size->as_int().value_or(0));
    r.imported = node.string_at("imported");
    r.tags = TRY(string_list(node.find("tags")));
    r.digests = TRY(string_list(node.find("digests")));
    r.tagged = node.string_at("tagged");
    if (auto kept = node.find("kept")) r.kept = kept->as_bool();
    out.push_back(std::move(r));
  }
  return out;
}

std::string print_records(const std::vector<Record>& records) {
  json::Document doc;
  json::Node& root = doc.make_object();
  doc.set_root(root);
  doc.set(root, "version", doc.make_int(1));
  json::Node& images = doc.set(root, "images", doc.make_array());
  auto list = [&](json::Node& node, std::string_view key, const std::vector<std::string>& items) {
    json::Node& array = doc.set(node, key, doc.make_array());
    for (const auto& item : items) doc.append(array, doc.make_string(item));
  };
  for (const auto& r : records) {
    json::Node& node = doc.append(images, doc.make_object());
    doc.set(node, "id", r.id);
    doc.set(node, "manifest", r.manifest);
    doc.set(node, "size", doc.make_int(int64_t(r.size)));
    doc.set(node, "imported", r.imported);
    list(node, "tags", r.tags);
    list(node, "digests", r.digests);
    if (!r.tagged.empty()) doc.set(node, "tagged", r.tagged);
    if (r.kept) doc.set(node, "kept", doc.make_bool(true));
  }
  return json::print_pretty(root) + "\n";
}

bool has(const std::vector<std::string>& list, std::string_view item) { return std::find(list.begin(), list.end(), item) != list.end(); }

uint64_t nanoseconds(const timespec& t) { return uint64_t(t.tv_sec) * 1'000'000'000 + uint64_t(t.tv_nsec); }

/// The image that `name` means: by id, by a prefix of an id, by tag or by digest.
Result<const Record*> lookup(const std::vector<Record>& images, std::string_view name) {
  std::string_view digits = name.starts_with("sha256:") ? name.substr(7) : name;
  bool hex = digits.size() >= 12 && digits.size() <= 64 && digits.find_first_not_of("0123456789abcdef") == digits.npos;
  if (hex) {
    const Record* found = nullptr;
    for (const auto& r : images) {
      if (!hex_of(r.id).starts_with(digits)) continue;
      if (found) return fail(Code::invalid, "the image id " + std::string(name) + " means several images; write more of its digits");
      found = &r;
    }
    if (found || name.starts_with("sha256:") || digits.size() == 64) return found;
  }
  Reference ref = TRY(parse_reference(name));
  const std::string key = ref.key();
  for (const auto& r : images)
    if (has(ref.digest.empty() ? r.tags : r.digests, key)) return &r;
  return nullptr;
}

}  // namespace

Result<std::shared_ptr<const Store::IndexFile>> Store::load_index() const {
  const std::string path = root_ + "/index.json";
  auto file = std::make_shared<IndexFile>();
  auto fd = os::open_file(path, O_RDONLY);
  if (!fd) {
    if (fd.error().sys == ENOENT) return file;
    return std::unexpected(fd.error());
  }
  auto info = TRY(os::fstat_file(fd->get()));
  file->inode = info.st_ino;
  file->mtime_ns = nanoseconds(info.st_mtim);
  file->images = TRY_AS("image index " + path, parse_records(TRY(os::read_all(fd->get()))));
  return file;
}

Result<std::shared_ptr<const Store::IndexFile>> Store::index() {
  struct stat info{};
  if (::stat((root_ + "/index.json").c_str(), &info) != 0) info = {};
  {
    std::lock_guard lock(mutex_);
    if (cached_ && cached_->inode == info.st_ino && cached_->mtime_ns == nanoseconds(info.st_mtim)) return cached_;
  }
  auto fresh = TRY(load_index());
  std::lock_guard lock(mutex_);
  cached_ = fresh;
  return fresh;
}

Result<void> Store::save_index(const IndexFile& index) {
  return within("write the image index", os::write_file_atomic(root_ + "/index.json", print_records(index.images), 0600));
}

Result<std::optional<Record>> Store::find(std::string_view name) {
  auto file = TRY(index());
  const Record* found = TRY(lookup(file->images, name));
  return found ? std::optional(*found) : std::nullopt;
}

Result<std::vector<Record>> Store::list() { return TRY(index())->images; }

Result<Record> Store::add_image(std::string_view manifest_digest, std::string_view tag, std::string_view digest, bool kept) {
  Manifest manifest = TRY(parse_manifest(TRY(read_blob(manifest_digest))));
  auto parsed = TRY(config(manifest.config.digest));
  for (const auto& path : layer_paths(*parsed))
    if (!os::exists(path)) return fail(Code::internal, "layer " + path + " of image " + manifest.config.digest + " is not unpacked");
  Fd lock = TRY(os::lock_file(root_ + "/index.lock"));
  IndexFile changed = *TRY(load_index());
  const std::string now = format_rfc3339(std::chrono::time_point_cast<WallTime::duration>(std::chrono::system_clock::now()));
  Record* record = nullptr;
  for (auto& r : changed.images) {
    if (!tag.empty() && r.id != manifest.config.digest) std::erase(r.tags, tag);
    if (r.id == manifest.config.digest) record = &r;
  }
  if (!record) {
    record = &changed.images.emplace_back();
    record->id = manifest.config.digest;
    record->imported = now;
  }
  record->kept |= kept;
  record->manifest = manifest_digest;
  record->size = manifest.layers_size() + manifest.config.size + TRY(blob_size(manifest_digest));
  if (!tag.empty() && !has(record->tags, tag)) record->tags.emplace_back(tag);
  if (!tag.empty()) record->tagged = now;
  if (!digest.empty() && !has(record->digests, digest)) record->digests.emplace_back(digest);
  Record out = *record;
  TRY(save_index(changed));
  settle_soon();
  return out;
}

Result<Removed> Store::remove(std::string_view name, bool force) {
  Removed out;
  std::string id;
  {
    Fd lock = TRY(os::lock_file(root_ + "/index.lock"));
    IndexFile changed = *TRY(load_index());
    const Record* found = TRY(lookup(changed.images, name));
    if (!found) return fail(Code::not_found, "image " + std::string(name) + " is not here");
    Record& record = changed.images[size_t(found - changed.images.data())];
    id = record.id;
    auto ref = parse_reference(name);
    std::string key = ref ? ref->key() : "";
    if (ref && (has(record.tags, key) || has(record.digests, key))) {
      std::erase(record.tags, key);
      std::erase(record.digests, key);
      out.untagged.push_back(key);
    } else {
      if (!force && record.tags.size() > 1)
        return fail(Code::conflict, "image " + short_digest(id) + " has several names (" + join(record.tags, ", ") +
                                        "); remove them by name, or use --force");
      if (!force && has(TRY(used()), id))
        return fail(Code::conflict, "image " + short_digest(id) +
                                        " is used by a container; remove the container first, or use --force to remove its name only");
      out.untagged = std::exchange(record.tags, {});
    }
    // What the registry called it goes with the last tag.
    if (record.tags.empty() && !(ref && !ref->digest.empty() && !record.digests.empty())) {
      out.untagged.insert(out.untagged.end(), record.digests.begin(), record.digests.end());
      record.digests.clear();
    }
    if (record.tags.empty() && record.digests.empty()) record.kept = false;
    TRY(save_index(changed));
  }
  out.freed = TRY(collect());
  out.deleted = !TRY(find(id)).has_value();
  return out;
}

Result<uint64_t> Store::collect(bool* done) {
  if (done) *done = false;
  Fd content = TRY(os::open_file(root_ + "/content.lock", O_RDWR | O_CREAT, 0600));
  if (::flock(content.get(), LOCK_EX | LOCK_NB) != 0) return 0;
  if (done) *done = true;
  IndexFile index;
  {
    Fd lock = TRY(os::lock_file(root_ + "/index.lock"));
    index = *TRY(load_index());
    auto in_use = TRY(used());
    auto unused = [&](const Record& r) { return r.tags.empty() && r.digests.empty() && !r.kept && !has(in_use, r.id); };
    const std::vector<Record> before = index.images;
    if (std::erase_if(index.images, unused)) {
      TRY(save_index(index));
      // Somebody may have begun to use one and found it just before: see use().
      auto now_used = TRY(used());
      bool back = false;
      for (const auto& r : before) {
        if (!unused(r) || !has(now_used, r.id)) continue;
        index.images.push_back(r);
        back = true;
      }
      if (back) TRY(save_index(index));
    }
  }
  TRY(sweep_temporaries());
  TRY(sweep_spare_roots(index));
  return sweep(index);
}

Result<void> Store::sweep_spare_roots(const IndexFile& index) const {
  const std::string containers = data_dir_ + "/containers", spares = containers + "/.spare", removed = containers + "/.removed";
  if (!os::exists(spares)) return {};
  for (const auto& entry : TRY(os::list_dir(spares))) {
    auto image = os::read_file(spares + "/" + entry.name + "/image");
    if (!image || std::ranges::any_of(index.images, [&](const Record& r) { return r.id == trim(*image); })) continue;
    // Whoever moves it has it: a container may be about to take it.
    TRY(os::make_dirs(removed, 0700));
    if (os::rename_file(spares + "/" + entry.name, removed + "/" + entry.name)) TRY(remove_container_root(removed + "/" + entry.name));
  }
  return {};
}

Result<void> Store::sweep_temporaries() {
  for (const auto& entry : TRY(os::list_dir(root_ + "/tmp"))) {
    const std::string path = root_ + "/tmp/" + entry.name;
    auto fd = os::open_file(path, O_RDONLY | O_NOFOLLOW);
    if (fd && ::flock(fd->get(), LOCK_EX | LOCK_NB) == 0) TRY(os::remove_all(path));
  }
  constexpr time_t day = 24 * 3600;
  for (const auto& entry : TRY(os::list_dir(root_ + "/partial"))) {
    const std::string path = root_ + "/partial/" + entry.name;
    auto fd = os::open_file(path, O_RDONLY | O_NOFOLLOW);
    struct stat info{};
    if (fd && ::fstat(fd->get(), &info) == 0 && ::time(nullptr) - info.st_mtime > day && ::flock(fd->get(), LOCK_EX | LOCK_NB) == 0)
      TRY(os::remove_all(path));
  }
  return {};
}

Result<uint64_t> Store::sweep(const IndexFile& index) {
  std::set<std::string, std::less<>> layers;
  auto blobs = TRY(registry_content(data_dir_));
  for (const auto& record : index.images) {
    auto parsed = manifest(record);
    auto settings = config(record.id);
    // Never delete on the ground of what cannot be read.
    if (!parsed || !settings) return 0;
    blobs.emplace(hex_of(record.id));
    blobs.emplace(hex_of(record.manifest));
    for (const auto& layer : parsed->layers) blobs.emplace(hex_of(layer.digest));
    for (const auto& name : record.digests) blobs.emplace(hex_of(*split_once(name, '@').second));
    std::string chain;
    for (const auto& diff : (*settings)->diff_ids) layers.emplace(hex_of(chain = chain_id(chain, diff)));
  }
  for (const auto& entry : TRY(os::list_dir(root_ + "/pins"))) {
    std::string pinned = TRY(os::read_file(root_ + "/pins/" + entry.name));
    for (std::string_view line : split(pinned, '\n')) {
      if (!valid_digest(line)) continue;
      blobs.emplace(hex_of(line));
      layers.emplace(hex_of(line));
    }
  }
  uint64_t freed = 0;
  for (const char* dir : {"/blobs/sha256/", "/recipes/sha256/"}) {
    for (const auto& entry : TRY(os::list_dir(root_ + dir))) {
      if (blobs.contains(entry.name)) {
        // A recipe's tree stays as long as the blob is wanted, though every image that has it may stand on other layers.
        if (auto made = dir[1] == 'r' ? recipe("sha256:" + entry.name) : std::nullopt; made && *made)
          layers.emplace(hex_of((*made)->chain));
        continue;
      }
      const std::string path = root_ + dir + entry.name;
      TRY(os::remove_file(root_ + "/recipes/gzip/" + entry.name));
      if (auto info = os::lstat_file(path)) freed += uint64_t(info->st_size);
      TRY(os::remove_file(path));
    }
  }
  for (const auto& entry : TRY(os::list_dir(root_ + "/layers"))) {
    if (layers.contains(entry.name)) continue;
    // Renamed first, so that a layer is either there whole or not at all.
    const std::string doomed = root_ + "/tmp/" + entry.name;
    if (auto usage = disk_usage(root_ + "/layers/" + entry.name + "/fs")) freed += usage->bytes;
    TRY(os::rename_file(root_ + "/layers/" + entry.name, doomed));
    TRY(os::remove_all(doomed));
  }
  for (const auto& note : TRY(os::list_dir(root_ + "/unsynced")))
    if (!os::exists(noted_path(note.name))) TRY(os::remove_file(root_ + "/unsynced/" + note.name));
  std::lock_guard lock(mutex_);
  std::erase_if(configs_, [&](const auto& item) { return !blobs.contains(hex_of(item.first)); });
  return freed;
}

}  // namespace estiba::image
