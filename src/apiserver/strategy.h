// What the schema tables cannot say about a kind: defaults that depend on other fields, what a creation or an update
// must set or keep, and cross-field validation. One row of the table in kinds/table.cpp a kind, one file a family.
// A kind without a row gets the default strategy.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/action.h"
#include "apiserver/field_errors.h"
#include "model/json.h"

namespace estiba::store {
struct Write;
}

namespace estiba::apiserver {

class Cluster;

/// One write on its way into the store.
struct Draft {
  json::Document& doc;
  json::Node& object;     ///< the new object; metadata is an object
  const json::Node* old;  ///< what is stored; null when creating
  const Action& action;
  Cluster& cluster;  ///< look-ups, allocators, the clock
  FieldErrors& errors;
  std::vector<std::string>& warnings;

  bool creating() const { return old == nullptr; }
  std::string_view name() const { return object.string_at("metadata", "name"); }
  std::string_view ns() const { return object.string_at("metadata", "namespace"); }
  /// The members spec and status of the new object, made when missing.
  json::Node& spec() { return doc.ensure_object(object, "spec"); }
  json::Node& status() { return doc.ensure_object(object, "status"); }
  json::Node& metadata() { return doc.ensure_object(object, "metadata"); }
  /// Keeps the stored value of a top-level member.
  void keep_old(std::string_view member);
};

/// A field that field selectors may name, beside metadata.name and metadata.namespace.
struct SelectableField {
  std::string_view label;      ///< as selectors spell it
  std::string_view path;       ///< where it is; empty: the same as label
  std::string_view otherwise;  ///< the value when absent
};

struct Strategy {
  std::string_view group, resource;

  /// Fills in defaults; also run on objects in updates and patches.
  void (*defaults)(json::Document&, json::Node&) = nullptr;
  /// Sets and resets before a creation or an update of the main resource (never of /status).
  void (*prepare)(Draft&) = nullptr;
  void (*validate)(Draft&) = nullptr;
  /// Of a write of the status, in place of `validate`.
  void (*validate_status)(Draft&) = nullptr;
  /// Chooses what must be unique (addresses, ports) after validation. The writes it adds reserve that, together with the object's
  /// own write; when somebody else was quicker, it is called again with the spec as it was.
  Result<void> (*allocate)(Draft&, std::vector<store::Write>& with) = nullptr;
  /// What is given back together with the removal of an object.
  Result<void> (*release)(Cluster&, const json::Node& old, std::vector<store::Write>& with) = nullptr;

  /// At the first deletion of an object, before it is decided whether it can go at once.
  void (*ending)(Cluster&, json::Document&, json::Node&) = nullptr;

  std::span<const SelectableField> fields = {};
  bool generation = false;        ///< metadata.generation counts changes of the spec
  bool create_on_update = false;  ///< PUT of a missing object creates it
  bool keeps_status_on_create = false;
};

/// Never null: the default strategy for kinds without a row.
const Strategy& strategy_of(const Resource& resource);

/// The value a field selector compares, for an object of this strategy.
std::string selectable_value(const SelectableField& field, const json::Node& object);

}  // namespace estiba::apiserver
