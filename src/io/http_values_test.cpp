#include <gtest/gtest.h>

#include "io/http.h"

namespace estiba::io {
namespace {

TEST(HttpValues, ControlCharactersAreFoundWhereverTheyStand) {
  const std::string plain = "text/html; charset=utf-8 \x80\xff~";
  EXPECT_TRUE(is_http_value(""));
  EXPECT_TRUE(is_http_value(plain));
  for (int c = 0; c < 256; ++c)
    for (size_t at = 0; at < plain.size(); ++at) {
      std::string text = plain;
      text[at] = char(c);
      EXPECT_EQ(is_http_value(text), c == '\t' || (c >= 0x20 && c != 0x7f)) << c << " at " << at;
    }
}

TEST(HttpValues, TokensAreMadeOfTheirCharactersAlone) {
  for (int c = 0; c < 256; ++c) {
    const bool token = isalnum(c) || (c > 0 && c < 128 && std::string_view("!#$%&'*+-.^_`|~").contains(char(c)));
    EXPECT_EQ(is_http_token(std::string(1, char(c))), token) << c;
  }
  EXPECT_FALSE(is_http_token(""));
}

}  // namespace
}  // namespace estiba::io
