// links: model
// Selectors, quantities and names as query strings and fields bring them: what parses prints to something that means the same.
#include <cstdlib>

#include "model/names.h"
#include "model/quantity.h"
#include "model/selector.h"

using namespace estiba;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  static const model::Labels labels = {{"a", "1"}, {"app", "web"}, {"example.org/tier", "front"}};
  if (auto selector = model::LabelSelector::parse(text)) {
    auto again = model::LabelSelector::parse(selector->print());
    if (!again || again->print() != selector->print() || again->matches(labels) != selector->matches(labels)) abort();
  }
  if (auto selector = model::FieldSelector::parse(text)) (void)selector->matches([](std::string_view) { return "x"; });
  if (auto quantity = model::Quantity::parse(text)) {
    auto again = model::Quantity::parse(quantity->print());
    if (!again || *again != *quantity || again->print() != quantity->print()) abort();
    (void)quantity->to_int64();
    (void)quantity->to_milli();
  }
  return 0;
}
