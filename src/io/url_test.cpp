#include <gtest/gtest.h>

#include "io/http.h"

namespace estiba::io {
namespace {

TEST(Url, PartsAreFoundAndPrintedAgain) {
  const auto url = Url::parse("https://user:pass@[2001:db8::1]:8443/a/b?c#d");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_EQ(url->user_info, "user:pass");
  EXPECT_EQ(url->host, "2001:db8::1");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/a/b?c");
  EXPECT_EQ(url->text(), "https://[2001:db8::1]:8443/a/b?c");
  EXPECT_EQ(Url::parse("http://example.test:80")->text(), "http://example.test/");
}

TEST(Url, BracketsAreForIPv6AddressesOnly) {
  for (const char* text : {"http://[::1[[user@[[[[]:0", "http://[name]/", "http://a]b/", "http://a[b:1/", "http://[[::1]/", "http://[::1/"})
    EXPECT_FALSE(Url::parse(text)) << text;
}

}  // namespace
}  // namespace estiba::io
