#include "apiserver/encodings.h"

#include "apiserver/api_errors.h"
#include "model/json.h"
#include "model/yaml.h"

namespace estiba::apiserver {

std::string_view content_type_of(Encoding encoding) {
  switch (encoding) {
    case Encoding::json: return "application/json";
    case Encoding::yaml: return "application/yaml";
    case Encoding::protobuf: return "application/vnd.kubernetes.protobuf";
  }
  return "application/json";
}

Result<std::string> encode(const Wanted& wanted, std::string json) {
  if (wanted.encoding == Encoding::json) {
    if (!wanted.pretty) return json;
    json::Document doc = TRY(json::Document::parse(json));
    return json::print_pretty(doc.root()) + "\n";
  }
  if (wanted.encoding == Encoding::yaml) {
    json::Document doc = TRY(json::Document::parse(json));
    return model::print_yaml(doc.root());
  }
  return not_acceptable();
}

Result<std::string> decode_yaml(std::string_view text) {
  auto doc = model::parse_yaml(text);
  if (!doc) return bad_request("couldn't parse the body as YAML: " + doc.error().message);
  return json::print(doc->root());
}

Result<std::string> decode_protobuf(std::string_view) {
  return unsupported_media_type("application/json");
}

Result<std::string> frame_event(const Wanted& wanted, std::string_view type, std::string object) {
  if (wanted.encoding == Encoding::protobuf) return not_acceptable();
  if (wanted.encoding == Encoding::yaml) {
    json::Document doc = TRY(json::Document::parse("{\"type\":\"" + std::string(type) + "\",\"object\":" + object + "}"));
    return "---\n" + model::print_yaml(doc.root());
  }
  std::string out = "{\"type\":\"";
  out.append(type).append("\",\"object\":").append(object).append("}\n");
  return out;
}

}  // namespace estiba::apiserver
