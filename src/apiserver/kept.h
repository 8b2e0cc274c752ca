// Where objects stand in the store, and what is kept beside each stored version: the parsed facts (model::Object) and the
// values that field selectors compare, made at most once.
//
// Keys: /registry/<group>/<resource>/<namespace>/<name>, without the namespace for cluster-scoped resources; the core
// group is "core". All versions of a group share a key; events of events.k8s.io are those of the core group.
#pragma once
#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/strategy.h"
#include "model/object.h"
#include "store/store.h"

namespace estiba::apiserver {

/// "/registry/apps/deployments/"
std::string prefix_of(const Resource& resource);
/// With the namespace, when one is given: "/registry/apps/deployments/default/".
std::string prefix_of(const Resource& resource, std::string_view ns);
std::string key_of(const Resource& resource, std::string_view ns, std::string_view name);

/// Short texts one behind the other in one piece of memory, each behind its length: there are as many of these as objects.
class PackedTexts {
 public:
  PackedTexts() = default;
  explicit PackedTexts(std::span<const std::string> texts);
  /// The i-th; "" when there are not so many. Takes a step for each before it.
  std::string_view operator[](size_t i) const;

 private:
  SharedText bytes_;  // lengths of seven bits a byte, the lowest first; the upper bit: more follow
};

struct Kept final : store::Attachment {
  model::ObjectPtr object;
  PackedTexts selectable;  ///< by Strategy::fields
  /// Of custom objects: the definition (its id) whose tables the stored text is known to fit in its own version; 0: none yet.
  mutable std::atomic<uint64_t> conformed{0};
};

/// From a document that is about to be written, or that was parsed from the stored text.
Result<std::shared_ptr<const Kept>> make_kept(const json::Node& root, const Strategy& strategy, const SharedText& stored = {});
/// What is kept beside an entry; parsed now if the entry came from disk.
Result<std::shared_ptr<const Kept>> kept(const store::Entry& entry, const Strategy& strategy);

/// Changes what is kept beside the entry to the lighter version of its object (model::Object::lighter). Any thread.
void lighten(const store::Entry& entry);

/// The entry as the resource's version shows it.
Result<model::ObjectRef> object_of(const store::Entry& entry, const Resource& resource);

}  // namespace estiba::apiserver
