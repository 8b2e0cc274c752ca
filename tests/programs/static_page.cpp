// links: io
// A web server for benchmarks: answers every request with the same bytes, 64 if nothing is said.  static_page PORT [SIZE]
#include <cstdio>
#include <cstdlib>

#include "io/http_server.h"
#include "io/loop.h"

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) return fprintf(stderr, "static_page PORT [SIZE]\n"), 2;
  auto page = std::make_shared<const std::string>(std::string(size_t(argc == 3 ? atoi(argv[2]) : 64) - 1, 'x') + "\n");
  estiba::io::Loop loop;
  estiba::io::HttpServer server({&loop}, {}, [page](estiba::io::Request&, estiba::io::Response& response) -> estiba::Task<void> {
    response.send(200, {{"Content-Type", "text/plain"}}, estiba::io::Chunk(page));
    co_return;
  });
  if (auto listening = server.listen_tcp("0.0.0.0", uint16_t(atoi(argv[1])), nullptr); !listening) {
    fprintf(stderr, "static_page: %s\n", listening.error().message.c_str());
    return 1;
  }
  loop.run();
}
