// What a broker is asked about one instance: paths and bodies of the requests.
#pragma once
#include "client/json_writer.h"
#include "controllers/catalog/edited.h"
#include "controllers/catalog/offers.h"
#include "controllers/catalog/parameters.h"

namespace estiba::controllers::catalog {

/// "clusterServicePlanExternalID": a field of the status' properties, by the scope.
std::string plan_property(const Scope& scope, std::string_view ending);
/// The plan that the broker has the instance in, or may have it in, by the broker's identifier.
std::string plan_at_broker(const Edited& instance, const Scope& scope);

/// "/v2/service_instances/ID"
std::string instance_path(std::string_view external_id);
/// "?service_id=…&plan_id=…&accepts_incomplete=true"
std::string deletion_query(std::string_view service_id, std::string_view plan_id, bool accepts_incomplete);
/// "/last_operation?…"
std::string last_operation(std::string_view service_id, std::string_view plan_id, std::string_view operation);

/// status.inProgressProperties
json::Document properties_of(const Edited& instance, const Offer& offer, const Parameters& parameters);
/// The body of an update: what differs from status.externalProperties.
std::string update_body(const Edited& instance, const Offer& offer, const Parameters& parameters, std::string_view context);
/// The body of a provision; `cluster` and `ns` are identifiers.
std::string provision_body(const Offer& offer, const Parameters& parameters, std::string_view cluster, std::string_view ns,
                           std::string_view context);

}  // namespace estiba::controllers::catalog
