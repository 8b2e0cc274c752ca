// What Services hold, as it stands in the store. A cluster address is an IPAddress object whose parentRef names the Service; a
// node port is a key of its own, /registry/ranges/nodeports/<port>, whose value names it likewise. They are written and removed
// together with the Service (store::Write::with), so that no two Services get the same one, whichever server they are made at.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "model/json.h"
#include "model/schema.h"
#include "store/store.h"

namespace estiba::apiserver {

/// Label of IPAddress objects that belong to a Service's address, and its value; and the label that says which family.
inline constexpr std::string_view address_manager_label = "ipaddress.kubernetes.io/managed-by", address_manager = "ipallocator.k8s.io",
                                  address_family_label = "ipaddress.kubernetes.io/ip-family";

/// The IPAddresses.
const model::schema::Resource& address_resource();
/// The form of an address that IPAddresses are named by; what is none stays as it is.
std::string canonical_address(std::string_view address);
/// Of an address in that form.
std::string address_key(std::string_view address);
std::string port_key(uint16_t port);
/// Below it are the keys of all ports.
inline constexpr std::string_view ports_prefix = "/registry/ranges/nodeports/";

struct ServiceName {
  std::string ns, name;
  auto operator<=>(const ServiceName&) const = default;
  std::string text() const { return ns + "/" + name; }
};

/// What a Service holds, each address in its canonical form, of the cluster's addresses and node ports, the port of its health check
/// included.
struct Holdings {
  std::set<std::string> addresses;
  std::set<uint16_t> ports;
};
Holdings holdings(const json::Node& service);

/// Who holds a stored reservation: the parent of an IPAddress, when it is a Service; what a port's value says.
std::optional<ServiceName> holder_of_address(const json::Node& ip_address);
std::optional<ServiceName> holder_of_port(const store::Entry& entry);

/// The writes that reserve; each fails when the key is there.
Result<store::Write> take_address(std::string_view address, const ServiceName& holder, WallTime now);
store::Write take_port(uint16_t port, const ServiceName& holder);
/// The writes that give back what `from` has and `kept` has not, as far as it is this Service's.
Result<void> give_back(store::Store& store, const ServiceName& holder, const Holdings& from, const Holdings& kept,
                       std::vector<store::Write>& out);

}  // namespace estiba::apiserver
