#include "apiserver/snapshot.h"

#include "apiserver/api_errors.h"
#include "apiserver/respond.h"
#include "base/log.h"
#include "store/snapshot.h"

namespace estiba::apiserver {

namespace {

constexpr size_t piece_bytes = 256 * 1024;

Task<Result<store::ListResult>> everything(store::Store& store, store::Freshness* freshness) {
  if (freshness) CO_TRY(co_await freshness->refresh());
  co_return store.list("");
}

}  // namespace

Task<void> serve_snapshot(store::Store& store, store::Freshness* freshness, io::Response& response) {
  auto all = co_await everything(store, freshness);
  if (!all) {
    co_return response.send(http_status(all.error()), {{"Content-Type", "application/json"}}, render_error({}, all.error()).body);
  }
  if (!co_await response.start(200, {{"Content-Type", "application/octet-stream"}, {"Cache-Control", "no-store"}})) co_return;
  store::SnapshotWriter writer;
  std::string piece = writer.begin(all->revision, all->entries.size());
  for (const store::EntryPtr& entry : all->entries) {
    piece += writer.entry(*entry);
    if (piece.size() < piece_bytes) continue;
    if (!co_await response.write(std::exchange(piece, {}))) co_return;
  }
  piece += writer.end();
  if (co_await response.write(std::move(piece)))
    log::info("apiserver", "snapshot taken", {{"revision", all->revision}, {"keys", all->entries.size()}});
}

}  // namespace estiba::apiserver
