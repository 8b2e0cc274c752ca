#include "node/user_ids.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/log.h"
#include "base/strings.h"
#include "image/user_namespaces.h"
#include "model/json.h"
#include "node/container_spec.h"
#include "os/file.h"

namespace estiba::node {

namespace {

constexpr uint64_t all_ids = uint64_t(1) << 32;

bool has_kubelet_user() {
  for (std::string_view line : split(read_text_file("/etc/passwd"), '\n'))
    if (line.starts_with("kubelet:")) return true;
  return false;
}

struct Said {
  int status = 0;
  std::string text;
};

Said run(const char* command) {
  Said out;
  FILE* pipe = popen(command, "re");
  if (!pipe) return {127, {}};
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.text.append(buffer, n);
  const int status = pclose(pipe);
  out.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return out;
}

Result<std::vector<std::string>> entries_of(const std::string& dir) {
  std::vector<std::string> out;
  std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(dir.c_str()), closedir);
  if (!open && errno == ENOENT) return out;
  if (!open) return fail_errno("open " + dir);
  while (const dirent* entry = readdir(open.get()))
    if (entry->d_name[0] != '.') out.emplace_back(entry->d_name);
  return out;
}

Result<void> make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0750) < 0 && errno != EEXIST) return fail_errno("mkdir " + path);
  return {};
}

}  // namespace

Result<void> check_ids_per_pod(int64_t per_pod) {
  if (per_pod > 0 && per_pod % 65536 == 0 && per_pod <= int64_t(all_ids / 4)) return {};
  return fail(Code::invalid, "must be a multiple of 65536 and at most " + std::to_string(all_ids / 4) + ", not " + std::to_string(per_pod));
}

Result<IdPool> parse_subordinate_ids(const std::string& text, uint32_t per_pod) {
  const auto lines = split(trim(text), '\n');
  if (lines.size() != 1 || lines[0].empty())
    return fail(Code::invalid, "getsubids: one range for the user kubelet is wanted, not " + quoted(text));
  std::vector<std::string_view> words;
  for (std::string_view word : split(lines[0], ' '))
    if (!word.empty()) words.push_back(word);
  const auto first = words.size() == 4 ? parse_number<uint64_t>(words[2]) : std::nullopt;
  const auto count = words.size() == 4 ? parse_number<uint64_t>(words[3]) : std::nullopt;
  if (!first || !count) return fail(Code::malformed, "getsubids: cannot read " + quoted(lines[0]));
  if (*first % per_pod || *count % per_pod || *first < per_pod || !*count || *first + *count > all_ids)
    return fail(Code::invalid, "subordinate ids of the user kubelet: first and number must be multiples of " + std::to_string(per_pod) +
                                   ", and the first not 0; " + quoted(lines[0]) + " is not");
  return IdPool{*first, *count};
}

Result<IdPool> find_id_pool(uint32_t per_pod) {
  TRY(check_ids_per_pod(per_pod));
  const IdPool usual{per_pod, (all_ids - 1) / per_pod * per_pod - per_pod};
  if (!has_kubelet_user()) return usual;
  const Said uids = run("getsubids kubelet 2>/dev/null");
  if (uids.status == 127) return usual;  // there is no such program
  const Said gids = run("getsubids -g kubelet 2>/dev/null");
  if (uids.status || gids.status)
    return fail(Code::invalid, "getsubids fails for the user kubelet: give it ranges in /etc/subuid and /etc/subgid");
  if (uids.text != gids.text) return fail(Code::invalid, "the subordinate user and group ids of the user kubelet must be the same");
  return parse_subordinate_ids(uids.text, per_pod);
}

Result<void> UserIds::open(const std::string& run_dir) {
  auto look = [&]() -> Result<IdPool> {
    const IdPool pool = TRY(find_id_pool(per_pod_));
    TRY(image::try_user_namespace(data_dir_, run_dir, uint32_t(pool.first), per_pod_));
    return pool;
  };
  auto found = look();
  std::lock_guard lock(mutex_);
  pool_ = std::move(found);
  if (!pool_) return std::unexpected(pool_.error());
  return load();
}

