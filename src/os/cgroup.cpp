#include "os/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/strings.h"
#include "os/cgroup_impl.h"
#include "os/file.h"
#include "os/mount.h"
#include "os/process.h"
#include "os/syscall.h"

namespace estiba::os {

using namespace cgroup_detail;

namespace cgroup_detail {

std::optional<uint64_t> read_number(const std::string& file) {
  auto text = read_file(file);
  if (!text) return std::nullopt;
  std::string_view value = trim(*text);
  if (value == "max") return 0;
  return parse_number<uint64_t>(value);
}

std::map<std::string, uint64_t> read_values(std::string_view text) {
  std::map<std::string, uint64_t> out;
  for (std::string_view line : split(text, '\n')) {
    auto [name, value] = split_once(line, ' ');
    if (auto number = value ? parse_number<uint64_t>(trim(*value)) : std::nullopt) out.emplace(name, *number);
  }
  return out;
}

void add_io(CgroupStats& stats, const CgroupIo& io) {
  stats.io_read_bytes += io.read_bytes;
  stats.io_write_bytes += io.write_bytes;
  stats.io_read_ops += io.read_ops;
  stats.io_write_ops += io.write_ops;
  stats.io.push_back(io);
}

std::optional<uint64_t> find_value(std::string_view text, std::string_view key) {
  for (std::string_view line : split(text, '\n')) {
    auto [name, value] = split_once(line, ' ');
    if (name == key && value) return parse_number<uint64_t>(trim(*value));
  }
  return std::nullopt;
}

Result<void> await_line(const std::string& file, std::string_view line) {
  Fd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch) return fail_errno("inotify_init1");
  if (inotify_add_watch(watch.get(), file.c_str(), IN_MODIFY) < 0) return fail_call("inotify_add_watch", file);
  while (true) {
    std::string text = TRY(read_file(file));
    for (std::string_view there : split(text, '\n')) {
      if (there == line) return {};
    }
    pollfd poll_for{watch.get(), POLLIN, 0};
    int n = retry_interrupted([&] { return poll(&poll_for, 1, 10000); });
    if (n == 0) return fail(Code::timeout, "wait for \"" + std::string(line) + "\" in " + file);
    char events[4096];
    while (read(watch.get(), events, sizeof events) > 0) {
    }
  }
}

}  // namespace cgroup_detail

Result<CgroupHost> CgroupHost::detect() {
  CgroupHost host;
  for (const MountInfo& mount : TRY(read_mountinfo())) {
    if (mount.fs_type == "cgroup2" && host.unified.empty()) host.unified = mount.mount_point;
    if (mount.fs_type != "cgroup") continue;
    for (std::string_view option : split(mount.super_options, ',')) {
      static constexpr std::string_view known[] = {"cpu",     "cpuacct", "cpuset",     "memory",  "pids",     "blkio", "devices",
                                                   "freezer", "net_cls", "perf_event", "hugetlb", "net_prio", "rdma",  "name=systemd"};
      if (std::find(std::begin(known), std::end(known), option) != std::end(known) && !host.v1_mount(option)) {
        host.v1.emplace_back(option, mount.mount_point);
      }
    }
  }
  host.mode = host.v1_mount("memory") || host.v1_mount("cpu") ? CgroupMode::v1 : CgroupMode::v2;
  if (host.mode == CgroupMode::v2 && host.unified.empty()) {
    return fail(Code::unavailable, "no cgroup hierarchy is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup");
  }
  return host;
}

const std::string* CgroupHost::v1_mount(std::string_view controller) const {
  for (const auto& [name, mount] : v1) {
    if (name == controller) return &mount;
  }
  return nullptr;
}

Result<const CgroupHost*> cgroup_host() {
  static Result<CgroupHost> host = CgroupHost::detect();
  if (!host) return std::unexpected(host.error());
  return &*host;
}

