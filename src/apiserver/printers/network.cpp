#include "apiserver/edit.h"
#include "apiserver/printers/printers.h"
#include "base/strings.h"

namespace estiba::apiserver::printers {
namespace {

std::string joined_strings(const json::Node* list) {
  std::vector<std::string> out;
  if (present(list)) {
    for (const json::Node& item : *list) out.emplace_back(item.as_string());
  }
  return join(out, ",");
}

// Services

constexpr TableColumn service_columns[] = {
    {"Name", "string", 0, "name"}, {"Type"}, {"Cluster-IP"}, {"External-IP"}, {"Port(s)"}, {"Age"}, {"Selector", "string", 1},
};

std::string balancer_addresses(const json::Node& service) {
  std::vector<std::string> out;
  if (const json::Node* ingress = service.at("status", "loadBalancer", "ingress")) {
    for (const json::Node& entry : *ingress)
      out.emplace_back(entry.string_at("ip").empty() ? entry.string_at("hostname") : entry.string_at("ip"));
  }
  return join(out, ",");
}

std::string external_address(const json::Node& service) {
  std::string_view type = service.string_at("spec", "type");
  std::string own = joined_strings(service.at("spec", "externalIPs"));
  if (type == "ExternalName") return std::string(service.string_at("spec", "externalName"));
  if (type != "LoadBalancer") return own.empty() ? "<none>" : own;
  std::string balancer = balancer_addresses(service);
  if (balancer.empty()) return own.empty() ? "<pending>" : own;
  return own.empty() ? balancer : balancer + "," + own;
}

std::string service_ports(const json::Node& service) {
  std::vector<std::string> out;
  if (const json::Node* ports = service.at("spec", "ports"); present(ports)) {
    for (const json::Node& port : *ports) {
      std::string text = std::to_string(count_of(port, "port"));
      if (int64_t node = count_of(port, "nodePort"); node > 0) text += ":" + std::to_string(node);
      out.push_back(text + "/" + std::string(port.string_at("protocol")));
    }
  }
  return out.empty() ? "<none>" : join(out, ",");
}

void service_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.field(object, "spec.type");
  cells.field(object, "spec.clusterIP", "<none>");
  cells.text(external_address(object));
  cells.text(service_ports(object));
  cells.age(object.string_at("metadata", "creationTimestamp"));
  cells.text(map_text(object.at("spec", "selector")));
}

// Endpoints

constexpr TableColumn endpoints_columns[] = {{"Name", "string", 0, "name"}, {"Endpoints"}, {"Age"}};

void endpoints_row(const json::Node& object, Cells& cells) {
  std::vector<std::string> all;
  if (const json::Node* subsets = object.find("subsets"); present(subsets)) {
    for (const json::Node& subset : *subsets) {
      const json::Node* addresses = subset.find("addresses");
      const json::Node* ports = subset.find("ports");
      if (!present(addresses)) continue;
      if (!present(ports) || ports->empty()) {
        for (const json::Node& address : *addresses) all.emplace_back(address.string_at("ip"));
        continue;
      }
      for (const json::Node& port : *ports) {
        for (const json::Node& address : *addresses)
          all.push_back(std::string(address.string_at("ip")) + ":" + std::to_string(count_of(port, "port")));
      }
    }
  }
  cells.text(object.string_at("metadata", "name"));
  cells.text(cut_list(all, 3));
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

constexpr TableColumn slice_columns[] = {{"Name", "string", 0, "name"}, {"AddressType"}, {"Ports"}, {"Endpoints"}, {"Age"}};

void slice_row(const json::Node& object, Cells& cells) {
  std::vector<std::string> ports, addresses;
  if (const json::Node* list = object.find("ports"); present(list)) {
    for (const json::Node& port : *list) {
      int64_t number = count_of(port, "port");
      ports.push_back(number > 0 ? std::to_string(number) : port.string_at("name").empty() ? "*" : std::string(port.string_at("name")));
    }
  }
  if (const json::Node* list = object.find("endpoints"); present(list)) {
    for (const json::Node& endpoint : *list) {
      const json::Node* own = endpoint.find("addresses");
      if (!present(own)) continue;
      for (const json::Node& address : *own) addresses.emplace_back(address.as_string());
    }
  }
  cells.text(object.string_at("metadata", "name"));
  cells.field(object, "addressType");
  cells.text(ports.empty() ? "<unset>" : cut_list(ports, 3));
  cells.text(addresses.empty() ? "<unset>" : cut_list(addresses, 3));
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

// Ingress and policies

constexpr TableColumn ingress_columns[] = {{"Name", "string", 0, "name"}, {"Class"}, {"Hosts"}, {"Address"}, {"Ports"}, {"Age"}};

void ingress_row(const json::Node& object, Cells& cells) {
  std::vector<std::string> hosts;
  if (const json::Node* rules = object.at("spec", "rules"); present(rules)) {
    for (const json::Node& rule : *rules) hosts.emplace_back(rule.string_at("host").empty() ? "*" : rule.string_at("host"));
  }
  cells.text(object.string_at("metadata", "name"));
  cells.field(object, "spec.ingressClassName", "<none>");
  cells.text(hosts.empty() ? "*" : cut_list(hosts, 3));
  cells.text(balancer_addresses(object));
  const json::Node* tls = object.at("spec", "tls");
  cells.text(present(tls) && !tls->empty() ? "80, 443" : "80");
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

constexpr TableColumn class_columns[] = {{"Name", "string", 0, "name"}, {"Controller"}, {"Parameters"}, {"Age"}};

void ingress_class_row(const json::Node& object, Cells& cells) {
  const json::Node* parameters = object.at("spec", "parameters");
  std::string text = "<none>";
  if (present(parameters)) {
    text = parameters->string_at("kind");
    if (std::string_view group = parameters->string_at("apiGroup"); !group.empty()) text.append(".").append(group);
    text.append("/").append(parameters->string_at("name"));
  }
  cells.text(object.string_at("metadata", "name"));
  cells.field(object, "spec.controller");
  cells.text(text);
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

constexpr TableColumn policy_columns[] = {{"Name", "string", 0, "name"}, {"Pod-Selector"}, {"Age"}};

void network_policy_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.text(selector_text(object.at("spec", "podSelector")));
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

constexpr Printer rows[] = {
    {"", "services", service_columns, service_row},
    {"", "endpoints", endpoints_columns, endpoints_row},
    {"discovery.k8s.io", "endpointslices", slice_columns, slice_row},
    {"networking.k8s.io", "ingresses", ingress_columns, ingress_row},
    {"networking.k8s.io", "ingressclasses", class_columns, ingress_class_row},
    {"networking.k8s.io", "networkpolicies", policy_columns, network_policy_row},
};

}  // namespace

std::span<const Printer> network() { return rows; }

}  // namespace estiba::apiserver::printers
