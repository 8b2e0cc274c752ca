// The kinds of Gateway API (gateway-api.sigs.k8s.io, standard channel) as this server offers them: GatewayClass, Gateway, HTTPRoute,
// GRPCRoute and ReferenceGrant, described in our own words. docs/network.md says what is served of them.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::apiserver {

struct GatewayKind {
  std::string_view kind, plural, singular, short_names;  ///< short names as a JSON array
  bool namespaced;
  std::string_view versions;  ///< with spaces between; the first is stored
  std::string_view columns;   ///< additionalPrinterColumns as YAML
  std::string_view schema;    ///< the properties of spec, and of status unless it has none, as YAML
};
std::span<const GatewayKind> gateway_kinds();

/// Changes with what is said of a kind; its definition has it as annotation estiba.dev/schema.
std::string schema_version(const GatewayKind& kind);
/// The CustomResourceDefinition of a kind, as JSON.
Result<std::string> definition_of(const GatewayKind& kind);

}  // namespace estiba::apiserver
