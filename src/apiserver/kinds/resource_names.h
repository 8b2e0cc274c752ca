// What resources may be called and how much of one there may be (pkg/apis/core/helper/helpers.go).
#pragma once
#include <string>
#include <string_view>

#include "apiserver/field_errors.h"
#include "model/json.h"

namespace estiba::apiserver {

/// "hugepages-2Mi"
bool is_hugepage(std::string_view name);
/// Without a domain, or of kubernetes.io.
bool is_native_resource(std::string_view name);
/// "example.com/gpu"
bool is_extended_resource(std::string_view name);
/// Native and no huge page: more may be asked of a node than it has.
bool allows_overcommit(std::string_view name);

/// A qualified name that is a standard one when it has no domain. False when something was wrong.
bool validate_resource_name(std::string_view name, const std::string& field, FieldErrors& errors);
/// … one that a container can ask for.
void validate_container_resource_name(std::string_view name, const std::string& field, FieldErrors& errors);
/// At least 0; whole for what is counted; a multiple of the page's size for huge pages.
void validate_resource_quantity(std::string_view name, const json::Node& quantity, const std::string& field, FieldErrors& errors);

}  // namespace estiba::apiserver
