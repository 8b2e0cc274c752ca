#include "image/tar.h"

#include <algorithm>
#include <cstring>

#include "base/strings.h"

namespace estiba::image {
namespace {

constexpr size_t block_size = 512;

// Fields of a header block: offset, length (POSIX ustar).
struct Field {
  size_t offset, length;
};
constexpr Field f_name{0, 100}, f_mode{100, 8}, f_uid{108, 8}, f_gid{116, 8}, f_size{124, 12}, f_mtime{136, 12}, f_checksum{148, 8},
    f_link{157, 100}, f_magic{257, 6}, f_major{329, 8}, f_minor{337, 8}, f_prefix{345, 155};
constexpr size_t type_offset = 156;

std::string_view text_of(const char* block, Field field) {
  std::string_view text(block + field.offset, field.length);
  return text.substr(0, std::min(text.find('\0'), text.size()));
}

/// Octal digits with spaces and NULs around, or GNU's base 256 with the top bit of the first byte set.
std::optional<int64_t> number_of(const char* block, Field field) {
  auto bytes = reinterpret_cast<const unsigned char*>(block + field.offset);
  if (bytes[0] & 0x80) {
    bool negative = bytes[0] & 0x40;
    uint64_t value = negative ? ~uint64_t{0} : 0;
    for (size_t i = 0; i < field.length; ++i) {
      uint64_t byte = i == 0 ? (negative ? bytes[0] : bytes[0] & 0x7f) : bytes[i];
      bool overflows = negative ? (value >> 55) != 0x1ff : (value >> 55) != 0;
      if (i > 0 && overflows) return std::nullopt;
      value = (value << 8) | byte;
    }
    return int64_t(value);
  }
  std::string_view text(block + field.offset, field.length);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\0')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.remove_suffix(1);
  if (text.empty()) return 0;
  return parse_number<int64_t>(text.substr(0, std::min(text.find('\0'), text.size())), 8);
}

bool checksum_holds(const char* block) {
  auto stated = number_of(block, f_checksum);
  int64_t plain = 0, with_sign = 0;  // old tars added signed chars
  for (size_t i = 0; i < block_size; ++i) {
    bool inside = i >= f_checksum.offset && i < f_checksum.offset + f_checksum.length;
    char c = inside ? ' ' : block[i];
    plain += static_cast<unsigned char>(c);
    with_sign += static_cast<signed char>(c);
  }
  return stated && (*stated == plain || *stated == with_sign);
}

std::unexpected<Error> bad(std::string_view name, std::string_view what) {
  return fail(Code::malformed, "tar member " + quoted(name) + ": " + std::string(what));
}

}  // namespace

TarReader::TarReader(Source& inner, TarLimits limits) : inner_(inner), limits_(limits) {}

Result<void> TarReader::read_exactly(char* to, size_t count) {
  while (count > 0) {
    size_t n = TRY(inner_.read({to, count}));
    if (n == 0)
      return fail(Code::malformed, "the archive is truncated" + (current_.empty() ? "" : " in or after member " + quoted(current_)));
    position_ += n;
    to += n;
    count -= n;
  }
  return {};
}

/// False at the very end of the input.
Result<bool> TarReader::read_block(char* block) {
  size_t have = 0;
  while (have < block_size) {
    size_t n = TRY(inner_.read({block + have, block_size - have}));
    if (n == 0) break;
    position_ += n;
    have += n;
  }
  if (have == 0) return false;
  if (have < block_size && position_ < block_size) return fail(Code::malformed, "this is no tar archive: it is shorter than one header");
  if (have < block_size)
    return fail(Code::malformed, "the archive is truncated" + (current_.empty() ? "" : " after member " + quoted(current_)));
  return true;
}

Result<size_t> TarReader::read(std::span<char> buffer) {
  if (left_ == 0) return 0;
  size_t n = TRY(inner_.read(buffer.subspan(0, std::min<uint64_t>(buffer.size(), left_))));
  if (n == 0) return fail(Code::malformed, "the archive is truncated in member " + quoted(current_));
  position_ += n;
  left_ -= n;
  return n;
}

Result<void> TarReader::skip_content() {
  auto buffer = left_ + padding_ > 4096 ? std::make_unique<char[]>(chunk_size) : nullptr;
  char small[4096];
  uint64_t skip = left_ + padding_;
  while (skip > 0) {
    size_t n = std::min<uint64_t>(skip, buffer ? chunk_size : sizeof small);
    TRY(read_exactly(buffer ? buffer.get() : small, n));
    skip -= n;
  }
  left_ = padding_ = 0;
  return {};
}

Result<std::string> TarReader::read_extended(uint64_t size) {
  if (size > limits_.extended_header)
    return fail(Code::too_large, "tar: an extended header of " + std::to_string(size) + " bytes is over the limit");
  std::string text(size, '\0');
  TRY(read_exactly(text.data(), size));
  padding_ = (block_size - size % block_size) % block_size;
  TRY(skip_content());
  return text;
}

/// Records "<length> <key>=<value>\n".
Result<void> TarReader::parse_pax(std::string_view text, Pax& into) {
  while (!text.empty()) {
    size_t space = text.find(' ');
    auto length = space == text.npos ? std::nullopt : parse_number<size_t>(text.substr(0, space));
    if (!length || *length <= space + 1 || *length > text.size() || text[*length - 1] != '\n')
      return fail(Code::malformed, "tar: a pax header has a broken record" + (current_.empty() ? "" : " after member " + quoted(current_)));
    auto [key, value] = split_once(text.substr(space + 1, *length - space - 2), '=');
    if (!value || key.empty()) return fail(Code::malformed, "tar: a pax header has a record without a key");
    into.insert_or_assign(std::string(key), std::string(*value));
    text.remove_prefix(*length);
  }
  return {};
}

Result<TarEntry> TarReader::parse_header(const char* block) {
  TarEntry entry;
  bool ustar = std::string_view(block + f_magic.offset, 5) == "ustar";
  bool gnu = std::string_view(block + f_magic.offset, 8) == std::string_view("ustar  \0", 8);
  entry.name = text_of(block, f_name);
  if (auto prefix = text_of(block, f_prefix); ustar && !gnu && !prefix.empty()) entry.name = std::string(prefix) + "/" + entry.name;
  entry.link = text_of(block, f_link);
  auto mode = number_of(block, f_mode), uid = number_of(block, f_uid), gid = number_of(block, f_gid), size = number_of(block, f_size),
       mtime = number_of(block, f_mtime);
  if (!mode || !uid || !gid || !size || !mtime) return bad(entry.name, "a number in its header cannot be read");
  if (*size < 0 || *uid < 0 || *gid < 0 || *uid > UINT32_MAX - 1 || *gid > UINT32_MAX - 1)
    return bad(entry.name, "size, uid or gid is out of range");
  entry.mode = uint32_t(*mode) & 07777;
  entry.uid = uint32_t(*uid);
  entry.gid = uint32_t(*gid);
  entry.size = uint64_t(*size);
  entry.mtime = *mtime;
  if (ustar) {
    auto major = number_of(block, f_major), minor = number_of(block, f_minor);
    if (!major || !minor || *major < 0 || *minor < 0 || *major > UINT32_MAX || *minor > UINT32_MAX)
      return bad(entry.name, "its device number cannot be read");
    entry.major = uint32_t(*major);
    entry.minor = uint32_t(*minor);
  }
  return entry;
}

Result<void> TarReader::apply_pax(const Pax& pax, TarEntry& entry) {
  auto number = [](std::string_view text, auto& to) {
    auto value = parse_number<uint64_t>(text);
    using N = std::decay_t<decltype(to)>;
    if (value && *value <= std::numeric_limits<N>::max()) to = N(*value);
    return bool(value) && *value <= std::numeric_limits<N>::max();
  };
  for (const auto& [key, value] : pax) {
    bool good = true;
    if (key == "path") entry.name = value;
    else if (key == "linkpath") entry.link = value;
    else if (key == "size") good = number(value, entry.size);
    else if (key == "uid") good = number(value, entry.uid);
    else if (key == "gid") good = number(value, entry.gid);
    else if (key == "mtime") {
      auto [seconds, fraction] = split_once(value, '.');
      auto whole = parse_number<int64_t>(seconds);
      good = bool(whole);
      if (whole) entry.mtime = *whole;
      std::string digits(fraction.value_or(""));
      digits.resize(9, '0');
      if (auto ns = parse_number<uint32_t>(digits)) entry.mtime_ns = *ns;
      else good = false;
    } else if (key.starts_with("SCHILY.xattr.")) {
      entry.xattrs.emplace_back(key.substr(13), value);
    } else if (key.starts_with("GNU.sparse.")) {
      return bad(entry.name, "sparse files are not supported; make the archive without --sparse");
    }
    if (!good) return bad(entry.name, "pax record " + key + "=" + quoted(value) + " cannot be read");
  }
  return {};
}

/// Checks the parts against each other and against the limits.
Result<void> TarReader::finish(TarEntry& entry) {
  current_ = entry.name;
  if (entry.name.empty()) return fail(Code::malformed, "tar: a member has no name");
  if (entry.name.size() > limits_.name_length || entry.link.size() > limits_.name_length)
    return fail(Code::too_large, "tar member " + quoted(entry.name.substr(0, 80)) + "…: its name or link is longer than " +
                                     std::to_string(limits_.name_length) + " bytes");
  if (entry.name.find('\0') != std::string::npos || entry.link.find('\0') != std::string::npos)
    return bad(entry.name, "a NUL byte in its name");
  if (++entries_ > limits_.entries)
    return fail(Code::too_large, "the archive has more than " + std::to_string(limits_.entries) + " members");
  // Some writers note the target's size at hard links; no content follows but after POSIX's own, which nobody writes.
  if (entry.type != TarEntry::Type::file) entry.size = 0;
  if (entry.size > limits_.total_bytes - total_)
    return fail(Code::too_large, "tar member " + quoted(entry.name) + ": the archive unpacks to more than " +
                                     std::to_string(limits_.total_bytes) + " bytes");
  total_ += entry.size;
  left_ = entry.size;
  padding_ = (block_size - left_ % block_size) % block_size;
  return {};
}

Result<std::optional<TarEntry>> TarReader::next() {
  if (ended_) return std::nullopt;
  TRY(skip_content());
  std::string long_name, long_link;
  Pax pax;
  bool extended = false;
  char block[block_size];
  for (;;) {
    bool more = TRY(read_block(block));
    if (!more)
      return fail(Code::malformed, entries_ == 0 && !extended ? "this is no tar archive: it is empty"
                                                              : "the archive is truncated after member " + quoted(current_));
    if (std::all_of(block, block + block_size, [](char c) { return c == 0; })) {
      ended_ = true;
      if (extended) return fail(Code::malformed, "tar: the archive ends after an extended header");
      return std::nullopt;
    }
    if (!checksum_holds(block)) {
      return fail(Code::malformed, entries_ == 0 && !extended
                                       ? "this is no tar archive: its first block is no header"
                                       : "the archive is damaged after member " + quoted(current_) + ": wrong header checksum");
    }
    TarEntry entry = TRY(parse_header(block));
    char type = block[type_offset];
    if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
      extended = true;
      std::string text = TRY(read_extended(entry.size));
      if (type == 'x') TRY(parse_pax(text, pax));
      else if (type == 'g') TRY(parse_pax(text, global_));
      else {
        text.resize(std::min(text.find('\0'), text.size()));
        (type == 'L' ? long_name : long_link) = std::move(text);
      }
      continue;
    }
    if (!long_name.empty()) entry.name = long_name;
    if (!long_link.empty()) entry.link = long_link;
    TRY(apply_pax(global_, entry));
    TRY(apply_pax(pax, entry));
    switch (type) {
      case '0':
      case '\0':
      case '7':
        // Before POSIX a directory was a file with a slash behind its name.
        entry.type = entry.name.ends_with('/') && type == '\0' ? TarEntry::Type::directory : TarEntry::Type::file;
        break;
      case '1': entry.type = TarEntry::Type::hardlink; break;
      case '2': entry.type = TarEntry::Type::symlink; break;
      case '3': entry.type = TarEntry::Type::character; break;
      case '4': entry.type = TarEntry::Type::block; break;
      case '5': entry.type = TarEntry::Type::directory; break;
      case '6': entry.type = TarEntry::Type::fifo; break;
      case 'S': return bad(entry.name, "sparse files are not supported; make the archive without --sparse");
      default: return bad(entry.name, std::string("its type ") + quoted(std::string_view(&type, 1)) + " is not known");
    }
    TRY(finish(entry));
    return entry;
  }
}

