// Small files of the run directory. They need no syncing: a reboot clears them, and what they describe with them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::engine {

/// A missing file is not_found.
Result<std::string> read_file(const std::string& path);
/// Old or new content, never half of it.
Result<void> write_file(const std::string& path, std::string_view bytes, unsigned mode = 0600);
/// With its parents; an existing one is fine.
Result<void> make_dirs(const std::string& path, unsigned mode = 0755);
/// Names of the entries; none when the directory is missing.
Result<std::vector<std::string>> list_names(const std::string& path);
Result<void> delete_file(const std::string& path);  ///< missing is fine

}  // namespace estiba::engine
