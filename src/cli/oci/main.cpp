#include <string_view>

#include "cli/oci/commands.h"
#include "runtime/init.h"

int main(int argc, char** argv) {
  std::string_view name = argc > 0 ? argv[0] : "";
  if (name.substr(name.rfind('/') + 1) == "docker-init") return estiba::runtime::init_main(argc, argv);
  return estiba::cli::oci::run_main(argc, argv);
}
