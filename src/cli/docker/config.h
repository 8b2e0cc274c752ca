// ~/.docker: config.json (logins, credential helpers, defaults of the CLI), contexts, certificates. Docker's own files, read
// and written so that both programs understand them.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/docker/client.h"
#include "io/http.h"
#include "model/json.h"

namespace estiba::cli::docker {

/// A login for a registry.
struct Credentials {
  std::string username, password, identity_token;
  std::string server;  ///< as config.json names it: "https://index.docker.io/v1/" or "localhost:5000"
  bool empty() const { return username.empty() && identity_token.empty(); }
};

class Config {
 public:
  /// Reads `directory`/config.json if it is there; malformed otherwise.
  static Result<Config> load(std::string directory);

  const std::string& directory() const { return directory_; }
  /// A member that is a string ("psFormat", "detachKeys", "currentContext"), or "".
  std::string_view text(std::string_view member) const { return document_.root().string_at(member); }
  /// HttpHeaders.
  io::Headers http_headers() const;
  const json::Node& root() const { return document_.root(); }

  /// The login for a registry, from its helper (credHelpers, credsStore) or from auths; empty when there is none.
  Result<Credentials> credentials(std::string_view server) const;
  /// Every login there is, for X-Registry-Config.
  Result<std::vector<Credentials>> all_credentials() const;
  /// Keeps a login, in the helper that is responsible or in config.json (mode 0600).
  Result<void> store(const Credentials& credentials);
  /// Forgets it; false when there was none.
  Result<bool> erase(std::string_view server);
  /// The helper that keeps this server's logins ("pass" for docker-credential-pass), or "".
  std::string_view helper(std::string_view server) const;

  /// Sets or, with an empty value, removes a string member and writes the file.
  Result<void> set_text(std::string_view member, std::string_view value);

 private:
  Config() = default;
  Result<void> write() const;
  std::string directory_;
  json::Document document_;
};

/// "https://index.docker.io/v1/" for Docker Hub, else the registry's host, of an image's name.
std::string registry_of(std::string_view image);
/// X-Registry-Auth: base64url of the JSON of a login.
std::string registry_auth(const Credentials& credentials);

// --- contexts -----------------------------------------------------------------------------------------------------------------

struct ContextInfo {
  std::string name, description, host;
  bool skip_tls_verify = false;
  std::string metadata_path, tls_path;  ///< of a stored one
  std::string error;                    ///< why it cannot be used
};

/// Those that are stored, by name; "default" is not among them.
std::vector<ContextInfo> list_contexts(const Config& config);
/// not_found: `context "x": context not found: …`.
Result<ContextInfo> find_context(const Config& config, std::string_view name);
/// Directory names below contexts/meta and contexts/tls: the SHA-256 of the name.
std::string context_id(std::string_view name);

/// What the global flags say about the daemon.
struct Where {
  std::string host, context;  ///< -H, --context
  bool tls = false, tls_verify = false;
  std::string ca, certificate, key;  ///< --tlscacert and so on: paths
};
/// The context in use: --context, else "default" when a host is given (flag or DOCKER_HOST), else DOCKER_CONTEXT, else
/// currentContext of config.json, else "default".
std::string current_context(const Config& config, const Where& where);
/// The daemon that flags, environment (DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH, DOCKER_CONTEXT) and config.json mean;
/// otherwise unix:///run/estiba/docker.sock.
Result<Endpoint> resolve_endpoint(const Config& config, const Where& where);

}  // namespace estiba::cli::docker
