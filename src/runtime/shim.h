// `estiba-oci shim`: the process that stands between a pod's containers and the server. Its protocol is in
// docs/shim-protocol.md, its client in shim_client.h.
#pragma once

namespace estiba::runtime {

/// Reads its options from the socket on descriptor 3 and serves the pod until it is shut down. The exit code.
int shim_main(int argc, char** argv);

}  // namespace estiba::runtime
