// RegistryClient: manifests, and blobs both ways.
#include <algorithm>

#include "base/strings.h"
#include "image/registry_client.h"
#include "model/json.h"

namespace estiba::image {
namespace {

using namespace std::chrono_literals;
using Answer = std::unique_ptr<io::ClientResponse>;

constexpr std::string_view manifest_types =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
constexpr size_t manifest_limit = 4 << 20;
constexpr auto stalled = 60s;  // without a byte of a body

/// What the registry says about a refusal: {"errors":[{"code":…,"message":…}]}.
std::string registry_says(std::string_view body) {
  auto doc = json::Document::parse(body);
  if (!doc) return "";
  const json::Node* errors = doc->root().find("errors");
  if (!errors || errors->empty()) return "";
  std::string_view message = (*errors)[0].string_at("message"), code = (*errors)[0].string_at("code");
  return ": " + std::string(message.empty() ? code : message);
}

Task<Error> refusal(Answer answer, std::string what) {
  auto body = co_await with_timeout(stalled, answer->text(64 << 10));
  std::string says = registry_says(body && *body ? **body : "");
  switch (answer->status) {
    case 401:
    case 403:
      co_return Error{Code::unauthorized, 0, what + " is not allowed" + says + "; it may not exist or need other credentials", nullptr};
    case 404: co_return Error{Code::not_found, 0, what + " is not in the registry" + says, nullptr};
    case 429: co_return Error{Code::exhausted, 0, what + ": the registry says that there were too many requests" + says, nullptr};
    default:
      co_return Error{answer->status >= 500 ? Code::unavailable : Code::internal, 0,
                      what + ": the registry answered " + std::to_string(answer->status) + says, nullptr};
  }
}

Task<Result<std::string>> next_piece(io::ClientResponse* answer, std::string space = {}) {
  auto piece = co_await with_timeout(stalled, answer->read(std::move(space)));
  if (!piece) co_return fail(Code::timeout, "the registry sent nothing for a minute");
  co_return std::move(*piece);
}

}  // namespace

Task<Result<RegistryClient::Document>> RegistryClient::manifest(std::string name) {
  Ask request{.path = "manifests/" + name, .follow = true};
  request.headers.add("Accept", std::string(manifest_types));
  Answer answer = CO_TRY(co_await ask(std::move(request)));
  if (answer->status != 200)
    co_return std::unexpected(co_await refusal(std::move(answer), "manifest " + name + " of " + reference_.name()));
  Document out;
  for (;;) {
    std::string piece = CO_TRY(co_await next_piece(answer.get()));
    if (piece.empty()) break;
    out.text += piece;
    if (out.text.size() > manifest_limit)
      co_return fail(Code::too_large, "manifest " + name + " is larger than " + std::to_string(manifest_limit) + " bytes");
  }
  out.media_type = split_once(answer->headers.get("Content-Type"), ';').first;
  out.digest = digest_of(out.text);
  std::string_view expected = valid_digest(name) ? std::string_view(name) : answer->headers.get("Docker-Content-Digest");
  if (valid_digest(expected) && out.digest != expected)
    co_return fail(Code::malformed, "digest mismatch: the manifest has " + out.digest + ", but " + std::string(expected) + " was expected");
  co_return out;
}

Task<Result<std::vector<std::string>>> RegistryClient::tags() {
  std::vector<std::string> out;
  std::string path = "tags/list?n=1000";
  for (int page = 0; page < 1000 && !path.empty(); ++page) {
    Answer answer = CO_TRY(co_await ask({.path = path, .follow = true}));
    if (answer->status != 200) co_return std::unexpected(co_await refusal(std::move(answer), "the list of tags of " + reference_.name()));
    std::string text = CO_TRY(co_await answer->text(manifest_limit));
    auto doc = CO_TRY_AS("the list of tags", json::Document::parse(text));
    if (const json::Node* tags = doc.root().find("tags"); tags && tags->is_array())
      for (const auto& tag : *tags) out.emplace_back(tag.as_string());
    // Link: </v2/x/tags/list?last=b&n=1000>; rel="next"
    std::string_view link = answer->headers.get("Link");
    size_t begin = link.find('<'), end = link.find('>');
    if (begin == link.npos || end == link.npos || link.find("next") == link.npos) break;
    path = CO_TRY(CO_TRY(io::Url::parse(base_)).resolve(link.substr(begin + 1, end - begin - 1))).text();
  }
  co_return out;
}

// --- downloading -------------------------------------------------------------------------------------------------------------

Task<Result<void>> RegistryClient::read_blob(Answer answer, uint64_t skip, uint64_t size, uint64_t* received, Pipe* into,
                                             const std::function<void(uint64_t)>* progress) {
  for (;;) {
    std::string piece = CO_TRY(co_await next_piece(answer.get(), size < Pipe::piece_size ? std::string() : into->space()));
    if (piece.empty()) co_return {};
    if (skip > 0) {  // a registry without Range sends all again
      size_t drop = size_t(std::min<uint64_t>(skip, piece.size()));
      piece.erase(0, drop);
      skip -= drop;
      if (piece.empty()) continue;
    }
    *received += piece.size();
    if (*received > size)
      co_return fail(Code::malformed, "it is larger than the " + std::to_string(size) + " bytes that the manifest declares");
    if (piece.size() < piece.capacity() / 2) {  // what waits in the pipe is counted by its bytes, not by the memory it holds
      std::string small(piece);
      into->give_back(std::exchange(piece, std::move(small)));
    }
    if (!co_await into->put(std::move(piece))) co_return fail(Code::cancelled, "nobody takes it any more");
    if (*progress) (*progress)(*received);
  }
}

Task<Result<void>> RegistryClient::blob(Descriptor descriptor, Pipe* into, std::function<void(uint64_t)> progress, uint64_t offset) {
  uint64_t received = offset;
  if (received >= descriptor.size && received > 0) co_return {};
  Duration delay = options_.retry_delay;
  for (int failures = 0;;) {
    Ask request{.path = "blobs/" + descriptor.digest, .follow = true};
    if (received) request.headers.add("Range", "bytes=" + std::to_string(received) + "-");
    const uint64_t before = received;
    Result<void> done;
    auto answer = co_await ask(std::move(request));
    if (!answer) {
      done = std::unexpected(std::move(answer.error()));
    } else if (int status = (*answer)->status; status == 200 || (status == 206 && received)) {
      std::string_view range = (*answer)->headers.get("Content-Range");
      if (status == 206 && !range.starts_with("bytes " + std::to_string(received) + "-"))
        done = fail(Code::malformed, "the registry answered with another part (" + std::string(range) + ") than was asked for");
      else done = co_await read_blob(std::move(*answer), status == 200 ? received : 0, descriptor.size, &received, into, &progress);
      if (done && received < descriptor.size)
        done = fail(Code::unavailable, "it ended after " + std::to_string(received) + " of the " + std::to_string(descriptor.size) +
                                           " bytes that the manifest declares");
    } else {
      co_return std::unexpected(co_await refusal(std::move(*answer), "blob " + descriptor.digest));
    }
    if (done) co_return {};
    if (received > before) {
      failures = 0;
      delay = options_.retry_delay;
    }
    if ((done.error().code != Code::unavailable && done.error().code != Code::timeout) || ++failures >= options_.attempts)
      co_return std::unexpected(std::move(done.error()).context("blob " + descriptor.digest));
    co_await sleep_for(delay);
    delay *= 2;
  }
}

// --- uploading ---------------------------------------------------------------------------------------------------------------

Task<Result<bool>> RegistryClient::has_blob(std::string digest) {
  Answer answer = CO_TRY(co_await ask({.method = "HEAD", .path = "blobs/" + digest}));
  if (answer->status == 200 || answer->status / 100 == 3) co_return true;
  if (answer->status == 404) co_return false;
  co_return std::unexpected(co_await refusal(std::move(answer), "blob " + digest));
}

Task<Result<bool>> RegistryClient::mount_blob(std::string digest, std::string from_repository) {
  io::Query query;
  query.add("mount", digest);
  query.add("from", from_repository);
  Answer answer = CO_TRY(co_await ask({.method = "POST", .path = "blobs/uploads/?" + query.encode()}));
  if (answer->status == 201) co_return true;
  if (answer->status == 202) sessions_[digest] = answer->headers.get("Location");  // it did not, and begins an upload instead
  co_return false;
}

struct RegistryClient::Upload {
  Descriptor descriptor;
  OpenSource open;
  std::function<void(uint64_t)> progress;
  std::string location;
  uint64_t offset = 0;
};

namespace {

/// A blob's bytes as a request's body, read by a thread.
class UploadBody final : public io::BodyStream {
 public:
  UploadBody(io::Pool& pool, RegistryClient::OpenSource open, uint64_t offset, uint64_t size, std::function<void(uint64_t)> progress)
      : sent_(offset), progress_(std::move(progress)) {
    length = size - offset;
    pool.submit([writer = pipe_.writer(), open = std::move(open), offset]() mutable {
      auto copied = [&]() -> Result<void> {
        auto source = TRY(open(offset));
        return writer->copy_from(*source);
      }();
      writer->finish(copied ? std::nullopt : std::optional(std::move(copied.error())));
    });
  }
  Task<Result<std::string>> next(std::string sent) override {
    pipe_.give_back(std::move(sent));
    auto piece = co_await pipe_.take();
    if (piece) {
      sent_ += piece->size();
      if (progress_) progress_(sent_);
    } else {
      failure = piece.error();
    }
    co_return piece;
  }
  std::optional<Error> failure;  ///< of our own side: no use in trying again

