// links: ingress
// What may stand before a connection's own bytes: headers of the PROXY protocol, ClientHellos. From anybody.
#include <cstdlib>

#include "ingress/client_hello.h"
#include "ingress/proxy_protocol.h"

using namespace estiba::ingress;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (auto header = parse_proxy_header(bytes)) {
    if (header->length == 0 ? header->needed <= size : header->length > size) abort();
    if (header->ends)
      for (const ProxyProtocol version : {ProxyProtocol::v1, ProxyProtocol::v2}) {
        const std::string written = proxy_header(version, *header->ends);
        const auto again = parse_proxy_header(written);
        if (!again || again->length != written.size() || !again->ends || again->ends->source != header->ends->source ||
            again->ends->destination != header->ends->destination)
          abort();
      }
  }
  if (auto hello = parse_client_hello(bytes)) {
    if (hello->needed != 0 ? hello->needed <= size : hello->server_name.size() > size) abort();
    // More bytes after a whole message change nothing, and without all of it there is no name.
    if (hello->needed == 0) {
      const auto again = parse_client_hello(std::string(bytes) + "x");
      if (!again || again->server_name != hello->server_name) abort();
    }
  }
  return 0;
}
