// What happens, told as dockerd tells it: GET /events. The last 256 are kept, for clients that ask for what was.
#pragma once
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/task.h"

namespace estiba::docker {

struct EventMessage {
  std::string type, action, id;                                 ///< "container", "start", the container's id
  std::vector<std::pair<std::string, std::string>> attributes;  ///< image, name, labels, exitCode
  WallTime time{};
  std::string json;  ///< as it goes over the wire, without a newline
};
using EventRef = std::shared_ptr<const EventMessage>;

class Events {
 public:
  /// Receives what is published from its creation on. Belongs to the thread of the Events, which outlives it.
  class Subscription {
   public:
    explicit Subscription(Events& events);
    ~Subscription();
    Subscription(const Subscription&) = delete;
    /// The next event. A subscriber that is more than 4096 events behind loses the oldest.
    Task<EventRef> next();
    /// The next event, or null when `limit` has passed first.
    Task<EventRef> next_until(Instant limit);

   private:
    friend class Events;
    Events& events_;
    std::deque<EventRef> waiting_;
    Event arrived_;
  };

  explicit Events(Executor& executor) : executor_(executor) {}

  void publish(std::string type, std::string action, std::string id, std::vector<std::pair<std::string, std::string>> attributes);
  /// What is kept of the time from `since` to `until`, oldest first.
  std::vector<EventRef> past(WallTime since, WallTime until) const;
  size_t subscribers() const { return subscriptions_.size(); }

 private:
  Executor& executor_;
  std::deque<EventRef> kept_;
  std::list<Subscription*> subscriptions_;
};

}  // namespace estiba::docker
