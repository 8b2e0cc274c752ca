#include "apiserver/partial.h"

#include "apiserver/list_metadata.h"
#include "apiserver/pieces.h"

namespace estiba::apiserver {

void append_partial(std::string& out, const model::ObjectRef& object, bool v1beta1) {
  out += v1beta1 ? R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1beta1","metadata":)"
                 : R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":)";
  object.object->print_metadata_to(out, object.revision);
  out += '}';
}

io::Body partial_list_body(const Page& page, bool v1beta1) {
  Pieces pieces;
  std::string& head = pieces.out();
  head += R"({"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/)";
  head.append(v1beta1 ? "v1beta1" : "v1").append("\",");
  append_list_metadata(head, page);
  head += ",\"items\":[";
  for (size_t i = 0; i < page.items.size(); i++) {
    if (i > 0) pieces.out() += ',';
    append_partial(pieces.out(), page.items[i], v1beta1);
  }
  pieces.out() += "]}";
  return pieces.take();
}

}  // namespace estiba::apiserver
