#include "build/context/walk.h"

#include <fcntl.h>

#include <algorithm>

#include "base/strings.h"
#include "os/file.h"

namespace estiba::build {
namespace {

class Walk {
 public:
  Walk(int root, const IgnoreRules& rules) : root_(root), rules_(rules) {}

  Result<void> below(const std::string& directory) {
    auto listed = open_directory(directory);
    if (!listed) return std::unexpected(std::move(listed.error()).context("error checking context"));
    const Fd fd = std::move(*listed);
    auto names = TRY_AS("error checking context", os::list_dir(fd.get()));
    std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    for (const auto& entry : names) TRY(one(fd.get(), entry.name, directory.empty() ? entry.name : directory + "/" + entry.name));
    return {};
  }

  std::vector<WalkedFile> found;

 private:
  Result<Fd> open_directory(const std::string& path) const {
    return os::open_at(root_, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }

  Result<void> one(int directory, const std::string& name, const std::string& path) {
    struct stat st;
    if (::fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return {};  // gone meanwhile
      return fail_errno("error checking context: can't stat " + quoted(path));
    }
    const bool is_directory = S_ISDIR(st.st_mode), ignored = rules_.ignored(path);
    if (S_ISSOCK(st.st_mode) || (ignored && !is_directory)) return {};
    if (ignored && rules_.ignored_whole(path)) return {};
    if (path.size() > 4000) return fail(Code::invalid, "error checking context: the path " + quoted(path.substr(0, 80)) + "… is too long");
    if (!ignored) found.push_back({path, st});
    const size_t before = found.size();
    if (is_directory) TRY(below(path));
    if (ignored && found.size() > before) found.insert(found.begin() + long(before), {path, st});
    return {};
  }

  int root_;
  const IgnoreRules& rules_;
};

}  // namespace

Result<std::vector<WalkedFile>> walk_context(int root, const IgnoreRules& rules) {
  Walk walk(root, rules);
  TRY(walk.below(""));
  return std::move(walk.found);
}

}  // namespace estiba::build
