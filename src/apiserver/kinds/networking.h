// Kinds of networking.k8s.io and discovery.k8s.io, and Endpoints.
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::networking {

void validate_ingress(Draft& draft);
void validate_ingress_status(Draft& draft);
void validate_ingress_class(Draft& draft);
void validate_network_policy(Draft& draft);
void validate_service_cidr(Draft& draft);
void validate_ip_address(Draft& draft);
void validate_endpoints(Draft& draft);
void validate_endpoint_slice(Draft& draft);

}  // namespace estiba::apiserver::networking
