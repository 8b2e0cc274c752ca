#include "server/options.h"

#include <unistd.h>

#include "base/address.h"
#include "base/go_duration.h"
#include "base/strings.h"
#include "base/time.h"
#include "client/join_token.h"
#include "model/json.h"
#include "model/yaml.h"
#include "os/file.h"

namespace estiba::server {

namespace {

void declare(cli::Flags& flags, Options& o) {
  flags.add("data-dir", &o.data_dir, "where what must last is kept");
  flags.add("run-dir", &o.run_dir, "sockets, namespaces and process state; gone after a reboot");
  flags.add("config", &o.config, "YAML file with these flags as keys");
  flags.add("listen", &o.listen, "address and port of the Kubernetes API");
  flags.add("advertise-address", &o.advertise_address, "address that clients and pods reach this server by; found when empty");
  flags.add("tls-san", &o.tls_sans, "further name or address for the server's certificate; may be repeated");
  flags.add("write-kubeconfig", &o.write_kubeconfig, "where the administrator's kubeconfig is written (mode 0600)");
  flags.add("node-name", &o.node_name, "name of this machine's Node; the host name when empty");
  flags.add("node", &o.node, "run a node in this process; --node=false is a control plane only");
  flags.add("service-catalog", &o.service_catalog, "serve the kinds of the service catalogue, and ask its brokers");
  flags.add("pod-cidr", &o.pod_cidr, "addresses of pods; of both families with a comma between them, the primary one first");
  flags.add("node-cidr-mask-size", &o.node_cidr_mask, "prefix length of each node's part of --pod-cidr, IPv4");
  flags.add("node-cidr-mask-size-ipv6", &o.node_cidr_mask_v6, "the same, IPv6");
  flags.add("service-cidr", &o.service_cidr, "addresses of services; of both families with a comma between them, the primary one first");
  flags.add("load-balancer-pool", &o.load_balancer_ranges,
            "addresses for Services of type LoadBalancer, which the nodes announce on their links: ranges (192.0.2.240-192.0.2.250) and "
            "prefixes (2001:db8::/120); may be repeated. Such Services have the nodes' addresses without it");
  flags.add("cluster-domain", &o.cluster_domain, "DNS domain of the cluster");
  o.datastore.declare(flags);
  o.node_flags.declare(flags);
  flags.add("ingress-on-agents", &o.ingress_on_agents,
            "agents may serve Ingresses and Gateways, and read the Secrets with their certificates; they learn of it when they start");
  flags.add("token", &o.token, "token by which machines may join as nodes for ever (abcdef.0123456789abcdef); `estiba token` makes others");
  flags.add("node-monitor-grace-period", &o.node_grace,
            "a node that is silent for so long is lost; several times its --node-lease-duration / 4");
  flags.add("node-lease-duration", &o.node_lease, "the node in this process says that it lives four times in it");
  flags.add("cluster-signing-duration", &o.signing_duration, "how long certificates hold that are signed for nodes and others");
  flags.add("service-account-key-file", &o.service_account_keys,
            "PEM file of keys whose service-account tokens are accepted beside those of the signing key; may be repeated");
  flags.add("service-account-signing-key-file", &o.service_account_signing_key,
            "PEM file of the private key that signs tokens; sa.key of the pki directory when empty");
  flags.add("oidc-issuer-url", &o.oidc_issuer_url, "https URL of an OpenID Connect provider whose ID tokens are accepted");
  flags.add("oidc-client-id", &o.oidc_client_id, "the audience that those tokens must have");
  flags.add("oidc-username-claim", &o.oidc_username_claim, "claim that names the user");
  flags.add("oidc-username-prefix", &o.oidc_username_prefix,
            "put before the name; ISSUER# when empty (not for the claim email), nothing when -");
  flags.add("oidc-groups-claim", &o.oidc_groups_claim, "claim that names the user's groups");
  flags.add("oidc-groups-prefix", &o.oidc_groups_prefix, "put before each group");
  flags.add("oidc-required-claim", &o.oidc_required_claims, "CLAIM=VALUE that tokens must have; may be repeated");
  flags.add("oidc-ca-file", &o.oidc_ca_file, "PEM file of the CA of the provider; the system's when empty");
  flags.add("oidc-signing-algs", &o.oidc_signing_algs,
            "algorithms that tokens may be signed by, RS256 when empty; may be repeated, or a list with commas");
  flags.add("request-timeout", &o.request_timeout,
            "how long a request to the Kubernetes API may take that is no watch, log or stream; then it is answered 504");
  flags.add("scheduler-config", &o.scheduler_config, "file with a KubeSchedulerConfiguration; Kubernetes' defaults when empty");
  flags.add("node-groups", &o.node_groups,
            "file with groups of nodes that come when pods need them and go when nobody does (docs/autoscaling-nodes.md); none when empty");
  flags.add("log-format", &o.log_format, "text or json");
  flags.add("verbosity,v", &o.verbosity, "0 logs what happens, 1 and more also details");
}

// The line of a key at the start of a line, for messages.
size_t line_of(std::string_view text, std::string_view key) {
  size_t number = 1;
  for (std::string_view line : split(text, '\n')) {
    if (line.starts_with(key) && trim(line.substr(key.size())).starts_with(':')) return number;
    ++number;
  }
  return 1;
}

std::string scalar(const json::Node& node) {
  if (node.is_bool()) return node.as_bool() ? "true" : "false";
  if (node.is_number()) return std::string(node.number_text());
  return std::string(node.as_string());
}

// Families of addresses: services need pods of theirs, and the API server is the first service's endpoint.
Result<void> check_ranges(const Options& o) {
  const auto pods = TRY_AS("--pod-cidr", parse_ranges(o.pod_cidr)), services = TRY_AS("--service-cidr", parse_ranges(o.service_cidr));
  for (const Prefix& range : services) {
    const bool v6 = range.address.v6;
    const std::string family(family_name(v6));
    if (!range_of_family(pods, v6))
      return fail(Code::invalid, "--service-cidr " + o.service_cidr + " has an " + family + " range, but --pod-cidr " + o.pod_cidr +
                                     " has none: name one of each family");
    for (const Prefix& other : pods)
      if (other.overlaps(range))
        return fail(Code::invalid, "--pod-cidr " + other.text() + " and --service-cidr " + range.text() + " overlap");
  }
  const bool v6 = services.front().address.v6;
  if (!o.advertise_address.empty() && TRY_AS("--advertise-address", Address::parse(o.advertise_address)).v6 != v6)
    return fail(Code::invalid, "--advertise-address " + o.advertise_address + " must be an " + std::string(family_name(v6)) +
                                   " address as the first of --service-cidr " + o.service_cidr + " is");
  return {};
}

// Addresses of pods and services never reach a node's link, so that they could not be announced there.
Result<void> check_pool(Options& o) {
  o.load_balancer_pool = TRY_AS("--load-balancer-pool", controllers::LoadBalancerPool::parse(o.load_balancer_ranges));
  for (const auto& [flag, text] : {std::pair("--pod-cidr", &o.pod_cidr), std::pair("--service-cidr", &o.service_cidr)})
    for (const Prefix& range : TRY(parse_ranges(*text)))
      if (auto part = o.load_balancer_pool.overlapping(range))
        return fail(Code::invalid, "--load-balancer-pool " + *part + " and " + flag + " " + range.text() + " overlap");
  return {};
}

Result<void> check(Options& o) {
  const size_t colon = o.listen.rfind(':');
  auto port = colon == std::string::npos ? std::nullopt : parse_number<uint16_t>(std::string_view(o.listen).substr(colon + 1));
  if (!port) return fail(Code::invalid, "--listen must be ADDRESS:PORT, not " + quoted(o.listen));
  o.listen_host = o.listen.substr(0, colon);
  if (o.listen_host.starts_with('[') && o.listen_host.ends_with(']')) o.listen_host = o.listen_host.substr(1, o.listen_host.size() - 2);
  o.listen_port = *port;
  if (o.log_format != "text" && o.log_format != "json")
    return fail(Code::invalid, "--log-format is text or json, not " + quoted(o.log_format));
  constexpr Duration least(1);  // none of these may be zero
  o.request_limit = TRY(parse_duration_flag("request-timeout", o.request_timeout, least));
  o.node_grace_time = TRY(parse_duration_flag("node-monitor-grace-period", o.node_grace, least));
  o.node_lease_time = TRY(parse_duration_flag("node-lease-duration", o.node_lease, least));
  o.signing_time = TRY(parse_duration_flag("cluster-signing-duration", o.signing_duration, least));
  if (o.node_cidr_mask < 8 || o.node_cidr_mask > 30)
    return fail(Code::invalid, "--node-cidr-mask-size must be 8 to 30, not " + std::to_string(o.node_cidr_mask));
  if (o.node_cidr_mask_v6 < 16 || o.node_cidr_mask_v6 > 126)
    return fail(Code::invalid, "--node-cidr-mask-size-ipv6 must be 16 to 126, not " + std::to_string(o.node_cidr_mask_v6));
  TRY(check_ranges(o));
  TRY(check_pool(o));
  o.housekeeping = TRY(o.node_flags.read());
  if (!o.token.empty()) TRY_AS("--token", client::parse_join_token(o.token));
  TRY(o.datastore.check());
  for (const auto* dir : {&o.data_dir, &o.run_dir})
    if (!dir->starts_with('/')) return fail(Code::invalid, "--data-dir and --run-dir must be absolute paths, not " + quoted(*dir));
  if (o.node_name.empty()) {
    char name[256] = {};
    gethostname(name, sizeof name - 1);
    o.node_name = to_lower(name);
  }
  return {};
}

}  // namespace

std::string Options::pki_dir() const { return data_dir == "/var/lib/estiba" ? "/etc/estiba/pki" : data_dir + "/pki"; }

Result<void> apply_config(cli::Flags& flags, const std::string& file, std::string_view text) {
  auto document = model::parse_yaml(text);
  if (!document) return std::unexpected(document.error().context(file));
  const json::Node& root = document->root();
  if (root.is_null()) return {};
  if (!root.is_object()) return fail(Code::invalid, file + ": it must be a mapping of flag names to values");
  for (const json::Node& entry : root) {
    const std::string key(entry.key());
    const std::string where = file + ":" + std::to_string(line_of(text, key)) + ": " + key;
    if (flags.given(key)) continue;
    if (entry.is_array()) {
      for (const json::Node& item : entry) TRY_AS(where, flags.set(key, scalar(item)));
      continue;
    }
    if (entry.is_object() || entry.is_null()) return fail(Code::invalid, where + ": it must have a plain value or a list of them");
    TRY_AS(where, flags.set(key, scalar(entry)));
  }
  return {};
}

Result<Options> read_options(const cli::Arguments& arguments) {
  Options options;
  cli::Flags flags("estiba server [FLAGS]");
  declare(flags, options);
  const cli::Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    options.help = true;
    Options defaults;
    cli::Flags fresh("estiba server [FLAGS]");
    declare(fresh, defaults);
    options.help_text = fresh.help();
    return options;
  }
  if (!rest.empty()) return fail(Code::invalid, "it takes flags only, not " + quoted(rest[0]));
  auto text = os::read_file(options.config);
  if (text) TRY(apply_config(flags, options.config, *text));
  else if (text.error().code != Code::not_found || flags.given("config")) return std::unexpected(text.error().context("configuration"));
  TRY(check(options));
  return options;
}

}  // namespace estiba::server
