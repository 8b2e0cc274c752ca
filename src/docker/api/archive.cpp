// /containers/{id}/archive, /export, /changes, and /commit.
#include <fcntl.h>

#include "base/strings.h"
#include "docker/api/routes.h"
#include "docker/archive/changes.h"
#include "docker/archive/pack.h"
#include "docker/archive/rooted.h"
#include "docker/containers.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/json_writer.h"
#include "docker/lives.h"
#include "docker/streams/transfer.h"
#include "engine/engine.h"
#include "engine/identity.h"
#include "image/store.h"
#include "image/unpack.h"
#include "io/pool.h"
#include "os/file.h"

namespace estiba::docker {

namespace {

/// A view of a container's files that keeps what it needs of the engine: the root of one that does not run stays mounted.
class HeldRoot {
 public:
  static Task<Result<std::unique_ptr<HeldRoot>>> of(Daemon* daemon, ContainerRef container, bool with_mounts) {
    auto held = std::make_unique<HeldRoot>();
    if (container->running() && with_mounts) {
      held->view_ = std::make_shared<RootView>(CO_TRY(RootView::running(container->pid)));
      co_return std::move(held);
    }
    std::string root = CO_TRY(co_await daemon->engine().mount_root(container->id));
    held->daemon_ = daemon;
    held->id_ = container->id;
    std::vector<RootedMount> mounts;
    if (with_mounts)
      for (const MountPoint& mount : container->mounts)
        if (mount.type != "tmpfs" && os::exists(mount.source)) mounts.push_back({mount.source, mount.destination, !mount.writable});
    held->view_ = std::make_shared<RootView>(
        CO_TRY(co_await daemon->pool().run([root, mounts = std::move(mounts)] { return RootView::stopped(root, mounts); })));
    co_return std::move(held);
  }
  ~HeldRoot() {
    if (!daemon_) return;
    view_.reset();
    daemon_->tasks().start(release(daemon_, id_));
  }
  /// What threads take along; the HeldRoot itself stays on the daemon's.
  const std::shared_ptr<RootView>& view() const { return view_; }

