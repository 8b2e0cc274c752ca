#include <algorithm>
#include <cstdio>

#include "apiserver/admission/plugins.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "base/strings.h"
#include "model/quota.h"

namespace estiba::apiserver::admission {
namespace {

using model::Quantity;
using model::ResourceList;

constexpr std::string_view annotation = "kubernetes.io/limit-ranger";

bool is_resize(const Attributes& a) { return a.updating() && a.is_any("", "pods") && a.action.subresource == "resize"; }

// Pods when they are made and resized, claims whenever they change; nothing that is on its way out.
bool limits_apply(const Attributes& a) {
  if (a.removing()) return false;
  if (a.old && !a.old->string_at("metadata", "deletionTimestamp").empty()) return false;
  return is_resize(a) || (a.is("", "pods") && a.creating()) || a.is("", "persistentvolumeclaims");
}

// Calls visit(item) for each limit of each LimitRange of the namespace.
template <class F>
Result<void> each_limit(const Attributes& a, F&& visit) {
  for (const model::ObjectRef& range : TRY(a.cluster.all("", "limitranges", a.ns()))) {
    const json::Document parsed = TRY(json::Document::parse(range.object->json()));
    if (const json::Node* limits = parsed.root().at("spec", "limits"); present(limits))
      for (const json::Node& limit : *limits) visit(limit);
  }
  return {};
}

// Sets what is missing; answers the names of what it has set, sorted.
std::vector<std::string> fill(json::Document& doc, json::Node& container, std::string_view which, const ResourceList& defaults) {
  std::vector<std::string> set;
  for (const auto& [name, quantity] : defaults) {
    json::Node& list = ensure(doc, ensure(doc, container, "resources"), which);
    if (has(list, name)) continue;
    doc.set(list, name, quantity.print());
    set.push_back(name);
  }
  return set;
}

void fill_containers(Attributes& a, std::string_view list, std::string_view called, const ResourceList& requests,
                     const ResourceList& limits, std::vector<std::string>& notes) {
  json::Node* containers = a.spec().find(list);
  if (!present(containers)) return;
  for (json::Node& container : *containers) {
    const std::string name(container.string_at("name"));
    const auto set_limits = fill(*a.doc, container, "limits", limits);
    const auto set_requests = fill(*a.doc, container, "requests", requests);
    if (!set_requests.empty()) notes.push_back(join(set_requests, ", ") + " request for " + std::string(called) + " " + name);
    if (!set_limits.empty()) notes.push_back(join(set_limits, ", ") + " limit for " + std::string(called) + " " + name);
  }
}

// One limit's view of one object: complaints about its resources.
struct Check {
  std::string type;
  const ResourceList &requests, &limits;
  std::vector<std::string>& complaints;

  static const Quantity* find(const ResourceList& list, const std::string& name) {
    const auto found = list.find(name);
    return found == list.end() ? nullptr : &found->second;
  }
  void usage(std::string_view bound, const std::string& name, const Quantity& enforced, const std::string& what) {
    complaints.push_back(std::string(bound) + " " + name + " usage per " + type + " is " + enforced.print() + what);
  }

  void minimum(const std::string& name, const Quantity& enforced) {
    const Quantity *request = find(requests, name), *limit = find(limits, name);
    if (!request) usage("minimum", name, enforced, ".  No request is specified");
    else if (*request < enforced) usage("minimum", name, enforced, ", but request is " + request->print());
    else if (limit && *limit < enforced) usage("minimum", name, enforced, ", but limit is " + limit->print());
  }
  void maximum(const std::string& name, const Quantity& enforced) {
    const Quantity *request = find(requests, name), *limit = find(limits, name);
    if (!limit) usage("maximum", name, enforced, ".  No limit is specified");
    else if (*limit > enforced) usage("maximum", name, enforced, ", but limit is " + limit->print());
    else if (request && *request > enforced) usage("maximum", name, enforced, ", but request is " + request->print());
  }
  // Claims have no limits, only requests.
  void maximum_request(const std::string& name, const Quantity& enforced) {
    const Quantity* request = find(requests, name);
    if (!request) usage("maximum", name, enforced, ".  No request is specified");
    else if (*request > enforced) usage("maximum", name, enforced, ", but request is " + request->print());
  }
  void ratio(const std::string& name, const Quantity& enforced) {
    const Quantity *request = find(requests, name), *limit = find(limits, name);
    const std::string start = name + " max limit to request ratio per " + type + " is " + enforced.print() + ", but ";
    if (!request || request->is_zero()) return complaints.push_back(start + "no request is specified or request is 0");
    if (!limit || limit->is_zero()) return complaints.push_back(start + "no limit is specified or limit is 0");
    const double given = limit->to_double() / request->to_double();
    if (given <= enforced.to_double()) return;
    char text[64];
    snprintf(text, sizeof text, "%f", given);
    complaints.push_back(start + "provided ratio is " + text);
  }

