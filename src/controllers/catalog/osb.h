// The Open Service Broker API 2.17 as a platform reads it: what an answer means, and whether what was asked for may exist all the same
// ("Orphan Mitigation" in the specification).
#pragma once
#include <string>
#include <string_view>

#include "controllers/catalog/brokers.h"
#include "model/json.h"

namespace estiba::controllers::catalog {

enum class Operation : uint8_t { provision, update, deprovision, bind, unbind };

/// What has become of a request.
struct Verdict {
  enum class Kind : uint8_t { done, under_way, failed } kind = Kind::failed;
  bool called = true;       ///< the broker has answered
  bool orphan = false;      ///< failed, but may have been done: to be deleted before it is asked for again
  bool final = false;       ///< failed, and asking again for the same is no use
  bool stale = false;       ///< the broker's catalogue is another one by now
  std::string message;      ///< of a failure, for people
  std::string operation;    ///< of what is under way
  int64_t retry_after = 0;  ///< seconds until it is looked at, or 0
  json::Document body;      ///< of what is done: an object
};
Verdict judge(Operation operation, const Result<BrokerAnswer>& answer);

/// What GET …/last_operation says.
struct Poll {
  enum class State : uint8_t { in_progress, succeeded, failed, gone, unclear } state = State::unclear;
  std::string description;  ///< for people, or empty
  int64_t retry_after = 0;
};
Poll read_poll(const Result<BrokerAnswer>& answer);

/// A path segment or a query's value: everything but unreserved characters escaped (RFC 3986).
std::string url_escape(std::string_view text);

}  // namespace estiba::controllers::catalog
