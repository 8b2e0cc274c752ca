// Network namespaces that live on at a path: the namespace is bound (mount(2), MS_BIND) to a file, as ip-netns(8) does,
// so that it needs no process. See network_namespaces(7).
#pragma once
#include <string>

#include "base/fd.h"
#include "base/function.h"
#include "base/result.h"

namespace estiba::os {

/// Makes a network namespace, binds it to the new file `path`, and runs `inside` on a thread within it. When `inside`
/// fails, nothing is left. The calling thread's namespace does not change.
Result<void> make_netns(const std::string& path, UniqueFunction<Result<void>()> inside);
/// The same with a namespace that is there already.
Result<void> bind_netns(const std::string& path, const Fd& ns, UniqueFunction<Result<void>()> inside);
/// Runs `inside` on a thread within the namespace bound at `path`.
Result<void> in_netns(const std::string& path, UniqueFunction<Result<void>()> inside);
/// Unbinds it and removes the file; it goes when its last process has. Gone already: success.
Result<void> remove_netns(const std::string& path);
/// not_found when `path` is no bound network namespace (an interrupted make leaves a plain file).
Result<Fd> open_netns(const std::string& path);

}  // namespace estiba::os
