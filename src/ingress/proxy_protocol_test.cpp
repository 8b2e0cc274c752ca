#include "ingress/proxy_protocol.h"

#include <gtest/gtest.h>

namespace estiba::ingress {
namespace {

// "SOURCE DESTINATION", "itself", "more", or what is wrong; with `rest` behind the header.
std::string told(std::string_view bytes, std::string_view rest = {}) {
  const auto header = parse_proxy_header(std::string(bytes) + std::string(rest));
  if (!header) return header.error().message.substr(std::string_view("PROXY protocol: ").size());
  if (header->length == 0) return header->needed > bytes.size() ? "more" : "needs nothing more";
  EXPECT_EQ(header->length, bytes.size());
  return header->ends ? header->ends->source + " " + header->ends->destination : "itself";
}

TEST(ProxyProtocol, LinesOfVersion1) {
  EXPECT_EQ(told("PROXY TCP4 192.0.2.1 198.51.100.7 4711 443\r\n", "GET / HTTP/1.1\r\n"), "192.0.2.1:4711 198.51.100.7:443");
  EXPECT_EQ(told("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"), "[2001:db8::1]:1 [2001:db8::2]:65535");
  EXPECT_EQ(told("PROXY UNKNOWN\r\n"), "itself");
  EXPECT_EQ(told("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), "itself");
  for (const char* beginning : {"", "P", "PROXY ", "PROXY TCP4 192.0.2.1", "PROXY TCP4 192.0.2.1 198.51.100.7 4711 443\r"})
    EXPECT_EQ(told(beginning), "more") << beginning;
}

TEST(ProxyProtocol, WhatIsNoHeaderIsRefused) {
  EXPECT_EQ(told("GET / HTTP/1.1\r\n"), "the connection does not begin with a header");
  EXPECT_EQ(told("PROXY " + std::string(101, 'x')), "the line has no end");
  for (const char* line : {"PROXY TCP4 2001:db8::1 198.51.100.7 4711 443\r\n", "PROXY TCP4 192.0.2.1 198.51.100.7 4711 65536\r\n",
                           "PROXY TCP4 192.0.2.1 198.51.100.7 -1 443\r\n", "PROXY TCP4 192.0.2.256 198.51.100.7 1 443\r\n"})
    EXPECT_EQ(told(line), "the line's addresses or ports are none") << line;
  for (const char* line : {"PROXY TCP4 192.0.2.1 198.51.100.7 4711\r\n", "PROXY UDP4 192.0.2.1 198.51.100.7 1 2\r\n", "PROXY \r\n"})
    EXPECT_EQ(told(line), "a line must be PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT") << line;
  const std::string magic("\r\n\r\n\0\r\nQUIT\n", 12);
  EXPECT_EQ(told(magic + std::string("\x31\x11\0\x0c", 4)), "version and command must be 2 and LOCAL or PROXY");
  EXPECT_EQ(told(magic + std::string("\x21\x11\xff\xff", 4)), "the header is longer than 4096 bytes");
  EXPECT_EQ(told(magic + std::string("\x21\x11\0\x04", 4) + "abcd"), "the header is too short for its addresses");
}

TEST(ProxyProtocol, Version2AndBack) {
  for (const ConnectionEnds& ends :
       {ConnectionEnds{"192.0.2.1:4711", "198.51.100.7:443"}, ConnectionEnds{"[2001:db8::1]:80", "[2001:db8::2]:65535"}})
    for (const ProxyProtocol version : {ProxyProtocol::v1, ProxyProtocol::v2}) {
      const std::string header = proxy_header(version, ends);
      EXPECT_EQ(told(header, "more bytes"), ends.source + " " + ends.destination);
      for (size_t size = 0; size < header.size(); ++size) EXPECT_EQ(told(header.substr(0, size)), "more") << size;
    }
  // Fields after the addresses are passed over.
  std::string longer = proxy_header(ProxyProtocol::v2, {"192.0.2.1:4711", "198.51.100.7:443"});
  longer[15] = char(longer[15] + 5);
  EXPECT_EQ(told(longer + std::string("\x04\0\x02xx", 5)), "192.0.2.1:4711 198.51.100.7:443");
  const std::string local = std::string("\r\n\r\n\0\r\nQUIT\n", 12) + std::string("\x20\0\0\0", 4);
  EXPECT_EQ(told(local), "itself");
}

TEST(ProxyProtocol, EndsThatAreNone) {
  EXPECT_EQ(proxy_header(ProxyProtocol::v1, {"unix", "192.0.2.1:80"}), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(proxy_header(ProxyProtocol::v1, {"[::1]:80", "192.0.2.1:80"}), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(told(proxy_header(ProxyProtocol::v2, {"unix", "unix"})), "itself");
  EXPECT_EQ(proxy_header(ProxyProtocol::none, {"192.0.2.1:4711", "198.51.100.7:443"}), "");
}

}  // namespace
}  // namespace estiba::ingress
