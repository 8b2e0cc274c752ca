#include <cstdio>
#include <string>

#include "cli/verbs.h"
#include "image/store.h"

namespace estiba::cli {

Result<int> image_remove(const Arguments& arguments) {
  std::string data_dir = "/var/lib/estiba";
  bool force = false;
  Flags flags("estiba image remove IMAGE...");
  flags.add("data-dir", &data_dir, "where Estiba keeps its data");
  flags.add("force,f", &force, "remove all names of an image given by id, even if a container uses it");
  const Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    std::fputs(flags.help().c_str(), stdout);
    return 0;
  }
  if (rest.empty()) return fail(Code::invalid, "give the names or ids of images");
  auto store = TRY(image::Store::open(data_dir));
  int failures = 0;
  for (std::string_view name : rest) {
    auto removed = store->remove(name, force);
    if (!removed) {
      std::fprintf(stderr, "estiba image remove: %s\n", removed.error().message.c_str());
      ++failures;
      continue;
    }
    for (const auto& gone : removed->untagged) std::printf("Untagged: %s\n", gone.c_str());
    if (removed->deleted)
      std::printf("Deleted: %s (%llu bytes freed)\n", std::string(name).c_str(), static_cast<unsigned long long>(removed->freed));
  }
  return failures ? 1 : 0;
}

}  // namespace estiba::cli