namespace {

/// Octal with a NUL behind it when it fits.
bool put_octal(char* block, Field field, uint64_t value) {
  char digits[24];
  auto [end, error] = std::to_chars(digits, digits + sizeof digits, value, 8);
  size_t n = size_t(end - digits);
  if (error != std::errc{} || n > field.length - 1) {
    std::memset(block + field.offset, '0', field.length - 1);
    return false;
  }
  std::memset(block + field.offset, '0', field.length - 1 - n);
  std::memcpy(block + field.offset + field.length - 1 - n, digits, n);
  return true;
}

void add_record(std::string& pax, std::string_view key, std::string_view value) {
  size_t bare = key.size() + value.size() + 3;  // space, '=', newline
  size_t length = bare + std::to_string(bare).size();
  if (std::to_string(length).size() != std::to_string(bare).size()) ++length;
  pax += std::to_string(length);
  pax.append(" ").append(key).append("=").append(value).append("\n");
}

char type_char(TarEntry::Type type) {
  switch (type) {
    case TarEntry::Type::file: return '0';
    case TarEntry::Type::hardlink: return '1';
    case TarEntry::Type::symlink: return '2';
    case TarEntry::Type::character: return '3';
    case TarEntry::Type::block: return '4';
    case TarEntry::Type::directory: return '5';
    case TarEntry::Type::fifo: return '6';
  }
  return '0';
}

}  // namespace

