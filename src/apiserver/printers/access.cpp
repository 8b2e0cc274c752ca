#include "apiserver/edit.h"
#include "apiserver/printers/printers.h"
#include "base/strings.h"

namespace estiba::apiserver::printers {
namespace {

constexpr TableColumn account_columns[] = {{"Name", "string", 0, "name"}, {"Age"}};
void account_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

constexpr TableColumn role_columns[] = {{"Name", "string", 0, "name"}, {"Created At", "date"}};
void role_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.field(object, "metadata.creationTimestamp");
}

std::string subjects_text(const json::Node& binding, std::string_view kind) {
  std::vector<std::string> out;
  if (const json::Node* subjects = binding.find("subjects"); present(subjects)) {
    for (const json::Node& subject : *subjects) {
      if (subject.string_at("kind") != kind) continue;
      std::string name(subject.string_at("name"));
      out.push_back(kind == "ServiceAccount" ? std::string(subject.string_at("namespace")) + "/" + name : name);
    }
  }
  return join(out, ", ");
}

constexpr TableColumn binding_columns[] = {
    {"Name", "string", 0, "name"}, {"Role"}, {"Age"}, {"Users", "string", 1}, {"Groups", "string", 1}, {"ServiceAccounts", "string", 1},
};
void binding_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.text(std::string(object.string_at("roleRef", "kind")) + "/" + std::string(object.string_at("roleRef", "name")));
  cells.age(object.string_at("metadata", "creationTimestamp"));
  for (std::string_view kind : {"User", "Group", "ServiceAccount"}) cells.text(subjects_text(object, kind));
}

constexpr TableColumn request_columns[] = {{"Name", "string", 0, "name"}, {"Age"},      {"SignerName"}, {"Requestor"},
                                           {"RequestedDuration"},         {"Condition"}};
void request_row(const json::Node& object, Cells& cells) {
  std::vector<std::string> conditions;
  if (const json::Node* list = object.at("status", "conditions"); present(list)) {
    for (const json::Node& condition : *list) conditions.emplace_back(condition.string_at("type"));
  }
  if (conditions.empty()) conditions.emplace_back("Pending");
  if (has_value(object, "status") && !object.string_at("status", "certificate").empty()) conditions.emplace_back("Issued");
  cells.text(object.string_at("metadata", "name"));
  cells.age(object.string_at("metadata", "creationTimestamp"));
  cells.field(object, "spec.signerName");
  cells.field(object, "spec.username");
  int64_t seconds = count_of(object, "spec.expirationSeconds");
  cells.text(seconds > 0 ? human_duration(std::chrono::seconds(seconds)) : std::string("<none>"));
  cells.text(join(conditions, ","));
}

constexpr Printer rows[] = {
    {"", "serviceaccounts", account_columns, account_row},
    {"rbac.authorization.k8s.io", "roles", role_columns, role_row},
    {"rbac.authorization.k8s.io", "clusterroles", role_columns, role_row},
    {"", "limitranges", role_columns, role_row},
    {"rbac.authorization.k8s.io", "rolebindings", binding_columns, binding_row},
    {"rbac.authorization.k8s.io", "clusterrolebindings", binding_columns, binding_row},
    {"certificates.k8s.io", "certificatesigningrequests", request_columns, request_row},
};

}  // namespace

std::span<const Printer> access() { return rows; }

}  // namespace estiba::apiserver::printers
