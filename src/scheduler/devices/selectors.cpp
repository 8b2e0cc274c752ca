#include "scheduler/devices/selectors.h"

#include "cel/device.h"

namespace estiba::scheduler::devices {

struct Selectors::Compiled {
  std::unique_ptr<cel::Program> program;  // null when it cannot be compiled
  std::string error;
};

Selectors::Selectors() = default;
Selectors::~Selectors() = default;

const Selectors::Compiled& Selectors::compiled(const std::string& text) {
  // Most claims use the selectors of a few classes and templates; where each has its own, what is old is compiled again.
  constexpr size_t most = 1024;
  if (const auto found = programs_.find(text); found != programs_.end()) return *found->second;
  if (programs_.size() >= most) programs_.clear();
  auto fresh = std::make_unique<Compiled>();
  if (auto program = cel::compile(text, cel::device_environment())) fresh->program = std::make_unique<cel::Program>(std::move(*program));
  else fresh->error = "CEL compile error: " + program.error().text;
  return *programs_.emplace(text, std::move(fresh)).first->second;
}

Result<bool> Selectors::match(const std::string& text, const Slice& slice, const Device& device) {
  const Compiled& selector = compiled(text);
  if (!selector.program) return fail(Code::invalid, selector.error);
  auto result = cel::device_matches(*selector.program, {.driver = slice.driver,
                                                        .attributes = device.text->find("attributes"),
                                                        .capacity = device.text->find("capacity"),
                                                        .allows_multiple = device.allows_multiple});
  if (!result) return std::unexpected(std::move(result.error()).context("CEL runtime error"));
  return *result;
}

}  // namespace estiba::scheduler::devices
