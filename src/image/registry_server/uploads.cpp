// Uploads: monolithic, in chunks, resumed, and mounted from another repository.
#include <fcntl.h>
#include <sys/stat.h>

#include <ctime>

#include "base/strings.h"
#include "image/registry_server/upload.h"
#include "os/file.h"

namespace estiba::image {
namespace {

constexpr size_t batch_size = 1 << 20, piece_size = 256 * 1024;

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
    forget(oldest->second);
  }
}

void RegistryServer::forget(UploadRef upload) {
  uploads_.erase(upload->id);
  pool_.submit([upload] { (void)upload->remove(); });
}

void RegistryServer::forget_old_uploads() {
  const Instant now = Executor::current()->now();
  std::vector<UploadRef> old;
  for (const auto& [id, upload] : uploads_) {
    if (upload->last_used == Instant{}) upload->last_used = now;  // of the server before this one
    if (!upload->busy && now - upload->last_used > Duration(options_.upload_age)) old.push_back(upload);
  }
  for (auto& upload : old) forget(std::move(upload));
}

Result<void> RegistryServer::load_uploads() {
  TRY(os::make_dirs(uploads_dir_, 0700));
  for (const auto& entry : TRY(os::list_dir(uploads_dir_))) {
    const std::string dir = uploads_dir_ + "/" + entry.name;
    auto repository = os::read_file(dir + "/repository");
    struct stat info{};
    const bool bytes = ::stat((dir + "/data").c_str(), &info) == 0;
    if (!repository || !valid_repository(*repository) || (bytes && ::time(nullptr) - info.st_mtime > options_.upload_age.count())) {
      TRY(os::remove_all(dir));
      continue;
    }
    auto upload = std::make_shared<Upload>(entry.name, *repository, dir);
    upload->size = bytes ? uint64_t(info.st_size) : 0;
    uploads_[entry.name] = std::move(upload);
  }
  return {};
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
  forget_old_uploads();
  make_room();
  if (uploads_.size() >= options_.max_uploads)
    co_return send(call.response, {429, "TOOMANYREQUESTS", std::to_string(uploads_.size()) + " uploads are under way; try again later"});
  const std::string id = random_uuid();
  const std::string digest(call.request.query.get("digest"));
  if (!digest.empty() || call.request.query.has("digest")) {
    auto upload = std::make_shared<Upload>(id, call.route.repository, "");
    Busy busy(upload->busy);
    if (!valid_digest(digest))
      co_return send(call.response, {400, "DIGEST_INVALID", "invalid digest " + quoted(digest) + ": sha256 is expected"});
    if (auto received = co_await receive(&call.request, upload); !received)
      co_return co_await refuse(call.response, std::move(received.error()));
    co_return co_await commit_upload(std::move(call), upload, digest);
  }
  auto upload = std::make_shared<Upload>(id, call.route.repository, uploads_dir_ + "/" + id);
  upload->last_used = Executor::current()->now();
  auto made = co_await pool_.run([upload]() -> Result<void> {
    TRY(os::make_dir(upload->dir, 0700));
    return os::write_file(upload->dir + "/repository", upload->repository, O_CREAT | O_EXCL, 0600);
  });
  if (!made) co_return co_await refuse(call.response, std::move(made.error()));
  uploads_[id] = upload;
  io::Headers headers = upload_headers(call.route.repository, id, 0);
  call.response.send(202, std::move(headers));
}

namespace {

/// What a thread has done with a batch: how it went, and the memory for further ones.
struct Written {
  Result<void> done;
  std::vector<std::string> used;
};

std::string space_for(std::vector<std::string>& spare, std::optional<size_t> length) {
  std::string out;
  if (!spare.empty()) {
    out = std::move(spare.back());
    spare.pop_back();
  } else if (!length || *length >= piece_size) {
    out.reserve(piece_size);
  }
  return out;
}

}  // namespace

/// While one batch is hashed and written, the next is read.
Task<Result<void>> RegistryServer::receive(io::Request* request, UploadRef upload) {
  std::vector<std::string> batch, spare;
  size_t size = 0;
  std::unique_ptr<OneShot<Written>> writing;
  for (;;) {
    auto piece = co_await request->read_body(space_for(spare, request->content_length));
    // What came before the connection broke counts: the client may go on from there.
    const bool end = !piece || piece->empty();
    if (!end) {
      size += piece->size();
      if (piece->size() >= piece->capacity() / 2) {
        batch.push_back(std::move(*piece));
      } else {  // little came: a batch holds no more memory than bytes
        batch.emplace_back(*piece);
        spare.push_back(std::move(*piece));
      }
    }
    if (size < batch_size && !end) continue;
    if (writing) {
      auto written = co_await *writing;
      writing.reset();
      if (!written) co_return fail(Code::cancelled, "cancelled");
      CO_TRY(std::move(written->done));
      for (auto& used : written->used)
        if (used.capacity() >= piece_size) spare.push_back(std::move(used));
    }
    if (!batch.empty()) {
      writing = std::make_unique<OneShot<Written>>();
      pool_.submit([this, upload, bytes = std::exchange(batch, {}), sender = writing->sender()]() mutable {
        auto done = append(*upload, bytes);
        sender.send(Written{std::move(done), std::move(bytes)});
      });
      size = 0;
    }
    if (!end) continue;
    if (writing) {
      auto written = co_await *writing;
      if (!written) co_return fail(Code::cancelled, "cancelled");
      CO_TRY(std::move(written->done));
    }
    if (!piece) co_return std::unexpected(std::move(piece.error()));
    co_return {};
  }
}

/// Blocking.
Result<void> RegistryServer::append(Upload& upload, const std::vector<std::string>& pieces) {
  std::lock_guard lock(upload.mutex);
  BlobWriter& writer = *TRY(upload.open(*store_));
  for (const auto& piece : pieces) TRY(writer.write(piece));
  upload.size = writer.size();
  return {};
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
    auto committed = TRY(upload->open(*store_))->commit(digest);
    upload->writer.reset();
    if (!upload->dir.empty()) (void)os::remove_all(upload->dir);
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

Task<void> RegistryServer::cancel_upload(Call call) {
  UploadRef upload = find_upload(call);
  if (!upload) co_return;
  uploads_.erase(upload->id);
  auto removed = co_await pool_.run([upload] { return upload->remove(); });
  if (!removed) co_return co_await refuse(call.response, std::move(removed.error()));
  call.response.send(204);
}

}  // namespace estiba::image
