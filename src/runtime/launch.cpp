#include "runtime/launch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "os/credentials.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/process.h"
#include "runtime/hooks.h"
#include "runtime/launch_impl.h"
#include "runtime/seccomp_cache.h"

namespace estiba::runtime {

using namespace launch_detail;

namespace launch_detail {

Result<void> send(int socket, char kind, std::string_view text, int fd) {
  std::string bytes(1, kind);
  bytes += text;
  TRY(os::send_with_fds(socket, bytes, std::span<const int>(&fd, fd >= 0 ? 1 : 0)));
  return {};
}

Result<Message> receive(int socket) {
  Message message;
  char buffer[8192];
  auto received = os::receive_with_fds(socket, buffer, sizeof buffer, message.fds);
  // A process that ends with a word of ours unread resets the connection (net/unix/af_unix.c, unix_release_sock). That is told
  // once, before what it had sent, which is why it ended.
  if (!received && received.error().sys == ECONNRESET) received = os::receive_with_fds(socket, buffer, sizeof buffer, message.fds);
  size_t n = TRY(std::move(received));
  if (n == 0) return message;
  message.kind = buffer[0];
  message.text.assign(buffer + 1, n - 1);
  return message;
}

void tell_process(int socket, const os::Fd& proc) {
  if (auto own = os::open_at(proc.get(), "self", O_PATH | O_DIRECTORY)) (void)send(socket, msg_pid, {}, own->get());
}

std::string encode_error(const Error& error) {
  return std::to_string(int(error.code)) + "\n" + std::to_string(error.sys) + "\n" + error.message.substr(0, 8000);
}

Error decode_error(std::string_view text) {
  auto [code, rest] = split_once(text, '\n');
  auto [sys, message] = split_once(rest.value_or(""), '\n');
  Error error;
  error.code = static_cast<Code>(parse_number<int>(code).value_or(int(Code::internal)));
  error.sys = parse_number<int>(sys).value_or(0);
  error.message = message.value_or(text);
  return error;
}

namespace {
// Before Linux 5.8, which takes all namespaces of a process at once. The user namespace comes last: some of the others may belong to an
// outer one, others are open only to who is in it.
Result<void> enter_each(pid_t pid, int kinds) {
  std::vector<std::pair<int, os::Fd>> files;
  for (int kind : {CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWPID, CLONE_NEWCGROUP, CLONE_NEWTIME, CLONE_NEWUSER})
    if (kinds & kind) files.emplace_back(kind, TRY(os::open_namespace(pid, kind)));
  std::vector<std::pair<int, os::Fd>> later;
  for (auto& [kind, file] : files) {
    auto entered = os::enter_namespace(file.get(), kind);
    if (entered) continue;
    if (entered.error().sys != EPERM || !(kinds & CLONE_NEWUSER) || kind == CLONE_NEWUSER) return entered;
    later.emplace_back(kind, std::move(file));
  }
  for (auto& [kind, file] : later) TRY(os::enter_namespace(file.get(), kind));
  return {};
}
}  // namespace

Result<void> enter_joins(Plan& plan) {
  if (plan.join_pidfd) {
    auto entered = os::enter_namespace(plan.join_pidfd.get(), plan.join_kinds);
    if (entered || entered.error().sys != EINVAL) return entered;
  }
  if (plan.options.join) return enter_each(plan.options.join, plan.join_kinds);
  for (const auto& [kind, fd] : plan.joins) {
    TRY(os::enter_namespace(fd.get(), kind));
    if (kind != CLONE_NEWUSER) continue;
    // Joining gives the capabilities, but the numbers are those of outside, which may mean nobody inside.
    (void)os::set_groups({});
    (void)os::set_gid(0);
    (void)os::set_uid(0);
    TRY(os::set_dumpable(false));
  }
  return {};
}

}  // namespace launch_detail

namespace {

// Which namespaces of `pid` are not ours already: setns(2) refuses to enter one's own user namespace.
Result<int> foreign_namespaces(pid_t pid) {
  int kinds = 0;
  for (int kind : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWPID, CLONE_NEWCGROUP, CLONE_NEWTIME}) {
    auto same = os::same_namespace(0, pid, kind);
    if (!same && kind != CLONE_NEWNS) continue;  // a kernel without that kind
    if (!TRY(std::move(same))) kinds |= kind;
  }
  return kinds;
}

Result<Plan> make_plan(const LaunchOptions& options) {
  Plan plan;
  plan.options = options;
  if (options.spec->linux_.seccomp) plan.seccomp = TRY(cached_seccomp(*options.spec->linux_.seccomp));
  if (!options.exec_fifo.empty()) {
    size_t slash = options.exec_fifo.rfind('/');
    plan.fifo_dir = TRY(os::open_file(options.exec_fifo.substr(0, slash), O_PATH | O_DIRECTORY));
    plan.fifo_name = options.exec_fifo.substr(slash + 1);
  }
  if (options.join) {
    plan.join_pidfd = TRY(os::pidfd_open(options.join));
    plan.join_kinds = TRY(foreign_namespaces(options.join));
    plan.staged = true;
    return plan;
  }
  plan.outside = TRY(prepare_outside(*options.spec, options.bundle));
  bool joins_more = false;
  for (const SpecNamespace& ns : options.spec->linux_.namespaces) {
    if (!ns.path.empty()) {
      os::Fd fd = TRY(os::open_namespace(ns.path, ns.kind));
      auto at = ns.kind == CLONE_NEWUSER ? plan.joins.begin() : plan.joins.end();
      plan.joins.emplace(at, ns.kind, std::move(fd));
      plan.staged = plan.staged || ns.kind == CLONE_NEWUSER || ns.kind == CLONE_NEWPID || ns.kind == CLONE_NEWTIME;
      joins_more = true;
    } else if (ns.kind == CLONE_NEWCGROUP) {
      plan.new_cgroup = true;
    } else if (ns.kind == CLONE_NEWTIME) {
      plan.new_time = plan.staged = true;
    } else {
      plan.new_namespaces |= ns.kind;
    }
  }
  // What is to be joined belongs to the outer user namespace and cannot be entered from within a new one.
  if ((plan.new_namespaces & CLONE_NEWUSER) && joins_more) plan.staged = true;
  return plan;
}

Result<void> write_time_offsets(const Spec& spec) {
  for (const SpecTimeOffset& offset : spec.linux_.time_offsets) {
    TRY(os::write_file("/proc/self/timens_offsets",
                       offset.clock + " " + std::to_string(offset.secs) + " " + std::to_string(offset.nanosecs)));
  }
  return {};
}

// The stage: a process of its own that enters what must be entered before the clone, and then makes the container's process
// as its own parent's child.
[[noreturn]] void run_stage(Plan& plan, int cgroup) {
  auto work = [&]() -> Result<void> {
    if (plan.new_time) {
      // Before anything is joined: within a user namespace the file of the offsets would be nobody's.
      auto made = os::unshare(CLONE_NEWTIME);
      if (!made && made.error().sys == EINVAL)
        return fail(Code::unsupported, "linux.namespaces: time namespaces need Linux 5.6 (CONFIG_TIME_NS); without it leave \"time\" out");
      TRY(std::move(made));
      TRY(write_time_offsets(*plan.options.spec));
    }
    os::Fd proc;
    if (!os::has_pidfds()) proc = TRY(os::open_file("/proc", O_PATH | O_DIRECTORY));
    // In a shared pid namespace the container's neighbours see this process; until its numbers are those of inside it is the host's root.
    TRY(os::set_dumpable(false));
    TRY(enter_joins(plan));
    os::Fd pidfd;
    pid_t pid = TRY(os::clone_process({.flags = uint64_t(plan.new_namespaces) | CLONE_PARENT, .cgroup = cgroup, .pidfd = &pidfd}));
    if (pid == 0) {
      if (proc) tell_process(plan.control, proc);
      run_child(plan);
    }
    // Its number here may be one of another pid namespace, which the parent could not use.
    return pidfd ? send(plan.control, msg_pid, {}, pidfd.get()) : Result<void>();
  };
  if (auto done = work(); !done) (void)send(plan.control, msg_error, encode_error(done.error()));
  _exit(0);
}

Result<void> write_id_maps(pid_t pid, const Spec& spec) {
  std::string proc = "/proc/" + std::to_string(pid);
  TRY(os::write_file(proc + "/uid_map", os::id_map_text(spec.linux_.uid_mappings)));
  return os::write_file(proc + "/gid_map", os::id_map_text(spec.linux_.gid_mappings));
}

// Whom `user` of the container is outside of it; nullopt when it is the same or not known.
std::optional<std::pair<uid_t, gid_t>> owner_outside(const Spec& spec, const SpecUser& user) {
  if (!spec.has_user_namespace()) return std::nullopt;
  const int64_t uid = os::id_outside(spec.linux_.uid_mappings, user.uid), gid = os::id_outside(spec.linux_.gid_mappings, user.gid);
  if (uid < 0 || gid < 0) return std::nullopt;
  return std::pair(uid_t(uid), gid_t(gid));
}

class Launch {
 public:
  Launch(Plan& plan, Prepare prepare) : plan_(plan), options_(plan.options), prepare_(std::move(prepare)) {}

