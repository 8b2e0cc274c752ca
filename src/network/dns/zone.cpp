#include "network/dns/zone.h"

#include "base/strings.h"

namespace estiba::network::dns {

using model::core_v1::Service;
using model::discovery_v1::EndpointSlice;

static constexpr uint32_t kTtl = 5;

// --- from objects ----------------------------------------------------------------------------------------------------

static Protocol protocol_of(std::string_view text) {
  return text == "UDP" ? Protocol::udp : text == "SCTP" ? Protocol::sctp : Protocol::tcp;
}

static std::string dashed(const Address& address) {
  std::string text = address.text();
  std::ranges::replace(text, address.v6 ? ':' : '.', '-');
  return text;
}

ServiceNames names_of(const Service& service, const std::vector<const EndpointSlice*>& slices) {
  const auto& spec = service.spec;
  ServiceNames names{.ns = to_lower(service.metadata.namespace_), .name = to_lower(service.metadata.name)};
  if (spec.type == "ExternalName") {
    names.external_name = spec.externalName;
    return names;
  }
  if (spec.clusterIP != "None")
    for (const std::string& text : spec.clusterIPs.empty() ? std::vector<std::string>{spec.clusterIP} : spec.clusterIPs)
      if (auto address = Address::parse(text)) names.cluster_ips.push_back(*address);
  for (const auto& port : spec.ports) names.ports.push_back({to_lower(port.name), protocol_of(port.protocol), uint16_t(port.port)});
  bool all = spec.publishNotReadyAddresses.value_or(false);
  for (const EndpointSlice* slice : slices) {
    std::vector<ServiceNames::Port> ports;
    for (const auto& port : slice->ports)
      ports.push_back({to_lower(port.name), protocol_of(port.protocol), uint16_t(port.port.value_or(0))});
    for (const auto& endpoint : slice->endpoints) {
      if (!all && endpoint.conditions && !endpoint.conditions->ready.value_or(true)) continue;
      for (const std::string& text : endpoint.addresses)
        if (auto address = Address::parse(text))
          names.endpoints.push_back({endpoint.hostname.empty() ? dashed(*address) : to_lower(endpoint.hostname), *address, ports});
    }
  }
  return names;
}

// --- upkeep ----------------------------------------------------------------------------------------------------------

Zone::Zone(Config config)
    : config_(std::move(config)), apex_(make_name(to_lower(config_.domain)).value_or(Name(1, '\0'))), depth_(labels_of(apex_).size()) {}

Name Zone::service_name(const ServiceNames& service) const { return prepend(service.name, prepend(service.ns, prepend("svc", apex_))); }

void Zone::link(const ServiceNames& service, bool add) {
  auto count = [add](auto& map, const auto& key) {
    auto [entry, fresh] = map.try_emplace(key, 0);
    if ((entry->second += add ? 1 : -1) == 0) map.erase(entry);
  };
  count(namespaces_, service.ns);
  Name name = service_name(service);
  auto name_address = [&](const Address& address, const Name& name) {
    count(names_[address], name);
    if (names_[address].empty()) names_.erase(address);
  };
  for (const Address& address : service.cluster_ips) name_address(address, name);
  for (const auto& endpoint : service.endpoints) name_address(endpoint.address, prepend(endpoint.host, name));
}

void Zone::set(const std::string& key, std::shared_ptr<const ServiceNames> names) {
  auto old = services_.find(key);
  if (old != services_.end()) {
    link(*old->second, false);
    services_.erase(old);
  }
  if (!names) return;
  link(*names, true);
  services_.emplace(key, std::move(names));
}

// --- answers ---------------------------------------------------------------------------------------------------------

struct Zone::Found {
  Name name;            // the question's, in its spelling
  bool exists = false;  // the name, if not with this type
  std::vector<Record> answers, additional;
  Name chase;

