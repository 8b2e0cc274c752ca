#include "node/container_spec.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/signals.h"
#include "base/strings.h"
#include "node/resources.h"
#include "node/sandbox_spec.h"
#include "node/swap.h"

namespace estiba::node {

using namespace model::core_v1;

namespace {

Result<void> add_security(engine::ContainerSpec& out, const Options& options, const Pod& pod, const Container& container) {
  const PodSecurityContext* shared = pod.spec.securityContext.get();
  const SecurityContext* own = container.securityContext.get();
  if (shared) {
    out.user.uid = shared->runAsUser;
    out.user.gid = shared->runAsGroup;
    out.user.groups = shared->supplementalGroups;
    if (shared->fsGroup) out.user.groups.push_back(*shared->fsGroup);
    out.user.groups_from_image = shared->supplementalGroupsPolicy != "Strict";
    out.user.must_not_be_root = shared->runAsNonRoot.value_or(false);
  }
  const SeccompProfile* seccomp = shared ? shared->seccompProfile.get() : nullptr;
  if (own) {
    if (own->runAsUser) out.user.uid = own->runAsUser;
    if (own->runAsGroup) out.user.gid = own->runAsGroup;
    if (own->runAsNonRoot) out.user.must_not_be_root = *own->runAsNonRoot;
    if (own->seccompProfile) seccomp = own->seccompProfile.get();
    out.privileged = own->privileged.value_or(false);
    out.readonly_root = own->readOnlyRootFilesystem.value_or(false);
    out.no_new_privileges = !own->allowPrivilegeEscalation.value_or(true);
    out.default_masked_paths = own->procMount != "Unmasked";
    if (own->capabilities) {
      out.capabilities_add = own->capabilities->add;
      out.capabilities_drop = own->capabilities->drop;
    }
  }
  if (!seccomp) return {};
  if (seccomp->type == "RuntimeDefault") out.seccomp = engine::ContainerSpec::Seccomp::runtime_default;
  if (seccomp->type != "Localhost") return {};
  // The API lets no path lead out of the directory.
  out.seccomp = engine::ContainerSpec::Seccomp::profile;
  out.seccomp_profile = read_text_file(options.data_dir + "/seccomp/" + seccomp->localhostProfile);
  if (out.seccomp_profile.empty())
    return fail(Code::not_found, "seccompProfile.localhostProfile " + quoted(seccomp->localhostProfile) + ": there is no such file in " +
                                     options.data_dir + "/seccomp of this node");
  return {};
}

std::string message_path(const Options& options, const std::string& uid, const std::string& container, uint32_t attempt) {
  return options.data_dir + "/pods/" + uid + "/containers/" + container + "/" + std::to_string(attempt);
}

Result<void> make_directories(const std::string& path) {
  for (size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno("mkdir " + part);
  }
  return {};
}

std::string link_name(const Options& options, const Pod& pod, const std::string& container, const std::string& id) {
  return options.log_links + "/" + pod.metadata.name + "_" + pod.metadata.namespace_ + "_" + container + "-" + id + ".log";
}

constexpr size_t message_limit = 4096;

}  // namespace

Error config_error(Error error) {
  if (engine::reason_of(error).empty()) {
    if (!error.details) error.details = std::make_shared<ErrorDetails>();
    error.details->reason = "CreateContainerConfigError";
  }
  return error;
}

Result<engine::ContainerSpec> make_container_spec(const Options& options, const Pod& pod, const Container& container, uint32_t attempt,
                                                  Environment environment, std::vector<engine::Mount> mounts) {
  engine::ContainerSpec out;
  out.name = container.name;
  out.attempt = attempt;
  out.image = container.image;
  for (const std::string& part : container.command) out.command.push_back(expand(part, environment));
  for (const std::string& part : container.args) out.args.push_back(expand(part, environment));
  out.working_dir = container.workingDir;
  out.mounts = std::move(mounts);
  out.resources = container_resources(pod, container);
  limit_swap(out.resources, options, pod, container);
  TRY(add_security(out, options, pod, container));
  out.tty = container.tty.value_or(false);
  out.stdin_open = container.stdin.value_or(false);
  out.stdin_once = container.stdinOnce.value_or(false);
  if (container.lifecycle) out.stop_signal = signal_number(container.lifecycle->stopSignal).value_or(0);
  out.log_path = container.name + "/" + std::to_string(attempt) + ".log";
  out.labels = {{"io.kubernetes.container.name", container.name},
                {"io.kubernetes.pod.name", pod.metadata.name},
                {"io.kubernetes.pod.namespace", pod.metadata.namespace_},
                {"io.kubernetes.pod.uid", pod.metadata.uid}};
  const std::string target = container.terminationMessagePath.empty() ? "/dev/termination-log" : container.terminationMessagePath;
  const std::string file = message_path(options, pod.metadata.uid, container.name, attempt);
  TRY(make_directories(file.substr(0, file.rfind('/'))));
  Fd made(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!made) return fail_errno("create the termination log " + file);
  (void)::fchmod(made.get(), 0666);  // whoever the container runs as writes it
  out.mounts.push_back({.host_path = file, .container_path = target});
  out.env = std::move(environment);
  return out;
}

std::string read_text_file(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string out;
  char buffer[4096];
  for (ssize_t n; fd && (n = ::read(fd.get(), buffer, sizeof buffer)) > 0;) out.append(buffer, size_t(n));
  return out;
}

std::string read_exit_message(const Options& options, const Pod& pod, const Container& container, const engine::ContainerStatus& exited) {
  std::string message = read_text_file(message_path(options, pod.metadata.uid, container.name, exited.attempt));
  if (message.size() > message_limit) message.resize(message_limit);
  if (!message.empty() || container.terminationMessagePolicy != "FallbackToLogsOnError" || exited.exit_code == 0) return message;
  // The last 80 lines or 2048 bytes of the log, without the CRI format's heads.
  Fd fd(::open(exited.log_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  const off_t size = ::lseek(fd.get(), 0, SEEK_END);
  std::string tail(size_t(std::min<off_t>(size, 16384)), '\0');
  const ssize_t n = ::pread(fd.get(), tail.data(), tail.size(), size - off_t(tail.size()));
  tail.resize(n > 0 ? size_t(n) : 0);
  for (std::string_view line : split(tail, '\n')) {
    // "<time> <stream> <F or P> <text>"; a partial one goes on in the next.
    size_t at = 0;
    for (int field = 0; field < 3 && at != std::string_view::npos; ++field) at = line.find(' ', at ? at + 1 : 0);
    if (at == std::string_view::npos || at == 0) continue;
    message.append(line.substr(at + 1));
    if (line[at - 1] != 'P') message += '\n';
  }
  if (message.size() > 2048) message.erase(0, message.size() - 2048);
  return message;
}

void link_log(const Options& options, const Pod& pod, const std::string& container, const std::string& id) {
  (void)make_directories(options.log_links);
  const std::string log = log_directory(options, pod) + "/" + container;
  // The newest attempt's file: its name is the restart count.
  std::string newest;
  if (DIR* dir = ::opendir(log.c_str())) {
    int best = -1;
    while (dirent* entry = ::readdir(dir))
      if (auto number = parse_number<int>(split_once(entry->d_name, '.').first); number && *number > best)
        best = *number, newest = entry->d_name;
    ::closedir(dir);
  }
  if (!newest.empty()) (void)::symlink((log + "/" + newest).c_str(), link_name(options, pod, container, id).c_str());
}

void unlink_logs(const Options& options, const Pod& pod) {
  const std::string logs = log_directory(options, pod), prefix = pod.metadata.name + "_" + pod.metadata.namespace_ + "_";
  if (DIR* dir = ::opendir(options.log_links.c_str())) {
    while (dirent* entry = ::readdir(dir)) {
      const std::string path = options.log_links + "/" + entry->d_name;
      char target[4096];
      if (!std::string_view(entry->d_name).starts_with(prefix)) continue;
      const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
      if (n > 0 && std::string_view(target, size_t(n)).starts_with(logs + "/")) (void)::unlink(path.c_str());
    }
    ::closedir(dir);
  }
  if (DIR* dir = ::opendir(logs.c_str())) {
    while (dirent* entry = ::readdir(dir)) {
      const std::string container = logs + "/" + entry->d_name;
      if (entry->d_name[0] == '.') continue;
      if (DIR* inner = ::opendir(container.c_str())) {
        while (dirent* file = ::readdir(inner))
          if (file->d_name[0] != '.') (void)::unlink((container + "/" + file->d_name).c_str());
        ::closedir(inner);
      }
      (void)::rmdir(container.c_str());
    }
    ::closedir(dir);
    (void)::rmdir(logs.c_str());
  }
}

}  // namespace estiba::node