  Result<Launched> run() {
    auto [ours, theirs] = TRY(os::make_socketpair(SOCK_SEQPACKET));
    out_.control = std::move(ours);
    os::Fd cgroup;
    // In version 2 the group's files belong to nobody in another user namespace; there it is moved by its number.
    bool foreign_user =
        (plan_.new_namespaces | plan_.join_kinds) & CLONE_NEWUSER || (!plan_.joins.empty() && plan_.joins[0].first == CLONE_NEWUSER);
    plan_.network_later = prepare_ && TRY(group_can_come_later());
    plan_.group_later = plan_.network_later || options_.cgroup_by_pid;
    if (!plan_.group_later) {
      if (prepare_) TRY(prepare_(plan_.options.cgroup, 0));
      if (options_.cgroup) plan_.cgroup_tasks = TRY(options_.cgroup->open_tasks());
      if (options_.cgroup && !foreign_user) cgroup = TRY(options_.cgroup->open_for_clone());
      TRY(hand_over());
    }
    plan_.control = theirs.get();
    TRY(clone(cgroup.get()));
    theirs.reset();
    plan_.control = -1;
    plan_.outside = {};
    auto done = plan_.group_later ? hand_group() : Result<void>();
    if (done) done = converse(!cgroup && plan_.cgroup_tasks.empty() && !options_.cgroup_by_pid);
    if (!done) {
      abandon();
      return std::unexpected(std::move(done.error()));
    }
    return std::move(out_);
  }

