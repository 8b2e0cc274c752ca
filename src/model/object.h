// An API object as it is kept: its JSON, once, immutable, beside the few facts that are looked at without parsing.
// The JSON is stored without metadata.resourceVersion; `rv_at` is where it is spliced in as the object is sent, so the
// committed revision never means printing again. Controllers read the typed struct, decoded at most once and shared.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/shared_text.h"
#include "model/codec.h"
#include "model/json.h"

namespace estiba::model {

using Labels = std::vector<std::pair<std::string, std::string>>;  // sorted by key

/// What kubectl apply remembers; nothing in a cluster reads it.
inline constexpr std::string_view last_applied_annotation = "kubectl.kubernetes.io/last-applied-configuration";

struct Owner {
  std::string api_version, kind, name, uid;
  bool controller = false, block_owner_deletion = false;
  /// Of api_version; "" for the core group.
  std::string_view group() const {
    const size_t slash = api_version.find('/');
    return std::string_view(api_version).substr(0, slash == std::string::npos ? 0 : slash);
  }
};

/// What metadata says, extracted once.
struct Meta {
  std::string api_version, kind;
  std::string ns, name, uid, generate_name;
  std::string creation_timestamp, deletion_timestamp;
  int64_t generation = 0;
  int64_t deletion_grace_seconds = -1;  ///< -1: not set
  Labels labels;
  Labels annotations;         ///< without `last_applied_annotation`, which is as long as the object itself
  uint64_t last_applied = 0;  ///< a hash of that one's text, to see a change; 0 when it is not there
  std::vector<Owner> owners;
  std::vector<std::string> finalizers;

  std::string_view label(std::string_view key) const;
  std::string_view annotation(std::string_view key) const;
  const Owner* controller() const;
};

class Object {
 public:
  /// From a parsed document; a metadata.resourceVersion in it is left out of the stored JSON. Malformed when it is no
  /// object or a member of metadata has the wrong type.
  /// `stored` is the text that root was parsed from, when it is kept anyway: if it is what would be kept here, it is shared.
  static Result<std::shared_ptr<const Object>> make(const json::Node& root, const SharedText& stored = {});
  static Result<std::shared_ptr<const Object>> parse(std::string_view text);
  ~Object();

  const Meta& meta() const { return meta_; }
  /// The stored JSON, without resourceVersion.
  std::string_view json() const { return json_; }
  /// The same, to be kept by others without a copy.
  const SharedText& shared_json() const { return json_; }
  /// Where `"resourceVersion":"N"` goes: behind the brace that opens metadata (with a comma unless metadata is empty).
  size_t rv_at() const { return rv_at_; }
  /// The text that belongs there: `"resourceVersion":"N"`, with a comma unless metadata is empty.
  void print_revision_to(std::string& out, int64_t revision) const;
  /// The whole JSON with the revision spliced in, appended to `out`.
  void print_to(std::string& out, int64_t revision) const;
  /// Likewise of metadata alone, "{…}".
  void print_metadata_to(std::string& out, int64_t revision) const;

  /// The typed struct (model/types/*.h), decoded once and shared. T must be the struct of this object's kind; fields that
  /// do not fit are left at their defaults (the API server has validated them).
  template <class T>
  const T& as() const {
    return *static_cast<const T*>(typed(T::layout_));
  }
  /// The object without its typed structs, which are larger than its text: the same for all who ask, `object` itself while it has none.
  /// References into the structs stay valid as long as `object` does, so a cache forgets them by changing to the lighter one. Any thread.
  static std::shared_ptr<const Object> lighter(const std::shared_ptr<const Object>& object);
  /// How many typed structs there are in this process. Any thread.
  static int64_t decoded();

 private:
  Object() = default;
  Object(const Object& other) : meta_(other.meta_), json_(other.json_), rv_at_(other.rv_at_), metadata_end_(other.metadata_end_) {}
  // What has been decoded: a list that only grows, nearly always of one.
  struct Typed {
    const codec::Struct* layout;  // null: the value is the lighter object, a std::shared_ptr<const Object>
    void* value;
    Typed* next;
  };
  static void destroy(const Typed& typed);
  void* keep(const codec::Struct* layout, void* value, Typed* head) const;
  const void* typed(const codec::Struct& layout) const;
  Meta meta_;
  SharedText json_;
  uint32_t rv_at_ = 0, metadata_end_ = 0;  // metadata's text is json_[rv_at_ - 1, metadata_end_)
  mutable std::atomic<Typed*> typed_{nullptr};
};
using ObjectPtr = std::shared_ptr<const Object>;

/// An object at a revision, as clients and watchers see it. Cheap to copy.
struct ObjectRef {
  ObjectPtr object;
  int64_t revision = 0;

  explicit operator bool() const { return object != nullptr; }
  const Meta& meta() const { return object->meta(); }
  template <class T>
  const T& as() const {
    return object->as<T>();
  }
  std::string resource_version() const { return std::to_string(revision); }
  std::string print() const;
};

}  // namespace estiba::model
