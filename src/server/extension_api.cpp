#include "server/extension_api.h"

#include "client/http_client.h"
#include "io/http.h"

namespace estiba::server {

Task<Result<std::string>> OwnExtensionApi::get(std::string path, std::vector<std::pair<std::string, std::string>> query) {
  std::string url = url_ + path;
  char separator = '?';
  for (const auto& [key, value] : query) {
    url += separator + key + "=" + io::percent_encode(value);
    separator = '&';
  }
  // Asked a few times a minute at most, so that no connection is kept.
  io::HttpClient http({.tls = tls_, .max_idle_connections = 0});
  auto answer = CO_TRY(co_await http.fetch({.method = "GET", .url = std::move(url)}));
  if (answer.status != 200) co_return std::unexpected(client::error_of_answer(answer.status, answer.body));
  co_return std::move(answer.body);
}

}  // namespace estiba::server
