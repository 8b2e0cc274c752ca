#include "network/doctor.h"

#include <sys/socket.h>
#include <sys/utsname.h>

#include <algorithm>

#include "base/strings.h"
#include "network/mesh/routes.h"
#include "os/file.h"

namespace estiba::network {

using Grade = Finding::Grade;
using os::nft::BaseChain;
using os::rtnl::Link;
using os::rtnl::Route;

namespace {

// Ours are estiba0 and what stands beside it.
bool is_our_link(std::string_view name) { return name.starts_with("estiba"); }

Finding unreadable(std::string subject, const Error& error) {
  return {Grade::problem, std::move(subject), error.message, "run it as root"};
}

// Of each family that pods have.
Finding examine_forwarding(const DoctorOptions& options) {
  for (const Prefix& range : options.pod_cidrs) {
    const std::string path = range.address.v6 ? "net/ipv6/conf/all/forwarding" : "net/ipv4/ip_forward";
    std::string name = path;
    std::ranges::replace(name, '/', '.');
    auto value = os::rtnl::get_sysctl(path);
    if (!value && range.address.v6)
      return {Grade::problem, "forwarding", "pods are to have IPv6 addresses, but this kernel has no IPv6",
              "boot it without ipv6.disable=1"};
    if (!value) return unreadable("forwarding", value.error());
    if (trim(*value) != "1")
      return {Grade::problem, "forwarding", name + " is off: pods reach nothing but their node",
              "sysctl -w " + name + "=1 (the server does so as it starts; something has turned it off, or none has started)"};
  }
  return {Grade::good, "forwarding", "packets are forwarded", ""};
}

std::string text_of(const std::vector<Prefix>& ranges) {
  std::string text;
  for (const Prefix& range : ranges) text += (text.empty() ? "" : ",") + range.text();
  return text;
}

std::vector<Finding> examine_subnets(const DoctorOptions& options) {
  auto socket = os::netlink::Socket::open(NETLINK_ROUTE);
  if (!socket) return {unreadable("subnets", socket.error())};
  auto routes = os::rtnl::routes(*socket, AF_UNSPEC);
  if (!routes) return {unreadable("subnets", routes.error())};
  auto links = os::rtnl::links(*socket);
  if (!links) return {unreadable("subnets", links.error())};
  auto found = find_clashes(*routes, *links, options);
  if (found.empty())
    found.push_back(
        {Grade::good, "subnets", text_of(options.pod_cidrs) + " and " + text_of(options.service_cidrs) + " are used by nobody else", ""});
  return found;
}

bool has_module(const std::string& name, const std::string& folder) {
  if (os::exists("/sys/module/" + name)) return true;
  for (const char* list : {"/modules.builtin", "/modules.dep"})
    if (auto text = os::read_file(folder + list); text && text->find("/" + name + ".ko") != std::string::npos) return true;
  return false;
}

std::vector<Finding> examine_modules() {
  utsname machine{};
  uname(&machine);
  const std::string folder = std::string("/lib/modules/") + machine.release;
  std::vector<Finding> found;
  auto socket = os::netlink::Socket::open(NETLINK_NETFILTER);
  if (auto chains = socket ? os::nft::base_chains(*socket) : std::unexpected(socket.error()); !chains)
    found.push_back({Grade::problem, "modules", "nf_tables does not answer: " + chains.error().message, "modprobe nf_tables, as root"});
  for (const char* name : {"bridge", "veth", "nf_conntrack", "nf_nat", "overlay"})
    if (!has_module(name, folder))
      found.push_back({Grade::warning, "modules", std::string(name) + " was not found for the kernel " + machine.release,
                       "install the kernel's modules, or try: modprobe " + std::string(name)});
  if (found.empty()) found.push_back({Grade::good, "modules", "nf_tables, bridge, veth, conntrack and overlay are there", ""});
  return found;
}

std::vector<Finding> examine_firewall(const DoctorOptions& options) {
  auto socket = os::netlink::Socket::open(NETLINK_NETFILTER);
  auto chains = socket ? os::nft::base_chains(*socket) : std::unexpected(socket.error());
  if (!chains) return {unreadable("firewall", chains.error())};
  auto found = find_barriers(*chains, options.bridge, range_of_family(options.pod_cidrs, true) != nullptr);
  if (found.empty()) found.push_back({Grade::good, "firewall", "no chain of others drops by its policy", ""});
  return found;
}

Finding examine_connections() {
  auto count = os::rtnl::get_sysctl("net/netfilter/nf_conntrack_count"), most = os::rtnl::get_sysctl("net/netfilter/nf_conntrack_max");
  if (!count || !most) return {Grade::good, "connections", "none are tracked", ""};
  const auto now = parse_number<int64_t>(trim(*count)), limit = parse_number<int64_t>(trim(*most));
  const std::string text = std::string(trim(*count)) + " of " + std::string(trim(*most)) + " connections are tracked";
  if (now && limit && *limit > 0 && *now * 10 >= *limit * 9)
    return {Grade::problem, "connections", text + ": new ones are dropped soon",
            "sysctl -w net.netfilter.nf_conntrack_max=" + std::to_string(*limit * 2)};
  return {Grade::good, "connections", text, ""};
}

}  // namespace

std::vector<Finding> find_clashes(const std::vector<Route>& routes, const std::vector<Link>& links, const DoctorOptions& options) {
  std::vector<Finding> found;
  for (const Route& route : routes) {
    if (route.prefix_length == 0) continue;
    const auto link = std::ranges::find(links, route.index, &Link::index);
    const std::string name = link == links.end() ? "link " + std::to_string(route.index) : link->name;
    const bool other_nodes_pods = route.protocol == mesh::Routes::Config{}.protocol;
    if (is_our_link(name) || name == options.bridge || other_nodes_pods) continue;
    const Prefix there{Address::from_raw(route.destination), route.prefix_length};
    std::vector<std::pair<std::string, Prefix>> ranges;
    for (const Prefix& range : options.pod_cidrs) ranges.push_back({"--pod-cidr", range});
    for (const Prefix& range : options.service_cidrs) ranges.push_back({"--service-cidr", range});
    for (const auto& [flag, ours] : ranges)
      if (there.overlaps(ours))
        found.push_back({Grade::problem, "subnets",
                         "the network " + there.text() + " at " + name + " has addresses of " + flag + " " + ours.text(),
                         "start the server with another " + flag + ", or take that network away"});
  }
  return found;
}

std::vector<Finding> find_barriers(const std::vector<BaseChain>& chains, const std::string& bridge, bool v6) {
  constexpr uint8_t inet = 1, ip = 2, ip6 = 10;  // NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6
  constexpr uint32_t input = 1, forward = 2;     // NF_INET_LOCAL_IN, NF_INET_FORWARD
  std::vector<Finding> found;
  for (const BaseChain& chain : chains) {
    if (!chain.drops || chain.table.starts_with("estiba") || (chain.family != inet && chain.family != ip && !(v6 && chain.family == ip6)))
      continue;
    if (chain.hook != input && chain.hook != forward) continue;
    const std::string family = chain.family == inet ? "inet"
                               : chain.family == ip ? "ip"
                                                    : "ip6",
                      where = family + " " + chain.table + " " + chain.name;
    found.push_back({Grade::warning, "firewall",
                     "the chain " + where +
                         (chain.hook == forward ? " drops packets between pods and the outside" : " drops packets from pods to the node") +
                         " unless a rule of it accepts them",
                     "nft insert rule " + where + " iifname " + bridge + " accept" +
                         (chain.hook == forward ? "; nft insert rule " + where + " oifname " + bridge + " accept" : "")});
  }
  return found;
}

std::vector<Finding> examine_network(const DoctorOptions& options) {
  std::vector<Finding> all{examine_forwarding(options)};
  for (auto part : {examine_subnets(options), examine_modules(), examine_firewall(options)})
    std::ranges::move(part, std::back_inserter(all));
  all.push_back(examine_connections());
  return all;
}

}  // namespace estiba::network
