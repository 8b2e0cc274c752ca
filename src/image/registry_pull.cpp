// pull_image: the downloads run on a loop, each writes its blob on a thread, one more thread unpacks in order.
#include <algorithm>
#include <atomic>

#include "base/log.h"
#include "base/strings.h"
#include "image/registry_client.h"
#include "image/registry_run.h"
#include "image/spool.h"

namespace estiba::image {
namespace {

constexpr size_t parallel_downloads = 4;

/// What the threads of one pull share. Outlives them.
struct Pull {
  Pull(Store& s, const PullOptions& o) : store(s), options(o) {}

  Store& store;
  const PullOptions& options;
  Manifest manifest;
  std::shared_ptr<const Config> config;
  Spool config_spool;
  std::vector<std::unique_ptr<Spool>> spools;  // by layer
  RegistryClient* client = nullptr;            // lives on the loop, in pull_task
  size_t next = 0;                             // layer to download
  Result<void> error;

  void say(const Descriptor& layer, std::string status, uint64_t current = 0, uint64_t total = 0) const {
    if (options.progress) options.progress({short_digest(layer.digest), std::move(status), current, total});
  }
  void say(std::string id, std::string status) const {
    if (options.progress) options.progress({std::move(id), std::move(status), 0, 0});
  }
  /// The first error counts; it ends the threads that wait.
  void failed(Error e) {
    for (auto& spool : spools) spool->settle(Error{Code::cancelled, 0, "cancelled", nullptr});
    if (error) error = std::unexpected(std::move(e));
  }
};

/// Tells figures ten times a second at most.
class Meter {
 public:
  Meter(const Pull& pull, const Descriptor& layer, const char* status) : pull_(pull), layer_(layer), status_(status) {}
  void at(uint64_t current) {
    if (!pull_.options.progress) return;
    auto now = std::chrono::steady_clock::now();
    if (now < next_ && current < layer_.size) return;
    next_ = now + std::chrono::milliseconds(100);
    pull_.say(layer_, status_, current, layer_.size);
  }

 private:
  const Pull& pull_;
  const Descriptor& layer_;
  const char* status_;
  std::chrono::steady_clock::time_point next_{};
};

class MeteredSource final : public Source {
 public:
  MeteredSource(Source& inner, Meter meter) : inner_(inner), meter_(meter) {}
  Result<size_t> read(std::span<char> buffer) override {
    size_t n = TRY(inner_.read(buffer));
    if (n) meter_.at(count_ += n);
    return n;
  }

