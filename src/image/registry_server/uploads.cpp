// Uploads: monolithic, in chunks, resumed, and mounted from another repository.
#include "base/strings.h"
#include "image/registry_server/upload.h"

namespace estiba::image {
namespace {

constexpr size_t batch_size = 1 << 20;

std::string blob_location(const std::string& repository, std::string_view digest) {
  return "/v2/" + repository + "/blobs/" + std::string(digest);
}

/// "0-99" for 100 bytes; an empty upload is "0-0" as well, as Docker's registry says it.
std::string range_of(uint64_t size) { return "0-" + std::to_string(size == 0 ? 0 : size - 1); }

io::Headers upload_headers(const std::string& repository, const std::string& id, uint64_t size) {
  return {{"Location", "/v2/" + repository + "/blobs/uploads/" + id}, {"Range", range_of(size)}, {"Docker-Upload-UUID", id}};
}

/// "5-9", also "bytes 5-9/20" and "bytes=5-9" as some clients write it.
std::optional<std::pair<uint64_t, uint64_t>> parse_content_range(std::string_view text) {
  if (text.starts_with("bytes")) text.remove_prefix(std::min<size_t>(6, text.size()));
  text = split_once(trim(text), '/').first;
  auto [first, last] = split_once(text, '-');
  auto from = parse_number<uint64_t>(trim(first)), to = parse_number<uint64_t>(trim(last.value_or("")));
  if (!from || !to || *to < *from) return std::nullopt;
  return std::pair(*from, *to);
}

/// One request at a time sends to an upload.
class Busy {
 public:
  explicit Busy(bool& flag) : flag_(flag) { flag_ = true; }
  ~Busy() { flag_ = false; }
  Busy(const Busy&) = delete;

