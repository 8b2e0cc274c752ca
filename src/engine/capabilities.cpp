#include "engine/capabilities.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/strings.h"
#include "engine/errors.h"

namespace estiba::engine {
namespace {

// capabilities(7), in the kernel's order.
constexpr std::array<std::string_view, 41> all{"CHOWN",
                                               "DAC_OVERRIDE",
                                               "DAC_READ_SEARCH",
                                               "FOWNER",
                                               "FSETID",
                                               "KILL",
                                               "SETGID",
                                               "SETUID",
                                               "SETPCAP",
                                               "LINUX_IMMUTABLE",
                                               "NET_BIND_SERVICE",
                                               "NET_BROADCAST",
                                               "NET_ADMIN",
                                               "NET_RAW",
                                               "IPC_LOCK",
                                               "IPC_OWNER",
                                               "SYS_MODULE",
                                               "SYS_RAWIO",
                                               "SYS_CHROOT",
                                               "SYS_PTRACE",
                                               "SYS_PACCT",
                                               "SYS_ADMIN",
                                               "SYS_BOOT",
                                               "SYS_NICE",
                                               "SYS_RESOURCE",
                                               "SYS_TIME",
                                               "SYS_TTY_CONFIG",
                                               "MKNOD",
                                               "LEASE",
                                               "AUDIT_WRITE",
                                               "AUDIT_CONTROL",
                                               "SETFCAP",
                                               "MAC_OVERRIDE",
                                               "MAC_ADMIN",
                                               "SYSLOG",
                                               "WAKE_ALARM",
                                               "BLOCK_SUSPEND",
                                               "AUDIT_READ",
                                               "PERFMON",
                                               "BPF",
                                               "CHECKPOINT_RESTORE"};

// What Docker and containerd leave a container.
constexpr std::array<std::string_view, 14> usual{
    "CHOWN",  "DAC_OVERRIDE", "FSETID",  "FOWNER",           "MKNOD",      "NET_RAW", "SETGID",
    "SETUID", "SETFCAP",      "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL",    "AUDIT_WRITE"};

/// "cap_net_admin", "NET_ADMIN" → "NET_ADMIN"
std::string plain(std::string_view name) {
  std::string out(name);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = char(c - 'a' + 'A');
  if (out.starts_with("CAP_")) out.erase(0, 4);
  return out;
}

}  // namespace

Result<std::vector<std::string>> container_capabilities(const ContainerSpec& spec) {
  std::set<std::string> held(usual.begin(), usual.end());
  auto has_all = [](const std::vector<std::string>& list) {
    return std::any_of(list.begin(), list.end(), [](const auto& n) { return plain(n) == "ALL"; });
  };
  if (spec.privileged || has_all(spec.capabilities_add)) held = {all.begin(), all.end()};
  if (!spec.privileged) {
    if (has_all(spec.capabilities_drop)) held = has_all(spec.capabilities_add) ? held : std::set<std::string>();
    for (const auto* list : {&spec.capabilities_drop, &spec.capabilities_add}) {
      for (const auto& item : *list) {
        std::string name = plain(item);
        if (name == "ALL") continue;
        if (std::find(all.begin(), all.end(), name) == all.end())
          return failed(reason::create_container, Code::invalid, "unknown capability " + quoted(item));
        if (list == &spec.capabilities_drop)
          held.erase(name);
        else
          held.insert(name);
      }
    }
  }
  std::vector<std::string> out;
  for (std::string_view name : all)
    if (held.contains(std::string(name))) out.push_back("CAP_" + std::string(name));
  return out;
}

}  // namespace estiba::engine
