#include "apiserver/api_errors.h"

#include "base/strings.h"
#include "model/json.h"

namespace estiba::apiserver {
namespace {

std::unexpected<Error> make(Code code, std::string message, std::string_view reason = {}) {
  auto details = std::make_shared<ErrorDetails>();
  details->reason = reason;
  return std::unexpected(Error{code, 0, std::move(message), std::move(details)});
}

std::unexpected<Error> about(Code code, const Resource& resource, std::string_view name, std::string message) {
  auto error = make(code, std::move(message));
  auto& details = *error.error().details;
  details.group = resource.group;
  details.kind = resource.plural;
  details.name = name;
  return error;
}

void member(std::string& out, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  if (out.back() != '{') out += ',';
  json::append_string(out, key);
  out += ':';
  json::append_string(out, value);
}

void append_details(std::string& out, const ErrorDetails& details) {
  out += ",\"details\":{";
  member(out, "name", details.name);
  member(out, "group", details.group);
  member(out, "kind", details.kind);
  member(out, "uid", details.uid);
  if (!details.causes.empty()) {
    out += out.back() == '{' ? "\"causes\":[" : ",\"causes\":[";
    for (size_t i = 0; i < details.causes.size(); i++) {
      const FieldCause& cause = details.causes[i];
      out += i == 0 ? "{" : ",{";
      member(out, "reason", cause.reason);
      member(out, "message", cause.message);
      member(out, "field", cause.field);
      out += '}';
    }
    out += ']';
  }
  if (details.retry_after_seconds > 0) {
    if (out.back() != '{') out += ',';
    out += "\"retryAfterSeconds\":" + std::to_string(details.retry_after_seconds);
  }
  out += '}';
}

bool has_details(const ErrorDetails& details) {
  return !details.name.empty() || !details.kind.empty() || !details.causes.empty() || details.retry_after_seconds > 0;
}

}  // namespace

namespace {

// Told by its reason, which no Status has.
constexpr std::string_view is_verbatim = "\x01verbatim";
struct Verbatim : ErrorDetails {
  int status = 0;
  std::string status_reason, json;
};

const Verbatim* verbatim_of(const Error& error) {
  return error.details && error.details->reason == is_verbatim ? static_cast<const Verbatim*>(error.details.get()) : nullptr;
}

Code code_of(int64_t status) {
  switch (status) {
    case 400: return Code::malformed;
    case 401: return Code::unauthorized;
    case 403: return Code::forbidden;
    case 404: return Code::not_found;
    case 409: return Code::conflict;
    case 410: return Code::gone;
    case 413: return Code::too_large;
    case 429: return Code::exhausted;
    case 503: return Code::unavailable;
    case 504: return Code::timeout;
    default: return status >= 500 ? Code::internal : Code::invalid;
  }
}

}  // namespace

std::unexpected<Error> verbatim_status(const json::Node& status) {
  auto details = std::make_shared<Verbatim>();
  details->reason = is_verbatim;
  const json::Node* code = status.find("code");
  details->status = static_cast<int>(code ? code->as_int().value_or(500) : 500);
  details->status_reason = status.string_at("reason");
  json::Document doc;
  json::Node& out = doc.make_object();
  doc.set_root(out);
  doc.set(out, "kind", "Status");
  doc.set(out, "apiVersion", "v1");
  json::Node& metadata = doc.set(out, "metadata", doc.make_object());
  if (std::string_view more = status.string_at("metadata", "continue"); !more.empty()) doc.set(metadata, "continue", more);
  for (std::string_view key : {"status", "message", "reason", "details", "code"})
    if (const json::Node* value = status.find(key); value && !value->is_null()) doc.set(out, key, doc.copy(*value));
  details->json = json::print(out);
  return std::unexpected(Error{code_of(details->status), 0, std::string(status.string_at("message")), std::move(details)});
}

std::string qualified(const Resource& resource) {
  std::string out(resource.plural);
  if (!resource.group.empty()) out.append(".").append(resource.group);
  return out;
}

std::unexpected<Error> not_found(const Resource& resource, std::string_view name) {
  return about(Code::not_found, resource, name, qualified(resource) + " " + quoted(name) + " not found");
}

std::unexpected<Error> no_such_resource() { return make(Code::not_found, "the server could not find the requested resource"); }

std::unexpected<Error> already_exists(const Resource& resource, std::string_view name) {
  return about(Code::already_exists, resource, name, qualified(resource) + " " + quoted(name) + " already exists");
}

std::unexpected<Error> conflict(const Resource& resource, std::string_view name, std::string_view why) {
  if (why.empty()) why = "the object has been modified; please apply your changes to the latest version and try again";
  return about(Code::conflict, resource, name,
               "Operation cannot be fulfilled on " + qualified(resource) + " " + quoted(name) + ": " + std::string(why));
}

std::unexpected<Error> invalid(const Resource& resource, std::string_view kind, std::string_view name, std::vector<FieldCause> causes) {
  std::string what(kind);
  if (!resource.group.empty()) what.append(".").append(resource.group);
  std::string message = what + " " + quoted(name) + " is invalid: ";
  if (causes.size() > 1) message += '[';
  for (size_t i = 0; i < causes.size(); i++) {
    if (i > 0) message += ", ";
    if (!causes[i].field.empty()) message.append(causes[i].field).append(": ");
    message.append(causes[i].message);
  }
  if (causes.size() > 1) message += ']';
  auto error = about(Code::invalid, resource, name, std::move(message));
  error.error().details->kind = kind;
  error.error().details->causes = std::move(causes);
  return error;
}

std::unexpected<Error> bad_request(std::string message) { return make(Code::malformed, std::move(message)); }

std::unexpected<Error> forbidden(const Resource& resource, std::string_view name, std::string_view why) {
  std::string message = qualified(resource);
  if (!name.empty()) message += " " + quoted(name);
  return about(Code::forbidden, resource, name, message + " is forbidden: " + std::string(why));
}

std::unexpected<Error> unauthorized() { return make(Code::unauthorized, "Unauthorized"); }

std::unexpected<Error> method_not_allowed() {
  return make(Code::unsupported, "the server does not allow this method on the requested resource", "MethodNotAllowed");
}

std::unexpected<Error> unsupported_media_type(std::string_view accepted) {
  return make(Code::unsupported,
              "the body of the request was in an unknown format - accepted media types include: " + std::string(accepted),
              "UnsupportedMediaType");
}

std::unexpected<Error> not_acceptable() {
  return make(Code::unsupported,
              "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
              "NotAcceptable");
}

std::unexpected<Error> expired(std::string message) { return make(Code::gone, std::move(message), "Expired"); }

std::unexpected<Error> too_old_resource_version(int64_t asked, int64_t current) {
  return expired("too old resource version: " + std::to_string(asked) + " (" + std::to_string(current) + ")");
}

std::unexpected<Error> resource_version_too_large(int64_t asked, int64_t current) {
  auto error = make(Code::timeout, "Too large resource version: " + std::to_string(asked) + ", current: " + std::to_string(current));
  auto& details = *error.error().details;
  details.causes.push_back({"ResourceVersionTooLarge", "Too large resource version", ""});
  details.retry_after_seconds = 1;
  return error;
}

std::unexpected<Error> too_many_requests(std::string message, int retry_after_seconds) {
  auto error = make(Code::exhausted, std::move(message), "TooManyRequests");
  error.error().details->retry_after_seconds = retry_after_seconds;
  return error;
}

std::string_view reason_of(const Error& error) {
  if (const Verbatim* verbatim = verbatim_of(error)) return verbatim->status_reason;
  if (error.details && !error.details->reason.empty()) return error.details->reason;
  switch (error.code) {
    case Code::invalid: return "Invalid";
    case Code::malformed: return "BadRequest";
    case Code::unauthorized: return "Unauthorized";
    case Code::forbidden: return "Forbidden";
    case Code::not_found: return "NotFound";
    case Code::already_exists: return "AlreadyExists";
    case Code::conflict: return "Conflict";
    case Code::gone: return "Expired";
    case Code::too_large: return "RequestEntityTooLarge";
    case Code::unsupported: return "MethodNotAllowed";
    case Code::exhausted: return "InsufficientStorage";
    case Code::unavailable: return "ServiceUnavailable";
    case Code::timeout:
    case Code::cancelled: return "Timeout";
    case Code::internal: break;
  }
  return "InternalError";
}

int http_status(const Error& error) {
  if (const Verbatim* verbatim = verbatim_of(error)) return verbatim->status;
  switch (error.code) {
    case Code::invalid: return 422;
    case Code::malformed: return 400;
    case Code::unauthorized: return 401;
    case Code::forbidden: return 403;
    case Code::not_found: return 404;
    case Code::already_exists:
    case Code::conflict: return 409;
    case Code::gone: return 410;
    case Code::too_large: return 413;
    case Code::unsupported: {
      std::string_view reason = reason_of(error);
      return reason == "UnsupportedMediaType" ? 415 : reason == "NotAcceptable" ? 406 : 405;
    }
    case Code::exhausted: return reason_of(error) == "TooManyRequests" ? 429 : 507;
    case Code::unavailable: return 503;
    case Code::timeout:
    case Code::cancelled: return 504;
    case Code::internal: break;
  }
  return 500;
}

std::string status_json(const Error& error) {
  if (const Verbatim* verbatim = verbatim_of(error)) return verbatim->json;
  std::string out = R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure")";
  std::string message = error.message;
  if (error.code == Code::internal && !message.starts_with("Internal error occurred: ")) message.insert(0, "Internal error occurred: ");
  member(out, "message", message);
  member(out, "reason", reason_of(error));
  if (error.details && has_details(*error.details)) append_details(out, *error.details);
  out += ",\"code\":" + std::to_string(http_status(error)) + "}";
  return out;
}

std::string success_json(const Resource& resource, std::string_view name, std::string_view uid) {
  std::string out = R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{)";
  member(out, "name", name);
  member(out, "group", resource.group);
  member(out, "kind", resource.plural);
  member(out, "uid", uid);
  return out + "}}";
}

}  // namespace estiba::apiserver
