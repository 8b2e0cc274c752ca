#include "runtime/identity.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "os/file.h"
#include "os/process.h"

namespace estiba::runtime {

Result<void> apply_rlimits(const std::vector<SpecRlimit>& limits) {
  for (const SpecRlimit& limit : limits) {
    int resource = *os::rlimit_by_name(limit.type);
    auto done = os::set_rlimit(resource, limit.soft, limit.hard);
    if (!done && done.error().sys == EPERM) {
      rlimit now{};
      getrlimit(static_cast<__rlimit_resource>(resource), &now);
      done = os::set_rlimit(resource, std::min<uint64_t>(limit.soft, now.rlim_max), std::min<uint64_t>(limit.hard, now.rlim_max));
    }
    TRY_AS("process.rlimits " + limit.type, std::move(done));
  }
  return {};
}

namespace {
Result<uint64_t> to_bits(const std::vector<std::string>& names, int last) {
  uint64_t bits = 0;
  for (const std::string& name : names) {
    auto number = os::capability_by_name(name);
    if (!number) return fail(Code::invalid, "process.capabilities: unknown capability " + quoted(name));
    if (*number <= last) bits |= 1ULL << *number;
  }
  return bits;
}
}  // namespace

Result<os::Capabilities> capability_sets(const SpecCapabilities& spec) {
  int last = os::last_capability();
  os::Capabilities out;
  out.bounding = TRY(to_bits(spec.bounding, last));
  out.effective = TRY(to_bits(spec.effective, last));
  out.inheritable = TRY(to_bits(spec.inheritable, last));
  out.permitted = TRY(to_bits(spec.permitted, last));
  out.ambient = TRY(to_bits(spec.ambient, last));
  // Nobody can be given what this process lacks itself; runc and crun leave it out as well.
  os::Capabilities own = TRY(os::current_capabilities());
  out.bounding &= own.bounding;
  out.permitted &= own.permitted;
  out.effective &= out.permitted;
  out.inheritable &= own.permitted | own.inheritable;
  out.ambient &= out.permitted & out.inheritable;
  return out;
}

Result<os::Fd> become_user(const SpecProcess& process, const os::SeccompProgram* seccomp, bool may_set_groups) {
  os::Fd listener;
  // Without no_new_privs installing a filter needs CAP_SYS_ADMIN, so it must come before that goes; with it, it comes last, so
  // that the filter need not allow the calls below.
  bool early = seccomp && !process.no_new_privileges;
  if (early) listener = TRY(os::install_seccomp(*seccomp));
  std::optional<os::Capabilities> sets;
  if (process.capabilities) {
    sets = TRY(capability_sets(*process.capabilities));
    TRY(os::limit_bounding_set(sets->bounding));
    TRY(os::keep_capabilities(true));
  }
  if (may_set_groups) TRY(os::set_groups({process.user.additional_gids.begin(), process.user.additional_gids.end()}));
  TRY(os::set_gid(process.user.gid));
  TRY(os::set_uid(process.user.uid));
  if (sets) {
    TRY(os::keep_capabilities(false));
    TRY(os::set_capabilities(*sets));
  }
  if (process.no_new_privileges) TRY(os::set_no_new_privileges());
  if (seccomp && !early) listener = TRY(os::install_seccomp(*seccomp));
  return listener;
}

Result<void> change_directory(const std::string& path) {
  if (chdir(path.c_str()) < 0) return fail_errno("chdir " + path + " (process.cwd)");
  // A descriptor of the host that leaked in could be reached as /proc/self/fd/N; the kernel then gives a path without "/".
  char where[4096];
  if (!getcwd(where, sizeof where) || where[0] != '/')
    return fail(Code::forbidden, "process.cwd " + path + " is outside of the container's root");
  return {};
}

namespace {
std::string_view variable(const SpecProcess& process, std::string_view name) {
  std::string_view found;
  for (const std::string& entry : process.env) {
    auto [key, value] = split_once(entry, '=');
    if (key == name && value) found = *value;
  }
  return found;
}

// 0: can be run; otherwise the errno that says why not.
int check_program(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) < 0) return errno;
  if (S_ISDIR(info.st_mode)) return EACCES;
  if (faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0) return 0;
  // Seccomp profiles that are older than faccessat2(2) refuse it: then execve(2) will tell.
  if (errno == EPERM || errno == ENOSYS) return info.st_mode & 0111 ? 0 : EACCES;
  return errno;
}
}  // namespace

Result<std::string> find_program(const SpecProcess& process) {
  const std::string& name = process.args[0];
  if (name.empty()) return fail(Code::invalid, "process.args[0] must not be empty");
  if (name.find('/') != std::string::npos) {
    if (int err = check_program(name)) return fail_errno("exec " + name, err);
    return name;
  }
  std::string_view path = variable(process, "PATH");
  if (path.empty()) path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  int worst = 0;
  for (std::string_view dir : split(path, ':')) {
    std::string file = (dir.empty() ? std::string(".") : std::string(dir)) + "/" + name;
    int err = check_program(file);
    if (!err) return file;
    if (err == EACCES) worst = EACCES;
  }
  if (worst) return fail_errno("exec " + name, worst);
  return fail(Code::not_found, "exec " + name + ": executable file not found in $PATH");
}

void add_home(SpecProcess& process) {
  for (const std::string& entry : process.env) {
    if (entry.starts_with("HOME=") && entry.size() > 5) return;
  }
  std::erase(process.env, "HOME=");
  std::string home = "/";
  if (auto passwd = os::read_file("/etc/passwd")) {
    for (std::string_view line : split(*passwd, '\n')) {
      auto fields = split(line, ':');
      if (fields.size() < 6 || parse_number<uint32_t>(fields[2]) != process.user.uid) continue;
      home = fields[5];
      break;
    }
  }
  process.env.push_back("HOME=" + home);
}

}  // namespace estiba::runtime
