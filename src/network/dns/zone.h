// The cluster's names, as a pure data structure: what each Service says, and the answer to a question.
// Source: github.com/kubernetes/dns, docs/specification.md, version 1.1.0.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/types/core_v1.h"
#include "model/types/discovery_v1.h"
#include "network/address.h"
#include "network/dns/message.h"
#include "network/pod_net.h"

namespace estiba::network::dns {

/// What the DNS needs to know of a Service and its endpoints.
struct ServiceNames {
  struct Port {
    std::string name;  ///< lower case
    Protocol protocol = Protocol::tcp;
    uint16_t port = 0;
  };
  struct Endpoint {
    std::string host;  ///< its hostname, or its address with dashes
    Address address;
    std::vector<Port> ports;
  };
  std::string ns, name;
  std::string external_name;
  std::vector<Address> cluster_ips;  ///< none: headless
  std::vector<Port> ports;
  std::vector<Endpoint> endpoints;  ///< ready ones, or all with publishNotReadyAddresses
};
ServiceNames names_of(const model::core_v1::Service& service, const std::vector<const model::discovery_v1::EndpointSlice*>& slices);

class Zone {
 public:
  struct Config {
    std::string domain = "cluster.local";
    std::vector<Address> servers;  ///< the DNS itself: "ns.dns.<domain>"
    std::vector<Prefix> owned;     ///< pods and services: reverse look-ups in these are never forwarded
  };
  explicit Zone(Config config);

  /// `key` is "ns/name"; null removes it.
  void set(const std::string& key, std::shared_ptr<const ServiceNames> names);

  using Result = dns::Found;
  /// nullopt: not a name of the cluster's, ask another server.
  std::optional<Result> answer(const Name& name, uint16_t type) const;

 private:
  using Labels = std::vector<std::string>;
  using Services = std::unordered_map<std::string, std::shared_ptr<const ServiceNames>>;
  struct Found;

  Found find(const Labels& labels, uint16_t type) const;
  void find_service(Found& found, const ServiceNames& service, uint16_t type) const;
  void find_endpoint(Found& found, const ServiceNames& service, std::string_view host, uint16_t type) const;
  void find_srv(Found& found, const ServiceNames& service, std::string_view port, std::string_view protocol, uint16_t type) const;
  void find_pod(Found& found, std::string_view dashed, uint16_t type) const;
  std::optional<std::vector<Record>> answer_target(const Name& target, uint16_t type) const;
  std::optional<Labels> within(const Name& name) const;
  std::optional<Result> reverse(const Name& name, const Labels& labels, uint16_t type) const;
  void link(const ServiceNames& service, bool add);
  Name service_name(const ServiceNames& service) const;
  Record soa(const Name& owner) const;

  Config config_;
  Name apex_;
  size_t depth_;  // labels of the apex
  Services services_;
  std::map<std::string, int> namespaces_;         // services in each
  std::map<Address, std::map<Name, int>> names_;  // for reverse look-ups
};

}  // namespace estiba::network::dns
