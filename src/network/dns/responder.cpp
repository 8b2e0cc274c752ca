#include "network/dns/responder.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

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
  // A datagram's sender may be forged: whoever wants all records of a name by one gets a short answer (RFC 8482, 4.2), by TCP all.
  if (query.type == type_any && limit <= kOurUdpSize) {
    const Record all{.name = query.name, .type = type_hinfo, .ttl = 3789, .data = std::string("\x07RFC8482\0", 9)};
    return {.message = encode(query, {.answers = {all}}, limit)};
  }
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

// Datagrams as they come and go, many to a call of the kernel. One for each thread: it is used within one turn of the loop.
struct Responder::Batch {
  static constexpr size_t size = 32, longest_question = 2048, longest_answer = kOurUdpSize;
  std::array<Client, size> clients;
  std::array<std::array<char, longest_question>, size> questions;
  std::array<std::array<char, longest_answer>, size> answers;
  std::array<iovec, size> in, out;
  std::array<mmsghdr, size> received, sent;

  static Batch& here() {
    static thread_local const std::unique_ptr<Batch> batch = std::make_unique<Batch>();
    return *batch;
  }
  int receive(int fd) {
    for (size_t i = 0; i < size; ++i) {
      in[i] = {questions[i].data(), longest_question};
      received[i].msg_hdr = {.msg_name = &clients[i].address, .msg_namelen = sizeof clients[i].address, .msg_iov = &in[i], .msg_iovlen = 1};
    }
    return recvmmsg(fd, received.data(), size, MSG_DONTWAIT, nullptr);
  }
  // Who cannot be sent to is passed over.
  void send(int fd, size_t count) {
    for (size_t at = 0; at < count; ++at)
      if (int done = sendmmsg(fd, &sent[at], unsigned(count - at), MSG_NOSIGNAL); done > 1) at += size_t(done) - 1;
  }
};

void Responder::receive() {
  Batch& batch = Batch::here();
  for (int round = 0; round < 2; ++round) {  // others have a right to the loop as well
    const int got = batch.receive(udp_.get());
    size_t answered = 0;
    for (int i = 0; i < got; ++i) {
      Client& client = batch.clients[size_t(i)];
      client.size = batch.received[size_t(i)].msg_hdr.msg_namelen;
      const std::string_view message(batch.questions[size_t(i)].data(), batch.received[size_t(i)].msg_len);
      const size_t length = answer_at_once(message, client, batch.answers[answered]);
      if (!length) continue;
      batch.out[answered] = {batch.answers[answered].data(), length};
      batch.sent[answered].msg_hdr = {
          .msg_name = &client.address, .msg_namelen = client.size, .msg_iov = &batch.out[answered], .msg_iovlen = 1};
      ++answered;
    }
    batch.send(udp_.get(), answered);
    if (got < int(Batch::size)) return;
  }
}

// Writes the answer to `to` and returns its length; 0: there is none, or it is sent later.
size_t Responder::answer_at_once(std::string_view message, const Client& client, std::span<char> to) {
  auto written = [&](std::string_view answer) {
    std::memcpy(to.data(), answer.data(), answer.size());
    return answer.size();
  };
  const auto key = known_ ? Answers::key_of(message) : std::nullopt;
  if (key)
    if (size_t length = known_->find(*key, message, to)) return length;
  auto query = parse_query(message);
  if (!query) return query.error().drop ? 0 : written(refuse(query.error()));
  const size_t limit = udp_limit(*query);
  Local found = local(*query, limit);
  if (found.message) {
    if (key) known_->put(*key, *found.message);
    return written(*found.message);
  }
  if (forwarded_.size() >= kMaxForwarded) return written(encode(*query, {.rcode = server_failure}, limit));
  forwarded_.start(forward(client, std::move(*query), std::move(found), limit));
  return 0;
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