 private:
  Result<void> clone(int cgroup) {
    if (!plan_.staged) {
      const int kinds = plan_.network_later ? plan_.new_namespaces & ~CLONE_NEWNET : plan_.new_namespaces;
      out_.pid = TRY(os::clone_process({.flags = uint64_t(kinds), .cgroup = cgroup, .pidfd = &out_.pidfd}));
      if (out_.pid == 0) {
        out_.control.reset();
        run_child(plan_);
      }
      return {};
    }
    pid_t stage = TRY(os::clone_process({}));
    if (stage == 0) {
      out_.control.reset();
      run_stage(plan_, cgroup);
    }
    auto first = receive(out_.control.get());
    (void)os::wait_child(stage);
    Message message = TRY(std::move(first));
    if (message.kind == msg_error) return std::unexpected(decode_error(message.text));
    if (message.kind != msg_pid || message.fds.empty()) return fail(Code::internal, "the stage process ended without a word");
    out_.pid = TRY(os::pid_of(message.fds[0].get()));
    if (os::has_pidfds()) out_.pidfd = std::move(message.fds[0]);
    return {};
  }

  // In version 2 a process is born in its group, and there is one.
  Result<bool> group_can_come_later() const {
    return !plan_.staged && (plan_.new_namespaces & CLONE_NEWNET) && !(plan_.new_namespaces & CLONE_NEWUSER) &&
           TRY(os::cgroup_host())->mode == os::CgroupMode::v1;
  }

  Result<void> hand_group() {
    TRY(prepare_(plan_.options.cgroup, out_.pid));
    TRY(hand_over());
    if (options_.cgroup) plan_.cgroup_tasks = TRY(options_.cgroup->open_tasks());
    std::vector<int> files;
    for (const os::Fd& file : plan_.cgroup_tasks) files.push_back(file.get());
    auto sent = os::send_with_fds(out_.control.get(), std::string_view(&msg_group, 1), files);
    // It may have failed and gone already; why is in what it sent before.
    if (!sent && sent.error().sys != EPIPE) return std::unexpected(std::move(sent.error()));
    return {};
  }

