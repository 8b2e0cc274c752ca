// The container's process, from clone3(2) to execve(2). It has a copy of a single-threaded parent's memory, so the ordinary
// library works; it still allocates little, and nothing here returns to the parent's code.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/credentials.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/process.h"
#include "os/pty.h"
#include "runtime/hooks.h"
#include "runtime/identity.h"
#include "runtime/launch_impl.h"
#include "runtime/rootfs.h"
#include "runtime/sysctl.h"

namespace estiba::runtime::launch_detail {

namespace {

class Child {
 public:
  explicit Child(Plan& plan) : plan_(plan), options_(plan.options), spec_(*plan.options.spec), process_(*plan.options.process) {}

  Result<void> run() {
    // Nobody in the container may look into this process (its descriptors are of the host) before it has become the program.
    TRY(os::set_dumpable(false));
    // Whatever the parent had open stays outside, also from /proc/self/fd of the program's first instruction on. What is opened from here
    // on is close-on-exec of itself.
    TRY(os::cloexec_from(3 + options_.preserve_fds));
    if (plan_.network_later) TRY_AS("net", os::unshare(CLONE_NEWNET));
    if (plan_.group_later) TRY(await_group());
    TRY(os::Cgroup::enter(plan_.cgroup_tasks));
    plan_.cgroup_tasks.clear();
    if (options_.die_with_parent) TRY(os::set_parent_death_signal(SIGKILL));
    TRY(options_.join ? set_up_joined() : set_up_container());
    TRY(set_up_process());
    TRY(await_start());
    if (!options_.join && !spec_.hooks.start_container.empty()) {
      TRY(run_hooks("startContainer", spec_.hooks.start_container, state_json(options_.id, "created", getpid(), options_.bundle, spec_)));
    }
    return exec();
  }

  /// Where an error goes: to whoever waits for the start.
  int error_target() const { return started_by_ ? started_by_.get() : plan_.control; }
  bool error_by_fifo() const { return bool(started_by_); }

 private:
  Result<void> await_go() {
    if (gone_) return {};
    gone_ = true;
    Message message = TRY(receive(plan_.control));
    if (message.kind != msg_go) return fail(Code::cancelled, "the runtime has gone away");
    return {};
  }

  Result<void> await_group() {
    Message message = TRY(receive(plan_.control));
    if (message.kind != msg_group) return fail(Code::cancelled, "the runtime has gone away");
    plan_.cgroup_tasks = std::move(message.fds);
    return {};
  }

  Result<void> set_up_container() {
    bool new_user = plan_.new_namespaces & CLONE_NEWUSER;
    if (new_user) {
      TRY(await_go());
      // Until the maps are written this process is nobody; now it can be root inside.
      TRY(os::set_gid(0));
      TRY(os::set_uid(0));
      TRY(os::set_dumpable(false));  // it depends on fs.suid_dumpable what a change of user leaves (kernel/cred.c, commit_creds())
    }
    if (!plan_.staged) TRY(enter_joins(plan_));
    if (setsid() < 0) return fail_errno("setsid");
    umask(0);  // modes of nodes and directories are meant as they are written
    TRY(set_up_namespaces());
    Rootfs rootfs(spec_, options_.bundle, plan_.outside);
    rootfs.before_cgroup = [this] { return enter_cgroup_namespace(); };
    TRY(rootfs.open());
    TRY(rootfs.mount_all());
    TRY(rootfs.make_devices());
    TRY(enter_cgroup_namespace());
    TRY(run_create_hooks());
    TRY(rootfs.seal());
    TRY(rootfs.enter(options_.no_pivot));
    if (process_.terminal) TRY(open_terminal());
    TRY(make_working_directory());
    return rootfs.finish();
  }

  Result<void> set_up_joined() {
    TRY(await_go());
    if (setsid() < 0) return fail_errno("setsid");
    if (plan_.join_kinds & CLONE_NEWUSER) {
      TRY(os::set_gid(0));
      TRY(os::set_uid(0));
      TRY(os::set_dumpable(false));
    }
    if (process_.terminal) TRY(open_terminal());
    return {};
  }

  Result<void> set_up_namespaces() {
    if (!spec_.hostname.empty()) TRY(os::set_hostname(spec_.hostname));
    if (!spec_.domainname.empty()) TRY(os::set_domainname(spec_.domainname));
    if (plan_.new_namespaces & CLONE_NEWNET) TRY(os::bring_loopback_up());
    // /proc/sys shows the namespaces of whoever opens a file; through the host's /proc it is writable for certain.
    auto listed = [&](int kind) { return spec_.find_namespace(kind) != nullptr; };
    const OwnNamespaces own = {.network = listed(CLONE_NEWNET), .ipc = listed(CLONE_NEWIPC), .uts = listed(CLONE_NEWUTS)};
    for (const auto& [key, value] : spec_.linux_.sysctl) TRY_AS("linux.sysctl", write_sysctl(key, value, own));
    return {};
  }

