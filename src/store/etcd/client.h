// EtcdClient: calls to an etcd cluster. It stays with one endpoint as long as that answers, and goes on to the next when it
// does not. Lives on one loop.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "io/grpc.h"
#include "io/tls.h"
#include "store/etcd/messages.h"

namespace estiba::store::etcd {

struct ClientOptions {
  std::vector<std::string> endpoints;  ///< "https://10.0.0.1:2379"
  io::TlsContextRef tls;               ///< for https
  Duration connect_timeout = std::chrono::seconds(2);
  Duration request_timeout = std::chrono::seconds(5);  ///< of one attempt
  Duration patience = std::chrono::seconds(10);        ///< of all attempts together
};

/// The endpoints of "https://a:2379,https://b:2379". Code::invalid names what is wrong with which of them.
Result<std::vector<std::string>> parse_endpoints(std::string_view list);

class EtcdClient {
 public:
  static Result<std::unique_ptr<EtcdClient>> make(ClientOptions options);

  /// Errors say which endpoint answered what, and the way out.
  Task<Result<std::string>> range(std::string request);
  /// A write is sent again only when it certainly has not been seen. Code::timeout and Code::unavailable leave open whether
  /// it has taken place.
  Task<Result<std::string>> txn(std::string request);
  Task<Result<std::string>> compact(std::string request);
  Task<Result<std::unique_ptr<io::GrpcStream>>> watch(std::string request);
  /// The error of a stream that has ended.
  std::unexpected<Error> failure(const io::GrpcStatus& status) const;
  /// Goes on with the next endpoint: this one does not do.
  void leave();
  /// For how long calls are repeated.
  void set_patience(Duration patience) { options_.patience = patience; }

 private:
  struct Method;
  explicit EtcdClient(ClientOptions options, std::vector<io::Url> urls) : options_(std::move(options)), urls_(std::move(urls)) {}
  using Connection = std::shared_ptr<io::GrpcConnection>;
  Task<Result<Connection>> connection();
  Task<Result<std::string>> call(const Method* method, std::string request);
  bool may_repeat(const Method& method, const io::GrpcStatus& status);

  ClientOptions options_;
  std::vector<io::Url> urls_;
  size_t current_ = 0;
  Connection connection_;
  bool connecting_ = false;
  bool reported_ = false;  ///< that there is no connection
  estiba::Event connected_;
};

}  // namespace estiba::store::etcd
