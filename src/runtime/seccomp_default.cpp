#include "runtime/seccomp_default.h"

#include <cerrno>

#include <algorithm>

#include "base/strings.h"
#include "model/json.h"

namespace estiba::runtime {

namespace {

// What ordinary programs need. Names that a kernel or an architecture lacks are skipped when it is compiled. Left out on purpose: see
// `guarded` and `denied` below.
constexpr std::string_view allowed[] = {
    // Files and directories.
    "access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fadvise64_64 "
    "fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr "
    "fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr "
    "getxattrat "
    "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl lchown lchown32 lgetxattr link linkat listxattr listxattrat "
    "llistxattr "
    "_llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 "
    "pread64 "
    "preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat rename renameat renameat2 "
    "rmdir "
    "sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range "
    "sync_file_range2 "
    "syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev file_getattr "
    "file_setattr cachestat statmount listmount",
    // Memory.
    "brk get_mempolicy madvise mbind membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal "
    "msync "
    "munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages set_mempolicy set_mempolicy_home_node map_shadow_stack "
    "process_mrelease",
    // Processes, threads, scheduling, limits.
    "arch_prctl cacheflush capget capset execve execveat exit exit_group fork get_robust_list get_thread_area getcpu getpgid getpgrp "
    "getpid getppid getpriority process_vm_readv process_vm_writev ptrace getrlimit getrusage getsid gettid ioprio_get ioprio_set kill "
    "modify_ldt nanosleep pause pidfd_open "
    "pidfd_send_signal prctl prlimit64 restart_syscall rseq sched_get_priority_max sched_get_priority_min sched_getaffinity "
    "sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr "
    "sched_setparam sched_setscheduler sched_yield set_robust_list set_thread_area set_tid_address set_tls setpgid setpriority setrlimit "
    "setsid "
    "sysinfo tgkill times tkill ugetrlimit uname uretprobe vfork wait4 waitid waitpid seccomp landlock_add_rule landlock_create_ruleset "
    "landlock_restrict_self riscv_flush_icache riscv_hwprobe",
    // Users and groups: what changes them is guarded by capabilities in the kernel.
    "getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid getresuid32 getuid getuid32 "
    "setfsgid "
    "setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 "
    "setreuid setreuid32 setuid setuid32",
    // Signals, time, waiting.
    "alarm clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 adjtimex clock_adjtime "
    "clock_adjtime64 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd "
    "eventfd2 "
    "futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake getitimer gettimeofday _newselect poll ppoll ppoll_time64 pselect6 "
    "pselect6_time64 rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
    "rt_sigtimedwait_time64 "
    "rt_tgsigqueueinfo select setitimer sigaction sigaltstack signal signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend time "
    "timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime "
    "timerfd_gettime64 timerfd_settime timerfd_settime64",
    // Sockets (socket itself is below), pipes, IPC of the container's namespace, asynchronous I/O.
    "accept accept4 bind connect getpeername getsockname getsockopt listen pipe pipe2 recv recvfrom recvmmsg recvmmsg_time64 recvmsg send "
    "sendmmsg "
    "sendmsg sendto setsockopt shutdown socketcall socketpair ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 "
    "mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl "
    "shmdt "
    "shmget io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit getrandom",
};

// Calls that come with a capability, and are EPERM without it.
struct Guarded {
  std::string_view capability, names;
};
constexpr Guarded guarded[] = {
    {"CAP_SYS_ADMIN",
     "bpf clone clone3 fanotify_init fanotify_mark fsconfig fsmount fsopen fspick lookup_dcookie lsm_set_self_attr mount mount_setattr "
     "move_mount "
     "open_tree open_tree_attr perf_event_open pivot_root quotactl quotactl_fd setdomainname sethostname setns swapon swapoff umount "
     "umount2 "
     "unshare"},
    {"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    {"CAP_SYS_BOOT", "reboot"},
    {"CAP_SYS_CHROOT", "chroot"},
    {"CAP_SYS_MODULE", "delete_module finit_module init_module"},
    {"CAP_SYS_PACCT", "acct"},
    {"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"},
    {"CAP_SYS_RAWIO", "ioperm iopl"},
    {"CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"},
    {"CAP_SYS_TTY_CONFIG", "vhangup"},
    {"CAP_SYS_NICE", "migrate_pages move_pages"},
    {"CAP_SYSLOG", "syslog"},
};

// Known to the kernel and never for a container: keys of the host, kexec, io_uring (which does file and network calls past every filter),
// userfaultfd (a tool to win races against the kernel), old interfaces. EPERM; what is unknown here is ENOSYS, so that programs fall
// back to an older call.
constexpr std::string_view denied =
    "add_key bdflush create_module get_kernel_syms io_uring_enter io_uring_register io_uring_setup kexec_file_load kexec_load keyctl "
    "nfsservctl "
    "query_module request_key sysfs _sysctl userfaultfd uselib ustat vm86 vm86old";

os::SeccompRule allow(std::vector<std::string> names, std::vector<os::SeccompArg> args = {}) {
  return {std::move(names), "SCMP_ACT_ALLOW", std::nullopt, std::move(args)};
}

os::SeccompRule deny(std::vector<std::string> names, unsigned err, std::vector<os::SeccompArg> args = {}) {
  return {std::move(names), "SCMP_ACT_ERRNO", err, std::move(args)};
}

// Calls that are let through or not by what they are given.
void add_by_argument(std::vector<os::SeccompRule>& rules, bool sys_admin) {
  // Only the known personalities (Linux, 32 bit, and asking for the present one).
  for (uint64_t persona : {0x0ULL, 0x8ULL, 0x20000ULL, 0x20008ULL, 0xffffffffULL}) {
    rules.push_back(allow({"personality"}, {{0, persona, 0, "SCMP_CMP_EQ"}}));
  }
  // No AF_VSOCK (40): it reaches the hypervisor, past every network namespace.
  rules.push_back(allow({"socket"}, {{0, 40, 0, "SCMP_CMP_NE"}}));
  if (sys_admin) return;
  // clone without new namespaces; clone3 hides its flags behind a pointer, so ENOSYS makes the C library fall back to clone.
  constexpr uint64_t namespaces = 0x7E020000;
#if defined(__s390x__)
  constexpr unsigned flags = 1;
#else
  constexpr unsigned flags = 0;
#endif
  rules.push_back(allow({"clone"}, {{flags, namespaces, 0, "SCMP_CMP_MASKED_EQ"}}));
  rules.push_back(deny({"clone3"}, ENOSYS));
}

}  // namespace

os::SeccompFilter default_seccomp(const std::vector<std::string>& capabilities) {
  auto has = [&](std::string_view name) {
    return std::any_of(capabilities.begin(), capabilities.end(), [&](const std::string& there) { return equals_ignore_case(there, name); });
  };
  os::SeccompFilter filter;
  filter.default_action = "SCMP_ACT_ERRNO";
  filter.default_errno_ret = ENOSYS;
#if defined(__x86_64__)
  filter.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
#elif defined(__aarch64__)
  filter.architectures = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#endif
  std::vector<std::string> names;
  for (std::string_view group : allowed) {
    for (std::string_view name : words(group)) names.emplace_back(name);
  }
  std::vector<std::string> refused;
  for (std::string_view name : words(denied)) refused.emplace_back(name);
  for (const Guarded& guard : guarded) {
    for (std::string_view name : words(guard.names)) {
      // Without the capability these two are decided by their arguments.
      bool by_argument = name == "clone" || name == "clone3";
      if (has(guard.capability)) names.emplace_back(name);
      else if (!by_argument) refused.emplace_back(name);
    }
  }
  filter.rules.push_back(allow(std::move(names)));
  filter.rules.push_back(deny(std::move(refused), EPERM));
  add_by_argument(filter.rules, has("CAP_SYS_ADMIN"));
  return filter;
}

std::string default_seccomp_json(const std::vector<std::string>& capabilities) {
  os::SeccompFilter filter = default_seccomp(capabilities);
  json::Document document;
  json::Node& root = document.make_object();
  auto strings = [&](const std::vector<std::string>& values) -> json::Node& {
    json::Node& array = document.make_array();
    for (const std::string& value : values) document.append(array, document.make_string(value));
    return array;
  };
  document.set(root, "defaultAction", filter.default_action);
  document.set(root, "defaultErrnoRet", document.make_int(*filter.default_errno_ret));
  document.set(root, "architectures", strings(filter.architectures));
  json::Node& rules = document.make_array();
  for (const os::SeccompRule& rule : filter.rules) {
    json::Node& node = document.make_object();
    document.set(node, "names", strings(rule.names));
    document.set(node, "action", rule.action);
    if (rule.errno_ret) document.set(node, "errnoRet", document.make_int(*rule.errno_ret));
    if (!rule.args.empty()) {
      json::Node& args = document.make_array();
      for (const os::SeccompArg& arg : rule.args) {
        json::Node& one = document.make_object();
        document.set(one, "index", document.make_int(arg.index));
        document.set(one, "value", document.make_number(std::to_string(arg.value)));
        document.set(one, "valueTwo", document.make_number(std::to_string(arg.value_two)));
        document.set(one, "op", arg.op);
        document.append(args, one);
      }
      document.set(node, "args", args);
    }
    document.append(rules, node);
  }
  document.set(root, "syscalls", rules);
  return json::print(root);
}

}  // namespace estiba::runtime
