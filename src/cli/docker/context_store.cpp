#include <cstdlib>

#include "base/strings.h"
#include "cli/docker/config.h"
#include "image/digest.h"
#include "os/file.h"

namespace estiba::cli::docker {

namespace {

constexpr std::string_view default_host = "unix:///run/estiba/docker.sock";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

Result<ContextInfo> read_context(const Config& config, const std::string& id) {
  const std::string path = config.directory() + "/contexts/meta/" + id;
  const json::Document document = TRY_AS(path, json::Document::parse(TRY(os::read_file(path + "/meta.json"))));
  ContextInfo out;
  out.name = document.root().string_at("Name");
  out.description = document.root().string_at("Metadata", "Description");
  out.host = document.root().string_at("Endpoints", "docker", "Host");
  if (const json::Node* skip = document.root().at("Endpoints", "docker", "SkipTLSVerify")) out.skip_tls_verify = skip->as_bool();
  out.metadata_path = path;
  out.tls_path = config.directory() + "/contexts/tls/" + id;
  return out;
}

Result<void> read_pem(std::string& to, const std::string& path, bool required) {
  auto text = os::read_file(path);
  if (!text && !required && text.error().code == Code::not_found) return {};
  if (!text) return fail(text.error().code, "could not read the TLS file " + path + ": " + text.error().message);
  to = std::move(*text);
  return {};
}

Result<void> read_certificates(Endpoint& out, const std::string& ca, const std::string& certificate, const std::string& key,
                               bool required) {
  if (out.tls_verify) TRY(read_pem(out.ca_pem, ca, required));
  TRY(read_pem(out.certificate_pem, certificate, required));
  return read_pem(out.key_pem, key, required);
}

std::string with_scheme(std::string host) {
  if (host.starts_with('/')) return "unix://" + host;
  return host.contains("://") ? host : "tcp://" + host;
}

Result<Endpoint> from_flags(const Config& config, const Where& where, std::string host) {
  Endpoint out;
  out.host = with_scheme(std::move(host));
  out.tls_verify = where.tls_verify || !environment("DOCKER_TLS_VERIFY").empty();
  out.tls = out.tls_verify || where.tls || !environment("DOCKER_TLS").empty();
  if (!out.tls || !out.host.starts_with("tcp://")) return out;
  std::string directory = environment("DOCKER_CERT_PATH");
  if (directory.empty()) directory = config.directory();
  auto path = [&](const std::string& flag, const char* name) { return flag.empty() ? directory + "/" + name : flag; };
  TRY(read_certificates(out, path(where.ca, "ca.pem"), path(where.certificate, "cert.pem"), path(where.key, "key.pem"),
                        out.tls_verify || !where.certificate.empty()));
  return out;
}

}  // namespace

std::string context_id(std::string_view name) { return std::string(image::hex_of(image::digest_of(name))); }

std::vector<ContextInfo> list_contexts(const Config& config) {
  std::vector<ContextInfo> out;
  auto entries = os::list_dir(config.directory() + "/contexts/meta");
  if (!entries) return out;
  for (const os::DirEntry& entry : *entries)
    if (auto one = read_context(config, entry.name); one && !one->name.empty()) out.push_back(std::move(*one));
  std::sort(out.begin(), out.end(), [](const ContextInfo& a, const ContextInfo& b) { return a.name < b.name; });
  return out;
}

Result<ContextInfo> find_context(const Config& config, std::string_view name) {
  const std::string id = context_id(name);
  auto found = read_context(config, id);
  if (!found && found.error().code == Code::not_found) {
    return fail(Code::not_found, "context " + quoted(name) + ": context not found: open " + config.directory() + "/contexts/meta/" + id +
                                     "/meta.json: no such file or directory");
  }
  return found;
}

std::string current_context(const Config& config, const Where& where) {
  if (!where.context.empty()) return where.context;
  if (!where.host.empty() || !environment("DOCKER_HOST").empty()) return "default";
  if (std::string name = environment("DOCKER_CONTEXT"); !name.empty()) return name;
  const std::string_view name = config.text("currentContext");
  return name.empty() ? "default" : std::string(name);
}

Result<Endpoint> resolve_endpoint(const Config& config, const Where& where) {
  if (!where.host.empty() && !where.context.empty())
    return fail(Code::invalid, "conflicting options: cannot specify both --host and --context");
  const std::string name = current_context(config, where);
  if (name == "default") {
    const std::string host = where.host.empty() && where.context.empty() ? environment("DOCKER_HOST") : where.host;
    if (!host.empty()) return from_flags(config, where, host);
    Endpoint out;
    out.host = default_host;
    out.start_hint = "'estiba engine' starts it";
    return out;
  }
  const ContextInfo context = TRY(find_context(config, name));
  Endpoint out;
  out.host = context.host.empty() ? std::string(default_host) : with_scheme(context.host);
  const std::string tls = context.tls_path + "/docker/";
  out.tls = os::exists(tls) || context.skip_tls_verify;
  out.tls_verify = !context.skip_tls_verify;
  if (out.tls) TRY(read_certificates(out, tls + "ca.pem", tls + "cert.pem", tls + "key.pem", false));
  return out;
}

}  // namespace estiba::cli::docker
