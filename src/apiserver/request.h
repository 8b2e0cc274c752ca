// From an HTTP request to an Action: the URL's parts, the query's options, what the headers ask for. Path tricks (encoded
// slashes, dot segments, empty names) are refused here, before anything is looked up or authorized.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "apiserver/action.h"
#include "base/result.h"
#include "io/http_server.h"

namespace estiba::apiserver {

/// What a URL means: a resource of the API, or another path (/healthz, /api, /openapi/v3, …).
struct Target {
  bool resource = false;
  Action action;                       ///< when `resource`; without body and user
  std::string path;                    ///< else
  std::string tail;                    ///< what follows pods/x/proxy and the like, as sent
  std::string group, version, plural;  ///< as the URL spells them, for authorization of what is not served
};

class Cluster;

/// `cluster` knows the custom kinds; null: the built-in ones alone. Errors: 404 for an unknown resource, 400 for bad options, 405 for a
/// method that the resource lacks, 406.
Result<Target> parse_request(const io::Request& request, const Cluster* cluster = nullptr);

/// Content-Type to BodyType; nullopt when it is none of ours. Empty is JSON.
std::optional<BodyType> body_type_of(std::string_view content_type);
/// The best of an Accept header that we can make, as a Table only where there are `tables`; nullopt gives 406.
std::optional<Wanted> negotiate(std::string_view accept, bool tables);

/// What cannot be asked of a list or a watch: 422 as Kubernetes words it (ListOptions), 400 for a name that is asked twice.
Result<void> check_list_options(const Action& action);

/// fieldManager and force, once the kind of body is known: 422 for what does not go with it.
Result<void> check_write_options(const Action& action);

/// DeleteOptions from the body (already set in `action.body`) over those of the query.
Result<void> read_delete_options(Action& action);

}  // namespace estiba::apiserver
