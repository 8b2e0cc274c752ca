// The instructions that `docker commit -c` and `docker import -c` apply to an image's configuration: a Dockerfile's that need no
// build. CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME, WORKDIR.
#pragma once
#include <string_view>

#include "base/result.h"
#include "image/manifest.h"

namespace estiba::image {

/// One instruction, "ENV DEBUG=true". Errors (invalid) name it and what is wrong.
Result<void> apply_change(Config& config, std::string_view instruction);

}  // namespace estiba::image
