#include "controllers/catalog/use.h"

namespace estiba::controllers::catalog {

static client::Informer::Index index_by(client::Informer& instances, std::string_view name, std::string_view Scope::* reference) {
  return instances.shared_index(name, [reference](const model::Object& object, std::vector<std::string>& values) {
    auto doc = json::Document::parse(object.json());
    if (!doc) return;
    for (const Scope* scope : {&cluster_scope, &namespaced_scope})
      if (const std::string_view used = doc->root().string_at("spec", scope->*reference, "name"); !used.empty())
        values.push_back(use_key(*scope, object.meta().ns, used));
  });
}

client::Informer::Index class_index(client::Informer& instances) { return index_by(instances, "class", &Scope::class_reference); }
client::Informer::Index plan_index(client::Informer& instances) { return index_by(instances, "plan", &Scope::plan_reference); }

client::Informer::Index instance_index(client::Informer& bindings) {
  return bindings.shared_index("instance", [](const model::Object& object, std::vector<std::string>& values) {
    auto doc = json::Document::parse(object.json());
    if (doc) values.push_back(client::key_of(object.meta().ns, doc->root().string_at("spec", "instanceRef", "name")));
  });
}

}  // namespace estiba::controllers::catalog
