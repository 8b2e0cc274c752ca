// Directories behind a pod's volumes: emptyDir (on disk or in memory), hostPath with its types, and paths inside volumes.
// All calls block and belong on a pool.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::volume {

/// Makes a directory every user may write to, owned by `gid` with the set-group-ID bit when given (fsGroup). Existing ones
/// are left with their content.
Result<void> make_empty_dir(const std::string& path, std::optional<gid_t> gid);
/// The same on a tmpfs of its own, which is not swapped where the kernel has the option (6.3); `size_bytes` 0 leaves the kernel's default
/// (half of the memory).
Result<void> make_memory_dir(const std::string& path, uint64_t size_bytes, std::optional<gid_t> gid);
/// The same on a hugetlbfs of its own with pages of that size; an error when the kernel has none of it.
Result<void> make_huge_page_dir(const std::string& path, uint64_t page_bytes, std::optional<gid_t> gid);
/// Makes a directory for write_atomically.
Result<void> make_plain_dir(const std::string& path);
/// Unmounts what is mounted at or below `path` and removes it. What is not there is fine.
Result<void> remove_dir_tree(const std::string& path);

/// Checks `path` against a hostPath type ("", DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice,
/// BlockDevice), making what the type asks to make. The error is worded as the kubelet's events are.
Result<void> check_host_path(const std::string& path, std::string_view type);

/// The real path of `sub_path` inside the volume at `root`, symlinks resolved within it; an attempt to leave it is an
/// error. What does not exist is made as a directory, when `make` is set.
Result<std::string> resolve_sub_path(const std::string& root, std::string_view sub_path, bool make);

/// A file inside the volume at `root`, symlinks resolved within it; an error when it is no plain file or larger than `limit`.
Result<std::string> read_file_in(const std::string& root, std::string_view path, uint64_t limit);

}  // namespace estiba::volume
