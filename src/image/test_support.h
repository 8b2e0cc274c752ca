// For this layer's tests: tars made in memory, temporary directories, small images.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <string>

#include "image/store.h"
#include "image/tar.h"
#include "os/file.h"

namespace estiba::image {

struct StringSink final : Sink {
  std::string text;
  Result<void> write(std::string_view bytes) override {
    text += bytes;
    return {};
  }
};

inline std::string padded(std::string text) {
  text.resize((text.size() + 511) / 512 * 512, '\0');
  return text;
}

inline void fix_checksum(std::string& block) {
  block.replace(148, 8, "        ");
  unsigned sum = 0;
  for (unsigned char c : block) sum += c;
  std::snprintf(block.data() + 148, 7, "%06o", sum);
}

inline std::string raw_header(std::string_view name, char type, uint64_t size) {
  std::string block(512, '\0');
  name.copy(block.data(), 100);
  std::memcpy(block.data() + 100,
              "0000644\0"
              "0000000\0"
              "0000000\0",
              24);
  std::snprintf(block.data() + 124, 12, "%011llo", static_cast<unsigned long long>(size));
  std::memcpy(block.data() + 136, "00000000000", 11);
  block[156] = type;
  std::memcpy(block.data() + 257, "ustar\00000", 8);
  fix_checksum(block);
  return block;
}

/// A tar written member by member.
class TarText {
 public:
  TarText() : writer_(sink_) {}
  TarText& add(TarEntry entry, std::string_view content = {}) {
    entry.size = content.size();
    EXPECT_TRUE(writer_.begin(entry));
    EXPECT_TRUE(writer_.content(content));
    EXPECT_TRUE(writer_.end());
    return *this;
  }
  TarText& file(std::string name, std::string_view content, uint32_t mode = 0644) {
    return add({.name = std::move(name), .mode = mode}, content);
  }
  TarText& directory(std::string name, uint32_t mode = 0755) {
    return add({.name = std::move(name), .type = TarEntry::Type::directory, .mode = mode});
  }
  TarText& symlink(std::string name, std::string target) {
    return add({.name = std::move(name), .link = std::move(target), .type = TarEntry::Type::symlink});
  }
  TarText& hardlink(std::string name, std::string target) {
    return add({.name = std::move(name), .link = std::move(target), .type = TarEntry::Type::hardlink});
  }
  std::string text() {
    EXPECT_TRUE(writer_.finish());
    return std::move(sink_.text);
  }

 private:
  StringSink sink_;
  TarWriter writer_;
};

/// A directory that is gone, with all that was made in it, when the test ends.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/estiba-test-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TemporaryDirectory() { EXPECT_TRUE(os::remove_all(path_)); }
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

}  // namespace estiba::image
