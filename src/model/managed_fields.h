// metadata.managedFields: which manager owns which fields of an object, how a write changes that, and server-side apply on
// top of it (k8s.io/apimachinery/pkg/util/managedfields, sigs.k8s.io/structured-merge-diff/merge).
//
// Entries refer to texts of documents and of the pool: all must live on until the entries have been written.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/field_set.h"
#include "model/json.h"
#include "model/schema.h"

namespace estiba::model {

struct ManagedEntry {
  std::string_view manager, api_version, subresource;
  bool applied = false;   ///< operation Apply; else Update
  std::string_view time;  ///< RFC 3339; empty: none
  FieldSet fields = nullptr;
  const json::Node* source = nullptr;  ///< the entry as it was read, while nothing of it has changed

  /// Whether both stand for the same entry: appliers have one whatever version they applied.
  bool same_owner(const ManagedEntry& other) const;
};
using ManagedFields = std::vector<ManagedEntry>;

/// Null or missing: none. Code::malformed names what is wrong with an entry.
Result<ManagedFields> read_managed_fields(FieldPool& pool, const json::Node* list);
/// Sets metadata.managedFields, in Kubernetes' order, or removes it when there are none.
void write_managed_fields(json::Document& document, json::Node& metadata, ManagedFields entries);
/// Whether they differ in nothing but times.
bool same_but_times(const ManagedFields& a, const ManagedFields& b);
/// Whether a client asks to forget all owners: [] or [{}].
bool asks_for_reset(const json::Node* list);

/// Converts between the versions of a kind.
class VersionConverter {
 public:
  virtual ~VersionConverter() = default;
  /// Makes `object` one of `api_version`; returns its type, or null when that version is not served.
  virtual const schema::Type* convert(json::Document& document, json::Node& object, std::string_view api_version) const = 0;
};

/// Who writes, and how.
struct FieldWrite {
  const schema::Type& type;
  std::string_view api_version, subresource, manager;
  std::string_view time;       ///< now, RFC 3339
  FieldSet ignored = nullptr;  ///< what such a write resets, with all below it: nobody comes to own it so
  const VersionConverter* versions = nullptr;
};

/// A write other than apply made `now` of `before` (both without managedFields; an empty object for a creation): what it
/// changed belongs to its manager, and no longer to others. An object that nobody owned stays so.
void update_owners(FieldPool& pool, ManagedFields& owners, const json::Node& before, const json::Node& now, const FieldWrite& write);

struct FieldConflict {
  ManagedEntry owner;
  FieldSet fields;
};

struct Applied {
  json::Document object;                 ///< `live` with the configuration merged in and what it no longer has taken out
  std::vector<FieldConflict> conflicts;  ///< not empty: nothing has been applied
};

/// Server-side apply. The configuration is valid for the type (check_typed). `live` has no managedFields; it is an empty
/// object when there is none yet. Owners are changed as the apply changes them, unless there are conflicts.
Applied apply_configuration(FieldPool& pool, ManagedFields& owners, const json::Node& live, const json::Node& configuration,
                            const FieldWrite& write, bool force);

/// `"kubectl" using apps/v1`, as messages name an owner.
std::string to_string(const ManagedEntry& owner);

}  // namespace estiba::model