 private:
  Source& inner_;
  Meter meter_;
  uint64_t count_ = 0;
};

Result<std::string> unpack_one(Pull& pull, Decompressor& plain, const std::vector<std::string>& below, size_t i) {
  const std::string& diff_id = pull.config->diff_ids[i];
  // Bytes that are not compressed are hashed once, as the blob.
  const bool known = pull.manifest.layers[i].digest == diff_id && TRY(plain.find_compression()) == Compression::none;
  return pull.store.unpack_layer(plain, below, diff_id, true, pull.options.limits, known);
}

/// On a thread: the layers from the lowest up, each as soon as its bytes come.
Result<void> unpack_all(Pull& pull) {
  std::vector<std::string> below;
  std::string chain;
  for (size_t i = 0; i < pull.manifest.layers.size(); ++i) {
    const Descriptor& layer = pull.manifest.layers[i];
    chain = chain_id(chain, pull.config->diff_ids[i]);
    auto bytes = pull.spools[i]->reader(pull.store, layer.digest);
    MeteredSource metered(*bytes, Meter(pull, layer, "Extracting"));
    const bool had = pull.store.has_layer(chain);
    Result<std::string> unpacked;
    if (!had) {
      Decompressor plain(metered);
      unpacked = within("layer " + layer.digest, unpack_one(pull, plain, below, i));
    }
    // What follows the compressed data; and if the blob is not what it should be, that says more than what came of it.
    TRY(copy_all(*bytes, nullptr));
    TRY(std::move(unpacked));
    if (!had || !pull.spools[i]->was_there()) pull.say(layer, "Pull complete");
    below.push_back(chain);
  }
  return {};
}

Task<Result<void>> fetch(Pull* pull, io::Pool* threads, Descriptor blob, Spool* spool, bool told) {
  if (pull->store.has_blob(blob.digest)) {
    spool->settle(std::nullopt);
    if (told) pull->say(blob, "Already exists");
    co_return {};
  }
  const uint64_t there = CO_TRY(co_await threads->run([pull, spool, blob] { return spool->prepare(pull->store, blob); }));
  Pipe pipe;
  OneShot<Result<void>> received;
  threads->submit([reader = pipe.reader(), blob, spool, sender = received.sender()]() mutable {
    auto done = spool->receive(*reader, blob);
    reader.reset();  // so that put() says that nobody reads
    sender.send(std::move(done));
  });
  Meter meter(*pull, blob, "Downloading");
  std::function<void(uint64_t)> progress;
  if (told) progress = [&](uint64_t current) { meter.at(current); };
  auto sent = co_await pull->client->blob(blob, &pipe, std::move(progress), there);
  if (sent && told) pull->say(blob, "Verifying Checksum");
  pipe.end(sent ? std::nullopt : std::optional(sent.error()));
  auto done = co_await received;
  if (!sent && sent.error().code != Code::cancelled) co_return sent;
  if (!done) co_return fail(Code::cancelled, "blob " + blob.digest + ": cancelled");
  if (*done && told) pull->say(blob, "Download complete");
  co_return std::move(*done);
}

Task<void> download(Pull* pull, io::Pool* threads) {
  while (pull->error && pull->next < pull->manifest.layers.size()) {
    size_t i = pull->next++;
    auto done = co_await fetch(pull, threads, pull->manifest.layers[i], pull->spools[i].get(), true);
    if (!done) pull->failed(std::move(done.error()));
  }
}

Task<void> unpack_task(Pull* pull, io::Pool* threads, TaskGroup* downloads) {
  auto done = co_await threads->run([pull] { return unpack_all(*pull); });
  if (done) co_return;
  // What failed to download says more than that there was nothing to unpack.
  if (done.error().code != Code::cancelled || pull->error) pull->failed(std::move(done.error()));
  downloads->cancel();
}

struct Found {
  RegistryClient::Document top, manifest;
};

/// Follows indexes to the manifest of the platform.
Task<Result<Found>> find_manifest(Pull* pull, RegistryClient* client) {
  const Reference& reference = client->reference();
  Found out;
  out.top = CO_TRY(co_await client->manifest(reference.digest.empty() ? reference.tag : reference.digest));
  out.manifest = out.top;
  const Platform& platform = pull->options.platform;
  for (int depth = 0; is_index(out.manifest.text); ++depth) {
    if (depth == 3) co_return fail(Code::malformed, "image indexes are nested too deep");
    CO_TRY(pull->store.add_blob(out.manifest.text));
    Index index = CO_TRY(parse_index(out.manifest.text));
    const Descriptor* ours = index.choose(platform);
    if (!ours)
      co_return fail(Code::not_found, "the image is not made for " + platform.os + "/" + platform.architecture +
                                          (platform.variant.empty() ? "" : "/" + platform.variant) + ": no matching manifest for " +
                                          platform.os + "/" + platform.architecture + " in the manifest list entries");
    out.manifest = CO_TRY(co_await client->manifest(ours->digest));
  }
  co_return out;
}

/// From the first of the mirrors and the registry itself that has it.
Task<Result<Found>> locate(Pull* pull, Reference reference, std::unique_ptr<RegistryClient>* client) {
  if (reference.registry == "docker.io") {
    for (const auto& mirror : pull->options.mirrors) {
      *client = std::make_unique<RegistryClient>(reference, pull->options, mirror);
      auto found = co_await find_manifest(pull, client->get());
      if (found) co_return found;
      log::warn("image", "a mirror could not be used", {{"mirror", mirror}, {"error", found.error()}});
    }
  }
  *client = std::make_unique<RegistryClient>(reference, pull->options);
  co_return co_await find_manifest(pull, client->get());
}

Task<Result<void>> fetch_layers(Pull* pull, io::Pool* threads) {
  for (const auto& layer : pull->manifest.layers) {
    pull->spools.push_back(std::make_unique<Spool>());
    pull->say(layer, "Pulling fs layer");
  }
  TaskGroup downloads, unpacking;
  for (size_t i = 0; i < parallel_downloads; ++i) downloads.start(download(pull, threads));
  unpacking.start(unpack_task(pull, threads, &downloads));
  co_await unpacking.join();
  co_await downloads.join();
  co_return pull->error;
}

Task<Result<Record>> pull_task(Pull* pull, io::Pool* threads, Reference reference) {
  Fd adding = CO_TRY(pull->store.adding());
  std::unique_ptr<RegistryClient> client;
  auto found = CO_TRY(co_await locate(pull, reference, &client));
  pull->client = client.get();
  pull->say(reference.tag.empty() ? reference.digest : reference.tag, "Pulling from " + reference.repository);
  pull->manifest = CO_TRY(parse_manifest(found.manifest.text));
  CO_TRY(pull->store.add_blob(found.manifest.text));
  if (pull->manifest.config.size > 8 << 20) co_return fail(Code::too_large, "the image's configuration is larger than 8 MiB");
  CO_TRY(co_await fetch(pull, threads, pull->manifest.config, &pull->config_spool, false));
  pull->config = CO_TRY(pull->store.config(pull->manifest.config.digest));
  if (pull->manifest.layers.size() != pull->config->diff_ids.size())
    co_return fail(Code::malformed, "the manifest has " + std::to_string(pull->manifest.layers.size()) +
                                        " layers, but the configuration lists " + std::to_string(pull->config->diff_ids.size()));
  CO_TRY(co_await fetch_layers(pull, threads));
  std::string tag = reference.tag.empty() ? "" : reference.name() + ":" + reference.tag;
  auto record = pull->store.add_image(found.manifest.digest, tag, reference.name() + "@" + found.top.digest, pull->options.kept);
  if (record) pull->say("", "Digest: " + found.top.digest);
  co_return record;
}

}  // namespace

void TransferStop::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  if (loop_) loop_->stop();
}

