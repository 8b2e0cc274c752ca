#include "apiserver/edit.h"
#include "apiserver/printers/printers.h"
#include "base/time.h"

namespace estiba::apiserver::printers {
namespace {

constexpr TableColumn columns[] = {
    {"Name", "string", 0, "name"},
    {"Ready"},
    {"Status"},
    {"Restarts"},
    {"Age"},
    {"IP", "string", 1},
    {"Node", "string", 1},
    {"Nominated Node", "string", 1},
    {"Readiness Gates", "string", 1},
};

bool condition_is_true(const json::Node& pod, std::string_view type) {
  const json::Node* conditions = pod.at("status", "conditions");
  if (!conditions) return false;
  return std::any_of(conditions->begin(), conditions->end(),
                     [type](const json::Node& c) { return c.string_at("type") == type && c.string_at("status") == "True"; });
}

bool is_sidecar(const json::Node& pod, std::string_view name) {
  const json::Node* containers = pod.at("spec", "initContainers");
  if (!containers) return false;
  return std::any_of(containers->begin(), containers->end(),
                     [name](const json::Node& c) { return c.string_at("name") == name && c.string_at("restartPolicy") == "Always"; });
}

// Counts restarts and remembers the latest one.
struct Restarts {
  int64_t count = 0;
  std::string_view last;
  void add(const json::Node& status) {
    count += count_of(status, "restartCount");
    std::string_view finished = status.string_at("lastState", "terminated", "finishedAt");
    if (finished > last) last = finished;
  }
};

std::string termination_text(const json::Node& terminated, std::string_view prefix) {
  std::string out(prefix);
  if (std::string_view reason = terminated.string_at("reason"); !reason.empty()) return out.append(reason);
  if (int64_t signal = count_of(terminated, "signal"); signal != 0) return out + "Signal:" + std::to_string(signal);
  return out + "ExitCode:" + std::to_string(count_of(terminated, "exitCode"));
}

// The pod's summary, as Kubernetes' printPod computes it.
struct Summary {
  std::string reason;
  int64_t ready = 0, total = 0;
  Restarts restarts, sidecar_restarts;
  bool initializing = false;
};

// One init container's share; true when the ones behind it say nothing more.
bool look_at_init(const json::Node& pod, const json::Node& status, size_t index, size_t count, Summary& out) {
  out.restarts.add(status);
  bool sidecar = is_sidecar(pod, status.string_at("name"));
  if (sidecar) out.sidecar_restarts.add(status);
  const json::Node* terminated = status.at("state", "terminated");
  std::string_view waiting = status.string_at("state", "waiting", "reason");
  if (present(terminated) && count_of(*terminated, "exitCode") == 0) return false;
  const json::Node* started = status.find("started");
  if (sidecar && started && started->as_bool()) {
    const json::Node* ready = status.find("ready");
    out.ready += ready && ready->as_bool();
    return false;
  }
  out.initializing = true;
  if (present(terminated)) out.reason = termination_text(*terminated, "Init:");
  else if (!waiting.empty() && waiting != "PodInitializing") out.reason = "Init:" + std::string(waiting);
  else out.reason = "Init:" + std::to_string(index) + "/" + std::to_string(count);
  return true;
}

void look_at_containers(const json::Node& pod, Summary& out) {
  out.restarts = out.sidecar_restarts;
  bool running = false;
  const json::Node* statuses = pod.at("status", "containerStatuses");
  for (uint32_t i = statuses ? statuses->size() : 0; i-- > 0;) {
    const json::Node& status = (*statuses)[i];
    out.restarts.add(status);
    std::string_view waiting = status.string_at("state", "waiting", "reason");
    const json::Node* terminated = status.at("state", "terminated");
    const json::Node* ready = status.find("ready");
    if (!waiting.empty()) {
      out.reason = waiting;
    } else if (present(terminated)) {
      out.reason = termination_text(*terminated, "");
    } else if (ready && ready->as_bool() && present(status.at("state", "running"))) {
      running = true;
      out.ready++;
    }
  }
  if (out.reason == "Completed" && running) out.reason = condition_is_true(pod, "Ready") ? "Running" : "NotReady";
}

Summary summarize(const json::Node& pod) {
  Summary out;
  std::string_view phase = pod.string_at("status", "phase"), status_reason = pod.string_at("status", "reason");
  out.reason = status_reason.empty() ? phase : status_reason;
  if (const json::Node* conditions = pod.at("status", "conditions")) {
    for (const json::Node& c : *conditions) {
      if (c.string_at("type") == "PodScheduled" && c.string_at("reason") == "SchedulingGated") out.reason = "SchedulingGated";
    }
  }
  const json::Node* containers = pod.at("spec", "containers");
  const json::Node* init = pod.at("spec", "initContainers");
  out.total = containers ? containers->size() : 0;
  if (init) {
    for (const json::Node& container : *init) out.total += container.string_at("restartPolicy") == "Always";
  }
  if (const json::Node* statuses = pod.at("status", "initContainerStatuses")) {
    size_t i = 0;
    for (const json::Node& status : *statuses) {
      if (look_at_init(pod, status, i++, init ? init->size() : 0, out)) break;
    }
  }
  if (!out.initializing || condition_is_true(pod, "Initialized")) look_at_containers(pod, out);
  bool deleting = !pod.string_at("metadata", "deletionTimestamp").empty();
  if (deleting && status_reason == "NodeLost") out.reason = "Unknown";
  else if (deleting && phase != "Succeeded" && phase != "Failed") out.reason = "Terminating";
  return out;
}

std::string gates_text(const json::Node& pod) {
  const json::Node* gates = pod.at("spec", "readinessGates");
  if (!present(gates) || gates->empty()) return "<none>";
  size_t ready = 0;
  for (const json::Node& gate : *gates) ready += condition_is_true(pod, gate.string_at("conditionType"));
  return std::to_string(ready) + "/" + std::to_string(gates->size());
}

void pod_row(const json::Node& pod, Cells& cells) {
  Summary summary = summarize(pod);
  cells.text(pod.string_at("metadata", "name"));
  cells.text(std::to_string(summary.ready) + "/" + std::to_string(summary.total));
  cells.text(summary.reason);
  std::string restarts = std::to_string(summary.restarts.count);
  auto last = parse_rfc3339(summary.restarts.last);
  if (summary.restarts.count != 0 && last) restarts += " (" + human_duration(cells.now - *last) + " ago)";
  cells.text(restarts);
  cells.age(pod.string_at("metadata", "creationTimestamp"));
  const json::Node* addresses = pod.at("status", "podIPs");
  std::string_view address = addresses && !addresses->empty() ? (*addresses)[0].string_at("ip") : pod.string_at("status", "podIP");
  cells.text(address.empty() ? "<none>" : address);
  cells.field(pod, "spec.nodeName", "<none>");
  cells.field(pod, "status.nominatedNodeName", "<none>");
  cells.text(gates_text(pod));
}

constexpr TableColumn template_columns[] = {{"Name", "string", 0, "name"}, {"Containers"}, {"Images"}, {"Pod Labels"}};

void template_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.text(containers_text(object.at("template", "spec"), "name"));
  cells.text(containers_text(object.at("template", "spec"), "image"));
  cells.text(map_text(object.at("template", "metadata", "labels")));
}

constexpr Printer rows[] = {{"", "pods", columns, pod_row}, {"", "podtemplates", template_columns, template_row}};

}  // namespace

std::span<const Printer> pods() { return rows; }

}  // namespace estiba::apiserver::printers
