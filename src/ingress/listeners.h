// The open ports and the threads that serve them. There is neither as long as the configuration has no port. A new configuration reaches
// every thread as a message; connections and requests under way notice nothing, and a port that goes lets its requests finish.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/task.h"
#include "ingress/config.h"
#include "io/http_server.h"

namespace estiba::ingress {

struct ListenerOptions {
  std::string host;  ///< the address to listen at; empty: all
  unsigned threads = 1;
  Duration patience = std::chrono::seconds(60);       ///< for an endpoint's answer to begin, where a route says nothing
  Duration drain_limit = std::chrono::seconds(30);    ///< for the requests of a port that goes
  Duration retry_interval = std::chrono::seconds(1);  ///< of listening at a port that is taken
  std::vector<Prefix> proxy_protocol_from;            ///< peers whose connections begin with a header of the PROXY protocol
};

class Listeners {
 public:
  /// Used on one executor, that of the caller.
  explicit Listeners(ListenerOptions options);
  /// After stop().
  ~Listeners();
  Listeners(const Listeners&) = delete;

  void apply(ConfigPtr config);
  /// Why a port is not open, by port.
  const std::map<uint16_t, std::string>& failures() const { return failures_; }
  bool idle() const { return threads_.empty(); }
  size_t open_ports() const { return open_.size(); }
  /// Closes everything; requests under way have a moment.
  Task<void> stop(Duration limit = std::chrono::milliseconds(500));

 private:
  struct Thread;
  struct Open;
  void start_threads();
  void open_missing();
  static Task<void> drain(Listeners* self, std::unique_ptr<Open> open);
  static Task<void> retry(Listeners* self);
  static Task<void> end_threads(Listeners* self, Duration limit);

  ListenerOptions options_;
  ConfigPtr config_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::map<uint16_t, std::unique_ptr<Open>> open_;
  std::map<uint16_t, std::string> failures_;
  size_t draining_ = 0;
  TaskGroup closing_;
  Job retrying_;
};

}  // namespace estiba::ingress
