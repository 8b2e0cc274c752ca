#include "io/gzip.h"

#include <zlib.h>

#include "io/pool.h"

namespace estiba::io {

std::string gzip(const Body& body) {
  z_stream z{};
  if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string out;
  out.resize_and_overwrite(deflateBound(&z, body.size()), [&](char* space, size_t size) {
    z.next_out = reinterpret_cast<Bytef*>(space);
    z.avail_out = static_cast<uInt>(size);
    for (const Chunk& chunk : body.chunks()) {
      z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(chunk.bytes().data()));
      z.avail_in = static_cast<uInt>(chunk.size());
      deflate(&z, Z_NO_FLUSH);
    }
    deflate(&z, Z_FINISH);
    return size_t(z.total_out);
  });
  deflateEnd(&z);
  return out;
}

bool may_compress(const Request& request, const Response& response, size_t threshold) {
  const size_t size = response.body().size();
  return size > threshold && size >> 31 == 0 && !response.started() && !response.headers().has("Content-Encoding") &&
         request.headers.has_token("Accept-Encoding", "gzip");
}

Task<void> compress_answer(Response& response) {
  std::string packed = co_await Pool::shared().run([body = response.body()] { return gzip(body); });
  if (packed.empty()) co_return;
  Headers headers = response.headers();
  headers.set("Content-Encoding", "gzip");
  headers.add("Vary", "Accept-Encoding");
  response.send(response.status(), std::move(headers), std::move(packed));
}

}  // namespace estiba::io
