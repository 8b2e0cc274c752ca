#include "node/static_pods.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "client/backoff.h"
#include "io/file_watch.h"
#include "node/node_events.h"
#include "node/pod_worker.h"

namespace estiba::node {

using model::ObjectRef;
using namespace std::chrono_literals;

namespace {

constexpr size_t longest_manifest = 10u << 20;
// What no event tells of (links, file systems without events) is found by looking again; so is a directory that comes late.
constexpr Duration rescan = 20s, retry_missing = 5s;

// A regular file, whole.
Result<std::string> read_whole(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return fail_errno("open");
  struct stat facts{};
  if (fstat(fd.get(), &facts) != 0) return fail_errno("fstat");
  if (S_ISDIR(facts.st_mode)) return fail(Code::invalid, "it is a directory, and directories are not looked into");
  if (!S_ISREG(facts.st_mode)) return fail(Code::invalid, "it is not a regular file");
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0) return fail_errno("read");
    if (got == 0) return text;
    text.append(buffer, size_t(got));
    if (text.size() > longest_manifest) return fail(Code::invalid, "it is longer than 10 MiB");
  }
}

std::string directory_of(const std::string& path) {
  struct stat facts{};
  if (stat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode)) return path;
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

StaticPods::Listing StaticPods::list(const std::string& path) {
  Listing out;
  const auto add = [&](const std::string& file) {
    auto text = read_whole(file);
    if (text) out.texts[file] = std::move(*text);
    else if (text.error().code != Code::not_found) out.unusable.emplace_back(file, text.error().message);
  };
  struct stat facts{};
  if (stat(path.c_str(), &facts) != 0) return out;
  out.there = true;
  if (!S_ISDIR(facts.st_mode)) {
    add(path);
    return out;
  }
  DIR* dir = opendir(path.c_str());
  if (!dir) {
    out.unusable.emplace_back(path, fail_errno("opendir").error().message);
    return out;
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(dir))
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  closedir(dir);
  std::ranges::sort(names);
  for (const std::string& name : names) add(path + "/" + name);
  return out;
}

Task<void> StaticPods::start() {
  const bool wanted = !context_.options.housekeeping.pod_manifests.empty();
  if (wanted) co_await scan();
  mirror_job_ = Job(keep_mirrors(this));
  if (wanted) watch_ = Job(watch(this));
}

Task<void> StaticPods::watch(StaticPods* self) {
  const std::string& path = self->context_.options.housekeeping.pod_manifests;
  for (;;) {
    // Watched before it is read, so that nothing falls between; anew each time, because another directory may have its name.
    auto watched = io::FileWatch::open_directory(directory_of(path));
    const bool there = co_await self->scan();
    if (there && watched) co_await with_timeout(rescan, watched->changed());
    else co_await sleep_for(retry_missing);
  }
}

// --- files -----------------------------------------------------------------------------------------------------------

Task<bool> StaticPods::scan() {
  const std::string path = context_.options.housekeeping.pod_manifests;
  Listing found = co_await context_.pool.run([path] { return list(path); });
  if (!found.there && !std::exchange(missing_, true))
    log::warn("node", "there are no pod manifests: the path does not exist", {{"path", path}});
  if (found.there) missing_ = false;
  std::erase_if(files_, [&](const auto& entry) {
    const auto same = [&](const auto& file) { return file.first == entry.first; };
    return !found.texts.contains(entry.first) && std::ranges::none_of(found.unusable, same);
  });
  for (auto& [file, why] : found.unusable) {
    files_[file].text.clear();
    complain(file, files_[file], why);
  }
  for (auto& [file, text] : found.texts) take(file, std::move(text));
  choose();
  settle();
  co_return found.there;
}

void StaticPods::take(const std::string& path, std::string text) {
  const auto known = files_.find(path);
  if (known != files_.end() && known->second.text == text) return;
  File& file = files_[path];
  file.text = std::move(text);
  auto manifest = read_manifest(file.text, path, context_.options.node_name, context_.options.housekeeping, context_.loop.wall_now());
  if (!manifest) return complain(path, file, manifest.error().message);
  file.complaint.clear();
  file.manifest = std::move(*manifest);
}

// The others are not disturbed by a file that is bad.
void StaticPods::complain(const std::string& path, File& file, std::string why) {
  file.manifest = {};
  if (file.complaint == why) return;
  file.complaint = std::move(why);
  log::warn("node", "pod manifest refused", {{"file", path}, {"error", file.complaint}});
  if (registered_) tell(path, file);
}

void StaticPods::tell(const std::string& path, const File& file) {
  record_of_node(context_, client::EventType::warning, "FailedValidation",
                 "Error validating pod from file " + path + ": " + file.complaint);
}

// Of two files with the same pod the first one counts.
void StaticPods::choose() {
  wanted_.clear();
  std::map<std::string, std::string> from;
  for (auto& [path, file] : files_) {
    if (!file.manifest.pod) continue;
    const std::string key = client::key_of(file.manifest.pod);
    if (wanted_.try_emplace(key, file.manifest).second) {
      from[key] = path;
      file.complaint.clear();
      continue;
    }
    const std::string why = "metadata.name: the pod " + key + " is in " + from[key] + " already; this one is ignored";
    if (file.complaint == why) continue;
    file.complaint = why;
    log::warn("node", "pod manifest refused", {{"file", path}, {"error", why}});
    if (registered_) tell(path, file);
  }
}

// --- pods ------------------------------------------------------------------------------------------------------------

