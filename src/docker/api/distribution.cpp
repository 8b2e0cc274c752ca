// GET /distribution/{name}/json: what a registry has, without pulling it. And what registries need to know of the client.
#include "base/strings.h"
#include "docker/api/registry_auth.h"
#include "docker/api/routes.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/image_json.h"
#include "io/pool.h"

namespace estiba::docker {

Result<void> registry_options(Daemon& daemon, ApiRequest& request, image::RegistryOptions& options) {
  options.mirrors = daemon.options().registry_mirrors;
  options.insecure = daemon.options().insecure_registries;
  std::string text(request.http.headers.get("X-Registry-Auth"));
  if (text.empty()) return {};
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;  // some clients use the other alphabet
  auto decoded = base64url_decode(text);
  if (!decoded) return fail(Code::invalid, "invalid X-Registry-Auth header: it is no base64");
  if (trim(*decoded).empty()) return {};
  auto doc = json::Document::parse(*decoded);
  if (!doc || !doc->root().is_object()) return fail(Code::invalid, "invalid X-Registry-Auth header: it is no JSON object");
  const json::Node& root = doc->root();
  image::RegistryLogin login{std::string(root.string_at("username")), std::string(root.string_at("password")),
                             std::string(root.string_at("identitytoken")), std::string(root.string_at("registrytoken"))};
  if (login.username.empty()) {
    if (auto pair = base64_decode(root.string_at("auth"))) {
      auto [name, password] = split_once(*pair, ':');
      login.username = name;
      login.password = password.value_or("");
    }
  }
  if (!login.username.empty() || !login.identity_token.empty() || !login.registry_token.empty()) options.logins.push_back(std::move(login));
  return {};
}

namespace {

Task<Result<void>> distribution(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto reference = CO_TRY(parse_name(request.param("name")));
  image::RegistryOptions options;
  CO_TRY(registry_options(daemon, request, options));
  auto stop = std::make_shared<image::TransferStop>();
  struct Guard {
    std::shared_ptr<image::TransferStop> stop;
    ~Guard() { stop->stop(); }
  } guard{stop};
  auto found = co_await daemon.pool().run([reference, options, stop] { return image::inspect_remote(reference, options, stop.get()); });
  if (!found) {
    Error error = std::move(found.error());
    if (error.code != Code::not_found && error.code != Code::unauthorized) error.code = Code::internal;
    co_return std::unexpected(std::move(error));
  }
  JsonWriter out;
  out.object().object("Descriptor").put("mediaType", found->descriptor.media_type).put("digest", found->descriptor.digest);
  out.put("size", found->descriptor.size).end().array("Platforms");
  for (const auto& p : found->platforms) {
    out.object().put("architecture", p.architecture).put("os", p.os);
    if (!p.variant.empty()) out.put("variant", p.variant);
    out.end();
  }
  send_json(response, 200, out.end().end().take());
  co_return {};
}

}  // namespace

void add_distribution_routes(Router& router) { router.get("/distribution/{name...}/json", distribution); }

}  // namespace estiba::docker
