#include "ingress/targets.h"

#include "base/strings.h"

namespace estiba::ingress {

std::string changed_path(const io::Request& request, const PathChange& change, std::string_view matched) {
  if (change.kind == PathChange::Kind::none) return request.raw_path;
  if (change.kind == PathChange::Kind::full) return change.value.empty() ? "/" : change.value;
  if (matched.ends_with('/')) matched.remove_suffix(1);
  // What was escaped or had dots is only like the prefix once it is decoded.
  std::string path = request.raw_path;
  if (!path.starts_with(matched)) path = io::percent_encode(normal_path(request.path), "/:@!$&'()*+,;=");
  std::string_view rest = std::string_view(path).substr(std::min(matched.size(), path.size()));
  std::string_view value = change.value;
  if (value.ends_with('/')) value.remove_suffix(1);
  std::string out = std::string(value) + std::string(rest);
  return out.starts_with('/') ? out : "/" + out;
}

std::string redirect_location(const io::Request& request, const Redirect& redirect, std::string_view matched, uint16_t port, bool tls) {
  const std::string scheme = redirect.scheme.empty() ? (tls ? "https" : "http") : redirect.scheme;
  const uint16_t usual = scheme == "https" ? 443 : 80;
  if (redirect.port) port = redirect.port;
  else if (!redirect.scheme.empty()) port = usual;
  std::string out = scheme + "://" + (redirect.host.empty() ? host_name_of(request.host) : redirect.host);
  if (port != usual) out += ":" + std::to_string(port);
  out += changed_path(request, redirect.path, matched);
  if (!request.raw_query.empty()) out += "?" + request.raw_query;
  return out;
}

}  // namespace estiba::ingress
