// The cluster's certificate authority as the controllers see it: what holds the key is elsewhere (server/).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"

namespace estiba::controllers {

/// What a certificate request (PKCS#10) asks for beside its key.
struct RequestedSubject {
  std::string common_name;
  std::vector<std::string> organizations, dns_names, ip_addresses, emails, uris;
};

/// How a request is signed.
struct Issuance {
  std::vector<std::string> usages;  ///< as spec.usages has them
  WallTime not_before, not_after;
};

/// May be used on the controllers' thread; never waits.
class CertificateAuthority {
 public:
  virtual ~CertificateAuthority() = default;
  /// Malformed when `csr_pem` holds no request, invalid when its own signature does not hold.
  virtual Result<RequestedSubject> read(std::string_view csr_pem) const = 0;
  /// The certificate in PEM, with the request's whole subject and names, until the authority's own end at most.
  virtual Result<std::string> sign(std::string_view csr_pem, const Issuance& issuance, WallTime now) const = 0;
  /// When the first certificate of a PEM text ends.
  virtual Result<WallTime> end_of(std::string_view certificate_pem) const = 0;
};

}  // namespace estiba::controllers
