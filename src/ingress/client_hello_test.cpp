#include "ingress/client_hello.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>

namespace estiba::ingress {
namespace {

// What OpenSSL sends first.
std::string hello(const char* name, std::string_view alpn = {}) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  if (name) SSL_set_tlsext_host_name(ssl.get(), name);
  if (!alpn.empty()) SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(alpn.data()), unsigned(alpn.size()));
  SSL_connect(ssl.get());
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  return {bytes, size_t(size)};
}

// The name, "more" or "malformed".
std::string name_in(std::string_view bytes) {
  const auto parsed = parse_client_hello(bytes);
  if (!parsed) return "malformed";
  if (parsed->needed == 0) return parsed->server_name;
  return parsed->needed > bytes.size() ? "more" : "needs nothing more";
}

// The records of `bytes` cut into such of `size` bytes.
std::string in_records_of(std::string_view bytes, size_t size) {
  std::string_view message = bytes.substr(5);
  std::string out;
  for (; !message.empty(); message.remove_prefix(std::min(size, message.size()))) {
    const std::string_view part = message.substr(0, size);
    out.append(bytes.substr(0, 3)).append(1, char(part.size() >> 8)).append(1, char(part.size() & 255)).append(part);
  }
  return out;
}

TEST(ClientHello, NamesOfRealClients) {
  EXPECT_EQ(name_in(hello("a.example")), "a.example");
  EXPECT_EQ(name_in(hello("Shop.Example", std::string_view("\x02h2\x08http/1.1"))), "shop.example");
  EXPECT_EQ(name_in(hello(nullptr)), "");
  EXPECT_EQ(name_in(hello("a.example") + "what follows"), "a.example");
}

TEST(ClientHello, ComesInPieces) {
  const std::string whole = hello("a.example");
  for (size_t size = 0; size < whole.size(); ++size) EXPECT_EQ(name_in(whole.substr(0, size)), "more") << size;
  for (const size_t size : {1, 3, 4, 5, 100, 300}) {
    const std::string pieces = in_records_of(whole, size);
    EXPECT_EQ(name_in(pieces), "a.example") << size;
    for (size_t cut = 0; cut < pieces.size(); ++cut) EXPECT_EQ(name_in(pieces.substr(0, cut)), "more") << size << " " << cut;
  }
}

TEST(ClientHello, AnythingElseIsRefused) {
  EXPECT_EQ(name_in("GET / HTTP/1.1\r\n"), "malformed");
  const std::string whole = hello("a.example");
  std::string other = whole;
  other[5] = 2;  // a ServerHello
  EXPECT_EQ(name_in(other), "malformed");
  other = whole;
  other[1] = 2;
  EXPECT_EQ(name_in(other), "malformed");
  other = whole;
  other[3] = other[4] = 0;  // an empty record
  EXPECT_EQ(name_in(other), "malformed");
  // The name's length leads out of its extension.
  other = whole;
  const size_t name = whole.find("a.example");
  other[name - 1] = char(200);
  EXPECT_EQ(name_in(other), "malformed");
  other = whole;
  other[name] = 0;
  EXPECT_EQ(name_in(other), "malformed");
}

}  // namespace
}  // namespace estiba::ingress
