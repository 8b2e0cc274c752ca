// EngineImpl: images.
#include "engine/engine_impl.h"
#include "image/reference.h"

namespace estiba::engine {

namespace {

ImageInfo describe(const image::Record& record, const image::Config& config) {
  ImageInfo out;
  out.id = record.id;
  out.tags = record.tags;
  out.digests = record.digests;
  out.size = record.size;
  out.user = config.user;
  out.entrypoint = config.entrypoint;
  out.cmd = config.cmd;
  out.env = config.env;
  out.working_dir = config.working_dir;
  return out;
}

}  // namespace

Task<Result<std::optional<ImageInfo>>> EngineImpl::image_status(std::string reference) {
  using Answer = Result<std::optional<ImageInfo>>;
  co_return co_await pool_.run([store = store_, reference]() -> Answer {
    auto record = store->find(reference);
    if (!record) return reasoned(reason::invalid_image_name, Answer(std::unexpected(std::move(record.error()))));
    if (!*record) return std::nullopt;
    return describe(**record, *TRY(store->config((*record)->id)));
  });
}

Task<Result<std::vector<ImageInfo>>> EngineImpl::images() {
  co_return co_await pool_.run([store = store_]() -> Result<std::vector<ImageInfo>> {
    std::vector<ImageInfo> out;
    for (const auto& record : TRY(store->list())) out.push_back(describe(record, *TRY(store->config(record.id))));
    return out;
  });
}

Task<Result<void>> EngineImpl::remove_image(std::string reference) {
  co_return co_await pool_.run([store = store_, reference]() -> Result<void> {
    auto removed = store->remove(reference);
    if (!removed && removed.error().code != Code::not_found) return std::unexpected(std::move(removed.error()));
    return {};
  });
}

Task<Result<ImageInfo>> EngineImpl::ensure_image(std::string reference, PullPolicy policy, std::vector<Credentials> credentials) {
  auto there = CO_TRY(co_await image_status(reference));
  if (there && policy != PullPolicy::always) co_return std::move(*there);
  if (policy == PullPolicy::never) {
    if (there) co_return std::move(*there);
    co_return failed(reason::image_never_pull, Code::not_found, "image " + reference + " is not present and its pull policy is Never");
  }
  // An id names content, which no registry can be asked for.
  if (image::is_image_id(reference)) {
    if (there) co_return std::move(*there);
    co_return failed(reason::image_pull, Code::not_found, "image " + reference + " is not present, and an id cannot be pulled");
  }
  co_return co_await pull(std::move(reference), std::move(credentials));
}

Task<Result<ImageInfo>> EngineImpl::pull(std::string reference, std::vector<Credentials> credentials) {
  auto parsed = image::parse_reference(reference);
  if (!parsed) co_return reasoned(reason::invalid_image_name, Result<ImageInfo>(std::unexpected(std::move(parsed.error()))));
  const std::string key = parsed->text();
  auto& slot = pulls_[key];
  std::shared_ptr<Pull> pull = slot;
  if (!pull) {
    pull = slot = std::make_shared<Pull>();
    tasks_.start(run_pull(std::move(*parsed), std::move(credentials), pull));
  }
  co_await pull->done.wait();
  co_return *pull->result;
}

Task<void> EngineImpl::run_pull(image::Reference reference, std::vector<Credentials> credentials, std::shared_ptr<Pull> pull) {
  const std::string key = reference.text();
  auto done = co_await pull_pool_.run([store = store_, reference, credentials, stop = pull->stop]() -> Result<ImageInfo> {
    image::PullOptions options;
    for (const auto& c : credentials) options.logins.push_back({c.username, c.password, c.identity_token});
    image::Record record = TRY(image::pull_image(*store, reference, options, stop.get()));
    return describe(record, *TRY(store->config(record.id)));
  });
  pulls_.erase(key);
  pull->result = reasoned(reason::image_pull, std::move(done));
  pull->done.set();
}

}  // namespace estiba::engine
