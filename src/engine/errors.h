// Engine errors carry the reason that Kubernetes users know (engine.h lists them) in Error::details.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace estiba::engine {

namespace reason {
inline constexpr std::string_view invalid_image_name = "InvalidImageName";
inline constexpr std::string_view image_never_pull = "ErrImageNeverPull";
inline constexpr std::string_view image_pull = "ErrImagePull";
inline constexpr std::string_view create_container_config = "CreateContainerConfigError";
inline constexpr std::string_view create_container = "CreateContainerError";
inline constexpr std::string_view run_container = "RunContainerError";
inline constexpr std::string_view create_sandbox = "CreatePodSandboxError";
}  // namespace reason

/// Gives the error a reason unless a lower layer has given one.
inline Error with_reason(std::string_view reason, Error error) {
  if (!error.details) error.details = std::make_shared<ErrorDetails>();
  if (error.details->reason.empty()) error.details->reason = reason;
  return error;
}

[[nodiscard]] inline std::unexpected<Error> failed(std::string_view reason, Code code, std::string message) {
  return std::unexpected(with_reason(reason, Error{code, 0, std::move(message), nullptr}));
}

template <class T>
[[nodiscard]] Result<T> reasoned(std::string_view reason, Result<T> result) {
  if (!result) result.error() = with_reason(reason, std::move(result.error()));
  return result;
}

}  // namespace estiba::engine