 private:
  static Task<void> release(Daemon* daemon, std::string id) { (void)co_await daemon->engine().unmount_root(std::move(id)); }
  Daemon* daemon_ = nullptr;
  std::string id_;
  std::shared_ptr<RootView> view_;
};

Error no_such_file(Error error, std::string_view path, const Container& container) {
  if (error.sys == ENOENT) error.message = "Could not find the file " + std::string(path) + " in container " + container.name;
  if (error.sys == ENOENT) error.code = Code::not_found;
  if (error.sys == ENOTDIR)
    error.code = Code::invalid, error.message = "not a directory: " + std::string(path) + " in container " + container.name;
  if (error.sys == ELOOP) error.code = Code::invalid;
  return error;
}

Result<std::string> path_of(const ApiRequest& request) {
  const std::string path(request.query("path"));
  if (path.empty()) return fail(Code::invalid, "bad parameter: path cannot be empty");
  if (path.find('\0') != path.npos) return fail(Code::invalid, "bad parameter: path must not contain NUL bytes");
  return path;
}

Task<Result<void>> stat_path(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto container = CO_TRY(daemon.containers().find(request.param("id")));
  const std::string path = CO_TRY(path_of(request));
  auto held = CO_TRY(co_await HeldRoot::of(&daemon, container, true));
  auto stat = co_await daemon.pool().run([view = held->view(), path] { return stat_in_root(view->fd(), path); });
  if (!stat) co_return std::unexpected(no_such_file(std::move(stat.error()), path, *container));
  response.send(200, {{"Content-Type", "application/json"}, {"X-Docker-Container-Path-Stat", base64_encode(stat->json())}});
  co_return {};
}

Task<Result<void>> get_archive(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto container = CO_TRY(daemon.containers().find(request.param("id")));
  const std::string path = CO_TRY(path_of(request));
  auto held = CO_TRY(co_await HeldRoot::of(&daemon, container, true));
  auto stat = co_await daemon.pool().run([view = held->view(), path] { return stat_in_root(view->fd(), path); });
  if (!stat) co_return std::unexpected(no_such_file(std::move(stat.error()), path, *container));
  io::Headers headers{{"Content-Type", "application/x-tar"}, {"X-Docker-Container-Path-Stat", base64_encode(stat->json())}};
  daemon.lives().tell(*container, "archive-path");
  co_return co_await send_produced(response, std::move(headers),
                                   [view = held->view(), path](image::Sink& sink) { return pack(view->fd(), path, sink); });
}

/// Whether the path lies in a volume or bind mount of the container.
bool below_mount(const Container& container, std::string_view path) {
  for (const MountPoint& mount : container.mounts)
    if (path.starts_with(mount.destination) && (path.size() == mount.destination.size() || path[mount.destination.size()] == '/'))
      return true;
  return false;
}

std::optional<std::pair<uint32_t, uint32_t>> user_in_root(int root, const std::string& user) {
  auto text = [&](const char* path) {
    auto fd = os::open_in_root(root, path, O_RDONLY | O_NONBLOCK);
    return fd ? os::read_all(fd->get()).value_or(std::string()) : std::string();
  };
  auto identity = engine::resolve_user({.user = user}, "", text("/etc/passwd"), text("/etc/group"));
  if (!identity) return std::nullopt;
  return std::pair(identity->uid, identity->gid);
}

/// Whom `copyUIDGID` gives the files to: the container's user.
Task<std::optional<std::pair<uint32_t, uint32_t>>> owner_of(Daemon& daemon, const Container& container, std::shared_ptr<RootView> view) {
  const std::string user(container.config.root().string_at("User"));
  if (user.empty()) co_return std::nullopt;
  co_return co_await daemon.pool().run([view, user] { return user_in_root(view->fd(), user); });
}

Task<Result<void>> put_archive(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto container = CO_TRY(daemon.containers().find(request.param("id")));
  const std::string path = CO_TRY(path_of(request));
  auto held = CO_TRY(co_await HeldRoot::of(&daemon, container, true));
  image::UnpackOptions options;
  options.whiteouts = false;
  options.lenient = options.keep_existing_root = true;
  options.keep_kinds = request.flag("noOverwriteDirNonDir");
  if (request.flag("copyUIDGID")) options.owner = co_await owner_of(daemon, *container, held->view());
  auto there = co_await daemon.pool().run([view = held->view(), path]() -> Result<std::string> {
    TRY(os::open_in_root(view->fd(), path, O_PATH | O_DIRECTORY));
    return real_path(view->fd(), path);
  });
  if (!there && there.error().sys == ENOTDIR) co_return fail(Code::invalid, "extraction point is not a directory");
  if (!there) co_return std::unexpected(no_such_file(std::move(there.error()), path, *container));
  const bool root_readonly =
      container->host_config.root().find("ReadonlyRootfs") && container->host_config.root().find("ReadonlyRootfs")->as_bool();
  if (root_readonly && !container->running() && !below_mount(*container, *there)) {
    send_error(response, 403, "container rootfs is marked read-only");
    co_return {};
  }
  options.below = *there;
  auto done = co_await receive_body(request.http, [view = held->view(), options](image::Source& source) -> Result<void> {
    TRY(view->enter());
    image::Decompressor tar(source);
    TRY(image::unpack(tar, view->fd(), options));
    return {};
  });
  if (!done && done.error().sys == EROFS) {
    send_error(response, 403,
               below_mount(*container, *there) ? "mounted volume is marked read-only" : "container rootfs is marked read-only");
    co_return {};
  }
  CO_TRY(std::move(done));
  daemon.lives().tell(*container, "extract-to-dir");
  response.send(200);
  co_return {};
}

Task<Result<void>> export_root(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto container = CO_TRY(daemon.containers().find(request.param("id")));
  auto held = CO_TRY(co_await HeldRoot::of(&daemon, container, false));
  daemon.lives().tell(*container, "export");
  co_return co_await send_produced(response, {{"Content-Type", "application/octet-stream"}}, [view = held->view()](image::Sink& sink) {
    return pack(view->fd(), "/", sink, {.across_mounts = false, .first = false});
  });
}

Task<Result<void>> changes(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto container = CO_TRY(daemon.containers().find(request.param("id")));
  const std::string upper = daemon.engine().upper_dir(container->id);
  auto found =
      CO_TRY(co_await daemon.pool().run([images = daemon.images(), image = container->image_id, upper]() -> Result<std::vector<Change>> {
        return find_changes(upper, images->layer_paths(*TRY(images->config(image))));
      }));
  if (found.empty()) {
    send_json(response, 200, "null");  // as dockerd says "none"
    co_return {};
  }
  JsonWriter json;
  json.array();
  for (const Change& change : found) json.object().put("Path", change.path).put("Kind", int(change.kind)).end();
  json.end();
  send_json(response, 200, json.take());
  co_return {};
}

}  // namespace

void add_archive_routes(Router& router) {
  router.head("/containers/{id}/archive", stat_path);
  router.get("/containers/{id}/archive", get_archive);
  router.put("/containers/{id}/archive", put_archive);
  router.get("/containers/{id}/export", export_root);
  router.get("/containers/{id}/changes", changes);
}

}  // namespace estiba::docker
