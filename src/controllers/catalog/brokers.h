// What the controllers of the service catalogue need of the world outside the API: HTTP calls of brokers, and digests. What makes them is
// elsewhere (server/).
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "base/task.h"

namespace estiba::controllers {

struct BrokerRequest {
  std::string method, url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;         ///< JSON, or empty
  std::string ca_pem;       ///< roots that the broker's certificate is verified by; empty: the system's
  std::string server_name;  ///< what the certificate must be for; empty: the URL's host
  bool insecure = false;    ///< verifies no certificate
  Duration timeout = std::chrono::seconds(60);
};

struct BrokerAnswer {
  int status = 0;
  std::string body;
  int64_t retry_after = 0;  ///< seconds (Retry-After), or 0
};

/// Used on the controllers' thread.
class Brokers {
 public:
  virtual ~Brokers() = default;
  /// The answer, whatever its status. Code::timeout when none came in time: the broker may have done what it was asked for.
  virtual Task<Result<BrokerAnswer>> send(BrokerRequest request) = 0;
  /// In lower-case hexadecimal digits.
  virtual std::string sha224(std::string_view text) const = 0;
  virtual std::string sha256(std::string_view text) const = 0;
};

}  // namespace estiba::controllers
