#include "server/authentication.h"

#include "base/strings.h"
#include "os/file.h"

namespace estiba::server {

Result<apiserver::AuthnOptions> authentication_options(const Options& options, const Certificates& certificates) {
  apiserver::AuthnOptions out;
  out.signing_key_pem = certificates.service_account_key;
  if (!options.service_account_signing_key.empty()) {
    out.signing_key_pem = TRY_AS("--service-account-signing-key-file", os::read_file(options.service_account_signing_key));
    // Tokens that the cluster's first key has signed go on to hold until they expire.
    out.keys_pem.push_back(certificates.service_account_key);
  }
  for (const std::string& path : options.service_account_keys)
    out.keys_pem.push_back(TRY_AS("--service-account-key-file", os::read_file(path)));
  if (options.oidc_issuer_url.empty()) {
    if (!options.oidc_client_id.empty()) return fail(Code::invalid, "--oidc-client-id needs --oidc-issuer-url");
    return out;
  }
  apiserver::OidcOptions& oidc = out.oidc;
  oidc.issuer_url = options.oidc_issuer_url;
  oidc.client_id = options.oidc_client_id;
  oidc.username_claim = options.oidc_username_claim;
  oidc.username_prefix = options.oidc_username_prefix;
  oidc.groups_claim = options.oidc_groups_claim;
  oidc.groups_prefix = options.oidc_groups_prefix;
  for (const std::string& text : options.oidc_required_claims) {
    auto [name, value] = split_once(text, '=');
    if (!value || name.empty()) return fail(Code::invalid, "--oidc-required-claim must be CLAIM=VALUE, not " + quoted(text));
    oidc.required_claims.emplace_back(name, *value);
  }
  if (!options.oidc_ca_file.empty()) oidc.ca_pem = TRY_AS("--oidc-ca-file", os::read_file(options.oidc_ca_file));
  oidc.signing_algs.clear();
  for (const std::string& text : options.oidc_signing_algs)
    for (std::string_view name : split(text, ','))
      if (!trim(name).empty()) oidc.signing_algs.emplace_back(trim(name));
  return out;
}

}  // namespace estiba::server