// A pod of another content waits until the one of its name has ended.
void StaticPods::settle() {
  for (const auto& [key, pod] : running_) {
    const auto wanted = wanted_.find(key);
    if (wanted != wanted_.end() && wanted->second.content == pod.content && wanted->second.pod.meta().uid == pod.pod.meta().uid) continue;
    PodWorker* worker = worker_(pod.pod.meta().uid);
    if (worker && !worker->ending()) {
      log::info("node", "static pod ends", {{"pod", key}, {"changed", wanted != wanted_.end()}});
      worker->gone();
    }
  }
  for (const auto& [key, pod] : wanted_) {
    const auto same = [&](const auto& running) { return running.second.pod.meta().uid == pod.pod.meta().uid; };
    if (running_.contains(key) || std::ranges::any_of(running_, same)) continue;
    log::info("node", "static pod starts", {{"pod", key}, {"uid", pod.pod.meta().uid}});
    running_[key] = pod;
    run_(pod.pod);
    show(key);
  }
  mirrors_changed_.set();
}

void StaticPods::finished(const std::string& uid) {
  if (std::erase_if(running_, [&](const auto& entry) { return entry.second.pod.meta().uid == uid; })) settle();
}

// --- mirrors ---------------------------------------------------------------------------------------------------------

void StaticPods::registered() {
  registered_ = true;
  for (const auto& [path, file] : files_)
    if (!file.complaint.empty()) tell(path, file);
  mirrors_changed_.set();
}

void StaticPods::mirror_changed(const ObjectRef& before, const ObjectRef& after) {
  const std::string key = client::key_of(after ? after : before);
  const auto known = mirrors_.find(key);
  if (after && known != mirrors_.end() && after.revision < known->second.revision) return;  // what we wrote is newer
  if (after) mirrors_[key] = after;
  else if (known != mirrors_.end() && known->second.meta().uid == before.meta().uid) mirrors_.erase(known);
  show(key);
  mirrors_changed_.set();
}

// Tells the worker of this name by which mirror its status is shown.
void StaticPods::show(const std::string& key) {
  const auto running = running_.find(key);
  if (running == running_.end()) return;
  const std::string& uid = running->second.pod.meta().uid;
  const auto mirror = mirrors_.find(key);
  const bool fits = mirror != mirrors_.end() && mirror->second.meta().annotation(mirror_annotation) == uid;
  if (PodWorker* worker = worker_(uid)) worker->show_by(fits ? mirror->second : ObjectRef());
}

Task<void> StaticPods::keep_mirrors(StaticPods* self) {
  client::Backoff backoff(1s, 1min);
  for (bool failed = false;;) {
    if (failed) co_await self->mirrors_changed_.wait_for(backoff.next());
    else co_await self->mirrors_changed_.wait();
    self->mirrors_changed_.reset();
    if (!self->registered_) continue;
    std::vector<std::string> keys;
    for (const auto* all : {&self->wanted_, &self->running_})
      for (const auto& [key, pod] : *all) keys.push_back(key);
    for (const auto& [key, mirror] : self->mirrors_) keys.push_back(key);
    std::ranges::sort(keys);
    keys.erase(std::ranges::unique(keys).begin(), keys.end());
    const bool failed_before = std::exchange(failed, false);
    for (const std::string& key : keys) {
      auto kept = co_await self->keep_mirror(key);
      if (kept) continue;
      if (!failed_before) log::warn("node", "mirror pod not as it should be; will try again", {{"pod", key}, {"error", kept.error()}});
      failed = true;
    }
    if (!failed) backoff.reset();
  }
}

Task<Result<void>> StaticPods::remove_mirror(ObjectRef mirror) {
  auto removed =
      co_await context_.client.remove(client::pods, mirror.meta().ns, mirror.meta().name, {.grace_seconds = 0, .uid = mirror.meta().uid});
  if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict) co_return removed;
  mirror_changed(mirror, {});
  co_return {};
}

// Of the pod of this name: there is one mirror, of what is wanted, or none once the pod has ended.
Task<Result<void>> StaticPods::keep_mirror(std::string key) {
  const auto known = mirrors_.find(key);
  const ObjectRef mirror = known == mirrors_.end() ? ObjectRef() : known->second;
  const auto running = running_.find(key);
  if (running == running_.end()) {
    if (mirror) CO_TRY(co_await remove_mirror(mirror));
    co_return {};
  }
  const ObjectRef pod = running->second.pod;
  const bool fits = mirror && mirror.meta().deletion_timestamp.empty() && mirror.meta().annotation(mirror_annotation) == pod.meta().uid;
  if (fits) co_return {};
  if (mirror) CO_TRY(co_await remove_mirror(mirror));
  PodWorker* worker = worker_(pod.meta().uid);
  if (!worker || worker->ending()) co_return {};
  const ObjectRef node = CO_TRY(co_await context_.client.get(client::nodes, "", context_.options.node_name));
  if (!node.meta().deletion_timestamp.empty()) co_return {};
  auto made = co_await context_.client.create(client::pods, pod.meta().ns, mirror_of(pod, node.meta().uid));
  if (!made && made.error().code == Code::already_exists) {
    made = CO_TRY(co_await context_.client.get(client::pods, pod.meta().ns, pod.meta().name));
    if (!is_mirror(made->meta())) co_return fail(Code::already_exists, "a pod of this name is in the API that is not its mirror");
  }
  if (!made) co_return std::unexpected(std::move(made.error()));
  mirror_changed({}, *made);
  co_return {};
}

}  // namespace estiba::node
