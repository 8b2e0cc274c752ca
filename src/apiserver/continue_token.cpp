#include "apiserver/continue_token.h"

#include "apiserver/api_errors.h"
#include "base/strings.h"
#include "model/json.h"

namespace estiba::apiserver {

std::string ContinueToken::encode() const {
  std::string text = R"({"v":"meta.k8s.io/v1","rv":)" + std::to_string(revision) + ",\"start\":";
  json::append_string(text, start);
  return base64url_encode(text + "}");
}

Result<ContinueToken> ContinueToken::decode(std::string_view text) {
  auto refuse = [](std::string_view why) { return bad_request("invalid continue token: continue key is not valid: " + std::string(why)); };
  auto bytes = base64url_decode(text);
  if (!bytes) return refuse("illegal base64 data");
  auto doc = json::Document::parse(*bytes);
  if (!doc || !doc->root().is_object()) return refuse("it is not JSON");
  if (doc->root().string_at("v") != "meta.k8s.io/v1")
    return refuse("server does not recognize this encoded version " + std::string(doc->root().string_at("v")));
  const json::Node* revision = doc->root().find("rv");
  ContinueToken out;
  out.revision = revision ? revision->as_int().value_or(0) : 0;
  out.start = doc->root().string_at("start");
  if (out.revision == 0) return refuse("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  if (out.start.empty()) return refuse("encoded start key empty (version meta.k8s.io/v1)");
  if (out.start.find("..") != std::string::npos) return refuse(out.start);
  return out;
}

Result<store::Revision> parse_resource_version(std::string_view text) {
  if (text.empty()) return 0;
  auto value = parse_number<int64_t>(text);
  if (!value || *value < 0) return bad_request("invalid resource version " + quoted(text) + ": must be a number");
  return *value;
}

}  // namespace estiba::apiserver
