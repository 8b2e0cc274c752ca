#include "network/dns/responder.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "network/dns/socket.h"

namespace estiba::network::dns {

using std::chrono::seconds;

static constexpr size_t kMaxForwarded = 1000, kMaxConnections = 200;
static constexpr size_t kTcpLimit = 65535;

struct Responder::Client {
  sockaddr_storage address;
  socklen_t size = sizeof address;
};

struct Responder::Local {
  std::optional<std::string> message;  // the answer, when it needs nobody else
  std::optional<Query> forward;        // else what to ask
  std::vector<Record> before;          // records to put before the other's answers
};

Responder::~Responder() {
  if (udp_) loop_.unwatch(udp_.get());
}

Result<void> Responder::start(Fd udp, Fd tcp) {
  udp_ = std::move(udp);
  tcp_ = std::move(tcp);
  TRY(loop_.watch(udp_.get(), EPOLLIN, [this](uint32_t) { receive(); }));
  accepting_ = Job(accept());
  return {};
}

// Answers from the names known here, or says what must be asked elsewhere.
Responder::Local Responder::local(const Query& query, size_t limit) {
  if (query.qclass != class_in) return {.message = encode(query, {.rcode = refused}, limit)};
  auto found = lookup_(query.name, query.type);
  if (!found) return {.forward = query};
  if (found->chase.empty()) return {.message = encode(query, found->reply, limit)};
  Query further = query;
  further.name = found->chase;
  return {.forward = std::move(further), .before = std::move(found->reply.answers)};
}

Task<std::string> Responder::answer(Query query, Local local, size_t limit, bool tcp) {
  Query asked = *local.forward;
  auto message = co_await forwarder_.ask(asked, tcp);
  if (local.before.empty()) co_return message ? fit(std::move(*message), query, limit) : encode(query, {.rcode = server_failure}, limit);
  Reply reply{.answers = std::move(local.before)};
  // The alias holds even when its target cannot be asked for, but half an answer would be taken for "no address".
  auto further = message ? parse_answer(*message) : std::nullopt;
  if (!further) co_return encode(query, {.rcode = server_failure}, limit);
  for (Record& record : further->answers)
    if (record.type == type_cname || record.type == type_a || record.type == type_aaaa || record.type == type_txt)
      reply.answers.push_back(std::move(record));
  reply.rcode = further->rcode;
  co_return encode(query, reply, limit);
}

// --- UDP -------------------------------------------------------------------------------------------------------------

void Responder::receive() {
  char buffer[4096];
  for (int i = 0; i < 64; ++i) {  // others have a right to the loop as well
    Client client;
    ssize_t size = recvfrom(udp_.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&client.address), &client.size);
    if (size < 0) return;
    auto query = parse_query({buffer, size_t(size)});
    if (!query) {
      if (!query.error().drop) send(client, refuse(query.error()));
      continue;
    }
    size_t limit = udp_limit(*query);
    Local found = local(*query, limit);
    if (found.message) send(client, *found.message);
    else if (forwarded_.size() < kMaxForwarded) forwarded_.start(forward(client, std::move(*query), std::move(found), limit));
    else send(client, encode(*query, {.rcode = server_failure}, limit));
  }
}

void Responder::send(const Client& client, const std::string& message) {
  (void)sendto(udp_.get(), message.data(), message.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&client.address), client.size);
}

Task<void> Responder::forward(Client client, Query query, Local found, size_t limit) {
  send(client, co_await answer(std::move(query), std::move(found), limit, false));
}

// --- TCP -------------------------------------------------------------------------------------------------------------

Task<void> Responder::accept() {
  for (;;) {
    co_await loop_.readable(tcp_.get());
    int fd = accept4(tcp_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && connections_.size() < kMaxConnections) connections_.start(serve(Fd(fd)));
    else if (fd >= 0) Fd(fd).reset();
    else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) co_await sleep_for(std::chrono::milliseconds(100));
  }
}

Task<void> Responder::serve(Fd fd) {
  for (;;) {
    auto message = co_await with_timeout(seconds(10), read_frame(fd.get()));
    if (!message || !*message) co_return;
    auto query = parse_query(**message);
    std::string out;
    if (!query && query.error().drop) co_return;
    if (!query) {
      out = refuse(query.error());
    } else {
      Local found = local(*query, kTcpLimit);
      if (found.message) out = std::move(*found.message);
      else out = co_await answer(*query, std::move(found), kTcpLimit, true);
    }
    auto written = co_await with_timeout(seconds(10), write_frame(fd.get(), std::move(out)));
    if (!written || !*written) co_return;
  }
}

}  // namespace estiba::network::dns
