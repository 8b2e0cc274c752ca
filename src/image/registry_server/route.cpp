#include "image/registry_server/route.h"

#include "image/reference.h"

namespace estiba::image {

Route parse_route(std::string_view path) {
  using Kind = Route::Kind;
  if (path == "/v2" || path == "/v2/") return {Kind::base, {}, {}};
  if (path == "/v2/_catalog") return {Kind::catalog, {}, {}};
  if (!path.starts_with("/v2/")) return {};
  path.remove_prefix(4);
  if (path.ends_with("/blobs/uploads/")) return {Kind::uploads, std::string(path.substr(0, path.size() - 15)), {}};
  if (path.ends_with("/blobs/uploads")) return {Kind::uploads, std::string(path.substr(0, path.size() - 14)), {}};
  if (path.ends_with("/tags/list")) return {Kind::tags, std::string(path.substr(0, path.size() - 10)), {}};
  const size_t slash = path.rfind('/');
  if (slash == path.npos || slash + 1 == path.size()) return {};
  const std::string_view before = path.substr(0, slash);
  const std::string last(path.substr(slash + 1));
  struct Ending {
    std::string_view text;
    Kind kind;
  };
  // The longest first: ".../blobs/uploads/ID" also ends like a blob of the repository ".../blobs".
  static constexpr Ending endings[] = {
      {"/blobs/uploads", Kind::upload}, {"/manifests", Kind::manifest}, {"/blobs", Kind::blob}, {"/referrers", Kind::referrers}};
  for (const Ending& ending : endings)
    if (before.ends_with(ending.text)) return {ending.kind, std::string(before.substr(0, before.size() - ending.text.size())), last};
  return {};
}

bool valid_repository(std::string_view name) {
  // A registry's name before it keeps the first part from being taken for one; with it, 255 characters are allowed.
  return name.find_first_of(":@") == name.npos && parse_reference("r.io/" + std::string(name)).has_value();
}

bool valid_tag(std::string_view tag) {
  auto word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; };
  if (tag.empty() || tag.size() > 128 || !word(tag[0])) return false;
  for (char c : tag)
    if (!word(c) && c != '.' && c != '-') return false;
  return true;
}

}  // namespace estiba::image
