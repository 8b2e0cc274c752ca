#include "network/dial.h"

#include <sched.h>
#include <sys/socket.h>

#include "os/namespace.h"

namespace estiba::network {

Result<Fd> open_socket(const std::string& netns_path, int family) {
  Fd out;
  auto make = [&]() -> Result<void> {
    out = Fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!out) return fail_errno("socket");
    return {};
  };
  if (netns_path.empty()) {
    TRY(make());
    return out;
  }
  Fd netns = TRY(os::open_namespace(netns_path, CLONE_NEWNET));
  TRY(os::inside_namespace(netns.get(), CLONE_NEWNET, make));
  return out;
}

}  // namespace estiba::network
