// RUN: a container on the stage's layers, whose writable layer becomes the next one.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/strings.h"
#include "build/context/ignore.h"
#include "build/solve/builder_impl.h"
#include "image/overlay.h"
#include "io/stream.h"
#include "os/file.h"
#include "os/mount.h"

namespace estiba::build {
namespace {

/// What a RUN needs taken away again, in whatever way it ends.
struct Leftovers {
  std::string container, run_dir;
  bool network = false, sandbox = false;
  std::vector<std::string> mounted;       // overlays to unmount
  std::vector<std::string> cache_mounts;  // directories that are in use
};

Task<void> clear_away(Builder::Impl* b, Leftovers left) {
  if (left.sandbox) {
    if (auto removed = co_await b->engine.remove_sandbox(left.container); !removed)
      log::warn("build", "a container stays", {{"id", left.container}, {"error", removed.error()}});
  }
  if (left.network) co_await b->networks.release(left.container);
  co_await b->pool.run([mounted = left.mounted, directory = left.run_dir] {
    for (const std::string& path : mounted) (void)os::umount(path, MNT_DETACH);
    (void)os::remove_all(directory);
  });
  for (const std::string& directory : left.cache_mounts)
    if (--b->mounts_in_use[directory] == 0) b->mounts_in_use.erase(directory);
  b->mount_freed.set();
}

/// Hands what is left to the builder's clean-up when the build is dropped.
class Guard {
 public:
  Guard(Builder::Impl& b, std::string container) : b_(b) {
    left.container = std::move(container);
    left.run_dir = b.options.run_dir + "/build/" + left.container;
  }
  ~Guard() {
    if (armed_) b_.cleanups.start(clear_away(&b_, std::move(left)));
  }
  Task<void> clear() {
    armed_ = false;
    co_await clear_away(&b_, std::move(left));
  }
  Leftovers left;

 private:
  Builder::Impl& b_;
  bool armed_ = true;
};

std::string absolute(const std::string& path, const std::string& working_dir) {
  return "/" + clean_path(path.starts_with('/') ? path : working_dir + "/" + path);
}

/// Empty files and directories that stand in the new layer only because something was mounted on them go, and with them directories
/// above that are but copies of those below.
class Mountpoints {
 public:
  Mountpoints(std::vector<std::string> layers, std::string upper, const std::vector<std::string>& targets)
      : below_(std::move(layers)), upper_(std::move(upper)) {
    for (const std::string& target : targets) note(clean_path(target));
  }
  void clean() const {
    for (auto it = fresh_.rbegin(); it != fresh_.rend(); ++it) remove_if_empty(*it);
  }

 private:
  void note(const std::string& path) {
    for (size_t end = path.find('/');; end = path.find('/', end + 1)) {
      std::string part = path.substr(0, end);
      fresh_.insert(part);
      if (end == path.npos) break;
    }
  }
  void remove_if_empty(const std::string& path) const {
    const std::string place = upper_ + "/" + path;
    struct stat st;
    if (::lstat(place.c_str(), &st) != 0) return;
    auto below = below_.look(path);
    if (!below) return;
    if (S_ISREG(st.st_mode) && st.st_size == 0 && !*below) ::unlink(place.c_str());
    if (!S_ISDIR(st.st_mode)) return;
    bool as_before = *below && (*below)->type == FileInfo::Type::directory && (*below)->uid == st.st_uid && (*below)->gid == st.st_gid &&
                     (*below)->mode == (st.st_mode & 07777u);
    if (!*below || as_before) ::rmdir(place.c_str());  // not when something is in it
  }
  LayeredTree below_;
  std::string upper_;
  std::set<std::string> fresh_;
};

const std::vector<std::string> always_mounted = {
    "/proc", "/sys", "/dev", "/dev/shm", "/dev/pts", "/dev/mqueue", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname"};

}  // namespace

/// One RUN, in the frame of Solve::run_command.
class RunStep {
 public:
  RunStep(Solve& solve, StageRun& run, const Instruction& instruction)
      : s_(solve), b_(solve.b_), run_(run), i_(instruction), id_(hex_encode(random_bytes(32))), guard_(b_, id_) {}

