#include "node/csi/driver.h"

#include "base/strings.h"

namespace estiba::node {

using namespace std::chrono_literals;

namespace {

constexpr Duration connect_limit = 10s;
constexpr Duration call_limit = 2min;  // pkg/volume/csi/csi_plugin.go, csiTimeout

// google.golang.org/grpc/codes.
std::string_view code_name(io::GrpcCode code) {
  constexpr std::string_view names[] = {"OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
                                        "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
                                        "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
                                        "DataLoss", "Unauthenticated"};
  const auto number = size_t(code);
  return number < std::size(names) ? names[number] : names[2];
}

}  // namespace

std::string CsiDriver::about(const std::string& method) const { return method + " of CSI driver " + name_; }

Task<Result<std::shared_ptr<io::GrpcConnection>>> CsiDriver::connect(CsiDriverRef self) {
  if (self->connection_ && self->connection_->usable()) co_return self->connection_;
  auto made = co_await io::GrpcConnection::connect_unix(self->endpoint_, connect_limit);
  if (!made)
    co_return fail(Code::unavailable, "CSI driver " + self->name_ + " cannot be reached at " + self->endpoint_ + " (" +
                                          made.error().message + "): is its node plugin running on this node?");
  self->connection_ = std::move(*made);
  co_return self->connection_;
}

Task<Result<std::string>> CsiDriver::call_bytes(CsiDriverRef self, std::string method, std::string message) {
  const auto connection = CO_TRY(co_await connect(self));
  auto answer = co_await connection->call("/csi.v1.Node/" + method, std::move(message), {}, call_limit);
  if (answer.status.ok()) co_return std::move(answer.message);
  const io::GrpcCode code = answer.status.code;
  const Code kind = code == io::GrpcCode::deadline_exceeded ? Code::timeout
                    : code == io::GrpcCode::unavailable     ? Code::unavailable
                                                            : Code::internal;
  co_return fail(kind, self->about(method) + ": rpc error: code = " + std::string(code_name(code)) + " desc = " + answer.status.message);
}

Task<Result<CsiDriver::Features>> CsiDriver::features(CsiDriverRef self) {
  if (self->features_) co_return *self->features_;
  const auto answer = CO_TRY(co_await call<csi_api::NodeGetCapabilitiesResponse>(self, "NodeGetCapabilities", csi_api::Empty{}));
  Features out;
  for (const auto& capability : answer.capabilities) out.insert(capability.rpc.type);
  self->features_ = out;
  co_return out;
}

}  // namespace estiba::node
