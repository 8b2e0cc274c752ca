#include "server/certificate_authority.h"

namespace estiba::server {

Result<controllers::RequestedSubject> ClusterAuthority::read(std::string_view csr_pem) const {
  io::RequestedNames asked = TRY(io::parse_csr_names(csr_pem));
  return controllers::RequestedSubject{.common_name = std::move(asked.request.common_name),
                                       .organizations = std::move(asked.request.organizations),
                                       .dns_names = std::move(asked.request.dns_names),
                                       .ip_addresses = std::move(asked.request.ip_addresses),
                                       .emails = std::move(asked.emails),
                                       .uris = std::move(asked.uris)};
}

Result<std::string> ClusterAuthority::sign(std::string_view csr_pem, const controllers::Issuance& issuance, WallTime now) const {
  const io::SigningPolicy policy{issuance.usages, issuance.not_before, issuance.not_after};
  return io::sign_csr_as_requested(ca_, csr_pem, policy, now);
}

Result<WallTime> ClusterAuthority::end_of(std::string_view certificate_pem) const {
  return TRY(io::inspect_certificate(certificate_pem)).not_after;
}

}  // namespace estiba::server
