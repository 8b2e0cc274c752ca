#include "io/stream.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "io/http_test_support.h"

namespace estiba::io {
namespace {

using testing::Keys;
using namespace std::chrono_literals;

Task<void> echo_once(Listener* listener) {
  auto fd = co_await listener->accept();
  auto stream = stream_from_fd(*fd);
  char buffer[1024];
  for (;;) {
    auto got = co_await stream->read(buffer, sizeof buffer);
    if (!got || *got == 0) co_return;
    if (!co_await stream->write({buffer, *got})) co_return;
  }
}

Task<Result<std::string>> through(StreamPtr stream, std::string text) {
  std::string_view parts[] = {text, "", "-", text};
  CO_TRY(co_await stream->write_parts(parts));
  CO_TRY(co_await stream->shutdown_write());
  co_return co_await read_all(*stream, 1 << 20);
}

Task<Result<std::string>> echoed_by_tcp(std::string text) {
  auto listener = CO_TRY(Listener::tcp("127.0.0.1", 0));
  Job server(echo_once(&listener));
  co_return co_await through(CO_TRY(co_await connect_tcp("localhost", listener.port())), std::move(text));
}

TEST(Stream, TcpCarriesBytesBothWays) {
  Loop loop;
  auto echoed = loop.block_on(echoed_by_tcp("hello"));
  ASSERT_TRUE(echoed) << echoed.error().message;
  EXPECT_EQ(*echoed, "hello-hello");
  EXPECT_EQ(loop.timers(), 0u);
}

Task<Result<std::string>> echoed_by_unix(std::string path, Peer* peer) {
  auto listener = CO_TRY(Listener::unix(path));
  Job server(echo_once(&listener));
  auto stream = CO_TRY(co_await connect_unix(path));
  *peer = stream->peer();
  auto echoed = co_await through(std::move(stream), "x");
  EXPECT_FALSE(Listener::unix(path)) << "a second program took the socket over";
  co_return echoed;
}

TEST(Stream, UnixSocketsTellWhoIsThere) {
  Loop loop;
  Peer peer;
  std::string path = "/tmp/estiba-stream-test-" + std::to_string(getpid());
  auto echoed = loop.block_on(echoed_by_unix(path, &peer));
  EXPECT_TRUE(echoed && *echoed == "x-x");
  EXPECT_EQ(peer.pid, getpid());
  EXPECT_EQ(peer.uid, int(getuid()));
  EXPECT_NE(access(path.c_str(), F_OK), 0) << "the socket file was left behind";
}

TEST(Stream, APortThatIsTakenIsAClearError) {
  auto first = Listener::tcp("127.0.0.1", 0);
  ASSERT_TRUE(first);
  auto second = Listener::tcp("127.0.0.1", first->port());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::already_exists);
  EXPECT_NE(second.error().message.find("127.0.0.1:" + std::to_string(first->port()) + ": the address is in use"), std::string::npos);
}

Task<Result<size_t>> read_closed(Stream* stream) {
  char c;
  co_return co_await stream->read(&c, 1);
}

Task<Result<size_t>> closed_while_reading() {
  auto listener = CO_TRY(Listener::tcp("127.0.0.1", 0));
  auto stream = CO_TRY(co_await connect_tcp("127.0.0.1", listener.port()));
  std::optional<Result<size_t>> result;
  Job reader([](Stream* stream, std::optional<Result<size_t>>* out) -> Task<void> { out->emplace(co_await read_closed(stream)); }(
                                                                        stream.get(), &result));
  stream->close();
  co_await reader.join();
  co_return *result;
}

TEST(Stream, CloseWakesTheReader) {
  Loop loop;
  auto result = loop.block_on(closed_while_reading());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::cancelled);
}