 private:
  Pipe pipe_;
  uint64_t sent_;
  std::function<void(uint64_t)> progress_;
};

}  // namespace

Task<Result<void>> RegistryClient::begin_upload(Upload* upload) {
  upload->offset = 0;
  std::string location;
  if (auto it = sessions_.find(upload->descriptor.digest); it != sessions_.end()) {
    location = std::move(it->second);
    sessions_.erase(it);
  } else {
    Answer answer = CO_TRY(co_await ask({.method = "POST", .path = "blobs/uploads/"}));
    if (answer->status != 202) co_return std::unexpected(co_await refusal(std::move(answer), "an upload to " + reference_.name()));
    location = answer->headers.get("Location");
  }
  if (location.empty()) co_return fail(Code::unavailable, "the registry does not say where to upload");
  upload->location = CO_TRY(CO_TRY(io::Url::parse(base_)).resolve(location)).text();
  co_return {};
}

/// Asks how much of it the registry has.
Task<Result<void>> RegistryClient::find_offset(Upload* upload) {
  Answer answer = CO_TRY(co_await ask({.path = upload->location}));
  if (answer->status / 100 != 2) co_return std::unexpected(co_await refusal(std::move(answer), "the upload"));
  auto [first, last] = split_once(answer->headers.get("Range"), '-');  // "0-1023", by some with "bytes="
  auto end = parse_number<uint64_t>(last.value_or(""));
  upload->offset = end && *end > 0 && *end < upload->descriptor.size ? *end + 1 : 0;
  if (auto location = answer->headers.get("Location"); !location.empty())
    upload->location = CO_TRY(CO_TRY(io::Url::parse(base_)).resolve(location)).text();
  co_return {};
}

Task<Result<void>> RegistryClient::send_rest(Upload* upload) {
  const uint64_t size = upload->descriptor.size;
  if (upload->offset == size) co_return {};
  auto body = std::make_shared<UploadBody>(pool_, upload->open, upload->offset, size, upload->progress);
  Ask request{.method = "PATCH", .path = upload->location, .stream = body, .again = false};
  request.headers.add("Content-Type", "application/octet-stream");
  if (upload->offset) request.headers.add("Content-Range", std::to_string(upload->offset) + "-" + std::to_string(size - 1));
  auto answer = co_await ask(std::move(request));
  if (body->failure) co_return fail(Code::internal, body->failure->message);
  if (!answer) co_return std::unexpected(std::move(answer.error()));
  if ((*answer)->status != 202 && (*answer)->status != 204 && (*answer)->status != 201)
    co_return std::unexpected(co_await refusal(std::move(*answer), "blob " + upload->descriptor.digest));
  upload->offset = size;
  if (auto location = (*answer)->headers.get("Location"); !location.empty())
    upload->location = CO_TRY(CO_TRY(io::Url::parse(base_)).resolve(location)).text();
  co_return {};
}

/// After a failure: from what the registry has; from the start when it has forgotten the upload.
Task<Result<void>> RegistryClient::resume(Upload* upload) {
  auto found = co_await find_offset(upload);
  if (!found && (found.error().code == Code::unavailable || found.error().code == Code::timeout)) co_return found;
  if (!found) CO_TRY(co_await begin_upload(upload));
  co_return co_await send_rest(upload);
}

Task<Result<void>> RegistryClient::upload(Descriptor descriptor, OpenSource open, std::function<void(uint64_t)> progress) {
  Upload upload{descriptor, std::move(open), std::move(progress), {}, 0};
  CO_TRY(co_await begin_upload(&upload));
  Duration delay = options_.retry_delay;
  for (int attempt = 1;; ++attempt, delay *= 2) {
    auto sent = attempt == 1 ? co_await send_rest(&upload) : co_await resume(&upload);
    if (sent) break;
    const Code code = sent.error().code;
    const bool passing = code == Code::unavailable || code == Code::timeout || code == Code::exhausted || code == Code::not_found;
    if (!passing || attempt >= options_.attempts) co_return sent;
    co_await sleep_for(delay);
  }
  io::Query query;
  query.add("digest", descriptor.digest);
  const std::string url = upload.location + (upload.location.find('?') == std::string::npos ? "?" : "&") + query.encode();
  Answer answer = CO_TRY(co_await ask({.method = "PUT", .path = url}));
  if (answer->status != 201 && answer->status != 204)
    co_return std::unexpected(co_await refusal(std::move(answer), "blob " + descriptor.digest));
  co_return {};
}

Task<Result<void>> RegistryClient::put_manifest(std::string name, std::string text, std::string media_type) {
  Ask request{.method = "PUT", .path = "manifests/" + name, .body = std::move(text)};
  request.headers.add("Content-Type", std::move(media_type));
  Answer answer = CO_TRY(co_await ask(std::move(request)));
  if (answer->status != 201 && answer->status != 200 && answer->status != 202)
    co_return std::unexpected(co_await refusal(std::move(answer), "manifest " + name + " of " + reference_.name()));
  co_return {};
}

}  // namespace estiba::image
