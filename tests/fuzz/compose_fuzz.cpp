// links: cli
// Compose files as anybody writes them: what is loaded is loaded again from what it prints, and variables never break out.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cli/compose/environment.h"
#include "cli/compose/schema.h"
#include "cli/compose/shape.h"
#include "model/yaml.h"

using namespace estiba;

static void shape_all(json::Document& document) {
  json::Node* services = document.root().find("services");
  if (!services || !services->is_object()) return;
  for (json::Node& service : *services) {
    if (!service.is_object() || !cli::compose::shape_service(document, service, "/project")) continue;
    // What is long already stays as it is.
    const std::string once = json::print(service);
    if (!cli::compose::shape_service(document, service, "/project") || json::print(service) != once) abort();
  }
  if (!cli::compose::shape_resources(document, document.root(), "/project")) abort();
  json::Document other;
  other.set_root(other.copy(document.root()));
  cli::compose::merge_into(document, document.root(), other.root());
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const cli::compose::Environment environment{{"A", "a"}, {"EMPTY", ""}};
  (void)cli::compose::interpolate(text, environment);
  (void)cli::compose::parse_env_file(text, environment);
  (void)cli::compose::split_words(text);
  json::Document scratch;
  (void)cli::compose::parse_port(scratch, text);
  (void)cli::compose::parse_mount(scratch, text, "/project");
  auto document = model::parse_yaml(text, {.max_depth = 50, .max_copied_nodes = 10'000, .yes_is_text = true});
  if (!document || !cli::compose::check_schema(document->root(), "compose.yaml")) return 0;
  cli::compose::cast_scalars(*document, document->root());
  shape_all(*document);
  return 0;
}
