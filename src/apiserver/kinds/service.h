// Services: defaults, cluster addresses and node ports, and what a change of type means for them.
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::service {

void defaults(json::Document& doc, json::Node& object);
void prepare(Draft& draft);
void validate(Draft& draft);
void validate_status(Draft& draft);
/// Of a Service's spec: a node port, a load balancer, or addresses of its own outside of the cluster.
bool externally_accessible(const json::Node& spec);
/// Takes the cluster address and the node ports, the asked ones or free ones. 422 when an asked one is taken or out of range.
/// `with` gets what reserves them, and what gives back those of before.
Result<void> allocate(Draft& draft, std::vector<store::Write>& with);
/// What a removed Service gives back.
Result<void> release(Cluster& cluster, const json::Node& old, std::vector<store::Write>& with);
extern const SelectableField fields[2];

}  // namespace estiba::apiserver::service
