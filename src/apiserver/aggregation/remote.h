// An APIService that another server answers: what its object says, where that server is, and how it is asked
// (k8s.io/kube-aggregator).
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/action.h"
#include "apiserver/cluster.h"
#include "base/task.h"
#include "io/http.h"
#include "io/tls.h"

namespace estiba::apiserver {

/// What the aggregator shows extension servers; empty: no certificate is shown.
struct FrontProxy {
  std::string certificate_pem, key_pem;  ///< of the client
  std::string ca_pem;                    ///< signs it; published in kube-system/extension-apiserver-authentication
};

struct RemoteService {
  std::string name;  ///< of the APIService: VERSION.GROUP
  std::string group, version;
  std::string service_namespace, service_name;
  uint16_t port = 443;
  std::string ca_pem;
  bool insecure = false;
  int64_t group_priority = 0, version_priority = 0;
  bool available = false;
  io::TlsContextRef tls;  ///< null: `tls_error` says why there is none
  std::string tls_error;

  std::string path() const { return "/apis/" + group + "/" + version; }
  bool operator==(const RemoteService&) const = default;
};
using RemotePtr = std::shared_ptr<const RemoteService>;

/// From an APIService with spec.service; nullopt for local ones.
std::optional<RemoteService> read_remote(const json::Node& object, const FrontProxy& front);

/// Address and port of a ready endpoint of the service's port (or the external name), chosen at random; Code::unavailable.
Result<std::string> remote_address(const Cluster& cluster, const RemoteService& remote);

struct Availability {
  std::string status, reason, message;  ///< of the condition Available
  bool operator==(const Availability&) const = default;
};
/// What can be known without asking the server: the Service, its port, its endpoints. nullopt: nothing speaks against asking.
std::optional<Availability> check_service(const Cluster& cluster, const RemoteService& remote);

/// X-Remote-User, -Uid, -Group and -Extra-*, as extension servers read them (authentication by request headers).
io::Headers identity_headers(const User& user);

}  // namespace estiba::apiserver
