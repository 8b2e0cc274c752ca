// Validation that everything which calls webhooks, or says when admission calls something, shares.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/admission/expressions.h"
#include "apiserver/field_errors.h"
#include "model/json.h"

namespace estiba::apiserver {

/// "https://host[/path]", nothing more.
void check_webhook_url(std::string_view url, const std::string& field, FieldErrors& errors);
/// A reference to a Service: name, namespace, port, path.
void check_webhook_service(const json::Node& service, const std::string& path, FieldErrors& errors);
/// Exactly one of url and service.
void check_webhook_client(const json::Node* config, const std::string& path, FieldErrors& errors);
/// The versions of the reviews that it understands, of which this server must know one; `missing` is said when there are none.
void check_review_versions(const json::Node* versions, const std::string& path, std::string_view missing, FieldErrors& errors);

/// operations, apiGroups, apiVersions, resources, scope.
void check_admission_rule(const json::Node& rule, const std::string& path, FieldErrors& errors);
/// At most 64, named, each a boolean expression.
void check_match_conditions(const json::Node* conditions, const admission::Names& names, const std::string& path, FieldErrors& errors);
/// What does not compile; `shown` is the expression as it was written.
void check_expression(const admission::Expression& expression, std::string_view shown, std::string field, FieldErrors& errors);

}  // namespace estiba::apiserver
