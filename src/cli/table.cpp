#include "cli/verbs.h"

namespace estiba::cli {

static constexpr Verb table[] = {
    {"kubeconfig", "print or merge the kubeconfig of a server on this machine", kubeconfig},
    {"version", "print the version", version},
};

std::span<const Verb> verbs() { return table; }

}  // namespace estiba::cli
