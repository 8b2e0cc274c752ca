#include "server/broker_http.h"

#include <openssl/evp.h>

#include "base/strings.h"
#include "io/http_client.h"

namespace estiba::server {

constexpr size_t longest_answer = 16 << 20;  // catalogues have schemas and pictures

Task<Result<controllers::BrokerAnswer>> HttpBrokers::send(controllers::BrokerRequest request) {
  io::HttpClientOptions options{.user_agent = "estiba-service-catalog", .max_idle_connections = 0};
  if (request.url.starts_with("https://"))
    options.tls = CO_TRY_AS("spec.caBundle", io::make_tls_client({.ca_pem = std::move(request.ca_pem),
                                                                  .server_name = std::move(request.server_name),
                                                                  .insecure = request.insecure}));
  // Brokers are asked seldom, so that no connection is kept.
  io::HttpClient http(std::move(options));
  io::ClientRequest asked{.method = request.method, .url = request.url};
  for (auto& [name, value] : request.headers) asked.headers.add(std::move(name), std::move(value));
  asked.body = std::move(request.body);
  asked.timeout = request.timeout;
  auto answer = co_await http.fetch(std::move(asked), longest_answer);
  if (!answer) co_return std::unexpected(std::move(answer.error()));
  controllers::BrokerAnswer out{.status = answer->status, .body = std::move(answer->body)};
  out.retry_after = parse_number<int64_t>(trim(answer->headers.get("Retry-After"))).value_or(0);
  co_return out;
}

static std::string digest(std::string_view text, const EVP_MD* kind) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), bytes, &size, kind, nullptr);
  return hex_encode({reinterpret_cast<const char*>(bytes), size});
}

std::string HttpBrokers::sha224(std::string_view text) const { return digest(text, EVP_sha224()); }
std::string HttpBrokers::sha256(std::string_view text) const { return digest(text, EVP_sha256()); }

}  // namespace estiba::server
