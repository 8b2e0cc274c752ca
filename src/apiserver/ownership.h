// Who owns the fields of an object, through one write: model/managed_fields.h, fed with what the action says.
#pragma once
#include <string>
#include <vector>

#include "apiserver/action.h"
#include "base/executor.h"
#include "base/result.h"
#include "model/json.h"
#include "model/managed_fields.h"

namespace estiba::apiserver {

/// What such a write may not set and puts back, with all below it: the status for writes of the main resource, everything
/// but the status and metadata for those of the status.
model::FieldSet reset_fields(const Resource& resource, std::string_view subresource);

class Ownership {
 public:
  /// `old` is what is stored, with its managedFields, which are taken out of it; null when creating. Both documents and
  /// this must live until the object has been printed.
  Ownership(const Action& action, json::Document* old, WallTime now);

  /// A write other than apply has made `doc` of `old`: takes managedFields out of it and finds its new owners.
  void track(const json::Node& old, json::Document& doc);
  /// The mutation has set managedFields itself (apply): takes them out of `doc`.
  void adopt(json::Document& doc);
  /// A write of the server's own: all stays as it is.
  void leave(json::Document& doc);

  /// Server-side apply: the stored object with the configuration merged in. 409 names every conflict.
  Result<json::Document> apply(const json::Node& live, const json::Node& configuration);

  /// Whether the owners differ from those stored in nothing but times.
  bool unchanged() const { return model::same_but_times(stored_, owners_); }
  void write(json::Document& doc) const;

 private:
  model::FieldWrite how() const;
  bool read(model::ManagedFields& out, const json::Node* list);
  std::unexpected<Error> conflict_error(const std::vector<model::FieldConflict>& conflicts) const;
  Result<model::Applied> apply_or_take_over(const json::Node& live, const json::Node& configuration);

  const Action& action_;
  std::string api_version_, manager_, time_;
  model::FieldPool pool_;
  model::ManagedFields stored_, owners_;
  const json::Node* stored_list_ = nullptr;
  json::Document last_applied_;
};

/// Server-side apply of `configuration` to a stored object, with its managedFields set; to nothing when `old` is an empty
/// object.
Result<json::Document> applied(const Action& action, const json::Node& old, const json::Node& configuration, WallTime now);
/// The body of an apply as the configuration: of this group, version and kind, with nothing that the tables do not know.
/// Duplicate fields are refused or warned of, as the action says.
Result<json::Document> decode_configuration(const Action& action, const Resource& kind, std::vector<std::string>& warnings);

/// Whether a resource is one of the tables', not a custom one.
bool is_built_in(const Resource& resource);
/// Whether the write's mutation sets managedFields itself.
bool sets_owners(const Action& action);
/// The manager's name: fieldManager, or what the User-Agent says before its first slash.
std::string manager_of(const Action& action);

}  // namespace estiba::apiserver
