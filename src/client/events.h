// EventRecorder: writes Kubernetes Events about objects, in the background and best effort.
//
// The same event said again within the hour raises the count of the one that is there instead of making another. Each
// object has a budget (25 at once, then one in five minutes), so that a loop cannot flood the store. Lives on one executor.
#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/task.h"
#include "client/client.h"

namespace estiba::client {

enum class EventType : uint8_t { normal, warning };

/// What an event is about.
struct EventTarget {
  std::string api_version, kind, ns, name, uid;
  std::string resource_version;
  std::string field_path;  ///< "spec.containers{web}", or empty

  static EventTarget of(const model::ObjectRef& object);
};

class EventRecorder {
 public:
  /// `component` names the writer ("deployment-controller"), `host` the node it runs on, or is empty.
  EventRecorder(Client& client, Executor& executor, std::string component, std::string host = {});
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  void record(const EventTarget& about, EventType type, std::string_view reason, std::string_view message);
  void record(const model::ObjectRef& about, EventType type, std::string_view reason, std::string_view message) {
    record(EventTarget::of(about), type, reason, message);
  }

 private:
  struct Known {
    std::string name;      ///< of the Event object
    std::string message;
    int64_t count = 0;
    Instant last{};
    bool writing = false;  ///< a write is under way; the count it misses is written after it
    bool created = false;
    int64_t written = 0;
  };
  struct Budget {
    double tokens = 25;
    Instant filled{};
  };
  bool allowed(const std::string& uid);
  void forget_old();
  static Task<void> write(EventRecorder* self, std::string key, EventTarget about, EventType type, std::string reason);
  std::string body(const EventTarget& about, EventType type, const std::string& reason, const Known& known, const std::string& first) const;

  Client& client_;
  Executor& executor_;
  const std::string component_, host_;
  std::unordered_map<std::string, Known> known_;
  std::unordered_map<std::string, Budget> budgets_;
  uint64_t sequence_ = 0;
  TaskGroup writes_;
};

}  // namespace estiba::client
