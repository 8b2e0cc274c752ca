#include "apiserver/edit.h"
#include "apiserver/printers/printers.h"
#include "base/strings.h"

namespace estiba::apiserver::printers {
namespace {

// Nodes

constexpr TableColumn node_columns[] = {
    {"Name", "string", 0, "name"},
    {"Status"},
    {"Roles"},
    {"Age"},
    {"Version"},
    {"Internal-IP", "string", 1},
    {"External-IP", "string", 1},
    {"OS-Image", "string", 1},
    {"Kernel-Version", "string", 1},
    {"Container-Runtime", "string", 1},
};

std::string node_status(const json::Node& node) {
  std::string out = "Unknown";
  if (const json::Node* conditions = node.at("status", "conditions")) {
    for (const json::Node& condition : *conditions) {
      if (condition.string_at("type") == "Ready") out = condition.string_at("status") == "True" ? "Ready" : "NotReady";
    }
  }
  const json::Node* unschedulable = node.at("spec", "unschedulable");
  return unschedulable && unschedulable->as_bool() ? out + ",SchedulingDisabled" : out;
}

std::string node_roles(const json::Node& node) {
  constexpr std::string_view prefix = "node-role.kubernetes.io/";
  std::vector<std::string> roles;
  if (const json::Node* labels = node.at("metadata", "labels")) {
    for (const json::Node& label : *labels) {
      if (label.key().starts_with(prefix) && label.key().size() > prefix.size()) roles.emplace_back(label.key().substr(prefix.size()));
      else if (label.key() == "kubernetes.io/role" && !label.as_string().empty()) roles.emplace_back(label.as_string());
    }
  }
  std::sort(roles.begin(), roles.end());
  return roles.empty() ? "<none>" : join(roles, ",");
}

std::string node_address(const json::Node& node, std::string_view type) {
  if (const json::Node* addresses = node.at("status", "addresses")) {
    for (const json::Node& address : *addresses) {
      if (address.string_at("type") == type) return std::string(address.string_at("address"));
    }
  }
  return "<none>";
}

void node_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.text(node_status(object));
  cells.text(node_roles(object));
  cells.age(object.string_at("metadata", "creationTimestamp"));
  cells.field(object, "status.nodeInfo.kubeletVersion");
  cells.text(node_address(object, "InternalIP"));
  cells.text(node_address(object, "ExternalIP"));
  cells.field(object, "status.nodeInfo.osImage", "<unknown>");
  cells.field(object, "status.nodeInfo.kernelVersion", "<unknown>");
  cells.field(object, "status.nodeInfo.containerRuntimeVersion", "<unknown>");
}

// Namespaces, ConfigMaps, Secrets

constexpr TableColumn namespace_columns[] = {{"Name", "string", 0, "name"}, {"Status"}, {"Age"}};
void namespace_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.field(object, "status.phase");
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

uint32_t entries(const json::Node& object, std::string_view member) {
  const json::Node* map = object.find(member);
  return present(map) ? map->size() : 0;
}

constexpr TableColumn config_map_columns[] = {{"Name", "string", 0, "name"}, {"Data"}, {"Age"}};
void config_map_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.number(entries(object, "data") + entries(object, "binaryData"));
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

constexpr TableColumn secret_columns[] = {{"Name", "string", 0, "name"}, {"Type"}, {"Data"}, {"Age"}};
void secret_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.field(object, "type");
  cells.number(entries(object, "data"));
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

// Events

constexpr TableColumn event_columns[] = {
    {"Last Seen"},
    {"Type"},
    {"Reason"},
    {"Object"},
    {"Subobject", "string", 1},
    {"Source", "string", 1},
    {"Message"},
    {"First Seen", "string", 1},
    {"Count", "string", 1},
    {"Name", "string", 1, "name"},
};

std::string_view first_of(std::initializer_list<std::string_view> values) {
  for (std::string_view value : values) {
    if (!value.empty()) return value;
  }
  return {};
}

void event_row(const json::Node& object, Cells& cells) {
  bool core = object.find("involvedObject") != nullptr;
  const json::Node* about = object.find(core ? "involvedObject" : "regarding");
  std::string_view last = first_of({object.string_at("series", "lastObservedTime"), object.string_at("lastTimestamp"),
                                    object.string_at("deprecatedLastTimestamp"), object.string_at("eventTime")});
  std::string_view first =
      first_of({object.string_at("firstTimestamp"), object.string_at("deprecatedFirstTimestamp"), object.string_at("eventTime")});
  cells.age(last);
  cells.field(object, "type");
  cells.field(object, "reason");
  cells.text(about ? to_lower(about->string_at("kind")) + "/" + std::string(about->string_at("name")) : std::string{});
  cells.text(about ? about->string_at("fieldPath") : std::string_view{});
  const json::Node* source = object.find(core ? "source" : "deprecatedSource");
  std::string from(first_of({source ? source->string_at("component") : std::string_view{}, object.string_at("reportingComponent"),
                             object.string_at("reportingController")}));
  std::string_view host = first_of({source ? source->string_at("host") : std::string_view{}, object.string_at("reportingInstance")});
  if (!host.empty()) from += ", " + std::string(host);
  cells.text(from);
  cells.text(trim(object.string_at(core ? "message" : "note")));
  cells.age(first);
  int64_t count = std::max({int64_t{1}, count_of(object, "count"), count_of(object, "deprecatedCount"), count_of(object, "series.count")});
  cells.text(std::to_string(count));
  cells.text(object.string_at("metadata", "name"));
}

// Quotas, leases, classes

constexpr TableColumn quota_columns[] = {{"Name", "string", 0, "name"}, {"Request"}, {"Limit"}, {"Age"}};
void quota_row(const json::Node& object, Cells& cells) {
  std::vector<std::string> requests, limits;
  if (const json::Node* hard = object.at("status", "hard"); present(hard)) {
    for (const json::Node& item : *hard) {
      std::string used(object.string_at("status", "used", item.key()));
      std::string text = std::string(item.key()) + ": " + (used.empty() ? "0" : used) + "/" + std::string(item.as_string());
      (item.key().starts_with("limits") ? limits : requests).push_back(text);
    }
  }
  std::sort(requests.begin(), requests.end());
  std::sort(limits.begin(), limits.end());
  cells.text(object.string_at("metadata", "name"));
  cells.text(join(requests, ", "));
  cells.text(join(limits, ", "));
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

constexpr TableColumn lease_columns[] = {{"Name", "string", 0, "name"}, {"Holder"}, {"Age"}};
void lease_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.field(object, "spec.holderIdentity");
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

constexpr TableColumn priority_columns[] = {
    {"Name", "string", 0, "name"}, {"Value", "integer"}, {"Global-Default", "boolean"}, {"Age"}, {"PreemptionPolicy"}};
void priority_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.count(object, "value");
  cells.field(object, "globalDefault", "false");
  cells.age(object.string_at("metadata", "creationTimestamp"));
  cells.field(object, "preemptionPolicy");
}

constexpr TableColumn runtime_columns[] = {{"Name", "string", 0, "name"}, {"Handler"}, {"Age"}};
void runtime_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.field(object, "handler");
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

constexpr Printer rows[] = {
    {"", "nodes", node_columns, node_row},
    {"", "namespaces", namespace_columns, namespace_row},
    {"", "configmaps", config_map_columns, config_map_row},
    {"", "secrets", secret_columns, secret_row},
    {"", "events", event_columns, event_row},
    {"events.k8s.io", "events", event_columns, event_row},
    {"", "resourcequotas", quota_columns, quota_row},
    {"coordination.k8s.io", "leases", lease_columns, lease_row},
    {"scheduling.k8s.io", "priorityclasses", priority_columns, priority_row},
    {"node.k8s.io", "runtimeclasses", runtime_columns, runtime_row},
};

}  // namespace

std::span<const Printer> cluster() { return rows; }

}  // namespace estiba::apiserver::printers
