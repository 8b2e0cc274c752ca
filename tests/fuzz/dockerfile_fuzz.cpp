// links: build
// Any bytes as a Dockerfile: reading ends, errors name the file, and each word that is read can be expanded or refused.
#include <cstdlib>

#include "build/dockerfile/expand.h"
#include "build/dockerfile/lint.h"

using namespace estiba;
using namespace estiba::build;

static void expand_all(const Instruction& i, char escape) {
  static const Variables variables = {{"A", "one"}, {"B", ""}, {"C", "a.b/c d*e"}};
  for (const std::string& word : i.words) {
    (void)expand(word, variables, escape);
    (void)expand_words(word, variables, escape);
    (void)variables_in(word, escape);
  }
  for (const Pair& pair : i.pairs) (void)expand(pair.value, variables, escape);
  for (const Heredoc& heredoc : i.heredocs) (void)expand_text(heredoc.content, variables);
  for (const Flag& flag : i.flags) {
    (void)expand(flag.value, variables, escape);
    (void)parse_run_mount(flag.value);
  }
  if (!i.trigger.empty() && !parse_changes(i.trigger, "ONBUILD") && escape == '\\') abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 64 * 1024) return 0;
  auto file = parse_dockerfile({reinterpret_cast<const char*>(data), size});
  if (!file) {
    if (!file.error().message.starts_with("Dockerfile")) abort();
    return 0;
  }
  if (file->stages.empty()) abort();
  for (const Stage& stage : file->stages)
    for (const Instruction& i : stage.instructions) {
      if (i.place.line <= 0 || i.place.source.empty()) abort();
      expand_all(i, file->escape);
    }
  (void)lint(*file, {.has_dockerignore = false, .target = file->stages.size() - 1});
  return 0;
}
