// What every controller stands on: shared informers, one work queue, one recorder of events.
//
// A controller's constructor says what wakes it (informer(...).on_change → enqueue); reconcile(key) then brings that one
// object from what is to what should be, reading only caches and writing through the client. It is level-triggered: it
// may run at any time, any number of times, after any restart. It runs once all informers it named have synced.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/events.h"
#include "client/informer.h"
#include "client/work_queue.h"
#include "controllers/options.h"

namespace estiba::controllers {

struct Context {
  client::Client& client;
  Executor& executor;
  client::Informers& informers;
  const Options& options;
};

/// The API refuses to make anything in a namespace that is going; what cannot be made there need not be.
bool is_namespace_ending(const Error& error);

class Controller {
 public:
  virtual ~Controller() = default;
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  /// Begins to work; only once, on the executor's thread.
  void start();
  const std::string& name() const { return name_; }

 protected:
  Controller(Context& context, std::string name, client::WorkQueueOptions queue = {});

  /// The shared informer of a resource, which this controller waits for before its first key.
  client::Informer& informer(client::Resource resource);
  /// An owner of keys: its own informer, whose every change enqueues the object's key.
  client::Informer& watch(client::Resource resource);

  virtual Task<Result<void>> reconcile(std::string key) = 0;

  /// Those of kind `kind` that control a changed object, now or before.
  void enqueue_controllers(const model::ObjectRef& before, const model::ObjectRef& after, std::string_view kind);
  /// The same; and for an orphan those of `owners` in its namespace that would adopt it, as `selects` says.
  void enqueue_owners(const model::ObjectRef& before, const model::ObjectRef& after, std::string_view kind, client::Informer& owners,
                      client::Informer::Index by_namespace, UniqueFunction<bool(const model::ObjectRef& owner)> selects);
  void enqueue(std::string_view key) { queue_.add(key); }
  void enqueue(const model::ObjectRef& object) { queue_.add(client::key_of(object)); }
  void enqueue_after(std::string_view key, Duration delay) { queue_.add_after(key, delay); }
  /// Merges `patch` into the status of an object of `own` and takes the answer in. One that is gone meanwhile is no failure.
  Task<Result<void>> patch_status(client::Informer& own, model::ObjectRef object, std::string patch);
  WallTime wall_now() const { return context_.executor.wall_now(); }

  Context& context_;
  client::Client& client_;
  client::EventRecorder events_;

 private:
  static Task<void> run(Controller* self);
  static Task<Result<void>> attempt(Controller* self, std::string key);

  const std::string name_;
  std::vector<client::Informer*> needs_;
  client::WorkQueue queue_;
  Job starting_;
};

/// One row of the table of controllers.
struct ControllerEntry {
  std::string_view name;
  std::unique_ptr<Controller> (*make)(Context& context);  ///< null where it has nothing to do, as the options say
};
/// All controllers (table.cpp), in the order in which they are started.
std::span<const ControllerEntry> controller_table();

}  // namespace estiba::controllers
