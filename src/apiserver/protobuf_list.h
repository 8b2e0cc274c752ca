#pragma once
#include <optional>

#include "apiserver/registry.h"
#include "io/http.h"

namespace estiba::apiserver {

/// A list of whole objects as Kubernetes' protobuf, each item encoded by itself. Nothing for a kind that has no protobuf form.
Result<std::optional<io::Body>> protobuf_list(const Action& action, const Page& page);

}  // namespace estiba::apiserver
