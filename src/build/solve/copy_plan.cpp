#include <algorithm>
#include <thread>

#include "base/strings.h"
#include "build/context/ignore.h"
#include "build/solve/copy.h"
#include "image/digest.h"

namespace estiba::build {
namespace {

using Type = FileInfo::Type;

bool has_wildcard(std::string_view text) { return text.find_first_of("*?[") != text.npos; }

std::string last_part(std::string_view path) {
  size_t slash = path.rfind('/');
  return std::string(slash == path.npos ? path : path.substr(slash + 1));
}

std::string joined(const std::string& a, const std::string& b) { return a.empty() ? b : b.empty() ? a : a + "/" + b; }

class Planner {
 public:
  Planner(const Tree& tree, const CopyRequest& request) : tree_(tree), request_(request) {}

  Result<CopyPlan> run() {
    for (const std::string& text : request_.exclude) exclude_.push_back(TRY_AS("--exclude", PathPattern::parse(text)));
    for (const std::string& source : request_.sources) TRY(one(source));
    if (plan_.sources.empty()) return failed("no source files were specified");
    TRY(digest());
    return std::move(plan_);
  }

 private:
  [[nodiscard]] std::unexpected<Error> failed(std::string_view why, Code code = Code::not_found) const {
    return fail(code, request_.keyword + " failed: " + std::string(why));
  }
  [[nodiscard]] std::unexpected<Error> missing(std::string_view source) const {
    return failed((request_.keep_owner ? "file not found: stat " : "file not found in build context or excluded by .dockerignore: stat ") +
                  std::string(source) + ": file does not exist");
  }

  Result<void> one(const std::string& source) {
    int depth = 0;
    for (std::string_view part : split(source, '/')) {
      if (part.empty() || part == ".") continue;
      depth += part == ".." ? -1 : 1;
      if (depth < 0) return failed("forbidden path outside the build context: " + source + " ()", Code::invalid);
    }
    // With --parents, "a/./b/c" keeps b/c only.
    std::string pivot;
    size_t dot = request_.parents ? source.find("/./") : source.npos;
    if (dot != source.npos) pivot = clean_path(source.substr(0, dot));
    std::string clean = clean_path(source);
    if (!has_wildcard(clean)) return add(clean, source, pivot);
    std::vector<std::string> found;
    PathPattern pattern = TRY_AS(request_.keyword, PathPattern::parse(clean));
    TRY(match("", pattern, found));
    for (const std::string& path : found) TRY(add(path, path, pivot));
    return {};
  }

  Result<void> match(const std::string& directory, const PathPattern& pattern, std::vector<std::string>& found) {
    for (const std::string& name : TRY(tree_.list(directory))) {
      std::string path = joined(directory, name);
      if (pattern.matches(path)) found.push_back(path);
      if (!pattern.may_match_below(path)) continue;
      auto info = TRY(tree_.look(path));
      if (info && info->type == Type::directory) TRY(match(path, pattern, found));
    }
    return {};
  }

  Result<void> add(const std::string& path, std::string_view written, const std::string& pivot) {
    std::string resolved = TRY(tree_.resolve(path, true));
    auto info = TRY(tree_.look(resolved));
    if (!info) return missing(written);
    CopySource source;
    source.name = last_part(path);
    if (request_.parents) {
      source.name = !pivot.empty() && path.starts_with(pivot + "/") ? path.substr(pivot.size() + 1) : path == pivot ? "" : path;
      source.parents = pivot;
    }
    if (info->type != Type::directory && excluded(path, last_part(path))) return {};
    if (info->type == Type::file && request_.unpack) source.archive = TRY(is_archive(tree_, resolved));
    TRY(item(source, resolved, "", std::move(*info)));
    plan_.sources.push_back(std::move(source));
    return {};
  }

  bool excluded(const std::string& path, const std::string& relative) const {
    return std::any_of(exclude_.begin(), exclude_.end(), [&](const PathPattern& p) { return p.matches(path) || p.matches(relative); });
  }

  Result<void> item(CopySource& source, const std::string& path, const std::string& relative, FileInfo info) {
    bool directory = info.type == Type::directory;
    if (!request_.keep_owner) info.uid = info.gid = 0;
    if (request_.owner) {
      info.uid = request_.owner->uid;
      info.gid = request_.owner->gid;
    }
    if (request_.mode && info.type != Type::symlink) info.mode = *request_.mode;
    source.items.push_back({path, relative, std::move(info)});
    if (!directory) return {};
    for (const std::string& name : TRY(tree_.list(path))) {
      std::string below = joined(path, name), inner = joined(relative, name);
      if (excluded(below, inner)) continue;
      auto child = tree_.look(below);
      if (!child && child.error().code == Code::invalid) continue;  // a socket: no image can hold one
      if (!child) return std::unexpected(std::move(child.error()));
      if (*child) TRY(item(source, below, inner, std::move(**child)));
    }
    return {};
  }

  /// Contents of other stages' files are read here, by as many threads as help; a context's are known already.
  Result<void> digest() {
    std::vector<const CopyItem*> files;
    for (const CopySource& source : plan_.sources)
      for (const CopyItem& item : source.items)
        if (item.info.type == Type::file) files.push_back(&item);
    std::vector<std::string> digests(files.size());
    uint64_t bytes = 0;
    for (const CopyItem* file : files) bytes += file->info.size;
    const size_t threads = files.size() < 64 && bytes < (4 << 20)
                               ? 1
                               : std::min<size_t>(files.size(), std::clamp(std::thread::hardware_concurrency(), 1u, 4u));
    std::vector<Result<void>> results(threads);
    auto work = [&](size_t t) {
      for (size_t i = t; i < files.size(); i += threads) {
        auto digest = tree_.digest(files[i]->source);
        if (!digest) {
          results[t] = std::unexpected(std::move(digest.error()));
          return;
        }
        digests[i] = std::move(*digest);
      }
    };
    std::vector<std::thread> running;
    for (size_t t = 1; t < threads; ++t) running.emplace_back(work, t);
    work(0);
    for (std::thread& thread : running) thread.join();
    for (auto& result : results) TRY(std::move(result));
    image::Sha256 hash;
    size_t next = 0;
    for (const CopySource& source : plan_.sources) {
      hash.update(source.name + '\0' + (source.archive ? "a" : "-"));
      for (const CopyItem& item : source.items) {
        std::string line = item.relative + '\0' + std::to_string(int(item.info.type)) + ' ' + std::to_string(item.info.mode) + ' ' +
                           std::to_string(item.info.uid) + ' ' + std::to_string(item.info.gid) + ' ' + std::to_string(item.info.major) +
                           ' ' + std::to_string(item.info.minor) + '\0' + item.info.link + '\0';
        for (const auto& [name, value] : item.info.xattrs) line += name + '=' + value + '\0';
        if (item.info.type == Type::file) line += digests[next++];
        hash.update(line + '\n');
      }
    }
    plan_.digest = hash.digest();
    return {};
  }

  const Tree& tree_;
  const CopyRequest& request_;
  std::vector<PathPattern> exclude_;
  CopyPlan plan_;
};

}  // namespace

Result<CopyPlan> plan_copy(const Tree& tree, const CopyRequest& request) { return Planner(tree, request).run(); }

}  // namespace estiba::build
