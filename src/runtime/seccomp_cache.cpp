#include "runtime/seccomp_cache.h"

#include <cstring>

#include "base/strings.h"
#include "os/file.h"
#include "os/seccomp_simplify.h"

namespace estiba::runtime {

namespace {

// Everything that shapes the program, as one text.
std::string fingerprint(const os::SeccompFilter& filter) {
  std::string out =
      "3\n" + filter.default_action + "\n" + (filter.default_errno_ret ? std::to_string(*filter.default_errno_ret) : "") + "\n";
  for (const std::string& name : filter.architectures) out += name + " ";
  for (const std::string& flag : filter.flags) out += flag + " ";
  for (const os::SeccompRule& rule : filter.rules) {
    out += "\n" + rule.action + " " + (rule.errno_ret ? std::to_string(*rule.errno_ret) : "");
    for (const std::string& name : rule.names) out += " " + name;
    for (const os::SeccompArg& arg : rule.args) {
      out += " [" + std::to_string(arg.index) + arg.op + std::to_string(arg.value) + "," + std::to_string(arg.value_two) + "]";
    }
  }
  return out;
}

// A file is: fingerprint, a NUL byte, flags and notify as two bytes, code. The fingerprint is compared in full, so that two
// profiles with one hash do not get each other's program.
std::optional<os::SeccompProgram> load(const std::string& file, const std::string& print) {
  auto text = os::read_file(file);
  if (!text || text->size() < print.size() + 3 || memcmp(text->data(), print.c_str(), print.size() + 1) != 0) return std::nullopt;
  os::SeccompProgram program;
  program.flags = static_cast<unsigned char>((*text)[print.size() + 1]);
  program.notify = (*text)[print.size() + 2] != 0;
  program.code = text->substr(print.size() + 3);
  return program;
}

}  // namespace

Result<os::SeccompProgram> cached_seccomp(const os::SeccompFilter& filter) {
  static const std::string dir = "/run/estiba/seccomp";
  std::string print = fingerprint(filter);
  std::string file = dir + "/" + std::to_string(fnv1a64(print));
  if (auto program = load(file, print)) return std::move(*program);
  os::SeccompProgram program = TRY(os::compile_seccomp(filter));
  program.code = os::simplify_seccomp(std::move(program.code));
  if (os::make_dirs(dir, 0700)) {
    std::string bytes = print;
    bytes += '\0';
    bytes += char(program.flags);
    bytes += char(program.notify);
    // Several processes may write at once: each its own file, then a rename. Failing to keep it costs time only.
    std::string own = file + "." + random_suffix(8);
    if (os::write_file_atomic(own, bytes + program.code, 0600, false)) (void)os::rename_file(own, file);
  }
  return program;
}

}  // namespace estiba::runtime
