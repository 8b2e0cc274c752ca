// One watch of a resource: the store's events, filtered by the selectors, with the transitions that selectors mean (an
// object that starts to match is added, one that stops is deleted).
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "apiserver/action.h"
#include "apiserver/fan_out.h"
#include "apiserver/selection.h"
#include "base/task.h"
#include "store/store.h"

namespace estiba::apiserver {

struct WatchItem {
  enum class Kind : uint8_t { added, modified, removed, bookmark };
  Kind kind = Kind::added;
  bool initial_end = false;  ///< a bookmark that ends the initial events
  model::ObjectRef object;   ///< empty for a bookmark
  store::Revision revision = 0;
};

class Watcher {
 public:
  /// `tables` keeps the resource alive.
  Watcher(store::Store& store, const Resource& resource, std::shared_ptr<const void> tables, Selection selection,
          std::unique_ptr<store::Watch> events, store::Revision start)
      : store_(store),
        resource_(resource),
        tables_(std::move(tables)),
        selection_(std::move(selection)),
        events_(std::move(events)),
        position_(start) {}

  /// Of a custom kind: the watch ends when its definition changes, so that clients come back and see the new one.
  void end_with(std::unique_ptr<store::Watch> definition) { definition_ = std::move(definition); }
  /// Nothing will come any more: watch again.
  bool ended() const { return ended_; }

  /// Objects that stand at the beginning as if they had just been added; `bookmark` ends them with one.
  void begin_with(std::vector<model::ObjectRef> objects, bool bookmark);

  /// Waits for the next items, at least one; none when the watch has ended. Code::gone (a 410) when the watch fell too far behind.
  Task<Result<std::vector<WatchItem>>> next();
  /// What is there without waiting; may be empty.
  Result<std::vector<WatchItem>> poll();
  /// Rings as soon as poll() may return something new or an error; at once when that is already so. The turn outlives the watcher.
  void arm(FanOut::Turn& turn);
  /// All events up to here have been returned.
  store::Revision position() const { return position_; }

 private:
  Result<void> translate(const store::Event& event, std::vector<WatchItem>& out);

  store::Store& store_;
  // Whether the definition differs in what is served.
  void look_at_definition();

  const Resource& resource_;
  std::shared_ptr<const void> tables_;
  Selection selection_;
  std::unique_ptr<store::Watch> events_;
  std::unique_ptr<store::Watch> definition_;
  store::Revision position_;
  bool ended_ = false;
  std::vector<WatchItem> initial_;
};

}  // namespace estiba::apiserver
