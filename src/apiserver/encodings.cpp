#include "apiserver/encodings.h"

#include "apiserver/api_errors.h"
#include "model/json.h"
#include "model/protobuf.h"
#include "model/yaml.h"

namespace estiba::apiserver {
namespace {

// PartialObjectMetadata and its list have a protobuf form (k8s.io/apimachinery, meta/v1 and meta/v1beta1 generated.proto) but
// stand in no OpenAPI, and so in no table.
struct PartialTypes {
  PartialTypes() {
    const model::schema::Type* object_meta = model::schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    const model::schema::Type* list_meta = model::schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta");
    fill(metadata, "metadata", object_meta, 1, model::schema::Shape::single);
    fill(list_fields[0], "metadata", list_meta, 1, model::schema::Shape::single);
    fill(list_fields[1], "items", &object, 2, model::schema::Shape::list);
    fill(old_list_fields[0], "items", &object, 1, model::schema::Shape::list);
    fill(old_list_fields[1], "metadata", list_meta, 2, model::schema::Shape::single);
    object = {.name = "PartialObjectMetadata", .package = object_meta->package, .fields = {&metadata, 1}};
    list = {.name = "PartialObjectMetadataList", .package = object_meta->package, .fields = list_fields};
    old_list = {.name = "PartialObjectMetadataList", .package = object_meta->package, .fields = old_list_fields};
  }
  static void fill(model::schema::Field& field, std::string_view name, const model::schema::Type* type, uint16_t number,
                   model::schema::Shape shape) {
    field.name = name;
    field.type = type;
    field.number = number;
    field.kind = model::schema::Kind::message;
    field.shape = shape;
  }

  model::schema::Field metadata{}, list_fields[2]{}, old_list_fields[2]{};
  model::schema::Type object{}, list{}, old_list{};
};

const model::schema::Type* partial_type(std::string_view api_version, std::string_view kind) {
  static const PartialTypes types;
  if (!api_version.starts_with("meta.k8s.io/")) return nullptr;
  if (kind == "PartialObjectMetadata") return &types.object;
  if (kind != "PartialObjectMetadataList") return nullptr;
  return api_version.ends_with("/v1beta1") ? &types.old_list : &types.list;
}

// The table of an object's kind; the kinds of meta/v1 (Status) belong to every group.
const model::schema::Type* type_of(const json::Node& object) {
  std::string_view kind = object.string_at("kind");
  if (const auto* type = partial_type(object.string_at("apiVersion"), kind)) return type;
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
