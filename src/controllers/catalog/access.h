// Asking a broker, as its object says: where it is, who asks it, by which certificates it is believed.
#pragma once
#include <map>

#include "controllers/catalog/brokers.h"
#include "controllers/catalog/kinds.h"
#include "controllers/framework.h"

namespace estiba::controllers::catalog {

/// One call of the Open Service Broker API.
struct Call {
  std::string method;
  std::string path;      ///< "/v2/catalog", with the query
  std::string body;      ///< JSON, or empty
  std::string identity;  ///< X-Broker-API-Originating-Identity, or empty
};

/// All that is known about how to ask one broker.
struct Access {
  std::string url, authorization, ca_pem, server_name, host;
  bool insecure = false;
};

class BrokerAccess {
 public:
  explicit BrokerAccess(Context& context);

  /// Reads what the broker's object says, and the Secret it names. Errors name the Secret and what it lacks.
  Task<Result<Access>> open(const Scope* scope, model::ObjectRef broker);
  Task<Result<BrokerAnswer>> call(Access access, Call call);

  /// The value of X-Broker-API-Originating-Identity for a spec.userInfo; empty without one.
  static std::string identity(const json::Node* user_info);

 private:
  Task<Result<std::string>> authorization(std::string ns, const Scope* scope, const json::Node* info);
  Task<Result<std::string>> read_secret(std::string ns, std::string name, bool basic);
  /// A broker that is a Service of this cluster is reached by the Service's address: the server's machine need not know the cluster's
  /// names.
  void lead_to_service(Access& access) const;

  client::Client& client_;
  Brokers* const brokers_;
  client::Informer& services_;
  client::Informer& namespaces_;
  std::map<std::string, std::string> known_;  // what Secrets of namespaces held last: such a Secret goes before what was made with it
};

}  // namespace estiba::controllers::catalog
