#include "cli/verbs.h"
#include "server/agent.h"
#include "server/doctor_verb.h"
#include "server/engine_verb.h"
#include "server/flows_verb.h"
#include "server/snapshot_verb.h"
#include "server/verb.h"

int main(int argc, char** argv) {
  const estiba::cli::Verb wiring[] = {
      {"agent", "run a node of another machine's cluster", estiba::server::run_agent},
      {"doctor", "tell what is wrong with this machine's network, and what to do", estiba::server::run_doctor},
      {"engine", "run the container engine alone, with Docker's API", estiba::server::run_engine},
      {"network flows", "tell who talks to whom on this node, and what network policies drop", estiba::server::run_flows},
      {"snapshot save", "save everything that is stored to a file, of a running server or not", estiba::server::snapshot_save},
      {"snapshot restore", "fill an empty data directory or etcd from such a file", estiba::server::snapshot_restore},
      {"snapshot copy", "copy everything from the embedded store to etcd, or back", estiba::server::snapshot_copy},
      {"server", "run the control plane and a node in this process", estiba::server::run},
  };
  return estiba::cli::run(argv[0], estiba::cli::Arguments(argv + 1, argv + argc), wiring);
}
