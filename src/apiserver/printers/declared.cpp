// Rows by the columns that the schema texts declare (docs/schema.md), for the kinds that have no printer of their own.
#include <deque>

#include "apiserver/edit.h"
#include "apiserver/printers/printers.h"
#include "base/strings.h"

namespace estiba::apiserver::printers {
namespace {

using model::schema::Column;

std::string text_at(const json::Node& object, std::string_view path, std::string_view otherwise) {
  const json::Node* node = follow(object, path);
  return present(node) ? std::string(node->as_string(otherwise)) : std::string(otherwise);
}

std::string joined(const json::Node* list, std::string_view member, std::string_view otherwise) {
  if (!present(list) || list->empty()) return std::string(otherwise);
  std::vector<std::string> out;
  for (const json::Node& item : *list) out.emplace_back(member.empty() ? item.as_string() : item.string_at(member));
  return join(out, ",");
}

// The condition of a type, or null.
const json::Node* condition(const json::Node& object, std::string_view list, std::string_view type) {
  const json::Node* conditions = follow(object, list);
  if (!present(conditions)) return nullptr;
  for (const json::Node& one : *conditions)
    if (one.string_at("type") == type) return &one;
  return nullptr;
}

std::string param_kind(const json::Node& object) {
  const json::Node* kind = object.at("spec", "paramKind");
  if (!present(kind)) return "<unset>";
  return std::string(kind->string_at("apiVersion")) + "/" + std::string(kind->string_at("kind"));
}

std::string param_ref(const json::Node& object) {
  const json::Node* ref = object.at("spec", "paramRef");
  if (!present(ref)) return "<unset>";
  const std::string name(ref->string_at("name")), ns(ref->string_at("namespace"));
  if (!name.empty()) return (ns.empty() ? "*" : ns) + "/" + name;
  return has(*ref, "selector") ? selector_text(ref->find("selector")) : "<unset>";
}

std::string storage_versions(const json::Node& object) {
  const json::Node* list = object.at("status", "storageVersions");
  if (!present(list) || list->empty()) return "<unset>";
  std::vector<std::string> out;
  for (const json::Node& one : *list)
    out.push_back(std::string(one.string_at("apiServerID")) + "=" + std::string(one.string_at("encodingVersion")));
  return cut_list(out, 3);
}

std::string certificate_state(const json::Node& object) {
  for (std::string_view state : {"Issued", "Denied", "Failed"})
    if (condition(object, "status.conditions", state)) return std::string(state);
  return "Pending";
}

std::string group_policy(const json::Node& object) { return present(object.at("spec", "schedulingPolicy", "gang")) ? "Gang" : "Basic"; }

std::string group_status(const json::Node& object) {
  if (const json::Node* disrupted = condition(object, "status.conditions", "DisruptionTarget"))
    return std::string(disrupted->string_at("reason"));
  const json::Node* scheduled = condition(object, "status.conditions", "PodGroupScheduled");
  return !scheduled ? "Pending" : scheduled->string_at("status") == "True" ? "Scheduled" : "Unschedulable";
}

// Of a ResourcePoolStatusRequest: the condition of that type, when it is true.
const json::Node* reached(const json::Node& object, std::string_view type) {
  const json::Node* one = condition(object, "status.conditions", type);
  return one && one->string_at("status") == "True" ? one : nullptr;
}

// What `count` finds in all of its pools; "-" as long as there is no answer.
std::string over_pools(const json::Node& object, int64_t (*count)(const json::Node& pool)) {
  const json::Node* status = object.find("status");
  if (!present(status) || (!reached(object, "Complete") && reached(object, "Failed"))) return "-";
  int64_t sum = 0;
  if (const json::Node* pools = status->find("pools"); present(pools))
    for (const json::Node& pool : *pools) sum += count(pool);
  return std::to_string(sum);
}

int64_t number_in(const json::Node& object, std::string_view member) {
  const json::Node* number = object.find(member);
  return present(number) ? number->as_int().value_or(0) : 0;
}

std::string pools_status(const json::Node& object) {
  if (!reached(object, "Complete")) return reached(object, "Failed") ? "Failed" : "Pending";
  const json::Node* pools = object.at("status", "pools");
  const int64_t all = number_in(*object.find("status"), "poolCount"), shown = present(pools) ? int64_t(pools->size()) : 0;
  return all > shown ? "Complete (" + std::to_string(shown) + "/" + std::to_string(all) + " pools)" : "Complete";
}

std::string migrated_resource(const json::Node& object) {
  std::string out(object.string_at("spec", "resource", "resource"));
  const std::string_view group = object.string_at("spec", "resource", "group");
  return group.empty() ? out : out + "." + std::string(group);
}

std::string migration_status(const json::Node& object) {
  std::string out = "Unknown";
  if (const json::Node* conditions = object.at("status", "conditions"); present(conditions))
    for (const json::Node& one : *conditions)
      for (std::string_view known : {"Running", "Failed", "Succeeded"})
        if (one.string_at("type") == known && one.string_at("status") == "True") out = known;
  return out;
}

std::string component_status(const json::Node& object) {
  const json::Node* healthy = condition(object, "conditions", "Healthy");
  return !healthy ? "Unknown" : healthy->string_at("status") == "True" ? "Healthy" : "Unhealthy";
}

std::string component_text(const json::Node& object, std::string_view member) {
  const json::Node* healthy = condition(object, "conditions", "Healthy");
  return healthy ? std::string(healthy->string_at(member)) : std::string{};
}

std::string missing_level(const json::Node& object) {
  const json::Node* dangling = condition(object, "status.conditions", "Dangling");
  return dangling ? std::string(dangling->string_at("status")) : "?";
}

std::string address_parent(const json::Node& object) {
  const json::Node* parent = object.at("spec", "parentRef");
  if (!present(parent)) return "<none>";
  std::string out(parent->string_at("resource"));
  if (const std::string_view group = parent->string_at("group"); !group.empty()) out.append(".").append(group);
  out = to_lower(out);
  if (const std::string_view ns = parent->string_at("namespace"); !ns.empty()) out.append("/").append(ns);
  return out + "/" + std::string(parent->string_at("name"));
}

std::string claim_state(const json::Node& object) {
  const bool deleted = has(*object.find("metadata"), "deletionTimestamp");
  const json::Node* status = object.find("status");
  const bool allocated = present(status) && has(*status, "allocation");
  std::vector<std::string> states;
  if (deleted) states.emplace_back("deleted");
  if (!allocated && !deleted) states.emplace_back("pending");
  if (allocated) states.emplace_back("allocated");
  if (allocated && has_value(*status, "reservedFor")) states.emplace_back("reserved");
  return join(states, ",");
}

std::string token_audiences(const json::Node& object) {
  const json::Node* requests = object.at("spec", "tokenRequests");
  return present(requests) ? joined(requests, "audience", "") : "<unset>";
}

std::string api_service(const json::Node& object) {
  const json::Node* service = object.at("spec", "service");
  if (!present(service)) return "Local";
  return std::string(service->string_at("namespace")) + "/" + std::string(service->string_at("name"));
}

std::string api_available(const json::Node& object) {
  const json::Node* available = condition(object, "status.conditions", "Available");
  if (!available) return "Unknown";
  std::string out(available->string_at("status"));
  const std::string_view reason = available->string_at("reason");
  return out == "True" || reason.empty() ? out : out + " (" + std::string(reason) + ")";
}

struct Computation {
  std::string_view name;
  std::string (*text)(const json::Node& object);
};
constexpr Computation computations[] = {
    {"admissionpolicy-paramkind", param_kind},
    {"admissionpolicybinding-paramref", param_ref},
    {"storageversion-versions", storage_versions},
    {"podcertificaterequest-state", certificate_state},
    {"podgroup-policy", group_policy},
    {"podgroup-status", group_status},
    {"pools-total", [](const json::Node& o) { return over_pools(o, [](const json::Node& p) { return number_in(p, "totalDevices"); }); }},
    {"pools-available",
     [](const json::Node& o) { return over_pools(o, [](const json::Node& p) { return number_in(p, "availableDevices"); }); }},
    {"pools-allocated",
     [](const json::Node& o) { return over_pools(o, [](const json::Node& p) { return number_in(p, "allocatedDevices"); }); }},
    {"pools-unavailable",
     [](const json::Node& o) { return over_pools(o, [](const json::Node& p) { return number_in(p, "unavailableDevices"); }); }},
    {"pools-errors",
     [](const json::Node& o) { return over_pools(o, [](const json::Node& p) -> int64_t { return has(p, "validationError"); }); }},
    {"pools-status", pools_status},
    {"storagemigration-resource", migrated_resource},
    {"storagemigration-status", migration_status},
    {"componentstatus-status", component_status},
    {"componentstatus-message", [](const json::Node& object) { return component_text(object, "message"); }},
    {"componentstatus-error", [](const json::Node& object) { return component_text(object, "error"); }},
    {"flowschema-missing-pl", missing_level},
    {"ipaddress-parent", address_parent},
    {"resourceclaim-state", claim_state},
    {"csidriver-token-requests", token_audiences},
    {"apiservice-service", api_service},
    {"apiservice-available", api_available},
};

void function_cell(const json::Node& object, std::string_view function, std::string_view path, std::string_view otherwise, Cells& cells) {
  const json::Node* node = follow(object, path);
  if (function == "count") return cells.number(present(node) ? node->size() : 0);
  if (function == "bool") return cells.boolean(present(node) ? node->as_bool() : otherwise == "true");
  if (function == "age") return cells.age(text_at(object, path, ""));
  if (function == "map") return cells.text(map_text(node));
  if (function == "selector") return cells.text(selector_text(node));
  if (function == "containers") return cells.text(containers_text(node, "name"));
  if (function == "images") return cells.text(containers_text(node, "image"));
  cells.text(joined(node, "", otherwise));
}

void cell(const json::Node& object, const Column& column, Cells& cells) {
  const auto [source, other] = split_once(column.source, '|');
  const std::string_view otherwise = other.value_or(std::string_view{});
  if (source == "age") return cells.age(object.string_at("metadata", "creationTimestamp"));
  if (source == "pools-count") return cells.count(object, "status.poolCount");
  if (source == "pools-completed") {
    const json::Node* complete = reached(object, "Complete");
    return complete ? cells.age(complete->string_at("lastTransitionTime")) : cells.text("<none>");
  }
  if (source == "prioritylevel-shares") return cells.field(object, "spec.limited.nominalConcurrencyShares", "<none>");
  if (source.starts_with('.')) return cells.field(object, source.substr(1), otherwise);
  if (const auto [function, path] = split_once(source, ':'); path)
    return function_cell(object, function, path->substr(1), otherwise, cells);
  for (const Computation& computation : computations)
    if (computation.name == source) return cells.text(computation.text(object));
  cells.text("");
}

std::deque<std::vector<TableColumn>>& column_lists() {
  static std::deque<std::vector<TableColumn>> lists;
  return lists;
}

std::vector<Printer> make_printers() {
  std::vector<Printer> out;
  for (const Resource& resource : model::schema::resources()) {
    std::vector<TableColumn>& columns = column_lists().emplace_back();
    for (const Column& column : resource.columns)
      columns.push_back(
          {column.name, column.type, column.wide ? 1 : 0, column.name == "Name" ? std::string_view("name") : std::string_view{}});
    out.push_back({resource.group, resource.plural, columns, nullptr, &resource});
  }
  return out;
}

}  // namespace

const Printer* declared(const Resource& resource) {
  static const std::vector<Printer> all = make_printers();
  const auto resources = model::schema::resources();
  if (&resource < resources.data() || &resource >= resources.data() + resources.size() || resource.columns.empty()) return nullptr;
  return &all[size_t(&resource - resources.data())];
}

void declared_row(const Resource& resource, const json::Node& object, Cells& cells) {
  for (const Column& column : resource.columns) cell(object, column, cells);
}

}  // namespace estiba::apiserver::printers
