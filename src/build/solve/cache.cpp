#include "build/solve/cache.h"

#include <algorithm>

#include "base/strings.h"
#include "image/digest.h"
#include "os/file.h"

namespace estiba::build {

std::string cache_key(const std::vector<std::string_view>& parts) {
  image::Sha256 hash;
  for (std::string_view part : parts) {
    hash.update(std::to_string(part.size()) + ":");
    hash.update(part);
  }
  return std::string(image::hex_of(hash.digest()));
}

Result<void> Cache::load() {
  auto text = os::read_file(path_);
  if (!text) return text.error().sys == ENOENT ? Result<void>() : std::unexpected(std::move(text.error()));
  std::lock_guard lock(mutex_);
  for (std::string_view record : split(*text, '\n')) take(record);
  return {};
}

void Cache::take(std::string_view record) {
  auto fields = split(record, '\t');
  if (fields.size() < 4) return;
  auto created = parse_number<int64_t>(fields[2]), used = parse_number<int64_t>(fields[3]);
  if (!created || !used) return;
  CacheEntry entry{*created, *used, {}, {}};
  if (fields[0] == "layer") {
    if (fields.size() != 9 || !image::valid_digest(fields[4]) || !image::valid_digest(fields[5]) || !image::valid_digest(fields[6])) return;
    auto size = parse_number<uint64_t>(fields[7]);
    if (!size) return;
    entry.layer = image::MadeLayer{std::string(fields[5]), std::string(fields[6]), *size, std::string(fields[4]), std::string(fields[8])};
  } else if ((fields[0] == "memo" || fields[0] == "mount") && fields.size() == 5) {
    entry.value = fields[4];
    entry.mount = fields[0] == "mount";
  } else if (fields[0] != "empty") {
    return;
  }
  entries_.insert_or_assign(std::string(fields[1]), std::move(entry));
}

std::string Cache::line(const std::string& key, const CacheEntry& entry) {
  std::string times = key + "\t" + std::to_string(entry.created) + "\t" + std::to_string(entry.used);
  if (entry.mount) return "mount\t" + times + "\t" + entry.value + "\n";
  if (!entry.value.empty()) return "memo\t" + times + "\t" + entry.value + "\n";
  if (!entry.layer) return "empty\t" + times + "\n";
  const auto& layer = *entry.layer;
  return "layer\t" + times + "\t" + layer.chain + "\t" + layer.diff_id + "\t" + layer.digest + "\t" + std::to_string(layer.size) + "\t" +
         layer.media_type + "\n";
}

std::optional<CacheEntry> Cache::find(const std::string& key, int64_t now) {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(key);
  if (it == entries_.end()) return std::nullopt;
  if (it->second.layer && (!store_.has_layer(it->second.layer->chain) || !store_.has_blob(it->second.layer->digest))) {
    entries_.erase(it);
    dirty_ = layers_changed_ = true;
    return std::nullopt;
  }
  if (it->second.used != now) dirty_ = true;
  it->second.used = now;
  return it->second;
}

void Cache::put(const std::string& key, CacheEntry entry) {
  std::lock_guard lock(mutex_);
  dirty_ = true;
  layers_changed_ |= entry.layer.has_value();
  entries_.insert_or_assign(key, std::move(entry));
}

Result<void> Cache::pin() const {
  std::vector<std::string> digests;
  for (const auto& [key, entry] : entries_) {
    if (!entry.layer) continue;
    digests.push_back(entry.layer->digest);
    digests.push_back(entry.layer->chain);
  }
  return store_.pin("build-cache", digests);
}

Result<void> Cache::save() {
  std::lock_guard lock(mutex_);
  if (!dirty_) return {};
  // The pin first: an entry whose layer the collector takes is noticed, a pin without an entry is rewritten.
  if (layers_changed_) TRY(pin());
  std::string text;
  for (const auto& [key, entry] : entries_) text += line(key, entry);
  TRY(os::write_file_atomic(path_, text, 0600, false));
  dirty_ = layers_changed_ = false;
  return {};
}

void Cache::use_mount(const std::string& key, std::string description, int64_t now) {
  for (char& c : description)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  std::lock_guard lock(mutex_);
  dirty_ = true;
  auto [it, fresh] = entries_.try_emplace(key);
  if (fresh) it->second.created = now;
  it->second.used = now;
  it->second.mount = true;
  it->second.value = std::move(description);
}

bool Cache::fits(const std::string& key, const CacheEntry& entry, const PruneRequest& request, const Kept& kept) {
  auto begins = [&](const std::string& id) { return key.starts_with(id); };
  const std::string_view type = entry.mount ? "exec.cachemount" : "regular";
  if (entry.used >= request.before) return false;
  if (!request.ids.empty() && std::none_of(request.ids.begin(), request.ids.end(), begins)) return false;
  if (!request.types.empty() && std::find(request.types.begin(), request.types.end(), type) == request.types.end()) return false;
  if (entry.mount) return !kept.busy_mounts.contains(key);
  return request.all || (entry.layer && !kept.image_chains.contains(entry.layer->chain));
}

Cache::Pruned Cache::prune(const PruneRequest& request, const Kept& kept) {
  Pruned out;
  std::lock_guard lock(mutex_);
  // Directories that an older engine left without a record.
  for (const auto& [key, bytes] : kept.mount_bytes) entries_.try_emplace(key, CacheEntry{.value = key, .mount = true});
  auto size_of = [&](const std::string& key, const CacheEntry& entry) {
    auto mount = entry.mount ? kept.mount_bytes.find(key) : kept.mount_bytes.end();
    return mount != kept.mount_bytes.end() ? mount->second : entry.layer ? entry.layer->size : 0;
  };
  uint64_t total = 0;
  std::vector<std::pair<int64_t, std::string>> order;  // what goes first
  for (const auto& [key, entry] : entries_) {
    total += size_of(key, entry);
    if (fits(key, entry, request, kept)) order.emplace_back(entry.used, key);
  }
  std::sort(order.begin(), order.end());
  for (const auto& [used, key] : order) {
    if (request.keep_bytes > 0 && total <= request.keep_bytes) break;
    auto it = entries_.find(key);
    const uint64_t bytes = size_of(key, it->second);
    out.bytes += bytes;
    total -= bytes;
    if (it->second.mount) out.mounts.push_back(key);
    if (it->second.mount || it->second.value.empty()) out.keys.push_back(key);
    entries_.erase(it);
  }
  dirty_ = layers_changed_ = true;
  return out;
}

std::vector<std::pair<std::string, CacheEntry>> Cache::list() const {
  std::lock_guard lock(mutex_);
  return {entries_.begin(), entries_.end()};
}

}  // namespace estiba::build
