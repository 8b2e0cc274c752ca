// The authority that signs certificate requests of the cluster: its CA, behind what the controllers ask for.
#pragma once
#include "controllers/certificate_authority.h"
#include "io/pki.h"

namespace estiba::server {

class ClusterAuthority final : public controllers::CertificateAuthority {
 public:
  explicit ClusterAuthority(io::KeyPair ca) : ca_(std::move(ca)) {}

  Result<controllers::RequestedSubject> read(std::string_view csr_pem) const override;
  Result<std::string> sign(std::string_view csr_pem, const controllers::Issuance& issuance, WallTime now) const override;
  Result<WallTime> end_of(std::string_view certificate_pem) const override;

 private:
  const io::KeyPair ca_;
};

}  // namespace estiba::server
