// How a daemon is reached: each way ends in one connected descriptor.
#pragma once
#include <memory>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace estiba::cli::docker {

struct Endpoint;

/// What carries a connection beside its descriptor, and ends it when it is destroyed (the thread that speaks TLS).
class Carrier {
 public:
  virtual ~Carrier() = default;
};

/// A blocking stream socket to the daemon; `carrier`, when set, must live as long as it. Code::unavailable: "Cannot connect to
/// the Docker daemon at …", when nobody answers.
Result<Fd> connect_endpoint(const Endpoint& endpoint, std::unique_ptr<Carrier>& carrier);
/// "estiba/0.1 (linux)"
std::string user_agent();

}  // namespace estiba::cli::docker
