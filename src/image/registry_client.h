// The conversation with one repository of a registry: requests that authenticate as they are asked to.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/task.h"
#include "image/reference.h"
#include "image/registry.h"
#include "io/http_client.h"

namespace estiba::image {

class RegistryClient {
 public:
  RegistryClient(const Reference& reference, const PullOptions& options);

  struct Document {
    std::string text, media_type, digest;
  };
  /// A manifest or index by tag or digest; its digest is verified where the reference or the registry names one.
  Task<Result<Document>> manifest(std::string name);
  /// Fetches a blob into the store unless it is there.
  Task<Result<void>> blob(Store& store, Descriptor descriptor);

 private:
  Task<Result<std::unique_ptr<io::ClientResponse>>> get(std::string path, std::string accept);
  Task<Result<std::unique_ptr<io::ClientResponse>>> follow(std::unique_ptr<io::ClientResponse> answer, std::string url);
  /// Answers a 401: the Authorization to use from now on. False when every login has been refused.
  Task<Result<bool>> authenticate(std::string challenge);
  Task<Result<std::string>> fetch_token(std::string challenge, RegistryLogin login);
  Task<Result<void>> try_blob(Store& store, Descriptor descriptor);

  const Reference reference_;
  const PullOptions& options_;
  io::HttpClient http_;
  std::string base_;           // "https://registry-1.docker.io/v2/library/nginx/"
  std::string authorization_;  // the header's value, or empty
  size_t next_login_ = 0;
};

/// The parameters of a WWW-Authenticate challenge: `Bearer realm="…",service="…"`. The scheme is under "".
std::map<std::string, std::string> parse_challenge(std::string_view header);

}  // namespace estiba::image
