// links: io
// Heads of HTTP/1.1 requests and answers, queries and URLs from anybody.
#include <cstdlib>

#include "io/http1.h"

using namespace estiba;

static void headers(std::string_view lines, std::string_view method, int status) {
  auto parsed = io::parse_header_lines(lines, {});
  if (!parsed) return;
  for (const io::Header& header : *parsed) {
    if (!io::is_http_token(header.name) || !io::is_http_value(header.value)) abort();
    (void)parsed->list(header.name);
  }
  if (method.empty())
    (void)io::BodyReader::of_response(*parsed, "GET", status);
  else
    (void)io::BodyReader::of_request(*parsed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (auto query = io::Query::parse(bytes)) {
    auto again = io::Query::parse(query->encode());
    if (!again || again->encode() != query->encode()) abort();
  }
  if (auto url = io::Url::parse(bytes)) {
    auto again = io::Url::parse(url->text());
    if (!again || again->text() != url->text()) abort();
    (void)url->resolve("../x?y");
  }
  if (auto decoded = io::percent_decode(bytes)) {
    auto again = io::percent_decode(io::percent_encode(*decoded));
    if (!again || *again != *decoded) abort();
  }
  size_t end = io::find_head_end(bytes, 0);
  if (end == std::string_view::npos) return 0;
  if (end > size) abort();
  std::string_view head = bytes.substr(0, end);
  size_t first = head.find('\n');
  if (first == std::string_view::npos) return 0;
  std::string_view line = head.substr(0, first > 0 && head[first - 1] == '\r' ? first - 1 : first);
  if (auto request = io::parse_request_line(line)) headers(head.substr(first + 1), request->method, 0);
  if (auto status = io::parse_status_line(line)) headers(head.substr(first + 1), {}, status->status);
  return 0;
}
