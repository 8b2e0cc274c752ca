#include "scheduler/bind_claims.h"

#include "client/finalizers.h"
#include "client/json_writer.h"

namespace estiba::scheduler {

using devices::ClaimPtr;
using devices::DevicePlan;
using model::ObjectRef;

static constexpr int most_tries = 5;  // at a claim that others write too

void ClaimWriter::reserve(const DevicePlan& plan) {
  for (const auto& entry : plan.entries)
    if (!entry.allocation.empty()) devices_.begin(entry.claim->meta().uid, entry.uses);
}

void ClaimWriter::changed() {
  for (const auto& [id, event] : waiting_) event->set();
}

Task<Result<void>> ClaimWriter::write(DevicePlan plan, ObjectRef pod, Duration longest) {
  Result<void> done;
  for (const auto& entry : plan.entries) {
    done = co_await bind(entry, pod);
    if (!done) break;
  }
  for (const auto& entry : plan.entries)
    if (!entry.allocation.empty()) devices_.end(entry.claim->meta().uid, client::key_of(entry.claim->meta()));
  if (done) done = co_await wait_ready(plan.entries, longest);
  co_return done;
}

// The allocation and who may use it are written at once: a claim that is allocated and nobody's would be taken for one that is not used.
static std::string allocation_patch(const ObjectRef& claim, const std::string& allocation, std::vector<client::ClaimConsumer> consumers,
                                    const model::Meta& pod) {
  client::JsonWriter json;
  json.object().object("metadata").field("uid", claim.meta().uid).field("resourceVersion", claim.resource_version()).end();
  json.object("status");
  if (!allocation.empty()) json.raw("allocation", allocation);
  json.array("reservedFor");
  consumers.push_back({"", "pods", pod.name, pod.uid});
  for (const auto& each : consumers)
    json.object().optional("apiGroup", each.group).field("resource", each.resource).field("name", each.name).field("uid", each.uid).end();
  json.end().end().end();
  return json.take();
}

Task<Result<void>> ClaimWriter::bind(DevicePlan::Entry entry, ObjectRef pod) {
  const model::Meta& meta = entry.claim->meta();
  const std::string key = client::key_of(meta);
  ObjectRef claim = entry.claim->object;
  for (int tries = 1;; ++tries) {
    const client::ClaimUse use = client::claim_use(claim);
    if (use.is_reserved_for(pod.meta().uid)) co_return {};
    if (claim.meta().uid != meta.uid || !claim.meta().deletion_timestamp.empty())
      co_return fail(Code::conflict, "claim " + key + " got deleted in the meantime");
    if (use.allocated == !entry.allocation.empty())
      co_return fail(Code::conflict,
                     "claim " + key + " got " + (use.allocated ? "allocated" : "deallocated") + " elsewhere in the meantime");
    Result<ObjectRef> written = claim;
    if (!entry.allocation.empty() && !client::has_finalizer(claim.meta(), client::claim_finalizer)) {
      written = co_await client_.patch(client::resource_claims, meta.ns, meta.name, client::PatchType::merge,
                                       client::finalizer_patch(claim, client::claim_finalizer, true));
      if (written) claim = *written;
    }
    if (written)
      written = co_await client_.patch(client::resource_claims, meta.ns, meta.name, client::PatchType::merge,
                                       allocation_patch(claim, entry.allocation, use.reserved_for, pod.meta()), {.subresource = "status"});
    if (written) {
      devices_.claims().observe(*written);
      co_return {};
    }
    if (written.error().code != Code::conflict || tries == most_tries)
      co_return std::unexpected(std::move(written.error()).context("add allocation and reservation to claim " + key));
    claim = CO_TRY_AS("get updated claim " + key + " after conflict", co_await client_.get(client::resource_claims, meta.ns, meta.name));
  }
}

Result<bool> ClaimWriter::ready(const std::vector<DevicePlan::Entry>& entries) const {
  bool all = true;
  for (const auto& entry : entries) {
    const ClaimPtr now = devices_.claim(client::key_of(entry.claim->meta()));
    if (!now || !now->allocated()) return fail(Code::not_found, "claim " + client::key_of(entry.claim->meta()) + " lost its devices");
    if (!now->binding.failure.empty()) return fail(Code::conflict, now->binding.failure);
    all &= !now->binding.waits;
  }
  return all;
}

Task<Result<void>> ClaimWriter::wait_ready(std::vector<DevicePlan::Entry> entries, Duration longest) {
  Event changed;
  const int id = next_++;
  waiting_[id] = &changed;
  struct Leave {
    ClaimWriter* self;
    int id;
    ~Leave() { self->waiting_.erase(id); }
  } leave{this, id};
  const Instant end = executor_.now() + longest;
  for (;;) {
    changed.reset();
    if (CO_TRY(ready(entries))) co_return {};
    if (!co_await changed.wait_until(end)) co_return fail(Code::timeout, "device binding timeout");
  }
}

Task<void> ClaimWriter::release(DevicePlan plan, ObjectRef pod) {
  for (const auto& entry : plan.entries) {
    devices_.end(entry.claim->meta().uid, client::key_of(entry.claim->meta()));
    const ClaimPtr now = devices_.claim(client::key_of(entry.claim->meta()));
    if (!now || !now->use.is_reserved_for(pod.meta().uid)) continue;
    if (now->use.reserved_for.size() == 1 && (now->binding.waits || !now->binding.failure.empty())) {
      auto given_back = co_await deallocate(now);
      (void)given_back;  // else the controller of claims does it once the pod has gone
      continue;
    }
    std::vector<client::ClaimConsumer> others = now->use.reserved_for;
    std::erase_if(others, [&](const client::ClaimConsumer& each) { return each.uid == pod.meta().uid; });
    auto written = co_await client_.patch(client::resource_claims, now->meta().ns, now->meta().name, client::PatchType::merge,
                                          client::consumers_patch(now->object, others, false), {.subresource = "status"});
    if (written) devices_.claims().observe(*written);  // else the controller of claims takes it off once the pod has gone
  }
}

Task<Result<void>> ClaimWriter::deallocate(ClaimPtr claim) {
  auto written = co_await client_.patch(client::resource_claims, claim->meta().ns, claim->meta().name, client::PatchType::merge,
                                        client::consumers_patch(claim->object, {}, true), {.subresource = "status"});
  if (!written) co_return std::unexpected(std::move(written.error()).context("take back the devices of claim " + claim->meta().name));
  devices_.claims().observe(*written);
  co_return {};
}

}  // namespace estiba::scheduler
