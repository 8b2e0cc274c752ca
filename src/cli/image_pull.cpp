#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/strings.h"
#include "cli/verbs.h"
#include "image/registry.h"

namespace estiba::cli {

Result<int> image_pull(const Arguments& arguments) {
  std::string data_dir = "/var/lib/estiba", login, platform;
  Flags flags("estiba image pull IMAGE...");
  flags.add("data-dir", &data_dir, "where Estiba keeps its data");
  flags.add("login", &login, "USERNAME:PASSWORD for the registry; better in the environment, as ESTIBA_REGISTRY_LOGIN");
  flags.add("platform", &platform, "OS/ARCHITECTURE to choose from images for several (default: this machine's)");
  const Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    std::fputs(flags.help().c_str(), stdout);
    return 0;
  }
  if (rest.empty()) return fail(Code::invalid, "give the names of images");
  image::PullOptions options;
  if (const char* variable = std::getenv("ESTIBA_REGISTRY_LOGIN"); login.empty() && variable) login = variable;
  if (!login.empty()) {
    auto [user, password] = split_once(login, ':');
    if (!password) return fail(Code::invalid, "--login: USERNAME:PASSWORD is expected");
    options.logins.push_back({std::string(user), std::string(*password), {}});
  }
  if (!platform.empty()) {
    auto [os, architecture] = split_once(platform, '/');
    if (!architecture) return fail(Code::invalid, "--platform " + quoted(platform) + ": OS/ARCHITECTURE is expected, as linux/arm64");
    options.platform = {std::string(os), std::string(*architecture), ""};
  }
  auto store = TRY(image::Store::open(data_dir));
  for (std::string_view name : rest) {
    image::Record record = TRY(image::pull_image(*store, TRY(image::parse_reference(name)), options));
    std::printf("%s  %s\n", record.id.c_str(), join(record.tags, " ").c_str());
  }
  TRY(store->collect());
  return 0;
}

}  // namespace estiba::cli
