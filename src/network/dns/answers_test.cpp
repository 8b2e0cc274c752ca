#include "network/dns/answers.h"

#include <gtest/gtest.h>

namespace estiba::network::dns {
namespace {

Query query(const std::string& name, uint16_t id, uint16_t type = type_a) {
  return {.id = id, .recursion_desired = true, .name = *make_name(name), .type = type, .qclass = class_in};
}

std::string found(const Answers& answers, const std::string& message) {
  const auto key = Answers::key_of(message);
  char space[1232];
  return key ? std::string(space, answers.find(*key, message, space)) : "no key";
}

// What encode() writes for each kind of question is what find() writes, whoever asked first.
TEST(DnsAnswers, AreThoseOfTheSlowWayWithIdAndSpellingOfTheQuestion) {
  for (const bool edns : {false, true})
    for (const bool checking : {false, true}) {
      Answers answers;
      Query first = query("web.default.svc.cluster.local", 7), second = query("WEB.default.Svc.cluster.local", 0x1234);
      for (Query* one : {&first, &second}) one->edns = edns, one->checking_disabled = checking, one->udp_size = 1232;
      const Reply reply{.authoritative = true, .answers = {{first.name, type_a, 5, "abcd"}}};
      answers.put(*Answers::key_of(encode_query(first, 7)), encode(first, reply, udp_limit(first)));
      EXPECT_EQ(found(answers, encode_query(second, 0x1234)), encode(second, reply, udp_limit(second))) << edns << checking;
    }
}

TEST(DnsAnswers, WhatDiffersIsAnotherQuestion) {
  Answers answers;
  const Query asked = query("web.x", 1);
  answers.put(*Answers::key_of(encode_query(asked, 1)), encode(asked, {.answers = {{asked.name, type_a, 5, "abcd"}}}, 512));
  Query edns = asked, large = asked, secure = asked, checking = asked;
  edns.edns = true, edns.udp_size = 512;
  large.edns = true, large.udp_size = 4096;
  secure.edns = true, secure.udp_size = 512, secure.dnssec_ok = true;
  checking.checking_disabled = true;
  for (const Query& other : {query("wev.x", 1), query("web.xx", 1), query("web.x", 1, type_aaaa), edns, large, secure, checking})
    EXPECT_EQ(found(answers, encode_query(other, 1)), "");
  std::string not_recursive = encode_query(asked, 1);
  not_recursive[2] = 0;
  EXPECT_EQ(found(answers, not_recursive), "");
  EXPECT_NE(found(answers, encode_query(asked, 1)), "");
  answers.forget();
  EXPECT_EQ(found(answers, encode_query(asked, 1)), "");
}

// Such messages may be valid or not: parse_query() decides.
TEST(DnsAnswers, OnlyTheUsualFormHasAKey) {
  const std::string usual = encode_query(query("web.x", 1), 1);
  EXPECT_TRUE(Answers::key_of(usual));
  for (size_t size = 0; size < usual.size(); ++size) EXPECT_FALSE(Answers::key_of(usual.substr(0, size))) << size;
  EXPECT_FALSE(Answers::key_of(usual + "x"));
  auto with = [&](size_t at, char value) {
    std::string changed = usual;
    changed[at] = value;
    return Answers::key_of(changed).has_value();
  };
  EXPECT_FALSE(with(2, char(0x81))) << "an answer";
  EXPECT_FALSE(with(2, 0x11)) << "another opcode";
  EXPECT_FALSE(with(5, 2)) << "two questions";
  EXPECT_FALSE(with(7, 1)) << "an answer that is not there";
  EXPECT_FALSE(with(11, 1)) << "a record that is not there";
  EXPECT_FALSE(with(12, char(0xc0))) << "a pointer";
  EXPECT_FALSE(with(12, 60)) << "a label beyond the end";
  EXPECT_FALSE(with(usual.size() - 1, 3)) << "class CH";
  Query edns = query("web.x", 1);
  edns.edns = true;
  std::string version = encode_query(edns, 1);
  EXPECT_TRUE(Answers::key_of(version));
  version[version.size() - 5] = 1;
  EXPECT_FALSE(Answers::key_of(version)) << "EDNS version 1";
}

TEST(DnsAnswers, TheRootAndTheLongestName) {
  EXPECT_TRUE(Answers::key_of(encode_query(query("", 1), 1)));
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  Answers answers;
  const Query asked = query(longest, 1);
  const std::string answer = encode(asked, {.rcode = name_error}, 512);
  answers.put(*Answers::key_of(encode_query(asked, 1)), answer);
  Query again = asked;
  again.id = 9;
  EXPECT_EQ(found(answers, encode_query(again, 9)), encode(again, {.rcode = name_error}, 512));
}

}  // namespace
}  // namespace estiba::network::dns
