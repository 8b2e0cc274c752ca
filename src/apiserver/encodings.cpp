#include "apiserver/encodings.h"

#include "apiserver/api_errors.h"
#include "model/json.h"
#include "model/protobuf.h"
#include "model/yaml.h"

namespace estiba::apiserver {
namespace {

// The table of an object's kind; the kinds of meta/v1 (Status) belong to every group.
const model::schema::Type* type_of(const json::Node& object) {
  std::string_view kind = object.string_at("kind");
  if (const auto* type = model::schema::find_kind(object.string_at("apiVersion"), kind)) return type;
  return model::schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1." + std::string(kind));
}

Result<std::string> print_protobuf(const json::Node& object) {
  const model::schema::Type* type = type_of(object);
  if (!type) return fail(Code::unsupported, "no protobuf form of " + std::string(object.string_at("kind")));
  return model::to_protobuf(object, *type);
}

}  // namespace

std::string_view content_type_of(Encoding encoding) {
  switch (encoding) {
    case Encoding::json: return "application/json";
    case Encoding::yaml: return "application/yaml";
    case Encoding::protobuf: return "application/vnd.kubernetes.protobuf";
  }
  return "application/json";
}

Result<Encoded> encode(const Wanted& wanted, std::string json) {
  if (wanted.encoding == Encoding::json && !wanted.pretty) return Encoded{Encoding::json, std::move(json)};
  json::Document doc = TRY(json::Document::parse(json));
  if (wanted.encoding == Encoding::json) return Encoded{Encoding::json, json::print_pretty(doc.root()) + "\n"};
  if (wanted.encoding == Encoding::yaml) return Encoded{Encoding::yaml, model::print_yaml(doc.root())};
  auto bytes = print_protobuf(doc.root());
  if (bytes) return Encoded{Encoding::protobuf, std::move(*bytes)};
  if (bytes.error().code != Code::unsupported) return std::unexpected(std::move(bytes.error()));
  return Encoded{Encoding::json, std::move(json)};
}

Result<std::string> decode_yaml(std::string_view text) {
  auto doc = model::parse_yaml(text);
  if (!doc) return bad_request("couldn't parse the body as YAML: " + doc.error().message);
  return json::print(doc->root());
}

Result<std::string> decode_protobuf(std::string_view bytes) {
  auto doc = model::from_protobuf(bytes);
  if (!doc) return bad_request("couldn't parse the body as protobuf: " + doc.error().message);
  return json::print(doc->root());
}

Result<std::string> frame_event(const Wanted& wanted, std::string_view type, std::string_view object) {
  if (wanted.encoding == Encoding::protobuf) {
    json::Document doc = TRY(json::Document::parse(object));
    return model::protobuf_watch_event(type, TRY(print_protobuf(doc.root())));
  }
  std::string out = "{\"type\":\"";
  out.append(type).append("\",\"object\":").append(object).append("}\n");
  if (wanted.encoding != Encoding::yaml) return out;
  json::Document doc = TRY(json::Document::parse(out));
  return "---\n" + model::print_yaml(doc.root());
}

}  // namespace estiba::apiserver