namespace {

// The directories of a group in every v1 hierarchy, each mount once (cpu and cpuacct often share one).
std::vector<std::string> v1_directories(const CgroupHost& host, const std::string& path) {
  std::vector<std::string> out;
  for (const auto& [name, mount] : host.v1) {
    std::string dir = mount + path;
    if (std::find(out.begin(), out.end(), dir) == out.end()) out.push_back(std::move(dir));
  }
  return out;
}

std::vector<std::string> all_directories(const CgroupHost& host, const std::string& path) {
  if (host.mode == CgroupMode::v1) return v1_directories(host, path);
  return {host.unified + path};
}

Result<void> read_pids(const std::string& dir, bool recursive, std::vector<pid_t>& out) {
  auto text = read_file(dir + "/cgroup.procs");
  // ENODEV: the group went away between open and read. EOPNOTSUPP: a threaded group.
  if (!text && (text.error().sys == ENOENT || text.error().sys == ENODEV || text.error().sys == EOPNOTSUPP)) return {};
  if (!text) return std::unexpected(text.error());
  for (std::string_view line : split(*text, '\n')) {
    if (auto pid = parse_number<pid_t>(line)) out.push_back(*pid);
  }
  if (!recursive) return {};
  auto entries = list_dir(dir);
  if (!entries) return {};
  for (const DirEntry& entry : *entries) {
    if (entry.type == DT_DIR) TRY(read_pids(dir + "/" + entry.name, true, out));
  }
  return {};
}

// v2: a controller works in a group only if every group above passes it on.
Result<void> enable_controllers(const std::string& dir) {
  auto available = read_file(dir + "/cgroup.controllers");
  if (!available) return std::unexpected(available.error());
  std::string enabled = TRY(read_file(dir + "/cgroup.subtree_control"));
  auto have = split(trim(enabled), ' ');
  std::string wanted;
  for (std::string_view name : split(trim(*available), ' ')) {
    if (name.empty() || std::find(have.begin(), have.end(), name) != have.end()) continue;
    wanted.append(wanted.empty() ? "+" : " +").append(name);
  }
  if (wanted.empty()) return {};
  if (write_file(dir + "/cgroup.subtree_control", wanted)) return {};
  // One that cannot be passed on (cpu with real-time processes, a group with processes of its own) must not hinder the others.
  for (std::string_view name : split(wanted, ' ')) (void)write_file(dir + "/cgroup.subtree_control", name);
  return {};
}

Result<void> v2_create(const std::string& mount, const std::string& path) {
  std::string dir = mount;
  for (std::string_view name : split(path, '/')) {
    if (name.empty()) continue;
    TRY(enable_controllers(dir));
    dir.append("/").append(name);
    TRY(make_dir(dir));
  }
  return {};
}

// Removes children first. A group that still has a dying process is EBUSY for a moment.
Result<void> remove_tree(const std::string& dir) {
  if (rmdir(dir.c_str()) == 0 || errno == ENOENT) return {};
  if (errno != EBUSY && errno != ENOTEMPTY) return fail_call("rmdir", dir);
  if (auto entries = list_dir(dir)) {
    for (const DirEntry& entry : *entries) {
      if (entry.type == DT_DIR) TRY(remove_tree(dir + "/" + entry.name));
    }
  }
  if (rmdir(dir.c_str()) < 0 && errno != ENOENT) return fail_call("rmdir", dir);
  return {};
}

// Waits until the processes of a group have ended.
void await_exits(const std::vector<pid_t>& pids, int timeout_ms) {
  for (pid_t pid : pids) {
    auto fd = pidfd_open(pid);
    if (fd) (void)await_exit(*fd, pid, timeout_ms);
  }
}

}  // namespace

Result<Cgroup> Cgroup::at(const std::string& path) {
  if (!path.starts_with('/') || path.size() < 2)
    return fail(Code::invalid, "cgroup path " + quoted(path) + " must begin with / and name a group");
  for (std::string_view part : split(path, '/')) {
    if (part == "..") return fail(Code::invalid, "cgroup path " + quoted(path) + " must not have ..");
  }
  TRY(cgroup_host());
  Cgroup group;
  group.path_ = path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
  return group;
}

std::string Cgroup::directory(std::string_view controller) const {
  auto host = cgroup_host();
  if (!host) return {};
  if ((*host)->mode == CgroupMode::v2) return (*host)->unified + path_;
  const std::string* mount = (*host)->v1_mount(controller);
  return mount ? *mount + path_ : std::string();
}

bool Cgroup::exists() const {
  auto host = cgroup_host();
  if (!host || path_.empty()) return false;
  for (const std::string& dir : all_directories(**host, path_)) {
    if (os::exists(dir)) return true;
  }
  return false;
}

