// The paths of the OCI distribution API (distribution-spec 1.1, "Endpoints").
#pragma once
#include <string>
#include <string_view>

namespace estiba::image {

struct Route {
  enum class Kind : unsigned char {
    none,       ///< not a path of the API
    base,       ///< /v2/
    catalog,    ///< /v2/_catalog
    tags,       ///< /v2/NAME/tags/list
    manifest,   ///< /v2/NAME/manifests/REFERENCE
    blob,       ///< /v2/NAME/blobs/DIGEST
    uploads,    ///< /v2/NAME/blobs/uploads/
    upload,     ///< /v2/NAME/blobs/uploads/ID
    referrers,  ///< /v2/NAME/referrers/DIGEST
  };
  Kind kind = Kind::none;
  std::string repository;  ///< as written; see valid_repository()
  std::string last;        ///< REFERENCE, DIGEST or ID
};

/// `path` is decoded. A repository's name may have any number of '/', so what a path means is told from its end.
Route parse_route(std::string_view path);

/// Lower-case letters and digits with single separators between them, parts joined by '/', 250 characters at most.
bool valid_repository(std::string_view name);
bool valid_tag(std::string_view tag);

}  // namespace estiba::image
