// links: model
// Any bytes as JSON: what parses must print to something that parses to the same value, compact and indented.
#include <cstdlib>

#include "model/json.h"
#include "model/object.h"

using namespace estiba;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> duplicates;
  (void)json::Document::parse(text, {.allow_duplicate_keys = true, .duplicates = &duplicates});
  auto parsed = json::Document::parse(text);
  if (!parsed) return 0;
  std::string printed = json::print(parsed->root());
  auto again = json::Document::parse(printed);
  if (!again || !json::equal(parsed->root(), again->root()) || json::print(again->root()) != printed) abort();
  auto pretty = json::Document::parse(json::print_pretty(parsed->root()));
  if (!pretty || json::print(pretty->root()) != printed) abort();
  json::Document copied;
  copied.set_root(copied.copy(parsed->root()));
  if (json::print(copied.root()) != printed) abort();
  // As an API object: the revision is spliced into its metadata, and the result is still JSON.
  auto object = model::Object::make(parsed->root());
  if (!object) return 0;
  std::string sent;
  (*object)->print_to(sent, 4711);
  auto received = json::Document::parse(sent);
  if (!received || received->root().string_at("metadata", "resourceVersion") != "4711") abort();
  return 0;
}
