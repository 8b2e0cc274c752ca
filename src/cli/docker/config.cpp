#include "cli/docker/config.h"

#include <cstdlib>

#include "base/strings.h"
#include "cli/docker/credential_helper.h"
#include "os/file.h"

namespace estiba::cli::docker {

namespace {

constexpr std::string_view hub = "https://index.docker.io/v1/";

json::Document empty_object() {
  json::Document document;
  document.set_root(document.make_object());
  return document;
}

// "https://host/v1/" and "host" mean one registry in auths.
std::string_view bare(std::string_view server) {
  if (server.starts_with("https://")) server.remove_prefix(8);
  if (server.starts_with("http://")) server.remove_prefix(7);
  return server.substr(0, server.find('/'));
}

Result<Credentials> from_auths(const json::Node& entry) {
  Credentials out;
  out.server = entry.key();
  out.identity_token = entry.string_at("identitytoken");
  out.username = entry.string_at("username");
  out.password = entry.string_at("password");
  if (const std::string_view auth = entry.string_at("auth"); !auth.empty()) {
    const std::string text = TRY_AS("config.json: auths: " + std::string(entry.key()), base64_decode(auth));
    auto [name, password] = split_once(text, ':');
    if (!password) return fail(Code::invalid, "config.json: auths: " + std::string(entry.key()) + ": invalid auth configuration file");
    out.username = name;
    out.password = std::string(*password).c_str();  // Docker pads with NULs
  }
  return out;
}

}  // namespace

Result<Config> Config::load(std::string directory) {
  Config out;
  out.directory_ = std::move(directory);
  out.document_ = empty_object();
  const std::string path = out.directory_ + "/config.json";
  auto text = os::read_file(path);
  if (!text && text.error().code == Code::not_found) return out;
  if (!text) return std::unexpected(std::move(text.error()));
  if (trim(*text).empty()) return out;
  out.document_ = TRY_AS("error loading config file: " + path, json::Document::parse(*text, {.allow_duplicate_keys = true}));
  if (!out.document_.root().is_object()) return fail(Code::malformed, "error loading config file: " + path + " is no JSON object");
  return out;
}

io::Headers Config::http_headers() const {
  io::Headers out;
  if (const json::Node* headers = root().find("HttpHeaders"))
    for (const json::Node& header : *headers) out.add(std::string(header.key()), std::string(header.as_string()));
  return out;
}

std::string_view Config::helper(std::string_view server) const {
  if (const json::Node* helpers = root().find("credHelpers"))
    if (const json::Node* one = helpers->find(server)) return one->as_string();
  return text("credsStore");
}

Result<Credentials> Config::credentials(std::string_view server) const {
  if (const std::string_view name = helper(server); !name.empty()) return credential_helper_get(name, server);
  const json::Node* auths = root().find("auths");
  if (!auths) return Credentials{.server = std::string(server)};
  if (const json::Node* entry = auths->find(server)) return from_auths(*entry);
  for (const json::Node& entry : *auths)
    if (bare(entry.key()) == bare(server)) return from_auths(entry);
  return Credentials{.server = std::string(server)};
}

Result<std::vector<Credentials>> Config::all_credentials() const {
  std::vector<Credentials> out;
  if (const json::Node* auths = root().find("auths")) {
    for (const json::Node& entry : *auths) {
      Credentials one = TRY(helper(entry.key()).empty() ? from_auths(entry) : credential_helper_get(helper(entry.key()), entry.key()));
      if (!one.empty()) out.push_back(std::move(one));
    }
  }
  if (const json::Node* helpers = root().find("credHelpers")) {
    for (const json::Node& entry : *helpers) {
      auto one = credential_helper_get(entry.as_string(), entry.key());
      if (one && !one->empty()) out.push_back(std::move(*one));
    }
  }
  return out;
}

Result<void> Config::store(const Credentials& credentials) {
  json::Node& auths = document_.ensure_object(document_.root(), "auths");
  json::Node& entry = document_.make_object();
  if (const std::string_view name = helper(credentials.server); !name.empty()) {
    TRY(credential_helper_store(name, credentials));
  } else {
    document_.set(entry, "auth", base64_encode(credentials.username + ":" + credentials.password));
    if (!credentials.identity_token.empty()) document_.set(entry, "identitytoken", credentials.identity_token);
  }
  document_.set(auths, credentials.server, entry);
  return write();
}

Result<bool> Config::erase(std::string_view server) {
  bool had = false;
  if (const std::string_view name = helper(server); !name.empty()) {
    had = !TRY(credential_helper_get(name, server)).empty();
    if (had) TRY(credential_helper_erase(name, server));
  }
  if (json::Node* auths = document_.root().find("auths")) {
    std::vector<std::string> gone;
    for (const json::Node& entry : *auths)
      if (entry.key() == server || bare(entry.key()) == bare(server)) gone.emplace_back(entry.key());
    for (const std::string& key : gone) document_.remove(*auths, key);
    had = had || !gone.empty();
    if (!gone.empty()) TRY(write());
  }
  return had;
}

Result<void> Config::set_text(std::string_view member, std::string_view value) {
  if (value.empty()) document_.remove(document_.root(), member);
  else document_.set(document_.root(), member, value);
  return write();
}

Result<void> Config::write() const {
  TRY(os::make_dirs(directory_, 0700));
  return os::write_file_atomic(directory_ + "/config.json", json::print_pretty(root()) + "\n", 0600, false);
}

std::string registry_of(std::string_view image) {
  auto [host, rest] = split_once(image, '/');
  const bool named = rest && (host.contains('.') || host.contains(':') || host == "localhost");
  if (!named || host == "docker.io" || host == "index.docker.io") return std::string(hub);
  return std::string(host);
}

std::string registry_auth(const Credentials& credentials) {
  json::Document document = empty_object();
  auto set = [&](std::string_view member, const std::string& value) {
    if (!value.empty()) document.set(document.root(), member, value);
  };
  set("username", credentials.username);
  set("password", credentials.password);
  set("identitytoken", credentials.identity_token);
  set("serveraddress", credentials.server);
  std::string out = base64url_encode(json::print(document.root()));
  while (out.size() % 4) out += '=';  // Go's URLEncoding pads
  return out;
}

}  // namespace estiba::cli::docker
