#include "apiserver/custom/pattern.h"

#include "cel/memory.h"
#include "cel/regex/regex.h"

namespace estiba::apiserver {

struct Pattern::Program {
  cel::Regex regex;
};

Result<Pattern> Pattern::compile(std::string_view text) {
  Pattern out;
  out.program_ = std::make_shared<const Program>(TRY(cel::Regex::compile(text)));
  return out;
}

bool Pattern::matches(std::string_view text) const {
  // The engine is linear in the text, whose length the size of an object bounds.
  thread_local cel::Memory memory;
  memory.reset();
  memory.limit_work(UINT64_MAX);
  return program_->regex.matches(memory, text);
}

}  // namespace estiba::apiserver
