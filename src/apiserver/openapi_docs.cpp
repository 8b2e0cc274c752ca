#include "apiserver/openapi_docs.h"

#include "base/strings.h"
#include "model/openapi.h"

namespace estiba::apiserver {

OpenApiDocs::OpenApiDocs(std::string version) : version_(std::move(version)) {
  // The documents follow from the program alone, whose version names it.
  uint64_t hash = fnv1a64(version_ + __DATE__ __TIME__);
  char text[17];
  snprintf(text, sizeof text, "%016lX", static_cast<unsigned long>(hash));
  hash_ = text;
}

OpenApiDocs::DocumentPtr OpenApiDocs::build(std::string_view path, bool protobuf) const {
  if (path == "/openapi/v2") {
    json::Document document = model::openapi_v2(version_);
    if (!protobuf) return std::make_shared<Document>("application/json", json::print(document.root()));
    return std::make_shared<Document>(std::string(model::openapi_v2_protobuf_type), model::openapi_v2_protobuf(document.root()));
  }
  if (path == "/openapi/v3") return std::make_shared<Document>("application/json", model::openapi_v3_index(hash_));
  constexpr std::string_view prefix = "/openapi/v3/";
  if (!path.starts_with(prefix)) return nullptr;
  auto text = model::openapi_v3(path.substr(prefix.size()), version_);
  return text ? std::make_shared<Document>("application/json", std::move(*text)) : nullptr;
}

OpenApiDocs::DocumentPtr OpenApiDocs::find(std::string_view path, bool protobuf) {
  std::string key(path);
  if (protobuf) key += "#protobuf";
  {
    std::lock_guard lock(mutex_);
    if (auto found = documents_.find(key); found != documents_.end()) return found->second;
  }
  // Built without the lock: two who ask at once build it twice, and the first stays.
  DocumentPtr made = build(path, protobuf);
  if (!made) return nullptr;
  std::lock_guard lock(mutex_);
  return documents_.try_emplace(std::move(key), std::move(made)).first->second;
}

bool OpenApiDocs::serve(std::string_view path, const io::Request& request, io::Response& response) {
  bool protobuf = path == "/openapi/v2" && request.headers.get("Accept").find("proto-openapi.spec.v2") != std::string_view::npos;
  DocumentPtr document = find(path, protobuf);
  if (!document) return false;
  std::string etag = "\"" + hash_ + "\"";
  io::Headers headers{{"Content-Type", document->content_type}, {"ETag", etag}, {"Vary", "Accept"}};
  // A document that is asked for by its hash never changes.
  bool by_hash = request.query.get("hash") == hash_;
  headers.add("Cache-Control", by_hash ? "public, immutable" : "no-cache, private");
  if (request.headers.get("If-None-Match") == etag) {
    response.send(304, std::move(headers));
    return true;
  }
  response.send(200, std::move(headers), io::Chunk(document, document->text));
  return true;
}

}  // namespace estiba::apiserver
