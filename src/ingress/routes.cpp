#include "ingress/routes.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::ingress {

bool host_matches(std::string_view pattern, std::string_view host) {
  if (pattern.empty() || pattern == "*") return true;
  if (!pattern.starts_with("*.")) return pattern == host;
  const std::string_view suffix = pattern.substr(1);
  return host.size() > suffix.size() && host.ends_with(suffix);
}

std::optional<std::string> host_intersection(std::string_view a, std::string_view b) {
  if (a.empty()) return std::string(b);
  if (b.empty() || a == b) return std::string(a);
  const bool wild_a = a.starts_with("*."), wild_b = b.starts_with("*.");
  if (wild_a && wild_b) {
    if (a.size() > b.size() ? a.ends_with(b.substr(1)) : b.ends_with(a.substr(1))) return std::string(a.size() > b.size() ? a : b);
    return std::nullopt;
  }
  if (wild_a && host_matches(a, b)) return std::string(b);
  if (wild_b && host_matches(b, a)) return std::string(a);
  return std::nullopt;
}

std::pair<bool, size_t> host_rank(std::string_view pattern) { return {!pattern.empty() && !pattern.starts_with('*'), pattern.size()}; }

std::string host_name_of(std::string_view authority) {
  size_t end = authority.rfind(':');
  if (end != authority.npos && authority.find(']', end) != authority.npos) end = authority.npos;
  std::string host = to_lower(authority.substr(0, end));
  if (host.ends_with('.')) host.pop_back();
  return host;
}

std::string normal_path(std::string_view path) {
  if (path.find("/.") == path.npos) return std::string(path);
  std::vector<std::string_view> kept;
  bool directory = false;
  for (std::string_view segment : split(path.substr(path.starts_with('/') ? 1 : 0), '/')) {
    directory = segment == "." || segment == "..";
    if (segment == ".." && !kept.empty()) kept.pop_back();
    if (!directory) kept.push_back(segment);
  }
  std::string out;
  for (std::string_view segment : kept) out.append("/").append(segment);
  if (directory || out.empty()) out += '/';
  return out;
}

namespace {

bool has_prefix(std::string_view path, std::string_view prefix) {
  if (prefix.ends_with('/')) prefix.remove_suffix(1);
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

// Gateway API: exact paths, the longest prefix, a method, the most header fields, the most query parameters, the oldest object.
bool goes_first(const Route& a, const Route& b) {
  auto rank = [](const Route& route) {
    const Match& match = route.match;
    // A gRPC service goes before a method of any (GRPCRoute).
    return std::tuple(match.kind == Match::Path::exact, match.kind == Match::Path::prefix && match.path.size() > 1, match.path.size(),
                      !match.method.empty(), match.headers.size(), match.query.size());
  };
  if (rank(a) != rank(b)) return rank(a) > rank(b);
  return std::tie(a.age, a.name, a.order) < std::tie(b.age, b.name, b.order);
}

const Route* first_match(const std::vector<Route>& routes, const RequestFacts& request) {
  const auto found = std::ranges::find_if(routes, [&](const Route& route) { return route.match.matches(request); });
  return found == routes.end() ? nullptr : &*found;
}

}  // namespace

// Of "/service/method".
static bool has_last_segment(std::string_view path, std::string_view last) {
  return path.ends_with(last) && path.size() > last.size() && path.rfind('/', path.size() - last.size() - 1) == 0;
}

bool Match::matches(const RequestFacts& request) const {
  if (kind == Path::exact    ? request.path != path
      : kind == Path::prefix ? !has_prefix(request.path, path)
                             : !has_last_segment(request.path, path))
    return false;
  if (!method.empty() && method != request.method) return false;
  for (const ValueMatch& header : headers) {
    // Repeated fields count as one with commas (RFC 9110, 5.2).
    std::string all;
    bool there = false;
    for (const io::Header& field : request.headers)
      if (equals_ignore_case(field.name, header.name)) {
        if (std::exchange(there, true)) all += ", ";
        all += field.value;
      }
    if (!there || all != header.value) return false;
  }
  return std::ranges::all_of(query, [&](const ValueMatch& wanted) {
    const std::string* value = request.query.find(wanted.name);
    return value && *value == wanted.value;
  });
}

void Routes::add(const std::string& hostname, Route route, bool single_label) {
  if (!hostname.empty() && !hostname.starts_with('*')) {
    names_[to_lower(hostname)].push_back(std::move(route));
    return;
  }
  const std::string suffix = to_lower(hostname.empty() ? std::string_view() : std::string_view(hostname).substr(1));
  auto found =
      std::ranges::find_if(wildcards_, [&](const Wildcard& one) { return one.suffix == suffix && one.single_label == single_label; });
  if (found == wildcards_.end()) found = wildcards_.insert(found, {suffix, single_label, {}});
  found->routes.push_back(std::move(route));
}

void Routes::seal() {
  std::ranges::stable_sort(wildcards_, [](const Wildcard& a, const Wildcard& b) { return a.suffix.size() > b.suffix.size(); });
  for (auto& [name, routes] : names_) std::ranges::stable_sort(routes, goes_first);
  for (Wildcard& wildcard : wildcards_) std::ranges::stable_sort(wildcard.routes, goes_first);
  std::ranges::stable_sort(defaults_, goes_first);
}

const Route* Routes::find(std::string_view host, const RequestFacts& request) const {
  if (const auto named = names_.find(host); named != names_.end())
    if (const Route* route = first_match(named->second, request)) return route;
  for (const Wildcard& wildcard : wildcards_) {
    if (!wildcard.suffix.empty() && (host.size() <= wildcard.suffix.size() || !host.ends_with(wildcard.suffix))) continue;
    const std::string_view label = host.substr(0, host.size() - wildcard.suffix.size());
    if (wildcard.single_label && !wildcard.suffix.empty() && label.find('.') != label.npos) continue;
    if (const Route* route = first_match(wildcard.routes, request)) return route;
  }
  return first_match(defaults_, request);
}

}  // namespace estiba::ingress
