#include "network/dns/forwarder.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/strings.h"
#include "io/loop.h"
#include "network/dns/resolv_conf.h"
#include "network/dns/socket.h"

namespace estiba::network::dns {

using std::chrono::milliseconds;
using std::chrono::seconds;

static constexpr size_t kMaxEntries = 2000;
static constexpr Duration kMaxAge = seconds(30);

// --- cache -----------------------------------------------------------------------------------------------------------

std::string Cache::key(const Query& query) {
  std::string key = lower(query.name);
  for (uint16_t part : {query.type, query.qclass}) key.append({char(part >> 8), char(part)});
  key += char(query.edns << 2 | query.dnssec_ok << 1 | int(query.checking_disabled));
  return key;
}

std::optional<std::string> Cache::find(const Query& query, Instant now) {
  auto entry = entries_.find(key(query));
  if (entry == entries_.end()) return std::nullopt;
  if (entry->second.expires <= now) {
    entries_.erase(entry);
    return std::nullopt;
  }
  std::string message = entry->second.message;
  message[0] = char(query.id >> 8);
  message[1] = char(query.id);
  message.replace(12, query.name.size(), query.name);
  uint32_t age = uint32_t((now - entry->second.stored) / seconds(1));
  for (size_t at : entry->second.ttl_offsets) {
    uint32_t ttl;
    std::memcpy(&ttl, message.data() + at, 4);
    ttl = htonl(ntohl(ttl) - std::min(ntohl(ttl), age));
    std::memcpy(message.data() + at, &ttl, 4);
  }
  return message;
}

void Cache::put(const Query& query, std::string_view message, const Answer& answer, Instant now) {
  if (answer.truncated || answer.least_ttl == 0 || (answer.rcode != no_error && answer.rcode != name_error)) return;
  if (entries_.size() >= kMaxEntries) std::erase_if(entries_, [now](const auto& entry) { return entry.second.expires <= now; });
  if (entries_.size() >= kMaxEntries) entries_.erase(entries_.begin());
  auto age = std::min<Duration>(seconds(answer.least_ttl), kMaxAge);
  entries_.insert_or_assign(key(query), Entry{std::string(message), answer.ttl_offsets, now, now + age});
}

std::string fit(std::string message, const Query& query, size_t limit) {
  if (message.size() <= limit) return message;
  std::string cut = encode(query, {}, limit);
  cut[2] |= 0x02;
  return cut;
}

// --- asking ----------------------------------------------------------------------------------------------------------

void Forwarder::reload() {
  struct stat info;
  if (path_.empty() || stat(path_.c_str(), &info) < 0) return;
  int64_t changed = int64_t(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
  if (changed == read_at_) return;
  read_at_ = changed;
  servers_.clear();
  first_ = 0;
  Fd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  char text[8192];
  ssize_t size = fd ? ::read(fd.get(), text, sizeof text) : 0;
  for (const std::string& server : ResolvConf::parse({text, size_t(std::max<ssize_t>(size, 0))}).nameservers)
    if (auto address = Address::parse(server); address && !std::ranges::contains(self_, *address)) servers_.push_back({*address});
}

const std::vector<Forwarder::Upstream>& Forwarder::servers() {
  reload();
  return servers_;
}

// Another's answer to something else, late or forged, is not ours.
static bool answers(const std::optional<Answer>& answer, const Query& query, uint16_t id) {
  return answer && answer->id == id && answer->type == query.type && answer->qclass == query.qclass && answer->name == query.name;
}

Task<std::optional<std::string>> Forwarder::exchange(Upstream server, Query query, bool tcp) {
  uint16_t id;
  std::string random = random_bytes(2);
  std::memcpy(&id, random.data(), 2);
  std::string request = encode_query(query, id);
  auto socket = connect_to(server.address, server.port, tcp);
  if (!socket) co_return std::nullopt;
  if (tcp) {
    if (!co_await write_frame(socket->get(), request)) co_return std::nullopt;
  } else if (::send(socket->get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    co_return std::nullopt;
  }
  for (;;) {
    std::optional<std::string> message = tcp ? co_await read_frame(socket->get()) : co_await read_datagram(socket->get());
    if (!message) co_return std::nullopt;
    if (answers(parse_answer(*message), query, id)) co_return message;
    if (tcp) co_return std::nullopt;
  }
}

Task<std::optional<std::string>> Forwarder::ask(Query query, bool tcp) {
  auto now = Executor::current()->now();
  if (auto known = cache_.find(query, now)) co_return known;
  std::vector<Upstream> servers = this->servers();
  std::optional<std::string> failure;
  for (size_t i = 0; i < servers.size() * 2; ++i) {
    size_t at = (first_ + i) % servers.size();
    auto message = co_await with_timeout(milliseconds(1500), exchange(servers[at], query, tcp));
    if (!message || !*message) continue;
    std::string& bytes = **message;
    auto answer = parse_answer(bytes);
    bytes[0] = char(query.id >> 8);
    bytes[1] = char(query.id);
    if (answer->rcode == server_failure || answer->rcode == refused) {
      failure = std::move(bytes);
      continue;
    }
    first_ = at;
    cache_.put(query, bytes, *answer, Executor::current()->now());
    co_return std::move(bytes);
  }
  co_return failure;
}

}  // namespace estiba::network::dns
