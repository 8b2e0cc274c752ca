#include "apiserver/partial.h"

namespace estiba::apiserver {

void append_partial(std::string& out, const model::ObjectRef& object, bool v1beta1) {
  out += v1beta1 ? R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1beta1","metadata":)"
                 : R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":)";
  object.object->print_metadata_to(out, object.revision);
  out += '}';
}

std::string partial_list_json(const Page& page, bool v1beta1) {
  std::string out = R"({"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/)";
  out.append(v1beta1 ? "v1beta1" : "v1").append("\",\"metadata\":{\"resourceVersion\":\"" + std::to_string(page.revision) + "\"");
  if (!page.continue_token.empty()) out += ",\"continue\":\"" + page.continue_token + "\"";
  out += "},\"items\":[";
  for (size_t i = 0; i < page.items.size(); i++) {
    if (i > 0) out += ',';
    append_partial(out, page.items[i], v1beta1);
  }
  return out + "]}";
}

}  // namespace estiba::apiserver
