// JSON texts of the API in its other encodings.
#pragma once
#include <string>
#include <string_view>

#include "apiserver/action.h"
#include "base/result.h"

namespace estiba::apiserver {

/// The Content-Type of an encoding.
std::string_view content_type_of(Encoding encoding);

struct Encoded {
  Encoding encoding;  ///< as wanted, or JSON for a kind that has no protobuf form
  std::string body;
};
/// `json` is a whole object with apiVersion and kind.
Result<Encoded> encode(const Wanted& wanted, std::string json);
/// One event of a watch stream; `object` is its JSON.
Result<std::string> frame_event(const Wanted& wanted, std::string_view type, std::string_view object);

/// The body of a request as JSON text.
Result<std::string> decode_yaml(std::string_view text);
Result<std::string> decode_protobuf(std::string_view bytes);

}  // namespace estiba::apiserver
