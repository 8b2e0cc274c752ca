// Paths inside a root without openat2(2), for kernels before 5.6.
#pragma once
#include <sys/types.h>

#include <string_view>

#include "os/fd.h"

namespace estiba::os {

enum class Resolve : uint8_t {
  in_root,  ///< RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
  beneath,  ///< RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
};

/// What openat2(2) opens, with its errors, name by name: each is opened without following links, links are read and walked by hand, and
/// ".." goes back to the descriptor that it was come from. So whoever renames and links meanwhile leads nowhere outside of `root`.
Result<Fd> open_stepwise(int root, std::string_view path, int flags, mode_t mode, Resolve how);

}  // namespace estiba::os
