#include "apiserver/custom/conversion.h"

#include "apiserver/custom/strategy.h"
#include "apiserver/edit.h"
#include "apiserver/registry.h"
#include "apiserver/webhook_client.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

using json::Document;
using json::Node;
using model::CustomVersion;
using model::ObjectRef;

std::unexpected<Error> broken(std::string why) { return fail(Code::internal, std::move(why)); }

// The first version of ConversionReview in the definition's list that this server speaks.
std::string_view review_version(const Node& webhook) {
  if (const Node* versions = webhook.find("conversionReviewVersions"))
    for (const Node& version : *versions)
      if (version.as_string() == "v1" || version.as_string() == "v1beta1") return version.as_string();
  return {};
}

std::string review_of(std::string_view version, std::string_view wanted, const std::string& uid, const std::vector<ObjectRef*>& objects) {
  std::string out = "{\"kind\":\"ConversionReview\",\"apiVersion\":\"apiextensions.k8s.io/" + std::string(version) +
                    "\",\"request\":{\"uid\":\"" + uid + "\",\"desiredAPIVersion\":";
  json::append_string(out, wanted);
  out += ",\"objects\":[";
  for (size_t i = 0; i < objects.size(); ++i) {
    if (i > 0) out += ',';
    objects[i]->object->print_to(out, objects[i]->revision);
  }
  return out + "]}}";
}

// The converted objects of an answer that is one to our request.
Result<const Node*> converted_of(const Node& review, std::string_view version, const std::string& uid) {
  const Node* response = review.find("response");
  if (version == "v1") {
    if (review.string_at("kind") != "ConversionReview" || review.string_at("apiVersion") != "apiextensions.k8s.io/v1")
      return broken("expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got " +
                    std::string(review.string_at("apiVersion")) + ", Kind=" + std::string(review.string_at("kind")));
    if (present(response) && response->string_at("uid") != uid)
      return broken("expected response.uid=" + quoted(uid) + ", got " + quoted(response->string_at("uid")));
  }
  if (!present(response)) return broken("no response provided");
  const std::string_view status = response->string_at("result", "status"), message = response->string_at("result", "message");
  if (status != "Success")
    return broken(!message.empty() ? std::string(message) : "response.result.status was '" + std::string(status) + "', not 'Success'");
  return response->find("convertedObjects");
}

// metadata is the original's; only labels and annotations are the webhook's to change.
Result<void> restore_metadata(Document& doc, Node& converted, const Node& original) {
  const Node* given = converted.find("metadata");
  if (!given) return broken("missing metadata in converted object");
  if (!given->is_object())
    return broken("invalid metadata of type " + std::string(json::to_string(given->type())) + " in converted object");
  Node& restored = doc.make_object();
  if (const Node* metadata = original.find("metadata"))
    for (const Node& member : *metadata)
      if (member.key() != "labels" && member.key() != "annotations") doc.add(restored, member.key(), doc.copy(member));
  for (std::string_view key : {"labels", "annotations"}) {
    const Node* texts = given->find(key);
    if (!present(texts)) continue;
    if (!texts->is_object()) return broken("invalid metadata." + std::string(key) + " in converted object");
    for (const Node& text : *texts)
      if (!text.is_string())
        return broken("metadata." + std::string(key) + "[" + std::string(text.key()) + "] must be a string, but is " +
                      std::string(json::to_string(text.type())) + " in converted object");
    doc.set(restored, key, doc.copy(*texts));
  }
  doc.set(converted, "metadata", restored);
  return {};
}

Result<void> check_converted(const Node& converted, const Node& original, std::string_view wanted) {
  if (!converted.is_object()) return broken("it is no object");
  if (converted.string_at("apiVersion") != wanted)
    return broken("invalid groupVersion (expected " + std::string(wanted) + ", received " + std::string(converted.string_at("apiVersion")) +
                  ")");
  if (converted.string_at("kind") != original.string_at("kind"))
    return broken("invalid kind (expected " + std::string(original.string_at("kind")) + ", received " +
                  std::string(converted.string_at("kind")) + ")");
  static constexpr std::pair<std::string_view, std::string_view> kept[] = {{"name", "name"}, {"namespace", "namespace"}, {"uid", "UID"}};
  for (const auto& [key, shown] : kept) {
    const std::string_view before = original.string_at("metadata", key), now = converted.string_at("metadata", key);
    if (before != now) return broken("must have the same " + std::string(shown) + ": " + std::string(before) + " != " + std::string(now));
  }
  return {};
}

Result<void> take_converted(ObjectRef& object, const Node& converted, const CustomVersion& wanted, std::string_view api_version) {
  const Document original = TRY(Document::parse(object.object->json()));
  TRY(check_converted(converted, original.root(), api_version));
  Document doc;
  doc.set_root(doc.copy(converted));
  TRY(restore_metadata(doc, doc.root(), original.root()));
  conform_stored(doc, doc.root(), wanted);
  object.object = TRY(model::Object::make(doc.root()));
  return {};
}

Task<Result<void>> convert(Cluster& cluster, const CustomVersion& wanted, std::string_view api_version,
                           const std::vector<ObjectRef*>& objects) {
  const Node& webhook = *wanted.definition->webhook();
  const std::string_view version = review_version(webhook);
  const Node* config = webhook.find("clientConfig");
  if (version.empty()) co_return broken("no supported conversion review versions");
  if (!config) co_return broken("the definition has no webhook.clientConfig");
  WebhookTarget target = CO_TRY(WebhookTarget::parse(*config));
  const std::string uid = random_uuid();
  std::string answer = CO_TRY(co_await call_webhook(cluster, std::move(target), review_of(version, api_version, uid, objects)));
  auto review = Document::parse(answer);
  if (!review || !review->root().is_object()) co_return broken("the answer is no JSON object");
  const Node* converted = CO_TRY(converted_of(review->root(), version, uid));
  const size_t count = converted ? converted->size() : 0;
  if (count != objects.size())
    co_return broken("returned " + std::to_string(count) + " objects, expected " + std::to_string(objects.size()));
  for (uint32_t i = 0; i < count; ++i)
    CO_TRY_AS("returned invalid converted object at index " + std::to_string(i),
              take_converted(*objects[i], (*converted)[i], wanted, api_version));
  co_return {};
}

}  // namespace

Task<Result<void>> convert_by_webhook(Cluster& cluster, const CustomVersion& wanted, std::vector<ObjectRef>& objects) {
  const std::string api_version = model::schema::join_api_version(wanted.resource.group, wanted.name);
  std::vector<ObjectRef*> others;
  for (ObjectRef& object : objects)
    if (object && object.meta().api_version != api_version) others.push_back(&object);
  if (others.empty()) co_return {};
  const std::string from = others.front()->meta().api_version;
  auto done = co_await convert(cluster, wanted, api_version, others);
  if (done) co_return {};
  Error error = std::move(done.error());
  error.code = Code::internal;
  error.context("conversion webhook for " + from + ", Kind=" + std::string(wanted.resource.kind) + " failed");
  co_return std::unexpected(std::move(error));
}

Task<Result<void>> Registry::present(const Action& action, std::vector<ObjectRef>& objects) {
  const CustomVersion* custom = model::custom_of(*action.resource);
  if (!custom || !custom->definition->converts_by_webhook()) co_return {};
  co_return co_await convert_by_webhook(cluster_, *custom, objects);
}

Task<Result<void>> Registry::present(const Action& action, ObjectRef& object) {
  std::vector<ObjectRef> one{object};
  CO_TRY(co_await present(action, one));
  object = std::move(one.front());
  co_return {};
}

}  // namespace estiba::apiserver
