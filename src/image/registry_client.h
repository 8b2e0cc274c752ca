// The conversation with one repository of a registry: requests that authenticate as they are asked to, and are made again when that
// may help.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/task.h"
#include "image/pipe.h"
#include "image/reference.h"
#include "image/registry.h"
#include "io/http_client.h"
#include "io/pool.h"

namespace estiba::image {

/// Docker takes only 127.0.0.0/8, ::1 and localhost for registries that may speak plain HTTP, and so do we.
bool is_loopback(std::string_view registry);
/// Whether `registry` ("host:port") is one of `list`, by name, by name and port, or by an IPv4 network.
bool is_insecure(std::string_view registry, const std::vector<std::string>& list);

class RegistryClient {
 public:
  /// `endpoint` replaces the registry's own address, "https://mirror.example"; empty: it.
  RegistryClient(const Reference& reference, const RegistryOptions& options, std::string endpoint = {}, bool push = false);

  struct Document {
    std::string text, media_type, digest;
  };
  /// A manifest or index by tag or digest; its digest is verified where the reference or the registry names one.
  Task<Result<Document>> manifest(std::string name);
  /// Feeds a blob into a pipe, which it ends; goes on where it broke off. More or fewer bytes than the descriptor says are an error.
  /// Begins `offset` bytes after its start.
  Task<Result<void>> blob(Descriptor descriptor, Pipe* into, std::function<void(uint64_t)> progress, uint64_t offset = 0);
  Task<Result<std::vector<std::string>>> tags();

  // For pushing.
  Task<Result<bool>> has_blob(std::string digest);
  /// Asks for a blob of another repository; false: it must be sent.
  Task<Result<bool>> mount_blob(std::string digest, std::string from_repository);
  /// Where a blob's bytes come from, from any offset; blocking, called on a pool's thread.
  using OpenSource = std::function<Result<std::unique_ptr<Source>>(uint64_t offset)>;
  Task<Result<void>> upload(Descriptor descriptor, OpenSource open, std::function<void(uint64_t)> progress);
  Task<Result<void>> put_manifest(std::string name, std::string text, std::string media_type);

  const Reference& reference() const { return reference_; }

 private:
  using Answer = std::unique_ptr<io::ClientResponse>;
  struct Ask {
    std::string method = "GET", path;  ///< below the repository, or a whole URL
    io::Headers headers;
    std::string body;
    std::shared_ptr<io::BodyStream> stream;
    bool follow = false;  ///< redirects, which lead to storage
    bool again = true;    ///< on 429 and server errors
  };
  Task<Result<Answer>> ask(Ask request);
  Task<Result<Answer>> ask_once(const Ask* request);
  Task<Result<Answer>> follow(Answer answer, std::string url, io::Headers headers);
  enum class Spoken : unsigned char { yes, no, nobody };
  Task<Spoken> speaks(std::string scheme);
  Task<Result<void>> choose_scheme();
  /// Answers a 401: the Authorization to use from now on. False when every login has been refused.
  Task<Result<bool>> authenticate(std::string challenge);
  Task<Result<std::string>> fetch_token(std::string challenge, RegistryLogin login);
  Task<Result<void>> read_blob(Answer answer, uint64_t skip, uint64_t size, uint64_t* received, Pipe* into,
                               const std::function<void(uint64_t)>* progress);
  struct Upload;
  Task<Result<void>> begin_upload(Upload* upload);
  Task<Result<void>> find_offset(Upload* upload);
  Task<Result<void>> resume(Upload* upload);
  Task<Result<void>> send_rest(Upload* upload);
  std::string absolute(std::string_view path) const;

  const Reference reference_;
  const RegistryOptions& options_;
  const bool push_;
  Result<void> usable_;
  bool scheme_known_ = true;
  std::string base_;           // "https://registry-1.docker.io/v2/library/nginx/"
  std::string authorization_;  // the header's value, or empty
  bool accepted_ = false;      // the registry has answered to it
  bool authenticating_ = false;
  Event authenticated_;
  size_t next_login_ = 0;
  std::map<std::string, std::string> sessions_;  // digest → an upload that a mount has become
  io::HttpClient http_;
  io::Pool pool_{4};  // reads what is sent
};

/// How long a registry asks to wait by Retry-After (seconds, or an HTTP date), else `otherwise`.
Duration wait_before_retry(std::string_view retry_after, WallTime now, Duration otherwise);

/// The parameters of a WWW-Authenticate challenge: `Bearer realm="…",service="…"`. The scheme is under "".
std::map<std::string, std::string> parse_challenge(std::string_view header);

}  // namespace estiba::image
