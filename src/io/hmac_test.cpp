#include "io/hmac.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace estiba::io {
namespace {

// RFC 4231, test case 2.
// FIPS 180-2, appendix B.1.
TEST(Sha256, IsTheStandardsOwn) { EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); }

TEST(Hmac, IsThatOfTheStandard) {
  EXPECT_EQ(hex_encode(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Hmac, ADetachedSignatureLeavesThePayloadOut) {
  const std::string jws = detached_jws("secret", "abcdef", "text");
  EXPECT_TRUE(jws.starts_with(base64url_encode(R"({"alg":"HS256","kid":"abcdef"})") + "..")) << jws;
  EXPECT_NE(jws, detached_jws("secret", "abcdef", "texu"));
  EXPECT_NE(jws, detached_jws("secreu", "abcdef", "text"));
}

TEST(Hmac, ComparisonLooksAtTheWhole) {
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
  EXPECT_TRUE(equal_in_constant_time("", ""));
}

}  // namespace
}  // namespace estiba::io
