#include "build/solve/builder.h"

#include "base/log.h"
#include "base/strings.h"
#include "build/solve/builder_impl.h"
#include "image/digest.h"
#include "os/file.h"
#include "os/mount.h"
#include "os/placement.h"

namespace estiba::build {
namespace {

Result<void> clear_directory(const std::string& path) {
  if (!os::exists(path)) return {};
  TRY(os::umount_all(path));
  return os::remove_all(path);
}

/// Removes a build's directory when the build ends, however it does.
class Scratch {
 public:
  Scratch(Builder& builder, std::string path) : builder_(builder), path_(std::move(path)) {}
  ~Scratch() { builder_.remove_scratch(path_); }

 private:
  Builder& builder_;
  std::string path_;
};

}  // namespace

int exit_code_of(const Error& error) {
  if (!error.details || error.details->reason != "RunFailed") return 0;
  return parse_number<int>(error.details->name).value_or(0);
}

Builder::Builder(Options options, engine::Engine& engine, std::shared_ptr<image::Store> store, io::Pool& pool, BuildNetworks& networks) {
  const std::string directory = options.data_dir + "/build";
  image::Store& images = *store;
  impl_ = std::unique_ptr<Impl>(new Impl{std::move(options), engine, std::move(store), pool, networks, Cache(directory, images)});
}
Builder::~Builder() = default;

static Task<Result<void>> remove_left_sandboxes(engine::Engine& engine) {
  for (const auto& sandbox : engine.sandboxes())
    if (sandbox.owner == "build") CO_TRY(co_await engine.remove_sandbox(sandbox.uid));
  co_return Result<void>();
}

Task<Result<void>> Builder::recover() {
  CO_TRY(co_await remove_left_sandboxes(impl_->engine));
  Impl* impl = impl_.get();
  co_return co_await impl->pool.run([impl]() -> Result<void> {
    TRY(os::make_dirs(impl->directory() + "/mounts", 0700));
    TRY(clear_directory(impl->directory() + "/tmp"));
    TRY(os::make_dirs(impl->directory() + "/tmp", 0700));
    os::place_apart(impl->directory() + "/tmp");
    TRY(clear_directory(impl->options.run_dir + "/build"));
    return impl->cache.load();
  });
}

Result<std::string> Builder::make_scratch() {
  std::string path = impl_->directory() + "/tmp/" + hex_encode(random_bytes(8));
  TRY(os::make_dirs(path, 0700));
  return path;
}

/// A build that was dropped may have a container or a copy that still writes there for a moment.
static Task<void> remove_in_the_end(io::Pool* pool, std::string path) {
  for (int attempt = 0;; ++attempt) {
    auto removed = co_await pool->run([path] { return clear_directory(path); });
    if (removed) co_return;
    if (attempt == 50) {
      log::warn("build", "a build's directory stays", {{"path", path}, {"error", removed.error()}});
      co_return;
    }
    co_await sleep_for(std::chrono::milliseconds(200));
  }
}

void Builder::remove_scratch(std::string path) { impl_->cleanups.start(remove_in_the_end(&impl_->pool, std::move(path))); }

Task<Result<BuildResult>> Builder::build(BuildRequest request, BuildOutput& output) {
  std::string path = CO_TRY(make_scratch());
  Scratch scratch(*this, path);
  Solve solve(*impl_, request, output, path);
  auto result = co_await solve.run();
  Impl* impl = impl_.get();
  auto saved = co_await impl->pool.run([impl] { return impl->cache.save(); });
  if (!saved) log::warn("build", "the cache is not saved", {{"error", saved.error()}});
  impl->store->settle_soon();
  co_return result;
}

static Result<uint64_t> tree_bytes(const std::string& path) {
  uint64_t out = 0;
  for (const auto& entry : TRY(os::list_dir(path))) {
    auto st = os::lstat_file(path + "/" + entry.name);
    if (!st) continue;  // gone meanwhile
    out += uint64_t(st->st_blocks) * 512;
    if (S_ISDIR(st->st_mode)) out += tree_bytes(path + "/" + entry.name).value_or(0);
  }
  return out;
}

Task<Result<std::map<std::string, uint64_t, std::less<>>>> Builder::mount_bytes() {
  co_return co_await impl_->pool.run(
      [directory = impl_->directory() + "/mounts"]() -> Result<std::map<std::string, uint64_t, std::less<>>> {
        std::map<std::string, uint64_t, std::less<>> out;
        for (const auto& entry : TRY(os::list_dir(directory))) out[entry.name] = tree_bytes(directory + "/" + entry.name).value_or(0);
        return out;
      });
}

bool Builder::mount_in_use(const std::string& key) const { return impl_->mounts_in_use.contains(impl_->directory() + "/mounts/" + key); }

static Result<std::set<std::string, std::less<>>> chains_of_images(image::Store& store) {
  std::set<std::string, std::less<>> out;
  for (const image::Record& record : TRY(store.list())) {
    auto config = store.config(record.id);
    if (!config) continue;
    std::string chain;
    for (const std::string& diff : (*config)->diff_ids) out.insert(chain = image::chain_id(chain, diff));
  }
  return out;
}

Task<Result<Cache::Pruned>> Builder::prune(PruneRequest request) {
  Impl* impl = impl_.get();
  Cache::Kept kept;
  kept.mount_bytes = CO_TRY(co_await mount_bytes());
  kept.image_chains = CO_TRY(co_await impl->pool.run([impl] { return chains_of_images(*impl->store); }));
  for (const auto& [key, bytes] : kept.mount_bytes)
    if (mount_in_use(key)) kept.busy_mounts.insert(key);
  Cache::Pruned out = impl->cache.prune(request, kept);
  // Moved away at once, so that no RUN can take one that is half gone.
  const std::string away = CO_TRY(make_scratch());
  for (const std::string& key : out.mounts) CO_TRY(os::rename_file(impl->directory() + "/mounts/" + key, away + "/" + key));
  co_return co_await impl->pool.run([impl, out, away]() -> Result<Cache::Pruned> {
    TRY(impl->cache.save());
    TRY(os::remove_all(away));
    TRY(impl->store->collect());
    return out;
  });
}

std::vector<std::pair<std::string, CacheEntry>> Builder::cache() const { return impl_->cache.list(); }

std::shared_ptr<DigestCache> Builder::digests() const { return impl_->digests; }

Task<void> Builder::settle() { co_await impl_->cleanups.join(); }

}  // namespace estiba::build
