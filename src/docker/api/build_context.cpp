#include "docker/api/build_context.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/strings.h"
#include "build/context/pack.h"
#include "build/solve/download.h"
#include "docker/daemon.h"
#include "image/pipe.h"
#include "io/loop.h"
#include "io/pool.h"
#include "os/file.h"

namespace estiba::docker {
namespace {

using Context = std::shared_ptr<build::ContextTree>;

/// A directory that the client has open.
struct Offer {
  int fd = -1;
  uint64_t device = 0, inode = 0;
};

struct Head {
  std::optional<Offer> offer;
  std::vector<std::pair<std::string, std::string>> files;  // beside the directory's: name and content
  std::string rest;                                        // of the body, as far as it was read
};

/// Hands the body on, `first` before it. What nobody wants any more is read all the same: a client listens once it has sent everything.
Task<void> feed(io::Request* http, std::string first, image::Pipe* pipe) {
  bool wanted = first.empty() || co_await pipe->put(std::move(first));
  while (true) {
    auto piece = co_await http->read_body();
    if (!piece || piece->empty()) {
      pipe->end(piece ? std::nullopt : std::optional(piece.error()));
      co_return;
    }
    if (wanted) wanted = co_await pipe->put(std::move(*piece));
  }
}

Task<Result<Context>> receive(io::Request& http, std::string first, std::string directory, io::Pool& pool) {
  image::Pipe pipe(4 << 20);
  OneShot<Result<Context>> received;
  pool.submit([reader = pipe.reader(), directory, sender = received.sender()]() mutable {
    auto tree = build::ContextTree::from_tar(*reader, directory);
    reader.reset();
    sender.send(std::move(tree));
  });
  TaskGroup feeding;
  feeding.start(feed(&http, std::move(first), &pipe));
  auto tree = co_await received;
  if (!tree) co_return fail(Code::cancelled, "cancelled");
  // Too large a context is not worth waiting for.
  if (*tree || tree->error().code != Code::too_large) co_await feeding.join();
  co_return std::move(*tree);
}

Result<Head> parse_head(std::string_view text, build::BuildRequest& out) {
  auto head = TRY(json::Document::parse(text));
  Head result;
  if (const json::Node* secrets = head.root().find("secrets"))
    for (const auto& secret : *secrets) out.secrets[std::string(secret.key())] = TRY(base64_decode(secret.as_string()));
  if (const json::Node* files = head.root().find("files"))
    for (const auto& file : *files) result.files.emplace_back(file.key(), TRY(base64_decode(file.as_string())));
  out.ssh_socket = head.root().string_at("ssh");
  if (const json::Node* directory = head.root().find("directory")) {
    Offer offer{int(parse_number<unsigned short>(directory->string_at("fd")).value_or(0)),
                parse_number<uint64_t>(directory->string_at("device")).value_or(0),
                parse_number<uint64_t>(directory->string_at("inode")).value_or(0)};
    result.offer = offer;
  }
  return result;
}

/// What `estiba build` sends before the tar: a line with the length of a JSON object, and the object.
Task<Result<Head>> read_head(io::Request& http, build::BuildRequest& out) {
  std::string bytes;
  size_t end = std::string::npos;
  while ((end = bytes.find('\n')) == std::string::npos) {
    std::string piece = CO_TRY(co_await http.read_body());
    if (piece.empty() || bytes.size() > 64) co_return fail(Code::malformed, "the build's head is missing");
    bytes += piece;
  }
  auto length = parse_number<size_t>(std::string_view(bytes).substr(0, end));
  if (!length || *length > (32 << 20)) co_return fail(Code::malformed, "the build's head has no length");
  while (bytes.size() < end + 1 + *length) {
    std::string piece = CO_TRY(co_await http.read_body());
    if (piece.empty()) co_return fail(Code::malformed, "the build's head is cut short");
    bytes += piece;
  }
  auto head = CO_TRY(parse_head(std::string_view(bytes).substr(end + 1, *length), out));
  head.rest = bytes.substr(end + 1 + *length);
  co_return head;
}

/// The offered directory by the descriptor that the client's process has of it, so that it is the client's view of the mounts that
/// counts. Only of a process of our own user: it could read it as well. A process elsewhere (behind a proxy, in another machine) has
/// something else under that number, which the inode tells.
Result<Fd> open_offer(const io::Peer& peer, const Offer& offer) {
  if (peer.pid <= 0 || peer.uid != int(::geteuid())) return fail(Code::conflict, "the client is another user's, or not on this machine");
  Fd fd = TRY(os::open_file("/proc/" + std::to_string(peer.pid) + "/fd/" + std::to_string(offer.fd), O_RDONLY | O_DIRECTORY));
  const auto st = TRY(os::fstat_file(fd.get()));
  if (st.st_dev != offer.device || st.st_ino != offer.inode) return fail(Code::conflict, "the client's descriptor is another file");
  return fd;
}

int64_t nanoseconds_now(Daemon& daemon) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(daemon.loop().wall_now().time_since_epoch()).count();
}

Task<Result<Context>> read_directory(Daemon& daemon, Fd root, Head head, std::string dockerfile, std::string directory) {
  build::ContextTree::Outside outside{
      .root = std::move(root), .ignore = {}, .extra = std::move(head.files), .digests = daemon.builder().digests()};
  outside.now_ns = nanoseconds_now(daemon);
  co_return co_await daemon.pool().run([outside = std::move(outside), dockerfile, directory]() mutable -> Result<Context> {
    outside.ignore = TRY(build::read_ignore_rules("/proc/self/fd/" + std::to_string(outside.root.get()), dockerfile));
    return build::ContextTree::from_directory(std::move(outside), directory);
  });
}

/// A tar, or a Dockerfile without a context.
Task<Result<void>> read_remote(Daemon& daemon, std::string url, std::string directory, build::BuildRequest& out) {
  if (!url.starts_with("http://") && !url.starts_with("https://"))
    co_return fail(Code::invalid,
                   "the remote context " + quoted(url) + " is not offered: http:// and https:// are; clone a Git repository first");
  const std::string path = directory + "/remote";
  CO_TRY(co_await build::download_file(url, path, daemon.pool()));
  auto opened = co_await daemon.pool().run([path, directory]() -> Result<Context> {
    const Fd file = TRY(os::open_file(path, O_RDONLY));
    image::FileSource source(file.get());
    return build::ContextTree::from_tar(source, directory);
  });
  if (opened) out.context = std::move(*opened);
  else out.dockerfile_text = CO_TRY(os::read_file(path));
  co_return Result<void>();
}

}  // namespace

Task<Result<void>> read_build_context(Daemon& daemon, ApiRequest& request, io::Response& response, const std::string& directory,
                                      build::BuildRequest& out) {
  if (std::string remote(request.query("remote")); !remote.empty())
    co_return co_await read_remote(daemon, std::move(remote), directory, out);
  Head head;
  if (request.http.headers.get("Content-Type") == own_build_type) head = CO_TRY(co_await read_head(request.http, out));
  if (!head.offer) {
    out.context = CO_TRY(co_await receive(request.http, std::move(head.rest), directory, daemon.pool()));
    co_return Result<void>();
  }
  while (!CO_TRY(co_await request.http.read_body()).empty()) {
  }  // the end, so that a client that goes away is noticed
  auto root = open_offer(request.http.peer(), *head.offer);
  if (!root) {
    response.always(std::string(context_header), "refused");
    co_return fail(Code::conflict, "the context's directory cannot be reached: " + root.error().message);
  }
  out.context = CO_TRY(co_await read_directory(daemon, std::move(*root), std::move(head), out.dockerfile, directory));
  co_return Result<void>();
}

}  // namespace estiba::docker
