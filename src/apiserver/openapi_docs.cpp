#include "apiserver/openapi_docs.h"

#include "apiserver/aggregation/aggregator.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "base/strings.h"
#include "model/openapi.h"

namespace estiba::apiserver {

OpenApiDocs::OpenApiDocs(const Cluster& cluster, const Aggregator& aggregator, std::string version)
    : cluster_(cluster), aggregator_(aggregator), version_(std::move(version)) {
  // The documents of built-in kinds follow from the program alone, whose version names it.
  uint64_t hash = fnv1a64(version_ + __DATE__ __TIME__);
  char text[17];
  snprintf(text, sizeof text, "%016lX", static_cast<unsigned long>(hash));
  hash_ = text;
}

namespace {

constexpr std::string_view v3_prefix = "/openapi/v3/";

std::string hash_text(std::string_view text) {
  char out[17];
  snprintf(out, sizeof out, "%016lX", static_cast<unsigned long>(fnv1a64(text)));
  return out;
}

// Paths and definitions of extension servers; a definition that two have stays the first one's.
void merge_v2(json::Document& document, const RemoteVersions& remote) {
  for (const RemoteVersion& one : remote) {
    if (one.openapi_v2.empty()) continue;
    auto part = json::Document::parse(one.openapi_v2);
    if (!part) continue;
    for (std::string_view section : {"paths", "definitions"}) {
      json::Node& ours = document.ensure_object(document.root(), section);
      const json::Node* theirs = part->root().find(section);
      for (size_t i = 0; present(theirs) && i < theirs->size(); ++i)
        if (!ours.find((*theirs)[i].key())) document.set(ours, (*theirs)[i].key(), document.copy((*theirs)[i]));
    }
  }
}

std::string merge_v3_index(std::string index, const RemoteVersions& remote) {
  auto document = json::Document::parse(index);
  if (!document || remote.empty()) return index;
  json::Node& paths = document->ensure_object(document->root(), "paths");
  for (const RemoteVersion& one : remote) {
    auto row = json::Document::parse(one.openapi_v3);
    if (row && row->root().is_object()) document->set(paths, "apis/" + one.group + "/" + one.version, document->copy(row->root()));
  }
  return json::print(document->root());
}

}  // namespace

OpenApiDocs::DocumentPtr OpenApiDocs::build(const model::Catalog& catalog, const RemoteVersions& remote, std::string_view path,
                                            bool protobuf) const {
  Document out{"application/json", {}, {}};
  if (path == "/openapi/v2") {
    json::Document document = model::openapi_v2(catalog, version_);
    merge_v2(document, remote);
    out.text = protobuf ? model::openapi_v2_protobuf(document.root()) : json::print(document.root());
    if (protobuf) out.content_type = model::openapi_v2_protobuf_type;
    out.hash = hash_text(out.text);
  } else if (path == "/openapi/v3") {
    out.text = merge_v3_index(model::openapi_v3_index(catalog, hash_), remote);
    out.hash = hash_text(out.text);
  } else if (path.starts_with(v3_prefix)) {
    path.remove_prefix(v3_prefix.size());
    auto text = model::openapi_v3(catalog, path, version_);
    if (!text) return nullptr;
    out.text = std::move(*text);
    out.hash = model::openapi_v3_hash(catalog, path, hash_);
  } else {
    return nullptr;
  }
  return std::make_shared<const Document>(std::move(out));
}

OpenApiDocs::DocumentPtr OpenApiDocs::find(std::string_view path, bool protobuf) {
  std::string key(path);
  if (protobuf) key += "#protobuf";
  model::CatalogPtr catalog = cluster_.catalog();
  std::shared_ptr<const RemoteVersions> remote = aggregator_.versions();
  {
    std::lock_guard lock(mutex_);
    if (catalog_ != catalog || remote_ != remote) {
      std::erase_if(documents_, [&](const auto& row) {
        const std::string_view at = row.first;
        // A group's own document stays while nothing in it has changed.
        return !at.starts_with(v3_prefix) || model::openapi_v3_hash(*catalog, at.substr(v3_prefix.size()), hash_) != row.second->hash;
      });
      catalog_ = catalog;
      remote_ = remote;
    }
    if (auto found = documents_.find(key); found != documents_.end()) return found->second;
  }
  // Built without the lock: two who ask at once build it twice, and the first stays.
  DocumentPtr made = build(*catalog, *remote, path, protobuf);
  if (!made) return nullptr;
  std::lock_guard lock(mutex_);
  if (catalog_ != catalog || remote_ != remote) return made;
  return documents_.try_emplace(std::move(key), std::move(made)).first->second;
}

bool OpenApiDocs::serve(std::string_view path, const io::Request& request, io::Response& response) {
  bool protobuf = path == "/openapi/v2" && request.headers.get("Accept").find("proto-openapi.spec.v2") != std::string_view::npos;
  DocumentPtr document = find(path, protobuf);
  if (!document) return false;
  std::string etag = "\"" + document->hash + "\"";
  io::Headers headers{{"Content-Type", document->content_type}, {"ETag", etag}, {"Vary", "Accept"}};
  // A document that is asked for by its hash never changes.
  bool by_hash = request.query.get("hash") == document->hash;
  headers.add("Cache-Control", by_hash ? "public, immutable" : "no-cache, private");
  if (request.headers.get("If-None-Match") == etag) {
    response.send(304, std::move(headers));
    return true;
  }
  response.send(200, std::move(headers), io::Chunk(document, document->text));
  return true;
}

}  // namespace estiba::apiserver
