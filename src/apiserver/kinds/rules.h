// Validation rules that several kinds share.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include "apiserver/field_errors.h"
#include "apiserver/strategy.h"
#include "model/json.h"

namespace estiba::apiserver {

/// A present number must be ≥ 0.
void require_not_negative(const json::Node& object, std::string_view key, std::string field, FieldErrors& errors);
/// A present, non-empty string must be one of `allowed`.
void require_one_of(const json::Node* value, std::string field, std::initializer_list<std::string_view> allowed, FieldErrors& errors);
/// The field at this path must equal the stored one: "field is immutable".
void require_unchanged(Draft& draft, std::string_view path);
/// A number in 1–65535.
void require_port_number(const json::Node* value, std::string field, FieldErrors& errors);
/// A string that is a lower-case RFC 1123 label; empty is a missing value.
void require_dns_label(std::string_view value, std::string field, FieldErrors& errors);
/// Anything that can be one segment of a path (names of roles).
void require_path_segment(std::string_view value, std::string field, FieldErrors& errors);
void require_port_name(std::string_view value, std::string field, FieldErrors& errors);
void require_dns_subdomain(std::string_view value, std::string field, FieldErrors& errors);
/// "example.com/name" or "name".
void require_qualified_name(std::string_view value, std::string field, FieldErrors& errors);
/// Every key and value a valid label.
void validate_labels(const json::Node* labels, const std::string& path, FieldErrors& errors);
/// A LabelSelector's matchLabels and matchExpressions.
void validate_label_selector(const json::Node& selector, const std::string& path, FieldErrors& errors);

}  // namespace estiba::apiserver
