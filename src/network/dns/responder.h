// Answers DNS questions that come to a pair of sockets, UDP and TCP: from names that its owner knows, or by asking other servers. Lives on
// one loop.
#pragma once
#include <optional>

#include "base/fd.h"
#include "base/function.h"
#include "base/task.h"
#include "io/loop.h"
#include "network/dns/answers.h"
#include "network/dns/forwarder.h"
#include "network/dns/message.h"

namespace estiba::network::dns {

class Responder {
 public:
  /// nullopt: not known here, ask another server.
  using Lookup = UniqueFunction<std::optional<Found>(const Name&, uint16_t type)>;
  /// `forwarder` outlives the Responder, and so does `known`, in which answers are kept if it is given: its owner has it forget them when a
  /// name changes.
  Responder(io::Loop& loop, Lookup lookup, Forwarder& forwarder, Answers* known = nullptr)
      : loop_(loop), lookup_(std::move(lookup)), forwarder_(forwarder), known_(known) {}
  ~Responder();
  Responder(const Responder&) = delete;

  /// Begins to answer. The sockets are non-blocking and bound; the second one listens.
  Result<void> start(Fd udp, Fd tcp);

 private:
  struct Client;
  struct Local;
  struct Batch;
  Local local(const Query& query, size_t limit);
  Task<std::string> answer(Query query, Local local, size_t limit, bool tcp);
  void receive();
  size_t answer_at_once(std::string_view message, const Client& client, std::span<char> to);
  void send(const Client& client, const std::string& message);
  Task<void> forward(Client client, Query query, Local found, size_t limit);
  Task<void> accept();
  Task<void> serve(Fd fd);

  io::Loop& loop_;
  Lookup lookup_;
  Forwarder& forwarder_;
  Answers* known_;
  Fd udp_, tcp_;
  TaskGroup forwarded_, connections_;
  Job accepting_;
};

}  // namespace estiba::network::dns
