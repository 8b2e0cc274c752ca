#include "controllers/catalog/credentials.h"

#include "base/strings.h"
#include "client/json_writer.h"
#include "controllers/owned.h"
#include "model/json_path.h"

namespace estiba::controllers::catalog {
namespace {

std::string text_of(const json::Node& value) { return value.is_string() ? std::string(value.as_string()) : json::print(value); }

Result<std::string> added_value(const json::Node& add, const json::Node& credentials) {
  if (const json::Node* text = add.find("stringValue"); text && text->is_string()) return std::string(text->as_string());
  if (const json::Node* path = add.find("jsonPathExpression"); path && path->is_string()) {
    // Braces are how templates enclose a path.
    std::string_view expression = trim(path->as_string());
    if (expression.starts_with('{') && expression.ends_with('}')) expression = expression.substr(1, expression.size() - 2);
    const auto parsed = TRY_AS("jsonPathExpression", model::JsonPath::parse(expression));
    const json::Node* found = parsed.first(credentials);
    if (!found) return fail(Code::invalid, "jsonPathExpression " + quoted(path->as_string()) + " leads nowhere in the credentials");
    return text_of(*found);
  }
  return TRY_AS("value", base64_decode(add.string_at("value")));
}

Task<Result<void>> add_from(client::Client& client, std::string ns, std::string name, SecretData* data) {
  auto secret = CO_TRY_AS("addKeysFrom: Secret " + ns + "/" + name, co_await client.get(client::secrets, ns, name));
  const json::Document doc = CO_TRY(json::Document::parse(secret.object->json()));
  const json::Node* from = doc.root().find("data");
  if (!from) co_return {};
  for (const json::Node& entry : *from)
    (*data)[std::string(entry.key())] = CO_TRY_AS("addKeysFrom: Secret " + ns + "/" + name, base64_decode(entry.as_string()));
  co_return {};
}

bool is_owned(const model::ObjectRef& secret, const model::Meta& owner) {
  const model::Owner* controller = secret.meta().controller();
  return controller && controller->uid == owner.uid;
}

std::unexpected<Error> not_ours(const model::Meta& owner, const std::string& name) {
  return fail(Code::already_exists, "Secret " + owner.ns + "/" + name + " is not owned by ServiceBinding " + quoted(owner.name) +
                                        ": remove it, or give the binding another spec.secretName");
}

}  // namespace

SecretData data_of(const json::Node& credentials) {
  SecretData out;
  for (const json::Node& member : credentials) out[std::string(member.key())] = text_of(member);
  return out;
}

Task<Result<SecretData>> transform(client::Client& client, std::string ns, SecretData data, const json::Node& credentials,
                                   const json::Node* transforms) {
  if (!transforms) co_return data;
  for (const json::Node& one : *transforms) {
    if (const json::Node* rename = one.find("renameKey")) {
      auto found = data.extract(std::string(rename->string_at("from")));
      if (!found) continue;
      data.insert_or_assign(std::string(rename->string_at("to")), std::move(found.mapped()));
    } else if (const json::Node* add = one.find("addKey")) {
      const std::string key(add->string_at("key"));
      data[key] = CO_TRY_AS("spec.secretTransforms: addKey " + quoted(key), added_value(*add, credentials));
    } else if (const json::Node* from = one.at("addKeysFrom", "secretRef")) {
      const std::string_view there = from->string_at("namespace");
      CO_TRY_AS("spec.secretTransforms",
                co_await add_from(client, there.empty() ? ns : std::string(there), std::string(from->string_at("name")), &data));
    } else if (const json::Node* remove = one.find("removeKey")) {
      data.erase(std::string(remove->string_at("key")));
    }
  }
  co_return data;
}

Task<Result<void>> check_secret(client::Client& client, std::string name, model::Meta owner) {
  auto known = co_await client.get(client::secrets, owner.ns, name);
  if (known) co_return is_owned(*known, owner) ? Result<void>{} : not_ours(owner, name);
  if (known.error().code == Code::not_found) co_return {};
  co_return std::unexpected(std::move(known.error()));
}

Task<Result<void>> write_secret(client::Client& client, std::string name, const SecretData& data, model::Meta owner) {
  client::JsonWriter json;
  json.object().field("apiVersion", "v1").field("kind", "Secret").object("metadata").field("name", name).array("ownerReferences");
  write_controller_reference(json, owner);
  json.end().end().object("data");
  for (const auto& [key, value] : data) json.field(key, base64_encode(value));
  const std::string body = json.end().end().take();
  auto made = co_await client.create(client::secrets, owner.ns, body);
  if (made) co_return {};
  if (made.error().code != Code::already_exists)
    co_return std::unexpected(std::move(made.error()).context("create Secret " + owner.ns + "/" + name));
  CO_TRY(co_await check_secret(client, name, owner));
  auto written = co_await client.update(client::secrets, owner.ns, name, body);
  if (!written) co_return std::unexpected(std::move(written.error()).context("write Secret " + owner.ns + "/" + name));
  co_return {};
}

Task<Result<void>> remove_secret(client::Client& client, std::string name, model::Meta owner) {
  auto known = co_await client.get(client::secrets, owner.ns, name);
  if (known && is_owned(*known, owner)) {
    auto removed = co_await client.remove(client::secrets, owner.ns, name, {.uid = known->meta().uid});
    if (removed || removed.error().code == Code::not_found) co_return {};
    co_return std::unexpected(std::move(removed.error()).context("delete Secret " + owner.ns + "/" + name));
  }
  if (known || known.error().code == Code::not_found) co_return {};
  co_return std::unexpected(std::move(known.error()));
}

}  // namespace estiba::controllers::catalog
