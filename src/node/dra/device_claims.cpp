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

Result<void> DeviceClaims::load() {
  auto text = os::read_file(file_);
  if (!text) return text.error().code == Code::not_found ? Result<void>{} : std::unexpected(std::move(text.error()));
  return within(file_, claims_.load(*text));
}

void DeviceClaims::start() {
  look_later("");  // for drivers that are not here any more, since an earlier run: none is named
  putting_away_ = Job(put_away(this));
}

void DeviceClaims::stop() {
  putting_away_.cancel();
  forgetting_.clear();
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
            else if (self->driver_here_) self->driver_here_();
          },
      .health = [self, name = plugin.name](const std::vector<dra_api::DeviceHealth>& devices) { self->note_health(name, devices); }};
  list.push_back(std::make_shared<DraDriver>(plugin.name, plugin.endpoint, std::move(service), std::move(handlers)));
  self->look_later(plugin.name);  // it may never answer
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
std::shared_ptr<DraDriver> DeviceClaims::driver(const std::string& name) const {
  const auto known = drivers_.find(name);
  if (known == drivers_.end() || known->second.empty()) return nullptr;
  for (auto each = known->second.rbegin(); each != known->second.rend(); ++each)
    if ((*each)->connected()) return *each;
  return known->second.back();
}

bool DeviceClaims::is_here(const std::string& name) const {
  const auto found = driver(name);
  return found && found->connected();
}

void DeviceClaims::look_later(const std::string& name) { tasks_.start(wipe_later(this, name)); }

Task<void> DeviceClaims::wipe_later(DeviceClaims* self, std::string name) {
  co_await sleep_for(wiping_delay);
  if (name.empty() || !self->is_here(name)) co_await self->wipe(std::move(name));
}

// When none is named, of all drivers that have not registered: the others are looked at by themselves.
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
    if (name.empty() ? drivers_.contains(of) : of != name || is_here(of)) continue;
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

/// What the claim asks for; Code::invalid when the pod may not use it.
Task<Result<PreparedClaim>> DeviceClaims::look_up(ObjectRef pod, client::PodClaim each) {
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
  PreparedClaim out{.ns = meta.ns, .name = each.claim, .uid = claim.meta().uid, .pods = {}, .drivers = {}};
  const json::Document document = CO_TRY(json::Document::parse(claim.object->json()));
  if (const json::Node* results = document.root().at("status", "allocation", "devices", "results"))
    for (const json::Node& result : *results) out.drivers[std::string(result.string_at("driver"))];
  co_return out;
}

Result<void> DeviceClaims::check(const PreparedClaim& wanted) const {
  const PreparedClaim* known = claims_.find(wanted.ns, wanted.name);
  if (known && known->uid != wanted.uid)
    return fail(Code::conflict, "old ResourceClaim with same name " + wanted.name + " and different UID " + known->uid +
                                    " still exists (previous pod force-deleted?!)");
  if (known && known->prepared) return {};
  for (const auto& [name, devices] : wanted.drivers)
    if (!driver(name)) return fail(Code::unavailable, "DRA driver " + name + " is not registered");
  return {};
}

Task<Result<void>> DeviceClaims::prepare(ObjectRef pod) {
  const std::vector<client::PodClaim> wanted = claims_of(pod.as<Pod>());
  ClaimTurns::Names names;
  for (const client::PodClaim& each : wanted) names.emplace(pod.meta().ns, each.claim);
  const ClaimTurns::Turn turn = co_await turns_.take(std::move(names));
  std::map<std::string, PreparedClaim> found;
  for (const client::PodClaim& each : wanted) found.insert_or_assign(each.claim, CO_TRY(co_await look_up(pod, each)));
  // All that can be refused is looked at first: a pod that is refused has nothing to put away, and may go without its drivers.
  for (const auto& [name, claim] : found) CO_TRY(check(claim));

  Batches batches;
  std::vector<PreparedClaim*> asked;  // nobody else touches them in this turn
  for (auto& [claim_name, claim] : found) {
    PreparedClaim* known = claims_.find(claim.ns, claim.name);
    if (!known) known = &claims_.add(std::move(claim));
    known->pods.insert(pod.meta().uid);
    if (known->prepared) continue;
    asked.push_back(known);
    for (const auto& [name, devices] : known->drivers) batches[name].push_back(known->asked());
  }
  // Before anybody is asked: what is prepared is put away even when the answer is not heard any more.
  CO_TRY_AS("write down the pod's claims", save());
  if (asked.empty()) co_return {};
  for (auto& [name, claims] : batches) CO_TRY(co_await ask(name, std::move(claims)));
  for (PreparedClaim* claim : asked) claim->prepared = true;
  co_return within("write down the pod's devices", save());
}

