// Images as Docker's API shows them.
#pragma once
#include <string>

#include "base/result.h"
#include "docker/json_writer.h"
#include "image/reference.h"
#include "image/store.h"

namespace estiba::docker {

/// The names of an image as people write them.
struct FamiliarNames {
  std::vector<std::string> tags, digests;
};
FamiliarNames familiar_names(const image::Record& record);

/// The member Config of an image or a container made of it, for API 1.`minor`.
std::string image_config_json(const image::Config& config, int minor);
/// GET /images/{name}/json. Blocking.
Result<std::string> inspect_image(image::Store& store, const image::Record& record, int minor);
/// GET /images/{name}/history. Blocking.
Result<std::string> image_history(image::Store& store, const image::Record& record);
/// An element of GET /images/json. `containers` and `shared` are -1 when not asked for. Blocking.
Result<void> put_image_summary(JsonWriter& out, image::Store& store, const image::Record& record, int minor, int64_t containers,
                               int64_t shared);
/// RFC 3339 as seconds since 1970; 0 when empty or unreadable.
int64_t unix_seconds(std::string_view rfc3339);

/// "No such image: x" (not_found).
[[nodiscard]] std::unexpected<Error> no_such_image(std::string_view name);
/// An image by name, id or prefix of an id; no_such_image otherwise. Blocking.
Result<image::Record> find_image(image::Store& store, std::string_view name);
/// A name given by a client: "invalid reference format" with the reason (invalid).
Result<image::Reference> parse_name(std::string_view text);

}  // namespace estiba::docker
