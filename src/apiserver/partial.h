// PartialObjectMetadata: objects without spec and status, for callers that only look at metadata.
#pragma once
#include <string>

#include "apiserver/registry.h"
#include "io/http.h"

namespace estiba::apiserver {

void append_partial(std::string& out, const model::ObjectRef& object, bool v1beta1);
io::Body partial_list_body(const Page& page, bool v1beta1);

}  // namespace estiba::apiserver
