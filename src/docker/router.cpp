#include "docker/router.h"

#include "base/log.h"
#include "base/strings.h"
#include "docker/errors.h"

namespace estiba::docker {

namespace {

constexpr std::string_view page_not_found = "page not found";

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> out;
  for (std::string_view part : split(path, '/'))
    if (!part.empty()) out.push_back(part);
  return out;
}

bool is_param(std::string_view part) { return part.starts_with('{'); }
bool is_rest(std::string_view part) { return part.ends_with("...}"); }
std::string_view name_of(std::string_view part) { return part.substr(1, part.size() - (is_rest(part) ? 5 : 2)); }

}  // namespace

const std::string& ApiRequest::param(std::string_view name) const {
  static const std::string none;
  for (const auto& [key, value] : params)
    if (key == name) return value;
  return none;
}

bool ApiRequest::flag(std::string_view name, bool otherwise) const {
  const std::string* value = http.query.find(name);
  if (!value) return otherwise;
  const std::string text = to_lower(trim(*value));
  return !(text.empty() || text == "0" || text == "no" || text == "false" || text == "none");
}

Result<std::optional<int64_t>> ApiRequest::number(std::string_view name) const {
  const std::string* value = http.query.find(name);
  if (!value || value->empty()) return std::nullopt;
  auto parsed = parse_number<int64_t>(*value);
  if (!parsed)
    return fail(Code::invalid, "invalid value " + quoted(*value) + " for parameter " + std::string(name) + ": a whole number is expected");
  return parsed;
}

Task<Result<json::Document>> ApiRequest::json_body(size_t limit) {
  std::string text = CO_TRY(co_await http.body(limit));
  if (trim(text).empty()) text = "{}";
  auto parsed = json::Document::parse(text, {.allow_duplicate_keys = true});
  if (!parsed) co_return fail(Code::malformed, "invalid JSON: " + parsed.error().message);
  if (parsed->root().is_null()) parsed->set_root(parsed->make_object());
  if (!parsed->root().is_object()) co_return fail(Code::malformed, "invalid JSON: the body must be an object");
  co_return parsed;
}

Result<std::pair<std::string_view, int>> split_version(std::string_view path) {
  if (path.size() < 3 || !path.starts_with("/v") || path[2] < '0' || path[2] > '9') return std::pair{path, newest_minor};
  const size_t slash = path.find('/', 1);
  const std::string_view version = path.substr(2, slash == path.npos ? path.npos : slash - 2);
  auto [major_text, minor_text] = split_once(version, '.');
  auto major = parse_number<int>(major_text), minor = parse_number<int>(minor_text.value_or(""));
  if (!major || !minor) return std::pair{path, newest_minor};
  if (*major < 1 || (*major == 1 && *minor < oldest_minor))
    return fail(Code::invalid, "client version " + std::string(version) + " is too old. Minimum supported API version is " +
                                   std::string(oldest_api_version) + ", please upgrade your client to a newer version");
  if (*major > 1 || *minor > newest_minor)
    return fail(Code::invalid,
                "client version " + std::string(version) + " is too new. Maximum supported API version is " + std::string(api_version));
  return std::pair{slash == path.npos ? std::string_view("/") : path.substr(slash), *minor};
}

void Router::add_route(std::string_view method, std::string_view path, Handler handler, PlainHandler plain) {
  Route route{{}, handler, plain};
  for (std::string_view part : segments(path)) route.parts.emplace_back(part);
  const std::string key = std::string(method) + " " + (route.parts.empty() ? "" : route.parts[0]);
  auto& list = routes_[key];
  // Exact paths win over those with parameters: /images/json over /images/{name...}.
  auto wildness = [](const Route& r) {
    size_t n = 0;
    for (const auto& part : r.parts) n += is_rest(part) ? 100 : is_param(part) ? 1 : 0;
    return n;
  };
  auto at = std::find_if(list.begin(), list.end(), [&](const Route& r) { return wildness(r) > wildness(route); });
  list.insert(at, std::move(route));
}

const Router::Route* Router::find(std::string_view method, std::string_view path, Params& params) const {
  const auto parts = segments(path);
  auto it = routes_.find(std::string(method) + " " + std::string(parts.empty() ? std::string_view() : parts[0]));
  if (it == routes_.end()) return nullptr;
  for (const Route& route : it->second) {
    const auto rest = std::find_if(route.parts.begin(), route.parts.end(), [](const std::string& p) { return is_rest(p); });
    if (rest == route.parts.end() ? parts.size() != route.parts.size() : parts.size() < route.parts.size()) continue;
    const size_t more = parts.size() - route.parts.size();
    params.clear();
    bool fits = true;
    for (size_t i = 0, at = 0; i < route.parts.size() && fits; ++i) {
      const std::string& want = route.parts[i];
      std::string text(parts[at++]);
      if (is_rest(want))
        for (size_t n = 0; n < more; ++n) text.append("/").append(parts[at++]);
      if (!is_param(want)) {
        fits = want == text;
        continue;
      }
      auto decoded = io::percent_decode(text);
      fits = decoded.has_value();
      if (decoded) params.emplace_back(name_of(want), std::move(*decoded));
    }
    if (fits) return &route;
  }
  return nullptr;
}

bool Router::knows(std::string_view method, std::string_view path) const {
  Params params;
  return find(method, path, params) != nullptr;
}

Task<void> Router::serve(Daemon& daemon, io::Request& request, io::Response& response) const {
  response.always("Api-Version", std::string(api_version));
  response.always("Docker-Experimental", "false");
  response.always("Ostype", "linux");
  response.always("Server", "Docker/" + std::string(engine_version) + " (linux)");
  auto version = split_version(request.raw_path);
  if (!version) {
    send_error(response, version.error());
    co_return;
  }
  ApiRequest api{request, version->second, {}};
  const Route* route = find(request.method, version->first, api.params);
  if (!route) {
    send_error(response, 404, page_not_found);
    co_return;
  }
  if (route->plain) {
    co_await route->plain(daemon, api, response);
    co_return;
  }
  auto done = co_await route->handler(daemon, api, response);
  if (done) co_return;
  if (!response.started() && response.status() != 101) send_error(response, done.error());
  else response.break_off();
  log::debug("docker", "a request failed", {{"method", request.method}, {"path", request.path}, {"error", done.error()}});
}

}  // namespace estiba::docker
