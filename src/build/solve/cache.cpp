#include "build/solve/cache.h"

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
  } else if (fields[0] == "memo" && fields.size() == 5) {
    entry.value = fields[4];
  } else if (fields[0] != "empty") {
    return;
  }
  entries_.insert_or_assign(std::string(fields[1]), std::move(entry));
}

std::string Cache::line(const std::string& key, const CacheEntry& entry) {
  std::string times = key + "\t" + std::to_string(entry.created) + "\t" + std::to_string(entry.used);
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

Result<Cache::Pruned> Cache::prune(int64_t before) {
  Pruned out;
  {
    std::lock_guard lock(mutex_);
    for (auto it = entries_.begin(); it != entries_.end();) {
      if (it->second.used >= before) {
        ++it;
        continue;
      }
      if (it->second.layer) out.bytes += it->second.layer->size;
      if (it->second.value.empty()) out.keys.push_back(it->first);
      it = entries_.erase(it);
    }
    dirty_ = layers_changed_ = true;
  }
  TRY(save());
  return out;
}

std::vector<std::pair<std::string, CacheEntry>> Cache::list() const {
  std::lock_guard lock(mutex_);
  return {entries_.begin(), entries_.end()};
}

}  // namespace estiba::build
