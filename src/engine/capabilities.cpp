#include "engine/capabilities.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/capabilities.h"
#include "base/strings.h"
#include "engine/errors.h"

namespace estiba::engine {
namespace {

// What Docker and containerd leave a container.
constexpr std::array<std::string_view, 14> usual{
    "CAP_CHOWN",  "CAP_DAC_OVERRIDE", "CAP_FSETID",  "CAP_FOWNER",           "CAP_MKNOD",      "CAP_NET_RAW", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETFCAP",      "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",    "CAP_AUDIT_WRITE"};

/// "cap_net_admin", "NET_ADMIN" → "CAP_NET_ADMIN"
std::string full(std::string_view name) {
  std::string out(name);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = char(c - 'a' + 'A');
  if (!out.starts_with("CAP_")) out.insert(0, "CAP_");
  return out;
}

}  // namespace

Result<std::vector<std::string>> container_capabilities(const ContainerSpec& spec) {
  std::set<std::string> held(usual.begin(), usual.end());
  auto has_all = [](const std::vector<std::string>& list) {
    return std::any_of(list.begin(), list.end(), [](const auto& n) { return full(n) == "CAP_ALL"; });
  };
  if (spec.privileged || has_all(spec.capabilities_add)) held = {capability_names.begin(), capability_names.end()};
  if (!spec.privileged) {
    if (has_all(spec.capabilities_drop)) held = has_all(spec.capabilities_add) ? held : std::set<std::string>();
    for (const auto* list : {&spec.capabilities_drop, &spec.capabilities_add}) {
      for (const auto& item : *list) {
        std::string name = full(item);
        if (name == "CAP_ALL") continue;
        if (std::find(capability_names.begin(), capability_names.end(), name) == capability_names.end())
          return failed(reason::create_container, Code::invalid, "unknown capability " + quoted(item));
        if (list == &spec.capabilities_drop) held.erase(name);
        else held.insert(name);
      }
    }
  }
  std::vector<std::string> out;
  for (std::string_view name : capability_names)
    if (held.contains(std::string(name))) out.emplace_back(name);
  return out;
}

}  // namespace estiba::engine
