// Asks the node's own name servers for what is not the cluster's, and remembers answers for a short time. Lives on one loop.
#pragma once
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/executor.h"
#include "base/fd.h"
#include "base/task.h"
#include "network/address.h"
#include "network/dns/message.h"

namespace estiba::network::dns {

/// Answers by question, dropped when their time is over. Bounded.
class Cache {
 public:
  /// The answer's bytes with `query`'s id and spelling and the time to live that is left.
  std::optional<std::string> find(const Query& query, Instant now);
  /// Keeps what may be kept: whole answers, and denials, with a time to live.
  void put(const Query& query, std::string_view message, const Answer& answer, Instant now);
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string message;
    std::vector<size_t> ttl_offsets;
    Instant stored, expires;
  };
  static std::string key(const Query& query);
  std::unordered_map<std::string, Entry> entries_;
};

class Forwarder {
 public:
  struct Upstream {
    Address address;
    uint16_t port = 53;
    bool operator==(const Upstream&) const = default;
  };
  /// Reads the servers from the file `resolv_conf` again whenever it changes; `self` is never asked.
  Forwarder(std::string resolv_conf, std::vector<Address> self) : path_(std::move(resolv_conf)), self_(std::move(self)) {}
  /// Fixed servers, for tests.
  explicit Forwarder(std::vector<Upstream> servers) : servers_(std::move(servers)) {}

  /// The whole answer to send to the client; nullopt when no server has answered. By TCP when the client came by TCP.
  Task<std::optional<std::string>> ask(Query query, bool tcp);
  const std::vector<Upstream>& servers();

 private:
  Task<std::optional<std::string>> exchange(Upstream server, Query query, bool tcp);
  void reload();

  std::string path_;
  std::vector<Address> self_;
  std::vector<Upstream> servers_;
  int64_t read_at_ = -1;  // the file's time of change when it was read
  size_t first_ = 0;      // the server that answered last
  Cache cache_;
};

/// `message`, an answer to `query`, cut down to its question and marked as truncated, if it is longer than `limit`.
std::string fit(std::string message, const Query& query, size_t limit);

}  // namespace estiba::network::dns
