// The kinds of objects that namespaces and the garbage collector cover.
#pragma once
#include <optional>
#include <vector>

#include "controllers/options.h"

namespace estiba::controllers {

/// The custom kinds that a CustomResourceDefinition serves, in the version that is served first. Names are kept for ever: there
/// are as many as there ever were definitions. nullopt when nothing is served.
std::optional<ResourceKind> custom_kind(const model::ObjectRef& definition);
inline constexpr client::Resource custom_resource_definitions{"apiextensions.k8s.io", "v1", "customresourcedefinitions"};

/// Every resource of the schema tables that can be listed, watched and deleted, in its group's preferred version.
std::vector<ResourceKind> stored_kinds();

}  // namespace estiba::controllers