  // The root of a cgroup namespace is the group that the process is in when it is made.
  Result<void> enter_cgroup_namespace() {
    TRY(await_go());
    if (!plan_.new_cgroup) return {};
    plan_.new_cgroup = false;
    return os::unshare(CLONE_NEWCGROUP);
  }

  Result<void> run_create_hooks() {
    const SpecHooks& hooks = spec_.hooks;
    if (!hooks.prestart.empty() || !hooks.create_runtime.empty()) {
      TRY(send(plan_.control, msg_hooks));
      gone_ = false;
      TRY(await_go());
    }
    if (hooks.create_container.empty()) return {};
    return run_hooks("createContainer", hooks.create_container, state_json(options_.id, "creating", getpid(), options_.bundle, spec_));
  }

  Result<void> open_terminal() {
    auto opened = os::open_pty("/dev/pts/ptmx");
    if (!opened) return std::unexpected(std::move(opened.error()).context("process.terminal needs a devpts mount at /dev/pts"));
    if (process_.console_size) TRY(os::set_window_size(opened->master.get(), process_.console_size->first, process_.console_size->second));
    if (!options_.join) TRY(mount_console(*opened));
    if (fchown(opened->slave.get(), process_.user.uid, gid_t(-1)) < 0 && errno != EPERM && errno != EINVAL && errno != EROFS) {
      return fail_errno("chown of the terminal");
    }
    TRY(send(plan_.control, msg_terminal, {}, opened->master.get()));
    TRY(os::set_controlling_terminal(opened->slave.get()));
    return to_standard_streams(opened->slave.get(), opened->slave.get(), opened->slave.get());
  }

  Result<void> to_standard_streams(int in, int out, int err) {
    int from[3] = {in, out, err};
    for (int i = 0; i < 3; i++) {
      if (from[i] < 0) continue;
      if (from[i] == i) {
        TRY(os::set_cloexec(i, false));
      } else if (dup2(from[i], i) < 0) {
        return fail_errno("dup2");
      }
    }
    return {};
  }

  Result<void> make_working_directory() {
    if (process_.cwd == "/" || os::exists(process_.cwd)) return {};
    os::Fd root = TRY(os::open_file("/", O_PATH | O_DIRECTORY));
    auto made = os::make_dirs_in_root(root.get(), process_.cwd);
    if (!made) return std::unexpected(std::move(made.error()).context("process.cwd"));
    return {};
  }

  Result<void> set_up_process() {
    if (!process_.terminal) TRY(to_standard_streams(options_.stdio[0], options_.stdio[1], options_.stdio[2]));
    umask(process_.user.umask.value_or(0022));
    TRY(apply_rlimits(process_.rlimits));
    add_home(process_);
    auto in_directory = change_directory(process_.cwd);
    TRY(become_user(process_, plan_.seccomp ? &*plan_.seccomp : nullptr, may_set_groups()));
    // A directory that only the user may enter (a home on NFS), or, the first time, only root.
    if (!in_directory) TRY(change_directory(process_.cwd));
    // Changing the user has cleared it (prctl(2), PR_SET_PDEATHSIG).
    if (options_.die_with_parent) TRY(os::set_parent_death_signal(SIGKILL));
    program_ = TRY(find_program(process_));
    for (std::string& arg : process_.args) argv_.push_back(arg.data());
    for (std::string& entry : process_.env) envp_.push_back(entry.data());
    argv_.push_back(nullptr);
    envp_.push_back(nullptr);
    os::reset_signals();
    return {};
  }

  bool may_set_groups() const {
    auto text = os::read_file("/proc/self/setgroups");
    return !text || !text->starts_with("deny");
  }

  Result<void> await_start() {
    if (!plan_.fifo_dir) {
      TRY(send(plan_.control, msg_ready));
      Message message = TRY(receive(plan_.control));
      if (message.kind == msg_start) return {};
      _exit(0);  // never to be started: nobody is left to hear of it
    }
    TRY(send(plan_.control, msg_ready));
    // Blocks until `start` reads.
    started_by_ = TRY(os::open_at(plan_.fifo_dir.get(), plan_.fifo_name, O_WRONLY));
    return os::write_all(started_by_.get(), "0");
  }

  Result<void> exec() {
    execve(program_.c_str(), argv_.data(), envp_.data());
    return fail_errno("exec " + process_.args[0]);
  }

  Plan& plan_;
  const LaunchOptions& options_;
  const Spec& spec_;
  SpecProcess process_;
  os::Fd started_by_;
  bool gone_ = false;
  std::string program_;
  std::vector<char*> argv_, envp_;
};

}  // namespace

void run_child(Plan& plan) {
  Child child(plan);
  auto done = child.run();
  std::string text = encode_error(done.error());
  if (child.error_by_fifo()) (void)os::write_all(child.error_target(), text);
  else (void)send(child.error_target(), msg_error, text);
  // As a shell would have it: 127 not found, 126 cannot be run.
  _exit(done.error().code == Code::not_found ? 127 : 126);
}

}  // namespace estiba::runtime::launch_detail