Result<void> TarWriter::header(const TarEntry& entry, char type, std::string_view name, std::string_view link, uint64_t size) {
  char block[block_size] = {};
  name.copy(block + f_name.offset, f_name.length);
  link.copy(block + f_link.offset, f_link.length);
  put_octal(block, f_mode, entry.mode);
  put_octal(block, f_uid, entry.uid);
  put_octal(block, f_gid, entry.gid);
  put_octal(block, f_size, size);
  put_octal(block, f_mtime, uint64_t(std::max<int64_t>(entry.mtime, 0)));
  put_octal(block, f_major, entry.major);
  put_octal(block, f_minor, entry.minor);
  block[type_offset] = type;
  std::memcpy(block + f_magic.offset, "ustar\00000", 8);
  std::memset(block + f_checksum.offset, ' ', f_checksum.length);
  uint64_t sum = 0;
  for (unsigned char c : block) sum += c;
  put_octal(block, {f_checksum.offset, 7}, sum);
  return sink_.write({block, block_size});
}

Result<void> TarWriter::begin(const TarEntry& entry) {
  std::string pax;
  if (entry.name.size() > f_name.length) add_record(pax, "path", entry.name);
  if (entry.link.size() > f_link.length) add_record(pax, "linkpath", entry.link);
  constexpr uint64_t seven = 1 << 21;  // 7 octal digits
  if (entry.uid >= seven) add_record(pax, "uid", std::to_string(entry.uid));
  if (entry.gid >= seven) add_record(pax, "gid", std::to_string(entry.gid));
  if (entry.size >= 1ull << 33) add_record(pax, "size", std::to_string(entry.size));
  if (entry.mtime_ns || entry.mtime < 0 || entry.mtime >= 1ll << 33) {
    std::string ns = std::to_string(entry.mtime_ns);
    add_record(pax, "mtime", std::to_string(entry.mtime) + "." + std::string(9 - ns.size(), '0') + ns);
  }
  for (const auto& [key, value] : entry.xattrs) add_record(pax, "SCHILY.xattr." + key, value);
  if (!pax.empty()) {
    TRY(header({.mode = 0644}, 'x', "pax", "", pax.size()));
    TRY(sink_.write(pax));
    TRY(sink_.write(std::string((block_size - pax.size() % block_size) % block_size, '\0')));
  }
  TRY(header(entry, type_char(entry.type), entry.name, entry.link, entry.size));
  left_ = entry.size;
  padding_ = (block_size - left_ % block_size) % block_size;
  return {};
}

Result<void> TarWriter::content(std::string_view bytes) {
  if (bytes.size() > left_) return fail(Code::internal, "tar: more content than the header says");
  left_ -= bytes.size();
  return sink_.write(bytes);
}

Result<void> TarWriter::end() {
  if (left_) return fail(Code::internal, "tar: less content than the header says");
  return sink_.write(std::string(std::exchange(padding_, 0), '\0'));
}

Result<void> TarWriter::file(std::string name, std::string_view text) {
  TRY(begin({.name = std::move(name), .mode = 0644, .size = text.size()}));
  TRY(content(text));
  return end();
}

Result<void> TarWriter::finish() { return sink_.write(std::string(2 * block_size, '\0')); }

}  // namespace estiba::image
