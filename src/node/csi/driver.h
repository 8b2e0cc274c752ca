// CsiDriver: one storage driver of this node, called by its socket (csi.v1, service Node). The connection is made when it is needed and
// anew when it has broken.
#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/result.h"
#include "base/task.h"
#include "io/grpc.h"
#include "node/csi/api.h"

namespace estiba::node {

class CsiDriver;
/// Who calls holds the driver, which may go from the node meanwhile.
using CsiDriverRef = std::shared_ptr<CsiDriver>;

class CsiDriver {
 public:
  CsiDriver(std::string name, std::string endpoint) : name_(std::move(name)), endpoint_(std::move(endpoint)) {}
  CsiDriver(const CsiDriver&) = delete;

  const std::string& name() const { return name_; }

  /// What it can do; asked once.
  using Features = std::set<csi_api::NodeFeature>;
  static Task<Result<Features>> features(CsiDriverRef self);

  /// Calls a method of the service Node. Errors name the method and the driver, and end as gRPC's clients in Go word it, which is what
  /// people search for: timeout when it does not answer within two minutes, unavailable when it cannot be reached, else internal.
  template <class Answer, class Request>
  static Task<Result<Answer>> call(CsiDriverRef self, std::string method, Request request) {
    const std::string message = CO_TRY(co_await call_bytes(self, method, protobuf::encode(request)));
    Answer answer;
    if (!protobuf::decode(message, answer)) co_return fail(Code::malformed, self->about(method) + ": the answer cannot be read");
    co_return answer;
  }

 private:
  static Task<Result<std::string>> call_bytes(CsiDriverRef self, std::string method, std::string message);
  static Task<Result<std::shared_ptr<io::GrpcConnection>>> connect(CsiDriverRef self);
  std::string about(const std::string& method) const;

  const std::string name_, endpoint_;
  std::shared_ptr<io::GrpcConnection> connection_;
  std::optional<Features> features_;
};

}  // namespace estiba::node
