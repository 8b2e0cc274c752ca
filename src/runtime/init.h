// The init of a container that asks for one (`docker run --init`): the container's first process, which starts the program, passes signals
// on to it, and reaps whatever else ends. estiba-oci is it when it is called as "docker-init".
#pragma once

namespace estiba::runtime {

/// `argv` as main() has it: "docker-init -- program arguments…". Returns the program's exit code, 128 + N when signal N ended it, 127 or
/// 126 when it cannot be run.
int init_main(int argc, char** argv);

}  // namespace estiba::runtime
