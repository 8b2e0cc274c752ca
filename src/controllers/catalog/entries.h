// A broker's catalogue (the answer to GET /v2/catalog) as the classes and plans that the cluster is to have of it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "controllers/catalog/kinds.h"
#include "model/json.h"
#include "model/selector.h"

namespace estiba::controllers::catalog {

/// A class or a plan: its object's name, and its spec as JSON.
struct Entry {
  std::string name, external_name, external_id;
  std::string class_name;  ///< of a plan: its class's object
  std::string spec;
};
struct Entries {
  std::vector<Entry> classes, plans;
};

/// Which classes and plans are wanted (spec.catalogRestrictions): requirements as of label selectors, all of which must hold, about name,
/// spec.externalName, spec.externalID, and of plans spec.free and spec.(cluster)ServiceClass.name.
struct Restrictions {
  std::vector<model::Requirement> classes, plans;
  /// `restrictions` may be null. Malformed when one cannot be read.
  static Result<Restrictions> parse(const json::Node* restrictions);
};

/// Malformed when the answer is no catalogue; invalid when it breaks a rule of the specification (an identifier or name is missing or there
/// twice). Errors name the service and the plan. A class of which no plan is wanted is left out, as one that is not wanted itself.
Result<Entries> read_catalog(std::string_view answer, const Scope& scope, std::string_view broker, const Restrictions& restrictions);

/// A name for the object of what a broker calls `external_id`: the same, where objects may have such names.
std::string object_name(std::string_view external_id);

}  // namespace estiba::controllers::catalog
