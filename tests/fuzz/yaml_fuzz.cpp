// links: model
// Any bytes as YAML: what parses is printable as JSON, and printing it as YAML and reading that gives the same value.
#include <cstdlib>

#include "model/yaml.h"

using namespace estiba;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto documents = model::parse_yaml_documents(text, {.max_copied_nodes = 10'000});
  if (!documents) return 0;
  for (const json::Document& document : *documents) {
    std::string printed = json::print(document.root());
    if (!json::Document::parse(printed)) abort();
    auto again = model::parse_yaml(model::print_yaml(document.root()));
    if (!again || !json::equal(again->root(), document.root())) abort();
  }
  return 0;
}
