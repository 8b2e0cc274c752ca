#include "network/flows.h"

#include <netinet/in.h>

#include <algorithm>
#include <ctime>

#include "base/strings.h"
#include "base/time.h"
#include "client/json_writer.h"
#include "model/types/core_v1.h"
#include "model/types/networking_v1.h"

namespace estiba::network {

using policy::Direction;

namespace {

std::string protocol_text(uint8_t number) {
  switch (number) {
    case IPPROTO_TCP: return "tcp";
    case IPPROTO_UDP: return "udp";
    case IPPROTO_SCTP: return "sctp";
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6: return "icmp";
    default: return std::to_string(number);
  }
}

// By whom, to whom, by way of what: what is summed up.
using FlowKey = std::tuple<Address, Address, Address, uint16_t, uint16_t, std::string>;

WallTime wall_of(uint64_t nanoseconds) { return WallTime(std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(nanoseconds))); }

}  // namespace

std::string FlowEnd::text() const {
  if (kind == "pod") return ns + "/" + name;
  if (kind == "service") return "service/" + ns + "/" + name;
  if (kind == "node") return "node/" + name;
  return address.text();
}

// --- names -----------------------------------------------------------------------------------------------------------

void Directory::add_pod(const model::ObjectRef& pod) {
  const auto& typed = pod.as<model::core_v1::Pod>();
  // Such a pod has the node's address; one that has ended may have left its address to another.
  if (typed.spec.hostNetwork.value_or(false) || typed.status.phase == "Succeeded" || typed.status.phase == "Failed") return;
  for (const auto& ip : typed.status.podIPs)
    if (auto address = Address::parse(ip.ip)) pods_[*address] = {pod.meta().ns, pod.meta().name, typed.spec.nodeName, pod.meta().labels};
}

void Directory::add_service(const model::ObjectRef& service) {
  const auto& typed = service.as<model::core_v1::Service>();
  std::vector<std::string> addresses = typed.spec.clusterIPs;
  addresses.insert(addresses.end(), typed.spec.externalIPs.begin(), typed.spec.externalIPs.end());
  for (const std::string& text : addresses)
    if (auto address = Address::parse(text))
      services_[*address] = {.address = *address, .kind = "service", .ns = service.meta().ns, .name = service.meta().name};
}

void Directory::add_node(const model::ObjectRef& node) {
  for (const auto& one : node.as<model::core_v1::Node>().status.addresses)
    if (auto address = Address::parse(one.address)) nodes_[*address] = {.address = *address, .kind = "node", .name = node.meta().name};
}

void Directory::add_policy(const model::ObjectRef& policy) {
  policies_.emplace_back(
      policy.meta().ns + "/" + policy.meta().name,
      policy::rules_of(policy.as<model::networking_v1::NetworkPolicy>(), false));  // who is isolated is the same for both families
}

FlowEnd Directory::end(const Address& address, uint16_t port) const {
  FlowEnd out{.address = address};
  if (const auto pod = pods_.find(address); pod != pods_.end())
    out = {.address = address, .kind = "pod", .ns = pod->second.ns, .name = pod->second.name, .node = pod->second.node};
  else if (const auto service = services_.find(address); service != services_.end()) out = service->second;
  else if (const auto node = nodes_.find(address); node != nodes_.end()) out = node->second;
  out.port = port;
  return out;
}

std::vector<std::string> Directory::isolating(const Address& pod, Direction direction) const {
  std::vector<std::string> names;
  const auto found = pods_.find(pod);
  if (found == pods_.end()) return names;
  for (const auto& [name, rules] : policies_)
    if (rules.ns == found->second.ns && (direction == Direction::ingress ? rules.ingress : rules.egress) &&
        rules.pods.matches(found->second.labels))
      names.push_back(name);
  return names;
}

bool FlowFilter::wants(const Flow& flow) const {
  const auto fits = [&](const FlowEnd& end) {
    return (ns.empty() || end.ns == ns) && (pod.empty() || (end.kind == "pod" && end.name == pod));
  };
  return fits(flow.source) || fits(flow.destination) || fits(flow.service);
}

// --- flows -----------------------------------------------------------------------------------------------------------

