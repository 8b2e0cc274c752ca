// The distribution API's errors: {"errors":[{"code":…,"message":…}]} (distribution-spec 1.1, "Error Codes").
#pragma once
#include <string>
#include <string_view>

namespace estiba::io {
class Response;
}

namespace estiba::image {

/// What a request is refused with.
struct Refusal {
  int status = 0;         ///< 0: it is not refused
  std::string_view code;  ///< "MANIFEST_UNKNOWN"
  std::string message;
};

void send(io::Response& response, const Refusal& refusal);

}  // namespace estiba::image
