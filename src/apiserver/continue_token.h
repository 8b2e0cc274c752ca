// Continue tokens: where a chunked list goes on, and at which revision (base64url of JSON, as Kubernetes makes them).
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/store.h"

namespace estiba::apiserver {

struct ContinueToken {
  store::Revision revision = 0;
  std::string start;  ///< the last key of the page before, behind the resource's prefix

  std::string encode() const;
  static Result<ContinueToken> decode(std::string_view text);
};

/// "" is 0. Anything that is not a decimal number gives a 400 in Kubernetes' words.
Result<store::Revision> parse_resource_version(std::string_view text);

}  // namespace estiba::apiserver
