#include "controllers/catalog/instance_requests.h"

#include "controllers/catalog/osb.h"

namespace estiba::controllers::catalog {

using client::JsonWriter;

std::string plan_property(const Scope& scope, std::string_view ending) {
  return (scope.cluster ? "clusterServicePlan" : "servicePlan") + std::string(ending);
}

std::string plan_at_broker(const Edited& instance, const Scope& scope) {
  const std::string field = plan_property(scope, "ExternalID");
  for (std::string_view properties : {"externalProperties", "inProgressProperties"})
    if (const std::string_view id = instance.status().string_at(properties, field); !id.empty()) return std::string(id);
  return {};
}

std::string instance_path(std::string_view external_id) { return "/v2/service_instances/" + url_escape(external_id); }

std::string deletion_query(std::string_view service_id, std::string_view plan_id, bool accepts_incomplete) {
  return "?service_id=" + url_escape(service_id) + "&plan_id=" + url_escape(plan_id) +
         (accepts_incomplete ? "&accepts_incomplete=true" : "");
}

std::string last_operation(std::string_view service_id, std::string_view plan_id, std::string_view operation) {
  return "/last_operation" + deletion_query(service_id, plan_id, false) + (operation.empty() ? "" : "&operation=" + url_escape(operation));
}

json::Document properties_of(const Edited& instance, const Offer& offer, const Parameters& parameters) {
  JsonWriter json;
  json.object();
  json.field(plan_property(*offer.scope, "ExternalName"), offer.plan_spec().string_at("externalName"));
  json.field(plan_property(*offer.scope, "ExternalID"), offer.plan_spec().string_at("externalID"));
  if (!parameters.told.empty()) json.raw("parameters", parameters.told).field("parameterChecksum", parameters.checksum);
  if (const json::Node* user = instance.spec().find("userInfo")) json.raw("userInfo", json::print(*user));
  if (const json::Node* info = offer.plan_spec().find("maintenanceInfo")) json.raw("maintenanceInfo", json::print(*info));
  return std::move(*json::Document::parse(json.end().take()));
}

// Only the version counts: the description is for people.
static void write_maintenance(JsonWriter& json, const json::Node& plan) {
  if (const std::string_view version = plan.string_at("maintenanceInfo", "version"); !version.empty())
    json.object("maintenance_info").field("version", version).end();
}

std::string provision_body(const Offer& offer, const Parameters& parameters, std::string_view cluster, std::string_view ns,
                           std::string_view context) {
  JsonWriter json;
  json.object()
      .field("service_id", offer.service_spec().string_at("externalID"))
      .field("plan_id", offer.plan_spec().string_at("externalID"));
  json.field("organization_guid", cluster).field("space_guid", ns).raw("context", context);
  if (!parameters.sent.empty()) json.raw("parameters", parameters.sent);
  write_maintenance(json, offer.plan_spec());
  return json.end().take();
}

std::string update_body(const Edited& instance, const Offer& offer, const Parameters& parameters, std::string_view context) {
  const std::string before = plan_at_broker(instance, *offer.scope);
  const std::string_view wanted = offer.plan_spec().string_at("externalID"), service = offer.service_spec().string_at("externalID");
  JsonWriter json;
  json.object().field("service_id", service).raw("context", context);
  if (before != wanted) json.field("plan_id", wanted);
  if (instance.status().string_at("externalProperties", "parameterChecksum") != parameters.checksum)
    json.raw("parameters", parameters.sent.empty() ? "{}" : parameters.sent);
  json.object("previous_values").field("service_id", service).field("plan_id", before);
  if (const std::string_view version = instance.status().string_at("externalProperties", "maintenanceInfo", "version"); !version.empty())
    json.object("maintenance_info").field("version", version).end();
  json.end();
  write_maintenance(json, offer.plan_spec());
  return json.end().take();
}

}  // namespace estiba::controllers::catalog