  /// The key, when it can be known; mounts' sources are looked at for it.
  Task<Result<void>> prepare() {
    auto& settings = run_.settings;
    command_ = settings.command(i_);
    if (!i_.heredocs.empty()) CO_TRY(heredoc());
    working_dir_ = settings.config.working_dir.empty() ? "/" : settings.config.working_dir;
    arguments();
    for (const std::string& raw : i_.flag_values("mount")) {
      std::string value = CO_TRY(expand_at(i_, raw, settings.variables(), s_.file_.escape));
      auto mount = parse_run_mount(value);
      if (!mount) co_return fail_at(i_.place, "--mount: " + mount.error().message);
      CO_TRY(co_await bind_digest(*mount));
      mounts_.push_back(std::move(*mount));
      key_parts_.push_back(value);
    }
    std::string network = i_.flag("network") && i_.flag_value("network") != "default" ? i_.flag_value("network") : s_.request_.network;
    network_ = network.empty() ? "default" : network;
    std::string joined;
    for (const auto* list : {&command_, &settings.config.env, &key_parts_, &argument_env_})
      for (const std::string& text : *list) joined += std::to_string(text.size()) + ":" + text;
    std::string hosts = join(s_.request_.extra_hosts, "\n");
    key_ = cache_key({"run", run_.base.top(), s_.epoch_text(), joined, settings.config.user, working_dir_, network_, hosts});
    co_return Result<void>();
  }

  const std::string& key() const { return key_; }
  std::string created_by() const {
    std::string out = "RUN ";
    if (!argument_env_.empty()) out += "|" + std::to_string(argument_env_.size()) + " " + join(argument_env_, " ") + " ";
    return out + join(command_, " ");
  }

  Task<Result<void>> execute(std::string upper) {
    upper_ = upper;
    s_.say(run_, " ---> Running in " + id_.substr(0, 12) + "\n");
    auto result = co_await in_container();
    co_await guard_.clear();
    CO_TRY(std::move(result));
    auto layers = s_.layer_paths(run_.base);
    co_await b_.pool.run([layers, upper, targets = targets_] { Mountpoints(layers, upper, targets).clean(); });
    s_.say(run_, "Removing intermediate container " + id_.substr(0, 12) + "\n");
    co_return Result<void>();
  }

 private:
  Result<void> heredoc() {
    const std::string& content = i_.heredocs[0].content;
    if (!content.starts_with("#!")) return {};
    // A script with an interpreter of its own is a file that is run.
    script_ = content;
    command_ = {"/dev/pipes/" + i_.heredocs[0].name};
    key_parts_.push_back(content);
    return {};
  }

  /// ARGs are the command's environment, but the image's ENV wins.
  void arguments() {
    auto in_env = [&](const std::string& name) {
      for (const std::string& variable : run_.settings.config.env)
        if (split_once(variable, '=').first == name) return true;
      return false;
    };
    for (const std::string& name : run_.settings.declared) {
      auto it = run_.settings.arguments.find(name);
      if (it == run_.settings.arguments.end() || in_env(name)) continue;
      (is_proxy_argument(name) ? proxy_env_ : argument_env_).push_back(name + "=" + it->second);
    }
    for (const auto& [name, value] : s_.request_.arguments)
      if (is_proxy_argument(name) && !run_.settings.arguments.contains(name) && !in_env(name)) proxy_env_.push_back(name + "=" + value);
    if (s_.epoch_) argument_env_.push_back("SOURCE_DATE_EPOCH=" + s_.epoch_text());
  }

  Task<Result<CopyPart>> part_of(const RunMount& mount) {
    CopyPart part{s_.request_.context, {}, ""};
    if (!mount.from.empty()) part = CO_TRY(co_await s_.tree_of(run_, i_, mount.from));
    part.request.sources = {mount.source.empty() ? "." : mount.source};
    part.request.destination = "/";
    part.request.keep_owner = !mount.from.empty();
    co_return part;
  }

  Task<Result<void>> bind_digest(const RunMount& mount) {
    if (mount.type != RunMount::Type::bind) co_return Result<void>();
    std::vector<CopyPart> parts;
    parts.push_back(CO_TRY(co_await part_of(mount)));
    auto planned = co_await s_.plan(std::move(parts));
    if (!planned) co_return fail_at(i_.place, "--mount: " + planned.error().message, planned.error().code);
    key_parts_.push_back(std::move(planned->digest));
    co_return Result<void>();
  }

