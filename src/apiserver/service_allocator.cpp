#include "apiserver/service_allocator.h"

#include <arpa/inet.h>

#include "base/strings.h"

namespace estiba::apiserver {
namespace {

std::optional<uint32_t> parse_ipv4(std::string_view text) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &address) != 1) return std::nullopt;
  return ntohl(address.s_addr);
}

uint32_t random_below(uint32_t limit) {
  uint32_t value;
  std::string bytes = random_bytes(sizeof value);
  memcpy(&value, bytes.data(), sizeof value);
  return value % limit;
}

}  // namespace

Result<ServiceAllocator> ServiceAllocator::make(std::string_view cidr, uint16_t first_port, uint16_t last_port) {
  auto [address, length] = split_once(cidr, '/');
  auto base = parse_ipv4(address);
  auto bits = length ? parse_number<int>(*length) : std::nullopt;
  if (!base || !bits || *bits < 8 || *bits > 30) {
    return fail(Code::invalid, "service CIDR " + quoted(cidr) + ": must be an IPv4 range from /8 to /30, like 10.43.0.0/16");
  }
  ServiceAllocator out;
  out.cidr_ = cidr;
  out.size_ = 1u << (32 - *bits);
  out.base_ = *base & ~(out.size_ - 1);
  out.first_port_ = first_port;
  out.last_port_ = last_port;
  return out;
}

ServiceAllocator::ServiceAllocator(ServiceAllocator&& other) noexcept
    : cidr_(std::move(other.cidr_)),
      base_(other.base_),
      size_(other.size_),
      first_port_(other.first_port_),
      last_port_(other.last_port_),
      addresses_(std::move(other.addresses_)),
      ports_(std::move(other.ports_)) {}

std::string ServiceAllocator::address_at(uint32_t offset) const {
  in_addr address{htonl(base_ + offset)};
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &address, text, sizeof text);
  return text;
}

std::optional<uint32_t> ServiceAllocator::offset_of(std::string_view address) const {
  auto value = parse_ipv4(address);
  if (!value || *value <= base_ || *value - base_ >= size_ - 1) return std::nullopt;
  return *value - base_;
}

std::string ServiceAllocator::first_address() const { return address_at(1); }

Result<std::string> ServiceAllocator::take_address() {
  std::lock_guard lock(mutex_);
  uint32_t usable = size_ - 2;
  if (addresses_.size() >= usable)
    return fail(Code::exhausted, "no address of " + cidr_ + " is free; delete Services or use a larger --service-cidr");
  uint32_t start = random_below(usable);
  for (uint32_t i = 0; i < usable; i++) {
    uint32_t offset = 1 + (start + i) % usable;
    if (offset == 1) continue;  // kept for default/kubernetes
    if (addresses_.insert(offset).second) return address_at(offset);
  }
  return fail(Code::exhausted, "no address of " + cidr_ + " is free; delete Services or use a larger --service-cidr");
}

Result<uint16_t> ServiceAllocator::take_port() {
  std::lock_guard lock(mutex_);
  uint32_t count = last_port_ - first_port_ + 1u;
  uint32_t start = random_below(count);
  for (uint32_t i = 0; i < count; i++) {
    auto port = static_cast<uint16_t>(first_port_ + (start + i) % count);
    if (ports_.insert(port).second) return port;
  }
  return fail(Code::exhausted, "no node port is free");
}

Result<void> ServiceAllocator::take_address(std::string_view address) {
  auto offset = offset_of(address);
  if (!offset)
    return fail(Code::invalid,
                "the provided IP (" + std::string(address) + ") is not in the valid range. The range of valid IPs is " + cidr_);
  std::lock_guard lock(mutex_);
  if (!addresses_.insert(*offset).second) return fail(Code::already_exists, "provided IP is already allocated");
  return {};
}

Result<void> ServiceAllocator::take_port(uint16_t port) {
  if (port < first_port_ || port > last_port_) {
    return fail(Code::invalid, "provided port is not in the valid range. The range of valid ports is " + std::to_string(first_port_) + "-" +
                                   std::to_string(last_port_));
  }
  std::lock_guard lock(mutex_);
  if (!ports_.insert(port).second) return fail(Code::already_exists, "provided port is already allocated");
  return {};
}

void ServiceAllocator::release_address(std::string_view address) {
  if (auto offset = offset_of(address)) {
    std::lock_guard lock(mutex_);
    addresses_.erase(*offset);
  }
}

void ServiceAllocator::release_port(uint16_t port) {
  std::lock_guard lock(mutex_);
  ports_.erase(port);
}

void ServiceAllocator::adopt(const json::Node& service) {
  if (auto offset = offset_of(service.string_at("spec", "clusterIP"))) {
    std::lock_guard lock(mutex_);
    addresses_.insert(*offset);
  }
  const json::Node* ports = service.at("spec", "ports");
  if (!ports) return;
  std::lock_guard lock(mutex_);
  for (const json::Node& port : *ports) {
    const json::Node* node_port = port.find("nodePort");
    if (int64_t number = node_port ? node_port->as_int().value_or(0) : 0; number > 0) ports_.insert(static_cast<uint16_t>(number));
  }
}

}  // namespace estiba::apiserver
