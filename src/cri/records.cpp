#include "cri/records.h"

#include "base/log.h"
#include "os/file.h"

namespace estiba::cri {

namespace {

template <class R>
void load_from(const std::string& dir, std::map<std::string, R, std::less<>>& out) {
  for (const os::DirEntry& entry : os::list_dir(dir).value_or(std::vector<os::DirEntry>())) {
    const std::string path = dir + "/" + entry.name;
    R record;
    auto text = os::read_file(path);
    if (text && decode(*text, record) && record.id == entry.name) {
      out.emplace(entry.name, std::move(record));
      continue;
    }
    log::warn("cri", "a record cannot be read and is dropped", {{"file", path}});
    (void)os::remove_file(path);
  }
}

template <class R>
Result<void> save_to(const std::string& dir, std::map<std::string, R, std::less<>>& map, R record) {
  TRY(os::write_file_atomic(dir + "/" + record.id, encode(record), 0600, false));
  const std::string id = record.id;
  map.insert_or_assign(id, std::move(record));
  return {};
}

template <class R>
const R* find(const std::map<std::string, R, std::less<>>& map, std::string_view id) {
  if (id.empty()) return nullptr;
  auto at = map.lower_bound(id);
  if (at == map.end() || !at->first.starts_with(id)) return nullptr;
  if (at->first.size() == id.size()) return &at->second;
  auto next = std::next(at);
  return next != map.end() && next->first.starts_with(id) ? nullptr : &at->second;
}

}  // namespace

Result<void> Records::load() {
  TRY(os::make_dirs(dir_ + "/sandboxes", 0700));
  TRY(os::make_dirs(dir_ + "/containers", 0700));
  load_from(dir_ + "/sandboxes", sandboxes_);
  load_from(dir_ + "/containers", containers_);
  return {};
}

Result<void> Records::save(SandboxRecord record) { return save_to(dir_ + "/sandboxes", sandboxes_, std::move(record)); }
Result<void> Records::save(ContainerRecord record) { return save_to(dir_ + "/containers", containers_, std::move(record)); }

void Records::remove_sandbox(const std::string& id) {
  sandboxes_.erase(id);
  if (auto gone = os::remove_file(dir_ + "/sandboxes/" + id); !gone) log::warn("cri", "record not removed", {{"error", gone.error()}});
}
void Records::remove_container(const std::string& id) {
  containers_.erase(id);
  if (auto gone = os::remove_file(dir_ + "/containers/" + id); !gone) log::warn("cri", "record not removed", {{"error", gone.error()}});
}

const SandboxRecord* Records::sandbox(std::string_view id) const { return find(sandboxes_, id); }
const ContainerRecord* Records::container(std::string_view id) const { return find(containers_, id); }

}  // namespace estiba::cri