Task<Result<std::string>> copied() {
  auto [a, a_far] = stream_pair(8);
  auto [b, b_far] = stream_pair(8);
  Job copy(copy_both_ways(*a_far, *b));
  Job writer([](Stream* s) -> Task<void> {
    EXPECT_TRUE(co_await s->write("a long request through a small pipe"));
    EXPECT_TRUE(co_await s->shutdown_write());
  }(a.get()));
  std::string there = CO_TRY(co_await read_all(*b_far, 1000));
  CO_TRY(co_await b_far->shutdown_write());
  co_await copy.join();
  co_return there;
}

TEST(Stream, CopyPassesHalfClosesOn) {
  Loop loop;
  auto there = loop.block_on(copied());
  ASSERT_TRUE(there);
  EXPECT_EQ(*there, "a long request through a small pipe");
}

Task<void> accept_tls(Listener* listener, TlsContextRef tls, Peer* peer) {
  auto fd = co_await listener->accept();
  auto stream = co_await tls_accept(std::move(tls), *fd);
  if (!stream) co_return;
  *peer = (*stream)->peer();
  char buffer[4096];
  for (;;) {
    auto got = co_await (*stream)->read(buffer, sizeof buffer);
    if (!got || *got == 0) break;
    if (!co_await (*stream)->write({buffer, *got})) break;
  }
}

Task<Result<std::string>> echoed_by_tls(TlsContextRef client, std::string host, Peer* peer, std::string text) {
  auto listener = CO_TRY(Listener::tcp("127.0.0.1", 0));
  Job server(accept_tls(&listener, Keys::get().server_tls(), peer));
  auto stream = CO_TRY(co_await connect_tls(client, host, listener.port()));
  co_return co_await through(std::move(stream), std::move(text));
}

TEST(Tls, CarriesBytesAndVerifiesTheClient) {
  Loop loop;
  Peer peer;
  auto tls = Keys::get().client_tls({"http/1.1"}, &Keys::get().admin);
  std::string large(300'000, 'x');
  for (int round = 0; round < 2; ++round) {  // the second resumes the session
    auto echoed = loop.block_on(echoed_by_tls(tls, "127.0.0.1", &peer, large));
    ASSERT_TRUE(echoed) << echoed.error().message;
    EXPECT_EQ(echoed->size(), 600'001u);
    EXPECT_TRUE(peer.tls && peer.verified) << peer.certificate_error;
    EXPECT_EQ(peer.common_name, "admin");
    EXPECT_EQ(peer.organizations, (std::vector<std::string>{"system:masters", "devs"}));
    EXPECT_FALSE(peer.certificate_der.empty());
  }
}

TEST(Tls, AForeignClientCertificateIsReportedNotTrusted) {
  Loop loop;
  Peer peer;
  WallTime now = loop.wall_now();
  auto other = *make_certificate(*make_ca("other", now), {.common_name = "admin", .client = true}, now);
  auto echoed = loop.block_on(echoed_by_tls(Keys::get().client_tls({"http/1.1"}, &other), "127.0.0.1", &peer, "x"));
  EXPECT_TRUE(echoed);
  EXPECT_FALSE(peer.verified);
  EXPECT_FALSE(peer.certificate_error.empty());
  EXPECT_EQ(peer.common_name, "");
}

TEST(Tls, AServerWithoutATrustedCertificateIsRefused) {
  Loop loop;
  Peer peer;
  auto trusting_another = *make_tls_client({.ca_pem = make_ca("another", loop.wall_now())->certificate_pem});
  auto echoed = loop.block_on(echoed_by_tls(trusting_another, "127.0.0.1", &peer, "x"));
  ASSERT_FALSE(echoed);
  EXPECT_NE(echoed.error().message.find("certificate is not accepted"), std::string::npos) << echoed.error().message;
  auto wrong_name = *make_tls_client({.ca_pem = Keys::get().ca.certificate_pem, .server_name = "example.com"});
  EXPECT_FALSE(loop.block_on(echoed_by_tls(wrong_name, "127.0.0.1", &peer, "x")));
}

}  // namespace
}  // namespace estiba::io
