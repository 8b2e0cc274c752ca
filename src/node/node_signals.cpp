#include "node/node_signals.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>

#include "base/strings.h"
#include "engine/files.h"
#include "node/context.h"
#include "node/machine.h"

namespace estiba::node {

namespace {

int64_t number_in(const char* path, int64_t otherwise) {
  return parse_number<int64_t>(trim(engine::read_file(path).value_or(std::string()))).value_or(otherwise);
}

// Of /proc/loadavg's fourth field, "running/all".
std::optional<int64_t> tasks() {
  const std::string text = engine::read_file("/proc/loadavg").value_or(std::string());
  const auto words = split(text, ' ');
  if (words.size() < 4) return std::nullopt;
  const auto all = split_once(words[3], '/').second;
  return all ? parse_number<int64_t>(*all) : std::nullopt;
}

void read_disk(const std::string& path, Signal bytes, Signal inodes, Observations& out) {
  struct statvfs facts{};
  if (statvfs(path.c_str(), &facts) != 0) return;
  const int64_t unit = int64_t(facts.f_frsize);
  out[bytes] = {int64_t(facts.f_bavail) * unit, int64_t(facts.f_blocks) * unit};
  // btrfs has no number of inodes: what has no capacity is never short.
  if (facts.f_files > 0) out[inodes] = {int64_t(facts.f_ffree), int64_t(facts.f_files)};
}

}  // namespace

Observations read_signals(const Options& options) {
  Observations out;
  if (const MachineMemory memory = machine_memory(); memory.total > 0)
    out[Signal::memory_available] = {int64_t(memory.available()), int64_t(memory.total)};
  read_disk(options.data_dir, Signal::nodefs_available, Signal::nodefs_inodes_free, out);
  read_disk(options.data_dir + "/images", Signal::imagefs_available, Signal::imagefs_inodes_free, out);
  const int64_t most = std::min(number_in("/proc/sys/kernel/pid_max", 4194304), number_in("/proc/sys/kernel/threads-max", 4194304));
  if (const auto all = tasks()) out[Signal::pid_available] = {most - *all, most};
  return out;
}

bool images_apart(const Options& options) {
  struct stat node{}, images{};
  return stat(options.data_dir.c_str(), &node) == 0 && stat((options.data_dir + "/images").c_str(), &images) == 0 &&
         node.st_dev != images.st_dev;
}

}  // namespace estiba::node