  void add(uint16_t type, std::string data) { answers.push_back({name, type, kTtl, std::move(data)}); }
  void add_address(const Address& address, uint16_t type) {
    if (type == (address.v6 ? type_aaaa : type_a) || type == type_any) add(address.v6 ? type_aaaa : type_a, std::string(address.raw()));
  }
};

Record Zone::soa(const Name& owner) const {
  Name server = prepend("ns", prepend("dns", apex_));
  return {owner, type_soa, kTtl, soa_data(server, prepend("hostmaster", apex_), 1, kTtl)};
}

void Zone::find_service(Found& found, const ServiceNames& service, uint16_t type) const {
  found.exists = true;
  if (!service.external_name.empty()) {
    auto target = make_name(service.external_name);
    if (!target) return;
    found.add(type_cname, *target);
    if (type != type_cname) found.chase = *target;
    return;
  }
  if (type == type_srv) return find_srv(found, service, "", "", type);
  if (service.cluster_ips.empty()) {
    std::set<Address> seen;
    for (const auto& endpoint : service.endpoints)
      if (seen.insert(endpoint.address).second) found.add_address(endpoint.address, type);
  }
  for (const Address& address : service.cluster_ips) found.add_address(address, type);
}

void Zone::find_endpoint(Found& found, const ServiceNames& service, std::string_view host, uint16_t type) const {
  std::set<Address> seen;
  for (const auto& endpoint : service.endpoints) {
    if (endpoint.host != host || !seen.insert(endpoint.address).second) continue;
    found.exists = true;
    found.add_address(endpoint.address, type);
  }
}

// An empty port or protocol stands for all.
void Zone::find_srv(Found& found, const ServiceNames& service, std::string_view port, std::string_view protocol, uint16_t type) const {
  auto matches = [&](const ServiceNames::Port& candidate) {
    std::string_view name = candidate.protocol == Protocol::tcp ? "tcp" : candidate.protocol == Protocol::udp ? "udp" : "sctp";
    return (port.empty() || candidate.name == port) && (protocol.empty() || name == protocol);
  };
  bool wanted = type == type_srv || type == type_any;
  auto add = [&](uint16_t number, size_t of, const Name& target, const std::vector<Address>& addresses) {
    found.exists = true;
    if (!wanted) return;
    found.add(type_srv, srv_data(0, uint16_t(std::max<size_t>(1, 100 / std::max<size_t>(1, of))), number, target));
    for (const Address& address : addresses)
      found.additional.push_back({target, uint16_t(address.v6 ? type_aaaa : type_a), kTtl, std::string(address.raw())});
  };
  Name name = service_name(service);
  if (!service.cluster_ips.empty()) {
    for (const auto& candidate : service.ports)
      if (matches(candidate)) add(candidate.port, 1, name, service.cluster_ips);
    return;
  }
  for (const auto& endpoint : service.endpoints)
    for (const auto& candidate : endpoint.ports)
      if (matches(candidate)) add(candidate.port, service.endpoints.size(), prepend(endpoint.host, name), {endpoint.address});
}

// "10-42-0-5": the address is all there is to know.
void Zone::find_pod(Found& found, std::string_view dashed, uint16_t type) const {
  std::string text(dashed);
  std::ranges::replace(text, '-', '.');
  auto address = Address::parse(text);
  if (!address) {
    std::ranges::replace(text, '.', ':');
    address = Address::parse(text);
  }
  if (!address) return;
  found.exists = true;
  found.add_address(*address, type);
}

Zone::Found Zone::find(const Labels& labels, uint16_t type) const {
  Found found;
  auto is = [&](size_t from_end, std::string_view text) {
    return labels.size() > from_end && labels[labels.size() - 1 - from_end] == text;
  };
  const size_t count = labels.size();
  if (count == 0) {
    found.exists = true;
    found.name = apex_;
    if (type == type_soa || type == type_any) found.answers.push_back(soa(apex_));
    if (type == type_ns || type == type_any) found.add(type_ns, prepend("ns", prepend("dns", apex_)));
  } else if (is(0, "dns-version") && count == 1) {
    found.exists = true;
    if (type == type_txt || type == type_any)
      found.add(type_txt,
                "\x05"
                "1.1.0");
  } else if (is(0, "dns") && count <= 2) {
    found.exists = count == 1 || is(1, "ns");
    if (is(1, "ns"))
      for (const Address& server : config_.servers) found.add_address(server, type);
  } else if (is(0, "pod") && count <= 3) {
    found.exists = count < 3;
    if (count == 3) find_pod(found, labels[0], type);
  } else if (is(0, "svc")) {
    if (count <= 2) {
      found.exists = count == 1 || namespaces_.contains(labels[0]);
      return found;
    }
    auto service = services_.find(labels[count - 2] + "/" + labels[count - 3]);
    if (service == services_.end()) return found;
    const ServiceNames& names = *service->second;
    if (count == 3) find_service(found, names, type);
    else if (count == 4 && labels[0].starts_with('_'))
      found.exists = std::ranges::any_of(std::vector{"_tcp", "_udp", "_sctp"}, [&](auto p) { return labels[0] == p; });
    else if (count == 4) find_endpoint(found, names, labels[0], type);
    else if (count == 5 && labels[0].starts_with('_') && labels[1].starts_with('_'))
      find_srv(found, names, labels[0].substr(1), labels[1].substr(1), type);
  }
  return found;
}

// "5.0.42.10.in-addr.arpa" or 32 nibbles before "ip6.arpa".
static std::optional<Address> reverse_address(const std::vector<std::string>& labels) {
  const size_t count = labels.size();
  if (count < 2 || labels[count - 1] != "arpa") return std::nullopt;
  std::string text;
  if (labels[count - 2] == "in-addr" && count == 6) {
    for (size_t i = 4; i-- > 0;) text += labels[i] + (i ? "." : "");
  } else if (labels[count - 2] == "ip6" && count == 34) {
    for (size_t i = 32; i-- > 0;) text += labels[i] + (i && i % 4 == 0 ? ":" : "");
  } else {
    return std::nullopt;
  }
  auto address = Address::parse(text);
  return address ? std::optional(*address) : std::nullopt;
}

std::optional<Zone::Result> Zone::reverse(const Name& name, const Labels& labels, uint16_t type) const {
  auto address = reverse_address(labels);
  if (!address) return std::nullopt;
  auto known = names_.find(*address);
  bool ours = std::ranges::any_of(config_.owned, [&](const Prefix& prefix) { return prefix.contains(*address); });
  if (known == names_.end() && !ours) return std::nullopt;
  Result result{.reply = {.authoritative = true}};
  if (known != names_.end() && (type == type_ptr || type == type_any))
    for (const auto& [target, uses] : known->second) result.reply.answers.push_back({name, type_ptr, kTtl, target});
  if (result.reply.answers.empty()) {
    if (known == names_.end()) result.reply.rcode = name_error;
    result.reply.authority.push_back(soa(*make_name(address->v6 ? "ip6.arpa" : "in-addr.arpa")));
  }
  return result;
}

static std::vector<std::string> lower_labels(const Name& name) {
  Name low = lower(name);
  std::vector<std::string> labels;
  for (std::string_view label : labels_of(low)) labels.emplace_back(label);
  return labels;
}

// The labels before the cluster's domain, or nullopt for a name outside of it.
std::optional<Zone::Labels> Zone::within(const Name& name) const {
  Labels labels = lower_labels(name);
  auto apex = labels_of(apex_);
  if (labels.size() < depth_ || !std::equal(apex.begin(), apex.end(), labels.end() - long(depth_))) return std::nullopt;
  labels.resize(labels.size() - depth_);
  return labels;
}

std::optional<Zone::Result> Zone::answer(const Name& name, uint16_t type) const {
  auto labels = within(name);
  if (!labels) return reverse(name, lower_labels(name), type);
  Found found = find(*labels, type);
  Result result{.reply = {.authoritative = true}};
  for (Record& record : found.answers) record.name = name;
  result.reply.answers = std::move(found.answers);
  result.reply.additional = std::move(found.additional);
  if (!found.chase.empty()) {
    // A target within the cluster is answered here, once: a service that leads to itself ends there.
    auto further = answer_target(found.chase, type);
    if (!further) result.chase = std::move(found.chase);
    else result.reply.answers.insert(result.reply.answers.end(), further->begin(), further->end());
  }
  if (result.reply.answers.empty()) {
    if (!found.exists) result.reply.rcode = name_error;
    result.reply.authority.push_back(soa(apex_));
  }
  return result;
}

// The records of a CNAME's target when that is a name of the cluster.
std::optional<std::vector<Record>> Zone::answer_target(const Name& target, uint16_t type) const {
  auto labels = within(target);
  if (!labels) return std::nullopt;
  Found found = find(*labels, type);
  for (Record& record : found.answers) record.name = target;
  return std::move(found.answers);
}

}  // namespace estiba::network::dns
