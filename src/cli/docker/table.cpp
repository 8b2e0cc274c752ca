#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"

namespace estiba::cli::docker {

// Names as Docker has them: the verb in its group first, then its short forms.
static constexpr Verb table[] = {
    {"version", "[OPTIONS]", "Show the Docker version information", 0, 0, version},
};

std::span<const Verb> docker_verbs() { return table; }

}  // namespace estiba::cli::docker
