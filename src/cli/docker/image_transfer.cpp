// docker pull, push, save, load, import, commit, tag, rmi, image prune, builder prune: images on their way.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "base/strings.h"
#include "cli/docker/format.h"
#include "cli/docker/json_build.h"
#include "cli/docker/session.h"
#include "cli/docker/terminal.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"
#include "os/file.h"

namespace estiba::cli::docker {

Result<void> save_body(Response& response, const std::string& path);

namespace {

struct NameParts {
  std::string name, tag;  ///< the tag may be a digest
};

// The name and what stands behind its tag's colon or its "@".
NameParts split_name(std::string_view image) {
  if (auto [name, digest] = split_once(image, '@'); digest) return {std::string(name), std::string(*digest)};
  const size_t colon = image.rfind(':');
  if (colon == image.npos || image.find('/', colon) != image.npos) return {std::string(image), ""};
  return {std::string(image.substr(0, colon)), std::string(image.substr(colon + 1))};
}

// "docker.io/library/alpine:3", as pull says at its end.
std::string whole_name(std::string_view image) {
  std::string name(image);
  const auto [host, rest] = split_once(image, '/');
  const bool named = rest && (host.contains('.') || host.contains(':') || host == "localhost");
  if (!named) name = (rest ? "docker.io/" : "docker.io/library/") + name;
  return name;
}

UniqueFunction<Result<std::string>()> reading_from(int fd) {
  return [fd]() -> Result<std::string> {
    std::string piece;
    ssize_t n = 0;
    piece.resize_and_overwrite(256 * 1024, [&](char* to, size_t size) {
      do n = ::read(fd, to, size);
      while (n < 0 && errno == EINTR);
      return size_t(std::max<ssize_t>(n, 0));
    });
    if (n < 0) return fail_errno("read");
    return piece;
  };
}

Result<Fd> open_input(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno("open " + path);
  return Fd(fd);
}

}  // namespace

Result<int> pull(Call& call) {
  PullOptions options;
  bool trust = true;
  Flags flags(call);
  flags.add("all-tags,a", &options.all_tags, "Download all tagged images in the repository");
  flags.add("disable-content-trust", &trust, "Skip image verification");
  flags.add("platform", &options.platform, "Platform of the image, as linux/arm64");
  flags.add("quiet,q", &options.quiet, "Suppress verbose output");
  const Arguments arguments = TRY(flags.parse());
  options.image = arguments[0];
  NameParts parts = split_name(options.image);
  if (options.all_tags && !parts.tag.empty()) return fail(Code::invalid, "tag can't be used with --all-tags/-a");
  if (parts.tag.empty() && !options.all_tags) {
    if (!options.quiet) std::puts("Using default tag: latest");
    options.image += ":latest";
  }
  std::fflush(stdout);
  TRY(pull_image(call.cli, options));
  std::printf("%s\n", whole_name(options.image).c_str());
  return 0;
}

Result<int> push(Call& call) {
  bool all_tags = false, trust = true, quiet = false;
  std::string platform;
  Flags flags(call);
  flags.add("all-tags,a", &all_tags, "Push all tags of an image to the repository");
  flags.add("disable-content-trust", &trust, "Skip image signing");
  flags.add("platform", &platform, "Push only this platform of an image, as linux/amd64");
  flags.add("quiet,q", &quiet, "Suppress verbose output");
  const Arguments arguments = TRY(flags.parse());
  NameParts parts = split_name(arguments[0]);
  if (all_tags && !parts.tag.empty()) return fail(Code::invalid, "tag can't be used with --all-tags/-a");
  if (!all_tags && parts.tag.empty()) {
    parts.tag = "latest";
    if (!quiet) std::puts("Using default tag: latest");
  }
  Request request{.method = "POST", .path = "/images/" + segment(parts.name) + "/push"};
  if (!parts.tag.empty()) request.query.add("tag", parts.tag);
  if (!platform.empty()) {
    const auto [os, architecture] = split_once(platform, '/');
    Builder wanted;
    wanted.set("os", os);
    if (architecture) {
      const auto [name, variant] = split_once(*architecture, '/');
      wanted.set("architecture", name);
      if (variant) wanted.set("variant", *variant);
    }
    request.query.add("platform", wanted.text());
  }
  request.headers.add("X-Registry-Auth", TRY(auth_for(call.cli, arguments[0])));
  auto response = TRY(TRY(call.cli.client())->stream(std::move(request)));
  TRY(show_progress(*response, 1, quiet));
  if (quiet) std::printf("%s\n", whole_name(parts.name + (parts.tag.empty() ? "" : ":" + parts.tag)).c_str());
  return 0;
}

Result<int> save(Call& call) {
  std::string output, platform;
  Flags flags(call);
  flags.add("output,o", &output, "Write to a file, instead of STDOUT");
  flags.add("platform", &platform, "Save only this platform of the images, as linux/amd64");
  const Arguments names = TRY(flags.parse());
  if (output.empty() && is_terminal(1)) return fail(Code::invalid, "cowardly refusing to save to a terminal. Use the -o flag or redirect");
  Request request{.path = "/images/get"};
  for (std::string_view name : names) request.query.add("names", std::string(name));
  if (!platform.empty()) request.query.add("platform", platform);
  auto response = TRY(TRY(call.cli.client())->stream(std::move(request)));
  TRY(save_body(*response, output));
  return 0;
}

Result<int> load(Call& call) {
  std::string input, platform;
  bool quiet = false;
  Flags flags(call);
  flags.add("input,i", &input, "Read from tar archive file, instead of STDIN");
  flags.add("platform", &platform, "Load only this platform of the images, as linux/amd64");
  flags.add("quiet,q", &quiet, "Suppress the load output");
  TRY(flags.parse());
  Fd file;
  if (!input.empty() && input != "-") {
    file = TRY(open_input(input));
  } else if (is_terminal(0)) {
    return fail(Code::invalid, "requested load from stdin, but stdin is empty");
  }
  Request request{.method = "POST", .path = "/images/load"};
  request.query.add("quiet", quiet || !is_terminal(1) ? "1" : "0");
  if (!platform.empty()) request.query.add("platform", platform);
  request.headers.add("Content-Type", "application/x-tar");
  request.upload = reading_from(file ? file.get() : 0);
  auto response = TRY(TRY(call.cli.client())->stream(std::move(request)));
  TRY(show_progress(*response, 1, false));
  return 0;
}

Result<int> import_image(Call& call) {
  std::vector<std::string> changes;
  std::string message, platform;
  Flags flags(call);
  flags.add("change,c", &changes, "Apply Dockerfile instruction to the created image");
  flags.add("message,m", &message, "Set commit message for imported image");
  flags.add("platform", &platform, "Platform of the image, as linux/arm64");
  const Arguments arguments = TRY(flags.parse());
  const std::string source(arguments[0]);
  Request request{.method = "POST", .path = "/images/create"};
  const bool url = source.starts_with("http://") || source.starts_with("https://");
  request.query.add("fromSrc", url ? source : "-");
  if (arguments.size() > 1) {
    const NameParts parts = split_name(arguments[1]);
    request.query.add("repo", parts.name);
    if (!parts.tag.empty()) request.query.add("tag", parts.tag);
  }
  for (const std::string& change : changes) request.query.add("changes", change);
  if (!message.empty()) request.query.add("message", message);
  if (!platform.empty()) request.query.add("platform", platform);
  Fd file;
  if (!url) {
    if (source != "-") file = TRY(open_input(source));
    request.headers.add("Content-Type", "application/x-tar");
    request.upload = reading_from(file ? file.get() : 0);
  }
  auto response = TRY(TRY(call.cli.client())->stream(std::move(request)));
  TRY(show_progress(*response, 1));
  return 0;
}

Result<int> commit(Call& call) {
  std::string author, message;
  std::vector<std::string> changes;
  bool pause = true;
  Flags flags(call);
  flags.add("author,a", &author, "Author (e.g., \"Ada <ada@example.org>\")");
  flags.add("change,c", &changes, "Apply Dockerfile instruction to the created image");
  flags.add("message,m", &message, "Commit message");
  flags.add("pause,p", &pause, "Pause container during commit");
  const Arguments arguments = TRY(flags.parse());
  Request request{.method = "POST", .path = "/commit", .body = "{}"};
  request.query.add("container", std::string(arguments[0]));
  if (arguments.size() > 1) {
    const NameParts parts = split_name(arguments[1]);
    request.query.add("repo", parts.name);
    if (!parts.tag.empty()) request.query.add("tag", parts.tag);
  }
  if (!message.empty()) request.query.add("comment", message);
  if (!author.empty()) request.query.add("author", author);
  for (const std::string& change : changes) request.query.add("changes", change);
  if (!pause) request.query.add("pause", "0");
  const json::Document answer = TRY(TRY(call.cli.client())->call(std::move(request)));
  std::printf("%s\n", std::string(answer.root().string_at("Id")).c_str());
  return 0;
}

Result<int> tag(Call& call) {
  Flags flags(call);
  const Arguments arguments = TRY(flags.parse());
  const NameParts target = split_name(arguments[1]);
  Request request{.method = "POST", .path = "/images/" + segment(arguments[0]) + "/tag"};
  request.query.add("repo", target.name);
  request.query.add("tag", target.tag);
  TRY(TRY(call.cli.client())->text(std::move(request)));
  return 0;
}

Result<int> rmi(Call& call) {
  bool force = false, no_prune = false;
  std::vector<std::string> platforms;
  Flags flags(call);
  flags.add("force,f", &force, "Force removal of the image");
  flags.add("no-prune", &no_prune, "Do not delete untagged parents");
  flags.add("platform", &platforms, "Remove only this platform of the image, as linux/amd64", "strings");
  const Arguments names = TRY(flags.parse());
  Client& client = *TRY(call.cli.client());
  return for_each(names, [&](std::string_view name) -> Result<void> {
    Request request{.method = "DELETE", .path = "/images/" + segment(name)};
    if (force) request.query.add("force", "1");
    if (no_prune) request.query.add("noprune", "1");
    for (const std::string& platform : platforms) request.query.add("platforms", platform);
    auto answer = client.call(std::move(request));
    if (!answer && force && answer.error().code == Code::not_found) {
      complain(answer.error().message);
      return {};
    }
    if (!answer) return std::unexpected(std::move(answer.error()));
    for (const json::Node& each : answer->root())
      for (const json::Node& what : each) std::printf("%s: %s\n", std::string(what.key()).c_str(), std::string(what.as_string()).c_str());
    return {};
  });
}

Result<int> image_prune(Call& call) {
  bool all = false, force = false;
  std::vector<std::string> filter;
  Flags flags(call);
  flags.add("all,a", &all, "Remove all unused images, not just dangling ones");
  flags.add("filter", &filter, "Provide filter values (e.g. \"until=<timestamp>\")", "filter");
  flags.add("force,f", &force, "Do not prompt for confirmation");
  TRY(flags.parse());
  const char* warning =
      all ? "WARNING! This will remove all images without at least one container associated to them.\nAre you sure you want to continue?"
          : "WARNING! This will remove all dangling images.\nAre you sure you want to continue?";
  if (!force && !confirmed(warning)) return 0;
  filter.push_back(std::string("dangling=") + (all ? "false" : "true"));
  Request request{.method = "POST", .path = "/images/prune"};
  request.query.add("filters", TRY(filters(filter)));
  const json::Document answer = TRY(TRY(call.cli.client())->call(std::move(request)));
  if (const json::Node* gone = answer.root().find("ImagesDeleted"); gone && !gone->empty()) {
    std::puts("Deleted Images:");
    for (const json::Node& each : *gone)
      for (const json::Node& what : each) std::printf("%s: %s\n", to_lower(what.key()).c_str(), std::string(what.as_string()).c_str());
    std::puts("");
  }
  const json::Node* space = answer.root().find("SpaceReclaimed");
  std::printf("Total reclaimed space: %s\n", human_size(space ? space->as_double().value_or(0) : 0, 4).c_str());
  return 0;
}

Result<int> builder_prune(Call& call) {
  bool all = false, force = false;
  std::vector<std::string> filter;
  int64_t keep = 0;
  Flags flags(call);
  flags.add("all,a", &all, "Remove all unused build cache, not just dangling ones");
  flags.add("filter", &filter, "Provide filter values (e.g. \"until=24h\")", "filter");
  flags.add("force,f", &force, "Do not prompt for confirmation");
  flags.add_bytes("keep-storage", &keep, "Amount of disk space to keep for cache");
  TRY(flags.parse());
  const char* warning = all ? "WARNING! This will remove all build cache. Are you sure you want to continue?"
                            : "WARNING! This will remove all dangling build cache. Are you sure you want to continue?";
  if (!force && !confirmed(warning)) return 0;
  Request request{.method = "POST", .path = "/build/prune"};
  if (all) request.query.add("all", "1");
  if (keep) request.query.add("keep-storage", std::to_string(keep));
  if (std::string conditions = TRY(filters(filter)); !conditions.empty()) request.query.add("filters", conditions);
  const json::Document answer = TRY(TRY(call.cli.client())->call(std::move(request)));
  if (const json::Node* gone = answer.root().find("CachesDeleted"); gone && !gone->empty()) {
    std::puts("Deleted build cache objects:");
    for (const json::Node& each : *gone) std::printf("%s\n", std::string(each.as_string()).c_str());
    std::puts("");
  }
  const json::Node* space = answer.root().find("SpaceReclaimed");
  std::printf("Total reclaimed space: %s\n", human_size(space ? space->as_double().value_or(0) : 0, 4).c_str());
  return 0;
}

// To a file (written beside and renamed, so that a broken transfer leaves none) or to stdout.
Result<void> save_body(Response& response, const std::string& path) {
  std::vector<char> bytes(1 << 20);
  std::string beside;
  Fd file;
  if (!path.empty()) {
    struct stat is{};
    if (stat(path.c_str(), &is) == 0 && !S_ISREG(is.st_mode)) {
      file = TRY(os::open_file(path, O_WRONLY));
    } else {
      beside = path + ".tmp-" + random_suffix(8);
      auto opened = os::open_file(beside, O_WRONLY | O_CREAT | O_EXCL, 0666);
      if (!opened) return fail(opened.error().code, "failed to save image: invalid output path: " + opened.error().message);
      file = std::move(*opened);
    }
  }
  auto copy = [&]() -> Result<void> {
    for (;;) {
      const size_t n = TRY(response.read(bytes.data(), bytes.size()));
      if (n == 0) return {};
      if (!print_bytes(file ? file.get() : 1, {bytes.data(), n})) return fail_errno("write " + (path.empty() ? "to stdout" : path));
    }
  };
  auto done = copy();
  if (beside.empty()) return done;
  if (done) return os::rename_file(beside, path);
  ::unlink(beside.c_str());
  return done;
}

Result<int> export_container(Call& call) {
  std::string output;
  Flags flags(call);
  flags.add("output,o", &output, "Write to a file, instead of STDOUT");
  const Arguments arguments = TRY(flags.parse());
  if (output.empty() && is_terminal(1)) return fail(Code::invalid, "cowardly refusing to save to a terminal. Use the -o flag or redirect");
  auto response = TRY(TRY(call.cli.client())->stream({.path = "/containers/" + segment(arguments[0]) + "/export"}));
  TRY(save_body(*response, output));
  return 0;
}

}  // namespace estiba::cli::docker
