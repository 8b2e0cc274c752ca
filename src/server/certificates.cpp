#include "server/certificates.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "os/file.h"

namespace estiba::server {

namespace {

constexpr Duration renew_before = std::chrono::hours(24 * 30);

bool is_address(const std::string& name) {
  unsigned char buffer[16];
  return inet_pton(AF_INET, name.c_str(), buffer) == 1 || inet_pton(AF_INET6, name.c_str(), buffer) == 1;
}

// A certificate that is there, is ours, has all the names and lives long enough; or a new one.
Result<io::KeyPair> ensure(const std::string& dir, const std::string& name, const io::KeyPair& ca, const io::CertificateRequest& request,
                           WallTime now) {
  const std::string certificate = dir + "/" + name + ".crt", key = dir + "/" + name + ".key";
  if (os::exists(certificate) && os::exists(key)) {
    auto there = TRY(io::load_key_pair(certificate, key));
    const auto info = TRY_AS(certificate, io::inspect_certificate(there.certificate_pem));
    auto has_all = [](const std::vector<std::string>& wanted, const std::vector<std::string>& have) {
      return std::all_of(wanted.begin(), wanted.end(),
                         [&](const std::string& name) { return std::find(have.begin(), have.end(), name) != have.end(); });
    };
    if (info.not_after > now + renew_before && has_all(request.dns_names, info.dns_names) &&
        has_all(request.ip_addresses, info.ip_addresses))
      return there;
  }
  auto made = TRY(io::make_certificate(ca, request, now));
  TRY(io::store_key_pair(made, certificate, key));
  return made;
}

Result<io::KeyPair> ensure_ca(const std::string& dir, const std::string& name, const std::string& common_name, WallTime now) {
  const std::string certificate = dir + "/" + name + ".crt", key = dir + "/" + name + ".key";
  if (os::exists(certificate) && os::exists(key)) return io::load_key_pair(certificate, key);
  auto made = TRY(io::make_ca(common_name, now));
  TRY(io::store_key_pair(made, certificate, key));
  return made;
}

Result<std::string> ensure_key(const std::string& path) {
  if (os::exists(path)) return os::read_file(path);
  std::string made = TRY(io::make_private_key());
  TRY(os::write_file_atomic(path, made, 0600));
  return made;
}

}  // namespace

std::vector<std::string> server_names(const Options& options, const std::string& first_service_address) {
  std::vector<std::string> names = {"kubernetes",
                                    "kubernetes.default",
                                    "kubernetes.default.svc",
                                    "kubernetes.default.svc." + options.cluster_domain,
                                    "localhost",
                                    options.node_name,
                                    "127.0.0.1",
                                    "::1",
                                    first_service_address};
  if (!options.advertise_address.empty()) names.push_back(options.advertise_address);
  names.insert(names.end(), options.tls_sans.begin(), options.tls_sans.end());
  return names;
}

Result<Certificates> prepare_certificates(const std::string& dir, const std::vector<std::string>& names, const std::string& node_name,
                                          WallTime now) {
  TRY(os::make_dirs(dir, 0700));
  Certificates out;
  out.ca = TRY(ensure_ca(dir, "ca", "estiba-ca", now));
  // Another CA: whoever shows a certificate of it is believed whatever name he gives.
  out.front_proxy_ca = TRY(ensure_ca(dir, "front-proxy-ca", "estiba-front-proxy-ca", now));
  out.front_proxy_client =
      TRY(ensure(dir, "front-proxy-client", out.front_proxy_ca, {.common_name = "front-proxy-client", .client = true}, now));
  io::CertificateRequest server{.common_name = "kube-apiserver", .server = true};
  for (const std::string& name : names) (is_address(name) ? server.ip_addresses : server.dns_names).push_back(name);
  out.server = TRY(ensure(dir, "server", out.ca, server, now));
  io::CertificateRequest node = server;
  node.common_name = "system:node:" + node_name;
  node.organizations = {"system:nodes"};
  out.node = TRY(ensure(dir, "node", out.ca, node, now));
  out.admin =
      TRY(ensure(dir, "admin", out.ca, {.common_name = "kubernetes-admin", .organizations = {"system:masters"}, .client = true}, now));
  out.kubelet_client = TRY(ensure(dir, "kubelet-client", out.ca, {.common_name = "kube-apiserver-kubelet-client", .client = true}, now));
  out.service_account_key = TRY(ensure_key(dir + "/sa.key"));
  return out;
}

Result<void> write_kubeconfig(const std::string& path, const Certificates& certificates, const std::string& address, uint16_t port) {
  const std::string host = address.find(':') == std::string::npos ? address : "[" + address + "]";
  const std::string text =
      "apiVersion: v1\nkind: Config\ncurrent-context: estiba\nclusters:\n- name: estiba\n  cluster:\n    server: https://" + host + ":" +
      std::to_string(port) + "\n    certificate-authority-data: " + base64_encode(certificates.ca.certificate_pem) +
      "\ncontexts:\n- name: estiba\n  context:\n    cluster: estiba\n    user: admin\nusers:\n- name: admin\n  user:\n    "
      "client-certificate-data: " +
      base64_encode(certificates.admin.certificate_pem) + "\n    client-key-data: " + base64_encode(certificates.admin.key_pem) + "\n";
  if (const size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0) TRY(os::make_dirs(path.substr(0, slash)));
  // What is right already is left as it is: others may have it open.
  if (auto there = os::read_file(path); there && *there == text) return {};
  return os::write_file_atomic(path, text, 0600);
}

}  // namespace estiba::server
