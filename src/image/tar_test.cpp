#include "image/tar.h"

#include <gtest/gtest.h>

#include "image/test_support.h"

namespace estiba::image {
namespace {

using Type = TarEntry::Type;

std::string error_of(std::string_view bytes, TarLimits limits = {}) {
  StringSource source(bytes);
  TarReader reader(source, limits);
  for (;;) {
    auto entry = reader.next();
    if (!entry) return entry.error().message;
    if (!*entry) return "";
  }
}

TEST(Tar, WhatIsWrittenIsReadBack) {
  TarEntry file{.name = "etc/passwd", .mode = 0644, .uid = 3000000, .gid = 7, .size = 5, .mtime = 1700000000, .mtime_ns = 120};
  file.xattrs = {{"security.capability", std::string("\x01\0\0\x02", 4)}};
  StringSink sink;
  TarWriter writer(sink);
  ASSERT_TRUE(writer.begin(file) && writer.content("hello") && writer.end());
  ASSERT_TRUE(writer.begin({.name = std::string(300, 'n'), .link = std::string(200, 'l'), .type = Type::symlink}));
  ASSERT_TRUE(writer.end() && writer.finish());

  StringSource source(sink.text);
  TarReader reader(source);
  auto first = reader.next();
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->name, "etc/passwd");
  EXPECT_EQ((*first)->uid, 3000000u);
  EXPECT_EQ((*first)->mtime, 1700000000);
  EXPECT_EQ((*first)->mtime_ns, 120u);
  EXPECT_EQ((*first)->xattrs, file.xattrs);
  EXPECT_EQ(read_all(reader, 100).value(), "hello");
  auto second = reader.next();
  ASSERT_TRUE(second && *second);
  EXPECT_EQ((*second)->name, std::string(300, 'n'));
  EXPECT_EQ((*second)->link, std::string(200, 'l'));
  EXPECT_EQ((*second)->type, Type::symlink);
  auto end = reader.next();
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
}

TEST(Tar, GnuLongNamesAndBase256NumbersAreRead) {
  std::string tar = raw_header("././@LongLink", 'L', 151) + padded(std::string(150, 'x') + '\0') + raw_header("short", '0', 3);
  tar += padded("abc") + std::string(1024, '\0');
  StringSource source(tar);
  TarReader reader(source);
  auto entry = reader.next();
  ASSERT_TRUE(entry && *entry) << entry.error().message;
  EXPECT_EQ((*entry)->name, std::string(150, 'x'));

  std::string header = raw_header("big", '0', 0);
  header[124] = '\x80';
  std::fill(header.begin() + 125, header.begin() + 136, '\0');
  header[135] = 2;  // size 2
  fix_checksum(header);
  std::string text = header + padded("ab") + std::string(1024, '\0');
  StringSource again(text);
  TarReader second(again);
  auto big = second.next();
  ASSERT_TRUE(big && *big) << big.error().message;
  EXPECT_EQ((*big)->size, 2u);
}

TEST(Tar, SkippedContentDoesNotDisturbTheNextMember) {
  std::string tar = TarText().file("a", std::string(100000, 'a')).file("b", "B").text();
  StringSource source(tar);
  TarReader reader(source);
  ASSERT_TRUE(reader.next().value());
  auto b = reader.next();
  ASSERT_TRUE(b && *b);
  EXPECT_EQ((*b)->name, "b");
  EXPECT_EQ(read_all(reader, 10).value(), "B");
}

TEST(Tar, DamageIsToldWithTheMemberBefore) {
  std::string tar = TarText().file("first", "1").file("second", "2").text();
  EXPECT_EQ(error_of(tar), "");
  std::string damaged = tar;
  damaged[1024 + 5] ^= 1;
  EXPECT_EQ(error_of(damaged), "the archive is damaged after member \"first\": wrong header checksum");
  EXPECT_NE(error_of(tar.substr(0, 600)).find("truncated in or after member \"first\""), std::string::npos);
  EXPECT_NE(error_of(tar.substr(0, 1024)).find("truncated after member \"first\""), std::string::npos);
  EXPECT_NE(error_of(tar.substr(0, 1300)).find("truncated after member \"first\""), std::string::npos);
  EXPECT_EQ(error_of(""), "this is no tar archive: it is empty");
  EXPECT_EQ(error_of(std::string(512, 'z')), "this is no tar archive: its first block is no header");
}

TEST(Tar, LimitsHold) {
  std::string tar = TarText().file("a", "12345").file("b", "12345").text();
  EXPECT_NE(error_of(tar, {.total_bytes = 9}).find("member \"b\": the archive unpacks to more than 9 bytes"), std::string::npos);
  EXPECT_NE(error_of(tar, {.entries = 1}).find("more than 1 members"), std::string::npos);
  EXPECT_NE(error_of(tar, {.name_length = 0}).find("longer than 0 bytes"), std::string::npos);
  EXPECT_NE(error_of(raw_header("pax", 'x', 99 << 20)).find("over the limit"), std::string::npos);
}

TEST(Tar, SparseAndUnknownMembersAreRefused) {
  EXPECT_NE(error_of(raw_header("holes", 'S', 0)).find("sparse files are not supported"), std::string::npos);
  EXPECT_NE(error_of(raw_header("volume", 'M', 0)).find("its type \"M\" is not known"), std::string::npos);
  std::string pax = "22 GNU.sparse.major=1\n";
  EXPECT_NE(error_of(raw_header("pax", 'x', pax.size()) + padded(pax) + raw_header("holes", '0', 0)).find("sparse"), std::string::npos);
}

TEST(Tar, BrokenPaxRecordsAreRefused) {
  for (std::string pax :
       {"99 path=x\n", "5 a=b", "x path=a\n", "6 path\n", "18446744073709551615 a=b\n", "10 =novalu\n", "12 size=abc\n\n"}) {
    std::string tar = raw_header("pax", 'x', pax.size()) + padded(pax) + raw_header("f", '0', 0);
    EXPECT_NE(error_of(tar), "") << pax;
  }
}

}  // namespace
}  // namespace estiba::image
