// state, list, ps, events, spec, features.
#include <stdio.h>

#include "base/strings.h"
#include "cli/oci/commands.h"
#include "model/json.h"
#include "os/credentials.h"
#include "os/file.h"
#include "os/process.h"
#include "runtime/container.h"

namespace estiba::cli::oci {

namespace {

Result<std::string> need_id(const Arguments& arguments) {
  if (arguments.words.empty()) return fail(Code::invalid, "a container id is wanted");
  return arguments.words[0];
}

Result<json::Node*> describe(json::Document& document, const Globals& globals, const runtime::ContainerState& state) {
  std::string status = TRY(runtime::container_status(globals.root, state));
  json::Node& node = document.make_object();
  document.set(node, "ociVersion", std::string_view("1.2.0"));
  document.set(node, "id", state.id);
  document.set(node, "pid", document.make_int(status == "stopped" ? 0 : state.pid));
  document.set(node, "status", status);
  document.set(node, "bundle", state.bundle);
  auto spec = runtime::load_spec(globals.root, state.id);
  if (spec) {
    std::string rootfs = spec->root_path.starts_with('/') ? spec->root_path : state.bundle + "/" + spec->root_path;
    document.set(node, "rootfs", rootfs);
  }
  document.set(node, "created", state.created);
  if (spec && !spec->annotations.empty()) {
    json::Node& annotations = document.make_object();
    for (const auto& [key, value] : spec->annotations) document.set(annotations, key, value);
    document.set(node, "annotations", annotations);
  }
  document.set(node, "owner", std::string_view(state.owner == 0 ? "root" : ""));
  return &node;
}

void print(const std::string& text) {
  fwrite(text.data(), 1, text.size(), stdout);
  fputc('\n', stdout);
}

}  // namespace

Result<int> cmd_state(const Globals& globals, const Arguments& arguments) {
  runtime::ContainerState state = TRY(runtime::load(globals.root, TRY(need_id(arguments))));
  json::Document document;
  print(json::print_pretty(*TRY(describe(document, globals, state))));
  return 0;
}

Result<int> cmd_list(const Globals& globals, const Arguments& arguments) {
  auto states = TRY(runtime::list(globals.root));
  if (arguments.has("quiet")) {
    for (const auto& state : states) print(state.id);
    return 0;
  }
  if (arguments.get("format", "table") == "json") {
    json::Document document;
    json::Node& all = document.make_array();
    for (const auto& state : states) document.append(all, *TRY(describe(document, globals, state)));
    print(json::print(all));
    return 0;
  }
  size_t width = 2;
  for (const auto& state : states) width = std::max(width, state.id.size());
  printf("%-*s %-8s %-8s %-30s %s\n", int(width), "ID", "PID", "STATUS", "CREATED", "BUNDLE");
  for (const auto& state : states) {
    std::string status = TRY(runtime::container_status(globals.root, state));
    printf("%-*s %-8d %-8s %-30s %s\n", int(width), state.id.c_str(), status == "stopped" ? 0 : state.pid, status.c_str(),
           state.created.c_str(), state.bundle.c_str());
  }
  return 0;
}

Result<int> cmd_ps(const Globals& globals, const Arguments& arguments) {
  runtime::ContainerState state = TRY(runtime::load(globals.root, TRY(need_id(arguments))));
  std::vector<pid_t> pids = {state.pid};
  if (!state.cgroup.empty()) pids = TRY(TRY(os::Cgroup::at(state.cgroup)).pids(true));
  if (arguments.get("format", "table") == "json") {
    json::Document document;
    json::Node& all = document.make_array();
    for (pid_t pid : pids) document.append(all, document.make_int(pid));
    print(json::print(all));
    return 0;
  }
  printf("%-8s %s\n", "PID", "COMMAND");
  for (pid_t pid : pids) {
    std::string command = os::read_file("/proc/" + std::to_string(pid) + "/cmdline").value_or("");
    for (char& c : command) c = c ? c : ' ';
    printf("%-8d %s\n", pid, command.c_str());
  }
  return 0;
}

// One line in the form of runc's `events --stats`.
Result<int> cmd_events(const Globals& globals, const Arguments& arguments) {
  runtime::ContainerState state = TRY(runtime::load(globals.root, TRY(need_id(arguments))));
  if (!arguments.has("stats")) return fail(Code::unsupported, "only events --stats is offered");
  if (state.cgroup.empty()) return fail(Code::unsupported, "container " + state.id + " has no cgroup");
  os::CgroupStats stats = TRY(TRY(os::Cgroup::at(state.cgroup)).stats());
  auto n = [](uint64_t value) { return std::to_string(value); };
  std::string id;
  json::append_string(id, state.id);
  print(R"({"type":"stats","id":)" + id + R"(,"data":{"cpu":{"usage":{"total":)" + n(stats.cpu_usage_ns) + R"(,"kernel":)" +
        n(stats.cpu_system_ns) + R"(,"user":)" + n(stats.cpu_user_ns) + R"(},"throttling":{"periods":)" + n(stats.cpu_periods) +
        R"(,"throttledPeriods":)" + n(stats.cpu_throttled_periods) + R"(,"throttledTime":)" + n(stats.cpu_throttled_ns) +
        R"(}},"memory":{"cache":)" + n(stats.memory_cache) + R"(,"usage":{"limit":)" + n(stats.memory_limit) + R"(,"usage":)" +
        n(stats.memory_usage) + R"(,"max":)" + n(stats.memory_max_usage) + R"(}},"pids":{"current":)" + n(stats.pids) + R"(,"limit":)" +
        n(stats.pids_limit) + "}}}");
  return 0;
}

Result<int> cmd_spec(const Globals&, const Arguments& arguments) {
  std::string file = arguments.get("bundle", ".") + "/config.json";
  if (os::exists(file)) return fail(Code::already_exists, file + " exists; remove it first");
  TRY(os::write_file(file, runtime::default_spec_text(), O_CREAT | O_EXCL, 0644));
  return 0;
}

Result<int> cmd_features(const Globals&, const Arguments&) {
  std::string caps;
  for (int i = 0; i <= os::last_capability(); i++) {
    if (!os::capability_name(i).empty()) caps += (caps.empty() ? "\"" : ",\"") + std::string(os::capability_name(i)) + "\"";
  }
  auto host = os::cgroup_host();
  bool v1 = host && (*host)->mode == os::CgroupMode::v1;
  std::string text =
      R"({"ociVersionMin":"1.0.0","ociVersionMax":"1.2.0","hooks":["prestart","createRuntime","createContainer","startContainer","poststart","poststop"],)"
      R"("mountOptions":["async","atime","bind","defaults","dev","diratime","dirsync","exec","idmap","iversion","lazytime","loud","mand","noatime","nodev",)"
      R"("nodiratime","noexec","noiversion","nolazytime","nomand","norelatime","nostrictatime","nosuid","nosymfollow","private","ratime","rbind","rdev",)"
      R"("relatime","remount","rexec","ridmap","rnoatime","rnodev","rnoexec","rnosuid","ro","rprivate","rro","rrw","rshared","rslave","rsuid","runbindable","rw",)"
      R"("shared","silent","slave","strictatime","suid","sync","unbindable"],"linux":{"namespaces":["cgroup","ipc","mount","network","pid","time",)"
      R"("user","uts"],"capabilities":[)" +
      caps + R"(],"cgroup":{"v1":)" + (v1 ? "true" : "false") +
      R"(,"v2":true,"systemd":true,"systemdUser":false},"seccomp":{"enabled":true,"actions":)"
      R"(["SCMP_ACT_ALLOW","SCMP_ACT_ERRNO","SCMP_ACT_KILL","SCMP_ACT_KILL_PROCESS","SCMP_ACT_KILL_THREAD","SCMP_ACT_LOG","SCMP_ACT_TRACE",)"
      R"("SCMP_ACT_TRAP"],"operators":["SCMP_CMP_NE","SCMP_CMP_LT","SCMP_CMP_LE","SCMP_CMP_EQ","SCMP_CMP_GE","SCMP_CMP_GT","SCMP_CMP_MASKED_EQ"]},)"
      R"("apparmor":{"enabled":false},"selinux":{"enabled":false},"intelRdt":{"enabled":false},"mountExtensions":{"idmap":{"enabled":true}}}})";
  json::Document document = TRY(json::Document::parse(text));
  print(json::print_pretty(document.root()));
  return 0;
}

}  // namespace estiba::cli::oci
