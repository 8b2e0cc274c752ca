#include "docker/containers.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "docker/errors.h"
#include "docker/names.h"
#include "io/pool.h"
#include "os/file.h"

namespace estiba::docker {

std::string_view to_string(Status status) {
  switch (status) {
    case Status::created: return "created";
    case Status::running: return "running";
    case Status::paused: return "paused";
    case Status::restarting: return "restarting";
    case Status::removing: return "removing";
    case Status::exited: return "exited";
    case Status::dead: return "dead";
  }
  return "";
}

Result<void> check_name(std::string_view name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  const bool good = name.size() >= 2 && letter(name[0]) &&
                    std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || c == '_' || c == '.' || c == '-'; });
  if (good) return {};
  return fail(Code::invalid, "Invalid container name (" + std::string(name) + "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
}

Result<ContainerRef> Containers::find(std::string_view name) const {
  if (name.starts_with('/')) name.remove_prefix(1);
  if (name.empty()) return fail(Code::invalid, "No such container: the name is empty");
  if (auto it = by_id_.find(name); it != by_id_.end()) return it->second;
  if (auto it = names_.find(name); it != names_.end())
    if (auto found = by_id_.find(it->second); found != by_id_.end()) return found->second;
  auto it = by_id_.lower_bound(name);
  if (it == by_id_.end() || !it->first.starts_with(name)) return no_such_container(name);
  if (auto next = std::next(it); next != by_id_.end() && next->first.starts_with(name))
    return fail(Code::invalid, "multiple IDs found with provided prefix: " + std::string(name));
  return it->second;
}

std::vector<ContainerRef> Containers::all() const {
  std::vector<ContainerRef> out;
  out.reserve(by_id_.size());
  for (const auto& [id, container] : by_id_) out.push_back(container);
  std::stable_sort(out.begin(), out.end(), [](const ContainerRef& a, const ContainerRef& b) { return a->created > b->created; });
  return out;
}

Result<void> Containers::reserve_name(const std::string& name, const std::string& id) {
  TRY(check_name(name));
  auto [it, fresh] = names_.emplace(name, id);
  if (fresh || it->second == id) return {};
  return fail(Code::conflict, "Conflict. The container name \"/" + name + "\" is already in use by container \"" + it->second +
                                  "\". You have to remove (or rename) that container to be able to reuse that name.");
}

void Containers::release_name(const std::string& name, const std::string& id) {
  if (auto it = names_.find(name); it != names_.end() && it->second == id) names_.erase(it);
}

std::string Containers::made_up_name() const {
  for (int attempt = 0;; ++attempt) {
    std::string name = random_name(attempt);
    if (!names_.contains(name)) return name;
  }
}

void Containers::insert(ContainerRef container) {
  names_.insert_or_assign(container->name, container->id);
  touch(*container);
  by_id_.insert_or_assign(container->id, std::move(container));
}

void Containers::erase(const ContainerRef& container) {
  container->removed = true;
  release_name(container->name, container->id);
  by_id_.erase(container->id);
  touch(*container);
}

Result<void> Containers::rename(const ContainerRef& container, const std::string& name) {
  TRY(reserve_name(name, container->id));
  release_name(std::exchange(container->name, name), container->id);
  touch(*container);
  return {};
}

void Containers::touch(Container& container) {
  container.revision = ++revision_;
  container.changed.set();
}

bool Containers::passing(const Container& c) {
  return c.facts.auto_remove && std::none_of(c.mounts.begin(), c.mounts.end(), [](const MountPoint& m) { return m.type == "volume"; });
}

Task<Result<void>> Containers::blocking(bool passing, std::function<Result<void>()> work) {
  if (passing) co_return work();
  co_return co_await pool_.run(std::move(work));
}

std::string Containers::record_path(const Container& c) const { return (passing(c) ? passing_dir() : dir()) + "/" + c.id + ".json"; }
std::string Containers::files_dir(const Container& c) const { return (passing(c) ? passing_dir() : dir()) + "/" + c.id; }
std::string Containers::log_dir(const Container& c) const { return passing(c) ? data_dir_ + "/containers/" + c.id : files_dir(c); }
std::string Containers::files_dir_of(std::string_view other, const Container& container) const {
  if (other.empty()) return files_dir(container);
  auto found = find(other);
  return files_dir(found ? **found : container);
}
bool Containers::has_record(std::string_view id) const {
  const std::string name = "/" + std::string(id) + ".json";
  return os::exists(dir() + name) || os::exists(passing_dir() + name);
}

Task<Result<void>> Containers::write(ContainerRef container, bool durable) {
  auto held = co_await container->writing.lock();
  if (container->removed) co_return {};
  const bool started = container->started != WallTime{};
  // After a loss of power no container runs, and those that are removed at their end are gone whatever the disk says.
  durable = durable && !container->facts.auto_remove;
  auto work = [path = record_path(*container), text = print_record(*container), durable] {
    return os::write_file_atomic(path, text, 0600, durable);
  };
  auto written = co_await blocking(passing(*container), std::move(work));
  if (written) container->start_noted = started;
  co_return written;
}

Task<Result<void>> Containers::note(ContainerRef container) { return write(std::move(container), false); }

Task<Result<void>> Containers::save(ContainerRef container) {
  auto written = co_await write(container, false);
  save_soon(std::move(container));
  co_return written;
}

void Containers::save_soon(ContainerRef container) {
  ++container->saving;
  if (container->saving - container->saved > 1) return;  // the writer that is at it sees the change
  writers_.start([](Containers* self, ContainerRef c) -> Task<void> {
    while (c->saved != c->saving) {
      const uint64_t current = c->saving;
      if (auto written = co_await self->write(c, true); !written)
        log::error("docker", "the state of a container could not be written", {{"container", c->id}, {"error", written.error()}});
      c->saved = current;
    }
  }(this, std::move(container)));
}

Task<void> Containers::settle() { co_await writers_.join(); }

Task<Result<void>> Containers::forget(ContainerRef container) {
  container->removed = true;
  auto held = co_await container->writing.lock();
  auto work = [record = record_path(*container), files = files_dir(*container)]() -> Result<void> {
    TRY(os::remove_all(files));
    return os::remove_file(record);
  };
  co_return co_await blocking(passing(*container), std::move(work));
}

Result<std::vector<ContainerRef>> Containers::load() const {
  std::vector<ContainerRef> out;
  for (const std::string& from : {dir(), passing_dir()}) {
    if (!os::exists(from)) continue;
    for (const auto& entry : TRY(os::list_dir(from))) {
      if (!entry.name.ends_with(".json") || entry.name.size() != 64 + 5) continue;
      const std::string file = from + "/" + entry.name;
      auto text = os::read_file(file);
      auto record = text ? parse_record(*text) : Result<ContainerRef>(std::unexpected(text.error()));
      if (record) out.push_back(std::move(*record));
      else
        log::error("docker", "a container's record cannot be read; the container is left out", {{"file", file}, {"error", record.error()}});
    }
  }
  return out;
}

}  // namespace estiba::docker
