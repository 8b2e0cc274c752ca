#include "base/result.h"

#include <cstring>

namespace estiba {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::invalid: return "Invalid";
    case Code::malformed: return "BadRequest";
    case Code::unauthorized: return "Unauthorized";
    case Code::forbidden: return "Forbidden";
    case Code::not_found: return "NotFound";
    case Code::already_exists: return "AlreadyExists";
    case Code::conflict: return "Conflict";
    case Code::gone: return "Expired";
    case Code::too_large: return "RequestEntityTooLarge";
    case Code::unsupported: return "Unsupported";
    case Code::exhausted: return "Exhausted";
    case Code::unavailable: return "ServiceUnavailable";
    case Code::timeout: return "Timeout";
    case Code::cancelled: return "Cancelled";
    case Code::internal: return "InternalError";
  }
  return "Unknown";
}

Error& Error::context(std::string_view what) & {
  message.insert(0, ": ");
  message.insert(0, what);
  return *this;
}

Error&& Error::context(std::string_view what) && {
  context(what);  // the lvalue overload
  return std::move(*this);
}

std::unexpected<Error> fail(Code code, std::string message) {
  return std::unexpected(Error{code, 0, std::move(message), nullptr});
}

static Code code_of_errno(int err) {
  switch (err) {
    case ENOENT: case ESRCH: case ENXIO: case ENODEV: return Code::not_found;
    case EEXIST: return Code::already_exists;
    case EACCES: case EPERM: return Code::forbidden;
    case ENOSPC: case EDQUOT: case EMFILE: case ENFILE: case ENOMEM: return Code::exhausted;
    case ETIMEDOUT: return Code::timeout;
    case ECANCELED: return Code::cancelled;
    case ECONNREFUSED: case ECONNRESET: case EPIPE: case EHOSTUNREACH: case ENETUNREACH: return Code::unavailable;
    case EINVAL: case ENAMETOOLONG: case ENOTDIR: case EISDIR: case ELOOP: return Code::invalid;
    default: return Code::internal;
  }
}

std::unexpected<Error> fail_errno(std::string_view what, int err) {
  char text[128] = {};
  // GNU strerror_r may return a static string instead of filling the buffer.
  const char* said = strerror_r(err, text, sizeof text);
  std::string message(what);
  message.append(": ").append(said);
  return std::unexpected(Error{code_of_errno(err), err, std::move(message), nullptr});
}

}  // namespace estiba