Result<void> Cgroup::create() const {
  const CgroupHost& host = *TRY(cgroup_host());
  if (host.mode == CgroupMode::v2) {
    auto made = v2_create(host.unified, path_);
    for (int tries = 0; !made && made.error().sys == ENOENT && tries < 3; tries++) made = v2_create(host.unified, path_);
    return made;
  }
  for (const std::string& dir : v1_directories(host, path_)) {
    auto made = make_dirs(dir);
    // Somebody may just have removed the empty parent that was found a moment ago.
    for (int tries = 0; !made && made.error().sys == ENOENT && tries < 3; tries++) made = make_dirs(dir);
    // systemd's own tree may be read-only in a container; no resource depends on it.
    if (!made && dir.find("systemd") == std::string::npos) return made;
  }
  if (const std::string* mount = host.v1_mount("cpuset")) TRY(v1_inherit_cpuset(*mount, path_));
  return {};
}

Result<void> Cgroup::apply(const CgroupResources& resources) const {
  const CgroupHost& host = *TRY(cgroup_host());
  if (host.mode == CgroupMode::v1) return v1_apply(host, path_, resources);
  return v2_apply(host.unified + path_, resources);
}

Result<void> Cgroup::add(pid_t pid) const {
  const CgroupHost& host = *TRY(cgroup_host());
  std::string text = std::to_string(pid);
  for (const std::string& dir : all_directories(host, path_)) {
    auto added = write_file(dir + "/cgroup.procs", text);
    if (!added && dir.find("systemd") == std::string::npos) return added;
  }
  return {};
}

Result<Fd> Cgroup::open_for_clone() const {
  const CgroupHost& host = *TRY(cgroup_host());
  if (host.mode == CgroupMode::v1) return Fd();
  return open_file(host.unified + path_, O_RDONLY | O_DIRECTORY);
}

Result<std::vector<Fd>> Cgroup::open_tasks() const {
  const CgroupHost& host = *TRY(cgroup_host());
  std::vector<Fd> out;
  if (host.mode == CgroupMode::v2) return out;
  for (const std::string& dir : v1_directories(host, path_)) {
    auto opened = open_file(dir + "/tasks", O_WRONLY);
    if (opened) out.push_back(std::move(*opened));
    else if (dir.find("systemd") == std::string::npos) return std::unexpected(std::move(opened.error()));
  }
  return out;
}

Result<void> Cgroup::enter(std::span<const Fd> tasks) {
  for (const Fd& file : tasks) TRY_AS("enter a control group", write_all(file.get(), "0"));
  return {};
}

Result<std::vector<pid_t>> Cgroup::pids(bool recursive) const {
  const CgroupHost& host = *TRY(cgroup_host());
  std::vector<pid_t> out;
  for (std::string_view controller : {"pids", "memory", "cpu"}) {
    std::string dir = directory(controller);
    if (dir.empty()) continue;
    TRY(read_pids(dir, recursive, out));
    break;
  }
  (void)host;
  return out;
}

Result<void> Cgroup::delegate(uid_t uid) const {
  if (TRY(cgroup_host())->mode == CgroupMode::v1) return {};
  const std::string dir = directory();
  // Kernels before 4.14 do not tell; these are its files of then.
  const auto listed = read_file("/sys/kernel/cgroup/delegate");
  const std::string names = listed ? *listed : "cgroup.procs\ncgroup.threads\ncgroup.subtree_control\n";
  TRY(change_owner(dir, uid, gid_t(-1)));
  for (std::string_view name : split(names, '\n')) {
    const std::string file = dir + "/" + std::string(name);
    if (!name.empty() && os::exists(file)) TRY(change_owner(file, uid, gid_t(-1)));
  }
  return {};
}

Result<void> Cgroup::freeze() const {
  const CgroupHost& host = *TRY(cgroup_host());
  return host.mode == CgroupMode::v1 ? v1_set_frozen(host, path_, true) : v2_set_frozen(host.unified + path_, true);
}

Result<void> Cgroup::thaw() const {
  const CgroupHost& host = *TRY(cgroup_host());
  return host.mode == CgroupMode::v1 ? v1_set_frozen(host, path_, false) : v2_set_frozen(host.unified + path_, false);
}

Result<bool> Cgroup::frozen() const {
  const CgroupHost& host = *TRY(cgroup_host());
  if (host.mode == CgroupMode::v1) {
    std::string dir = directory("freezer");
    if (dir.empty()) return false;
    return trim(TRY(read_file(dir + "/freezer.state"))) != "THAWED";
  }
  return find_value(TRY(read_file(directory() + "/cgroup.events")), "frozen") == 1;
}

