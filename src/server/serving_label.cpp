#include "server/serving_label.h"

#include "base/log.h"
#include "client/backoff.h"
#include "ingress/ingress.h"

namespace estiba::server {

namespace {

Task<Result<void>> set_label(client::Client* client, const std::string* node, bool serves) {
  const model::ObjectRef there = CO_TRY(co_await client->get(client::nodes, "", *node));
  const std::string label(ingress::serving_label), now(there.meta().label(label));
  if (serves ? now == "true" : now.empty()) co_return {};
  const std::string patch = R"({"metadata":{"labels":{")" + label + "\":" + (serves ? "\"true\"" : "null") + "}}}";
  auto written = co_await client->patch(client::nodes, "", *node, client::PatchType::merge, patch);
  if (!written) co_return std::unexpected(std::move(written.error()));
  co_return {};
}

}  // namespace

Task<void> keep_serving_label(client::Client& client, std::string node, bool serves) {
  client::Backoff backoff(std::chrono::milliseconds(200), std::chrono::seconds(30));
  for (bool told = false;;) {
    auto done = co_await set_label(&client, &node, serves);
    if (done) co_return;
    if (!told) log::info("node", "will say later whether it serves Ingresses", {{"node", node}, {"error", done.error()}});
    told = true;
    co_await sleep_for(backoff.next());
  }
}

}  // namespace estiba::server