  Task<Result<void>> in_container() {
    engine::SandboxSpec sandbox;
    engine::ContainerSpec container;
    CO_TRY(specs(sandbox, container));
    for (size_t n = 0; n < mounts_.size(); ++n) CO_TRY(co_await mount(mounts_[n], n, container));
    if (!script_.empty()) CO_TRY(add_file("script", script_, 0755, command_[0], container));
    for (const auto& mount : container.mounts) targets_.push_back(mount.container_path);
    for (const auto& tmpfs : container.tmpfs) targets_.push_back(tmpfs.container_path);
    guard_.left.network = true;
    auto lease = co_await b_.networks.attach(id_, network_, s_.request_.extra_hosts);
    if (!lease) co_return fail_at(i_.place, lease.error().message, lease.error().code);
    sandbox.netns_path = lease->netns_path;
    sandbox.resolv_conf = lease->resolv_conf;
    sandbox.hosts = lease->hosts;
    guard_.left.sandbox = true;
    auto done = co_await start_and_wait(std::move(sandbox), std::move(container));
    if (!done) co_return fail_at(i_.place, where() + done.error().message, done.error().code);
    if (*done != 0) co_return failed(*done);
    co_return Result<void>();
  }

  std::string where() const {
    std::string label = s_.stage_label(run_);
    return label.empty() ? "" : label + ": ";
  }

  std::unexpected<Error> failed(int code) const {
    std::string message = where() + "The command '" + join(command_, " ") + "' returned a non-zero code: " + std::to_string(code);
    if (s_.request_.quiet && !tail_.empty()) message += "; its output ends: " + quoted(trim(tail_));
    auto error = fail_at(i_.place, message, Code::invalid);
    error.error().details = std::make_shared<ErrorDetails>();
    error.error().details->reason = "RunFailed";
    error.error().details->name = std::to_string(code);
    return error;
  }

  Result<void> specs(engine::SandboxSpec& sandbox, engine::ContainerSpec& container) {
    sandbox.uid = id_;
    sandbox.name = "build";
    sandbox.owner = "build";
    sandbox.hostname = id_.substr(0, 12);
    sandbox.shm_bytes = s_.request_.shm_bytes;
    container.id = id_;
    container.name = "build";
    container.layers = s_.layer_paths(run_.base);
    container.upper_dir = upper_;
    container.command = command_;
    container.env_is_whole = true;
    for (const auto* list : {&proxy_env_, &argument_env_, &run_.settings.config.env}) {
      for (const std::string& variable : *list) {
        auto [name, value] = split_once(variable, '=');
        container.env.emplace_back(name, value.value_or(""));
      }
    }
    container.working_dir = working_dir_;
    container.user.user = run_.settings.config.user;
    container.resources = s_.request_.resources;
    container.ulimits = s_.request_.ulimits;
    container.cgroup = (s_.request_.cgroup_parent.empty() ? "/docker" : s_.request_.cgroup_parent) + "/" + id_;
    container.seccomp = engine::ContainerSpec::Seccomp::runtime_default;
    targets_ = always_mounted;
    return {};
  }

  Result<void> add_file(const std::string& name, const std::string& content, uint32_t mode, const std::string& target,
                        engine::ContainerSpec& container, uint32_t uid = 0, uint32_t gid = 0) {
    const std::string path = guard_.left.run_dir + "/" + name;
    TRY(os::make_dirs(guard_.left.run_dir, 0700));
    TRY(os::write_file(path, content, O_CREAT | O_EXCL, 0600));
    TRY(os::change_owner(path, uid, gid));
    TRY(os::change_mode(path, mode));
    container.mounts.push_back({.host_path = path, .container_path = target, .readonly = true});
    return {};
  }

  Task<Result<void>> mount(const RunMount& mount, size_t number, engine::ContainerSpec& container) {
    using Type = RunMount::Type;
    if (mount.type == Type::secret) co_return secret(mount, number, container);
    if (mount.type == Type::ssh) co_return ssh(mount, number, container);
    const std::string target = absolute(mount.target, working_dir_);
    if (target == "/") co_return fail_at(i_.place, "--mount: the target cannot be /");
    if (mount.type == Type::tmpfs) {
      container.tmpfs.push_back({.container_path = target, .size_bytes = mount.size, .options = {"exec"}});
      co_return Result<void>();
    }
    std::string path;
    if (mount.type == Type::cache) path = CO_TRY(co_await cache_mount(mount));
    else path = CO_TRY(co_await bind_mount(mount, number));
    container.mounts.push_back({.host_path = path, .container_path = target, .readonly = mount.readonly});
    co_return Result<void>();
  }

