#include "docker/listing.h"

#include <algorithm>

#include "base/strings.h"
#include "docker/config.h"
#include "docker/daemon.h"
#include "docker/network_spec.h"
#include "engine/engine.h"
#include "image/overlay.h"
#include "image/reference.h"
#include "image/store.h"
#include "io/loop.h"
#include "io/pool.h"
#include "network/bridge/networks.h"
#include "os/file.h"

namespace estiba::docker {

namespace {

using json::Node;

constexpr size_t kept_answers = 32;

bool has_network(const Container& c, const Filters& filters, const network::bridge::Networks& networks) {
  const auto& wanted = filters.get("network");
  if (wanted.empty()) return true;
  for (const Node& item : c.endpoints.root())
    for (const auto& name : wanted) {
      if (item.key() == name) return true;
      if (auto info = networks.find(item.key()); info && !name.empty() && info->id.starts_with(name)) return true;
    }
  return false;
}

bool has_volume(const Container& c, const Filters& filters) {
  const auto& wanted = filters.get("volume");
  return wanted.empty() || std::any_of(c.mounts.begin(), c.mounts.end(), [&](const MountPoint& m) {
           return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& w) {
             return w == m.name || w == m.destination || (m.type == "bind" && w == m.source);
           });
         });
}

/// "80", "80/tcp", "8000-8100/udp" of a filter.
struct PortWish {
  uint16_t first = 0, last = 0;
  std::string protocol;
};
Result<PortWish> parse_wish(std::string_view text) {
  auto [numbers, protocol] = split_once(text, '/');
  auto range = TRY(parse_port_range(numbers));
  return PortWish{range.first, range.second, std::string(protocol.value_or("tcp"))};
}

Result<bool> has_port(const Container& c, const Filters& filters, std::string_view name) {
  const auto& wanted = filters.get(name);
  if (wanted.empty()) return true;
  std::vector<std::pair<uint16_t, std::string>> ports;
  auto note = [&](std::string_view key) {
    if (auto port = parse_port(key)) ports.emplace_back(port->first, print_port(0, port->second).substr(2));
  };
  if (name == "expose") {
    if (const Node* exposed = c.config.root().find("ExposedPorts"))
      for (const Node& item : *exposed) note(item.key());
  }
  if (const Node* bindings = c.host_config.root().find("PortBindings"))
    for (const Node& item : *bindings) note(item.key());
  for (const auto& text : wanted) {
    PortWish wish = TRY(parse_wish(text));
    for (const auto& [port, protocol] : ports)
      if (port >= wish.first && port <= wish.last && protocol == wish.protocol) return true;
  }
  return false;
}

std::string_view health_of(const Container& c) { return c.health ? std::string_view(c.health->status) : "none"; }

}  // namespace

Listing::Stamp Listing::stamp() const {
  Stamp out;
  out.revision = daemon_.containers().revision();
  if (auto info = os::stat_file(daemon_.options().data_dir + "/images/index.json")) {
    out.inode = info->st_ino;
    out.changed = int64_t(info->st_mtim.tv_sec) * 1'000'000'000 + info->st_mtim.tv_nsec;
  }
  out.second = std::chrono::duration_cast<std::chrono::seconds>(daemon_.loop().wall_now().time_since_epoch()).count();
  return out;
}

std::shared_ptr<const std::string> Listing::known(const std::string& raw_query) {
  if (Stamp now = stamp(); now != stamp_) {
    answers_.clear();
    stamp_ = now;
    return nullptr;
  }
  auto it = answers_.find(raw_query);
  return it == answers_.end() ? nullptr : it->second;
}

Task<Result<void>> Listing::refresh_names() {
  Stamp now = stamp();
  now.revision = 0;
  now.second = 1;
  if (now == names_stamp_) co_return {};
  auto records = CO_TRY(co_await daemon_.pool().run([store = daemon_.images()] { return store->list(); }));
  image_names_.clear();
  for (const auto& record : records) {
    for (const auto& name : record.tags) image_names_.emplace(name, record.id);
    for (const auto& name : record.digests) image_names_.emplace(name, record.id);
  }
  names_stamp_ = now;
  co_return {};
}

std::string Listing::image_column(const Container& c, const std::map<std::string, std::string, std::less<>>& names) {
  if (c.image_id.starts_with(c.image) || c.image_id.substr(7).starts_with(c.image)) return c.image;
  auto reference = image::parse_reference(c.image);
  if (!reference) return c.image;
  auto it = names.find(reference->key());
  return it != names.end() && it->second == c.image_id ? c.image : c.image_id;
}

