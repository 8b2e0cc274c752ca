// push_image: what the registry lacks of an image, several blobs at a time.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "image/registry_client.h"
#include "image/registry_run.h"
#include "os/file.h"

namespace estiba::image {
namespace {

constexpr size_t parallel_uploads = 4;
constexpr int gzip_level = 4;

/// A layer on its way: as it is stored, and as the registry gets it.
struct Outgoing {
  Descriptor stored, sent;
  Fd compressed;  // an unnamed file, when it has been compressed for this
};

struct Push {
  Store& store;
  const PushOptions& options;
  Reference reference;
  Record record;
  bool compress = false;
  std::vector<Outgoing> layers;
  std::vector<std::string> siblings;  // repositories of the same registry that have this image
  RegistryClient* client = nullptr;
  io::Pool* threads = nullptr;
  size_t next = 0;
  Result<void> error;

  void say(const Descriptor& layer, std::string status, uint64_t current = 0, uint64_t total = 0) const {
    if (options.progress) options.progress({short_digest(layer.digest), std::move(status), current, total});
  }
};

/// Where it is noted what a layer's gzip was, so that a second push need not compress it to know: "sha256:… size\n".
std::string gzip_note(const Store& store, std::string_view digest) {
  return store.data_dir() + "/images/recipes/gzip/" + std::string(hex_of(digest));
}

std::optional<Descriptor> known_gzip(const Store& store, const Descriptor& layer) {
  auto text = os::read_file(gzip_note(store, layer.digest));
  if (!text) return std::nullopt;
  auto [digest, size] = split_once(trim(*text), ' ');
  auto bytes = parse_number<uint64_t>(size.value_or(""));
  if (!valid_digest(digest) || !bytes) return std::nullopt;
  return Descriptor{std::string(media::oci_layer) + "+gzip", std::string(digest), *bytes, {}, {}};
}

/// Blocking.
Result<void> compress_layer(const Store& store, Outgoing& layer) {
  layer.compressed = TRY(os::open_file(store.data_dir() + "/images/tmp", O_RDWR | O_TMPFILE, 0600));
  FileSink file(layer.compressed.get());
  HashingSink hashed(file);
  GzipSink gzip(hashed, gzip_level);
  auto source = TRY(store.open_layer_source(layer.stored.digest));
  TRY(copy_all(*source, &gzip));
  TRY(gzip.finish());
  layer.sent = {std::string(media::oci_layer) + "+gzip", hashed.digest(), hashed.count(), {}, {}};
  TRY(os::make_dirs(store.data_dir() + "/images/recipes/gzip", 0700));
  return os::write_file_atomic(gzip_note(store, layer.stored.digest), layer.sent.digest + " " + std::to_string(layer.sent.size) + "\n",
                               0600, false);
}

/// A duplicate of the file, for a thread that may outlive the push.
RegistryClient::OpenSource opener(Push* push, const Outgoing& layer) {
  std::shared_ptr<Fd> file;
  if (layer.compressed) file = std::make_shared<Fd>(::fcntl(layer.compressed.get(), F_DUPFD_CLOEXEC, 0));
  return [&store = push->store, file, stored = layer.stored.digest,
          size = layer.sent.size](uint64_t offset) -> Result<std::unique_ptr<Source>> {
    if (!file) return store.open_layer_source(stored, offset);
    struct Part final : Source {
      std::shared_ptr<Fd> fd;
      FileSource source;
      Part(std::shared_ptr<Fd> f, uint64_t at, uint64_t length) : fd(std::move(f)), source(fd->get(), at, length) {}
      Result<size_t> read(std::span<char> buffer) override { return source.read(buffer); }
    };
    return std::make_unique<Part>(file, offset, size - offset);
  };
}

Task<Result<bool>> already_there(Push* push, Outgoing* layer) {
  if (!CO_TRY(co_await push->client->has_blob(layer->sent.digest))) co_return false;
  push->say(layer->stored, "Layer already exists");
  co_return true;
}

Task<Result<void>> send_layer(Push* push, Outgoing* layer) {
  if (push->compress && (layer->stored.media_type == media::oci_layer)) {
    if (auto known = known_gzip(push->store, layer->stored)) {
      layer->sent = *known;
      if (CO_TRY(co_await already_there(push, layer))) co_return {};
    }
    CO_TRY(co_await push->threads->run([push, layer] { return compress_layer(push->store, *layer); }));
  }
  if (CO_TRY(co_await already_there(push, layer))) co_return {};
  for (const auto& sibling : push->siblings) {
    if (!CO_TRY(co_await push->client->mount_blob(layer->sent.digest, sibling))) continue;
    push->say(layer->stored, "Mounted from " + sibling);
    co_return {};
  }
  auto told = std::chrono::steady_clock::time_point{};
  std::function<void(uint64_t)> progress = [push, layer, told](uint64_t current) mutable {
    auto now = std::chrono::steady_clock::now();
    if (!push->options.progress || (now < told && current < layer->sent.size)) return;
    told = now + std::chrono::milliseconds(100);
    push->say(layer->stored, "Pushing", current, layer->sent.size);
  };
  CO_TRY(co_await push->client->upload(layer->sent, opener(push, *layer), std::move(progress)));
  push->say(layer->stored, "Pushed");
  co_return {};
}

Task<void> sender(Push* push) {
  while (push->error && push->next < push->layers.size()) {
    auto done = co_await send_layer(push, &push->layers[push->next++]);
    if (!done && push->error) push->error = std::move(done);
  }
}

Task<Result<void>> send_config(Push* push, Descriptor config) {
  if (CO_TRY(co_await push->client->has_blob(config.digest))) co_return {};
  Outgoing blob{config, config, {}};
  co_return co_await push->client->upload(config, opener(push, blob), {});
}

/// Other repositories of the registry that are known to have this image.
std::vector<std::string> siblings_of(const Record& record, const Reference& reference) {
  std::set<std::string> out;
  for (const auto& name : record.digests)
    if (auto other = parse_reference(name); other && other->registry == reference.registry && other->repository != reference.repository)
      out.insert(other->repository);
  return {out.begin(), out.end()};
}

Task<Result<Pushed>> push_task(Push* push) {
  RegistryClient client(push->reference, push->options, {}, true);
  push->client = &client;
  Manifest manifest = CO_TRY(push->store.manifest(push->record));
  std::set<std::string> seen;
  for (const auto& layer : manifest.layers) {
    push->say(layer, "Preparing");
    if (seen.insert(layer.digest).second) push->layers.push_back({layer, layer, {}});
  }
  {
    TaskGroup senders;
    for (size_t i = 0; i < parallel_uploads; ++i) senders.start(sender(push));
    co_await senders.join();
  }
  CO_TRY(push->error);
  CO_TRY(co_await send_config(push, manifest.config));
  bool changed = false;
  for (auto& layer : manifest.layers) {
    auto it = std::find_if(push->layers.begin(), push->layers.end(), [&](const Outgoing& o) { return o.stored.digest == layer.digest; });
    changed |= it->sent.digest != layer.digest;
    layer = it->sent;
  }
  std::string text = changed ? print_manifest(manifest) : CO_TRY(push->store.read_blob(push->record.manifest));
  Pushed out{digest_of(text), text.size()};
  CO_TRY(co_await client.put_manifest(push->reference.tag.empty() ? out.digest : push->reference.tag, text, manifest.media_type));
  {
    Fd adding = CO_TRY(push->store.adding());
    CO_TRY(push->store.add_blob(text));
    CO_TRY(push->store.add_digest(push->record.id, push->reference.name() + "@" + out.digest));
  }
  push->store.settle_soon();
  co_return out;
}

}  // namespace

Result<Pushed> push_image(Store& store, const Reference& reference, const PushOptions& options, TransferStop* stop) {
  const std::string what = "push image " + reference.text();
  auto record = TRY_AS(what, store.find(reference.key()));
  if (!record) return fail(Code::not_found, "An image does not exist locally with the tag: " + reference.familiar());
  Push push{store, options, reference, *record};
  push.compress = options.compress == PushOptions::Compress::always ||
                  (options.compress == PushOptions::Compress::automatic && !is_loopback(reference.registry));
  push.siblings = siblings_of(*record, reference);
  io::Pool threads(parallel_uploads);
  push.threads = &threads;
  return run_transfer<Pushed>(what, stop, [&] { return push_task(&push); });
}

}  // namespace estiba::image
