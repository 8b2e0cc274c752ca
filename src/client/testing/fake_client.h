// FakeClient: an API server in memory for the tests of controllers, scheduler and node. It keeps the rules that such code
// depends on: revisions, conflicts, generations, status apart from the rest, finalizers, graceful deletion of pods,
// propagation policies, namespaces with content, watches from a revision. It validates nothing and defaults nothing.
#pragma once
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <vector>

#include "base/executor.h"
#include "client/client.h"

namespace estiba::client::testing {

class FakeClient final : public Client {
 public:
  explicit FakeClient(Executor& executor) : executor_(executor) {}

  Task<Result<model::ObjectRef>> get(Resource resource, std::string ns, std::string name) override;
  Task<Result<List>> list(Resource resource, std::string ns, ListOptions options = {}) override;
  Task<Result<std::unique_ptr<WatchStream>>> watch(Resource resource, std::string ns, int64_t revision, ListOptions options = {}) override;
  Task<Result<model::ObjectRef>> create(Resource resource, std::string ns, std::string body, WriteOptions options = {}) override;
  Task<Result<model::ObjectRef>> update(Resource resource, std::string ns, std::string name, std::string body,
                                        WriteOptions options = {}) override;
  Task<Result<model::ObjectRef>> patch(Resource resource, std::string ns, std::string name, PatchType type, std::string body,
                                       WriteOptions options = {}) override;
  Task<Result<void>> remove(Resource resource, std::string ns, std::string name, DeleteOptions options = {}) override;
  Task<Result<std::string>> call(Resource resource, std::string ns, std::string name, std::string subresource, std::string body) override;

  // What a test does and sees, at once and without a coroutine. A body that cannot be used fails the test's run (abort).
  model::ObjectRef add(Resource resource, std::string_view ns, std::string_view body);
  model::ObjectRef merge(Resource resource, std::string_view ns, std::string_view name, std::string_view patch,
                         std::string_view subresource = {});
  void erase(Resource resource, std::string_view ns, std::string_view name, DeleteOptions options = {});
  /// A null reference when there is none.
  model::ObjectRef find(Resource resource, std::string_view ns, std::string_view name) const;
  /// In the order of their keys.
  std::vector<model::ObjectRef> all(Resource resource, std::string_view ns = {}) const;
  int64_t revision() const { return revision_; }

  // Faults.
  /// Asked before each call; an error makes the call fail. `verb` is get, list, watch, create, update, patch, remove or call.
  std::function<Result<void>(std::string_view verb, Resource resource, std::string_view name)> before_call;
  /// Answers a SubjectAccessReview, which is never kept; without it nobody may do anything.
  std::function<bool(const json::Node& spec)> may;
  /// The answer to a write comes one turn after its watch events, not before them.
  bool answer_late = false;
  /// While held, watches deliver nothing.
  void hold_watches(bool held);
  /// Ends every watch with this code.
  void end_watches(Code code);
  /// Forgets history: watches from before now get Code::gone.
  void compact();
  /// As a server whose memory is tidied up: it holds the lighter objects from now on, and so do the informers once they have run.
  void shed();

  /// Number of calls of each verb, as "create pods".
  std::map<std::string, int> calls;

 private:
  class Stream;
  struct LogEntry {
    std::string kind;  // the resource
    std::string ns;
    WatchEvent event;
  };
  using Table = std::map<std::string, model::ObjectRef>;

  Task<Result<void>> arrive(std::string_view verb, Resource resource, std::string_view name);
  Task<void> answer();
  Result<model::ObjectRef> do_create(Resource resource, std::string_view ns, std::string_view body);
  Result<model::ObjectRef> do_update(Resource resource, const std::string& key, json::Document next, std::string_view subresource);
  Result<model::ObjectRef> do_patch(Resource resource, std::string_view ns, std::string_view name, std::string_view body,
                                    std::string_view subresource);
  Result<void> do_remove(Resource resource, std::string_view ns, std::string_view name, const DeleteOptions& options);
  Result<model::ObjectRef> review_access(std::string_view body) const;
  Result<void> do_bind(std::string_view ns, std::string_view name, std::string_view body);
  model::ObjectRef commit(Resource resource, const std::string& key, model::ObjectPtr object, WatchEvent::Kind kind);
  Result<model::ObjectRef> require(Resource resource, std::string_view ns, std::string_view name) const;
  void wake();

  Executor& executor_;
  int64_t revision_ = 0;
  int64_t compacted_ = 0;
  uint64_t names_ = 0;
  std::map<std::string, Table> tables_;
  std::deque<LogEntry> log_;
  std::list<Stream*> streams_;
  bool held_ = false;
};

}  // namespace estiba::client::testing
