#include "cli/verbs.h"
#include "server/engine_verb.h"
#include "server/verb.h"

int main(int argc, char** argv) {
  const estiba::cli::Verb wiring[] = {
      {"engine", "run the container engine alone, with Docker's API", estiba::server::run_engine},
      {"server", "run the control plane and a node in this process", estiba::server::run},
  };
  return estiba::cli::run(argv[0], estiba::cli::Arguments(argv + 1, argv + argc), wiring);
}
