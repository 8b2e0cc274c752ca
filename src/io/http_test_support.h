// What the tests of this layer share: keys, a server on the test's own loop, raw exchanges of text.
#pragma once
#include <gtest/gtest.h>

#include "base/strings.h"
#include "io/http_client.h"
#include "io/http_server.h"
#include "io/pki.h"
#include "io/tls.h"

namespace estiba::io::testing {

using namespace std::chrono_literals;

struct Keys {
  KeyPair ca, server, admin;
  static const Keys& get() {
    static const Keys* keys = [] {
      auto* k = new Keys;
      WallTime now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
      k->ca = *make_ca("test-ca", now);
      k->server = *make_certificate(
          k->ca, {.common_name = "server", .dns_names = {"localhost"}, .ip_addresses = {"127.0.0.1"}, .server = true}, now);
      k->admin = *make_certificate(k->ca, {.common_name = "admin", .organizations = {"system:masters", "devs"}, .client = true}, now);
      return k;
    }();
    return *keys;
  }
  TlsContextRef server_tls() const {
    return *make_tls_server({.certificate_pem = server.certificate_pem, .key_pem = server.key_pem, .client_ca_pem = ca.certificate_pem});
  }
  TlsContextRef client_tls(std::vector<std::string> alpn = {"http/1.1"}, const KeyPair* certificate = nullptr) const {
    TlsClientOptions options{.ca_pem = ca.certificate_pem, .alpn = std::move(alpn)};
    if (certificate) {
      options.certificate_pem = certificate->certificate_pem;
      options.key_pem = certificate->key_pem;
    }
    return *make_tls_client(options);
  }
};

/// A server on the loop of the test, over plain TCP or TLS, on a free port.
struct TestServer {
  Loop loop;
  std::unique_ptr<HttpServer> server;
  bool tls;

  explicit TestServer(Handler handler, bool tls = false, HttpServerOptions options = {}) : tls(tls) {
    server = std::make_unique<HttpServer>(std::vector<Loop*>{&loop}, options, std::move(handler));
    auto listening = server->listen_tcp("127.0.0.1", 0, tls ? Keys::get().server_tls() : nullptr);
    EXPECT_TRUE(listening);
  }
  std::string url(std::string path) const {
    return (tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(server->port()) + path;
  }

  /// Sends bytes, shuts down the sending side if asked to, and reads to the end (the server must close).
  std::string raw(std::string bytes, bool half_close = false) {
    auto result = loop.block_on(talk(server->port(), std::move(bytes), half_close));
    return result ? *result : "ERROR " + result.error().message;
  }
  static Task<Result<std::string>> talk(uint16_t port, std::string bytes, bool half_close) {
    auto stream = CO_TRY(co_await connect_tcp("127.0.0.1", port));
    CO_TRY(co_await stream->write(bytes));
    if (half_close) CO_TRY(co_await stream->shutdown_write());
    auto all = co_await with_timeout(5s, read_all(*stream, 64 * 1024 * 1024));
    if (!all) co_return fail(Code::timeout, "the server did not close");
    co_return std::move(*all);
  }
  template <class T>
  T run(Task<T> task) {
    return loop.block_on(std::move(task));
  }
};

}  // namespace estiba::io::testing
