#include "apiserver/cluster.h"

#include "apiserver/admission/extensions.h"
#include "apiserver/api_errors.h"
#include "apiserver/kept.h"
#include "apiserver/webhook_client.h"

namespace estiba::apiserver {
namespace {

// The resource in the group's preferred version that has it.
model::ResourceRef preferred(const Cluster& cluster, std::string_view group, std::string_view name) {
  if (const model::schema::Group* found = model::schema::find_group(group)) {
    for (const auto& version : found->versions) {
      if (const Resource* resource = model::schema::find_resource(group, version.name, name)) return {resource, nullptr};
    }
  }
  return cluster.catalog()->find_preferred(group, name);
}

}  // namespace

Cluster::Cluster(store::Store& store, ClusterOptions options, ServiceAllocator services)
    : store_(store),
      options_(std::move(options)),
      services_(std::move(services)),
      definitions_(std::make_unique<Definitions>(store)),
      webhooks_(std::make_unique<WebhookClient>()),
      extensions_(std::make_unique<admission::Extensions>(*this)) {}

Cluster::~Cluster() = default;

model::ResourceRef Cluster::find_resource(std::string_view group, std::string_view version, std::string_view plural, bool unserved) const {
  if (const Resource* resource = model::schema::find_resource(group, version, plural)) return {resource, nullptr};
  return catalog()->find_resource(group, version, plural, unserved);
}

Result<std::unique_ptr<Cluster>> Cluster::open(store::Store& store, ClusterOptions options) {
  auto services = TRY(ServiceAllocator::make(store, options.service_cidr, options.first_node_port, options.last_node_port));
  return std::unique_ptr<Cluster>(new Cluster(store, std::move(options), std::move(services)));
}

Result<model::ObjectRef> Cluster::find(std::string_view group, std::string_view resource, std::string_view ns,
                                       std::string_view name) const {
  const model::ResourceRef found = preferred(*this, group, resource);
  const Resource* row = found.resource;
  if (!row) return no_such_resource();
  auto entry = store_.get(key_of(*row, ns, name));
  if (!entry) {
    if (entry.error().code == Code::not_found) return not_found(*row, name);
    return std::unexpected(std::move(entry.error()));
  }
  return object_of(**entry, *row);
}

Result<std::vector<model::ObjectRef>> Cluster::all(std::string_view group, std::string_view resource, std::string_view ns) const {
  const model::ResourceRef found = preferred(*this, group, resource);
  const Resource* row = found.resource;
  if (!row) return no_such_resource();
  std::vector<model::ObjectRef> out;
  for (const store::EntryPtr& entry : TRY(store_.list(prefix_of(*row, ns))).entries) out.push_back(TRY(object_of(*entry, *row)));
  return out;
}

WallTime Cluster::now() const {
  if (Executor* executor = Executor::current()) return executor->wall_now();
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

}  // namespace estiba::apiserver
