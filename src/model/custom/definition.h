// A CustomResourceDefinition as tables: what the .api texts are to the built-in kinds, made at run time from the
// definition's JSON. It is immutable and shared: who uses one of its tables holds the definition, and a changed
// definition makes new tables beside the old ones.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/custom/structural.h"
#include "model/json.h"
#include "model/json_path.h"
#include "model/schema.h"

namespace estiba::model {

class CustomDefinition;
struct CustomVersion;

/// The tables of custom kinds carry more than the built-in ones, told by their package, which is none of the program's.
struct CustomPackage : schema::Package {
  const CustomVersion* owner = nullptr;
};
struct CustomType : schema::Type {
  const Structural* structural = nullptr;  ///< all that the schema says; null for lists
  bool open = false;                       ///< may have fields that `fields` does not list
};

/// The version that a row of the tables belongs to; null for built-in kinds.
const CustomVersion* custom_of(const schema::Resource& resource);
/// The schema of a custom kind's type; null for built-in ones.
const Structural* structural_of(const schema::Type& type);
/// Whether objects of the type may have fields beyond those of its table.
bool is_open(const schema::Type& type);
/// "PodList"; custom kinds may call their list otherwise.
std::string list_kind_of(const schema::Resource& resource);

/// What an upper layer compiles from a version once (patterns, expressions) and keeps beside it.
struct CustomChecks {
  virtual ~CustomChecks() = default;
};

/// A column of additionalPrinterColumns.
struct CustomColumn {
  std::string_view name, type, format;
  std::string description;
  int priority = 0;
  JsonPath path;
};

/// A field that selectors may name.
struct CustomSelectable {
  std::string label;  ///< the path without its first dot
  JsonPath path;
};

struct CustomScale {
  std::string spec_replicas, status_replicas, selector;  ///< "spec.replicas"; selector may be empty
};

/// One version of a definition; custom_of() leads here from its row.
struct CustomVersion {
  const CustomDefinition* definition = nullptr;
  std::string_view name;
  bool served = false, storage = false, status = false;
  std::string deprecation;  ///< the warning that every request gets; empty: not deprecated
  Structural schema;
  std::vector<CustomColumn> columns;  ///< beside the name
  std::vector<CustomSelectable> selectable;
  std::optional<CustomScale> scale;
  schema::Resource resource;
  const schema::Type* list_type = nullptr;
  std::shared_ptr<const CustomChecks> checks;
  std::span<const schema::Type* const> published;  ///< the kind and its list, for OpenAPI

 private:
  friend class CustomDefinition;
  friend class TableBuilder;
  CustomPackage package_;
  std::string package_path_;
  std::deque<CustomType> types_;
  std::deque<std::vector<schema::Field>> fields_;
  std::deque<schema::FieldMore> more_;
  std::deque<std::string> texts_;
  std::deque<std::vector<std::string_view>> keys_;
  std::vector<schema::Subresource> subresources_;
  std::vector<const schema::Type*> published_;
};

class CustomDefinition {
 public:
  /// From a definition that has been validated. Malformed when it cannot be served at all (no storage version).
  /// `prepare` may add to each version before anybody sees it.
  static Result<std::shared_ptr<const CustomDefinition>> make(std::string_view text, void (*prepare)(CustomVersion&) = nullptr);
  CustomDefinition(const CustomDefinition&) = delete;
  CustomDefinition& operator=(const CustomDefinition&) = delete;

  /// Different for every definition ever made in this process, so that facts derived from one can tell it.
  uint64_t id() const { return id_; }
  /// Of everything that the tables follow from: equal for definitions that differ in nothing that is served.
  uint64_t fingerprint() const { return fingerprint_; }
  std::string_view name() const { return root().string_at("metadata", "name"); }
  std::string_view group() const { return root().string_at("spec", "group"); }
  std::string_view kind() const { return kind_; }
  std::string_view list_kind() const { return list_kind_; }
  std::string_view plural() const { return plural_; }
  bool established() const { return established_; }
  bool terminating() const { return terminating_; }
  bool converts_by_webhook() const { return webhook_ != nullptr; }
  /// spec.conversion.webhook; null when conversion changes the apiVersion only.
  const json::Node* webhook() const { return webhook_; }
  const json::Node& root() const { return document_.root(); }

  const std::deque<CustomVersion>& versions() const { return versions_; }
  const CustomVersion* version(std::string_view name) const;
  const CustomVersion& storage() const { return *storage_; }

 private:
  CustomDefinition() = default;
  Result<void> read();
  Result<void> read_version(const json::Node& node);
  void read_names();

  json::Document document_;
  uint64_t id_ = 0, fingerprint_ = 0;
  std::string_view plural_, singular_, kind_, list_kind_;
  std::vector<std::string_view> short_names_, categories_;
  bool established_ = false, terminating_ = false, namespaced_ = false;
  const json::Node* webhook_ = nullptr;
  std::deque<CustomVersion> versions_;
  const CustomVersion* storage_ = nullptr;
};

using CustomDefinitionPtr = std::shared_ptr<const CustomDefinition>;

/// The order of versions in discovery: v10, v2, v1, v11beta2, v10beta3, v3beta1, v12alpha1, foo1. Whether a is before b.
bool version_before(std::string_view a, std::string_view b);
/// Whether an object's status has a condition with status True.
bool has_condition(const json::Node& object, std::string_view type);

}  // namespace estiba::model