 private:
  bool& flag_;
};

}  // namespace

RegistryServer::UploadRef RegistryServer::find_upload(const Call& call) {
  auto it = uploads_.find(call.route.last);
  if (it == uploads_.end() || it->second->repository != call.route.repository) {
    send(call.response,
         {404, "BLOB_UPLOAD_UNKNOWN",
          "there is no upload " + quoted(call.route.last) + " in repository " + call.route.repository + "; begin the blob again"});
    return nullptr;
  }
  if (it->second->busy && call.request.method != "GET" && call.request.method != "HEAD" && call.request.method != "DELETE") {
    send(call.response, {409, "BLOB_UPLOAD_INVALID", "another request is sending to this upload; ask for its state, then go on"});
    return nullptr;
  }
  it->second->last_used = Executor::current()->now();
  return it->second;
}

void RegistryServer::make_room() {
  while (uploads_.size() >= options_.max_uploads) {
    auto oldest = uploads_.end();
    for (auto it = uploads_.begin(); it != uploads_.end(); ++it)
      if (!it->second->busy && (oldest == uploads_.end() || it->second->last_used < oldest->second->last_used)) oldest = it;
    if (oldest == uploads_.end()) return;
    uploads_.erase(oldest);
  }
}

Task<bool> RegistryServer::mount_blob(Call* call) {
  const std::string digest(call->request.query.get("mount"));
  if (!valid_digest(digest)) co_return false;
  const std::string from(call->request.query.get("from"));
  auto linked = co_await pool_.run([this, to = call->route.repository, from, digest]() -> Result<bool> {
    Fd keep = TRY(store_->adding());
    const bool there = from.empty() || !valid_repository(from) ? options_.images && store_->has_blob(digest) : has_blob(from, digest);
    if (!there) return false;
    TRY(repositories_.link_blob(to, digest));
    return true;
  });
  if (!linked || !*linked) co_return false;
  call->response.send(201, {{"Location", blob_location(call->route.repository, digest)}, {"Docker-Content-Digest", digest}});
  co_return true;
}

Task<void> RegistryServer::begin_upload(Call call) {
  if (call.request.query.has("mount") && co_await mount_blob(&call)) co_return;
  make_room();
  if (uploads_.size() >= options_.max_uploads)
    co_return send(call.response, {429, "TOOMANYREQUESTS", std::to_string(uploads_.size()) + " uploads are under way; try again later"});
  const std::string id = random_uuid();
  auto upload = std::make_shared<Upload>(id, call.route.repository);
  upload->last_used = Executor::current()->now();
  const std::string digest(call.request.query.get("digest"));
  if (!digest.empty() || call.request.query.has("digest")) {
    Busy busy(upload->busy);
    if (!valid_digest(digest))
      co_return send(call.response, {400, "DIGEST_INVALID", "invalid digest " + quoted(digest) + ": sha256 is expected"});
    if (auto received = co_await receive(&call.request, upload); !received)
      co_return co_await refuse(call.response, std::move(received.error()));
    co_return co_await commit_upload(std::move(call), upload, digest);
  }
  uploads_[id] = upload;
  io::Headers headers = upload_headers(call.route.repository, id, 0);
  call.response.send(202, std::move(headers));
}

Task<Result<void>> RegistryServer::receive(io::Request* request, UploadRef upload) {
  std::string batch;
  for (;;) {
    auto piece = co_await request->read_body();
    // What came before the connection broke counts: the client may go on from there.
    const bool end = !piece || piece->empty();
    if (piece) batch += *piece;
    if (batch.size() >= batch_size || (end && !batch.empty())) {
      CO_TRY(co_await pool_.run([this, upload, bytes = std::exchange(batch, {})]() -> Result<void> {
        std::lock_guard lock(upload->mutex);
        if (!upload->writer) upload->writer.emplace(TRY(store_->new_blob()));
        TRY(upload->writer->write(bytes));
        upload->size = upload->writer->size();
        return {};
      }));
    }
    if (!piece) co_return std::unexpected(std::move(piece.error()));
    if (end) co_return {};
  }
}

Task<void> RegistryServer::continue_upload(Call call) {
  UploadRef upload = find_upload(call);
  if (!upload) co_return;
  Busy busy(upload->busy);
  if (const std::string* range = call.request.headers.find("Content-Range")) {
    auto parsed = parse_content_range(*range);
    const bool fits = parsed && parsed->first == upload->size &&
                      (!call.request.content_length || *call.request.content_length == parsed->second - parsed->first + 1);
    if (!fits) {
      for (const auto& header : upload_headers(upload->repository, upload->id, upload->size))
        call.response.always(header.name, header.value);
      co_return send(call.response, {416, "BLOB_UPLOAD_INVALID",
                                     "the chunk " + quoted(*range) + " does not follow on the " + std::to_string(upload->size) +
                                         " bytes that are here, or its length is another"});
    }
  }
  if (auto received = co_await receive(&call.request, upload); !received)
    co_return co_await refuse(call.response, std::move(received.error()));
  call.response.send(202, upload_headers(upload->repository, upload->id, upload->size));
}

Task<void> RegistryServer::finish_upload(Call call) {
  UploadRef upload = find_upload(call);
  if (!upload) co_return;
  Busy busy(upload->busy);
  const std::string digest(call.request.query.get("digest"));
  if (!valid_digest(digest))
    co_return send(call.response, {400, "DIGEST_INVALID", "the blob's digest is missing or invalid: " + quoted(digest)});
  if (const std::string* range = call.request.headers.find("Content-Range")) {
    auto parsed = parse_content_range(*range);
    if (!parsed || parsed->first != upload->size)
      co_return send(call.response,
                     {416, "BLOB_UPLOAD_INVALID",
                      "the chunk " + quoted(*range) + " does not follow on the " + std::to_string(upload->size) + " bytes that are here"});
  }
  if (auto received = co_await receive(&call.request, upload); !received)
    co_return co_await refuse(call.response, std::move(received.error()));
  co_await commit_upload(std::move(call), upload, digest);
}

Task<void> RegistryServer::commit_upload(Call call, UploadRef upload, std::string digest) {
  uploads_.erase(upload->id);
  auto done = co_await pool_.run([this, upload, digest]() -> Result<void> {
    std::lock_guard lock(upload->mutex);
    // Until the repository names it, nothing else keeps the blob from the collector.
    Fd keep = TRY(store_->adding());
    if (!upload->writer) upload->writer.emplace(TRY(store_->new_blob()));
    auto committed = upload->writer->commit(digest);
    upload->writer.reset();
    TRY(std::move(committed));
    return repositories_.link_blob(upload->repository, digest);
  });
  if (!done && done.error().code == Code::malformed) co_return send(call.response, {400, "DIGEST_INVALID", done.error().message});
  if (!done) co_return co_await refuse(call.response, std::move(done.error()));
  call.response.send(201, {{"Location", blob_location(upload->repository, digest)}, {"Docker-Content-Digest", digest}});
}

void RegistryServer::upload_status(Call call) {
  if (UploadRef upload = find_upload(call)) call.response.send(204, upload_headers(upload->repository, upload->id, upload->size));
}

void RegistryServer::cancel_upload(Call call) {
  if (!find_upload(call)) return;
  uploads_.erase(call.route.last);
  call.response.send(204);
}

}  // namespace estiba::image
