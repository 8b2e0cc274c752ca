// The registry acts: it turns an Action into reads and writes of the store, by the rules of Kubernetes. It knows every
// resource of the schema tables; what is special about a kind stands in its Strategy.
//
// Reads return at once. Writes are coroutines that resume on the calling executor. Any thread may call; callers have been
// authenticated and authorized before.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/action.h"
#include "apiserver/cluster.h"
#include "apiserver/kept.h"
#include "apiserver/strategy.h"
#include "apiserver/watcher.h"
#include "base/task.h"
#include "store/store.h"

namespace estiba::apiserver {

/// One page of a list.
struct Page {
  store::Revision revision = 0;
  std::vector<model::ObjectRef> items;
  std::string continue_token;
  std::optional<uint64_t> remaining;
};

/// What an action answers.
struct Outcome {
  int status = 200;
  model::ObjectRef object;  ///< the object, when the answer is one that is stored …
  std::string json;         ///< … else the answer's JSON (Status, Scale, TokenRequest)
  std::vector<std::string> warnings;
  std::optional<Page> page = {};  ///< a list of what nothing stores
};

/// Which part of an object a write may change: everything but the status, only the status, or (subresources that the
/// server itself acts on) whatever the mutation changes.
enum class Part : uint8_t { main, status, any };

class Registry {
 public:
  explicit Registry(Cluster& cluster) : cluster_(cluster), store_(cluster.store()) {}

  Result<model::ObjectRef> get(const Action& action);
  Result<Page> list(const Action& action);
  Result<std::unique_ptr<Watcher>> watch(const Action& action);

  Task<Result<Outcome>> create(Action action);
  Task<Result<Outcome>> update(Action action);
  Task<Result<Outcome>> patch(Action action);
  Task<Result<Outcome>> remove(Action action);
  /// Answers the list of what was deleted, as it was.
  Task<Result<Page>> remove_collection(Action action);

  /// Objects as they are shown in the action's version: those that only a webhook can convert are still in the version they
  /// are stored in. Answers of get, list, watch and remove go through here before somebody sees them.
  Task<Result<void>> present(const Action& action, std::vector<model::ObjectRef>& objects);
  Task<Result<void>> present(const Action& action, model::ObjectRef& object);

  /// Makes the new object from the stored one, whose metadata has its resourceVersion. Called again after a conflict.
  using Mutation = UniqueFunction<Result<json::Document>(const json::Node& old)>;
  /// Reads, mutates, checks by the kind's rules and writes, until no other write comes between. When the new object has
  /// another resourceVersion than the stored one, it is a conflict.
  Task<Result<Outcome>> modify(Action action, Part part, Mutation mutate);

  Cluster& cluster() { return cluster_; }

 private:
  Task<Result<Outcome>> apply(Action action);
  Task<Result<Outcome>> create_applied(const Action& action, std::shared_ptr<json::Document> configuration,
                                       std::vector<std::string> warnings);
  Task<Result<Outcome>> create_document(Action action, json::Document doc, std::vector<std::string> warnings);
  Task<Result<Outcome>> create_named(const Action& action, json::Document& doc, std::vector<std::string>& warnings);
  // The stored object as a document, in the action's version and with its resourceVersion.
  Task<Result<json::Document>> read_document(const Action& action, const store::Entry& entry);
  // What is stored of a new object: itself, or (custom kinds) what it is in the storage version.
  Task<Result<std::shared_ptr<const Kept>>> to_store(const Action& action, const json::Node& object);
  Task<Result<model::ObjectRef>> commit(const Action& action, store::Write write, std::shared_ptr<const Kept> facts);
  Task<Result<Outcome>> modify_once(const Action& action, Part part, const store::EntryPtr& entry, Mutation& mutate);
  Task<Result<model::ObjectRef>> write_new(const Action& action, Draft& draft, store::Write write, const json::Node* asked);
  Task<Result<Outcome>> write_changed(const Action& action, Draft& draft, store::Write write);
  Task<Result<Outcome>> write_last(const Action& action, Draft& draft, store::EntryPtr entry);
  Task<Result<Outcome>> remove_now(const Action& action, store::EntryPtr entry);
  Task<Result<Outcome>> remove_entry(const Action& action, store::EntryPtr entry);

  Cluster& cluster_;
  store::Store& store_;
};

}  // namespace estiba::apiserver
