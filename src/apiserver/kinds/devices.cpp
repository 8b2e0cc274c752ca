// pkg/apis/resource/validation/validation.go
#include "apiserver/kinds/devices.h"

#include <algorithm>

#include "apiserver/edit.h"
#include "apiserver/kinds/device_checks.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/pod_check.h"
#include "apiserver/kinds/resource_names.h"
#include "apiserver/kinds/rules.h"
#include "base/executor.h"
#include "base/strings.h"
#include "base/time.h"

namespace estiba::apiserver::devices {
namespace {

using json::Node;

using Names = std::set<std::string, std::less<>>;

constexpr FieldRule request_rules[] = {{"deviceClassName", Check::required},
                                       {"deviceClassName", Check::dns_subdomain},
                                       {"selectors", Check::max_items, "32"},
                                       {"selectors[].cel", Check::required},
                                       {"selectors[].cel.expression", Check::max_bytes, "10240"},
                                       {"allocationMode", Check::one_of, "All ExactCount"}};

// One request that says what it wants itself (`exactly`, a subrequest, or the whole of a request in v1beta1).
void validate_wish(const Node& request, const std::string& path, FieldErrors& errors) {
  check_fields(request, request_rules, path, errors);
  validate_selectors(request, nullptr, path, errors);
  const std::string_view mode = request.string_at("allocationMode");
  const int64_t count = int_at(request, "count").value_or(0);
  const std::string field = path + ".count";
  if (mode == "All" && count != 0) errors.invalid(field, request.find("count"), "must not be specified when allocationMode is 'All'");
  if (mode == "ExactCount" && count <= 0) errors.invalid(field, std::string_view(std::to_string(count)), "must be greater than zero");
}

void require_name(const Node& named, const std::string& path, Names& names, FieldErrors& errors) {
  const std::string_view name = named.string_at("name");
  require_dns_label(name, path + ".name", errors);
  if (!name.empty() && !names.emplace(name).second) errors.duplicate(path + ".name", name);
}

// All names that constraints and configurations may refer to: "request" and "request/subrequest".
Names validate_requests(const Node& devices, const std::string& path, bool flat, FieldErrors& errors) {
  Names names, known;
  check_value(devices.find("requests"), Check::max_items, "32", path + ".requests", errors);
  each(devices, "requests", path, [&](const Node& request, const std::string& here) {
    require_name(request, here, names, errors);
    const std::string name(request.string_at("name"));
    known.insert(name);
    const bool choice = has_value(request, "firstAvailable"),
               exact = flat ? has_value(request, "deviceClassName") : has(request, "exactly");
    if (!choice && !exact)
      errors.required(here, flat ? "exactly one of `deviceClassName` or `firstAvailable` is required"
                                 : "exactly one of `exactly` or `firstAvailable` is required");
    if (choice && exact)
      errors.invalid(here, "null", "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set");
    if (exact && !choice) {
      if (flat) validate_wish(request, here, errors);
      else validate_wish(*request.find("exactly"), here + ".exactly", errors);
    }
    Names parts;
    check_value(request.find("firstAvailable"), Check::max_items, "8", here + ".firstAvailable", errors);
    each(request, "firstAvailable", here, [&](const Node& part, const std::string& where) {
      require_name(part, where, parts, errors);
      known.insert(name + "/" + std::string(part.string_at("name")));
      validate_wish(part, where, errors);
    });
  });
  return known;
}

void validate_references(const Node& holder, const std::string& path, const Names& known, FieldErrors& errors) {
  Names seen;
  each(holder, "requests", path, [&](const Node& name, const std::string& here) {
    if (!seen.emplace(name.as_string()).second) errors.duplicate(here, name.as_string());
    if (!known.contains(name.as_string()))
      errors.invalid_string(here, name.as_string(),
                            "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'");
  });
}

void validate_config(const Node& config, const std::string& path, FieldErrors& errors) {
  const Node* opaque = config.find("opaque");
  if (!present(opaque)) return errors.required(path + ".opaque");
  constexpr FieldRule rules[] = {{"driver", Check::required}, {"driver", Check::driver_name}, {"parameters", Check::required}};
  check_fields(*opaque, rules, path + ".opaque", errors);
}

void validate_devices(const Node& spec, const std::string& path, bool flat, FieldErrors& errors) {
  const Node* devices = spec.find("devices");
  if (!present(devices)) return;
  const std::string base = path + ".devices";
  const Names known = validate_requests(*devices, base, flat, errors);
  constexpr FieldRule rules[] = {{"constraints", Check::max_items, "32"}, {"config", Check::max_items, "32"}};
  check_fields(*devices, rules, base, errors);
  each(*devices, "constraints", base, [&](const Node& constraint, const std::string& here) {
    validate_references(constraint, here, known, errors);
    for (std::string_view key : {"matchAttribute", "distinctAttribute"}) {
      const Node* name = constraint.find(key);
      if (!present(name)) continue;
      const std::string field = here + "." + std::string(key);
      if (!name->as_string().contains('/')) errors.required(field, "must include a domain");
      else require_qualified_name(name->as_string(), field, errors);
    }
    if (!has(constraint, "matchAttribute") && !has(constraint, "distinctAttribute"))
      errors.required(here, "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set");
  });
  each(*devices, "config", base, [&](const Node& config, const std::string& here) {
    validate_references(config, here, known, errors);
    validate_config(config, here, errors);
  });
}

void default_wish(json::Document& doc, Node& wish) {
  default_string(doc, wish, "allocationMode", "ExactCount");
  if (wish.string_at("allocationMode") == "ExactCount" && !has_value(wish, "count")) set_int(doc, wish, "count", 1);
}

// A request of v1beta1 says what it wants itself, unless it leaves a choice.
void default_requests(json::Document& doc, Node* spec, bool flat) {
  Node* devices = present(spec) ? spec->find("devices") : nullptr;
  Node* requests = present(devices) ? devices->find("requests") : nullptr;
  if (!present(requests)) return;
  for (Node& request : *requests) {
    Node *exact = request.find("exactly"), *choices = request.find("firstAvailable");
    if (present(choices))
      for (Node& choice : *choices) default_wish(doc, choice);
    if (flat && !has_value(request, "firstAvailable")) default_wish(doc, request);
    else if (!flat && present(exact)) default_wish(doc, *exact);
  }
}

WallTime wall_now() {
  if (Executor* executor = Executor::current()) return executor->wall_now();
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

bool is_flat(const Node& object) { return object.string_at("apiVersion") == "resource.k8s.io/v1beta1"; }
bool is_flat(const Draft& draft) { return draft.action.resource->version == "v1beta1"; }

}  // namespace

void default_claim(json::Document& doc, Node& object) { default_requests(doc, object.find("spec"), is_flat(object)); }

void default_claim_template(json::Document& doc, Node& object) {
  Node* spec = object.find("spec");
  if (present(spec)) default_requests(doc, spec->find("spec"), is_flat(object));
}

void default_taint_rule(json::Document& doc, Node& object) {
  Node* spec = object.find("spec");
  Node* taint = present(spec) ? spec->find("taint") : nullptr;
  if (present(taint)) default_string(doc, *taint, "timeAdded", format_rfc3339(wall_now()));
}

void prepare_taint_rule(Draft& draft) {
  if (draft.creating()) {
    draft.doc.remove(draft.object, "status");
    return;
  }
  draft.keep_old("status");
  Node* taint = draft.spec().find("taint");
  const Node* before = draft.old->at("spec", "taint");
  if (present(taint) && present(before) && taint->string_at("effect") != before->string_at("effect") &&
      same(taint->find("timeAdded"), before->find("timeAdded")))
    draft.doc.set(*taint, "timeAdded", format_rfc3339(wall_now()));
}

void default_slice(json::Document& doc, Node& object) {
  Node* spec = object.find("spec");
  Node* devices = present(spec) ? spec->find("devices") : nullptr;
  if (!present(devices)) return;
  const WallTime now = wall_now();
  for (Node& device : *devices) {
    Node* basic = device.find("basic");  // v1beta1
    Node& facts = present(basic) ? *basic : device;
    if (Node* taints = facts.find("taints"); present(taints))
      for (Node& taint : *taints) default_string(doc, taint, "timeAdded", format_rfc3339(now));
    if (Node* mappings = facts.find("nodeAllocatableResourceMappings"); present(mappings))
      for (Node& mapping : *mappings) default_string(doc, mapping, "allocationMultiplier", "1");
  }
}

void validate_claim(Draft& draft) {
  if (!draft.creating()) return require_unchanged(draft, "spec");
  validate_devices(draft.spec(), "spec", is_flat(draft), draft.errors);
}

void validate_claim_status(Draft& draft) {
  const Node& status = draft.status();
  FieldErrors& errors = draft.errors;
  constexpr FieldRule rules[] = {{"reservedFor", Check::max_items, "256"},
                                 {"reservedFor[].resource", Check::required},
                                 {"reservedFor[].name", Check::required},
                                 {"reservedFor[].uid", Check::required}};
  check_fields(status, rules, "status", errors);
  Names users;
  each(status, "reservedFor", "status", [&](const Node& user, const std::string& here) {
    if (!users.emplace(user.string_at("uid")).second) errors.duplicate(here + ".uid", user.string_at("uid"));
  });
  const Node *now = status.find("allocation"), *before = draft.old ? draft.old->at("status", "allocation") : nullptr;
  if (has_value(status, "reservedFor") && !present(now))
    errors.forbidden("status.reservedFor", "may not be specified when `allocated` is not set");
  if (present(before) && present(now) && !same(before, now)) errors.invalid("status.allocation", now, "field is immutable");
}

void validate_claim_template(Draft& draft) {
  if (!draft.creating()) return require_unchanged(draft, "spec");
  const Node* claim = draft.spec().find("spec");
  if (present(claim)) validate_devices(*claim, "spec.spec", is_flat(draft), draft.errors);
  if (const Node* metadata = draft.spec().find("metadata"); present(metadata)) {
    for (const Node& member : *metadata) {
      if (member.key() != "labels" && member.key() != "annotations" && !member.is_null())
        draft.errors.forbidden("spec.metadata." + std::string(member.key()), "cannot be set");
    }
    validate_labels(metadata->find("labels"), "spec.metadata.labels", draft.errors);
  }
}

void validate_class(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  constexpr FieldRule rules[] = {{"selectors", Check::max_items, "32"},
                                 {"selectors[].cel", Check::required},
                                 {"selectors[].cel.expression", Check::max_bytes, "10240"},
                                 {"config", Check::max_items, "32"}};
  check_fields(spec, rules, "spec", errors);
  validate_selectors(spec, draft.old ? draft.old->find("spec") : nullptr, "spec", errors);
  each(spec, "config", "spec", [&](const Node& config, const std::string& here) { validate_config(config, here, errors); });
  const std::string_view name = spec.string_at("extendedResourceName");
  if (!name.empty() && !is_extended_resource(name))
    errors.invalid_string("spec.extendedResourceName", name, "must be a valid extended resource name");
}

void validate_slice(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  constexpr FieldRule rules[] = {{"driver", Check::required},        {"driver", Check::driver_name},
                                 {"pool.name", Check::required},     {"pool.name", Check::max_bytes, "253"},
                                 {"nodeName", Check::dns_subdomain}, {"devices", Check::max_items, "128"}};
  check_fields(spec, rules, "spec", errors);
  const Node* pool = spec.find("pool");
  if (present(pool)) {
    const int64_t count = int_at(*pool, "resourceSliceCount").value_or(0);
    if (count <= 0) errors.invalid("spec.pool.resourceSliceCount", std::string_view(std::to_string(count)), "must be greater than zero");
    if (int_at(*pool, "generation").value_or(0) < 0)
      errors.invalid("spec.pool.generation", pool->find("generation"), "must be greater than or equal to zero");
  }
  const int places =
      has_value(spec, "nodeName") + has(spec, "nodeSelector") + has_value(spec, "allNodes") + has_value(spec, "perDeviceNodeSelection");
  constexpr std::string_view one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
  if (places == 0) errors.required("spec", one);
  if (places > 1) errors.invalid_string("spec", "", std::string(one) + ", but multiple fields are set");
  if (const Node* selector = spec.find("nodeSelector"); present(selector)) validate_node_selector(*selector, "spec.nodeSelector", errors);
  if (has(spec, "sharedCounters") && has(spec, "devices"))
    errors.invalid_string("spec", "", "only one of `sharedCounters` or `devices` is allowed");
  Names names;
  const bool per_device = bool_at(spec, "perDeviceNodeSelection");
  each(spec, "devices", "spec", [&](const Node& device, const std::string& here) {
    require_name(device, here, names, errors);
    const Node* basic = device.find("basic");  // v1beta1 has the facts a level deeper
    validate_device(present(basic) ? *basic : device, per_device, here, errors);
  });
  check_value(spec.find("sharedCounters"), Check::max_items, "8", "spec.sharedCounters", errors);
  Names sets;
  each(spec, "sharedCounters", "spec", [&](const Node& set, const std::string& here) {
    require_name(set, here, sets, errors);
    validate_counter_set(set, here, errors);
  });
  if (draft.creating()) return;
  for (std::string_view field : {"spec.pool.name", "spec.driver", "spec.nodeName"}) require_unchanged(draft, field);
}

}  // namespace estiba::apiserver::devices
