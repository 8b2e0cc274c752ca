#include "apiserver/action.h"

#include <algorithm>

namespace estiba::apiserver {

std::string_view to_string(Verb verb) {
  switch (verb) {
    case Verb::get: return "get";
    case Verb::list: return "list";
    case Verb::watch: return "watch";
    case Verb::create: return "create";
    case Verb::update: return "update";
    case Verb::patch: return "patch";
    case Verb::remove: return "delete";
    case Verb::remove_collection: return "deletecollection";
  }
  return "";
}

bool User::in_group(std::string_view group) const { return std::find(groups.begin(), groups.end(), group) != groups.end(); }

}  // namespace estiba::apiserver
