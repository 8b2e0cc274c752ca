#include "node/reserved.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::node {

Result<model::ResourceList> parse_reserved(std::string_view text) {
  model::ResourceList out;
  if (text.empty()) return out;
  for (std::string_view part : split(text, ',')) {
    const auto [name, value] = split_once(part, '=');
    if (!value) return fail(Code::invalid, quoted(part) + " must be RESOURCE=QUANTITY, such as cpu=500m");
    if (name != "cpu" && name != "memory" && name != "ephemeral-storage")
      return fail(Code::invalid, quoted(name) + " cannot be set apart: cpu, memory and ephemeral-storage can");
    const auto quantity = TRY_AS(std::string(name), model::Quantity::parse(*value));
    if (quantity.is_negative()) return fail(Code::invalid, std::string(name) + ": it cannot be negative");
    if (!out.emplace(name, quantity).second) return fail(Code::invalid, std::string(name) + " is there twice");
  }
  return out;
}

void set_apart(std::map<std::string, std::string>& allocatable, const model::ResourceList& reserved) {
  for (const auto& [name, quantity] : reserved) {
    const auto found = allocatable.find(name);
    if (found == allocatable.end()) continue;
    const auto left = model::Quantity::parse(found->second).value_or(model::Quantity()) - quantity;
    // In Ki, as what is measured is told.
    if (name == "cpu") found->second = left.is_negative() ? "0" : left.print();
    else found->second = std::to_string(std::max<int64_t>(left.to_int64(), 0) / 1024) + "Ki";
  }
}

}  // namespace estiba::node
