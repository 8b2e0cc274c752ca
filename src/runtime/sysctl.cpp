#include "runtime/sysctl.h"

#include <algorithm>

#include "os/file.h"

namespace estiba::runtime {
namespace {

constexpr std::string_view of_ipc[] = {"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
                                       "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};

Result<void> check(const std::string& name, OwnNamespaces own) {
  std::string dotted = name;
  std::ranges::replace(dotted, '/', '.');
  const char* needed = nullptr;
  bool has = false;
  if (dotted.starts_with("net.")) {
    needed = "network", has = own.network;
  } else if (dotted.starts_with("fs.mqueue.") || std::ranges::find(of_ipc, dotted) != std::end(of_ipc)) {
    needed = "IPC", has = own.ipc;
  } else if (dotted == "kernel.domainname") {
    needed = "UTS", has = own.uts;
  }
  if (!needed) return fail(Code::invalid, "sysctl " + name + " is not in a separate kernel namespace: it would change the whole machine");
  if (!has) return fail(Code::invalid, "sysctl " + name + " is not allowed with the host's " + needed + " namespace");
  return {};
}

}  // namespace

Result<void> write_sysctl(const std::string& name, std::string_view value, OwnNamespaces own) {
  if (name.find("..") != std::string::npos) return fail(Code::invalid, "sysctl " + name + " is not a name of a sysctl");
  TRY(check(name, own));
  std::string file = name;
  for (char& c : file) {
    if (c == '.') c = '/';
    else if (c == '/') c = '.';
  }
  return within("sysctl " + name, os::write_file("/proc/sys/" + file, value));
}

}  // namespace estiba::runtime
