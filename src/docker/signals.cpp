#include "docker/signals.h"

#include <csignal>

#include "base/strings.h"

namespace estiba::docker {

Result<int> parse_signal(std::string_view text) {
  auto bad = [&] { return fail(Code::invalid, "invalid signal: " + std::string(text)); };
  if (auto number = parse_number<int>(text)) {
    if (*number < 1 || *number > 64) return bad();
    return *number;
  }
  std::string upper(text);
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? char(c - 32) : c;
  std::string_view name = upper;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  static constexpr std::pair<std::string_view, int> names[] = {
      {"ABRT", SIGABRT},     {"ALRM", SIGALRM},     {"BUS", SIGBUS},   {"CHLD", SIGCHLD}, {"CLD", SIGCHLD},  {"CONT", SIGCONT},
      {"FPE", SIGFPE},       {"HUP", SIGHUP},       {"ILL", SIGILL},   {"INT", SIGINT},   {"IO", SIGIO},     {"IOT", SIGIOT},
      {"KILL", SIGKILL},     {"PIPE", SIGPIPE},     {"POLL", SIGPOLL}, {"PROF", SIGPROF}, {"PWR", SIGPWR},   {"QUIT", SIGQUIT},
      {"SEGV", SIGSEGV},     {"STKFLT", SIGSTKFLT}, {"STOP", SIGSTOP}, {"SYS", SIGSYS},   {"TERM", SIGTERM}, {"TRAP", SIGTRAP},
      {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU}, {"URG", SIGURG},   {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
      {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},   {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}};
  for (const auto& [known, number] : names)
    if (known == name) return number;
  // Numbered as in the kernel and in containers: the C library keeps the first two real-time signals for itself.
  if (name == "RTMIN") return 34;
  if (name == "RTMAX") return 64;
  if (name.starts_with("RTMIN+"))
    if (auto n = parse_number<int>(name.substr(6)); n && *n >= 0 && *n <= 15) return 34 + *n;
  if (name.starts_with("RTMAX-"))
    if (auto n = parse_number<int>(name.substr(6)); n && *n >= 0 && *n <= 14) return 64 - *n;
  return bad();
}

}  // namespace estiba::docker
