// What the CRI server is told.
#pragma once
#include <string>

namespace estiba::cri {

struct Options {
  std::string data_dir = "/var/lib/estiba";
  std::string run_dir = "/run/estiba";
  std::string socket;                            ///< empty: <run-dir>/cri.sock
  std::string version;                           ///< of this program, for Version
  std::string cgroup_root = "/estiba/cri";       ///< parent of sandboxes that name none
  std::string resolv_conf = "/etc/resolv.conf";  ///< of sandboxes without a dns_config
  std::string stream_host = "127.0.0.1";         ///< where exec, attach and port-forward are served, on a free port
  std::string socket_path() const { return socket.empty() ? run_dir + "/cri.sock" : socket; }
};

}  // namespace estiba::cri