  void run(const json::Node& limit) {
    for (const auto& [name, enforced] : model::read_resources(limit.find("min"))) minimum(name, enforced);
    for (const auto& [name, enforced] : model::read_resources(limit.find("max"))) maximum(name, enforced);
    for (const auto& [name, enforced] : model::read_resources(limit.find("maxLimitRequestRatio"))) ratio(name, enforced);
  }
};

void check_containers(const json::Node& limit, const json::Node& spec, std::vector<std::string>& complaints) {
  for (std::string_view list : {"containers", "initContainers"}) {
    const json::Node* containers = spec.find(list);
    if (!present(containers)) continue;
    for (const json::Node& container : *containers) {
      const ResourceList requests = model::read_resources(container.at("resources", "requests"));
      const ResourceList limits = model::read_resources(container.at("resources", "limits"));
      Check{"Container", requests, limits, complaints}.run(limit);
    }
  }
}

void check_claim(const json::Node& limit, const json::Node& spec, std::vector<std::string>& complaints) {
  const ResourceList requests = model::read_resources(spec.at("resources", "requests")), none;
  Check check{"PersistentVolumeClaim", requests, none, complaints};
  for (const auto& [name, enforced] : model::read_resources(limit.find("min"))) check.minimum(name, enforced);
  for (const auto& [name, enforced] : model::read_resources(limit.find("max"))) check.maximum_request(name, enforced);
}

}  // namespace

Result<void> apply_limit_defaults(Attributes& attributes) {
  if (!limits_apply(attributes) || !attributes.is_any("", "pods")) return {};
  std::vector<std::string> notes;
  TRY(each_limit(attributes, [&](const json::Node& limit) {
    if (limit.string_at("type") != "Container") return;
    const ResourceList requests = model::read_resources(limit.find("defaultRequest")),
                       limits = model::read_resources(limit.find("default"));
    fill_containers(attributes, "containers", "container", requests, limits, notes);
    fill_containers(attributes, "initContainers", "init container", requests, limits, notes);
  }));
  if (notes.empty()) return {};
  json::Node& metadata = attributes.doc->ensure_object(*attributes.object, "metadata");
  attributes.doc->set(ensure(*attributes.doc, metadata, "annotations"), annotation, "LimitRanger plugin set: " + join(notes, "; "));
  return {};
}

Result<void> check_limits(Attributes& attributes) {
  if (!limits_apply(attributes)) return {};
  const bool pod = attributes.is_any("", "pods");
  const json::Node& spec = attributes.spec();
  std::vector<std::string> complaints;
  TRY(each_limit(attributes, [&](const json::Node& limit) {
    const std::string_view type = limit.string_at("type");
    if (!pod && type == "PersistentVolumeClaim") check_claim(limit, spec, complaints);
    if (pod && type == "Container") check_containers(limit, spec, complaints);
    if (!pod || type != "Pod") return;
    const ResourceList requests = model::pod_resources(spec, "requests", false), limits = model::pod_resources(spec, "limits", false);
    Check{"Pod", requests, limits, complaints}.run(limit);
  }));
  if (complaints.empty()) return {};
  // Several complaints are told once each, in brackets.
  std::vector<std::string> distinct;
  for (std::string& complaint : complaints)
    if (std::find(distinct.begin(), distinct.end(), complaint) == distinct.end()) distinct.push_back(std::move(complaint));
  return attributes.forbidden(distinct.size() == 1 ? distinct[0] : "[" + join(distinct, ", ") + "]");
}

}  // namespace estiba::apiserver::admission
