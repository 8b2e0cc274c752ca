// Store: blobs, temporary files, and the use of images by containers.
#include "image/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "os/file.h"
#include "os/placement.h"

namespace estiba::image {

Store::Store(std::string data_dir) : data_dir_(std::move(data_dir)), root_(data_dir_ + "/images") {}

Result<std::unique_ptr<Store>> Store::open(std::string data_dir) {
  std::unique_ptr<Store> store(new Store(std::move(data_dir)));
  TRY_AS("open the image store", os::make_dirs(store->root_, 0700));
  for (const char* name : {"/blobs", "/blobs/sha256", "/recipes", "/recipes/sha256", "/layers", "/pins", "/unsynced", "/partial", "/tmp"})
    TRY_AS("open the image store", os::make_dir(store->root_ + name, 0700));
  TRY_AS("open the image store", os::make_dir(store->data_dir_ + "/containers", 0700));
  for (const std::string& trees : {store->root_ + "/tmp", store->data_dir_ + "/containers"}) os::place_apart(trees);
  store->boot_ = trim(TRY(os::read_file("/proc/sys/kernel/random/boot_id")));
  TRY_AS("open the image store", store->repair());
  return store;
}

std::string Store::blob_path(std::string_view digest) const { return root_ + "/blobs/sha256/" + std::string(hex_of(digest)); }

bool Store::has_blob(std::string_view digest) const {
  return valid_digest(digest) && (os::exists(blob_path(digest)) || os::exists(recipe_path(digest)));
}

Result<Fd> Store::open_blob(std::string_view digest) const {
  if (!valid_digest(digest)) return fail(Code::invalid, quoted(digest) + " is not a sha256 digest");
  auto fd = os::open_file(blob_path(digest), O_RDONLY);
  if (!fd && fd.error().sys == ENOENT)
    return fail(Code::not_found, "blob " + std::string(digest) + " is not in the image store; import or pull the image again");
  return fd;
}

Result<uint64_t> Store::blob_size(std::string_view digest) const {
  auto fd = open_blob(digest);
  if (fd) return uint64_t(TRY(os::fstat_file(fd->get())).st_size);
  if (fd.error().code == Code::not_found)
    if (auto made = TRY(recipe(digest))) return made->size;
  return std::unexpected(fd.error());
}

Result<std::string> Store::read_blob(std::string_view digest, uint64_t limit) const {
  Fd fd = TRY(open_blob(digest));
  FileSource file(fd.get());
  std::string text = TRY_AS("blob " + std::string(digest), image::read_all(file, limit));
  if (auto actual = digest_of(text); actual != digest)
    return fail(Code::malformed, "blob " + std::string(digest) + " in the image store is damaged: its content has digest " + actual);
  return text;
}

Result<Store::Temporary> Store::temporary(bool directory) {
  for (;;) {
    std::string path = root_ + "/tmp/" + random_suffix(16);
    if (directory) TRY(os::make_dir(path, 0700));
    auto fd = directory ? os::open_file(path, O_RDONLY | O_DIRECTORY) : os::open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (!fd) {
      if (directory && fd.error().sys == ENOENT) continue;  // a collector took it before it was locked
      return std::unexpected(fd.error());
    }
    if (::flock(fd->get(), LOCK_EX | LOCK_NB) != 0 || !os::exists(path)) continue;
    return Temporary{std::move(path), std::move(*fd)};
  }
}

Result<BlobWriter> Store::new_blob() {
  Temporary place = TRY_AS("new blob", temporary(false));
  return BlobWriter(*this, std::move(place.held), std::move(place.path));
}

Result<BlobWriter> Store::resume_blob(std::string path) {
  Fd fd = TRY_AS("go on with a blob", os::open_file(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  return go_on(std::move(fd), std::move(path));
}

Result<BlobWriter> Store::partial_blob(std::string_view digest, uint64_t size) {
  std::string path = root_ + "/partial/" + std::string(hex_of(digest));
  auto fd = os::open_file(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  struct stat named{}, open{};
  if (!fd || ::flock(fd->get(), LOCK_EX | LOCK_NB) != 0 || ::fstat(fd->get(), &open) != 0 || ::stat(path.c_str(), &named) != 0 ||
      named.st_ino != open.st_ino)
    return new_blob();
  if (uint64_t(open.st_size) > size && ::ftruncate(fd->get(), 0) != 0) return fail_errno("empty " + path);
  return go_on(std::move(*fd), std::move(path));
}

Result<BlobWriter> Store::go_on(Fd fd, std::string path) {
  BlobWriter out(*this, std::move(fd), std::move(path));
  out.stays_ = true;
  auto buffer = std::make_unique<char[]>(chunk_size);
  FileSource here(out.fd_.get());
  while (size_t n = TRY(here.read({buffer.get(), chunk_size}))) {
    out.hash_.update({buffer.get(), n});
    out.size_ += n;
  }
  return out;
}

Result<std::string> Store::add_blob(std::string_view text) {
  auto digest = digest_of(text);
  if (has_blob(digest)) return digest;
  BlobWriter writer = TRY(new_blob());
  TRY(writer.write(text));
  return writer.commit();
}

BlobWriter::~BlobWriter() {
  if (fd_ && !stays_) ::unlink(path_.c_str());
}

Result<void> BlobWriter::write(std::string_view bytes) {
  hash_.update(bytes);
  size_ += bytes.size();
  return within("write blob", os::write_all(fd_.get(), bytes));
}

Result<std::string> BlobWriter::commit(std::string_view expected) {
  std::string digest = hash_.digest();
  if (!expected.empty() && digest != expected) {
    if (stays_) ::unlink(path_.c_str());  // going on with it would fail again
    return fail(Code::malformed, "digest mismatch: the content has " + digest + ", but " + std::string(expected) + " was expected");
  }
  if (store_->has_blob(digest)) {
    if (stays_) ::unlink(path_.c_str());
  } else {
    if (::fchmod(fd_.get(), 0444) != 0) return fail_errno("finish blob " + digest);
    TRY(store_->note_unsynced("blob", digest));
    TRY(os::rename_file(path_, store_->blob_path(digest)));
    fd_.reset();
  }
  return digest;
}

Result<Fd> Store::adding() {
  Fd fd = TRY(os::open_file(root_ + "/content.lock", O_RDWR | O_CREAT, 0600));
  while (::flock(fd.get(), LOCK_SH) != 0)
    if (errno != EINTR) return fail_errno("lock " + root_ + "/content.lock");
  return fd;
}

Result<std::shared_ptr<const Config>> Store::config(std::string_view id) {
  {
    std::lock_guard lock(mutex_);
    if (auto it = configs_.find(id); it != configs_.end()) return it->second;
  }
  auto parsed = std::make_shared<const Config>(TRY(parse_config(TRY(read_blob(id)))));
  std::lock_guard lock(mutex_);
  return configs_.emplace(std::string(id), parsed).first->second;
}

Result<Manifest> Store::manifest(const Record& record) const { return parse_manifest(TRY(read_blob(record.manifest))); }

Result<Record> Store::use(std::string_view container_id, std::string_view name) {
  auto record = TRY(find(name));
  if (!record) return fail(Code::not_found, "image " + std::string(name) + " is not here; pull or import it first");
  const std::string dir = container_dir(container_id);
  TRY(os::make_dirs(dir, 0700));
  TRY(os::write_file(dir + "/image", record->id + "\n", O_CREAT | O_TRUNC, 0600));
  // Only now is it safe from the collector: look again (see the head of store.h).
  auto again = TRY(find(record->id));
  if (!again) return fail(Code::not_found, "image " + std::string(name) + " was removed just now; pull or import it again");
  return std::move(*again);
}

}  // namespace estiba::image
