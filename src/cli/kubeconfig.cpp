#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "cli/verbs.h"

namespace estiba::cli {

Result<int> kubeconfig(const Arguments& arguments) {
  std::string path = "/etc/estiba/kubeconfig";
  Flags flags("estiba kubeconfig");
  flags.add("path", &path, "where the server wrote it (its --write-kubeconfig)");
  const Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    std::fputs(flags.help().c_str(), stdout);
    return 0;
  }
  if (!rest.empty()) return fail(Code::invalid, "it takes no arguments; --path names the file");
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    auto error = fail_errno("open " + path);
    if (errno == ENOENT) error.error().message += "; has 'estiba server' been started on this machine? --path names another file";
    return error;
  }
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) std::fwrite(buffer, 1, size_t(n), stdout);
  close(fd);
  return 0;
}

}  // namespace estiba::cli
