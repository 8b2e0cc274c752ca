// OpenAPI of everything that the tables hold: version 2 as JSON and as the protobuf that kubectl up to 1.26 downloads, version
// 3 for one group and version at a time. Each call builds its document anew (milliseconds, megabytes): cache the text.
//
// Left out on purpose, to keep them small: descriptions, and the paths that no client asks for (the old /watch/ ones).
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "model/catalog.h"
#include "model/json.h"

namespace estiba::model {

/// What clients ask for in Accept (newer ones write the second), and what the answer's Content-Type must be: the `@` of the
/// first is no valid media type, and kubectl refuses an answer that has it.
inline constexpr std::string_view openapi_v2_protobuf_asked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
inline constexpr std::string_view openapi_v2_protobuf_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// /openapi/v2. `version` is the server's ("v1.36.0").
json::Document openapi_v2(const Catalog& catalog, std::string_view version);
/// The same as gnostic's openapi.v2.Document in protobuf.
std::string openapi_v2_protobuf(const json::Node& document);

/// /openapi/v3: where the documents are. A hash of each becomes part of its address, for caching; `hash` is that of the
/// program's own tables.
std::string openapi_v3_index(const Catalog& catalog, std::string_view hash);
/// The hash of one document, as the index tells it.
std::string openapi_v3_hash(const Catalog& catalog, std::string_view path, std::string_view hash);
/// /openapi/v3/<path>: `path` is "api/v1" or "apis/apps/v1". nullopt when there is no such group and version.
std::optional<std::string> openapi_v3(const Catalog& catalog, std::string_view path, std::string_view version);

}  // namespace estiba::model
