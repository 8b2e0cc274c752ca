#include "ingress/config.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace estiba::ingress {

void HeaderChanges::apply(io::Headers& headers) const {
  for (const std::string& name : remove) headers.remove(name);
  for (const io::Header& header : set) headers.set(header.name, header.value);
  for (const io::Header& header : add) headers.add(header.name, header.value);
}

void Certificates::add(const std::string& hostname, io::TlsContextRef context) {
  if (!first_) first_ = context;
  names_.try_emplace(to_lower(hostname), std::move(context));
}

io::TlsContextRef Certificates::find(std::string_view server_name) const {
  const std::string name = to_lower(server_name);
  if (auto exact = names_.find(name); exact != names_.end()) return exact->second;
  for (size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1))
    if (auto wild = names_.find("*" + name.substr(dot)); wild != names_.end()) return wild->second;
  if (auto all = names_.find(""); all != names_.end()) return all->second;
  return name.empty() ? first_ : nullptr;
}

void Port::seal() {
  std::ranges::stable_sort(listeners, [](const auto& a, const auto& b) { return host_rank(a->hostname) > host_rank(b->hostname); });
}

const Route* Port::find(std::string_view host, const RequestFacts& request) const {
  std::vector<std::string_view> answered;
  for (const auto& listener : listeners) {
    if (!host_matches(listener->hostname, host) || std::ranges::contains(answered, listener->owner)) continue;
    if (const Route* route = listener->routes.find(host, request)) return route;
    answered.push_back(listener->owner);
  }
  return nullptr;
}

}  // namespace estiba::ingress
