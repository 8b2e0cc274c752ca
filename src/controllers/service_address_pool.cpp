// Services of type LoadBalancer get addresses of the pool that `--load-balancer-pool` names; the nodes announce them on their links
// (network/announce/). In place of service_load_balancer.cpp, with the same rules about whose Services are ours.
//
// Who has which address stands in the status of the Services and nowhere else: it is given by the write of that status, by this one worker
// of the one server that leads, and free when the status or the Service is gone. A Service keeps what it has for as long as it may.
#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "controllers/framework.h"
#include "controllers/load_balancer_status.h"
#include "controllers/service_endpoints.h"
#include "controllers/table.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::core_v1::Node;
using model::core_v1::Service;

namespace {

/// Addresses that a Service asks for, one of each family at most, with a comma between them; goes before spec.loadBalancerIP.
constexpr std::string_view wish_annotation = "estiba.dev/load-balancer-addresses";

std::vector<Address> parse_addresses(const std::vector<std::string>& texts) {
  std::vector<Address> addresses;
  for (const std::string& text : texts)
    if (auto address = Address::parse(text)) addresses.push_back(*address);
  return addresses;
}

class ServiceAddressPool final : public Controller {
 public:
  explicit ServiceAddressPool(Context& context)
      : Controller(context, "service-lb-controller", {.workers = 1}),
        pool_(context.options.load_balancer_pool),
        services_(watch(client::services)),
        nodes_(informer(client::nodes)) {
    services_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      const std::set<Address> had = held_by(before), has = held_by(after);
      if (had == has) return;
      const std::string key = client::key_of(before ? before : after);
      for (const Address& address : had) release(address, key);
      for (const Address& address : has) holders_[address].insert(key);
      if (!std::ranges::includes(has, had)) enqueue_waiting();
    });
    nodes_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      const std::vector<Address> had = addresses_of(before), has = addresses_of(after);
      if (had == has) return;
      for (const Address& address : had) release(address, node_key(before));
      for (const Address& address : has) holders_[address].insert(node_key(after));
      enqueue_waiting();
      for (const Address& address : has) enqueue_holders(address);
    });
  }

 private:
  static std::set<Address> held_by(const ObjectRef& service) {
    if (!service || !has_our_addresses(service)) return {};
    const std::vector<Address> addresses = parse_addresses(balancer_addresses_of(service));
    return {addresses.begin(), addresses.end()};
  }
  static std::vector<Address> addresses_of(const ObjectRef& node) {
    if (!node) return {};
    std::vector<std::string> texts;
    for (const auto& address : node.as<Node>().status.addresses) texts.push_back(address.address);
    return parse_addresses(texts);
  }
  // No key of a Service: these have a slash.
  static std::string node_key(const ObjectRef& node) { return "node " + node.meta().name; }

  void release(const Address& address, const std::string& key) {
    auto holders = holders_.find(address);
    if (holders == holders_.end()) return;
    holders->second.erase(key);
    if (holders->second.empty()) holders_.erase(holders);
  }
  void enqueue_waiting() {
    services_.each([&](const ObjectRef& service) {
      if (wants_load_balancer(service) && balancer_addresses_of(service).size() < families_of(service).size()) enqueue(service);
    });
  }
  void enqueue_holders(const Address& address) {
    if (auto holders = holders_.find(address); holders != holders_.end())
      for (const std::string& key : holders->second)
        if (services_.get(key)) enqueue(key);
  }

  /// Who else has the address: "service ns/name" or "node name"; empty: nobody.
  std::string other_holder(const Address& address, const std::string& key) const {
    auto holders = holders_.find(address);
    if (holders == holders_.end()) return {};
    for (const std::string& holder : holders->second)
      if (holder != key) return holder.starts_with("node ") ? holder : "service " + holder;
    return {};
  }

  struct Wishes {
    std::vector<Address> addresses;
    std::string_view from;
  };
  static Result<Wishes> wishes_of(const ObjectRef& service) {
    const std::string_view annotation = service.meta().annotation(wish_annotation);
    const std::string& field = service.as<Service>().spec.loadBalancerIP;
    Wishes wishes{.from = annotation.empty() ? "spec.loadBalancerIP" : wish_annotation};
    for (const std::string_view text : split(annotation.empty() ? std::string_view(field) : annotation, ',')) {
      if (trim(text).empty()) continue;
      const Address address = TRY_AS(std::string(wishes.from), Address::parse(trim(text)));
      if (std::ranges::contains(wishes.addresses, address.v6, &Address::v6))
        return fail(Code::invalid, std::string(wishes.from) + " asks for two addresses of " + std::string(family_name(address.v6)) +
                                       ": name one of each family at most");
      wishes.addresses.push_back(address);
    }
    return wishes;
  }

  Result<Address> choose(const ObjectRef& service, bool v6, const Wishes& wishes) const {
    const std::string key = client::key_of(service), family(family_name(v6));
    if (auto wish = std::ranges::find(wishes.addresses, v6, &Address::v6); wish != wishes.addresses.end()) {
      const std::string asked = std::string(wishes.from) + " asks for " + wish->text();
      if (!pool_.contains(*wish))
        return fail(Code::invalid,
                    asked + ", which is not in the pool " + pool_.text() + ": ask for one of it, or let --load-balancer-pool have it");
      if (const std::string other = other_holder(*wish, key); !other.empty())
        return fail(Code::conflict, asked + ", which the " + other + " has: ask for another one");
      return *wish;
    }
    for (const Address& address : held_by(service))
      if (address.v6 == v6 && pool_.contains(address) && other_holder(address, key).empty()) return address;
    if (!pool_.has_family(v6))
      return fail(Code::invalid, "the pool " + pool_.text() + " has no " + family + " addresses: add some with --load-balancer-pool");
    const auto free = pool_.first_free(v6, [&](const Address& address) { return !other_holder(address, key).empty(); });
    if (!free)
      return fail(Code::exhausted, "no " + family + " address of the pool " + pool_.text() + " is free for the service " + key +
                                       ": add some with --load-balancer-pool, or delete another Service of type LoadBalancer");
    return *free;
  }

  /// Of all families, or, if not all are required, of those that can be had.
  Result<std::vector<std::string>> choose_all(const ObjectRef& service) const {
    const Wishes wishes = TRY(wishes_of(service));
    const bool all = service.as<Service>().spec.ipFamilyPolicy != "PreferDualStack";
    std::vector<std::string> addresses;
    std::optional<Error> failed;
    for (const std::string& family : families_of(service)) {
      auto address = choose(service, family == family_name(true), wishes);
      if (address) addresses.push_back(address->text());
      else if (all || address.error().code != Code::invalid || !wishes.addresses.empty())
        return std::unexpected(std::move(address.error()));
      else failed = std::move(address.error());
    }
    if (addresses.empty() && failed) return std::unexpected(std::move(*failed));
    return addresses;
  }

  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef service = services_.get(key);
    if (!service || !service.meta().deletion_timestamp.empty()) co_return {};
    const bool written = has_our_addresses(service), wanted = wants_load_balancer(service);
    const std::vector<std::string> now = balancer_addresses_of(service);
    if (!written && (!wanted || !now.empty())) co_return {};
    BalancerStatus next;
    if (wanted) {
      auto chosen = choose_all(service);
      if (chosen) next.addresses = *chosen;
      next.condition = pool_address_condition;
      next.reason = chosen ? "Assigned" : "AllocationFailed";
      next.message = chosen ? "addresses of the pool that the nodes announce" : chosen.error().message;
      if (written && next.addresses == now && condition_message(service, pool_address_condition) == next.message) co_return {};
    }
    CO_TRY(co_await patch_status(services_, service, patch_of(service, next, wall_now())));
    if (!wanted) co_return {};
    if (next.addresses.empty()) events_.record(service, client::EventType::warning, "AllocationFailed", next.message);
    else if (next.addresses != now)
      events_.record(service, client::EventType::normal, "IPAllocated", "Assigned IP " + join(next.addresses, ", "));
    co_return {};
  }

  const LoadBalancerPool& pool_;
  client::Informer &services_, &nodes_;
  std::map<Address, std::set<std::string>> holders_;
};

}  // namespace

std::unique_ptr<Controller> make_service_address_pool(Context& context) { return std::make_unique<ServiceAddressPool>(context); }

}  // namespace estiba::controllers
