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

Task<Result<ImageInfo>> EngineImpl::ensure_image(std::string reference, PullPolicy policy, std::vector<Credentials>) {
  auto there = CO_TRY(co_await image_status(reference));
  if (there && policy != PullPolicy::always) co_return std::move(*there);
  if (policy == PullPolicy::never) co_return failed(reason::image_never_pull, Code::not_found, "image " + reference + " is not present and its pull policy is Never");
  co_return failed(reason::image_pull, Code::not_found, "image " + reference + " is not present; import it with 'estiba image import'");
}

}  // namespace estiba::engine
