#include "apiserver/reservations.h"

#include "apiserver/edit.h"
#include "apiserver/kept.h"
#include "base/address.h"
#include "base/strings.h"
#include "base/time.h"

namespace estiba::apiserver {

const Resource& address_resource() {
  static const Resource& row = *model::schema::find_resource("networking.k8s.io", "v1", "ipaddresses");
  return row;
}

namespace {

// As an object that a client has created, with the owner of its fields.
std::string ip_address(std::string_view address, const ServiceName& holder, WallTime now) {
  const std::string time = format_rfc3339(now);
  const std::string_view family = address.contains(':') ? "IPv6" : "IPv4";
  std::string out = R"({"apiVersion":"networking.k8s.io/v1","kind":"IPAddress","metadata":{"name":)" + quoted(address);
  out += R"(,"uid":")" + random_uuid() + R"(","creationTimestamp":")" + time + R"(","labels":{")";
  out.append(address_family_label).append("\":\"").append(family).append("\",\"");
  out.append(address_manager_label).append("\":\"").append(address_manager);
  out += R"("},"managedFields":[{"manager":"kube-apiserver","operation":"Update","apiVersion":"networking.k8s.io/v1","time":")" + time;
  out += R"(","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{".":{},"f:)";
  out.append(address_family_label).append("\":{},\"f:").append(address_manager_label);
  out += R"(":{}}},"f:spec":{"f:parentRef":{".":{},"f:group":{},"f:name":{},"f:namespace":{},"f:resource":{}}}}}]})";
  out += R"(,"spec":{"parentRef":{"group":"","resource":"services","namespace":)" + quoted(holder.ns) + R"(,"name":)" + quoted(holder.name);
  return out + "}}}";
}

std::optional<ServiceName> service_of(const json::Node& reference) {
  if (reference.string_at("resource") != "services" || !reference.string_at("group").empty()) return std::nullopt;
  return ServiceName{std::string(reference.string_at("namespace")), std::string(reference.string_at("name"))};
}

}  // namespace

std::string canonical_address(std::string_view address) {
  const auto parsed = Address::parse(address);
  return parsed ? parsed->text() : std::string(address);
}

std::string address_key(std::string_view address) { return key_of(address_resource(), {}, address); }
std::string port_key(uint16_t port) { return std::string(ports_prefix) + std::to_string(port); }

Holdings holdings(const json::Node& service) {
  Holdings out;
  const json::Node* spec = service.find("spec");
  if (!spec) return out;
  const auto add_port = [&](const json::Node* node) {
    if (int64_t number = node ? node->as_int().value_or(0) : 0; number > 0 && number < 65536) out.ports.insert(uint16_t(number));
  };
  if (const json::Node* ports = spec->find("ports"); present(ports))
    for (const json::Node& port : *ports) add_port(port.find("nodePort"));
  add_port(spec->find("healthCheckNodePort"));
  if (spec->string_at("type") == "ExternalName") return out;
  const auto add_address = [&](std::string_view address) {
    if (!address.empty() && address != "None") out.addresses.insert(canonical_address(address));
  };
  add_address(spec->string_at("clusterIP"));
  if (const json::Node* list = spec->find("clusterIPs"); present(list))
    for (const json::Node& address : *list) add_address(address.as_string());
  return out;
}

std::optional<ServiceName> holder_of_address(const json::Node& ip_address) {
  const json::Node* parent = ip_address.at("spec", "parentRef");
  return parent ? service_of(*parent) : std::nullopt;
}

std::optional<ServiceName> holder_of_port(const store::Entry& entry) {
  auto doc = json::Document::parse(entry.value);
  return doc ? service_of(doc->root()) : std::nullopt;
}

Result<store::Write> take_address(std::string_view address, const ServiceName& holder, WallTime now) {
  const json::Document doc = TRY_AS("IPAddress " + std::string(address), json::Document::parse(ip_address(address, holder, now)));
  auto facts = TRY(make_kept(doc.root(), strategy_of(address_resource())));
  store::Write out{.key = address_key(address), .value = facts->object->shared_json(), .expect = 0};
  out.attachment = std::move(facts);
  return out;
}

store::Write take_port(uint16_t port, const ServiceName& holder) {
  return {.key = port_key(port),
          .value = R"({"resource":"services","namespace":)" + quoted(holder.ns) + R"(,"name":)" + quoted(holder.name) + "}",
          .expect = 0};
}

// Of an IPAddress with finalizers nothing is removed here: whoever repairs deletes it as every client does.
Result<void> give_back(store::Store& store, const ServiceName& holder, const Holdings& from, const Holdings& kept,
                       std::vector<store::Write>& out) {
  const auto remove = [&](const store::Entry& entry) {
    out.push_back({.kind = store::Write::Kind::remove, .key = entry.key, .expect = entry.mod_revision});
  };
  for (const std::string& address : from.addresses) {
    if (kept.addresses.contains(address)) continue;
    auto entry = store.get(address_key(address));
    if (!entry) continue;
    const json::Document doc = TRY_AS("stored object " + (*entry)->key, json::Document::parse((*entry)->value));
    const json::Node* finalizers = doc.root().at("metadata", "finalizers");
    if (holder_of_address(doc.root()) == holder && (!present(finalizers) || finalizers->empty())) remove(**entry);
  }
  for (uint16_t port : from.ports) {
    if (kept.ports.contains(port)) continue;
    auto entry = store.get(port_key(port));
    if (entry && holder_of_port(**entry) == holder) remove(**entry);
  }
  return {};
}

}  // namespace estiba::apiserver
