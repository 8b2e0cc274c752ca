// The node's part of attaching: it says which volumes it uses, and waits until the attach/detach controller and the driver's attacher have
// brought one here (csi_attacher.go, WaitForAttach).
#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "client/attachments.h"
#include "client/json_writer.h"
#include "node/csi/work.h"

namespace estiba::node {

using model::storage_v1::VolumeAttachment;
using namespace std::chrono_literals;

namespace {
constexpr client::Resource volume_attachments{"storage.k8s.io", "v1", "volumeattachments"};
constexpr Duration attach_limit = 2min;  // of one try; the pod's back-off begins another
constexpr Duration first_look = 50ms, last_look = 1s;
}  // namespace

CsiVolumes::Attaching::Attaching(CsiVolumes* volumes, const CsiPlace& place)
    : volumes_(volumes), name_(client::unique_volume_name(place.handle, place.driver)) {
  volumes_->attaching_.insert(name_);
}

CsiVolumes::Attaching::~Attaching() {
  volumes_->attaching_.erase(volumes_->attaching_.find(name_));
  volumes_->tasks_.start(report_later(volumes_));
}

// A node may read the VolumeAttachments of its own by name, and not watch them: it asks again and again.
Task<Result<void>> CsiVolumes::attach(Work& work) {
  const CsiPlace& place = work.place;
  if (place.attachment.empty()) co_return {};
  CO_TRY_AS("volumesInUse of node " + context_.options.node_name, co_await report_in_use());
  const Instant end = context_.loop.now() + attach_limit;
  std::string why = "the attach/detach controller has not asked for it yet";
  for (Duration wait = first_look; context_.loop.now() < end; wait = std::min(wait * 2, last_look)) {
    auto found = co_await context_.client.get(volume_attachments, "", place.attachment);
    if (!found && found.error().code != Code::not_found && found.error().code != Code::forbidden)
      co_return std::unexpected(std::move(found.error()).context("VolumeAttachment " + place.attachment));
    if (found && found->meta().deletion_timestamp.empty()) {
      const auto& status = found->as<VolumeAttachment>().status;
      if (status.attached) {
        work.publish_context = status.attachmentMetadata;
        co_return {};
      }
      why = status.attachError ? status.attachError->message
                               : "the external-attacher of driver " + place.driver + " has not answered: is its controller running?";
    }
    co_await sleep_for(wait);
  }
  co_return fail(Code::timeout, "timed out waiting for external-attacher of " + place.driver + " CSI driver to attach volume " +
                                    place.handle + " (VolumeAttachment " + place.attachment + "): " + why);
}

std::vector<std::string> CsiVolumes::in_use() const {
  std::set<std::string> out(attaching_.begin(), attaching_.end());
  const auto add = [&](const CsiPlace& place) {
    if (!place.attachment.empty()) out.insert(client::unique_volume_name(place.handle, place.driver));
  };
  for (const auto& [id, kept] : kept_) add(kept.place);
  for (const auto& [key, place] : leftovers_) add(place);
  return {out.begin(), out.end()};
}

Task<Result<void>> CsiVolumes::report_in_use() {
  std::vector<std::string> now = in_use();
  if (now == reported_) co_return {};
  client::JsonWriter json;
  json.object().object("status").array("volumesInUse");
  for (const std::string& name : now) json.value(name);
  CO_TRY(co_await context_.client.patch(client::nodes, "", context_.options.node_name, client::PatchType::merge,
                                        json.end().end().end().take(), {.subresource = "status"}));
  reported_ = std::move(now);
  co_return {};
}

Task<void> CsiVolumes::report_later(CsiVolumes* self) {
  co_await yield_now();
  for (Duration wait = 1s;; wait = std::min<Duration>(wait * 2, 1min)) {
    auto reported = co_await self->report_in_use();
    if (reported) co_return;
    log::warn("node", "will try again to say which volumes are in use", {{"error", reported.error()}});
    co_await sleep_for(wait);
  }
}

}  // namespace estiba::node
