// Where the proxy subresource of a pod, service or node leads: NAME, NAME:PORT or SCHEME:NAME:PORT, as
// k8s.io/apimachinery/pkg/util/net and the ResourceLocation functions of pkg/registry/core read it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "apiserver/cluster.h"

namespace estiba::apiserver {

struct ProxyName {
  std::string scheme, name, port;  ///< scheme: "", http or https
};
/// Code::malformed when it is none of the three forms.
Result<ProxyName> parse_proxy_name(std::string_view kind, std::string_view id);

struct ProxyLocation {
  std::string scheme;     ///< http or https
  std::string authority;  ///< host and port
  bool node_api = false;  ///< the node's own API: shown the API server's client certificate
};

/// `resource` is pods, services or nodes. Code::not_found, malformed (an id or address that is not allowed) or unavailable (no endpoint).
Result<ProxyLocation> proxy_location(const Cluster& cluster, std::string_view resource, std::string_view ns, std::string_view id);

/// The path at the backend: dot segments resolved and repeated slashes dropped, so that it cannot leave where it begins; a slash at
/// the end stays. Empty stays empty.
std::string clean_proxy_path(std::string_view raw_tail);

/// Whether an address may be reached by proxy: neither unspecified, loopback, link-local nor multicast.
bool is_global_unicast(std::string_view address);

}  // namespace estiba::apiserver
