#include "network/dns/message.h"

#include <gtest/gtest.h>

namespace estiba::network::dns {

static std::string header(uint16_t id, uint16_t flags, uint16_t questions, uint16_t answers = 0, uint16_t authority = 0, uint16_t additional = 0) {
  std::string out;
  for (uint16_t value : {id, flags, questions, answers, authority, additional}) out += {char(value >> 8), char(value)};
  return out;
}
static const std::string kQuestion = *make_name("Web.default.svc.cluster.local") + std::string("\0\1\0\1", 4);

TEST(DnsName, TextBecomesLabelsAndBack) {
  EXPECT_EQ(*make_name("a.bc."), std::string("\1a\2bc\0", 6));
  EXPECT_EQ(*make_name(""), std::string("\0", 1));
  EXPECT_FALSE(make_name("a..b"));
  EXPECT_FALSE(make_name(".a"));
  EXPECT_FALSE(make_name(std::string(64, 'x')));
  EXPECT_TRUE(make_name(std::string(63, 'x')));
  std::string longest;
  for (int i = 0; i < 4; ++i) longest += std::string(62, 'x') + ".";
  EXPECT_TRUE(make_name(longest));
  EXPECT_FALSE(make_name(longest + "abc"));
  EXPECT_EQ(text_of(*make_name("a.bc")), "a.bc.");
  EXPECT_EQ(labels_of(*make_name("a.bc")), (std::vector<std::string_view>{"a", "bc"}));
}

TEST(DnsQuery, IsReadWithItsSpellingAndEdns) {
  std::string opt = std::string("\0\0\x29\x04\xd0\0\0\x80\0\0\0", 11);
  auto query = parse_query(header(7, 0x0110, 1, 0, 0, 1) + kQuestion + opt);
  ASSERT_TRUE(query);
  EXPECT_EQ(query->id, 7);
  EXPECT_TRUE(query->recursion_desired && query->checking_disabled && query->edns && query->dnssec_ok);
  EXPECT_EQ(query->udp_size, 1232);
  EXPECT_EQ(text_of(query->name), "Web.default.svc.cluster.local.");
  EXPECT_EQ(query->type, type_a);
}

TEST(DnsQuery, HostileMessagesAreRefusedOrDropped) {
  auto outcome = [](const std::string& message) {
    auto query = parse_query(message);
    return query ? std::string("taken") : query.error().drop ? "dropped" : "rcode " + std::to_string(query.error().rcode);
  };
  EXPECT_EQ(outcome(""), "dropped");
  EXPECT_EQ(outcome("short"), "dropped");
  EXPECT_EQ(outcome(header(1, 0x8000, 1) + kQuestion), "dropped") << "an answer";
  EXPECT_EQ(outcome(header(1, 0x2800, 1) + kQuestion), "rcode 4") << "an update";
  EXPECT_EQ(outcome(header(1, 0, 0)), "rcode 1");
  EXPECT_EQ(outcome(header(1, 0, 2) + kQuestion + kQuestion), "rcode 1");
  EXPECT_EQ(outcome(header(1, 0, 1) + "\xc0\x0c" + std::string("\0\1\0\1", 4)), "rcode 1") << "a pointer to itself";
  EXPECT_EQ(outcome(header(1, 0, 1) + "\1a\xc0\x0c" + std::string("\0\1\0\1", 4)), "rcode 1") << "a loop";
  EXPECT_EQ(outcome(header(1, 0, 1) + "\xc0\x20"), "rcode 1") << "a pointer forward";
  EXPECT_EQ(outcome(header(1, 0, 1) + "\x3f" "abc"), "rcode 1") << "a label beyond the end";
  EXPECT_EQ(outcome(header(1, 0, 1) + "\x80" + kQuestion), "rcode 1") << "a reserved kind of label";
  EXPECT_EQ(outcome(header(1, 0, 1) + kQuestion.substr(0, kQuestion.size() - 1)), "rcode 1");
  EXPECT_EQ(outcome(header(1, 0, 1, 0, 0, 9) + kQuestion), "rcode 1") << "records that are not there";
  EXPECT_EQ(outcome(header(1, 0, 1, 0, 0, 1) + kQuestion + std::string("\0\0\x29\x04\xd0\0\1\0\0\0\0", 11)), "rcode 16") << "EDNS version 1";
  std::string endless = header(1, 0, 1);
  for (int i = 0; i < 200; ++i) endless += "\1a";
  EXPECT_EQ(outcome(endless + std::string("\0\0\1\0\1", 5)), "rcode 1") << "a name of 401 bytes";
}

TEST(DnsReply, IsCompressedAndReadBack) {
  Query query{.id = 9, .recursion_desired = true, .name = *make_name("Web.example.org"), .type = type_a, .qclass = class_in};
  Reply reply{.authoritative = true};
  reply.answers.push_back({query.name, type_cname, 30, *make_name("other.example.org")});
  reply.answers.push_back({*make_name("other.example.org"), type_a, 5, std::string("\x0a\0\0\1", 4)});
  std::string bytes = encode(query, reply, 512);
  EXPECT_EQ(bytes.size(), 86u) << "112 without pointers";
  auto answer = parse_answer(bytes);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->id, 9);
  EXPECT_EQ(answer->name, query.name);
  ASSERT_EQ(answer->answers.size(), 2u);
  EXPECT_EQ(text_of(answer->answers[0].data), "other.example.org.");
  EXPECT_EQ(lower(answer->answers[1].name), *make_name("other.example.org"));
  EXPECT_EQ(answer->least_ttl, 5u);
}

TEST(DnsReply, ThatDoesNotFitIsMarkedAsTruncated) {
  Query query{.id = 9, .name = *make_name("many.example.org"), .type = type_a, .qclass = class_in};
  Reply reply;
  for (int i = 0; i < 100; ++i) reply.answers.push_back({query.name, type_a, 5, std::string(4, char(i))});
  std::string bytes = encode(query, reply, udp_limit(query));
  EXPECT_LE(bytes.size(), 512u);
  auto answer = parse_answer(bytes);
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->truncated);
  EXPECT_EQ(answer->answers.size(), (512u - 34u) / 16u);
  EXPECT_EQ(parse_answer(encode(query, reply, 65535))->answers.size(), 100u);
}

TEST(DnsAnswer, HostileOnesAreRefused) {
  EXPECT_FALSE(parse_answer(header(1, 0x8000, 1, 1) + kQuestion));
  EXPECT_FALSE(parse_answer(header(1, 0x8000, 1, 1) + kQuestion + std::string("\xc0\x0c\0\1\0\1\0\0\0\1\0\xff", 12)));
  EXPECT_FALSE(parse_answer(header(1, 0x8000, 1, 1) + kQuestion + std::string("\xc0\x0c\0\5\0\1\0\0\0\1\0\1\xff", 13))) << "a CNAME that is no name";
  EXPECT_FALSE(parse_answer(header(1, 0, 1) + kQuestion));
}

}  // namespace estiba::network::dns
