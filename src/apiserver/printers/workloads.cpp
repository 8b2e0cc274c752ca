#include "apiserver/edit.h"
#include "apiserver/printers/printers.h"
#include "base/strings.h"
#include "base/time.h"

namespace estiba::apiserver::printers {
namespace {

void name_cell(const json::Node& object, Cells& cells) { cells.text(object.string_at("metadata", "name")); }
void age_cell(const json::Node& object, Cells& cells) { cells.age(object.string_at("metadata", "creationTimestamp")); }
void template_cells(const json::Node& object, Cells& cells, bool selector) {
  const json::Node* spec = object.at("spec", "template", "spec");
  cells.text(containers_text(spec, "name"));
  cells.text(containers_text(spec, "image"));
  if (selector) cells.text(selector_text(object.at("spec", "selector")));
}
std::string ratio(int64_t a, int64_t b) { return std::to_string(a) + "/" + std::to_string(b); }

constexpr TableColumn deployment_columns[] = {
    {"Name", "string", 0, "name"}, {"Ready"}, {"Up-to-date"}, {"Available"}, {"Age"}, {"Containers", "string", 1}, {"Images", "string", 1},
    {"Selector", "string", 1},
};
void deployment_row(const json::Node& object, Cells& cells) {
  name_cell(object, cells);
  cells.text(ratio(count_of(object, "status.readyReplicas"), count_of(object, "spec.replicas")));
  cells.count(object, "status.updatedReplicas");
  cells.count(object, "status.availableReplicas");
  age_cell(object, cells);
  template_cells(object, cells, true);
}

constexpr TableColumn replica_columns[] = {
    {"Name", "string", 0, "name"}, {"Desired", "integer"},  {"Current", "integer"},    {"Ready", "integer"}, {"Age"},
    {"Containers", "string", 1},   {"Images", "string", 1}, {"Selector", "string", 1},
};
void replica_set_row(const json::Node& object, Cells& cells) {
  name_cell(object, cells);
  cells.count(object, "spec.replicas");
  cells.count(object, "status.replicas");
  cells.count(object, "status.readyReplicas");
  age_cell(object, cells);
  template_cells(object, cells, true);
}
void replication_controller_row(const json::Node& object, Cells& cells) {
  name_cell(object, cells);
  cells.count(object, "spec.replicas");
  cells.count(object, "status.replicas");
  cells.count(object, "status.readyReplicas");
  age_cell(object, cells);
  template_cells(object, cells, false);
  cells.text(map_text(object.at("spec", "selector")));
}

constexpr TableColumn daemon_columns[] = {
    {"Name", "string", 0, "name"}, {"Desired", "integer"},   {"Current", "integer"},    {"Ready", "integer"},
    {"Up-to-date", "integer"},     {"Available", "integer"}, {"Node Selector"},         {"Age"},
    {"Containers", "string", 1},   {"Images", "string", 1},  {"Selector", "string", 1},
};
void daemon_set_row(const json::Node& object, Cells& cells) {
  name_cell(object, cells);
  for (std::string_view path : {"status.desiredNumberScheduled", "status.currentNumberScheduled", "status.numberReady",
                                "status.updatedNumberScheduled", "status.numberAvailable"}) {
    cells.count(object, path);
  }
  cells.text(map_text(object.at("spec", "template", "spec", "nodeSelector")));
  age_cell(object, cells);
  template_cells(object, cells, true);
}

constexpr TableColumn stateful_columns[] = {
    {"Name", "string", 0, "name"}, {"Ready"}, {"Age"}, {"Containers", "string", 1}, {"Images", "string", 1},
};
void stateful_set_row(const json::Node& object, Cells& cells) {
  name_cell(object, cells);
  cells.text(ratio(count_of(object, "status.readyReplicas"), count_of(object, "spec.replicas")));
  age_cell(object, cells);
  template_cells(object, cells, false);
}

constexpr TableColumn job_columns[] = {
    {"Name", "string", 0, "name"}, {"Status"}, {"Completions"}, {"Duration"}, {"Age"}, {"Containers", "string", 1}, {"Images", "string", 1},
    {"Selector", "string", 1},
};

bool has_condition(const json::Node& object, std::string_view type) {
  const json::Node* conditions = object.at("status", "conditions");
  return conditions && std::any_of(conditions->begin(), conditions->end(),
                                   [type](const json::Node& c) { return c.string_at("type") == type && c.string_at("status") == "True"; });
}

std::string job_status(const json::Node& job) {
  if (has_condition(job, "Complete")) return "Complete";
  if (has_condition(job, "Failed")) return "Failed";
  if (!job.string_at("metadata", "deletionTimestamp").empty()) return "Terminating";
  if (has_condition(job, "Suspended")) return "Suspended";
  if (has_condition(job, "FailureTarget")) return "FailureTarget";
  if (has_condition(job, "SuccessCriteriaMet")) return "SuccessCriteriaMet";
  return "Running";
}

std::string job_completions(const json::Node& job) {
  int64_t succeeded = count_of(job, "status.succeeded");
  if (present(job.at("spec", "completions"))) return ratio(succeeded, count_of(job, "spec.completions"));
  int64_t parallelism = count_of(job, "spec.parallelism");
  return std::to_string(succeeded) + (parallelism > 1 ? "/1 of " + std::to_string(parallelism) : "/1");
}

std::string job_duration(const json::Node& job, WallTime now) {
  auto start = parse_rfc3339(job.string_at("status", "startTime"));
  if (!start) return "";
  auto end = parse_rfc3339(job.string_at("status", "completionTime"));
  return human_duration((end ? *end : now) - *start);
}

void job_row(const json::Node& object, Cells& cells) {
  name_cell(object, cells);
  cells.text(job_status(object));
  cells.text(job_completions(object));
  cells.text(job_duration(object, cells.now));
  age_cell(object, cells);
  template_cells(object, cells, true);
}

constexpr TableColumn cron_columns[] = {
    {"Name", "string", 0, "name"},
    {"Schedule"},
    {"Timezone"},
    {"Suspend", "boolean"},
    {"Active", "integer"},
    {"Last Schedule"},
    {"Age"},
    {"Containers", "string", 1},
    {"Images", "string", 1},
    {"Selector", "string", 1},
};
void cron_job_row(const json::Node& object, Cells& cells) {
  name_cell(object, cells);
  cells.field(object, "spec.schedule");
  cells.field(object, "spec.timeZone", "<none>");
  const json::Node* suspend = object.at("spec", "suspend");
  cells.text(suspend && suspend->as_bool() ? "True" : "False");
  const json::Node* active = object.at("status", "active");
  cells.number(active ? active->size() : 0);
  std::string_view last = object.string_at("status", "lastScheduleTime");
  if (last.empty()) cells.text("<none>");
  else cells.age(last);
  age_cell(object, cells);
  const json::Node* spec = object.at("spec", "jobTemplate", "spec", "template", "spec");
  cells.text(containers_text(spec, "name"));
  cells.text(containers_text(spec, "image"));
  cells.text(selector_text(object.at("spec", "jobTemplate", "spec", "selector")));
}

constexpr TableColumn revision_columns[] = {{"Name", "string", 0, "name"}, {"Controller"}, {"Revision"}, {"Age"}};
void revision_row(const json::Node& object, Cells& cells) {
  name_cell(object, cells);
  std::string controller = "<none>";
  if (const json::Node* owners = object.at("metadata", "ownerReferences")) {
    for (const json::Node& owner : *owners) {
      const json::Node* flag = owner.find("controller");
      if (!flag || !flag->as_bool()) continue;
      std::string kind(owner.string_at("kind"));
      for (char& c : kind) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
      auto group = split_once(owner.string_at("apiVersion"), '/');
      controller = kind + (group.second ? "." + std::string(group.first) : "") + "/" + std::string(owner.string_at("name"));
    }
  }
  cells.text(controller);
  cells.text(std::to_string(count_of(object, "revision")));
  age_cell(object, cells);
}

constexpr TableColumn autoscaler_columns[] = {
    {"Name", "string", 0, "name"}, {"Reference"}, {"Targets"}, {"MinPods"}, {"MaxPods"}, {"Replicas"}, {"Age"},
};
void autoscaler_row(const json::Node& object, Cells& cells) {
  name_cell(object, cells);
  cells.text(std::string(object.string_at("spec", "scaleTargetRef", "kind")) + "/" +
             std::string(object.string_at("spec", "scaleTargetRef", "name")));
  cells.text("<unknown>");
  cells.field(object, "spec.minReplicas", "<unset>");
  cells.count(object, "spec.maxReplicas");
  cells.count(object, "status.currentReplicas");
  age_cell(object, cells);
}

constexpr TableColumn budget_columns[] = {
    {"Name", "string", 0, "name"}, {"Min Available"}, {"Max Unavailable"}, {"Allowed Disruptions", "integer"}, {"Age"},
};
void budget_row(const json::Node& object, Cells& cells) {
  name_cell(object, cells);
  cells.field(object, "spec.minAvailable", "N/A");
  cells.field(object, "spec.maxUnavailable", "N/A");
  cells.count(object, "status.disruptionsAllowed");
  age_cell(object, cells);
}

constexpr Printer rows[] = {
    {"apps", "deployments", deployment_columns, deployment_row},
    {"apps", "replicasets", replica_columns, replica_set_row},
    {"", "replicationcontrollers", replica_columns, replication_controller_row},
    {"apps", "daemonsets", daemon_columns, daemon_set_row},
    {"apps", "statefulsets", stateful_columns, stateful_set_row},
    {"apps", "controllerrevisions", revision_columns, revision_row},
    {"batch", "jobs", job_columns, job_row},
    {"batch", "cronjobs", cron_columns, cron_job_row},
    {"autoscaling", "horizontalpodautoscalers", autoscaler_columns, autoscaler_row},
    {"policy", "poddisruptionbudgets", budget_columns, budget_row},
};

}  // namespace

std::span<const Printer> workloads() { return rows; }

}  // namespace estiba::apiserver::printers
