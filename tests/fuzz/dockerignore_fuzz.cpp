// links: build
// Any bytes as a .dockerignore, and its first line as a path: matching ends, and a directory that is left out whole has nothing
// in it that is kept.
#include <cstdlib>

#include "base/strings.h"
#include "build/context/ignore.h"

using namespace estiba;
using namespace estiba::build;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto [line, rest] = split_once(text, '\n');
  auto rules = IgnoreRules::parse(rest.value_or(""));
  if (!rules) return 0;
  std::string path = clean_path(line);
  if (path.empty()) return 0;
  bool ignored = rules->ignored(path);
  for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1))
    if (rules->ignored_whole(path.substr(0, slash)) && !ignored) abort();
  return 0;
}
