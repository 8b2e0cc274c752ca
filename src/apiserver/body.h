// From a request's body to a checked document: JSON, YAML or protobuf; the right kind; unknown and duplicate fields
// reported as the caller wants.
#pragma once
#include <string>
#include <vector>

#include "apiserver/action.h"
#include "base/result.h"
#include "model/json.h"

namespace estiba::apiserver {

struct Decoded {
  json::Document doc;
  std::vector<std::string> warnings;
};

/// The body as the action's kind. 400 when it is no such object, 415 for a patch's media type.
Result<Decoded> decode_object(const Action& action);
/// The body as some other kind (Scale, Binding, Eviction, TokenRequest, DeleteOptions); apiVersion and kind may be absent.
Result<Decoded> decode_as(const Action& action, const model::schema::Type& type);

/// Types of all fields; unknown ones by the action's fieldValidation; table defaults. For documents that a patch made.
Result<void> check_document(const Action& action, json::Document& doc, std::vector<std::string>& warnings);

}  // namespace estiba::apiserver
