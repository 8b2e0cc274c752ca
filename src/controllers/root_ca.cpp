// The ConfigMap `kube-root-ca.crt` in every namespace: by it pods know the API server.
#include "client/json_writer.h"
#include "controllers/framework.h"
#include "controllers/table.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {

using model::ObjectRef;

namespace {

constexpr std::string_view map_name = "kube-root-ca.crt";
constexpr std::string_view data_key = "ca.crt";

class RootCaController final : public Controller {
 public:
  explicit RootCaController(Context& context)
      : Controller(context, "root-ca-controller", {.workers = 8}), namespaces_(watch(client::namespaces)), maps_(informer(client::configmaps)) {
    maps_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      const model::Meta& meta = (after ? after : before).meta();
      if (meta.name == map_name) enqueue(meta.ns);
    });
  }

 private:
  Task<Result<void>> reconcile(std::string ns) override {
    const std::string& pem = context_.options.root_ca_pem;
    const ObjectRef object = namespaces_.get(ns), present = maps_.get(ns, map_name);
    if (pem.empty() || !object || !object.meta().deletion_timestamp.empty()) co_return {};
    if (present) {
      const auto& data = present.as<model::core_v1::ConfigMap>().data;
      if (auto it = data.find(std::string(data_key)); data.size() == 1 && it != data.end() && it->second == pem) co_return {};
    }
    client::JsonWriter json;
    json.object().field("apiVersion", "v1").field("kind", "ConfigMap").object("metadata").field("name", map_name).field("namespace", ns);
    json.object("annotations").field("kubernetes.io/description", "The CA certificates by which pods verify the API server of this cluster.").end().end();
    json.object("data").field(data_key, pem).end().end();
    auto written = present ? co_await client_.update(client::configmaps, ns, std::string(map_name), json.take()) : co_await client_.create(client::configmaps, ns, json.take());
    if (written) maps_.observe(*written);
    else if (written.error().code != Code::already_exists && written.error().code != Code::not_found)
      co_return std::unexpected(std::move(written.error().context("write config map " + ns + "/" + std::string(map_name))));
    co_return {};
  }

  client::Informer& namespaces_;
  client::Informer& maps_;
};

}  // namespace

std::unique_ptr<Controller> make_root_ca_controller(Context& context) { return std::make_unique<RootCaController>(context); }

}  // namespace estiba::controllers
