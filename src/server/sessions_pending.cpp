// Until the sessions of io/ are here, exec and port-forward answer that they are not offered.
#include "io/remote_command.h"
#include "io/port_forward.h"
namespace estiba::io {
Task<Result<std::unique_ptr<RemoteCommandServer>>> accept_remote_command(Request&, Response&, RemoteCommandStreams) { co_return fail(Code::unsupported, "not yet"); }
Task<Result<void>> serve_port_forward(Request&, Response&, PortDialer) { co_return fail(Code::unsupported, "not yet"); }
}
