#include "server/agent_identity.h"

#include <algorithm>

#include "base/log.h"
#include "io/tls.h"
#include "os/file.h"

namespace estiba::server {

namespace {

// A pair that is whole and holds; without one, or with one that has expired, nothing.
std::optional<io::KeyPair> load(const std::string& dir, const std::string& name, WallTime now) {
  const std::string certificate = dir + "/" + name + ".crt", key = dir + "/" + name + ".key";
  if (!os::exists(certificate) || !os::exists(key)) return std::nullopt;
  auto pair = io::load_key_pair(certificate, key);
  auto info = pair ? io::inspect_certificate(pair->certificate_pem) : std::unexpected(pair.error());
  // A crash between the two files leaves a key of another certificate.
  if (auto fits =
          pair ? io::make_tls_client({.certificate_pem = pair->certificate_pem, .key_pem = pair->key_pem}) : Result<io::TlsContextRef>{};
      info && !fits)
    info = std::unexpected(fits.error());
  if (!info) {
    log::warn("agent", "a certificate cannot be read; another is asked for", {{"file", certificate}, {"error", info.error()}});
    return std::nullopt;
  }
  if (info->not_after <= now) {
    log::warn("agent", "a certificate has expired; another is asked for", {{"file", certificate}});
    return std::nullopt;
  }
  return std::move(*pair);
}

}  // namespace

Result<Identity> load_identity(const std::string& dir, const std::string& node, WallTime now) {
  Identity out;
  if (auto ca = os::read_file(dir + "/ca.crt")) out.ca_pem = std::move(*ca);
  if (out.ca_pem.empty()) return out;
  out.client = load(dir, "client", now);
  out.serving = load(dir, "serving", now);
  if (!out.client) return out;
  const auto info = TRY(io::inspect_certificate(out.client->certificate_pem));
  if (info.common_name != "system:node:" + node)
    return fail(Code::conflict, dir + " is of " + info.common_name + ": start with that --node-name, or with another --data-dir");
  return out;
}

Result<void> store_ca(const std::string& dir, const std::string& ca_pem) {
  TRY(os::make_dirs(dir, 0700));
  return os::write_file_atomic(dir + "/ca.crt", ca_pem, 0644);
}

Result<void> store_client(const std::string& dir, const io::KeyPair& pair) {
  return io::store_key_pair(pair, dir + "/client.crt", dir + "/client.key");
}

Result<void> store_serving(const std::string& dir, const io::KeyPair& pair) {
  return io::store_key_pair(pair, dir + "/serving.crt", dir + "/serving.key");
}

WallTime renewal_of(const io::KeyPair& pair, WallTime now) {
  auto info = io::inspect_certificate(pair.certificate_pem);
  if (!info || info->not_after <= now) return now;
  return now + (info->not_after - now) / 10 * 7;
}

bool covers(const io::KeyPair& pair, const std::string& address) {
  auto info = io::inspect_certificate(pair.certificate_pem);
  return info && std::ranges::find(info->ip_addresses, address) != info->ip_addresses.end();
}

}  // namespace estiba::server
