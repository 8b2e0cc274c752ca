#include "network/bridge/ports.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "network/bridge/record.h"
#include "os/rtnl.h"

namespace estiba::network::bridge {

static Result<Fd> bind_port(const Address& host, Protocol protocol, uint16_t port, bool reuse) {
  int family = host.v6 ? AF_INET6 : AF_INET, on = 1;
  int type = protocol == Protocol::udp ? SOCK_DGRAM : SOCK_STREAM;
  Fd fd(::socket(family, type | SOCK_CLOEXEC, protocol == Protocol::sctp ? IPPROTO_SCTP : 0));
  // Without SCTP in the kernel nobody listens, and what is led to a container needs no socket.
  if (!fd) return protocol == Protocol::sctp ? Result<Fd>(Fd()) : fail_errno("open a socket");
  if (host.v6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (reuse) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage to{};
  socklen_t size = host.v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  to.ss_family = sa_family_t(family);
  reinterpret_cast<sockaddr_in&>(to).sin_port = htons(port);  // at the same place in both
  if (host.v6) std::memcpy(&reinterpret_cast<sockaddr_in6&>(to).sin6_addr, host.bytes.data(), 16);
  else std::memcpy(&reinterpret_cast<sockaddr_in&>(to).sin_addr, host.bytes.data(), 4);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&to), size) < 0) return fail_errno("bind");
  return fd;
}

// Connections that have ended keep a port for a minute, though nobody has it: with SO_REUSEADDR they do not count, but somebody who
// listens does.
static Result<Fd> hold_port(const Address& host, Protocol protocol, uint16_t port) {
  auto held = bind_port(host, protocol, port, false);
  if (held || held.error().sys != EADDRINUSE || protocol != Protocol::tcp) return held;
  return bind_port(host, protocol, port, true);
}

static std::string place(const Address& host, uint16_t port) {
  return (host.v6 ? "[" + host.text() + "]" : host.text()) + ":" + std::to_string(port);
}
static bool is_any(const Address& host) {
  return std::ranges::all_of(host.raw(), [](char c) { return c == 0; });
}

bool Ports::is_held(const Address& host, Protocol protocol, uint16_t port) const {
  for (const auto& [key, fd] : held_) {
    const auto& [other, other_protocol, other_port] = key;
    if (other_port != port || other_protocol != protocol || other.v6 != host.v6) continue;
    if (other == host || is_any(other) || is_any(host)) return true;
  }
  return false;
}

Result<void> Ports::hold(const std::vector<Address>& hosts, Protocol protocol, uint16_t port) {
  std::vector<std::pair<Key, Fd>> fresh;
  for (const Address& host : hosts) {
    if (is_held(host, protocol, port)) return fail(Code::conflict, "Bind for " + place(host, port) + " failed: port is already allocated");
    auto fd = hold_port(host, protocol, port);
    if (!fd && fd.error().sys == EADDRINUSE)
      return fail(Code::conflict, "Bind for " + place(host, port) +
                                      " failed: port is already allocated (address already in use by a program of this host)");
    if (!fd && fd.error().sys == EADDRNOTAVAIL)
      return fail(Code::invalid, "failed to bind host port " + place(host, port) + "/" + std::string(protocol_name(protocol)) +
                                     ": cannot assign requested address: this host has no " + host.text());
    if (!fd) return within("failed to bind host port " + place(host, port), Result<void>(std::unexpected(std::move(fd.error()))));
    fresh.push_back({{host, protocol, port}, std::move(*fd)});
  }
  for (auto& [key, fd] : fresh) held_.insert_or_assign(key, std::move(fd));
  return {};
}

// "32768\t60999"
static std::pair<uint16_t, uint16_t> ephemeral_range() {
  auto text = os::rtnl::get_sysctl("net/ipv4/ip_local_port_range").value_or("");
  auto [first, last] = split_once(text, '\t');
  return {parse_number<uint16_t>(trim(first)).value_or(32768), parse_number<uint16_t>(trim(last.value_or(""))).value_or(60999)};
}

Result<uint16_t> Ports::take(const std::vector<Address>& hosts, Protocol protocol, uint16_t first, uint16_t last) {
  if (hosts.empty()) return fail(Code::internal, "no address to publish at");
  if (first != 0) {
    Result<void> tried;
    for (uint32_t port = first; port <= std::max(first, last); ++port) {
      tried = hold(hosts, protocol, uint16_t(port));
      if (tried) return uint16_t(port);
    }
    return std::unexpected(std::move(tried.error()));
  }
  auto [low, high] = ephemeral_range();
  if (next_ < low || next_ > high) next_ = low;
  for (uint32_t tried = 0; tried <= uint32_t(high - low); ++tried) {
    uint16_t port = next_;
    next_ = port == high ? low : uint16_t(port + 1);
    if (hold(hosts, protocol, port)) return port;
  }
  return fail(Code::exhausted, "Bind for " + hosts.front().text() + " failed: all ephemeral ports are allocated");
}

Result<void> Ports::take_again(const Address& host, Protocol protocol, uint16_t port) { return hold({host}, protocol, port); }

void Ports::give_back(const Address& host, Protocol protocol, uint16_t port) { held_.erase({host, protocol, port}); }

}  // namespace estiba::network::bridge
