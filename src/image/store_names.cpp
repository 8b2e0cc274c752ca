// Store: names given and taken one by one, as Docker's API does; who uses an image; what layers weigh.
#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "base/time.h"
#include "image/overlay.h"
#include "image/store.h"
#include "os/file.h"

namespace estiba::image {

Result<Record> Store::change_record(std::string_view id, UniqueFunction<void(Record&, std::vector<Record>&)> change) {
  Fd lock = TRY(os::lock_file(root_ + "/index.lock"));
  IndexFile changed = *TRY(load_index());
  auto it = std::find_if(changed.images.begin(), changed.images.end(), [&](const Record& r) { return r.id == id; });
  if (it == changed.images.end()) return fail(Code::not_found, "image " + std::string(id) + " is not here");
  change(*it, changed.images);
  Record out = *it;
  TRY(save_index(changed));
  return out;
}

Result<Record> Store::tag(std::string_view id, const std::string& name) {
  return change_record(id, [&](Record& record, std::vector<Record>& all) {
    for (auto& r : all) std::erase(r.tags, name);
    record.tags.push_back(name);
    record.tagged = format_rfc3339_nano(std::chrono::time_point_cast<WallTime::duration>(std::chrono::system_clock::now()));
    record.kept = true;
  });
}

Result<Record> Store::untag(std::string_view id, const std::vector<std::string>& names) {
  return change_record(id, [&](Record& record, std::vector<Record>&) {
    for (const auto& name : names) {
      std::erase(record.tags, name);
      std::erase(record.digests, name);
    }
    record.kept = true;
  });
}

Result<void> Store::forget(std::string_view id) {
  TRY(change_record(id, [&](Record& record, std::vector<Record>&) {
    record.tags.clear();
    record.digests.clear();
    record.kept = false;
  }));
  return {};
}

Result<Record> Store::add_digest(std::string_view id, const std::string& digest) {
  return change_record(id, [&](Record& record, std::vector<Record>&) {
    if (std::find(record.digests.begin(), record.digests.end(), digest) == record.digests.end()) record.digests.push_back(digest);
  });
}

Result<std::optional<Record>> Store::find_short(std::string_view name) {
  if (name.empty()) return std::nullopt;
  auto by_name = find(name);
  if (by_name && *by_name) return by_name;
  std::string_view digits = name.starts_with("sha256:") ? name.substr(7) : name;
  if (digits.empty() || digits.size() > 64 || digits.find_first_not_of("0123456789abcdef") != digits.npos) return by_name;
  auto all = TRY(index());
  const Record* found = nullptr;
  for (const auto& r : all->images) {
    if (!hex_of(r.id).starts_with(digits)) continue;
    if (found) return std::nullopt;  // Docker does not know it either
    found = &r;
  }
  return found ? std::optional(*found) : std::nullopt;
}

Result<std::vector<ImageUser>> Store::users() const {
  std::vector<ImageUser> out;
  auto entries = os::list_dir(data_dir_ + "/containers");
  if (!entries) return entries.error().sys == ENOENT ? Result<std::vector<ImageUser>>(out) : std::unexpected(entries.error());
  for (const auto& entry : *entries) {
    auto text = os::read_file(data_dir_ + "/containers/" + entry.name + "/image");
    if (text) out.push_back({entry.name, std::string(trim(*text))});
    else if (text.error().sys != ENOENT && text.error().sys != ENOTDIR) return std::unexpected(text.error());
  }
  return out;
}

Result<std::vector<std::string>> Store::used() const {
  std::vector<std::string> out;
  for (auto& user : TRY(users())) out.push_back(std::move(user.image));
  return out;
}

Result<uint64_t> Store::layer_size(std::string_view chain) {
  {
    std::lock_guard lock(mutex_);
    if (auto it = sizes_.find(chain); it != sizes_.end()) return it->second;
  }
  const std::string layer = root_ + "/layers/" + std::string(hex_of(chain));
  std::optional<uint64_t> size;
  if (auto text = os::read_file(layer + "/size")) size = parse_number<uint64_t>(trim(*text));
  if (!size) {  // a layer of before sizes were noted
    size = TRY(disk_usage(layer + "/fs")).bytes;
    (void)os::write_file_atomic(layer + "/size", std::to_string(*size), 0600, false);
  }
  std::lock_guard lock(mutex_);
  sizes_.emplace(std::string(chain), *size);
  return *size;
}

Result<uint64_t> Store::unpacked_size(const Config& config) {
  uint64_t total = 0;
  std::string chain;
  for (const auto& diff : config.diff_ids) total += TRY(layer_size(chain = chain_id(chain, diff)));
  return total;
}

}  // namespace estiba::image
