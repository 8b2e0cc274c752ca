// The API's failures, worded as Kubernetes words them. Each is an Error whose details respond.h turns into a Status.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"
#include "model/schema.h"

namespace estiba::apiserver {

using model::schema::Resource;

/// `deployments.apps "web" not found`
std::unexpected<Error> not_found(const Resource& resource, std::string_view name);
/// The URL names nothing that is served.
std::unexpected<Error> no_such_resource();
std::unexpected<Error> already_exists(const Resource& resource, std::string_view name);
/// `Operation cannot be fulfilled on …`: a failed precondition; `why` is empty for a stale resourceVersion.
std::unexpected<Error> conflict(const Resource& resource, std::string_view name, std::string_view why = {});
/// `Deployment.apps "web" is invalid: spec.replicas: …`; `causes` is not empty.
std::unexpected<Error> invalid(const Resource& resource, std::string_view kind, std::string_view name, std::vector<FieldCause> causes);
std::unexpected<Error> bad_request(std::string message);
/// `pods "x" is forbidden: why`
std::unexpected<Error> forbidden(const Resource& resource, std::string_view name, std::string_view why);
std::unexpected<Error> unauthorized();
std::unexpected<Error> method_not_allowed();
std::unexpected<Error> unsupported_media_type(std::string_view accepted);
std::unexpected<Error> not_acceptable();
/// 410 Expired.
std::unexpected<Error> expired(std::string message);
std::unexpected<Error> too_old_resource_version(int64_t asked, int64_t current);
/// 504 with the cause ResourceVersionTooLarge, as clients that retry expect it.
std::unexpected<Error> resource_version_too_large(int64_t asked, int64_t current);
/// 429 with Retry-After.
std::unexpected<Error> too_many_requests(std::string message, int retry_after_seconds);

/// A Status that somebody else has made (a webhook, a policy), answered as it is: code, reason, message, details.
std::unexpected<Error> verbatim_status(const json::Node& status);

/// The HTTP status an error stands for.
int http_status(const Error& error);
/// The Status' reason ("NotFound").
std::string_view reason_of(const Error& error);
/// The Status object's JSON.
std::string status_json(const Error& error);
/// What a deletion that removed the object at once answers: a Status of Success naming it.
std::string success_json(const Resource& resource, std::string_view name, std::string_view uid);

/// `deployments.apps`, or `pods` in the core group.
std::string qualified(const Resource& resource);

}  // namespace estiba::apiserver