  Result<void> converse(bool move_to_cgroup) {
    if (plan_.new_namespaces & CLONE_NEWUSER) TRY(write_id_maps(out_.pid, *options_.spec));
    if (options_.cgroup && move_to_cgroup) {
      // A process that has failed and ended meanwhile cannot be moved; what it says below is the better error.
      if (auto added = options_.cgroup->add(out_.pid); !added && added.error().sys != ESRCH) return added;
    }
    if (options_.process->oom_score_adj) {
      // Lowering needs CAP_SYS_RESOURCE, which a nested or restricted host does not have.
      auto set = os::set_oom_score_adj(out_.pid, *options_.process->oom_score_adj);
      if (!set) log::debug("runtime", "oom_score_adj not set", {{"id", options_.id}, {"error", set.error()}});
    }
    // It may have failed and gone already; why is in what it sent before.
    if (auto sent = send(out_.control.get(), msg_go); !sent && sent.error().sys != EPIPE) return sent;
    while (true) {
      Message message = TRY(receive(out_.control.get()));
      if (message.kind == msg_ready) return {};
      TRY(take(message));
    }
  }

  Result<void> take(Message& message) {
    switch (message.kind) {
      case msg_error: return std::unexpected(decode_error(message.text));
      case msg_hooks: {
        std::string state = state_json(options_.id, "creating", out_.pid, options_.bundle, *options_.spec);
        TRY(run_hooks("prestart", options_.spec->hooks.prestart, state));
        TRY(run_hooks("createRuntime", options_.spec->hooks.create_runtime, state));
        return send(out_.control.get(), msg_go);
      }
      case msg_terminal:
        if (message.fds.empty()) return fail(Code::internal, "no terminal came along");
        out_.terminal = std::move(message.fds[0]);
        if (options_.console_socket < 0) return {};
        return pass_terminal();
      case 0: return fail(Code::internal, "the container's process ended during its set-up (killed, or out of memory?)");
      default: return fail(Code::internal, "unexpected message from the container's process");
    }
  }

  // What the container's user is to have, in a user namespace that the owner of it is not in: its standard streams, which /dev/stdout
  // opens anew, and, in version 2, its group, as far as the kernel says that it may be delegated (config-linux.md, "Cgroup ownership").
  Result<void> hand_over() {
    const auto owner = owner_outside(*options_.spec, options_.process->user);
    if (!owner) return {};
    for (int i = 0; i < 3 && !options_.process->terminal; i++) {
      struct stat info;
      const int fd = options_.stdio[i] >= 0 ? options_.stdio[i] : i;
      if (fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode) && fchown(fd, owner->first, owner->second) < 0)
        return fail_errno("chown of a standard stream");
    }
    if (!options_.cgroup || options_.join || !plan_.new_cgroup || !writable_cgroup(*options_.spec)) return {};
    return options_.cgroup->delegate(owner->first);
  }

  static bool writable_cgroup(const Spec& spec) {
    for (const SpecMount& mount : spec.mounts) {
      if (mount.type != "cgroup" && mount.type != "cgroup2") continue;
      return std::find(mount.options.begin(), mount.options.end(), "ro") == mount.options.end();
    }
    return false;
  }

  Result<void> pass_terminal() {
    // containerd's and podman's protocol: one message, the terminal's name as its text.
    int master = out_.terminal.get();
    TRY(within("console socket", os::send_with_fds(options_.console_socket, "/dev/ptmx", std::span<const int>(&master, 1))));
    out_.terminal.reset();
    return {};
  }

  void abandon() {
    if (out_.pid <= 0) return;
    (void)os::send_signal(out_.pid, SIGKILL);
    (void)os::wait_child(out_.pid);
  }

  Plan& plan_;
  const LaunchOptions& options_;
  Prepare prepare_;
  Launched out_;
};

}  // namespace

Result<void> Launched::start() {
  if (auto sent = send(control.get(), msg_start); !sent) return fail(Code::conflict, "the container's process has ended before its start");
  Message message = TRY(receive(control.get()));
  control.reset();
  if (message.kind == msg_error) return std::unexpected(decode_error(message.text));
  return {};  // closed by execve
}

Result<Launched> launch(const LaunchOptions& options, Prepare prepare) {
  Plan plan = TRY(make_plan(options));
  return Launch(plan, std::move(prepare)).run();
}

Result<void> start_by_fifo(const std::string& fifo) {
  os::Fd fd = TRY(os::open_file(fifo, O_RDONLY));
  std::string text = TRY(os::read_all(fd.get()));
  // One byte says that the process went on; more is the error of its exec.
  if (text.empty()) return fail(Code::conflict, "the container's process ended before it was started");
  if (text.size() > 1) return std::unexpected(decode_error(std::string_view(text).substr(1)));
  return {};
}

}  // namespace estiba::runtime
