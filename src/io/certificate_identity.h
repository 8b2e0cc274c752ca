// Who a client certificate speaks of, beside the names of its subject.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::io {

struct CertificateIdentity {
  std::string uid;     ///< the user's, of the subject (OID 1.3.6.1.4.1.57683.2, apimachinery/pkg/apis/asn1); empty when it has none
  std::string sha256;  ///< of the whole certificate, in hexadecimal digits
};

/// `der` is a certificate. Invalid when it is none, or when its subject has several UIDs.
Result<CertificateIdentity> identity_of_certificate(std::string_view der);

}  // namespace estiba::io
