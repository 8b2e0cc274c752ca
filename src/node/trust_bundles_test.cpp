#include "node/trust_bundles.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

std::string pem(const std::string& body) { return "-----BEGIN CERTIFICATE-----\n" + body + "\n-----END CERTIFICATE-----\n"; }

TEST(TrustBundles, CertificatesStandOnceInAFixedOrder) {
  EXPECT_EQ(merge_certificates({pem("QkI=") + "words between\n" + pem("QUE="), pem("Q\nUE=")}), pem("QUE=") + pem("QkI="));
  EXPECT_EQ(merge_certificates({}), "");
  EXPECT_EQ(merge_certificates({"no certificates", "-----BEGIN CERTIFICATE-----\nQUE="}), "") << "one that does not end is none";
  const std::string longer(130, 'A');
  EXPECT_EQ(merge_certificates({pem(longer)}), pem(std::string(64, 'A') + "\n" + std::string(64, 'A') + "\nAA"));
}

}  // namespace
}  // namespace estiba::node
