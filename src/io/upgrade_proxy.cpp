#include "io/upgrade_proxy.h"

#include "base/strings.h"

namespace estiba::io {

static bool belongs_to_upgrade(std::string_view name) {
  std::string lower = to_lower(name);
  return lower == "connection" || lower == "upgrade" || lower == "x-stream-protocol-version" ||
         lower == "x-accepted-stream-protocol-versions" || lower.starts_with("sec-websocket-");
}

Task<Result<void>> proxy_upgrade(Request& request, Response& response, HttpClient& client, std::string url, Headers extra) {
  ClientRequest forward{.method = request.method, .url = std::move(url), .headers = std::move(extra)};
  for (const Header& header : request.headers)
    if (belongs_to_upgrade(header.name)) forward.headers.add(header.name, header.value);
  UpgradeResult backend = CO_TRY(co_await client.upgrade(std::move(forward)));
  Headers answer;
  for (const Header& header : backend.headers)
    if (belongs_to_upgrade(header.name) || (!backend.stream && equals_ignore_case(header.name, "Content-Type")))
      answer.add(header.name, header.value);
  if (!backend.stream) {
    answer.remove("Connection");
    answer.remove("Upgrade");
    response.send(backend.status, std::move(answer), std::move(backend.refusal));
    co_return {};
  }
  auto front = co_await response.upgrade(backend.status, std::move(answer));
  if (!front) {
    response.send(400, {{"Content-Type", "text/plain"}}, front.error().message + "\n");
    co_return {};
  }
  co_await copy_both_ways(**front, *backend.stream);
  co_return {};
}

}  // namespace estiba::io