Result<void> Cgroup::kill_all() const {
  const CgroupHost& host = *TRY(cgroup_host());
  if (host.mode == CgroupMode::v2) {
    // Not before Linux 5.14, and not of a threaded group.
    if (write_file(directory() + "/cgroup.kill", "1") || !exists()) return {};
  }
  // A process can fork while its siblings are being killed, so: until a look finds nobody new. SIGKILL of a frozen v1 process waits
  // for the thaw.
  for (int round = 0; round < 64; round++) {
    auto there = TRY(pids(true));
    if (there.empty()) return {};
    for (pid_t pid : there) (void)send_signal(pid, SIGKILL);
    if (round == 0) (void)thaw();
    await_exits(there, 1000);
  }
  return fail(Code::timeout, "processes of cgroup " + path_ + " do not end");
}

Result<CgroupStats> Cgroup::stats() const {
  const CgroupHost& host = *TRY(cgroup_host());
  if (!exists()) return fail(Code::not_found, "cgroup " + path_ + " is not there");
  return host.mode == CgroupMode::v1 ? v1_stats(host, path_) : v2_stats(host.unified + path_);
}

Result<void> Cgroup::remove() const {
  const CgroupHost& host = *TRY(cgroup_host());
  for (const std::string& dir : all_directories(host, path_)) {
    Result<void> removed = remove_tree(dir);
    for (int round = 0; !removed && removed.error().sys == EBUSY && round < 12; round++) {
      // Zombies that nobody has reaped yet do not count for the kernel, so whoever is still listed will end.
      std::vector<pid_t> left;
      (void)read_pids(dir, true, left);
      if (left.empty()) usleep(1000 << std::min(round, 6));  // the kernel tells nobody when the last task is put down
      await_exits(left, 100);
      removed = remove_tree(dir);
    }
    if (!removed && dir.find("systemd") == std::string::npos) return removed;
  }
  return {};
}

void Cgroup::remove_if_empty() const {
  auto host = cgroup_host();
  if (!host) return;
  for (const std::string& dir : all_directories(**host, path_)) rmdir(dir.c_str());
}

std::vector<std::pair<std::string, std::string>> Cgroup::directories() const {
  auto host = cgroup_host();
  std::vector<std::pair<std::string, std::string>> out;
  if (!host || path_.empty()) return out;
  if ((*host)->mode == CgroupMode::v2) return {{"", (*host)->unified + path_}};
  for (const auto& [name, mount] : (*host)->v1) out.emplace_back(name, mount + path_);
  return out;
}

Result<OomWatch> OomWatch::open(const Cgroup& group) {
  const CgroupHost& host = *TRY(cgroup_host());
  OomWatch watch;
  std::string dir = group.directory("memory");
  if (dir.empty()) return fail(Code::unsupported, "no memory controller");
  if (host.mode == CgroupMode::v2) {
    watch.events_file_ = dir + "/memory.events";
    watch.fd_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!watch.fd_) return fail_errno("inotify_init1");
    if (inotify_add_watch(watch.fd_.get(), watch.events_file_.c_str(), IN_MODIFY) < 0)
      return fail_call("inotify_add_watch", watch.events_file_);
    return watch;
  }
  watch.events_file_ = dir + "/memory.oom_control";
  watch.fd_ = TRY(make_eventfd());
  watch.control_ = TRY(open_file(watch.events_file_, O_RDONLY));
  TRY(write_file(dir + "/cgroup.event_control", std::to_string(watch.fd_.get()) + " " + std::to_string(watch.control_.get())));
  return watch;
}

Result<uint64_t> OomWatch::check() {
  char buffer[4096];
  while (read(fd_.get(), buffer, sizeof buffer) > 0) {
  }
  auto text = read_file(events_file_);
  // The group is gone: there is nothing more to tell.
  if (!text) return 0;
  return find_value(*text, "oom_kill").value_or(0);
}

Result<std::string> cgroup_of(pid_t pid) {
  std::string text = TRY(read_file("/proc/" + (pid ? std::to_string(pid) : std::string("self")) + "/cgroup"));
  const CgroupHost& host = *TRY(cgroup_host());
  for (std::string_view line : split(text, '\n')) {
    auto fields = split(line, ':');
    if (fields.size() < 3) continue;
    bool wanted = host.mode == CgroupMode::v2 ? fields[0] == "0" : fields[1] == "memory";
    if (wanted) return std::string(line.substr(fields[0].size() + fields[1].size() + 2));
  }
  return std::string("/");
}

}  // namespace estiba::os
