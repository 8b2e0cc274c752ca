// Informer: what the API server holds of one resource, kept up to date in this thread's memory by one list and one watch.
//
// It lives on the executor of the thread that made it and is used only there. It holds references to the objects the
// client delivers, never copies; in process these are the API server's own. Reading costs a hash look-up and no call.
//
//  - After a broken watch it watches again from where it was; when that revision is gone it lists again and reports only
//    what differs. Both with back-off.
//  - `observe` puts in what a write of our own returned, so that a controller sees its writes at once; the watch's later
//    report of the same revision changes nothing. Between lists and watches the newest revision of an object always wins.
//  - Of objects that nobody has looked at for a while the typed structs can be let go (`shed_decoded`): the informer changes to
//    their lighter versions, as if there had been an update that changes nothing. Nobody is told but who has asked for it.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/function.h"
#include "base/task.h"
#include "client/client.h"

namespace estiba::client {

/// "ns/name", or "name" for what is cluster-scoped: how work queues and caches call an object.
std::string key_of(std::string_view ns, std::string_view name);
std::string key_of(const model::Meta& meta);
inline std::string key_of(const model::ObjectRef& object) { return key_of(object.meta()); }
/// The parts of a key; the namespace is empty for a cluster-scoped object.
std::pair<std::string, std::string> split_key(std::string_view key);

class Informer {
 public:
  /// `before` is null for an added object, `after` for a removed one. An object deleted and made again under its name is
  /// always reported as removed and added. Called on the informer's executor; must be quick and must not destroy the informer.
  using Handler = UniqueFunction<void(const model::ObjectRef& before, const model::ObjectRef& after)>;
  /// Appends the values under which the object is found.
  using IndexFunction = UniqueFunction<void(const model::Object& object, std::vector<std::string>& values)>;
  struct Index {
    size_t id = 0;
  };

  /// Starts to list and watch at once. The resource's strings must be static; `client` must outlive the informer.
  Informer(Client& client, Resource resource, std::string ns = {}, ListOptions options = {});
  ~Informer();
  Informer(const Informer&) = delete;
  Informer& operator=(const Informer&) = delete;

  const Resource& resource() const { return resource_; }

  /// What is known already is reported as added, now. Handlers live as long as the informer.
  void on_change(Handler handler);
  /// For who keeps objects beside the informer: called with what the same revision of an object is from now on.
  void on_lighter(UniqueFunction<void(const model::ObjectRef& object)> handler);
  /// What is known already is indexed, now.
  Index add_index(IndexFunction function);
  /// The index called `name`, made at the first call: so that several users share one.
  Index shared_index(std::string_view name, IndexFunction function);
  Index namespace_index();
  /// By the UIDs of all owners.
  Index owner_index();

  /// True once the first list has been taken in.
  bool synced() const { return synced_.is_set(); }
  Task<void> wait_synced();
  /// The newest revision that is known to be taken in completely.
  int64_t revision() const { return revision_; }

  /// A null reference when there is none.
  model::ObjectRef get(std::string_view key) const;
  model::ObjectRef get(std::string_view ns, std::string_view name) const;
  size_t size() const { return objects_.size(); }
  std::vector<model::ObjectRef> list() const;
  std::vector<model::ObjectRef> in_namespace(std::string_view ns);
  std::vector<model::ObjectRef> find(Index index, std::string_view value) const;
  /// How many `find` would return.
  size_t count(Index index, std::string_view value) const;
  /// Calls `visit(const model::ObjectRef&)` for each; the cache must not change meanwhile.
  template <class F>
  void each(F&& visit) const {
    for (const auto& [key, object] : objects_) visit(object);
  }
  template <class F>
  void each(Index index, std::string_view value, F&& visit) const {
    if (const auto* bucket = bucket_of(index, value))
      for (const model::ObjectRef* object : *bucket) visit(*object);
  }

  /// Takes in an object that a write has returned, unless something newer is known.
  void observe(const model::ObjectRef& object);
  /// Takes out an object that a write has not found, unless another one has its name by now. Who goes on with what is no longer there makes
  /// things for it that the garbage collector removes at once, for as long as its watch is behind.
  void observe_gone(const model::ObjectRef& object);

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using Bucket = std::vector<const model::ObjectRef*>;
  struct IndexData {
    IndexFunction function;
    std::unordered_map<std::string, Bucket, Hash, std::equal_to<>> buckets;
  };

  Task<void> run();
  Task<Result<void>> list_once();
  Task<Result<void>> watch_once(bool* began, bool* progressed);
  void apply(const WatchEvent& event);
  void replace(const List& list);
  void put(const model::ObjectRef& object);
  void drop(const std::string& key);
  void notify(const model::ObjectRef& before, const model::ObjectRef& after);
  void link(IndexData& index, const model::ObjectRef* object);
  void unlink(IndexData& index, const model::ObjectRef* object);
  const Bucket* bucket_of(Index index, std::string_view value) const;
  friend void shed_decoded();
  Task<void> shed();

  Client& client_;
  const Resource resource_;
  const std::string ns_;
  const ListOptions options_;
  int64_t revision_ = 0;
  std::unordered_map<std::string, model::ObjectRef, Hash, std::equal_to<>> objects_;
  std::vector<std::unique_ptr<IndexData>> indexes_;
  std::vector<std::unique_ptr<Handler>> handlers_;
  std::vector<UniqueFunction<void(const model::ObjectRef&)>> keepers_;
  std::unordered_map<std::string, Index, Hash, std::equal_to<>> shared_indexes_;
  std::vector<std::string> scratch_;
  Event synced_;
  std::shared_ptr<Informer*> self_;  // null when this is gone
  Executor& executor_;
  Job shedding_;
  Job job_;  // last: ends first
};

/// Has all informers of this process change to the lighter versions of their objects (model::Object::lighter), each on its own thread, some
/// hundred objects at a time. Any thread.
void shed_decoded();

/// The informers of one thread: whoever asks for the same resource shares one.
class Informers {
 public:
  explicit Informers(Client& client) : client_(client) {}
  Informers(const Informers&) = delete;
  Informers& operator=(const Informers&) = delete;

  /// The informer, started at the first call.
  Informer& of(Resource resource, std::string ns = {}, ListOptions options = {});
  Client& client() { return client_; }

 private:
  Client& client_;
  std::unordered_map<std::string, std::unique_ptr<Informer>> informers_;
};

}  // namespace estiba::client
