// Which route takes a request: by host name, path, method, header fields and query parameters, in the order of precedence that Gateway API
// (HTTPRouteRule.matches) and Ingress (kubernetes.io/docs/concepts/services-networking/ingress, "Multiple matches") lay down.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/http_server.h"

namespace estiba::ingress {

struct Action;

/// Whether `host` (lower-case) is what `pattern` means: "" everything, "*.example" every name below it, else itself.
bool host_matches(std::string_view pattern, std::string_view host);
/// The more specific of two patterns that both match some host, or nullopt when there is none ("a.x" and "*.x" give "a.x").
std::optional<std::string> host_intersection(std::string_view a, std::string_view b);
/// How exact a pattern is: compare to find the more specific one.
std::pair<bool, size_t> host_rank(std::string_view pattern);
/// "Example.com:8080" → "example.com"; "[::1]:80" → "[::1]".
std::string host_name_of(std::string_view authority);
/// Resolves "." and ".." segments (RFC 3986, 5.2.4) of a decoded path, so that none leads past a route.
std::string normal_path(std::string_view path);

/// What a match looks at.
struct RequestFacts {
  std::string_view method;
  std::string path;  ///< decoded and normal
  const io::Headers& headers;
  const io::Query& query;
};

struct ValueMatch {
  std::string name, value;  ///< header names compare without case
};

struct Match {
  enum class Path : uint8_t { exact, prefix, last_segment };
  Path kind = Path::prefix;
  std::string path = "/";  ///< a prefix matches whole segments, a slash at its end does not count; "/Get" as the last of two
  std::string method;      ///< empty: any
  std::vector<ValueMatch> headers, query;

  bool matches(const RequestFacts& request) const;
};

struct Route {
  Match match;
  std::shared_ptr<const Action> action;
  std::string age;  ///< creation timestamp of the object, then its name: the older goes first
  std::string name;
  int order = 0;  ///< within the object
};

/// The routes of a listener, by host name.
class Routes {
 public:
  /// `single_label`: a wildcard means one label, as with Ingress.
  void add(const std::string& hostname, Route route, bool single_label = false);
  /// Asked when nothing else matches.
  void add_default(Route route) { defaults_.push_back(std::move(route)); }
  /// Sorts; before the first find().
  void seal();
  const Route* find(std::string_view host, const RequestFacts& request) const;
  bool empty() const { return names_.empty() && wildcards_.empty() && defaults_.empty(); }

 private:
  struct Wildcard {
    std::string suffix;  // ".example"; empty: every host
    bool single_label;
    std::vector<Route> routes;
  };
  std::map<std::string, std::vector<Route>, std::less<>> names_;
  std::vector<Wildcard> wildcards_;  // longest first
  std::vector<Route> defaults_;
};

}  // namespace estiba::ingress