Shown Listing::shown(const Container& c) const {
  Shown out;
  out.containers = &daemon_.containers();
  out.root_dir = daemon_.images()->container_dir(c.id);
  out.upper_dir = daemon_.engine().upper_dir(c.id);
  if (c.running()) out.network = daemon_.networks().sandbox(c.id);
  for (const Node& item : c.endpoints.root())
    if (auto network = daemon_.networks().find(item.key())) out.network_ids.emplace(item.key(), network->id);
  return out;
}

Task<DiskSize> Listing::size_of(ContainerRef container) {
  co_return co_await daemon_.pool().run(
      [store = daemon_.images(), upper = daemon_.engine().upper_dir(container->id), image = container->image_id] {
        DiskSize out;
        if (auto usage = image::disk_usage(upper)) out.writable = usage->bytes;
        out.root = out.writable;
        if (auto config = store->config(image))
          for (const auto& layer : store->layer_paths(**config))
            if (auto usage = image::disk_usage(layer)) out.root += usage->bytes;
        return out;
      });
}

Result<bool> Listing::fits(const Container& c, const Filters& filters) const {
  if (!filters.prefix("id", c.id) || !filters.contains("name", "/" + c.name) || !filters.labels(c.facts.labels)) return false;
  if (!filters.exact("status", to_string(c.status)) || !filters.exact("health", health_of(c))) return false;
  if (filters.has("exited")) {
    if (c.status != Status::exited || !filters.exact("exited", std::to_string(c.exit_code))) return false;
  }
  if (filters.has("is-task") && TRY(filters.flag("is-task", false))) return false;
  if (!has_network(c, filters, daemon_.networks()) || !has_volume(c, filters)) return false;
  return TRY(has_port(c, filters, "publish")) && TRY(has_port(c, filters, "expose"));
}

Task<Result<std::vector<ContainerRef>>> Listing::choose(ListRequest* request) {
  const Filters& filters = request->filters;
  const bool all =
      request->all || request->limit > 0 || filters.has("status") || filters.has("exited") || filters.has("since") || filters.has("before");
  for (const auto& status : filters.get("status"))
    if (constexpr std::string_view known[] = {"created", "running", "paused", "restarting", "removing", "exited", "dead"};
        std::find(std::begin(known), std::end(known), status) == std::end(known))
      co_return fail(Code::invalid, "invalid filter 'status=" + status + "'");
  for (const auto& code : filters.get("exited"))
    if (!parse_number<int>(code)) co_return fail(Code::invalid, "invalid filter 'exited=" + code + "'");
  std::optional<WallTime> since, before;
  for (const auto& name : filters.get("since")) since = CO_TRY(daemon_.containers().find(name))->created;
  for (const auto& name : filters.get("before")) before = CO_TRY(daemon_.containers().find(name))->created;
  std::vector<std::string> ancestors;
  for (const auto& name : filters.get("ancestor")) {
    auto record = co_await daemon_.pool().run([store = daemon_.images(), name] { return store->find(name); });
    if (record && *record) ancestors.push_back((*record)->id);
  }
  std::vector<ContainerRef> out;
  for (ContainerRef& c : daemon_.containers().all()) {
    if (!all && !c->running() && c->status != Status::restarting) continue;
    if ((since && c->created <= *since) || (before && c->created >= *before)) continue;
    if (filters.has("ancestor") && std::find(ancestors.begin(), ancestors.end(), c->image_id) == ancestors.end()) continue;
    if (!CO_TRY(fits(*c, filters))) continue;
    out.push_back(std::move(c));
    if (request->limit > 0 && int64_t(out.size()) >= request->limit) break;
  }
  co_return out;
}

Task<Result<std::shared_ptr<const std::string>>> Listing::make(std::string raw_query, ListRequest request) {
  CO_TRY(co_await refresh_names());
  auto chosen = CO_TRY(co_await choose(&request));
  std::map<std::string, DiskSize> sizes;
  if (request.size)
    for (const ContainerRef& c : chosen) sizes.emplace(c->id, co_await size_of(c));
  // From here on nothing waits, so that what is printed is of one moment.
  const Stamp now = stamp();
  std::string text = "[";
  for (const ContainerRef& c : chosen) {
    Shown around = shown(*c);
    if (request.size) around.size = sizes[c->id];
    if (text.size() > 1) text += ',';
    text += summary_json(*c, around, image_column(*c, image_names_), daemon_.loop().wall_now());
  }
  text += "]\n";
  auto answer = std::make_shared<const std::string>(std::move(text));
  if (!request.size) {
    if (now != stamp_ || answers_.size() >= kept_answers) answers_.clear();
    stamp_ = now;
    answers_.insert_or_assign(std::move(raw_query), answer);
  }
  co_return answer;
}

}  // namespace estiba::docker