  Result<void> secret(const RunMount& mount, size_t number, engine::ContainerSpec& container) {
    std::string id = !mount.id.empty() ? mount.id : mount.source;
    if (id.empty()) id = mount.target.substr(mount.target.rfind('/') + 1);
    auto it = s_.request_.secrets.find(id);
    if (it == s_.request_.secrets.end()) {
      if (mount.required)
        return fail_at(i_.place, "secret " + id + ": not found; give it with --secret id=" + id + ",src=FILE", Code::not_found);
      return {};
    }
    if (!mount.env.empty()) container.env.emplace_back(mount.env, it->second);
    if (!mount.env.empty() && mount.target.empty()) return {};
    std::string target = absolute(mount.target.empty() ? "/run/secrets/" + id : mount.target, working_dir_);
    return add_file("secret-" + std::to_string(number), it->second, mount.mode.value_or(0400), target, container, mount.uid.value_or(0),
                    mount.gid.value_or(0));
  }

  Result<void> ssh(const RunMount& mount, size_t number, engine::ContainerSpec& container) {
    if (s_.request_.ssh_socket.empty()) {
      if (mount.required) return fail_at(i_.place, "ssh agent is not forwarded: give --ssh default to 'estiba build'", Code::not_found);
      return {};
    }
    std::string target = mount.target.empty() ? "/run/buildkit/ssh_agent." + std::to_string(number) : absolute(mount.target, working_dir_);
    container.mounts.push_back({.host_path = s_.request_.ssh_socket, .container_path = target});
    container.env.emplace_back("SSH_AUTH_SOCK", target);
    return {};
  }

  /// The directory of a cache mount, held until the RUN ends.
  Task<Result<std::string>> cache_mount(const RunMount& mount) {
    const std::string id = mount.id.empty() ? absolute(mount.target, working_dir_) : mount.id;
    const std::string base = b_.directory() + "/mounts/" + cache_key({id, mount.from, mount.source}).substr(0, 32);
    std::string path = base;
    if (mount.sharing == RunMount::Sharing::locked) {
      while (b_.mounts_in_use.contains(path)) {
        b_.mount_freed.reset();
        co_await b_.mount_freed.wait();
      }
    } else if (mount.sharing == RunMount::Sharing::exclusive) {
      for (int n = 1; b_.mounts_in_use.contains(path); ++n) path = base + "-" + std::to_string(n);
    }
    ++b_.mounts_in_use[path];
    guard_.left.cache_mounts.push_back(path);
    b_.cache.use_mount(path.substr(path.rfind('/') + 1), "cached mount " + mount.target + " with id " + quoted(id), s_.now());
    if (os::exists(path)) co_return path;
    if (!mount.from.empty()) {
      CopyPart part = CO_TRY(co_await part_of(mount));
      CO_TRY(co_await write_tree(std::move(part), path));
      co_return path;
    }
    CO_TRY(os::make_dirs(path));
    CO_TRY(os::change_owner(path, mount.uid.value_or(0), mount.gid.value_or(0)));
    CO_TRY(os::change_mode(path, mount.mode.value_or(0755)));
    co_return path;
  }

  Task<Result<void>> write_tree(CopyPart part, std::string directory) {
    co_return co_await b_.pool.run([part = std::move(part), directory, scratch = s_.fresh("unpack")]() -> Result<void> {
      auto upper = TRY(Upper::open({}, directory));
      CopyPlan plan = TRY(plan_copy(*part.tree, part.request));
      return perform_copy(*part.tree, part.request, plan, *upper, scratch);
    });
  }

