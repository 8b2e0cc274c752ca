#include "server/agent_join.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fake_executor.h"
#include "base/strings.h"
#include "client/json_writer.h"
#include "io/hmac.h"
#include "os/file.h"
#include "server/agent_identity.h"

namespace estiba::server {
namespace {

using namespace std::chrono_literals;

WallTime today() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

struct JoinTest : ::testing::Test {
  io::KeyPair ca = *io::make_ca("estiba-ca", today());
  client::JoinToken token{"abcdef", "0123456789abcdef", ""};
  std::string kubeconfig =
      "clusters:\n- cluster:\n    certificate-authority-data: " + base64_encode(ca.certificate_pem) + "\n    server: https://a\n";

  std::string info(const std::string& signature) const {
    client::JsonWriter json;
    json.object().object("data").field("kubeconfig", kubeconfig).optional("jws-kubeconfig-abcdef", signature).end().end();
    return json.take();
  }
  std::string refusal(const std::string& text) const {
    auto believed = believed_ca(text, token, "https://a");
    return believed ? "" : believed.error().message;
  }
};

TEST_F(JoinTest, TheCaIsBelievedByTheTokensSignature) {
  auto believed = believed_ca(info(io::detached_jws(token.secret, token.id, kubeconfig)), token, "https://a");
  ASSERT_TRUE(believed) << believed.error().message;
  EXPECT_EQ(*believed, ca.certificate_pem);
  EXPECT_TRUE(refusal(info("")).starts_with("token abcdef is not known to https://a, or has expired"));
  EXPECT_TRUE(refusal(info(io::detached_jws("another", token.id, kubeconfig))).contains("does not know the secret of token abcdef"));
  EXPECT_TRUE(refusal(info(io::detached_jws(token.secret, token.id, kubeconfig + " "))).contains("somebody stands between"));
  EXPECT_TRUE(refusal("{}").contains("names no certificate authority"));
}

TEST_F(JoinTest, ByItsHashNoSignatureIsNeeded) {
  token.ca_hash = *io::public_key_hash(ca.certificate_pem);
  EXPECT_EQ(refusal(info("")), "");
  token.ca_hash = *io::public_key_hash(io::make_ca("other", today())->certificate_pem);
  EXPECT_TRUE(
      refusal(info(io::detached_jws(token.secret, token.id, kubeconfig))).starts_with("the token is for a cluster with the CA sha256:"));
}

TEST_F(JoinTest, AnIdentityIsKeptAndBelongsToOneNode) {
  const std::string dir = "/tmp/estiba-identity-test-" + std::to_string(getpid());
  EXPECT_FALSE(load_identity(dir, "a", today())->client);
  ASSERT_TRUE(store_ca(dir, ca.certificate_pem));
  io::CertificateRequest request = client_certificate("a").request;
  request.client = true;
  ASSERT_TRUE(store_client(dir, *io::make_certificate(ca, request, today())));
  request = serving_certificate("a", "10.0.0.7").request;
  request.server = true;
  request.lifetime = 1h;
  const io::KeyPair serving = *io::make_certificate(ca, request, today());
  ASSERT_TRUE(store_serving(dir, serving));

  auto loaded = load_identity(dir, "a", today());
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_TRUE(loaded->client && loaded->serving);
  EXPECT_EQ(load_identity(dir, "b", today()).error().message,
            dir + " is of system:node:a: start with that --node-name, or with another --data-dir");
  EXPECT_FALSE(load_identity(dir, "a", today() + 2h)->serving) << "it has expired";
  EXPECT_TRUE(covers(serving, "10.0.0.7"));
  EXPECT_FALSE(covers(serving, "10.0.0.8"));
  const auto due = renewal_of(serving, today()) - today();
  EXPECT_GT(due, 41min);
  EXPECT_LT(due, 43min);
  // A crash came between the two files.
  ASSERT_TRUE(os::write_file_atomic(dir + "/serving.key", *io::make_private_key()));
  EXPECT_FALSE(load_identity(dir, "a", today())->serving);
  ASSERT_TRUE(os::remove_all(dir));
}

}  // namespace
}  // namespace estiba::server
