// What the HTTP server costs: CPU time of its thread for each 2 KiB GET over TLS, by HTTP/1.1 on kept connections and by
// HTTP/2 with concurrent streams. The client runs on a thread of its own, so its cost does not count.
//   http_bench [requests]
#include <time.h>

#include <cstdio>

#include "base/strings.h"
#include "io/http_client.h"
#include "io/http_server.h"
#include "io/pki.h"
#include "io/thread.h"

using namespace estiba;
using namespace estiba::io;

static Task<double> thread_cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  co_return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

static Task<void> one_client(HttpClient* client, std::string url, int count, int* good) {
  for (int i = 0; i < count; ++i) {
    auto answer = co_await client->fetch({.url = url, .timeout = Duration(0)});
    if (!answer) {
      fprintf(stderr, "%s\n", answer.error().message.c_str());
      co_return;
    }
    *good += answer->body.size() == 2048;
  }
}

static Task<void> measure(const char* name, std::string alpn, int parallel, int requests, std::string ca, LoopThread* thread, uint16_t port) {
  auto tls = make_tls_client({.ca_pem = std::move(ca), .alpn = {alpn}});
  HttpClient client({.tls = *tls, .max_idle_connections = size_t(parallel)});
  std::string url = "https://127.0.0.1:" + std::to_string(port) + "/";
  int good = 0;
  co_await one_client(&client, url, 10, &good);
  good = 0;
  double before = (co_await run_on<double>(thread->loop(), [] { return thread_cpu_seconds(); })).value_or(0);
  TaskGroup group;
  for (int i = 0; i < parallel; ++i) group.start(one_client(&client, url, requests / parallel, &good));
  co_await group.join();
  double after = (co_await run_on<double>(thread->loop(), [] { return thread_cpu_seconds(); })).value_or(0);
  printf("%s: %.2f us of server CPU a request (%d parallel, %d good)\n", name, (after - before) * 1e6 / good, parallel, good);
}

int main(int argc, char** argv) {
  int requests = argc > 1 ? parse_number<int>(argv[1]).value_or(0) : 20000;
  WallTime now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  auto ca = make_ca("bench", now);
  auto pair = make_certificate(*ca, {.common_name = "bench", .ip_addresses = {"127.0.0.1"}, .server = true}, now);
  auto tls = make_tls_server({.certificate_pem = pair->certificate_pem, .key_pem = pair->key_pem});
  auto body = std::make_shared<const std::string>(2048, 'x');
  LoopThread thread("server");
  HttpServer server({&thread.loop()}, {}, [body](Request&, Response& response) -> Task<void> {
    response.send(200, {{"Content-Type", "application/json"}}, Chunk(body));
    return [](Response&) -> Task<void> { co_return; }(response);
  });
  auto listening = server.listen_tcp("127.0.0.1", 0, *tls);
  if (!listening) return fprintf(stderr, "%s\n", listening.error().message.c_str()), 1;
  Loop loop;
  loop.block_on(measure("HTTP/1.1", "http/1.1", 8, requests, ca->certificate_pem, &thread, server.port()));
  loop.block_on(measure("HTTP/2", "h2", 50, requests, ca->certificate_pem, &thread, server.port()));
}
