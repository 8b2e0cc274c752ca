#include "node/dra/device_claims.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "os/file.h"

namespace estiba::node {

using model::ObjectRef;
using namespace model::core_v1;
using namespace std::chrono_literals;

namespace {
constexpr Duration wiping_delay = 30s;  // for a driver that is replaced by another version of itself
constexpr Duration reconcile_period = 60s;
}  // namespace

DeviceClaims::DeviceClaims(std::string file, std::string node_name, client::Client& client, Executor& executor)
    : file_(std::move(file)), node_name_(std::move(node_name)), client_(client), executor_(executor) {}
DeviceClaims::~DeviceClaims() = default;

Result<void> DeviceClaims::start() {
  // Drivers that are not here any more, since an earlier run: none is named.
  look_later("");
  putting_away_ = Job(put_away(this));
  auto text = os::read_file(file_);
  if (!text) return text.error().code == Code::not_found ? Result<void>{} : std::unexpected(std::move(text.error()));
  TRY_AS(file_, claims_.load(*text));
  return {};
}

void DeviceClaims::stop() {
  putting_away_.cancel();
  tasks_.cancel();
  drivers_.clear();
}

Result<void> DeviceClaims::save() const { return os::write_file_atomic(file_, claims_.save(), 0600); }

// --- drivers ---------------------------------------------------------------------------------------------------------

PluginRegistry::Handler DeviceClaims::registry_handler() {
  return {.registered = [this](RegisteredPlugin plugin) { return take(this, std::move(plugin)); },
          .gone = [this](const RegisteredPlugin& plugin) { gone(plugin); }};
}

Task<Result<void>> DeviceClaims::take(DeviceClaims* self, RegisteredPlugin plugin) {
  std::string service = CO_TRY(choose_dra_service(plugin.name, plugin.versions));
  auto& list = self->drivers_[plugin.name];
  if (std::ranges::any_of(list, [&](const auto& each) { return each->socket() == plugin.endpoint; }))
    co_return fail(Code::already_exists, "endpoint " + plugin.endpoint + " already registered for DRA driver plugin " + plugin.name);
  DraDriver::Handlers handlers{
      .connected =
          [self, name = plugin.name](bool connected) {
            if (!connected) self->look_later(name);
          },
      .health = [self, name = plugin.name](const std::vector<dra_api::DeviceHealth>& devices) { self->note_health(name, devices); }};
  list.push_back(std::make_unique<DraDriver>(plugin.name, plugin.endpoint, std::move(service), std::move(handlers)));
  co_return {};
}

void DeviceClaims::gone(const RegisteredPlugin& plugin) {
  const auto known = drivers_.find(plugin.name);
  if (known == drivers_.end()) return;
  std::erase_if(known->second, [&](const auto& each) { return each->socket() == plugin.endpoint; });
  if (known->second.empty()) drivers_.erase(known);
  look_later(plugin.name);
}

// While a driver is replaced, two are there: the newest that answers is asked.
DraDriver* DeviceClaims::driver(const std::string& name) const {
  const auto known = drivers_.find(name);
  if (known == drivers_.end() || known->second.empty()) return nullptr;
  for (auto each = known->second.rbegin(); each != known->second.rend(); ++each)
    if ((*each)->connected()) return each->get();
  return known->second.back().get();
}

bool DeviceClaims::is_here(const std::string& name) const {
  const DraDriver* found = driver(name);
  return found && found->connected();
}

void DeviceClaims::look_later(const std::string& name) { tasks_.start(wipe_later(this, name)); }

Task<void> DeviceClaims::wipe_later(DeviceClaims* self, std::string name) {
  co_await sleep_for(wiping_delay);
  if (name.empty() || !self->is_here(name)) co_await self->wipe(std::move(name));
}

// Of all drivers that are not here, when none is named.
Task<void> DeviceClaims::wipe(std::string name) {
  auto slices = co_await client_.list(client::resource_slices, "", {.field_selector = "spec.nodeName=" + node_name_});
  if (!slices) {
    log::warn("node", "ResourceSlices of drivers that have gone are not deleted", {{"error", slices.error()}});
    co_return;
  }
  for (const ObjectRef& slice : slices->items) {
    const auto document = json::Document::parse(slice.object->json());
    if (!document) continue;
    const std::string of(document->root().string_at("spec", "driver"));
    if ((!name.empty() && of != name) || is_here(of)) continue;
    auto removed = co_await client_.remove(client::resource_slices, "", slice.meta().name, {.uid = slice.meta().uid});
    log::info("node", "a ResourceSlice of a driver that has gone",
              {{"slice", slice.meta().name}, {"driver", of}, {"deleted", removed ? "yes" : removed.error().message}});
  }
}

// --- claims ----------------------------------------------------------------------------------------------------------

static std::vector<client::PodClaim> claims_of(const Pod& pod) {
  std::vector<client::PodClaim> out = client::pod_claims(pod);
  if (const auto& extended = pod.status.extendedResourceClaimStatus) out.push_back({"", extended->resourceClaimName});
  return out;
}

/// The claim, as what is known of it; Code::invalid when the pod may not use it.
Task<Result<PreparedClaim*>> DeviceClaims::take_claim(ObjectRef pod, client::PodClaim each) {
  const model::Meta& meta = pod.meta();
  if (each.pending) co_return fail(Code::not_found, "pod claim " + quoted(each.entry) + ": its ResourceClaim is not made yet");
  const ObjectRef claim =
      CO_TRY_AS("fetch ResourceClaim " + each.claim, co_await client_.get(client::resource_claims, meta.ns, each.claim));
  if (each.made && !client::is_claim_for(claim.meta(), meta)) co_return fail(Code::invalid, client::not_for_pod(claim.meta(), meta));
  const client::ClaimUse use = client::claim_use(claim);
  if (!use.is_reserved_for(meta.uid))
    co_return fail(Code::invalid, "pod " + meta.name + " (" + meta.uid + ") is not allowed to use ResourceClaim " + each.claim + " (" +
                                      claim.meta().uid + ")");
  if (!use.allocated) co_return fail(Code::invalid, "ResourceClaim " + each.claim + ": not allocated");
  PreparedClaim* known = claims_.find(meta.ns, each.claim);
  if (known && known->uid != claim.meta().uid)
    co_return fail(Code::conflict, "old ResourceClaim with same name " + each.claim + " and different UID " + known->uid +
                                       " still exists (previous pod force-deleted?!)");
  if (!known) {
    known = &claims_.add({.ns = meta.ns, .name = each.claim, .uid = claim.meta().uid, .pods = {}, .drivers = {}});
    const auto document = json::Document::parse(claim.object->json());
    if (const json::Node* results = document ? document->root().at("status", "allocation", "devices", "results") : nullptr)
      for (const json::Node& result : *results) known->drivers[std::string(result.string_at("driver"))];
  }
  known->pods.insert(meta.uid);
  co_return known;
}

Task<Result<void>> DeviceClaims::prepare(ObjectRef pod) {
  Batches batches;
  std::vector<std::pair<std::string, std::string>> asked;  // namespace and name
  for (const client::PodClaim& each : claims_of(pod.as<Pod>())) {
    const PreparedClaim* claim = CO_TRY(co_await take_claim(pod, each));
    if (claim->prepared) continue;
    asked.emplace_back(claim->ns, claim->name);
    for (const auto& [name, devices] : claim->drivers) {
      if (!driver(name)) co_return fail(Code::unavailable, "DRA driver " + name + " is not registered");
      batches[name].push_back(claim->asked());
    }
  }
  // Before anybody is asked: what is prepared is known to be so even when the answer is not heard any more.
  CO_TRY_AS("write down the pod's claims", save());
  if (asked.empty()) co_return {};
  for (auto& [name, claims] : batches) CO_TRY(co_await ask(name, std::move(claims)));
  for (const auto& [ns, name] : asked)
    if (PreparedClaim* claim = claims_.find(ns, name)) claim->prepared = true;
  co_return save();
}

Task<Result<void>> DeviceClaims::ask(std::string name, std::vector<dra_api::Claim> claims) {
  DraDriver* one = driver(name);
  if (!one) co_return fail(Code::unavailable, "DRA driver " + name + " is not registered");
  const auto answers = CO_TRY(co_await one->prepare(claims));
  for (const dra_api::PreparedEntry& answer : answers) {
    const auto of = std::ranges::find(claims, answer.uid, &dra_api::Claim::uid);
    if (PreparedClaim* claim = claims_.find(of->ns, of->name)) claim->drivers[name] = answer.claim.devices;
  }
  co_return {};
}

Task<Result<void>> DeviceClaims::unprepare(std::string pod_uid) {
  Batches batches;
  std::vector<std::pair<std::string, std::string>> asked;
  for (PreparedClaim* claim : claims_.of_pod(pod_uid)) {
    if (claim->pods.size() > 1) {
      claim->pods.erase(pod_uid);
      continue;
    }
    asked.emplace_back(claim->ns, claim->name);
    claim->prepared = false;  // a pod that comes meanwhile has them prepared again
    for (const auto& [name, devices] : claim->drivers) batches[name].push_back(claim->asked());
  }
  for (auto& [name, claims] : batches) {
    DraDriver* one = driver(name);
    if (!one) co_return fail(Code::unavailable, "DRA driver " + name + " is not registered");
    CO_TRY(co_await one->unprepare(std::move(claims)));
  }
  for (const auto& [ns, name] : asked) {
    PreparedClaim* claim = claims_.find(ns, name);
    if (!claim) continue;
    claim->pods.erase(pod_uid);
    if (claim->pods.empty()) claims_.remove(ns, name);
  }
  co_return save();
}

// Of pods that went while nobody looked.
Task<void> DeviceClaims::put_away(DeviceClaims* self) {
  for (;;) {
    co_await sleep_for(reconcile_period);
    const auto living = self->living_ ? self->living_() : std::nullopt;
    if (!living) continue;
    for (const std::string& pod : self->claims_.pods()) {
      if (living->contains(pod)) continue;
      auto done = co_await self->unprepare(pod);
      if (!done) log::warn("node", "devices of a pod that has gone are not put away", {{"pod", pod}, {"error", done.error()}});
    }
  }
}

// --- containers ------------------------------------------------------------------------------------------------------

static void add_devices(const PreparedClaim& claim, std::string_view request, std::vector<std::string>& out) {
  const std::string_view whole = request.substr(0, request.find('/'));
  for (const auto& [driver, devices] : claim.drivers)
    for (const dra_api::Device& device : devices) {
      const bool concerns =
          request.empty() || device.request_names.empty() || std::ranges::any_of(device.request_names, [&](const std::string& name) {
            return name == request || std::string_view(name).substr(0, name.find('/')) == whole;
          });
      if (!concerns) continue;
      for (const std::string& id : device.cdi_device_ids)
        if (!std::ranges::contains(out, id)) out.push_back(id);
    }
}

Result<std::vector<std::string>> DeviceClaims::cdi_devices(const ObjectRef& pod, const Container& container) const {
  std::vector<std::string> out;
  const Pod& typed = pod.as<Pod>();
  const auto find = [&](const std::string& name) -> Result<const PreparedClaim*> {
    const PreparedClaim* claim = claims_.find(pod.meta().ns, name);
    if (!claim) return fail(Code::not_found, "ResourceClaim " + name + " is not prepared on this node");
    return claim;
  };
  if (container.resources && !container.resources->claims.empty()) {
    const std::vector<client::PodClaim> all = client::pod_claims(typed);
    for (const auto& wanted : container.resources->claims) {
      const auto entry = std::ranges::find(all, wanted.name, &client::PodClaim::entry);
      if (entry != all.end()) add_devices(*TRY(find(entry->claim)), wanted.request, out);
    }
  }
  if (const auto& extended = typed.status.extendedResourceClaimStatus)
    for (const auto& mapping : extended->requestMappings)
      if (mapping.containerName == container.name) add_devices(*TRY(find(extended->resourceClaimName)), mapping.requestName, out);
  return out;
}

// --- health ----------------------------------------------------------------------------------------------------------

void DeviceClaims::note_health(const std::string& name, const std::vector<dra_api::DeviceHealth>& devices) {
  constexpr Duration usual = 30s;
  constexpr size_t longest_message = 1024;  // ResourceHealthMessageMaxLength
  bool changed = false;
  Duration first = Duration::max();
  for (const dra_api::DeviceHealth& device : devices) {
    State& state = health_[{name, device.device.pool_name, device.device.device_name}];
    const Duration timeout = device.timeout > 0 ? std::chrono::seconds(std::min<int64_t>(device.timeout, 24 * 3600)) : usual;
    const std::string message =
        device.message.size() > longest_message ? device.message.substr(0, longest_message - 3) + "..." : device.message;
    const bool expired = state.known_until <= executor_.now();
    changed |= expired || state.health != device.health || state.message != message;
    state = {device.health, message, executor_.now() + timeout};
    first = std::min(first, timeout);
  }
  if (changed) tell_users(name);
  if (first < Duration::max()) tasks_.start(forget_health(this, name, first));
}

// What is not said again in time is not known.
Task<void> DeviceClaims::forget_health(DeviceClaims* self, std::string name, Duration after) {
  co_await sleep_for(after);
  const bool expired = std::ranges::any_of(
      self->health_, [&](const auto& each) { return std::get<0>(each.first) == name && each.second.known_until <= self->executor_.now(); });
  if (expired) self->tell_users(name);
}

void DeviceClaims::tell_users(const std::string& name) {
  if (!health_changed_) return;
  for (const std::string& pod : claims_.pods())
    if (std::ranges::any_of(claims_.of_pod(pod), [&](const PreparedClaim* claim) { return claim->drivers.contains(name); }))
      health_changed_(pod);
}

void DeviceClaims::add_health(const ObjectRef& pod, PodStatus& status) const {
  const Pod& typed = pod.as<Pod>();
  if (typed.spec.resourceClaims.empty()) return;
  const std::vector<client::PodClaim> all = client::pod_claims(typed);
  for (const Container& container : typed.spec.containers) {
    const auto shown = std::ranges::find(status.containerStatuses, container.name, &ContainerStatus::name);
    if (shown == status.containerStatuses.end() || !container.resources) continue;
    for (const auto& wanted : container.resources->claims) {
      const auto entry = std::ranges::find(all, wanted.name, &client::PodClaim::entry);
      const PreparedClaim* claim = entry == all.end() ? nullptr : claims_.find(pod.meta().ns, entry->claim);
      if (!claim) continue;
      ResourceStatus resource{.name = "claim:" + wanted.name + (wanted.request.empty() ? "" : "/" + wanted.request), .resources = {}};
      for (const auto& [name, devices] : claim->drivers) {
        for (const dra_api::Device& device : devices) {
          if (!wanted.request.empty() && !device.request_names.empty() && !std::ranges::contains(device.request_names, wanted.request))
            continue;
          const auto known = health_.find({name, device.pool_name, device.device_name});
          const bool current = known != health_.end() && known->second.known_until > executor_.now();
          const dra_api::Health health = current ? known->second.health : dra_api::Health::unknown;
          ResourceHealth& out = resource.resources.emplace_back();
          out.resourceID =
              device.cdi_device_ids.empty() ? name + "/" + device.pool_name + "/" + device.device_name : device.cdi_device_ids[0];
          out.health = health == dra_api::Health::healthy ? "Healthy" : health == dra_api::Health::unhealthy ? "Unhealthy" : "Unknown";
          if (current) out.message = known->second.message;
        }
      }
      if (!resource.resources.empty()) shown->allocatedResourcesStatus.push_back(std::move(resource));
    }
  }
}

}  // namespace estiba::node
