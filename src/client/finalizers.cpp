#include "client/finalizers.h"

#include <algorithm>

#include "client/json_writer.h"

namespace estiba::client {

bool has_finalizer(const model::Meta& meta, std::string_view finalizer) { return std::ranges::contains(meta.finalizers, finalizer); }

std::string finalizer_patch(const model::ObjectRef& object, std::string_view finalizer, bool held) {
  const model::Meta& meta = object.meta();
  JsonWriter json;
  json.object().object("metadata").field("uid", meta.uid).field("resourceVersion", object.resource_version()).array("finalizers");
  for (const std::string& each : meta.finalizers)
    if (each != finalizer) json.value(each);
  if (held) json.value(finalizer);
  json.end().end().end();
  return json.take();
}

}  // namespace estiba::client
