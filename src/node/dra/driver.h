// DraDriver: the connection to one DRA driver's plugin on this node, by which claims' devices are made ready for pods and put away, and
// which says how its devices are.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/task.h"
#include "io/grpc.h"
#include "node/dra/api.h"

namespace estiba::node {

class DraDriver {
 public:
  struct Handlers {
    UniqueFunction<void(bool connected)> connected;  ///< the connection is there, or not there any more
    UniqueFunction<void(const std::vector<dra_api::DeviceHealth>&)> health;
  };
  /// `service` is "v1.DRAPlugin" or "v1beta1.DRAPlugin". It is connected to at once, and again whenever the connection ends.
  DraDriver(std::string name, std::string socket, std::string service, Handlers handlers);

  const std::string& name() const { return name_; }
  const std::string& socket() const { return socket_; }
  bool connected() const { return connection_ && connection_->usable(); }

  /// Errors (unavailable, or what the driver says) name the driver, the method and the claim. Each claim asked for is answered. A driver
  /// that is not connected is waited for a while. Whoever calls keeps this until the answer.
  Task<Result<std::vector<dra_api::PreparedEntry>>> prepare(std::vector<dra_api::Claim> claims);
  Task<Result<void>> unprepare(std::vector<dra_api::Claim> claims);

 private:
  static Task<void> run(DraDriver* self);
  Task<void> listen();
  Task<Result<std::string>> call(std::string method, std::string message);

  const std::string name_, socket_, service_;
  Handlers handlers_;
  std::shared_ptr<io::GrpcConnection> connection_;
  Event here_;  ///< set while there is a connection
  Job job_;     // last: ends first
};

/// The first of the services that a plugin names which this node knows; Code::invalid when there is none.
Result<std::string> choose_dra_service(const std::string& driver, const std::vector<std::string>& services);

}  // namespace estiba::node
