// Result<T>: what every operation that can fail returns. The program is built without exceptions.
//
// An Error says what went wrong (code), what the kernel said (sys, an errno or 0), and a message that names the operation
// and the object. Each layer on the way up prefixes its own context, so that the last one prints a whole sentence:
//   "start pod default/web: mount /proc: Operation not permitted".
#pragma once
#include <cerrno>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace estiba {

/// Kinds of failure, independent of any wire protocol; the edges translate them (HTTP status, exit code, gRPC code).
enum class Code : unsigned char {
  invalid,         ///< the input breaks a rule: 422, or 400 where it cannot be parsed
  malformed,       ///< the input cannot be parsed at all: 400
  unauthorized,    ///< the caller is not known: 401
  forbidden,       ///< the caller is known and may not: 403
  not_found,       ///< 404
  already_exists,  ///< 409 AlreadyExists
  conflict,        ///< a precondition failed (stale resourceVersion, uid): 409 Conflict
  gone,            ///< the revision asked for has been compacted: 410
  too_large,       ///< 413
  unsupported,     ///< method or media type not offered: 405, 406, 415
  exhausted,       ///< disk full, no address left, too many requests: 507, 429
  unavailable,     ///< the other side cannot be reached now; trying again may help: 503
  timeout,         ///< 504
  cancelled,       ///< the caller gave up
  internal,        ///< a bug or an unexpected kernel answer: 500
};

/// Kubernetes' reason-like name of a code, for logs ("NotFound").
std::string_view to_string(Code code);

/// One cause of an invalid object: the field's path as kubectl prints it, a reason, and what is allowed.
struct FieldCause {
  std::string reason;   ///< FieldValueRequired, FieldValueInvalid, FieldValueNotSupported, …
  std::string message;  ///< "Required value", "Invalid value: \"x\": must be …"
  std::string field;    ///< "spec.containers[0].image"
};

/// Facts about the API object an error speaks of; only API errors carry them.
struct ErrorDetails {
  std::string group, kind, name, uid;
  std::string reason;  ///< overrides the Status reason that the code implies, when not empty
  std::vector<FieldCause> causes;
  int retry_after_seconds = 0;
};

struct Error {
  Code code = Code::internal;
  int sys = 0;  ///< errno of the failed system call, or 0
  std::string message;
  std::shared_ptr<ErrorDetails> details;

  /// Puts "context: " before the message.
  Error&& context(std::string_view what) &&;
  Error& context(std::string_view what) &;
};

template <class T = void>
using Result = std::expected<T, Error>;

/// A failure to return: `return fail(Code::not_found, "image " + name + " is not here; pull it first")`.
[[nodiscard]] std::unexpected<Error> fail(Code code, std::string message);
/// A failed system call; the code follows from the errno and the message becomes "what: strerror(err)".
[[nodiscard]] std::unexpected<Error> fail_errno(std::string_view what, int err = errno);

/// Prefixes the error, if there is one, with a context: `TRY(within("start pod " + name, mount_all(spec)))`.
template <class T>
[[nodiscard]] Result<T> within(std::string_view what, Result<T> result) {
  if (!result) result.error().context(what);
  return result;
}

}  // namespace estiba

// TRY(expression): the value of a Result, or returns its error from the enclosing function. CO_TRY is the same inside a
// coroutine: `auto pod = CO_TRY(co_await client.get(…));`. TRY_AS and CO_TRY_AS prefix a context.
#define ESTIBA_TRY_(ret, ...)                                                 \
  ({                                                                          \
    auto estiba_try_result_ = (__VA_ARGS__);                                  \
    if (!estiba_try_result_) [[unlikely]]                                     \
      ret std::unexpected(std::move(estiba_try_result_.error()));             \
    ::estiba::try_detail::unwrap(std::move(estiba_try_result_));              \
  })
#define ESTIBA_TRY_AS_(ret, what, ...)                                        \
  ({                                                                          \
    auto estiba_try_result_ = (__VA_ARGS__);                                  \
    if (!estiba_try_result_) [[unlikely]]                                     \
      ret std::unexpected(std::move(estiba_try_result_.error()).context(what)); \
    ::estiba::try_detail::unwrap(std::move(estiba_try_result_));              \
  })
#define TRY(...) ESTIBA_TRY_(return, __VA_ARGS__)
#define CO_TRY(...) ESTIBA_TRY_(co_return, __VA_ARGS__)
#define TRY_AS(what, ...) ESTIBA_TRY_AS_(return, what, __VA_ARGS__)
#define CO_TRY_AS(what, ...) ESTIBA_TRY_AS_(co_return, what, __VA_ARGS__)

namespace estiba::try_detail {
template <class T, class E>
T unwrap(std::expected<T, E>&& result) {
  return std::move(*result);
}
template <class E>
void unwrap(std::expected<void, E>&&) {}
}  // namespace estiba::try_detail
