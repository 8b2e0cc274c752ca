#include "apiserver/admission/plugins.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "base/strings.h"

namespace estiba::apiserver::admission {
namespace {

struct Priority {
  std::string class_name;
  int64_t value = 0;
  std::string preemption = "PreemptLowerPriority";
};

Result<Priority> read_class(const model::ObjectRef& object) {
  const json::Document parsed = TRY(json::Document::parse(object.object->json()));
  Priority out{object.meta().name, 0, std::string(parsed.root().string_at("preemptionPolicy"))};
  const json::Node* value = parsed.root().find("value");
  if (value) out.value = value->as_int().value_or(0);
  if (out.preemption.empty()) out.preemption = "PreemptLowerPriority";
  return out;
}

// The class that pods without one get: of several, which only a race can make, the lowest.
Result<std::optional<Priority>> global_default(const Cluster& cluster) {
  std::optional<Priority> lowest;
  for (const model::ObjectRef& object : TRY(cluster.all("scheduling.k8s.io", "priorityclasses"))) {
    const json::Document parsed = TRY(json::Document::parse(object.object->json()));
    const json::Node* flag = parsed.root().find("globalDefault");
    if (!present(flag) || !flag->as_bool()) continue;
    Priority found = TRY(read_class(object));
    if (!lowest || found.value < lowest->value) lowest = std::move(found);
  }
  return lowest;
}

// The two classes that every cluster has, whether they are stored or not.
std::optional<Priority> system_class(std::string_view name) {
  if (name == "system-node-critical") return Priority{std::string(name), 2000001000};
  if (name == "system-cluster-critical") return Priority{std::string(name), 2000000000};
  return std::nullopt;
}

Result<Priority> priority_of(const Attributes& attributes, const std::string& name) {
  if (name.empty()) return TRY(global_default(attributes.cluster)).value_or(Priority{});
  if (auto known = system_class(name)) return *std::move(known);
  auto found = attributes.cluster.find("scheduling.k8s.io", "priorityclasses", "", name);
  if (found) return read_class(*found);
  if (found.error().code == Code::not_found) return attributes.forbidden("no PriorityClass with name " + name + " was found");
  return std::unexpected(std::move(found.error()));
}

Result<void> keep_priority(Attributes& attributes) {
  json::Node& spec = attributes.spec();
  const json::Node* old = attributes.old->find("spec");
  for (std::string_view field : {"priority", "preemptionPolicy"})
    if (old && !has(spec, field)) set_copy(*attributes.doc, spec, field, old->find(field));
  return {};
}

}  // namespace

Result<void> assign_priority(Attributes& attributes) {
  if (!attributes.is("", "pods") || attributes.removing()) return {};
  if (attributes.updating()) return keep_priority(attributes);
  json::Document& doc = *attributes.doc;
  json::Node& spec = attributes.spec();
  const Priority priority = TRY(priority_of(attributes, std::string(spec.string_at("priorityClassName"))));
  if (!priority.class_name.empty()) doc.set(spec, "priorityClassName", priority.class_name);
  const json::Node* given = spec.find("priority");
  if (present(given) && given->as_int() != priority.value)
    return attributes.forbidden("the integer value of priority (" + std::string(given->number_text()) +
                                ") must not be provided in pod spec; priority admission controller computed " +
                                std::to_string(priority.value) + " from the given PriorityClass name");
  set_int(doc, spec, "priority", priority.value);
  const std::string_view policy = spec.string_at("preemptionPolicy");
  if (!policy.empty() && policy != priority.preemption)
    return attributes.forbidden("the string value of PreemptionPolicy (" + std::string(policy) +
                                ") must not be provided in pod spec; priority admission controller computed " + priority.preemption +
                                " from the given PriorityClass name");
  doc.set(spec, "preemptionPolicy", priority.preemption);
  return {};
}

Result<void> check_priority_class(Attributes& attributes) {
  if (!attributes.is("scheduling.k8s.io", "priorityclasses") || attributes.removing()) return {};
  const json::Node* flag = attributes.object->find("globalDefault");
  if (!present(flag) || !flag->as_bool()) return {};
  const auto other = TRY(global_default(attributes.cluster));
  if (!other || (attributes.updating() && other->class_name == attributes.name())) return {};
  return attributes.forbidden("PriorityClass " + other->class_name + " is already marked as default. Only one default can exist");
}

}  // namespace estiba::apiserver::admission
