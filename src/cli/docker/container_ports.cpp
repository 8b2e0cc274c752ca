#include "base/strings.h"
#include "cli/docker/container_options.h"

namespace estiba::cli::docker {

namespace {

struct Range {
  uint32_t first = 0, last = 0;
  uint32_t count() const { return last - first + 1; }
};

Result<Range> parse_range(std::string_view text, std::string_view what) {
  auto bad = [&] { return fail(Code::invalid, "invalid " + std::string(what) + ": " + std::string(text)); };
  auto [first, last] = split_once(text, '-');
  auto low = parse_number<uint16_t>(first), high = last ? parse_number<uint16_t>(*last) : low;
  if (!low || !high || *high < *low) return bad();
  return Range{*low, *high};
}

Result<std::pair<std::string_view, std::string>> split_protocol(std::string_view text) {
  auto [port, protocol] = split_once(text, '/');
  std::string name = protocol ? to_lower(*protocol) : "tcp";
  if (name != "tcp" && name != "udp" && name != "sctp") return fail(Code::invalid, "invalid proto: " + name);
  return std::pair(port, std::move(name));
}

}  // namespace

Result<void> add_exposed(std::string_view spec, Object config) {
  if (spec.contains(':')) return fail(Code::invalid, "invalid port format for --expose: " + std::string(spec));
  const auto [port, protocol] = TRY(split_protocol(spec));
  auto range = parse_range(port, "port");
  if (!range) return fail(Code::invalid, "invalid range format for --expose: " + std::string(spec) + ", error: " + range.error().message);
  Object ports = config.object("ExposedPorts");
  for (uint32_t i = range->first; i <= range->last; ++i) ports.object(std::to_string(i) + "/" + protocol);
  return {};
}

Result<void> add_published(std::string_view spec, Object config, Object host) {
  const auto [text, protocol] = TRY(split_protocol(spec));
  // [[address:][host port]:]container port; an IPv6 address stands in brackets.
  std::string_view container = text, published, address;
  if (const size_t colon = text.rfind(':'); colon != text.npos) {
    container = text.substr(colon + 1);
    published = text.substr(0, colon);
    if (const size_t second = published.rfind(':'); second != published.npos && !published.ends_with(']')) {
      address = published.substr(0, second);
      published.remove_prefix(second + 1);
    } else if (published.ends_with(']') || published.contains('.')) {
      address = published;
      published = {};
    }
  }
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  if (address.contains('[') || address.contains(']') || address.contains('/'))
    return fail(Code::invalid, "invalid IP address: " + std::string(address));
  if (container.empty()) return fail(Code::invalid, "no port specified: " + std::string(spec) + "<empty>");
  const Range inside = TRY(parse_range(container, "containerPort"));
  Range outside{};
  if (!published.empty()) {
    outside = TRY(parse_range(published, "hostPort"));
    // A range for one port lets the daemon choose from it.
    if (inside.count() != outside.count() && inside.count() != 1)
      return fail(Code::invalid,
                  "invalid ranges specified for container and host Ports: " + std::string(container) + " and " + std::string(published));
  }
  for (uint32_t i = 0; i < inside.count(); ++i) {
    const std::string key = std::to_string(inside.first + i) + "/" + protocol;
    config.object("ExposedPorts").object(key);
    std::string port;
    if (!published.empty()) port = inside.count() == outside.count() ? std::to_string(outside.first + i) : std::string(published);
    host.object("PortBindings").append(key).set("HostIp", address).set("HostPort", port);
  }
  return {};
}

}  // namespace estiba::cli::docker
