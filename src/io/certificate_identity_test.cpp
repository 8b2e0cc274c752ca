#include "io/certificate_identity.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace estiba::io {
namespace {

// Made by `openssl req -x509` with CN=jane and one UID, and with two.
constexpr std::string_view one_uid =
    "MIIBQjCB6QIUPsrCXkfKSZcGCB4rIO4oXVcmrN0wCgYIKoZIzj0EAwIwIzENMAsGA1UEAwwEamFuZTESMBAGCSsGAQQBg8JTAgwDdS0xMCAXDTI2MTEyOTEy"
    "MjMzOVoYDzIxMjYxMTA1MTIyMzM5WjAjMQ0wCwYDVQQDDARqYW5lMRIwEAYJKwYBBAGDwlMCDAN1LTEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATYbm37"
    "dbhzusGudRtUeQz38PhvkdVlF8JXnupDklqofZ1uUnJSz3+BFN8/51pu6MlG1xPpxcqKsel3sIGFcO6TMAoGCCqGSM49BAMCA0gAMEUCIDnsk6Bs13VJ9Fzr"
    "QHRPkhqZ/0pUHKEgkTzwDEVHnw5JAiEA82uTaZMdAsLbTAU9zAdSfz2JJ+JnWFpVgj+QiEbxtJg=";
constexpr std::string_view two_uids =
    "MIIBazCCARECFBsFDxFLRrYQEZiWyXneVeaDr8/oMAoGCCqGSM49BAMCMDcxDTALBgNVBAMMBGphbmUxEjAQBgkrBgEEAYPCUwIMA3UtMTESMBAGCSsGAQQB"
    "g8JTAgwDdS0yMCAXDTI2MTEyOTEyMjMzOVoYDzIxMjYxMTA1MTIyMzM5WjA3MQ0wCwYDVQQDDARqYW5lMRIwEAYJKwYBBAGDwlMCDAN1LTExEjAQBgkrBgEE"
    "AYPCUwIMA3UtMjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLHe9vABcR6naJO745ZKD/gP0DBHfzSXMLT10NYcqc9ByyjSnIF+oIn2QumYGdpZ5oLrI2rG"
    "P7Rgm0LW/OEOGFcwCgYIKoZIzj0EAwIDSAAwRQIgQQa44ySASOcrx5G6dkvgP6sdviZ916FMrmIKoO0yXQACIQCFIPm1kfeKrLRzw7MmIlc20Dn0Y+1Ykk9D"
    "p481f9cwWA==";

TEST(CertificateIdentity, IsReadFromTheCertificate) {
  const auto identity = identity_of_certificate(*base64_decode(one_uid));
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_EQ(identity->uid, "u-1");
  EXPECT_EQ(identity->sha256, "a72cd02f3fd7be3b519b211510d3b3c1e20060676283c4491945b00ab8b4d6f2");
  const auto refused = identity_of_certificate(*base64_decode(two_uids));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "the client's certificate has 2 UIDs in its subject");
  EXPECT_FALSE(identity_of_certificate(""));
  EXPECT_FALSE(identity_of_certificate("nothing"));
}

}  // namespace
}  // namespace estiba::io