Result<void> UserIds::open(IdPool pool) {
  std::lock_guard lock(mutex_);
  pool_ = pool;
  return load();
}

bool UserIds::offered() const {
  std::lock_guard lock(mutex_);
  return pool_.has_value();
}

Result<void> UserIds::load() {
  taken_.clear();
  for (const std::string& uid : TRY(entries_of(data_dir_ + "/pods"))) {
    auto range = read(uid);
    if (range) taken_[uid] = *range;
    else if (range.error().code != Code::not_found)
      log::warn("node", "a pod's ids cannot be read", {{"pod", uid}, {"error", range.error()}});
  }
  return {};
}

Result<UserIds::Range> UserIds::read(const std::string& uid) const {
  const std::string path = file(uid);
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("open " + path);
  const auto document = TRY_AS(path, json::Document::parse(read_text_file(path)));
  auto only = [&](const char* key) -> std::optional<Range> {
    const json::Node* list = document.root().is_object() ? document.root().find(key) : nullptr;
    if (!list || !list->is_array() || list->size() != 1) return std::nullopt;
    auto number = [&](const char* name) -> int64_t {
      const json::Node* node = list->begin()->find(name);
      return node ? node->as_int().value_or(-1) : -1;
    };
    const int64_t first = number("hostId"), size = number("length");
    if (number("containerId") != 0 || first <= 0 || size <= 0 || first + size > int64_t(all_ids)) return std::nullopt;
    return Range{uint32_t(first), uint32_t(size)};
  };
  const auto uids = only("uidMappings"), gids = only("gidMappings");
  if (!uids || !gids || uids->first != gids->first || uids->size != gids->size)
    return fail(Code::malformed, path + ": one range for users and the same for groups is wanted, which begins with the container's 0");
  return *uids;
}

Result<void> UserIds::write(const std::string& uid, Range range) const {
  TRY(make_directory(data_dir_ + "/pods"));
  TRY(make_directory(data_dir_ + "/pods/" + uid));
  const std::string mapping =
      R"([{"hostId":)" + std::to_string(range.first) + R"(,"containerId":0,"length":)" + std::to_string(range.size) + "}]";
  const std::string text = R"({"uidMappings":)" + mapping + R"(,"gidMappings":)" + mapping + "}";
  return os::write_file_atomic(file(uid), text, 0600);
}

bool UserIds::is_free(Range range) const {
  for (const auto& [uid, other] : taken_)
    if (range.first < uint64_t(other.first) + other.size && other.first < uint64_t(range.first) + range.size) return false;
  return true;
}

Result<UserIds::Range> UserIds::take(const std::string& uid) {
  std::lock_guard lock(mutex_);
  if (!pool_) {
    return fail(Code::unsupported, "can't set `spec.hostUsers: false`: this node does not support user namespaces (" +
                                       pool_.error().message + "); leave the field out, or let the pod run on another node");
  }
  if (auto known = taken_.find(uid); known != taken_.end()) return known->second;
  for (uint64_t first = pool_->first; first + per_pod_ <= pool_->first + pool_->count; first += per_pod_) {
    const Range range{uint32_t(first), per_pod_};
    if (!is_free(range)) continue;
    TRY_AS("spec.hostUsers", write(uid, range));
    taken_[uid] = range;
    return range;
  }
  return fail(Code::exhausted, "spec.hostUsers: all " + std::to_string(pool_->count / per_pod_) + " ranges of ids of this node are taken");
}

void UserIds::release(const std::string& uid) {
  std::lock_guard lock(mutex_);
  if (taken_.erase(uid)) ::unlink(file(uid).c_str());
}

}  // namespace estiba::node
