// What a list or a watch may ask for together (the API concepts' table of resourceVersionMatch).
#include "apiserver/api_errors.h"
#include "apiserver/field_errors.h"
#include "apiserver/request.h"

namespace estiba::apiserver {
namespace {

constexpr std::string_view exact = "Exact", not_older = "NotOlderThan";

void check_match_of_list(const ListOptions& list, FieldErrors& errors) {
  const std::string& match = list.resource_version_match;
  if (!match.empty()) {
    if (list.resource_version.empty())
      errors.forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (!list.continue_token.empty())
      errors.forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided");
    if (match != exact && match != not_older) errors.not_supported("resourceVersionMatch", match, {exact, not_older, ""});
    if (match == exact && list.resource_version == "0")
      errors.forbidden("resourceVersionMatch", "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
  }
  if (list.send_initial_events) errors.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list");
}

void check_match_of_watch(const ListOptions& list, FieldErrors& errors) {
  const std::string& match = list.resource_version_match;
  if (list.send_initial_events && match != not_older)
    errors.forbidden("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  if (match.empty()) return;
  if (!list.send_initial_events)
    errors.forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
  if (match != not_older) errors.not_supported("resourceVersionMatch", match, {not_older});
  if (!list.continue_token.empty()) errors.forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided");
}

}  // namespace

Result<void> check_list_options(const Action& action) {
  FieldErrors errors;
  if (action.verb == Verb::watch) check_match_of_watch(action.list, errors);
  else check_match_of_list(action.list, errors);
  if (errors.empty()) return {};
  Resource options{};
  options.group = "meta.k8s.io";
  return invalid(options, "ListOptions", "", errors.take());
}

}  // namespace estiba::apiserver
