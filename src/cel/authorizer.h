// Who may do what, as expressions ask it (authorizer.group('apps').resource('deployments').check('create').allowed()).
#pragma once
#include <string>
#include <string_view>

namespace estiba::cel {

/// Whom a check is about.
struct Subject {
  bool is_service_account = false;  ///< else the user of the request
  std::string_view namespace_name, name;
};

struct Access {
  Subject subject;
  std::string_view verb;
  std::string_view path;  ///< of a path that is no resource; the rest is empty then
  std::string_view group, resource, subresource, namespace_name, name;
  std::string_view field_selector, label_selector;  ///< as written, not parsed
};

struct Decision {
  bool allowed = false;
  std::string reason;
  std::string error;  ///< empty when the decision could be made
};

/// The server's authorization.
class Authorizer {
 public:
  virtual ~Authorizer() = default;
  virtual Decision authorize(const Access& access) = 0;
};

}  // namespace estiba::cel
