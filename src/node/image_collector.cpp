#include "node/image_collector.h"

#include <sys/statvfs.h>

#include "base/log.h"
#include "base/strings.h"
#include "node/node_events.h"
#include "observe/metrics.h"

namespace estiba::node {

using namespace std::chrono_literals;

namespace {

// "1.5 GiB"
std::string size_text(int64_t bytes) {
  static constexpr const char* units[] = {" B", " KiB", " MiB", " GiB"};
  int64_t whole = bytes, rest = 0;
  size_t unit = 0;
  for (; unit < 4 && whole >= 1024; ++unit) rest = whole % 1024, whole /= 1024;
  return std::to_string(whole) + (unit ? "." + std::to_string(rest * 10 / 1024) : "") + (unit < 4 ? units[unit] : " TiB");
}

}  // namespace

void ImageCollector::start() {
  began_ = context_.loop.now();
  const Housekeeping& rules = context_.options.housekeeping;
  if (rules.image_high_percent < 100 || rules.image_most_age > 0s) job_ = Job(run(this));
}

Task<void> ImageCollector::run(ImageCollector* self) {
  for (;;) {
    auto done = co_await self->collect();
    // Once may be a start that is not finished yet; a second time is told.
    if (!done) {
      log::warn("node", "image garbage collection failed", {{"error", done.error()}});
      if (self->failed_) record_of_node(self->context_, client::EventType::warning, "ImageGCFailed", done.error().message);
    }
    self->failed_ = !done;
    co_await sleep_for(self->context_.options.housekeeping.image_period);
  }
}

Task<Result<image::Store*>> ImageCollector::store() {
  if (!store_) {
    auto opened = co_await context_.pool.run([dir = context_.options.data_dir] { return image::Store::open(dir); });
    if (!opened) co_return std::unexpected(std::move(opened.error()));
    store_ = std::move(*opened);
  }
  co_return store_.get();
}

Task<Result<void>> ImageCollector::look() {
  CO_TRY(co_await store());
  auto facts = co_await context_.pool.run([store = store_] { return image::image_facts(*store); });
  if (!facts) co_return std::unexpected(std::move(facts.error()));
  ages_.look(*facts, context_.loop.wall_now());
  co_return {};
}

Result<ImageCollector::Disk> ImageCollector::disk() const {
  struct statvfs facts{};
  const std::string path = context_.options.data_dir + "/images";
  if (statvfs(path.c_str(), &facts) != 0) return fail_errno("statvfs " + path);
  const int64_t unit = int64_t(facts.f_frsize);
  return Disk{int64_t(facts.f_blocks) * unit, std::min(int64_t(facts.f_bavail), int64_t(facts.f_blocks)) * unit};
}

// Whether it went: one that came into use meanwhile stays.
Task<Result<bool>> ImageCollector::let_go(std::string id, std::string why) {
  log::info("node", "deleting an unused image", {{"image", id}, {"why", why}});
  auto gone = co_await context_.pool.run([store = store_, id] { return image::delete_unused(*store, id); });
  static auto& collected =
      observe::metrics().counters("kubelet_image_garbage_collected_total",
                                  "Total number of images garbage collected by the kubelet, whether through disk usage or "
                                  "image age.",
                                  {"reason"});
  if (gone) collected.with({why == "age" ? "age" : "space"}).add();
  if (gone) co_return true;
  if (gone.error().code == Code::conflict || gone.error().code == Code::not_found) co_return false;
  co_return std::unexpected(std::move(gone.error()).context("delete image " + id));
}

Task<Result<void>> ImageCollector::collect() {
  CO_TRY(co_await look());
  const Housekeeping& rules = context_.options.housekeeping;
  // A node that has just started does not know how long they have been unused.
  if (rules.image_most_age > 0s && context_.loop.now() - began_ > rules.image_most_age)
    for (const std::string& id : ages_.outdated(context_.loop.wall_now(), rules.image_most_age)) CO_TRY(co_await let_go(id, "age"));
  const Disk now = CO_TRY(disk());
  if (now.capacity == 0) {
    record_of_node(context_, client::EventType::warning, "InvalidDiskCapacity", "invalid capacity 0 on image filesystem");
    co_return fail(Code::internal, "invalid capacity 0 on image filesystem");
  }
  if (now.used_percent() < rules.image_high_percent) co_return {};
  co_return co_await make_room(now);
}

Task<Result<void>> ImageCollector::make_room(Disk before) {
  const Housekeeping& rules = context_.options.housekeeping;
  const int64_t wanted = before.capacity * (100 - rules.image_low_percent) / 100 - before.available;
  log::info(
      "node", "the disk of images is over the high threshold",
      {{"used percent", before.used_percent()}, {"high", rules.image_high_percent}, {"low", rules.image_low_percent}, {"to free", wanted}});
  int64_t freed = 0;
  CO_TRY(co_await look());
  for (const std::string& id : ages_.removable(context_.loop.wall_now(), rules.image_least_age)) {
    if (freed >= wanted) break;
    CO_TRY(co_await let_go(id, "space"));
    freed = std::max<int64_t>(CO_TRY(disk()).available - before.available, 0);
  }
  if (freed >= wanted) co_return {};
  const std::string message = "Insufficient free disk space on the node's image filesystem (" + std::to_string(before.used_percent()) +
                              "% of " + size_text(before.capacity) +
                              " used). Failed to free sufficient space by deleting unused images (freed " + std::to_string(freed) +
                              " bytes). Investigate disk usage, as it could be used by active images, logs, volumes, or other data.";
  record_of_node(context_, client::EventType::warning, "FreeDiskSpaceFailed", message);
  co_return fail(Code::exhausted, message);
}

Task<Result<size_t>> ImageCollector::delete_unused() {
  CO_TRY(co_await look());
  size_t count = 0;
  for (const std::string& id : ages_.removable(context_.loop.wall_now(), context_.options.housekeeping.image_least_age)) {
    auto gone = co_await let_go(id, "the node is low on disk");
    if (gone) count += *gone;
    else log::warn("node", "image not deleted", {{"error", gone.error()}});
  }
  co_return count;
}

}  // namespace estiba::node
