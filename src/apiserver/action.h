// What the API server is asked to do, after all of HTTP has been read off it. Handlers make Actions (request.h); the
// registry acts on them (registry.h) and never sees HTTP. In-process clients make Actions directly.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/schema.h"

namespace estiba::apiserver {

using model::schema::Resource;

enum class Verb : uint8_t { get, list, watch, create, update, patch, remove, remove_collection };
/// As RBAC names it: get, list, watch, create, update, patch, delete, deletecollection.
std::string_view to_string(Verb verb);

/// Who asks.
struct User {
  std::string name, uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;

  bool in_group(std::string_view group) const;
};

enum class Encoding : uint8_t { json, yaml, protobuf };
enum class Shape : uint8_t { object, table, partial };
/// How the answer is to look (from Accept).
struct Wanted {
  Encoding encoding = Encoding::json;
  Shape shape = Shape::object;
  bool shape_v1beta1 = false;  ///< Table and PartialObjectMetadata as meta.k8s.io/v1beta1
  bool pretty = false;
  bool operator==(const Wanted&) const = default;
};

/// What the body is (from Content-Type).
enum class BodyType : uint8_t { none, json, yaml, protobuf, json_patch, merge_patch, strategic_patch, apply_patch };

enum class FieldValidation : uint8_t { ignore, warn, strict };

struct ListOptions {
  std::string label_selector, field_selector;
  std::string resource_version, resource_version_match, continue_token;
  uint64_t limit = 0;
  bool allow_bookmarks = false;
  std::optional<bool> send_initial_events;
  std::optional<int64_t> timeout_seconds;
};

struct WriteOptions {
  bool dry_run = false;
  std::optional<bool> force;
  std::string field_manager;  ///< as the query says; manager_of() (ownership.h) knows who writes without it
  std::string user_agent;
  std::string create_denied;  ///< why the user may not create; an apply of what is not there needs that too
  FieldValidation validation = FieldValidation::warn;
};

struct DeleteOptions {
  std::optional<int64_t> grace_seconds;
  std::string propagation;  ///< "", Orphan, Background, Foreground
  std::optional<bool> orphan_dependents;
  std::string uid, resource_version;  ///< preconditions, when not empty
  bool dry_run = false;
};

struct Action {
  Verb verb = Verb::get;
  const Resource* resource = nullptr;
  std::shared_ptr<const void> tables;  ///< keeps a custom kind's row alive; null for built-in ones
  std::string ns, name, subresource;
  ListOptions list;
  WriteOptions write;
  DeleteOptions remove;
  BodyType body_type = BodyType::none;
  std::string body;
  User user;
  Wanted wanted;
  std::string include_object;  ///< Tables: "", Metadata, None, Object
};

}  // namespace estiba::apiserver
