#include "network/announce/announcer.h"

#include <algorithm>

#include "network/proxy/entries.h"

namespace estiba::network::announce {

using model::core_v1::Service;
using model::discovery_v1::EndpointSlice;

std::map<Address, Announced> announced_of(const std::string& key, const Service& service, const std::vector<const EndpointSlice*>& slices) {
  std::map<Address, Announced> out;
  for (const Address& address : pool_addresses_of(service)) {
    Announced announced{.service = key};
    if (service.spec.externalTrafficPolicy == "Local") {
      announced.nodes.emplace();
      for (const EndpointSlice* slice : slices) {
        if (slice->addressType != family_name(address.v6)) continue;
        for (const auto& endpoint : slice->endpoints)
          if (!endpoint.conditions || endpoint.conditions->ready.value_or(true)) announced.nodes->insert(endpoint.nodeName);
      }
    }
    out.emplace(address, std::move(announced));
  }
  return out;
}

Announcer::Announcer(std::string node_name, client::Client& client, Executor& loop, ServiceObjects& objects)
    : node_name_(std::move(node_name)),
      client_(client),
      objects_(objects),
      events_(client, loop, "estiba-announcer", node_name_),
      job_(run()) {
  objects_.on_change([this](const std::string& key) { refresh(key); });
}

void Announcer::refresh(const std::string& key) {
  const Service* service = objects_.service(key);
  std::map<Address, Announced> now;
  if (service && !pool_addresses_of(*service).empty()) now = announced_of(key, *service, objects_.slices(key));
  const auto before = services_.find(key);
  if (before == services_.end() ? now.empty() : now == before->second) return;
  if (now.empty()) services_.erase(before);
  else services_[key] = std::move(now);
  changed_.set();
}

// A turn later than the changes, so that the first list is one of them.
Task<void> Announcer::run() {
  co_await objects_.wait_synced();
  for (;; co_await changed_.wait()) {
    changed_.reset();
    std::map<Address, Announced> all;
    for (const auto& [key, addresses] : services_) all.insert(addresses.begin(), addresses.end());
    if (all.empty()) {
      speaker_.reset();
      continue;
    }
    if (!speaker_) {
      speaker_ = std::make_unique<Speaker>(node_name_, client_, [this](const std::string& key, const Address&) {
        // As MetalLB words it, for those who look for it.
        if (const model::ObjectRef service = objects_.object(key))
          events_.record(service, client::EventType::normal, "nodeAssigned",
                         "announcing from node \"" + node_name_ + "\" with protocol \"layer2\"");
      });
      speaker_->start();
    }
    speaker_->set(std::move(all));
  }
}

}  // namespace estiba::network::announce