bool TransferStop::stopped() {
  std::lock_guard lock(mutex_);
  return stopped_;
}

Result<Record> pull_image(Store& store, const Reference& reference, const PullOptions& options, PullStop* stop) {
  Pull pull(store, options);
  io::Pool threads(parallel_downloads + 2);  // its threads end before `pull` does
  auto result = run_transfer<Record>("pull image " + reference.text(), stop, [&] { return pull_task(&pull, &threads, reference); });
  pull.failed(Error{Code::cancelled, 0, "cancelled", nullptr});
  return result;
}

Result<std::vector<std::string>> list_tags(const Reference& reference, const RegistryOptions& options, TransferStop* stop) {
  struct Run {
    static Task<Result<std::vector<std::string>>> go(const Reference& reference, const RegistryOptions& options) {
      RegistryClient client(reference, options);
      co_return co_await client.tags();
    }
  };
  return run_transfer<std::vector<std::string>>("tags of " + reference.name(), stop, [&] { return Run::go(reference, options); });
}

Result<RemoteImage> inspect_remote(const Reference& reference, const RegistryOptions& options, TransferStop* stop) {
  struct Run {
    static Task<Result<RemoteImage>> go(const Reference& reference, const RegistryOptions& options) {
      RegistryClient client(reference, options);
      auto top = CO_TRY(co_await client.manifest(reference.digest.empty() ? reference.tag : reference.digest));
      RemoteImage out;
      out.descriptor = {top.media_type, top.digest, top.text.size(), {}, {}};
      if (is_index(top.text)) {
        for (const auto& d : CO_TRY(parse_index(top.text)).manifests)
          if (d.platform && d.platform->os != "unknown") out.platforms.push_back(*d.platform);
        co_return out;
      }
      Manifest manifest = CO_TRY(parse_manifest(top.text));
      Pipe pipe(16 << 20);
      if (manifest.config.size > 8 << 20) co_return fail(Code::too_large, "the image's configuration is larger than 8 MiB");
      CO_TRY(co_await client.blob(manifest.config, &pipe, {}));
      pipe.end();
      std::string text;
      for (;;) {
        std::string piece = CO_TRY(co_await pipe.take());
        if (piece.empty()) break;
        text += piece;
      }
      out.platforms.push_back(CO_TRY(parse_config(text)).platform);
      co_return out;
    }
  };
  return run_transfer<RemoteImage>("image " + reference.text(), stop, [&] { return Run::go(reference, options); });
}

}  // namespace estiba::image
