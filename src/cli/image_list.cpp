#include <cstdio>
#include <string>

#include "base/strings.h"
#include "base/time.h"
#include "cli/verbs.h"
#include "image/reference.h"
#include "image/store.h"

namespace estiba::cli {
namespace {

std::string human_size(uint64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  double value = double(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit < 4) value /= 1000, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 || value >= 100 ? "%.0f%s" : "%.3g%s", value, units[unit]);
  return text;
}

std::string age(const std::string& created) {
  auto time = parse_rfc3339(created);
  if (!time) return "";
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now() - *time).count();
  auto says = [](long n, const char* unit) { return std::to_string(n) + " " + unit + (n == 1 ? "" : "s") + " ago"; };
  if (seconds < 120) return says(seconds, "second");
  if (seconds < 7200) return says(seconds / 60, "minute");
  if (seconds < 172800) return says(seconds / 3600, "hour");
  return says(seconds / 86400, "day");
}

}  // namespace

Result<int> image_list(const Arguments& arguments) {
  std::string data_dir = "/var/lib/estiba";
  bool quiet = false, digests = false;
  Flags flags("estiba image list");
  flags.add("data-dir", &data_dir, "where Estiba keeps its data");
  flags.add("quiet,q", &quiet, "print ids only");
  flags.add("digests", &digests, "print the digests that registries know the images by");
  const Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    std::fputs(flags.help().c_str(), stdout);
    return 0;
  }
  if (!rest.empty()) return fail(Code::invalid, "it takes no arguments");
  auto store = TRY(image::Store::open(data_dir));
  const auto records = TRY(store->list());
  if (!quiet) std::printf("%-40s %-16s %-14s %-16s %s\n", "REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE");
  for (const auto& record : records) {
    if (quiet) {
      std::printf("%s\n", image::short_digest(record.id).c_str());
      continue;
    }
    auto config = store->config(record.id);
    const std::string created = config ? age((*config)->created) : "damaged";
    std::vector<std::string> names = record.tags;
    if (digests || names.empty()) names.insert(names.end(), record.digests.begin(), record.digests.end());
    if (names.empty()) names.emplace_back();
    for (const auto& name : names) {
      std::string repository = "<none>", tag = "<none>";
      if (auto ref = image::parse_reference(name)) {
        if (!ref->tag.empty())
          tag = ref->tag;
        else
          tag = ref->digest;
        ref->tag.clear();
        ref->digest.clear();
        repository = ref->familiar();
      }
      std::printf("%-40s %-16s %-14s %-16s %s\n", repository.c_str(), tag.c_str(), image::short_digest(record.id).c_str(), created.c_str(),
                  human_size(record.size).c_str());
    }
  }
  return 0;
}

}  // namespace estiba::cli
