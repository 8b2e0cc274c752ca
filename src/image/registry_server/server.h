// A registry: the OCI distribution-spec 1.1, whole, over the content store. See docs/registry.md.
//
// The handler runs on one loop; whatever touches files runs on a pool. Uploads lie below
// <data-dir>/registry/uploads/<id>/ (`repository`, `data`), so that a client goes on where it was when a killed server is there again.
#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/task.h"
#include "image/registry_server/auth.h"
#include "image/registry_server/entering.h"
#include "image/registry_server/errors.h"
#include "image/registry_server/repositories.h"
#include "image/registry_server/route.h"
#include "image/registry_server/shared_images.h"
#include "image/store.h"
#include "io/http_server.h"
#include "io/pool.h"

namespace estiba::image {

struct RegistryServerOptions {
  bool images = true;                      ///< share images with the engine: see shared_images.h
  std::vector<std::string> names;          ///< what clients call this registry, beside loopback addresses with its port
  std::chrono::seconds grace{3600};        ///< for so long a blob that no manifest names is kept, for pushes under way
  std::chrono::seconds upload_age{86400};  ///< an upload that nobody goes on with for so long is forgotten
  size_t max_uploads = 1000;               ///< at a time; the one that was idle for longest makes room
};

class RegistryServer {
 public:
  /// Blocking. Code::conflict when another registry serves the same data directory. `users` null: everybody may do all.
  static Result<std::unique_ptr<RegistryServer>> open(std::string data_dir, RegistryServerOptions options, std::unique_ptr<Htpasswd> users);
  ~RegistryServer();

  void set_port(uint16_t port) { images_.set_port(port); }
  /// The HTTP server's handler.
  Task<void> handle(io::Request& request, io::Response& response);
  /// Blocking: forgets what no manifest needs any more, and gives the disk back.
  Result<void> tidy();

 private:
  struct Upload;
  using UploadRef = std::shared_ptr<Upload>;
  /// What a request is about.
  struct Call {
    io::Request& request;
    io::Response& response;
    Route route;
    std::vector<std::string> hosts;  ///< names of this registry; see SharedImages
  };
  struct Found {
    std::string digest, type, text;
  };
  struct Pushed;

  RegistryServer(std::unique_ptr<Store> store, Fd lock, RegistryServerOptions options, std::unique_ptr<Htpasswd> users);
  Task<bool> authorized(const io::Request& request);
  Task<void> dispatch(Call call);
  Task<void> refuse(io::Response& response, Error error);

  // listings.cpp
  Task<void> catalog(Call call);
  Task<void> tags(Call call);
  Task<void> referrers(Call call);

  // blobs.cpp
  Task<void> get_blob(Call call);
  Task<void> delete_blob(Call call);
  bool has_blob(std::string_view repository, std::string_view digest) const;

  // uploads.cpp
  Task<void> begin_upload(Call call);
  Task<void> continue_upload(Call call);
  Task<void> finish_upload(Call call);
  void upload_status(Call call);
  Task<void> cancel_upload(Call call);
  UploadRef find_upload(const Call& call);
  void make_room();
  void forget(UploadRef upload);
  void forget_old_uploads();
  Result<void> load_uploads();
  Result<void> append(Upload& upload, const std::vector<std::string>& pieces);
  Task<Result<void>> receive(io::Request* request, UploadRef upload);
  Task<void> commit_upload(Call call, UploadRef upload, std::string digest);
  Task<bool> mount_blob(Call* call);

  // manifests.cpp
  Task<void> get_manifest(Call call);
  Task<void> put_manifest(Call call);
  Task<void> delete_manifest(Call call);
  Result<std::optional<Found>> find_manifest(const std::vector<std::string>& hosts, std::string_view ns, std::string_view repository,
                                             std::string_view reference);
  Result<Refusal> store_manifest(const Pushed& pushed);
  Result<Refusal> check_content(const Pushed& pushed);
  Result<bool> remove_reference(const std::vector<std::string>& hosts, const std::string& repository, const std::string& reference);
  Result<void> tidy(const std::string& repository);

  std::unique_ptr<Store> store_;
  Fd lock_;
  RegistryServerOptions options_;
  std::unique_ptr<Htpasswd> users_;
  Repositories repositories_;
  SharedImages images_;
  Entering entering_;
  std::string uploads_dir_;
  std::map<std::string, UploadRef, std::less<>> uploads_;  // by id; the handler's loop only
  io::Pool pool_;                                          // last: its work uses the rest
};

}  // namespace estiba::image
