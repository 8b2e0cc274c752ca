#include "network/cni/pods.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "model/json.h"
#include "network/inside.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/netns.h"
#include "os/rtnl.h"
#include "os/user_namespace.h"

namespace estiba::network::cni {

namespace rtnl = os::rtnl;

// While it lives nobody else works on the pod.
class Pods::Claim {
 public:
  Claim(Pods& pods, const std::string& uid) : pods_(pods), uid_(uid) {
    std::unique_lock lock(pods_.mutex_);
    pods_.freed_.wait(lock, [&] { return !pods_.busy_.contains(uid_); });
    pods_.busy_.insert(uid_);
  }
  ~Claim() {
    std::lock_guard lock(pods_.mutex_);
    pods_.busy_.erase(uid_);
    pods_.freed_.notify_all();
  }
  Claim(const Claim&) = delete;

 private:
  Pods& pods_;
  const std::string uid_;
};

// --- records -----------------------------------------------------------------------------------------------------------

Result<void> Pods::write(const std::string& uid, const Known& known) {
  json::Document document;
  json::Node& root = document.make_object();
  document.set(root, "pod", known.record.text());
  document.set(root, "file", known.file);
  document.set(root, "list", known.list);
  document.set(root, "result", known.result);
  TRY(os::write_file_atomic(record_path(uid), json::print(root), 0600));
  std::lock_guard lock(mutex_);
  known_.insert_or_assign(uid, known);
  return {};
}

Result<Pods::Known> Pods::read(const std::string& uid) const {
  const std::string text = TRY(os::read_file(record_path(uid)));
  const json::Document parsed = TRY(json::Document::parse(text));
  const json::Node& root = parsed.root();
  Known known{.record = TRY(Record::parse(root.string_at("pod"))),
              .file = std::string(root.string_at("file")),
              .list = std::string(root.string_at("list")),
              .result = std::string(root.string_at("result")),
              .net = {}};
  const NetworkList list = TRY(parse_list(known.list, known.file));
  known.maps_ports = list.has_capability("portMappings");
  // Without a result ADD had not come to its end.
  if (known.result.empty()) known.record.state = Record::State::partial;
  if (known.record.state != Record::State::pod) return known;
  const Outcome outcome = TRY(parse_outcome(known.result, "eth0"));
  known.net = describe(uid, outcome);
  return known;
}

PodNet Pods::describe(const std::string& uid, const Outcome& outcome) const {
  return {.netns_path = netns_path(uid),
          .userns_path = os::exists(userns_path(uid)) ? userns_path(uid) : std::string(),
          .ips = outcome.ips,
          .mac = outcome.mac,
          .gateway = outcome.gateway};
}

std::optional<Pods::Known> Pods::known(const std::string& uid) const {
  std::lock_guard lock(mutex_);
  const auto found = known_.find(uid);
  return found == known_.end() ? std::nullopt : std::optional(found->second);
}

Result<void> Pods::start() {
  TRY(os::make_dirs(config_.data_dir + "/network/cni", 0700));
  TRY(read_records());
  TRY(remove_strays());
  check_all();
  return {};
}

Result<void> Pods::read_records() {
  for (const char* folder : {"/netns", "/userns"}) TRY(os::make_dirs(config_.run_dir + folder));
  for (const os::DirEntry& entry : TRY(os::list_dir(config_.data_dir + "/network/cni"))) {
    const std::string& uid = entry.name;
    auto known = read(uid);
    if (!known) {
      log::warn("network", "the record of a pod's CNI network cannot be read and is dropped", {{"uid", uid}, {"error", known.error()}});
      TRY(os::remove_file(record_path(uid)));
      continue;
    }
    if (known->record.state == Record::State::pod && !os::open_netns(netns_path(uid))) known->record.state = Record::State::partial;
    std::lock_guard lock(mutex_);
    known_.emplace(uid, std::move(*known));
  }
  return {};
}

// Whether the pod's interface is there with the addresses that the plugins gave it.
static Result<bool> is_connected(const PodNet& net) {
  bool connected = false;
  TRY(os::in_netns(net.netns_path, [&]() -> Result<void> {
    auto inside = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
    const auto link = rtnl::link(inside, net.interface_name);
    if (!link) return link.error().code == Code::not_found ? Result<void>() : std::unexpected(link.error());
    std::set<std::string> there;
    for (const rtnl::LinkAddress& address : TRY(rtnl::addresses(inside, AF_UNSPEC)))
      if (address.index == link->index) there.insert(Address::from_raw(address.address).text());
    connected = std::ranges::all_of(net.ips, [&](const std::string& ip) { return there.contains(ip); });
    return {};
  }));
  return connected;
}

// Asked once, of what an earlier run has left. What plugins say themselves is only told: Debian's portmap complains of pods of IPv4 alone
// that it has no rules for IPv6, and no pod may end for that.
void Pods::check_all() {
  for (const PodRequest& pod : pods()) {
    const auto there = known(pod.uid);
    const std::string name = pod.ns + "/" + pod.name;
    auto connected = is_connected(there->net);
    if (!connected) log::warn("network", "a pod's CNI network cannot be looked at", {{"pod", name}, {"error", connected.error()}});
    if (connected && !*connected) {
      log::warn("network", "a pod's interface or its address is gone: the pod begins anew", {{"pod", name}});
      std::lock_guard lock(mutex_);
      known_.find(pod.uid)->second.record.state = Record::State::partial;
      continue;
    }
    auto list = parse_list(there->list, there->file);
    if (!list) continue;
    if (auto checked = Chain(std::move(*list), config_.plugins).check(attachment_of(pod), there->result); !checked)
      log::warn("network", "a CNI plugin finds fault with a pod's network", {{"pod", name}, {"error", checked.error()}});
  }
}

// The links on the node's side that a result names.
static void add_links(const std::string& result, std::set<std::string>& names) {
  const auto parsed = json::Document::parse(result, {.allow_duplicate_keys = true});
  const json::Node* interfaces = parsed ? parsed->root().find("interfaces") : nullptr;
  if (!interfaces) return;
  for (const json::Node& interface : *interfaces)
    if (interface.string_at("sandbox").empty()) names.emplace(interface.string_at("name"));
}

// Plugins leave their bridges, and with one its route to the range.
static Result<void> remove_bridges(const std::set<std::string>& names, const std::vector<Prefix>& ranges) {
  auto socket = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
  const auto links = TRY(rtnl::links(socket));
  const auto addresses = TRY(rtnl::addresses(socket, AF_UNSPEC));
  for (const rtnl::Link& link : links) {
    if (link.kind != "bridge" || !names.contains(link.name) || std::ranges::contains(links, link.index, &rtnl::Link::master)) continue;
    const bool in_the_way = std::ranges::any_of(addresses, [&](const rtnl::LinkAddress& address) {
      return address.index == link.index &&
             std::ranges::any_of(ranges, [&](const Prefix& range) { return range.contains(Address::from_raw(address.address)); });
    });
    if (!in_the_way) continue;
    rtnl::Batch batch;
    rtnl::put_delete_link(batch, link.name);
    TRY(socket.run(batch));
    log::info("network", "the CNI plugins' bridge is removed: its addresses are those of the built-in network now", {{"link", link.name}});
  }
  return {};
}

Result<void> Pods::remove_left(Config config, std::vector<Prefix> ranges) {
  const std::string records = config.data_dir + "/network/cni";
  if (!os::exists(records)) return {};
  Pods left(std::move(config));
  TRY(left.read_records());
  std::vector<std::string> uids;
  std::set<std::string> links;
  for (const auto& [uid, known] : left.known_) {
    uids.push_back(uid);
    add_links(known.result, links);
  }
  bool all = true;
  for (const std::string& uid : uids) {
    auto removed = left.take_away(uid);
    if (removed) continue;
    all = false;
    log::warn("network", "a pod's CNI network of before cannot be taken away; it is tried again at the next start",
              {{"record", left.record_path(uid)}, {"error", removed.error()}});
  }
  TRY(remove_bridges(links, ranges));
  if (all) TRY(os::remove_dir(records));
  if (!uids.empty()) log::info("network", "pods' CNI networks of before were taken away", {{"pods", uids.size()}});
  return {};
}

// A namespace without a record: only a lost data directory leads here.
Result<void> Pods::remove_strays() {
  for (const char* folder : {"/netns/", "/userns/"})
    for (const os::DirEntry& entry : TRY(os::list_dir(config_.run_dir + folder)))
      if (!known(entry.name)) TRY(os::remove_netns(config_.run_dir + folder + entry.name));
  return {};
}

// --- pods --------------------------------------------------------------------------------------------------------------

// The arguments are those of the CRI runtimes, which add-ons look the pod up by.
Attachment Pods::attachment_of(const PodRequest& pod) const {
  Attachment out{
      .container_id = pod.uid, .netns_path = netns_path(pod.uid), .args = {}, .host_ports = pod.host_ports, .bandwidth = pod.bandwidth};
  if (!os::open_netns(out.netns_path)) out.netns_path.clear();
  out.args = {{"IgnoreUnknown", "1"},
              {"K8S_POD_NAMESPACE", pod.ns},
              {"K8S_POD_NAME", pod.name},
              {"K8S_POD_INFRA_CONTAINER_ID", pod.uid},
              {"K8S_POD_UID", pod.uid}};
  return out;
}

Result<void> Pods::make_namespace(const PodRequest& pod) {
  const auto fill = [] -> Result<void> {
    TRY(set_inside_sysctls());
    auto inside = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
    rtnl::Batch batch;
    rtnl::put_link(batch, 1, {.up = true});  // lo, which the plugin `loopback` would do
    return inside.run(batch);
  };
  if (pod.uids.empty()) return os::make_netns(netns_path(pod.uid), fill);
  const Fd user = TRY_AS("user namespace", make_user_namespace(userns_path(pod.uid), pod));
  return os::bind_netns(netns_path(pod.uid), TRY(os::new_namespace_inside(user.get(), CLONE_NEWNET)), fill);
}

Result<PodNet> Pods::attach(const PodRequest& pod) {
  if (pod.uid.empty() || pod.uid.find_first_of("\n /") != std::string::npos)
    return fail(Code::invalid, "the pod uid " + quoted(pod.uid) + " cannot name a network");
  const Claim claim(*this, pod.uid);
  if (const auto there = known(pod.uid)) {
    if (there->record.state == Record::State::pod) return there->net;
    TRY_AS("what is left of the pod's earlier network", take_away(pod.uid));
  }
  const Chain chain(TRY(load_list(config_.configurations)), config_.plugins);
  const NetworkList& list = chain.list();
  // Before anything is made, and with the pod in it: DEL needs to know which.
  Known known{.record = {.state = Record::State::pod, .pod = pod}, .file = list.file, .list = list.text, .result = {}, .net = {}};
  known.maps_ports = list.has_capability("portMappings");
  const auto abandon = [&](Error error) -> std::unexpected<Error> {
    if (auto removed = take_away(pod.uid); !removed)
      log::warn("network", "what a failed plugin left is tried again later",
                {{"pod", pod.ns + "/" + pod.name}, {"error", removed.error()}});
    return std::unexpected(std::move(error));
  };
  TRY(write(pod.uid, known));
  if (auto made = make_namespace(pod); !made) return abandon(std::move(made.error()));
  auto outcome = chain.add(attachment_of(pod));
  if (!outcome) return abandon(std::move(outcome.error()));
  known.result = outcome->text;
  known.net = describe(pod.uid, *outcome);
  if (auto written = write(pod.uid, known); !written) return abandon(std::move(written.error()));
  return known.net;
}

// By whoever has the claim.
Result<void> Pods::take_away(const std::string& uid) {
  auto there = known(uid);
  if (!there) return {};
  {
    std::lock_guard lock(mutex_);
    known_.find(uid)->second.record.state = Record::State::partial;
  }
  const Chain chain(TRY(parse_list(there->list, there->file)), config_.plugins);
  TRY(chain.remove(attachment_of(there->record.pod), there->result));
  TRY(os::remove_netns(netns_path(uid)));
  TRY(os::remove_netns(userns_path(uid)));
  TRY(os::remove_file(record_path(uid)));
  std::lock_guard lock(mutex_);
  known_.erase(uid);
  return {};
}

Result<void> Pods::detach(const std::string& uid) {
  const Claim claim(*this, uid);
  if (auto removed = take_away(uid); !removed)
    log::warn("network", "the plugins did not take a pod's network away; it is tried again", {{"uid", uid}, {"error", removed.error()}});
  return {};
}

Result<bool> Pods::sweep() {
  std::vector<std::string> partial;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [uid, known] : known_)
      if (known.record.state == Record::State::partial && !busy_.contains(uid)) partial.push_back(uid);
  }
  Result<bool> done = !partial.empty();
  for (const std::string& uid : partial) {
    const Claim claim(*this, uid);
    const auto there = known(uid);
    if (!there || there->record.state != Record::State::partial) continue;
    if (auto removed = take_away(uid); !removed && done) done = std::unexpected(std::move(removed.error()));
  }
  return done;
}

