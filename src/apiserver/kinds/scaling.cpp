// HorizontalPodAutoscalers, as autoscaling/v2 has them (pkg/apis/autoscaling/validation/validation.go).
#include <algorithm>

#include "apiserver/convert_autoscaler.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/resource_names.h"
#include "apiserver/kinds/scaling.h"
#include "apiserver/kinds/simple.h"
#include "base/strings.h"
#include "model/quantity.h"

namespace estiba::apiserver::scaling {
namespace {

using json::Document;
using json::Node;

bool is_v1(const Node& object) { return object.string_at("apiVersion") == "autoscaling/v1"; }

struct Source {
  std::string_view type, member;
};
constexpr Source sources[] = {
    {"ContainerResource", "containerResource"}, {"External", "external"}, {"Object", "object"}, {"Pods", "pods"}, {"Resource", "resource"}};

void validate_target_ref(const Node* ref, const std::string& path, FieldErrors& errors) {
  constexpr FieldRule rules[] = {
      {"kind", Check::required}, {"kind", Check::path_segment}, {"name", Check::required}, {"name", Check::path_segment}};
  if (!present(ref)) return errors.required(path + ".kind"), errors.required(path + ".name");
  check_fields(*ref, rules, path, errors);
}

void require_positive(const Node& target, std::string_view key, const std::string& path, FieldErrors& errors) {
  const Node* value = target.find(key);
  if (!present(value)) return;
  const auto quantity = model::Quantity::parse(value->as_string(value->number_text()));
  if (!quantity || quantity->is_zero() || quantity->is_negative())
    errors.invalid_string(path + "." + std::string(key), value->as_string(value->number_text()), "must be positive");
}

void validate_target(const Node& source, std::string_view member, const std::string& path, FieldErrors& errors) {
  const Node* target = source.find("target");
  const std::string here = path + ".target";
  if (!present(target)) return errors.required(here + ".type", "must specify a metric target type");
  const std::string_view type = target->string_at("type");
  if (type.empty()) errors.required(here + ".type", "must specify a metric target type");
  if (type != "Utilization" && type != "Value" && type != "AverageValue")
    errors.invalid_string(here + ".type", type, "must be either Utilization, Value, or AverageValue");
  require_positive(*target, "value", here, errors);
  require_positive(*target, "averageValue", here, errors);
  check_value(target->find("averageUtilization"), Check::positive, {}, here + ".averageUtilization", errors);
  const bool value = has(*target, "value"), average = has(*target, "averageValue"), share = has(*target, "averageUtilization");
  if (member == "object" && !value && !average) errors.required(here + ".averageValue", "must set either a target value or averageValue");
  if (member == "external" && !value && !average)
    errors.required(here + ".averageValue", "must set either a target value for metric or a per-pod target");
  if (member == "external" && value && average)
    errors.forbidden(here + ".value", "may not set both a target value for metric and a per-pod target");
  if (member == "pods" && !average) errors.required(here + ".averageValue", "must specify a positive target averageValue");
  if (!member.ends_with("esource")) return;
  if (!share && !average) errors.required(here + ".averageUtilization", "must set either a target raw value or a target utilization");
  if (share && average) errors.forbidden(here + ".averageValue", "may not set both a target raw value and a target utilization");
}

void validate_source(const Node& source, std::string_view member, const std::string& path, FieldErrors& errors) {
  if (member == "object") validate_target_ref(source.find("describedObject"), path + ".describedObject", errors);
  if (member == "resource" || member == "containerResource") {
    const std::string_view name = source.string_at("name");
    if (name.empty()) errors.required(path + ".name", "must specify a resource name");
    else if (member == "containerResource") validate_container_resource_name(name, path + ".name", errors);
  } else {
    const Node* metric = source.find("metric");
    const Node* name = present(metric) ? metric->find("name") : nullptr;
    check_value(name, Check::required, "must specify a metric name", path + ".metric.name", errors);
    check_value(name, Check::path_segment, {}, path + ".metric.name", errors);
  }
  if (member == "containerResource") {
    check_value(source.find("container"), Check::required, "must specify a container", path + ".container", errors);
    check_value(source.find("container"), Check::dns_label, {}, path + ".container", errors);
  }
  validate_target(source, member, path, errors);
}

void validate_metric(const Node& metric, const std::string& path, FieldErrors& errors) {
  const std::string_view type = metric.string_at("type");
  const auto expected = std::ranges::find_if(sources, [&](const Source& s) { return s.type == type; });
  if (type.empty()) errors.required(path + ".type", "must specify a metric source type");
  if (expected == std::end(sources))
    errors.not_supported(path + ".type", type, {"ContainerResource", "External", "Object", "Pods", "Resource"});
  for (const Source& source : sources) {
    const Node* member = metric.find(source.member);
    const std::string here = path + "." + std::string(source.member);
    if (expected != std::end(sources) && source.type == type) {
      if (present(member)) validate_source(*member, source.member, here, errors);
      else errors.required(here, "must populate information for the given metric source");
    } else if (present(member)) {
      errors.forbidden(here, "must populate the given metric source only");
    }
  }
}

void validate_scaling_rules(const Node& behavior, std::string_view direction, FieldErrors& errors) {
  const Node* rules = behavior.find(direction);
  if (!present(rules)) return;
  const std::string path = "spec.behavior." + std::string(direction);
  const auto window = int_at(*rules, "stabilizationWindowSeconds");
  if (window && *window < 0)
    errors.invalid(path + ".stabilizationWindowSeconds", rules->find("stabilizationWindowSeconds"),
                   "must be greater than or equal to zero");
  if (window && *window > 3600)
    errors.invalid(path + ".stabilizationWindowSeconds", rules->find("stabilizationWindowSeconds"), "must be less than or equal to 3600");
  check_value(rules->find("selectPolicy"), Check::one_of, "Disabled Max Min", path + ".selectPolicy", errors);
  check_value(rules->find("tolerance"), Check::quantity, {}, path + ".tolerance", errors);
  if (!has_value(*rules, "policies")) errors.required(path + ".policies", "must specify at least one Policy");
  each(*rules, "policies", path, [&](const Node& policy, const std::string& here) {
    const std::string_view type = policy.string_at("type");
    if (type != "Pods" && type != "Percent") errors.not_supported(here + ".type", type, {"Percent", "Pods"});
    for (std::string_view key : {"value", "periodSeconds"}) {
      const int64_t value = int_at(policy, key).value_or(0);
      const std::string field = here + "." + std::string(key), shown = std::to_string(value);
      if (value <= 0) errors.invalid(field, std::string_view(shown), "must be greater than zero");
      if (key == "periodSeconds" && value > 1800) errors.invalid(field, std::string_view(shown), "must be less than or equal to 1800");
    }
  });
}

}  // namespace

namespace {

constexpr int64_t cpu_percent = 80;
constexpr std::string_view cpu_metric =
                               R"([{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}}])",
                           up_policies =
                               R"([{"type":"Pods","value":4,"periodSeconds":15},{"type":"Percent","value":100,"periodSeconds":15}])",
                           down_policies = R"([{"type":"Percent","value":100,"periodSeconds":15}])";

void default_list(json::Document& doc, Node& object, std::string_view key, std::string_view text) {
  if (has(object, key)) return;
  if (auto made = json::Document::parse(text)) doc.set(object, key, doc.copy(made->root()));
}

}  // namespace

void default_autoscaler(json::Document& doc, Node& object) {
  Node& spec = ensure(doc, object, "spec");
  default_int(doc, spec, "minReplicas", 1);
  if (is_v1(object)) {
    // Its other metrics are in an annotation.
    if (!present(object.at("metadata", "annotations", "autoscaling.alpha.kubernetes.io/metrics")))
      default_int(doc, spec, "targetCPUUtilizationPercentage", cpu_percent);
    return;
  }
  if (!has_value(spec, "metrics")) {
    doc.remove(spec, "metrics");
    default_list(doc, spec, "metrics", cpu_metric);
  }
  Node* behavior = spec.find("behavior");
  if (!present(behavior)) return;
  Node &up = ensure(doc, *behavior, "scaleUp"), &down = ensure(doc, *behavior, "scaleDown");
  default_int(doc, up, "stabilizationWindowSeconds", 0);
  default_list(doc, up, "policies", up_policies);
  default_list(doc, down, "policies", down_policies);
  for (Node* rules : {&up, &down}) default_string(doc, *rules, "selectPolicy", "Max");
}

void prepare_autoscaler(Draft& draft) {
  if (!is_v1(draft.object)) return simple::reset_status(draft);
  // What v1 has in annotations is fields, and keeps their rules: it passes through v2, which drops what is no metric, rule or condition.
  autoscaler_to_v2(draft.doc, draft.object);
  draft.doc.remove(draft.object, "status");
  if (draft.old) {
    Node& old = draft.doc.copy(*draft.old);
    autoscaler_to_v2(draft.doc, old);
    set_copy(draft.doc, draft.object, "status", old.find("status"));
  }
  autoscaler_to_v1(draft.doc, draft.object);
}

static void validate_spec(const Node& spec, FieldErrors& errors) {
  const int64_t most = int_at(spec, "maxReplicas").value_or(0);
  const auto least = int_at(spec, "minReplicas");
  if (least && *least < 0) errors.invalid("spec.minReplicas", spec.find("minReplicas"), "must be greater than or equal to 0");
  if (most == 0) errors.required("spec.maxReplicas", "must be set and greater than 0");
  else if (most < 0) errors.invalid("spec.maxReplicas", spec.find("maxReplicas"), "must be greater than or equal to 1");
  if (least && most < *least)
    errors.invalid("spec.maxReplicas", std::string_view(std::to_string(most)), "must be greater than or equal to `minReplicas`");
  validate_target_ref(spec.find("scaleTargetRef"), "spec.scaleTargetRef", errors);
  bool has_values = false;  // metrics that there are without pods
  each(spec, "metrics", "spec", [&](const Node& metric, const std::string& here) {
    validate_metric(metric, here, errors);
    has_values |= metric.string_at("type") == "Object" || metric.string_at("type") == "External";
  });
  if (least && *least == 0 && !has_values)
    errors.forbidden("spec.metrics", "must specify at least one Object or External metric to support scaling to zero replicas");
  const Node* behavior = spec.find("behavior");
  if (!present(behavior)) return;
  validate_scaling_rules(*behavior, "scaleUp", errors);
  validate_scaling_rules(*behavior, "scaleDown", errors);
}

void validate_autoscaler(Draft& draft) {
  if (!is_v1(draft.object)) return validate_spec(draft.spec(), draft.errors);
  Document scratch;
  Node& whole = scratch.copy(draft.object);
  autoscaler_to_v2(scratch, whole);
  validate_spec(scratch.ensure_object(whole, "spec"), draft.errors);
}

void validate_autoscaler_status(Draft& draft) {
  constexpr FieldRule rules[] = {{"currentReplicas", Check::not_negative}, {"desiredReplicas", Check::not_negative}};
  check_fields(draft.status(), rules, "status", draft.errors);
}

}  // namespace estiba::apiserver::scaling
