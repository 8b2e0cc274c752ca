// What `estiba server` is told: flags, and the same names as keys of a YAML file. Flags win over the file.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/flags.h"
#include "controllers/load_balancer_pool.h"
#include "server/datastore.h"
#include "server/node_flags.h"

namespace estiba::server {

struct Options {
  std::string data_dir = "/var/lib/estiba";
  std::string run_dir = "/run/estiba";
  std::string config = "/etc/estiba/config.yaml";
  std::string listen = "0.0.0.0:6443";
  std::string advertise_address;  ///< empty: the address of the default route's interface
  std::vector<std::string> tls_sans;
  std::string write_kubeconfig = "/etc/estiba/kubeconfig";
  std::string node_name;  ///< empty: the host name
  bool node = true;
  bool service_catalog = false;
  std::string pod_cidr = "10.42.0.0/16";
  std::string service_cidr = "10.43.0.0/16";
  std::string cluster_domain = "cluster.local";
  std::vector<std::string> load_balancer_ranges;  ///< as flags have them; load_balancer_pool is their value
  controllers::LoadBalancerPool load_balancer_pool;
  DatastoreFlags datastore;
  std::vector<std::string> service_account_keys;  ///< files; accepted beside the one that signs
  std::string service_account_signing_key;        ///< file; empty: <pki>/sa.key
  std::string oidc_issuer_url, oidc_client_id, oidc_username_claim = "sub", oidc_username_prefix, oidc_groups_claim, oidc_groups_prefix,
                                               oidc_ca_file;
  std::vector<std::string> oidc_required_claims, oidc_signing_algs;
  std::string request_timeout = "1m0s";  ///< as flags have it; request_limit is its value
  Duration request_limit{};
  std::string scheduler_config;  ///< file; empty: the scheduler is as usual
  std::string node_groups;       ///< file; empty: nodes come and go by nobody's hand here
  std::string log_format = "text";
  int64_t verbosity = 0;
  NodeFlags node_flags;
  node::Housekeeping housekeeping;  ///< what they say
  bool ingress_on_agents = true;
  std::string token;  ///< lets machines join for ever; empty: only tokens that `estiba token` makes do
  int64_t node_cidr_mask = 24, node_cidr_mask_v6 = 64;
  std::string node_grace = "40s", node_lease = "40s", signing_duration = "8760h";  ///< as flags have them; the next line are their values
  Duration node_grace_time{}, node_lease_time{}, signing_time{};
  bool help = false;
  std::string help_text;

  std::string listen_host;  ///< the two parts of `listen`
  uint16_t listen_port = 0;

  /// Where keys and certificates are: /etc/estiba/pki, or below another data directory.
  std::string pki_dir() const;
};

/// From flags and the configuration file. An unreadable file, an unknown key or a value of the wrong type names file, line
/// and key. The default file may be missing.
Result<Options> read_options(const cli::Arguments& arguments);

/// Applies the keys of a YAML mapping to flags that the command line has not given; for tests.
Result<void> apply_config(cli::Flags& flags, const std::string& file, std::string_view text);

}  // namespace estiba::server
