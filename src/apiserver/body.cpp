#include "apiserver/body.h"

#include "apiserver/api_errors.h"
#include "apiserver/encodings.h"
#include "base/strings.h"
#include "model/check.h"
#include "model/managed_fields.h"

namespace estiba::apiserver {
namespace {

namespace schema = model::schema;

constexpr std::string_view accepted_bodies = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

Result<json::Document> parse_text(std::string_view text, std::vector<std::string>* duplicates) {
  if (trim(text).empty()) return bad_request("the body of the request is empty");
  auto doc = json::Document::parse(text, {.allow_duplicate_keys = true, .duplicates = duplicates});
  if (!doc) return bad_request("couldn't parse the body: " + doc.error().message);
  if (!doc->root().is_object())
    return bad_request("couldn't get version/kind; json parse error: expected an object, got " +
                       std::string(json::to_string(doc->root().type())));
  return doc;
}

Result<json::Document> parse_body(const Action& action, std::vector<std::string>* duplicates) {
  switch (action.body_type) {
    case BodyType::none:
    case BodyType::json: return parse_text(action.body, duplicates);
    case BodyType::yaml: return parse_text(TRY(decode_yaml(action.body)), duplicates);
    case BodyType::protobuf: return parse_text(TRY(decode_protobuf(action.body)), nullptr);
    default: return unsupported_media_type(accepted_bodies);
  }
}

Result<void> check_kind(json::Document& doc, std::string_view group, std::string_view version, std::string_view kind) {
  std::string expected = schema::join_api_version(group, version);
  std::string_view api_version = doc.root().string_at("apiVersion"), got = doc.root().string_at("kind");
  if (!got.empty() && got != kind) {
    return bad_request("the object provided is unrecognized (must be of type " + std::string(kind) + "): it is of kind " + quoted(got));
  }
  if (!api_version.empty() && api_version != expected) {
    return bad_request("the API version in the data (" + std::string(api_version) + ") does not match the expected API version (" +
                       expected + ")");
  }
  doc.set(doc.root(), "kind", kind);
  doc.set(doc.root(), "apiVersion", expected);
  return {};
}

}  // namespace

namespace {

std::unexpected<Error> cannot_be_handled(const Action& action, std::string_view why) {
  std::string kind(action.resource->kind);
  return bad_request(kind + " in version " + quoted(action.resource->version) + " cannot be handled as a " + kind + ": " +
                     std::string(why));
}

// Unknown and duplicate fields: refused, told or ignored, as the caller wants.
Result<void> report_strict(const Action& action, const std::vector<std::string>& problems, std::vector<std::string>& warnings) {
  if (problems.empty() || action.write.validation == FieldValidation::ignore) return {};
  if (action.write.validation == FieldValidation::strict)
    return cannot_be_handled(action, "strict decoding error: " + join(problems, ", "));
  warnings.insert(warnings.end(), problems.begin(), problems.end());
  return {};
}

Result<void> check(const Action& action, json::Document& doc, const std::vector<std::string>& duplicates,
                   std::vector<std::string>& warnings) {
  const schema::Type& type = *action.resource->type;
  // An empty list would vanish, but it asks for something.
  if (json::Node* metadata = doc.root().find("metadata"); metadata && model::asks_for_reset(metadata->find("managedFields"))) {
    json::Node& list = doc.set(*metadata, "managedFields", doc.make_array());
    doc.append(list, doc.make_object());
  }
  auto unknown = model::conform(doc, doc.root(), type);
  if (!unknown) return cannot_be_handled(action, unknown.error().message);
  std::vector<std::string> problems;
  for (const std::string& field : *unknown) problems.push_back("unknown field " + quoted(field));
  for (const std::string& field : duplicates) problems.push_back("duplicate field " + quoted(field));
  TRY(report_strict(action, problems, warnings));
  model::set_defaults(doc, doc.root(), type);
  return {};
}

}  // namespace

Result<void> check_document(const Action& action, json::Document& doc, std::vector<std::string>& warnings) {
  return check(action, doc, {}, warnings);
}

Result<Decoded> decode_object(const Action& action) {
  std::vector<std::string> duplicates;
  Decoded out{TRY(parse_body(action, &duplicates)), {}};
  const Resource& resource = *action.resource;
  TRY(check_kind(out.doc, resource.group, resource.version, resource.kind));
  TRY(check(action, out.doc, duplicates, out.warnings));
  return out;
}

Result<Decoded> decode_as(const Action& action, const schema::Type& type) {
  Decoded out{TRY(parse_body(action, nullptr)), {}};
  auto unknown = model::conform(out.doc, out.doc.root(), type);
  if (!unknown) return bad_request(std::string(type.name) + " cannot be read: " + unknown.error().message);
  model::set_defaults(out.doc, out.doc.root(), type);
  return out;
}

}  // namespace estiba::apiserver
