#include "store/snapshot.h"

#include <openssl/evp.h>

#include "base/protobuf_wire.h"

namespace estiba::store {

namespace {

constexpr std::string_view magic = "estiba snapshot 1\n", family = "estiba snapshot ";
constexpr size_t hash_bytes = 32;

std::string sha256(std::string_view bytes) {
  std::string out(hash_bytes, '\0');
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()), &size, EVP_sha256(), nullptr);
  return out;
}

struct Header {
  Revision revision = 0;
  uint64_t count = 0;
};

bool read_header(std::string_view bytes, Header& out) {
  wire::Reader reader(bytes);
  while (!reader.done()) {
    auto field = reader.next();
    if (!field) return false;
    if (field->number == 1) out.revision = Revision(field->integer);
    if (field->number == 2) out.count = field->integer;
  }
  return true;
}

bool read_entry(std::string_view bytes, Entry& out) {
  wire::Reader reader(bytes);
  while (!reader.done()) {
    auto field = reader.next();
    if (!field) return false;
    switch (field->number) {
      case 1: out.key = field->bytes; break;
      case 2: out.value = field->bytes; break;
      case 3: out.create_revision = Revision(field->integer); break;
      case 4: out.mod_revision = Revision(field->integer); break;
      case 5: out.version = int64_t(field->integer); break;
    }
  }
  return !out.key.empty() && out.mod_revision > 0;
}

/// Takes records off the front of the bytes.
class Records {
 public:
  explicit Records(std::string_view rest) : rest_(rest) {}
  /// nullopt when the bytes end before the record does. The end of the records is an empty one.
  std::optional<std::string_view> next() {
    uint64_t size = 0;
    size_t used = 0;
    for (int shift = 0;; shift += 7) {
      if (used == rest_.size() || shift > 56) return std::nullopt;
      const auto c = uint8_t(rest_[used++]);
      size |= uint64_t(c & 0x7f) << shift;
      if (c < 0x80) break;
    }
    if (size > rest_.size() - used) return std::nullopt;
    std::string_view out = rest_.substr(used, size);
    rest_.remove_prefix(used + size);
    return out;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

std::unexpected<Error> bad(std::string_view name, std::string_view what) {
  return fail(Code::invalid, std::string(name) + " " + std::string(what));
}

}  // namespace

SnapshotWriter::SnapshotWriter() : hash_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(hash_, EVP_sha256(), nullptr); }
SnapshotWriter::~SnapshotWriter() { EVP_MD_CTX_free(hash_); }

std::string SnapshotWriter::counted(std::string bytes) {
  EVP_DigestUpdate(hash_, bytes.data(), bytes.size());
  return bytes;
}

std::string SnapshotWriter::record(std::string_view message) {
  std::string out;
  out.reserve(message.size() + 10);
  wire::put_varint(out, message.size());
  out += message;
  return counted(std::move(out));
}

std::string SnapshotWriter::begin(Revision revision, size_t count) {
  std::string header;
  wire::put_int(header, 1, revision);
  wire::put_int(header, 2, int64_t(count));
  std::string out = counted(std::string(magic));
  return out + record(header);
}

std::string SnapshotWriter::entry(const Entry& entry) {
  std::string message;
  message.reserve(entry.key.size() + entry.value.size() + 48);
  wire::put_bytes(message, 1, entry.key);
  wire::put_bytes(message, 2, entry.value);
  wire::put_int(message, 3, entry.create_revision);
  wire::put_int(message, 4, entry.mod_revision);
  wire::put_int(message, 5, entry.version);
  return record(message);
}

std::string SnapshotWriter::end() {
  std::string out = record({});
  std::string hash(hash_bytes, '\0');
  unsigned size = 0;
  EVP_DigestFinal_ex(hash_, reinterpret_cast<unsigned char*>(hash.data()), &size);
  return out + hash;
}

std::string write_snapshot(const SnapshotContents& contents) {
  SnapshotWriter writer;
  std::string out = writer.begin(contents.revision, contents.entries.size());
  for (const EntryPtr& entry : contents.entries) out += writer.entry(*entry);
  return out + writer.end();
}

Result<SnapshotContents> read_snapshot(std::string_view bytes, std::string_view name) {
  if (!bytes.starts_with(magic)) {
    if (magic.starts_with(bytes)) return bad(name, "is empty or cut off: take the snapshot again");
    if (bytes.starts_with(family)) return bad(name, "is a snapshot of another format; use the version of estiba that wrote it");
    return bad(name, "is no snapshot that `estiba snapshot save` wrote");
  }
  const std::string cut = "is cut off after " + std::to_string(bytes.size()) + " bytes: take the snapshot again, or copy it anew";
  Records records(bytes.substr(magic.size()));
  std::vector<std::string_view> messages;
  for (;;) {
    auto record = records.next();
    if (!record) return bad(name, cut);
    if (record->empty()) break;
    messages.push_back(*record);
  }
  if (records.rest().size() < hash_bytes) return bad(name, cut);
  constexpr std::string_view damaged = "is damaged: its checksum does not hold; use another copy";
  if (records.rest() != sha256(bytes.substr(0, bytes.size() - records.rest().size()))) return bad(name, damaged);
  Header header;
  if (messages.empty() || !read_header(messages[0], header) || header.count != messages.size() - 1) return bad(name, damaged);
  SnapshotContents out;
  out.revision = header.revision;
  out.entries.reserve(header.count);
  for (size_t i = 1; i < messages.size(); ++i) {
    auto entry = std::make_shared<Entry>();
    if (!read_entry(messages[i], *entry) || entry->mod_revision > out.revision) return bad(name, damaged);
    if (!out.entries.empty() && out.entries.back()->key >= entry->key) return bad(name, damaged);
    out.entries.push_back(std::move(entry));
  }
  return out;
}

}  // namespace estiba::store
