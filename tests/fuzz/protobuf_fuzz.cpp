// links: model
// Any bytes as Kubernetes' protobuf: a pod's message, a deployment's, or a whole envelope. What decodes is JSON, and encoding
// that and decoding it again gives the same.
#include <cstdlib>

#include "model/protobuf.h"

using namespace estiba;

static void check(const json::Document& document, const model::schema::Type& type) {
  std::string printed = json::print(document.root());
  if (!json::Document::parse(printed)) abort();
  auto message = model::to_protobuf_message(document.root(), type);
  if (!message) return;  // a value that its field does not take, such as a malformed quantity
  auto again = model::from_protobuf_message(*message, type);
  if (!again || !json::equal(again->root(), document.root())) abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const model::schema::Type* types[] = {model::schema::find_type("", "v1", "Pod"),
                                               model::schema::find_type("apps", "v1", "Deployment"),
                                               model::schema::find_type("apiextensions.k8s.io", "v1", "CustomResourceDefinition")};
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const model::schema::Type* type : types) {
    auto document = model::from_protobuf_message(bytes, *type);
    if (document) check(*document, *type);
  }
  auto enveloped = model::from_protobuf(bytes);
  if (enveloped) {
    std::string printed = json::print(enveloped->root());
    if (!json::Document::parse(printed)) abort();
  }
  return 0;
}
