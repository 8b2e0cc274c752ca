// What is served: the built-in tables and those of the CustomResourceDefinitions that are established, as one immutable
// snapshot. Who needs to look something up takes the newest one; what it found stays valid as long as it holds it.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/custom/definition.h"
#include "model/schema.h"

namespace estiba::model {

/// A row of the tables, with what keeps it alive (nothing for built-in ones).
struct ResourceRef {
  const schema::Resource* resource = nullptr;
  CustomDefinitionPtr definition;
};

class Catalog {
 public:
  /// `definitions` in any order; those that are not established are left out.
  explicit Catalog(std::vector<CustomDefinitionPtr> definitions = {});
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  /// All groups with their versions and resources, built-in ones first.
  std::span<const schema::Group> groups() const { return groups_; }
  std::span<const CustomDefinitionPtr> definitions() const { return definitions_; }

  /// Null resource when there is none. `unserved`: also a custom kind's version that is not served (clean-up reads by it).
  ResourceRef find_resource(std::string_view group, std::string_view version, std::string_view plural, bool unserved = false) const;
  /// In the group's preferred version that has it.
  ResourceRef find_preferred(std::string_view group, std::string_view plural) const;
  ResourceRef find_kind(std::string_view group, std::string_view version, std::string_view kind) const;

 private:
  std::vector<CustomDefinitionPtr> definitions_;  // sorted by group and plural
  // What the groups' spans point to; a deque does not move its elements.
  std::deque<std::vector<schema::Resource>> resources_;
  std::deque<std::vector<schema::Version>> versions_;
  std::vector<schema::Group> groups_;
};

using CatalogPtr = std::shared_ptr<const Catalog>;

}  // namespace estiba::model
