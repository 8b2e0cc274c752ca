#include "network/inside.h"

#include "os/file.h"
#include "os/namespace.h"
#include "os/rtnl.h"
#include "os/user_namespace.h"

namespace estiba::network {

namespace {

// In a new namespace the value is never right already, which set_sysctl() looks for first.
Result<void> set_sysctl(const std::string& path, std::string_view value) {
  if (os::write_file("/proc/sys/" + path, value)) return {};
  return os::rtnl::set_sysctl(path, value);
}

}  // namespace

Result<void> set_inside_sysctls() {
  for (const char* conf : {"net/ipv4/conf/all/accept_redirects", "net/ipv4/conf/default/accept_redirects"}) TRY(set_sysctl(conf, "0"));
  // As container engines do: within its own network a process without rights may listen on port 80 and ping.
  TRY(set_sysctl("net/ipv4/ip_unprivileged_port_start", "0"));
  TRY(set_sysctl("net/ipv4/ping_group_range", "0 2147483647"));
  (void)set_sysctl("net/ipv6/conf/default/addr_gen_mode", "1");  // none; fails where the kernel has no IPv6
  return {};
}

Result<void> set_inside_sysctls_v6() {
  // A machine may keep IPv6 off its links by default; links of this namespace come into being with what stands here.
  for (const char* conf : {"net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/default/disable_ipv6", "net/ipv6/conf/all/accept_redirects",
                           "net/ipv6/conf/default/accept_redirects", "net/ipv6/conf/default/accept_ra"})
    TRY(set_sysctl(conf, "0"));
  return {};
}

Result<Fd> make_user_namespace(const std::string& path, const PodRequest& owner) {
  const auto mappings = [](const std::vector<IdRange>& ranges) {
    os::IdMappings out;
    for (const IdRange& range : ranges) out.push_back({range.inside, range.outside, range.size});
    return out;
  };
  Fd user = TRY(os::new_user_namespace(mappings(owner.uids), mappings(owner.gids)));
  TRY(os::persist_namespace(user.get(), path));
  return user;
}

}  // namespace estiba::network