std::vector<Flow> flows_of(const std::vector<os::conntrack::Connection>& connections, const std::vector<policy::Denied>& denied,
                           const Directory& directory, WallTime now) {
  std::map<FlowKey, Flow> sums;
  for (const auto& one : connections) {
    const Address source = Address::from_raw(one.source), asked = Address::from_raw(one.destination),
                  server = Address::from_raw(one.server);
    const bool translated = asked != server || one.destination_port != one.server_port;
    const std::string protocol = protocol_text(one.protocol);
    Flow& flow = sums[{source, server, translated ? asked : Address(), one.server_port, translated ? one.destination_port : 0, protocol}];
    if (flow.connections++ == 0) {
      flow.source = directory.end(source, 0);
      flow.destination = directory.end(server, one.server_port);
      if (translated) flow.service = directory.end(asked, one.destination_port);
      flow.protocol = protocol;
    }
    flow.answered |= one.answered;
    flow.packets += one.packets_sent + one.packets_received;
    flow.bytes += one.bytes_sent + one.bytes_received;
    if (one.began_ns && (flow.since == WallTime{} || wall_of(one.began_ns) < flow.since)) flow.since = wall_of(one.began_ns);
  }
  std::vector<Flow> flows;
  for (auto& [key, flow] : sums) flows.push_back(std::move(flow));
  for (const policy::Denied& one : denied) {
    const bool inward = one.direction == Direction::ingress;
    flows.push_back({.source = directory.end(one.source, 0),
                     .destination = directory.end(one.destination, one.port),
                     .protocol = protocol_text(one.protocol),
                     .denied = true,
                     .policies = directory.isolating(inward ? one.destination : one.source, one.direction),
                     .packets = one.packets,
                     .bytes = one.bytes,
                     .last = now - std::chrono::milliseconds(one.ago_ms)});
  }
  std::ranges::stable_sort(flows, [](const Flow& a, const Flow& b) {
    return std::tuple(a.source.text(), a.destination.text(), a.destination.port) <
           std::tuple(b.source.text(), b.destination.text(), b.destination.port);
  });
  return flows;
}

Result<KernelFlows> read_kernel() {
  auto socket = TRY(os::netlink::Socket::open(NETLINK_NETFILTER));
  KernelFlows out;
  TRY(os::conntrack::list(socket, [&](const os::conntrack::Connection& one) { out.connections.push_back(one); }));
  out.denied = TRY(policy::PolicyTable::denied(socket));
  return out;
}

// --- for people and programs -----------------------------------------------------------------------------------------

namespace {

std::string port_text(const FlowEnd& end, const std::string& protocol) {
  const std::string text = end.port && end.kind.empty() && end.address.v6 ? "[" + end.text() + "]" : end.text();
  return text + (end.port ? ":" + std::to_string(end.port) : "") + (protocol.empty() ? "" : "/" + protocol);
}

std::string verdict(const Flow& flow) {
  if (!flow.denied) return flow.answered ? "accepted" : "accepted, no answer";
  return "denied" + (flow.policies.empty() ? "" : " by " + join(flow.policies, ", "));
}

std::string clock_text(WallTime time) {
  if (time == WallTime{}) return "-";
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[16];
  return std::string(text, std::strftime(text, sizeof text, "%H:%M:%S", &parts));
}

void add_end(client::JsonWriter& json, std::string_view key, const FlowEnd& end) {
  json.object(key).field("address", end.address.text());
  if (end.port) json.field("port", end.port);
  if (!end.kind.empty()) json.field("kind", end.kind);
  if (!end.ns.empty()) json.field("namespace", end.ns);
  if (!end.name.empty()) json.field("name", end.name);
  if (!end.node.empty()) json.field("node", end.node);
  json.end();
}

}  // namespace

std::string flows_table(const std::vector<Flow>& flows, bool heading) {
  std::vector<std::array<std::string, 7>> rows;
  if (heading) rows.push_back({"SOURCE", "DESTINATION", "BY WAY OF", "PACKETS", "BYTES", "SINCE", "VERDICT"});
  for (const Flow& flow : flows)
    rows.push_back({flow.source.text(), port_text(flow.destination, flow.protocol),
                    flow.service.port || !flow.service.kind.empty() ? port_text(flow.service, "") : "-", std::to_string(flow.packets),
                    std::to_string(flow.bytes), clock_text(flow.denied ? flow.last : flow.since), verdict(flow)});
  std::array<size_t, 7> widths{28, 36, 20, 7, 9, 8, 0};
  for (const auto& row : rows)
    for (size_t i = 0; i + 1 < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - row[i].size() + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

std::string flows_json(const std::vector<Flow>& flows) {
  client::JsonWriter json;
  json.object().array("flows");
  for (const Flow& flow : flows) {
    json.object();
    add_end(json, "source", flow.source);
    add_end(json, "destination", flow.destination);
    if (flow.service.port || !flow.service.kind.empty()) add_end(json, "by", flow.service);
    json.field("protocol", flow.protocol).field("verdict", flow.denied ? "denied" : "accepted");
    if (flow.denied) {
      json.array("policies");
      for (const std::string& name : flow.policies) json.value(name);
      json.end();
    } else {
      json.field("answered", flow.answered).field("connections", flow.connections);
    }
    json.field("packets", flow.packets).field("bytes", flow.bytes);
    if (flow.since != WallTime{}) json.field("since", format_rfc3339(flow.since));
    if (flow.last != WallTime{}) json.field("last", format_rfc3339(flow.last));
    json.end();
  }
  json.end().end();
  return json.take();
}

}  // namespace estiba::network
