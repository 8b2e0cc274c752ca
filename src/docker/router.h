// Router: the paths of the Docker Engine API. A path group registers its paths (api/*.cpp, one table in api/routes.cpp); the router
// takes the version prefix (/v1.24 … /v1.50, none: the newest) off, finds the handler and turns failures into {"message": "…"}.
//
//   void add_volume_routes(Router& router) {
//     router.get("/volumes/{name}", [](Daemon& daemon, ApiRequest& request, io::Response& response) -> Task<Result<void>> {
//       …daemon… request.param("name") …
//     });
//   }
//
// {name} is one segment of the path, {name...} one or more (image names have slashes).
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "io/http_server.h"
#include "model/json.h"

namespace estiba::docker {

class Daemon;

inline constexpr int oldest_minor = 24, newest_minor = 50;  ///< of API version 1.x
inline constexpr std::string_view api_version = "1.50", oldest_api_version = "1.24";
/// What /version and the Server header tell; clients compare it with versions of Docker.
inline constexpr std::string_view engine_version = "28.2.2";

struct ApiRequest {
  io::Request& http;
  int minor = newest_minor;  ///< the API version that the client speaks, 1.minor
  std::vector<std::pair<std::string_view, std::string>> params;

  /// What stood in the path at {name}.
  const std::string& param(std::string_view name) const;
  /// A query parameter's first value, or "".
  std::string_view query(std::string_view name) const { return http.query.get(name); }
  /// As dockerd reads booleans: anything but "", "0", "no", "false" and "none" is true.
  bool flag(std::string_view name, bool otherwise = false) const;
  /// A number in the query; nullopt when absent; "invalid …" when it is none.
  Result<std::optional<int64_t>> number(std::string_view name) const;
  /// The body as JSON, of at most `limit` bytes. An empty body is an empty object.
  Task<Result<json::Document>> json_body(size_t limit = 8 << 20);
};

class Router {
 public:
  using Handler = Task<Result<void>> (*)(Daemon&, ApiRequest&, io::Response&);
  using PlainHandler = Task<void> (*)(Daemon&, ApiRequest&, io::Response&);

  void add(std::string_view method, std::string_view path, Handler handler) { add_route(method, path, handler, nullptr); }
  void add(std::string_view method, std::string_view path, PlainHandler handler) { add_route(method, path, nullptr, handler); }
  template <class H>
  void get(std::string_view path, H handler) {
    add("GET", path, +handler);
  }
  template <class H>
  void post(std::string_view path, H handler) {
    add("POST", path, +handler);
  }
  template <class H>
  void put(std::string_view path, H handler) {
    add("PUT", path, +handler);
  }
  template <class H>
  void head(std::string_view path, H handler) {
    add("HEAD", path, +handler);
  }
  template <class H>
  void del(std::string_view path, H handler) {
    add("DELETE", path, +handler);
  }

  /// Answers one request. A failure after the answer has begun is logged only.
  Task<void> serve(Daemon& daemon, io::Request& request, io::Response& response) const;
  /// Whether a method and path (without version) has a handler; for tests of completeness.
  bool knows(std::string_view method, std::string_view path) const;

 private:
  struct Route {
    std::vector<std::string> parts;
    Handler handler;
    PlainHandler plain;
  };
  using Params = std::vector<std::pair<std::string_view, std::string>>;
  void add_route(std::string_view method, std::string_view path, Handler handler, PlainHandler plain);
  const Route* find(std::string_view method, std::string_view path, Params& params) const;

  std::map<std::string, std::vector<Route>, std::less<>> routes_;  // by method and first segment: "GET containers"
};

/// "/v1.43/info" → ("/info", 43); no prefix: the newest. A version out of range fails with dockerd's sentence.
Result<std::pair<std::string_view, int>> split_version(std::string_view path);

}  // namespace estiba::docker