  Task<Result<std::string>> bind_mount(const RunMount& mount, size_t number) {
    CopyPart part = CO_TRY(co_await part_of(mount));
    const std::string source = CO_TRY(part.tree->resolve(part.request.sources[0], true));
    auto info = CO_TRY(part.tree->look(source));
    if (!info)
      co_return fail_at(i_.place, "--mount: failed to compute cache key: " + quoted(mount.source) + ": not found", Code::not_found);
    if (!mount.from.empty()) {
      const auto* tree = static_cast<const LayeredTree*>(part.tree.get());
      co_return co_await overlay(tree->layers(), source, number);
    }
    // The context lies in a tar: what is mounted of it is unpacked, once a build unless it is written to.
    auto known = s_.context_copies_.find(source);
    std::string directory = known != s_.context_copies_.end() && mount.readonly ? known->second : s_.fresh("bind");
    if (known == s_.context_copies_.end() || !mount.readonly) {
      CO_TRY(co_await write_tree(part, directory));
      if (mount.readonly) s_.context_copies_[source] = directory;
    }
    co_return info->type == FileInfo::Type::directory ? directory : directory + "/" + source.substr(source.rfind('/') + 1);
  }

  /// Another stage's files: its layers mounted, with a writable layer that is thrown away.
  Task<Result<std::string>> overlay(std::vector<std::string> layers, std::string source, size_t number) {
    const std::string directory = s_.fresh("overlay");
    (void)number;
    guard_.left.mounted.push_back(directory + "/root");
    CO_TRY(co_await b_.pool.run([layers, directory]() -> Result<void> {
      for (const char* name : {"/upper", "/work", "/root", "/none"}) TRY(os::make_dirs(directory + name));
      return image::mount_overlay(layers.empty() ? std::vector<std::string>{directory + "/none"} : layers, directory + "/upper",
                                  directory + "/work", directory + "/root", image::Writes::passing);
    }));
    co_return directory + "/root" + (source.empty() ? "" : "/" + source);
  }

  static Task<void> forward(RunStep* self, int fd) {
    auto stream = io::stream_from_fd(fd);
    std::string buffer(16 * 1024, '\0');
    while (true) {
      auto n = co_await stream->read(buffer.data(), buffer.size());
      if (!n || *n == 0) co_return;
      std::string text = buffer.substr(0, *n);
      self->tail_ += text;
      if (self->tail_.size() > 4096) self->tail_.erase(0, self->tail_.size() - 2048);
      self->s_.say(self->run_, std::move(text));
    }
  }

  /// The exit code.
  Task<Result<int>> start_and_wait(engine::SandboxSpec sandbox, engine::ContainerSpec container) {
    CO_TRY(co_await b_.engine.run_sandbox(std::move(sandbox)));
    CO_TRY(co_await b_.engine.create_container(id_, std::move(container)));
    auto session = CO_TRY(co_await b_.engine.attach(id_, false));
    TaskGroup streams;
    if (Fd fd = session->take_output()) streams.start(forward(this, fd.release()));
    if (Fd fd = session->take_error()) streams.start(forward(this, fd.release()));
    CO_TRY(co_await b_.engine.start_container(id_));
    auto status = CO_TRY(co_await b_.engine.wait(id_));
    // The output ends with the container's processes; nothing can hold it open longer.
    co_await with_timeout(std::chrono::seconds(10), streams.join());
    if (!status.message.empty() && status.reason == "StartError") co_return fail(Code::invalid, status.message);
    co_return status.exit_code;
  }

  Solve& s_;
  Builder::Impl& b_;
  StageRun& run_;
  const Instruction& i_;
  std::string id_, upper_, working_dir_, network_, key_, script_, tail_;
  std::vector<std::string> command_, key_parts_, argument_env_, proxy_env_, targets_;
  std::vector<RunMount> mounts_;
  Guard guard_;
};

Task<Result<void>> Solve::run_command(StageRun& run, const Instruction& instruction) {
  auto step = std::make_unique<RunStep>(*this, run, instruction);
  CO_TRY(co_await step->prepare());
  if (auto hit = cached(step->key())) {
    adopt(run, *hit, step->created_by(), true);
    co_return Result<void>();
  }
  // A command may take its time, in which its user goes on working.
  auto settled = co_await settle_context();
  if (!settled) co_return fail_at(instruction.place, settled.error().message, settled.error().code);
  const std::string upper = fresh("upper");
  CO_TRY(co_await step->execute(upper));
  auto entry = co_await commit(run, upper);
  if (!entry) co_return fail_at(instruction.place, entry.error().message, entry.error().code);
  remember(step->key(), *entry);
  adopt(run, *entry, step->created_by(), false);
  co_return Result<void>();
}

}  // namespace estiba::build
