#include "controllers/catalog/parameters.h"

#include "base/strings.h"
#include "controllers/canonical_json.h"

namespace estiba::controllers::catalog {
namespace {

/// Two objects side by side: what is sent, and what is told.
struct Both {
  json::Document sent, told;
  Both() {
    sent.set_root(sent.make_object());
    told.set_root(told.make_object());
  }
  Result<void> add(const json::Node& object, bool secret, std::string_view where) {
    for (const json::Node& member : object) {
      const std::string key(member.key());
      if (sent.root().find(key))
        return fail(Code::invalid, std::string(where) + ": conflict: duplicate entry for parameter " + quoted(key));
      sent.add(sent.root(), key, sent.copy(member));
      told.add(told.root(), key, secret ? told.make_string("<redacted>") : told.copy(member));
    }
    return {};
  }
  void add_defaults(const json::Node* object) {
    if (!object || !object->is_object()) return;
    for (const json::Node& member : *object) {
      const std::string key(member.key());
      if (sent.root().find(key)) continue;
      sent.add(sent.root(), key, sent.copy(member));
      told.add(told.root(), key, told.copy(member));
    }
  }
};

Task<Result<json::Document>> read_secret(client::Client& client, std::string ns, std::string name, std::string key) {
  const std::string called = "Secret " + ns + "/" + name + ", key " + quoted(key);
  auto secret = CO_TRY_AS("spec.parametersFrom: Secret " + ns + "/" + name, co_await client.get(client::secrets, ns, name));
  const json::Document doc = CO_TRY(json::Document::parse(secret.object->json()));
  const json::Node* value = doc.root().at("data", key);
  if (!value) co_return fail(Code::invalid, "spec.parametersFrom: " + called + " is not there");
  const std::string text = CO_TRY_AS("spec.parametersFrom: " + called, base64_decode(value->as_string()));
  auto parameters = json::Document::parse(text);
  // The text is a secret: the parser's error would show some of it.
  if (!parameters || !parameters->root().is_object())
    co_return fail(Code::invalid, "spec.parametersFrom: " + called + " holds no JSON object");
  co_return std::move(*parameters);
}

}  // namespace

Task<Result<Parameters>> gather_parameters(client::Client& client, const Brokers& brokers, std::string ns, const json::Node& spec,
                                           const json::Node* plan_defaults, const json::Node* class_defaults) {
  Both both;
  if (const json::Node* own = spec.find("parameters"); own && !own->is_null()) {
    if (!own->is_object()) co_return fail(Code::invalid, "spec.parameters is no JSON object");
    CO_TRY(both.add(*own, false, "spec.parameters"));
  }
  if (const json::Node* sources = spec.find("parametersFrom")) {
    for (const json::Node& source : *sources) {
      const std::string name(source.string_at("secretKeyRef", "name")), key(source.string_at("secretKeyRef", "key"));
      const json::Document read = CO_TRY(co_await read_secret(client, ns, name, key));
      CO_TRY(both.add(read.root(), true, "spec.parametersFrom"));
    }
  }
  both.add_defaults(plan_defaults);
  both.add_defaults(class_defaults);
  Parameters out;
  if (both.sent.root().empty()) co_return out;
  out.sent = json::print(both.sent.root());
  out.told = json::print(both.told.root());
  out.checksum = brokers.sha256(sorted_json(both.sent.root()));
  co_return out;
}

}  // namespace estiba::controllers::catalog
