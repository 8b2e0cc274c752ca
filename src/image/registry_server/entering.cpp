#include "image/registry_server/entering.h"

#include "base/log.h"
#include "base/strings.h"
#include "os/file.h"

namespace estiba::image {
namespace {

constexpr uint64_t small = 16 << 20;  // bytes of layers; unpacked in less time than a client's next request takes to come

void warn(const std::string& repository, const std::string& tag, const Error& error) {
  log::warn("registry", "a pushed image cannot be used on this machine", {{"image", repository + ":" + tag}, {"error", error}});
}

}  // namespace

Entering::Entering(Store& store, const Repositories& repositories, SharedImages& images, io::Pool& pool)
    : store_(store), repositories_(repositories), images_(images), pool_(pool), dir_(store.data_dir() + "/registry/entering") {}

Result<void> Entering::resume() {
  TRY(os::make_dirs(dir_, 0700));
  for (const auto& note : TRY(os::list_dir(dir_))) {
    const std::string path = dir_ + "/" + note.name;
    const std::string text = TRY(os::read_file(path));
    auto lines = split(text, '\n');
    if (lines.size() < 4) {  // of a machine that stopped while it was written
      TRY(os::remove_file(path));
      continue;
    }
    Entry entry{{}, std::string(lines[1]), std::string(lines[2]), std::string(lines[0])};
    for (std::string_view host : split(lines[3], ' ')) entry.hosts.emplace_back(host);
    pool_.submit([this, entry = std::move(entry), path] { finish(entry, path); });
  }
  return {};
}

void Entering::enter(std::vector<std::string> hosts, std::string repository, std::string tag, std::string digest) {
  if (hosts.empty()) return;
  Entry entry{std::move(hosts), std::move(repository), std::move(tag), std::move(digest)};
  auto packed = images_.packed_bytes(entry.digest);
  auto done = !packed ? std::unexpected(std::move(packed.error())) : *packed <= small ? enter_now(entry) : enter_later(entry);
  if (!done) warn(entry.repository, entry.tag, done.error());
}

Result<void> Entering::enter_now(const Entry& entry) {
  return images_.enter(entry.hosts, entry.repository, entry.tag, entry.digest,
                       [&] { return repositories_.tag(entry.repository, entry.tag) == entry.digest; });
}

Result<void> Entering::enter_later(Entry entry) {
  const std::string text = entry.digest + "\n" + entry.repository + "\n" + entry.tag + "\n" + join(entry.hosts, " ") + "\n";
  const std::string note = dir_ + "/" + std::string(hex_of(digest_of(text)));
  TRY(os::write_file_atomic(note, text, 0600, false));
  pool_.submit([this, entry = std::move(entry), note] { finish(entry, note); });
  return {};
}

void Entering::finish(const Entry& entry, const std::string& note) {
  auto done = [&]() -> Result<void> {
    Fd keep = TRY(store_.adding());
    return enter_now(entry);
  }();
  if (!done) warn(entry.repository, entry.tag, done.error());
  (void)os::remove_file(note);
}

}  // namespace estiba::image
