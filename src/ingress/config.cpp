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

void Certificates::add(Certificate certificate) {
  std::string name = to_lower(certificate.hostname);
  const auto [at, added] = names_.try_emplace(std::move(name), std::move(certificate));
  if (!first_) first_ = &at->second;
}

const Certificate* Certificates::of_host(std::string_view host) const {
  const std::string name = to_lower(host);
  if (auto exact = names_.find(name); exact != names_.end()) return &exact->second;
  for (size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1))
    if (auto wild = names_.find("*" + name.substr(dot)); wild != names_.end()) return &wild->second;
  const auto all = names_.find("");
  return all == names_.end() ? nullptr : &all->second;
}

const Certificate* Certificates::of_client(std::string_view server_name) const {
  const Certificate* found = of_host(server_name);
  return found || !server_name.empty() ? found : first_;
}

Direction Port::direct(std::string_view server_name, std::string_view host) const {
  if (!tls) return {};
  const Certificate* shown = certificates.of_client(server_name);
  // Certificates may have changed since the handshake; then only another one tells.
  if (!shown) return {.status = 421};
  if (host == server_name) return {.certificate = shown};
  const Certificate* wanted = certificates.of_host(host);
  if (wanted == shown) return {.certificate = shown};
  if (!wanted) return {.status = server_name.empty() ? 0 : 404, .certificate = shown};
  const bool same = !shown->isolated && !wanted->isolated && shown->context == wanted->context;
  return {.status = same ? 0 : 421, .certificate = shown};
}

void StreamListener::seal() {
  std::ranges::stable_sort(routes,
                           [](const StreamRoute& a, const StreamRoute& b) { return host_rank(a.hostname) > host_rank(b.hostname); });
}

const StreamRoute* StreamListener::find(std::string_view server_name) const {
  const auto found = std::ranges::find_if(routes, [&](const StreamRoute& one) { return host_matches(one.hostname, server_name); });
  return found == routes.end() ? nullptr : &*found;
}

const StreamListener* Port::stream_of(std::string_view server_name) const {
  const StreamListener* best = nullptr;
  for (const auto& one : streams)
    if (host_matches(one->hostname, server_name) && (!best || host_rank(one->hostname) > host_rank(best->hostname))) best = one.get();
  if (!best || !tls) return best;
  const Certificate* http = certificates.of_host(server_name);
  return http && host_rank(to_lower(http->hostname)) >= host_rank(best->hostname) ? nullptr : best;
}

void Port::seal() {
  std::ranges::stable_sort(listeners, [](const auto& a, const auto& b) { return host_rank(a->hostname) > host_rank(b->hostname); });
}

const Route* Port::find(std::string_view host, const RequestFacts& request, const Certificate* certificate) const {
  std::vector<std::string_view> answered;
  for (const auto& listener : listeners) {
    if (certificate && listener->isolated && listener->hostname != certificate->hostname) continue;
    if (!host_matches(listener->hostname, host) || std::ranges::contains(answered, listener->owner)) continue;
    if (const Route* route = listener->routes.find(host, request)) return route;
    answered.push_back(listener->owner);
  }
  return nullptr;
}

}  // namespace estiba::ingress
