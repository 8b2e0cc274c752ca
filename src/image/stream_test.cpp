#include "image/stream.h"

#include <gtest/gtest.h>

#include "image/test_support.h"

namespace estiba::image {
namespace {

std::string compressed(std::string_view text, Compression how) {
  StringSink out;
  if (how == Compression::gzip) {
    GzipSink gzip(out);
    EXPECT_TRUE(gzip.write(text) && gzip.finish());
  } else {
    ZstdSink zstd(out);
    EXPECT_TRUE(zstd.write(text) && zstd.finish());
  }
  return out.text;
}

Result<std::string> decompressed(std::string_view bytes) {
  StringSource source(bytes);
  Decompressor plain(source);
  return read_all(plain, 100 << 20);
}

TEST(Stream, CompressionRoundTripsAndIsRecognised) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += std::to_string(i * 7919);
  for (auto how : {Compression::gzip, Compression::zstd}) {
    std::string bytes = compressed(text, how);
    EXPECT_LT(bytes.size(), text.size());
    EXPECT_EQ(decompressed(bytes).value(), text);
    EXPECT_EQ(decompressed(bytes + bytes).value(), text + text);
    EXPECT_EQ(decompressed(compressed("", how)).value(), "");
  }
  EXPECT_EQ(decompressed("plain").value(), "plain");
  EXPECT_EQ(decompressed("").value(), "");
  EXPECT_EQ(decompressed("\x1f").value(), "\x1f");
}

TEST(Stream, TruncatedOrDamagedCompressionIsAnError) {
  std::string text(100000, 'x');
  for (size_t i = 0; i < text.size(); i += 3) text[i] = char(i * 31);
  for (auto how : {Compression::gzip, Compression::zstd}) {
    std::string bytes = compressed(text, how);
    for (size_t keep : {size_t(10), bytes.size() / 2, bytes.size() - 1}) {
      auto result = decompressed(bytes.substr(0, keep));
      ASSERT_FALSE(result) << keep;
      EXPECT_EQ(result.error().code, Code::malformed);
    }
    bytes[bytes.size() / 2] ^= 0x55;
    EXPECT_FALSE(decompressed(bytes));
  }
}

TEST(Stream, DigestsAreSha256) {
  EXPECT_EQ(digest_of("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(valid_digest(digest_of("")));
  EXPECT_FALSE(valid_digest("sha256:ABC"));
  std::string a = digest_of("a"), b = digest_of("b");
  EXPECT_EQ(chain_id("", a), a);
  EXPECT_EQ(chain_id(a, b), digest_of(a + " " + b));
}

}  // namespace
}  // namespace estiba::image
