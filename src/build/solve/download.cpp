#include "build/solve/download.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "image/digest.h"
#include "io/http_client.h"
#include "io/pool.h"
#include "os/file.h"

namespace estiba::build {
namespace {

int64_t http_time(const std::string& text) {
  struct tm parts = {};
  if (text.empty() || !::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts)) return 0;
  return int64_t(::timegm(&parts));
}

struct Target {
  Fd fd;
  image::Sha256 hash;
};

Task<Result<void>> receive(io::ClientResponse& response, std::shared_ptr<Target> target, io::Pool& pool) {
  std::string batch;
  while (true) {
    std::string piece = CO_TRY(co_await response.read());
    batch += piece;
    if (batch.size() < (1 << 20) && !piece.empty()) continue;
    CO_TRY(co_await pool.run([target, batch = std::move(batch)]() -> Result<void> {
      target->hash.update(batch);
      return os::write_all(target->fd.get(), batch);
    }));
    batch.clear();
    if (piece.empty()) co_return Result<void>();
  }
}

}  // namespace

Task<Result<std::string>> download_file(std::string url, std::string path, io::Pool& pool) {
  io::HttpClient client({.user_agent = "estiba-build"});
  std::unique_ptr<io::ClientResponse> response;
  for (int hop = 0;; ++hop) {
    response = CO_TRY(co_await client.send({.method = "GET", .url = url}));
    if (response->status / 100 != 3) break;
    auto location = response->headers.get("Location");
    if (location.empty() || hop == 10) co_return fail(Code::unavailable, "GET " + url + ": too many redirects");
    auto parsed = CO_TRY(io::Url::parse(url));
    url = CO_TRY(parsed.resolve(location)).text();
  }
  if (response->status != 200)
    co_return fail(Code::unavailable, "failed to GET " + url + " with status " + std::to_string(response->status) + " " +
                                          std::string(io::status_text(response->status)));
  auto target = std::make_shared<Target>();
  target->fd = CO_TRY(os::open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  CO_TRY_AS("GET " + url, co_await receive(*response, target, pool));
  int64_t modified = http_time(std::string(response->headers.get("Last-Modified")));
  const timespec times[2] = {{0, UTIME_OMIT}, {modified, 0}};
  if (::futimens(target->fd.get(), times) != 0) co_return fail_errno("set the time of " + path);
  co_return target->hash.digest();
}

}  // namespace estiba::build
