// Binding by the subresource pods/binding.
#include "client/json_writer.h"
#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

Task<Result<void>> bind_by_api(client::Client& client, DemandPtr pod, std::string node) {
  const model::Meta& meta = pod->pod.meta();
  client::JsonWriter json;
  json.object().field("apiVersion", "v1").field("kind", "Binding");
  json.object("metadata").field("name", meta.name).field("namespace", meta.ns).field("uid", meta.uid).end();
  json.object("target").field("apiVersion", "v1").field("kind", "Node").field("name", node).end().end();
  CO_TRY(co_await client.call(client::pods, meta.ns, meta.name, "binding", json.take()));
  co_return {};
}

}  // namespace estiba::scheduler
