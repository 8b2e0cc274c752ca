#include "image/registry.h"

#include <optional>

#include "image/registry_client.h"
#include "io/loop.h"

namespace estiba::image {
namespace {

constexpr size_t parallel_downloads = 3;

struct Work {
  Store& store;
  RegistryClient& client;
  std::vector<Descriptor> blobs;
  size_t next = 0;
  Result<void> error;
};

Task<void> download(Work* work) {
  while (work->error && work->next < work->blobs.size()) {
    auto done = co_await work->client.blob(work->store, work->blobs[work->next++]);
    if (!done && work->error) work->error = std::move(done);
  }
}

Task<Result<Record>> pull(Store& store, Reference reference, const PullOptions& options) {
  Fd adding = CO_TRY(store.adding());
  RegistryClient client(reference, options);
  auto top = CO_TRY(co_await client.manifest(reference.digest.empty() ? reference.tag : reference.digest));
  auto chosen = top;
  for (int depth = 0; is_index(chosen.text); ++depth) {
    if (depth == 3) co_return fail(Code::malformed, "image indexes are nested too deep");
    CO_TRY(store.add_blob(chosen.text));
    Index index = CO_TRY(parse_index(chosen.text));
    const Descriptor* ours = index.choose(options.platform);
    if (!ours) co_return fail(Code::not_found, "the image is not made for " + options.platform.os + "/" + options.platform.architecture);
    chosen = CO_TRY(co_await client.manifest(ours->digest));
  }
  Manifest manifest = CO_TRY(parse_manifest(chosen.text));
  CO_TRY(store.add_blob(chosen.text));
  Work work{store, client, manifest.layers, 0, {}};
  work.blobs.insert(work.blobs.begin(), manifest.config);
  TaskGroup downloads;
  for (size_t i = 0; i < parallel_downloads; ++i) downloads.start(download(&work));
  co_await downloads.join();
  CO_TRY(std::move(work.error));
  auto config = CO_TRY(store.config(manifest.config.digest));
  CO_TRY(store.unpack_layers(manifest, *config));
  std::string tag = reference.tag.empty() ? "" : reference.name() + ":" + reference.tag;
  co_return store.add_image(chosen.digest, tag, reference.name() + "@" + top.digest);
}

}  // namespace

void PullStop::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  if (loop_) loop_->stop();
}

Result<Record> pull_image(Store& store, const Reference& reference, const PullOptions& options, PullStop* stop) {
  io::Loop loop;
  if (stop) {
    std::lock_guard lock(stop->mutex_);
    if (stop->stopped_) return fail(Code::cancelled, "pull image " + reference.text() + ": cancelled");
    stop->loop_ = &loop;
  }
  struct Run {
    static Task<void> go(Store& store, Reference reference, const PullOptions& options, io::Loop& loop,
                         std::optional<Result<Record>>* out) {
      out->emplace(co_await pull(store, std::move(reference), options));
      loop.stop();
    }
  };
  std::optional<Result<Record>> result;
  Job job;
  loop.post([&] { job = Job(Run::go(store, reference, options, loop, &result)); });
  loop.run();
  if (stop) {
    std::lock_guard lock(stop->mutex_);
    stop->loop_ = nullptr;
  }
  if (!result) {
    // The job's frames unhook themselves from the loop, so they must go on it.
    loop.post([&] {
      job.cancel();
      loop.stop();
    });
    loop.run();
    return fail(Code::cancelled, "pull image " + reference.text() + ": cancelled");
  }
  return within("pull image " + reference.text(), std::move(*result));
}

}  // namespace estiba::image