Task<Result<void>> DeviceClaims::ask(std::string name, std::vector<dra_api::Claim> claims) {
  const auto one = driver(name);
  if (!one) co_return fail(Code::unavailable, "DRA driver " + name + " is not registered");
  const auto answers = CO_TRY(co_await one->prepare(claims));
  for (const dra_api::PreparedEntry& answer : answers) {
    const auto of = std::ranges::find(claims, answer.uid, &dra_api::Claim::uid);
    if (PreparedClaim* claim = claims_.find(of->ns, of->name)) claim->drivers[name] = answer.claim.devices;
  }
  co_return {};
}

Task<Result<void>> DeviceClaims::unprepare(std::string pod_uid) {
  ClaimTurns::Names names;
  for (const PreparedClaim* claim : claims_.of_pod(pod_uid)) names.emplace(claim->ns, claim->name);
  const ClaimTurns::Turn turn = co_await turns_.take(std::move(names));
  Batches batches;
  std::vector<PreparedClaim*> asked;
  for (PreparedClaim* claim : claims_.of_pod(pod_uid)) {
    if (claim->pods.size() > 1) {
      claim->pods.erase(pod_uid);
      continue;
    }
    asked.push_back(claim);
    claim->prepared = false;  // should one driver fail after another has done it
    for (const auto& [name, devices] : claim->drivers) batches[name].push_back(claim->asked());
  }
  for (auto& [name, claims] : batches) {
    const auto one = driver(name);
    if (!one) co_return fail(Code::unavailable, "DRA driver " + name + " is not registered");
    CO_TRY(co_await one->unprepare(std::move(claims)));
  }
  for (PreparedClaim* claim : asked) claims_.remove(std::string(claim->ns), std::string(claim->name));
  co_return save();
}

bool DeviceClaims::has_all(const ObjectRef& pod) const {
  return std::ranges::all_of(claims_of(pod.as<Pod>()), [&](const client::PodClaim& each) {
    const PreparedClaim* claim = claims_.find(pod.meta().ns, each.claim);
    return claim && claim->pods.contains(pod.meta().uid) &&
           std::ranges::none_of(claim->drivers, [](const auto& driver) { return driver.second.empty(); });
  });
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
  for (const dra_api::DeviceHealth& device : devices) {
    State& state = health_[{name, device.device.pool_name, device.device.device_name}];
    const Duration timeout = device.timeout > 0 ? std::chrono::seconds(std::min<int64_t>(device.timeout, 24 * 3600)) : usual;
    const std::string message =
        device.message.size() > longest_message ? device.message.substr(0, longest_message - 3) + "..." : device.message;
    const bool expired = state.known_until <= executor_.now();
    changed |= expired || state.health != device.health || state.message != message;
    state = {device.health, message, executor_.now() + timeout};
  }
  if (changed) tell_users(name);
  forgetting_[name] = Job(forget_health(this, name));
}

// What is not said again in time is not known.
Task<void> DeviceClaims::forget_health(DeviceClaims* self, std::string name) {
  for (;;) {
    Instant next = Instant::max();
    for (const auto& [device, state] : self->health_)
      if (std::get<0>(device) == name && state.known_until > self->executor_.now()) next = std::min(next, state.known_until);
    if (next == Instant::max()) co_return;
    co_await sleep_until(next);
    self->tell_users(name);
  }
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
