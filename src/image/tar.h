// Tar archives, read from and written to streams: ustar, pax (x and g headers) and GNU long names (POSIX pax(1), GNU tar
// "Basic Tar Format"). The reader trusts nothing: numbers, lengths and checksums are checked, memory is bounded, and every
// error names the member. It knows nothing of the file system; names are handed on as they are written.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "image/stream.h"

namespace estiba::image {

struct TarEntry {
  enum class Type : unsigned char { file, directory, symlink, hardlink, character, block, fifo };
  std::string name;
  std::string link;  ///< target of a symlink or hard link
  Type type = Type::file;
  uint32_t mode = 0;  ///< permission bits with setuid, setgid and sticky
  uint32_t uid = 0, gid = 0;
  uint64_t size = 0;  ///< of the content; 0 but for files
  int64_t mtime = 0;  ///< seconds
  uint32_t mtime_ns = 0;
  uint32_t major = 0, minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

struct TarLimits {
  uint64_t total_bytes = 256ull << 30;  ///< of all contents
  uint64_t entries = 4'000'000;
  size_t name_length = 4095;         ///< PATH_MAX without its NUL
  size_t extended_header = 1 << 20;  ///< of one pax header or long name
};

class TarReader final : public Source {
 public:
  explicit TarReader(Source& inner, TarLimits limits = {});

  /// The next member, past what is left of the last one's content; nullopt at the end of the archive. Sparse files and
  /// continuation volumes are refused. An archive that ends without its zero block is truncated: malformed.
  Result<std::optional<TarEntry>> next();
  /// Content of the current member; 0 at its end.
  Result<size_t> read(std::span<char> buffer) override;
  /// Bytes of the archive consumed so far; just after next() the offset of the member's content.
  uint64_t position() const { return position_; }
  /// Of all members so far.
  uint64_t content_bytes() const { return total_; }

 private:
  using Pax = std::map<std::string, std::string, std::less<>>;
  Result<bool> read_block(char* block);
  Result<void> read_exactly(char* to, size_t count);
  Result<void> skip_content();
  Result<std::string> read_extended(uint64_t size);
  Result<void> parse_pax(std::string_view text, Pax& into);
  Result<TarEntry> parse_header(const char* block);
  Result<void> apply_pax(const Pax& pax, TarEntry& entry);
  Result<void> finish(TarEntry& entry);

  Source& inner_;
  TarLimits limits_;
  Pax global_;
  uint64_t position_ = 0;
  uint64_t left_ = 0;     // of the current content
  uint64_t padding_ = 0;  // behind it
  uint64_t total_ = 0, entries_ = 0;
  std::string current_;  // name, for errors
  bool ended_ = false;
};

/// Writes pax archives: a pax header only where ustar's fields are too small.
class TarWriter {
 public:
  explicit TarWriter(Sink& sink) : sink_(sink) {}
  /// Then exactly entry.size bytes of content must be written.
  Result<void> begin(const TarEntry& entry);
  Result<void> content(std::string_view bytes);
  /// Pads the member's content.
  Result<void> end();
  /// begin, content and end of a regular file with mode 0644.
  Result<void> file(std::string name, std::string_view content);
  /// The two zero blocks. Call once, last.
  Result<void> finish();

 private:
  Result<void> header(const TarEntry& entry, char type, std::string_view name, std::string_view link, uint64_t size);
  Sink& sink_;
  uint64_t left_ = 0, padding_ = 0;
};

}  // namespace estiba::image
