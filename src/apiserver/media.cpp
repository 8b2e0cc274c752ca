// Media types: Accept and Content-Type.
#include "apiserver/request.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

struct MediaRange {
  std::string type;  // "application/json"
  std::string as, group, version;
  double quality = 1;
};

MediaRange parse_range(std::string_view text) {
  MediaRange out;
  bool first = true;
  for (std::string_view part : split(text, ';')) {
    part = trim(part);
    if (first) {
      out.type = to_lower(part);
      first = false;
      continue;
    }
    auto [name, value] = split_once(part, '=');
    if (!value) continue;
    if (name == "as") out.as = *value;
    if (name == "g") out.group = *value;
    if (name == "v") out.version = *value;
    if (name == "q") out.quality = strtod(std::string(*value).c_str(), nullptr);
  }
  return out;
}

bool set_encoding(std::string_view type, Wanted& wanted) {
  if (type == "application/json" || type == "*/*" || type == "application/*") wanted.encoding = Encoding::json;
  else if (type == "application/yaml") wanted.encoding = Encoding::yaml;
  else if (type == "application/vnd.kubernetes.protobuf") wanted.encoding = Encoding::protobuf;
  else return false;
  return true;
}

bool set_shape(const MediaRange& range, bool tables, Wanted& wanted) {
  if (range.as.empty()) return true;
  if (range.group != "meta.k8s.io" || (range.version != "v1" && range.version != "v1beta1")) return false;
  if (range.as == "Table") wanted.shape = Shape::table;
  else if (range.as == "PartialObjectMetadata" || range.as == "PartialObjectMetadataList") wanted.shape = Shape::partial;
  else return false;
  // The server makes Tables as JSON and YAML only.
  if (wanted.shape == Shape::table && (!tables || wanted.encoding == Encoding::protobuf)) return false;
  wanted.shape_v1beta1 = range.version == "v1beta1";
  return true;
}

}  // namespace

std::optional<Wanted> negotiate(std::string_view accept, bool tables) {
  if (accept.empty() || accept == "application/json" || accept == "application/json, */*") return Wanted{};
  std::optional<Wanted> best;
  double quality = 0;
  for (std::string_view part : split(accept, ',')) {
    MediaRange range = parse_range(trim(part));
    Wanted wanted;
    if (range.quality <= quality || !set_encoding(range.type, wanted) || !set_shape(range, tables, wanted)) continue;
    best = wanted;
    quality = range.quality;
  }
  return best;
}

std::optional<BodyType> body_type_of(std::string_view content_type) {
  std::string type = to_lower(trim(split_once(content_type, ';').first));
  if (type.empty() || type == "application/json") return BodyType::json;
  if (type == "application/yaml" || type == "application/x-yaml" || type == "text/yaml") return BodyType::yaml;
  if (type == "application/vnd.kubernetes.protobuf") return BodyType::protobuf;
  if (type == "application/json-patch+json") return BodyType::json_patch;
  if (type == "application/merge-patch+json") return BodyType::merge_patch;
  if (type == "application/strategic-merge-patch+json") return BodyType::strategic_patch;
  if (type == "application/apply-patch+yaml") return BodyType::apply_patch;
  return std::nullopt;
}

}  // namespace estiba::apiserver
