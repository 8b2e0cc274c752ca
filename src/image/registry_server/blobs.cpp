// Blobs: read whole or in part, deleted.
#include "base/strings.h"
#include "image/registry_server/server.h"

namespace estiba::image {
namespace {

constexpr size_t piece_size = 1 << 20;

struct Range {
  uint64_t first = 0, length = 0;
};

/// One range of `size` bytes ("bytes=5-", "bytes=-5", "bytes=5-9"); nullopt for what is not understood, which is then
/// ignored (RFC 9110, 14.2). A range outside has length 0.
std::optional<Range> parse_range(std::string_view text, uint64_t size) {
  if (!text.starts_with("bytes=") || text.find(',') != text.npos) return std::nullopt;
  auto [first, last] = split_once(trim(text.substr(6)), '-');
  if (!last) return std::nullopt;
  auto from = parse_number<uint64_t>(first), to = parse_number<uint64_t>(*last);
  if (first.empty() && to) {
    const uint64_t length = std::min(*to, size);
    return Range{size - length, length};
  }
  if (!from || (!last->empty() && !to) || (to && *to < *from)) return std::nullopt;
  if (*from >= size) return Range{};
  return Range{*from, std::min(to.value_or(size - 1), size - 1) - *from + 1};
}

/// A part of a blob, read in order. One read at a time.
struct BlobReader {
  std::unique_ptr<Source> source;

  Result<std::string> read(size_t count) {
    std::string out;
    out.resize_and_overwrite(count, [](char*, size_t n) { return n; });
    const size_t got = TRY(source->read(std::span(out.data(), out.size())));
    if (got == 0) return fail(Code::internal, "the blob is shorter than its size");
    out.resize(got);
    return out;
  }
};

}  // namespace

bool RegistryServer::has_blob(std::string_view repository, std::string_view digest) const {
  return (options_.images || repositories_.has_blob(repository, digest)) && store_->has_blob(digest);
}

Task<void> RegistryServer::get_blob(Call call) {
  const std::string digest = call.route.last;
  auto size = co_await pool_.run([this, repository = call.route.repository, digest]() -> Result<uint64_t> {
    // A push that finds its blob here relies on it.
    repositories_.touch_blob(repository, digest);
    if (!has_blob(repository, digest) && !repositories_.manifest_type(repository, digest)) return fail(Code::not_found, "");
    return store_->blob_size(digest);
  });
  if (!size && size.error().code != Code::not_found) co_return co_await refuse(call.response, std::move(size.error()));
  if (!size) co_return send(call.response, {404, "BLOB_UNKNOWN", "repository " + call.route.repository + " has no blob " + digest});
  io::Headers headers{{"Content-Type", "application/octet-stream"},
                      {"Docker-Content-Digest", digest},
                      {"ETag", "\"" + digest + "\""},
                      {"Accept-Ranges", "bytes"},
                      {"Cache-Control", "max-age=31536000"}};
  Range range{0, *size};
  int status = 200;
  if (const std::string* wanted = call.request.headers.find("Range")) {
    if (auto part = parse_range(*wanted, *size)) {
      if (part->length == 0) {
        call.response.always("Content-Range", "bytes */" + std::to_string(*size));
        co_return send(call.response, {416, "RANGE_INVALID",
                                       "the range " + quoted(*wanted) + " is outside the blob's " + std::to_string(*size) + " bytes"});
      }
      range = *part;
      status = 206;
      headers.add("Content-Range", "bytes " + std::to_string(range.first) + "-" + std::to_string(range.first + range.length - 1) + "/" +
                                       std::to_string(*size));
    }
  }
  headers.add("Content-Length", std::to_string(range.length));
  if (call.request.method == "HEAD" || range.length == 0) co_return call.response.send(status, std::move(headers));
  auto opened = co_await pool_.run([this, digest, offset = range.first]() -> Result<std::shared_ptr<BlobReader>> {
    return std::make_shared<BlobReader>(TRY(store_->open_layer_source(digest, offset)));
  });
  if (!opened) co_return co_await refuse(call.response, std::move(opened.error()));
  if (!co_await call.response.start(status, std::move(headers))) co_return;
  for (uint64_t left = range.length; left > 0;) {
    const size_t count = size_t(std::min<uint64_t>(piece_size, left));
    auto piece = co_await pool_.run([blob = *opened, count] { return blob->read(count); });
    // A shorter body than was announced tells the client, which then asks for the rest.
    if (!piece) co_return;
    left -= piece->size();
    if (!co_await call.response.write(io::Chunk(std::move(*piece)))) co_return;
  }
}

Task<void> RegistryServer::delete_blob(Call call) {
  auto removed = co_await pool_.run([this, repository = call.route.repository, digest = call.route.last]() -> Result<bool> {
    if (!TRY(repositories_.unlink_blob(repository, digest))) return false;
    TRY(store_->collect());
    return true;
  });
  if (!removed) co_return co_await refuse(call.response, std::move(removed.error()));
  if (!*removed)
    co_return send(call.response, {404, "BLOB_UNKNOWN", "repository " + call.route.repository + " has no blob " + call.route.last});
  call.response.send(202);
}

}  // namespace estiba::image
