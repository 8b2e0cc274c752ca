// Namespaces: finalize; certificate signing requests: approval; component statuses.
#include "apiserver/api_errors.h"
#include "apiserver/body.h"
#include "apiserver/edit.h"
#include "apiserver/server.h"
#include "apiserver/special/special.h"

namespace estiba::apiserver {
namespace {

// Only the list of finalizers is taken from the body. When it is empty and the namespace is being deleted, it is gone.
Task<Result<Outcome>> finalize(Api& api, Action action) {
  Decoded decoded = CO_TRY(decode_object(action));
  auto given = std::make_shared<json::Document>(std::move(decoded.doc));
  co_return co_await api.registry().modify(std::move(action), Part::any, [given](const json::Node& old) -> Result<json::Document> {
    json::Document doc;
    doc.set_root(doc.copy(old));
    set_copy(doc, doc.ensure_object(doc.root(), "spec"), "finalizers", given->root().at("spec", "finalizers"));
    const json::Node* revision = given->root().at("metadata", "resourceVersion");
    if (present(revision)) set_copy(doc, doc.ensure_object(doc.root(), "metadata"), "resourceVersion", revision);
    return doc;
  });
}

Task<Result<Outcome>> approve(Api& api, Action action) {
  if (action.verb == Verb::get) {
    auto object = api.registry().get(action);
    if (!object) co_return std::unexpected(std::move(object.error()));
    co_return Outcome{200, std::move(*object), {}, {}};
  }
  // The conditions are part of the status; who may approve has been decided by the subresource's own permission.
  if (action.verb == Verb::patch) co_return co_await api.registry().patch(std::move(action));
  co_return co_await api.registry().update(std::move(action));
}

Task<Result<Outcome>> component_statuses(Api&, Action action) {
  constexpr std::string_view text =
      R"({"kind":"ComponentStatus","apiVersion":"v1","metadata":{"name":"store"},"conditions":[{"type":"Healthy","status":"True","message":"ok"}]})";
  if (action.verb == Verb::get && action.name != "store") co_return not_found(*action.resource, action.name);
  const json::Document doc = CO_TRY(json::Document::parse(text));
  model::ObjectRef item{CO_TRY(model::Object::make(doc.root())), 0};
  if (action.verb == Verb::get) co_return Outcome{200, std::move(item), {}, {}};
  co_return Outcome{200, {}, {}, {}, Page{.items = {std::move(item)}}};
}

constexpr Special rows[] = {
    {"", "namespaces", "finalize", finalize},
    {"certificates.k8s.io", "certificatesigningrequests", "approval", approve},
    {"", "componentstatuses", "", component_statuses},
};

}  // namespace

std::span<const Special> namespace_actions() { return rows; }

}  // namespace estiba::apiserver
