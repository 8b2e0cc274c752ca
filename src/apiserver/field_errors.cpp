#include "apiserver/field_errors.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::apiserver {

void FieldErrors::add(FieldCause cause) {
  const bool once = cause.reason == "FieldValueRequired" || cause.reason == "FieldValueNotSupported";
  const auto there = std::ranges::find_if(causes_, [&](const FieldCause& c) { return c.field == cause.field && c.reason == cause.reason; });
  if (!once || there == causes_.end()) return causes_.push_back(std::move(cause));
  // The tables know that a value is missing, the kind's own rule why.
  if (cause.message.starts_with(there->message)) there->message = std::move(cause.message);
}

void FieldErrors::required(std::string field, std::string_view detail) {
  std::string message = "Required value";
  if (!detail.empty()) message.append(": ").append(detail);
  add({"FieldValueRequired", std::move(message), std::move(field)});
}

void FieldErrors::invalid(std::string field, std::string_view value, std::string_view detail) {
  std::string message = "Invalid value: ";
  message.append(value);
  if (!detail.empty()) message.append(": ").append(detail);
  add({"FieldValueInvalid", std::move(message), std::move(field)});
}

void FieldErrors::invalid(std::string field, const json::Node* value, std::string_view detail) {
  invalid(std::move(field), value ? std::string_view(json::print(*value)) : std::string_view("null"), detail);
}

void FieldErrors::invalid_string(std::string field, std::string_view value, std::string_view detail) {
  invalid(std::move(field), std::string_view(quoted(value)), detail);
}

void FieldErrors::not_supported(std::string field, std::string_view value, std::span<const std::string_view> allowed) {
  std::string message = "Unsupported value: " + quoted(value);
  for (size_t i = 0; i < allowed.size(); i++) message.append(i == 0 ? ": supported values: " : ", ").append(quoted(allowed[i]));
  add({"FieldValueNotSupported", std::move(message), std::move(field)});
}

void FieldErrors::duplicate(std::string field, std::string_view value) {
  add({"FieldValueDuplicate", "Duplicate value: " + quoted(value), std::move(field)});
}

void FieldErrors::forbidden(std::string field, std::string_view detail) {
  add({"FieldValueForbidden", "Forbidden: " + std::string(detail), std::move(field)});
}

void FieldErrors::not_found(std::string field, std::string_view value) {
  add({"FieldValueNotFound", "Not found: " + quoted(value), std::move(field)});
}

void FieldErrors::too_long(std::string field, size_t limit) {
  add({"FieldValueTooLong", "Too long: may not be more than " + std::to_string(limit) + " bytes", std::move(field)});
}

std::string at(std::string_view path, size_t index) { return std::string(path) + "[" + std::to_string(index) + "]"; }

std::string at(std::string_view path, std::string_view key) { return std::string(path) + "[" + std::string(key) + "]"; }

}  // namespace estiba::apiserver
