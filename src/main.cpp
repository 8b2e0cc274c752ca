#include "cli/verbs.h"
#include "server/verb.h"

int main(int argc, char** argv) {
  const estiba::cli::Verb wiring[] = {
      {"server", "run the control plane and a node in this process", estiba::server::run},
  };
  return estiba::cli::run(argv[0], estiba::cli::Arguments(argv + 1, argv + argc), wiring);
}
