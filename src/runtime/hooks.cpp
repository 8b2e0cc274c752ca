#include "runtime/hooks.h"

#include <signal.h>

#include "model/json.h"
#include "os/fd.h"
#include "os/process.h"
#include "os/program.h"

namespace estiba::runtime {

std::string state_json(const std::string& id, std::string_view status, int pid, const std::string& bundle, const Spec& spec) {
  json::Document document;
  json::Node& root = document.make_object();
  document.set(root, "ociVersion", std::string_view("1.2.0"));
  document.set(root, "id", id);
  document.set(root, "status", status);
  if (pid) document.set(root, "pid", document.make_int(pid));
  document.set(root, "bundle", bundle);
  if (!spec.annotations.empty()) {
    json::Node& annotations = document.make_object();
    for (const auto& [key, value] : spec.annotations) document.set(annotations, key, value);
    document.set(root, "annotations", annotations);
  }
  return json::print(root);
}

namespace {

Result<void> await_hook(pid_t pid, const SpecHook& hook) {
  if (hook.timeout_seconds) {
    os::Fd pidfd = TRY(os::pidfd_open(pid));
    if (auto ended = os::await_exit(pidfd, pid, *hook.timeout_seconds * 1000); !ended && ended.error().code == Code::timeout) {
      (void)os::send_signal(pid, SIGKILL);
      (void)os::wait_child(pid);
      return fail(Code::timeout, "did not end within " + std::to_string(*hook.timeout_seconds) + " s");
    }
  }
  os::ExitStatus status = TRY(os::wait_child(pid));
  if (status.signal) return fail(Code::internal, "was killed by signal " + std::to_string(status.signal));
  if (status.code) return fail(Code::internal, "ended with exit code " + std::to_string(status.code));
  return {};
}

Result<void> run_hook(const SpecHook& hook, const std::string& state) {
  os::Fd input = TRY(os::make_input(state));
  os::SpawnOptions options;
  options.argv = {hook.path};
  // args[0] is the program's own name, as execv takes it.
  for (size_t i = 1; i < hook.args.size(); i++) options.argv.push_back(hook.args[i]);
  options.env = hook.env;
  options.fds = {{input.get(), 0}, {1, 1}, {2, 2}};
  return await_hook(TRY(os::spawn(options)), hook);
}

}  // namespace

Result<void> run_hooks(std::string_view kind, const std::vector<SpecHook>& hooks, const std::string& state) {
  for (const SpecHook& hook : hooks) {
    auto done = run_hook(hook, state);
    if (!done) return std::unexpected(std::move(done.error()).context(std::string(kind) + " hook " + hook.path));
  }
  return {};
}

}  // namespace estiba::runtime
