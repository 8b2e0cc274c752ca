#include "client/join_token.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "model/json.h"

namespace estiba::client {
namespace {

TEST(JoinToken, IsReadAsItIsWritten) {
  const std::string hash = "sha256:" + std::string(64, 'a');
  for (const std::string& ca : {std::string(), hash}) {
    const JoinToken made = make_join_token(ca);
    auto read = parse_join_token(" " + made.text() + "\n");
    ASSERT_TRUE(read) << made.text();
    EXPECT_EQ(read->text(), made.text());
    EXPECT_EQ(read->ca_hash, ca);
    EXPECT_EQ(made.bearer().size(), 23u);
  }
  EXPECT_NE(make_join_token("").secret, make_join_token("").secret);
}

TEST(JoinToken, OtherFormsAreRefusedWithoutTellingTheSecret) {
  for (std::string_view text : {"", "abcdef", "abcdef.", "abcdef.0123456789abcde", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef@",
                                "abcdef.0123456789abcdef@sha256:12", "abcdef.0123456789abcdef@md5:12"}) {
    auto read = parse_join_token(text);
    ASSERT_FALSE(read) << text;
    EXPECT_TRUE(read.error().message.starts_with("a token has the form")) << read.error().message;
  }
}

TEST(JoinToken, ItsSecretLetsItInAsANode) {
  const JoinToken token{"abcdef", "0123456789abcdef", ""};
  auto doc = json::Document::parse(token_secret(token, "for tests", "2026-11-29T12:00:00Z"));
  ASSERT_TRUE(doc);
  const auto value = [&](std::string_view key) { return base64_decode(doc->root().string_at("data", key)).value_or("?"); };
  EXPECT_EQ(doc->root().string_at("metadata", "name"), "bootstrap-token-abcdef");
  EXPECT_EQ(value("token-secret"), token.secret);
  EXPECT_EQ(value("auth-extra-groups"), joining_group);
  EXPECT_EQ(value("expiration"), "2026-11-29T12:00:00Z");
  EXPECT_EQ(json::Document::parse(token_secret(token, "", ""))->root().at("data", "expiration"), nullptr);
}

}  // namespace
}  // namespace estiba::client
