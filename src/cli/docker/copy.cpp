// docker cp: between the container's file system, as tar archives, and this one's.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "base/strings.h"
#include "cli/docker/copy_tree.h"
#include "cli/docker/format.h"
#include "cli/docker/session.h"
#include "cli/docker/terminal.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"

namespace estiba::cli::docker {

namespace {

struct Place {
  std::string container, path;  ///< no container: a local path, or "-"
};

// "NAME:PATH"; an absolute path, or one that begins with ".", is local whatever it holds.
Place parse_place(std::string_view text) {
  auto [name, path] = split_once(text, ':');
  if (text.starts_with('/') || !path || name.starts_with('.')) return {"", std::string(text)};
  return {std::string(name), std::string(*path)};
}

// What X-Docker-Container-Path-Stat says.
struct PathStat {
  std::string name, link;
  bool directory = false, symlink = false;
};

Result<PathStat> parse_stat(const Response& response) {
  const std::string text = TRY_AS("X-Docker-Container-Path-Stat", base64_decode(response.headers.get("X-Docker-Container-Path-Stat")));
  const json::Document document = TRY_AS("X-Docker-Container-Path-Stat", json::Document::parse(text));
  PathStat out;
  out.name = document.root().string_at("name");
  out.link = document.root().string_at("linkTarget");
  const json::Node* mode = document.root().find("mode");
  const int64_t bits = mode ? mode->as_int().value_or(0) : 0;
  out.directory = bits & (1ll << 31);  // Go's os.ModeDir and os.ModeSymlink
  out.symlink = bits & (1ll << 27);
  return out;
}

Request archive_request(const char* method, const Place& place, const std::string& path) {
  Request request{.method = method, .path = "/containers/" + segment(place.container) + "/archive"};
  request.query.add("path", path);
  return request;
}

Result<PathStat> stat_in(Client& client, const Place& place, const std::string& path) {
  auto response = TRY(client.send(archive_request("HEAD", place, path)));
  if (response->status == 404)
    return fail(Code::not_found, "Error response from daemon: Could not find the file " + path + " in container " + place.container);
  if (response->status >= 400) return std::unexpected(daemon_error(*response));
  return parse_stat(*response);
}

std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  return std::string(slash == path.npos || path == "/" ? path : path.substr(slash + 1));
}

std::string parent_of(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return std::string(slash == 0 ? "/" : path.substr(0, slash));
}

// "dir/." copies what is in the directory.
bool names_content(std::string_view path) { return path == "." || path.ends_with("/."); }

std::string resolve(const std::string& link, const std::string& path) {
  return link.starts_with('/') ? link : parent_of(path) + "/" + link;
}

Result<int> from_container(Call& call, Place from, const Place& to, bool follow, bool keep_owner, bool quiet) {
  Client& client = *TRY(call.cli.client());
  if (follow) {
    auto stat = TRY(stat_in(client, from, from.path));
    if (stat.symlink) from.path = resolve(stat.link, from.path);
  }
  auto response = TRY(client.stream(archive_request("GET", from, from.path)));
  if (to.path == "-") {
    std::vector<char> bytes(256 * 1024);
    for (;;) {
      const size_t n = TRY(response->read(bytes.data(), bytes.size()));
      if (n == 0 || !print_bytes(1, {bytes.data(), n})) return 0;
    }
  }
  const PathStat source = TRY(parse_stat(*response));
  struct stat target{};
  const bool exists = stat(to.path.c_str(), &target) == 0;
  const bool into = exists && S_ISDIR(target.st_mode);
  if (source.directory && exists && !into) return fail(Code::invalid, "cannot copy directory");
  if (!exists && !source.directory && to.path.ends_with('/'))
    return fail(Code::invalid, "invalid output path: directory " + quoted(parent_of(to.path + "x")) + " does not exist");
  ExtractOptions options{.keep_owner = keep_owner};
  std::string directory = to.path;
  if (into) {
    // The archive's first name is the source's; its content goes straight in when it was asked for by "/.".
    options.rename_root = names_content(from.path) ? "" : base_name(source.name.empty() ? from.path : source.name);
  } else {
    directory = parent_of(to.path);
    options.rename_root = base_name(to.path);
    struct stat above{};
    if (stat(directory.c_str(), &above) != 0 || !S_ISDIR(above.st_mode))
      return fail(Code::invalid, "invalid output path: directory " + quoted(directory) + " does not exist");
  }
  const uint64_t bytes = TRY(extract(*response, directory, options));
  if (!quiet) std::fprintf(stderr, "Successfully copied %s to %s\n", human_size(double(bytes)).c_str(), to.path.c_str());
  return 0;
}

Result<int> to_container(Call& call, const Place& from, Place to, bool follow, bool keep_owner, bool quiet) {
  Client& client = *TRY(call.cli.client());
  auto stat = stat_in(client, to, to.path);
  for (int links = 0; stat && stat->symlink && links < 10; ++links) {
    to.path = resolve(stat->link, to.path);
    stat = stat_in(client, to, to.path);
  }
  if (!stat && stat.error().code != Code::not_found) return std::unexpected(std::move(stat.error()));
  const bool into = stat && stat->directory;
  Request request;
  uint64_t sent = 0;
  if (from.path == "-") {
    if (!into) return fail(Code::invalid, "destination \"" + to.container + ":" + to.path + "\" must be a directory");
    request = archive_request("PUT", to, to.path);
    request.upload = [&sent]() -> Result<std::string> {
      std::string piece(256 * 1024, '\0');
      ssize_t n;
      do n = read(0, piece.data(), piece.size());
      while (n < 0 && errno == EINTR);
      if (n < 0) return fail_errno("read stdin");
      piece.resize(size_t(n));
      sent += piece.size();
      return piece;
    };
  } else {
    struct stat source{};
    if ((follow ? ::stat : ::lstat)(from.path.c_str(), &source) != 0) return fail_errno("lstat " + from.path);
    const bool directory = S_ISDIR(source.st_mode);
    if (directory && stat && !into) return fail(Code::invalid, "cannot copy directory");
    if (!directory && !stat && to.path.ends_with('/')) return fail(Code::invalid, "no such directory");
    const std::string root = into ? (names_content(from.path) && directory ? "" : base_name(from.path)) : base_name(to.path);
    request = archive_request("PUT", to, into ? to.path : parent_of(to.path));
    request.upload = pack(from.path, root, {.follow_root = follow}, &sent);
  }
  request.query.add("noOverwriteDirNonDir", "true");
  if (keep_owner) request.query.add("copyUIDGID", "true");
  request.headers.add("Content-Type", "application/x-tar");
  TRY(client.text(std::move(request)));
  if (!quiet)
    std::fprintf(stderr, "Successfully copied %s to %s:%s\n", human_size(double(sent)).c_str(), to.container.c_str(), to.path.c_str());
  return 0;
}

}  // namespace

Result<int> copy(Call& call) {
  bool archive = false, follow = false, quiet = false;
  Flags flags(call);
  flags.add("archive,a", &archive, "Archive mode (copy all uid/gid information)");
  flags.add("follow-link,L", &follow, "Always follow symbol link in SRC_PATH");
  flags.add("quiet,q", &quiet, "Suppress what is said at the end");
  const Arguments arguments = TRY(flags.parse());
  if (arguments[0].empty()) return fail(Code::invalid, "source can not be empty");
  if (arguments[1].empty()) return fail(Code::invalid, "destination can not be empty");
  const Place from = parse_place(arguments[0]), to = parse_place(arguments[1]);
  if (!from.container.empty() && !to.container.empty()) return fail(Code::invalid, "copying between containers is not supported");
  if (from.container.empty() && to.container.empty()) return fail(Code::invalid, "must specify at least one container source");
  quiet = quiet || !is_terminal(2);
  if (!from.container.empty()) return from_container(call, from, to, follow, archive, quiet);
  return to_container(call, from, to, follow, archive, quiet);
}

}  // namespace estiba::cli::docker
