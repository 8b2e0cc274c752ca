#include "network/dns/server.h"

#include "base/strings.h"
#include "io/loop.h"
#include "network/dns/forwarder.h"
#include "network/testing.h"

namespace estiba::network::dns {

// The cluster's DNS at 127.0.0.10 and, for other names, one at 127.0.0.20 that holds "svc.example.org".
class DnsServerTest : public NetTest {
 protected:
  void SetUp() override {
    NetTest::SetUp();
    if (IsSkipped()) return;
    sh("printf \"nameserver 127.0.0.10\\nnameserver 127.0.0.30\\nnameserver 127.0.0.20\\n\" > " + dir_ + "/resolv.conf");
    server_ = make("127.0.0.10", "cluster.local", dir_ + "/resolv.conf");
    upstream_ = make("127.0.0.20", "example.org", "");
    upstream_->set("default/web", names("web", {"198.51.100.7"}));
    auto alias = std::make_shared<ServiceNames>(*names("away", {}));
    alias->external_name = "web.default.svc.example.org";
    server_->set("default/away", alias);
    server_->set("default/web", names("web", {"10.43.0.5"}));
    std::vector<std::string> many;
    for (int i = 0; i < 100; ++i) many.push_back("10.43.1." + std::to_string(i));
    server_->set("default/many", names("many", many));
    for (auto* server : {server_.get(), upstream_.get()}) {
      auto started = loop_.block_on(server->start());
      ASSERT_TRUE(started) << started.error().message;
    }
  }
  void TearDown() override {
    server_.reset();
    upstream_.reset();
    sh("rm -f " + dir_ + "/resolv.conf");
    NetTest::TearDown();
  }
  static std::unique_ptr<Server> make(const std::string& address, const std::string& domain, const std::string& resolv_conf) {
    auto at = *Address::parse(address);
    return std::make_unique<Server>(Server::Config{.addresses = {at},
                                                   .zone = {.domain = domain, .servers = {at}, .owned = {*Prefix::parse("10.43.0.0/16")}},
                                                   .resolv_conf = resolv_conf});
  }
  static std::shared_ptr<ServiceNames> names(const std::string& name, const std::vector<std::string>& addresses) {
    auto names = std::make_shared<ServiceNames>(ServiceNames{.ns = "default", .name = name});
    for (const std::string& address : addresses) names->cluster_ips.push_back(*Address::parse(address));
    return names;
  }
  static std::string dig(const std::string& question) { return sh("dig +tries=1 +time=5 @127.0.0.10 " + question); }

  io::Loop loop_;
  std::unique_ptr<Server> server_, upstream_;
};

TEST_F(DnsServerTest, AnswersClusterNamesByUdpAndTcp) {
  EXPECT_EQ(dig("+short web.default.svc.cluster.local"), "10.43.0.5\n");
  EXPECT_EQ(dig("+short +tcp web.default.svc.cluster.local"), "10.43.0.5\n");
  EXPECT_EQ(dig("+short -x 10.43.0.5"), "web.default.svc.cluster.local.\n");
  std::string denied = dig("nothing.default.svc.cluster.local");
  EXPECT_TRUE(denied.contains("status: NXDOMAIN") && denied.contains("SOA") && denied.contains("flags: qr aa rd ra")) << denied;
  EXPECT_TRUE(dig("+noedns WEB.default.svc.cluster.local").contains("WEB.default.svc.cluster.local. 5 IN\tA\t10.43.0.5"));
}

TEST_F(DnsServerTest, LongAnswersGoByTcp) {
  std::string cut = dig("+ignore +noedns many.default.svc.cluster.local");
  EXPECT_TRUE(cut.contains("flags: qr aa tc rd ra")) << cut;
  EXPECT_EQ(split(dig("+short many.default.svc.cluster.local"), '\n').size(), 101u) << "100 addresses and the end";
}

TEST_F(DnsServerTest, ForgedSendersGetNoMoreThanADatagramHolds) {
  const std::string any = dig("+ignore +notcp any many.default.svc.cluster.local");
  EXPECT_TRUE(any.contains("HINFO\t\"RFC8482\"")) << any;
  EXPECT_EQ(any.find("10.43.1."), std::string::npos) << any;
  EXPECT_EQ(split(dig("+short +tcp any many.default.svc.cluster.local"), '\n').size(), 101u);
  for (const char* question :
       {"+ignore +bufsize=65000 many.default.svc.cluster.local", "+ignore +bufsize=65000 any web.default.svc.example.org"}) {
    const std::string answer = dig(question);
    const size_t size = answer.find("MSG SIZE  rcvd: ");
    ASSERT_NE(size, std::string::npos) << answer;
    EXPECT_LE(atoi(answer.c_str() + size + 16), 1232) << answer;
  }
}

TEST_F(DnsServerTest, OtherNamesAreForwardedPastDeadServersAndNeverToItself) {
  auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(dig("+short web.default.svc.example.org"), "198.51.100.7\n");
  EXPECT_EQ(dig("+short +tcp web.default.svc.example.org"), "198.51.100.7\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
  EXPECT_TRUE(dig("none.default.svc.example.org").contains("status: NXDOMAIN"));
  EXPECT_EQ(dig("+short away.default.svc.cluster.local"), "web.default.svc.example.org.\n198.51.100.7\n");
  upstream_.reset();
  EXPECT_EQ(dig("+short WEB.default.svc.example.org"), "198.51.100.7\n") << "remembered";
  EXPECT_TRUE(dig("new.default.svc.example.org").contains("status: SERVFAIL"));
}

TEST_F(DnsServerTest, ATakenAddressIsNamed) {
  auto second = make("127.0.0.10", "cluster.local", "");
  auto started = loop_.block_on(second->start());
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message, "the cluster's DNS: listen on 127.0.0.10 port 53 (UDP): Address already in use");
}

TEST_F(DnsServerTest, GarbageIsSurvived) {
  for (int size : {0, 1, 11, 12, 100, 1400}) sh("bash -c \"head -c " + std::to_string(size) + " /dev/urandom > /dev/udp/127.0.0.10/53\"");
  sh("head -c 3000 /dev/urandom | socat -T0.1 - TCP4:127.0.0.10:53 >/dev/null");
  EXPECT_EQ(dig("+short web.default.svc.cluster.local"), "10.43.0.5\n");
}

TEST(DnsCache, CountsDownAndForgets) {
  Cache cache;
  Query query{.id = 1, .name = *make_name("a.example"), .type = type_a, .qclass = class_in};
  std::string bytes = encode(query, {.answers = {{query.name, type_a, 20, "abcd"}}}, 512);
  Instant now{};
  cache.put(query, bytes, *parse_answer(bytes), now);
  query.id = 0x1234;
  query.name = *make_name("A.Example");
  auto later = cache.find(query, now + std::chrono::seconds(7));
  ASSERT_TRUE(later);
  auto answer = parse_answer(*later);
  EXPECT_EQ(answer->id, 0x1234);
  EXPECT_EQ(answer->name, query.name);
  EXPECT_EQ(answer->answers[0].ttl, 13u);
  EXPECT_FALSE(cache.find(query, now + std::chrono::seconds(20)));
  EXPECT_EQ(cache.size(), 0u);
}

}  // namespace estiba::network::dns