Result<void> Pods::remove_all() {
  std::vector<std::string> all;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [uid, known] : known_) all.push_back(uid);
  }
  for (const std::string& uid : all) {
    const Claim claim(*this, uid);
    TRY(take_away(uid));
  }
  for (const std::string& empty :
       {config_.data_dir + "/network/cni", config_.data_dir + "/network", config_.run_dir + "/netns", config_.run_dir + "/userns"})
    TRY(os::remove_dir(empty));
  return {};
}

Result<void> Pods::collect_garbage() {
  const Chain chain(TRY(load_list(config_.configurations)), config_.plugins);
  std::vector<std::string> valid;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [uid, known] : known_) valid.push_back(uid);
  }
  return chain.collect_garbage(valid);
}

// --- telling -----------------------------------------------------------------------------------------------------------

Result<void> Pods::status() { return Chain(TRY(load_list(config_.configurations)), config_.plugins).status(); }

std::vector<PodRequest> Pods::pods() const {
  std::lock_guard lock(mutex_);
  std::vector<PodRequest> out;
  for (const auto& [uid, known] : known_)
    if (known.record.state == Record::State::pod && !known.net.ips.empty()) out.push_back(known.record.pod);
  return out;
}

std::optional<PodNet> Pods::find(std::string_view uid) const {
  std::lock_guard lock(mutex_);
  const auto found = known_.find(uid);
  if (found == known_.end() || found->second.record.state != Record::State::pod || found->second.net.ips.empty()) return std::nullopt;
  return found->second.net;
}

bool Pods::maps_ports(std::string_view uid) const {
  std::lock_guard lock(mutex_);
  const auto found = known_.find(uid);
  return found != known_.end() && found->second.maps_ports;
}

}  // namespace estiba::network::cni
