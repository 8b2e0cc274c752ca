// Between the parent's side (launch.cpp) and the child's (child.cpp). They talk over a seqpacket socket in messages of a
// letter and text.
#pragma once
#include <string>
#include <vector>

#include "runtime/launch.h"
#include "runtime/outside_mounts.h"

namespace estiba::runtime::launch_detail {

// Child to parent.
constexpr char msg_pid = 'p';  // one descriptor, the process's pidfd or, without pidfds, its directory of /proc; only with a stage between
constexpr char msg_hooks = 'h';     // run prestart and createRuntime hooks, then send msg_go
constexpr char msg_terminal = 't';  // one descriptor
constexpr char msg_ready = 'r';     // waits for msg_start now
constexpr char msg_error = 'e';     // text: code, errno and message, separated by newlines
// Parent to child.
constexpr char msg_go = 'g';  // id maps are written; the process is in its cgroup; hooks have run
constexpr char msg_start = 's';
constexpr char msg_group = 'c';  // the files of Plan::cgroup_tasks; first of all, with Plan::group_later

struct Plan {
  LaunchOptions options;
  int new_namespaces = 0;  // CLONE_NEW* of what is made, without cgroup and time
  bool new_cgroup = false, new_time = false;
  std::vector<std::pair<int, os::Fd>> joins;  // CLONE_NEW* and the namespace; user first
  bool group_later = false;                   // the process waits until it is told its group
  bool network_later = false;                 // the process makes its network namespace itself, before that
  bool staged = false;                        // a process between joins before the clone
  std::optional<os::SeccompProgram> seccomp;
  os::Fd join_pidfd;
  int join_kinds = 0;
  OutsideMounts outside;
  os::Fd fifo_dir;  // O_PATH; the host's directory stays reachable through it
  std::string fifo_name;
  std::vector<os::Fd> cgroup_tasks;  // version 1: where the child moves itself; else the parent does, or clone3(2)
  int control = -1;                  // the child's end
};

Result<void> send(int socket, char kind, std::string_view text = {}, int fd = -1);
struct Message {
  char kind = 0;  // 0: the other side has gone
  std::string text;
  std::vector<os::Fd> fds;
};
Result<Message> receive(int socket);
/// Sends msg_pid of this process itself; `proc` is the /proc of who reads it.
void tell_process(int socket, const os::Fd& proc);
std::string encode_error(const Error& error);
Error decode_error(std::string_view text);

/// The child: ends in execve(2) or _exit.
[[noreturn]] void run_child(Plan& plan);
/// Enters plan.joins or the namespaces of options.join.
Result<void> enter_joins(Plan& plan);

}  // namespace estiba::runtime::launch_detail
