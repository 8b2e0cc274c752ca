// links: cli
// Go templates from hostile text: parsed and executed on a small document, never crashing and never without end.
#include <cstddef>
#include <cstdint>
#include <string>

#include "cli/template/template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace estiba;
  static const json::Document document = *json::Document::parse(
      R"({"ID":"4f","Names":["a","b"],"State":{"Running":true,"Pid":12,"Health":null},"Ports":{"80/tcp":[{"HostPort":"8080"}]},"N":1.5,"S":"text"})");
  auto parsed = cli::Template::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!parsed) return 0;
  static constexpr std::string_view optional[] = {"Health"};
  std::string out;
  (void)parsed->execute(document.root(), out, {.optional = optional, .labels = document.root().find("State")});
  out.clear();
  (void)parsed->execute(document.root(), out, {.headers = true});
  return 0;
}
