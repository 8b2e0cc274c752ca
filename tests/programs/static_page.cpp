// links: io
// A web server for benchmarks: answers every request with the same 64 bytes.  static_page PORT
#include <cstdio>
#include <cstdlib>

#include "io/http_server.h"
#include "io/loop.h"

int main(int argc, char** argv) {
  if (argc != 2) return fprintf(stderr, "static_page PORT\n"), 2;
  estiba::io::Loop loop;
  estiba::io::HttpServer server({&loop}, {}, [](estiba::io::Request&, estiba::io::Response& response) -> estiba::Task<void> {
    response.send(200, {{"Content-Type", "text/plain"}}, std::string(63, 'x') + "\n");
    co_return;
  });
  if (auto listening = server.listen_tcp("0.0.0.0", uint16_t(atoi(argv[1])), nullptr); !listening) {
    fprintf(stderr, "static_page: %s\n", listening.error().message.c_str());
    return 1;
  }
  loop.run();
}
