#include "base/signals.h"

#include <csignal>

#include "base/strings.h"

namespace estiba {
namespace {

constexpr int rt_min = 34, rt_max = 64, most_up = 15, most_down = 14;

constexpr std::pair<std::string_view, int> table[] = {
    {"ABRT", SIGABRT},     {"ALRM", SIGALRM},     {"BUS", SIGBUS},   {"CHLD", SIGCHLD}, {"CLD", SIGCHLD},  {"CONT", SIGCONT},
    {"FPE", SIGFPE},       {"HUP", SIGHUP},       {"ILL", SIGILL},   {"INT", SIGINT},   {"IO", SIGIO},     {"IOT", SIGIOT},
    {"KILL", SIGKILL},     {"PIPE", SIGPIPE},     {"POLL", SIGPOLL}, {"PROF", SIGPROF}, {"PWR", SIGPWR},   {"QUIT", SIGQUIT},
    {"SEGV", SIGSEGV},     {"STKFLT", SIGSTKFLT}, {"STOP", SIGSTOP}, {"SYS", SIGSYS},   {"TERM", SIGTERM}, {"TRAP", SIGTRAP},
    {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU}, {"URG", SIGURG},   {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
    {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},   {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}};

std::optional<int> real_time(std::string_view name) {
  const bool up = equals_ignore_case(name.substr(0, 5), "RTMIN"), down = equals_ignore_case(name.substr(0, 5), "RTMAX");
  if (!up && !down) return std::nullopt;
  name.remove_prefix(5);
  if (name.empty()) return up ? rt_min : rt_max;
  if (name[0] != (up ? '+' : '-')) return std::nullopt;
  const auto offset = parse_number<int>(name.substr(1));
  if (!offset || *offset < 0 || *offset > (up ? most_up : most_down)) return std::nullopt;
  return up ? rt_min + *offset : rt_max - *offset;
}

}  // namespace

std::span<const std::pair<std::string_view, int>> named_signals() { return table; }

std::optional<int> signal_number(std::string_view text) {
  if (const auto number = parse_number<int>(text)) return *number >= 1 && *number <= rt_max ? number : std::nullopt;
  if (equals_ignore_case(text.substr(0, 3), "SIG")) text.remove_prefix(3);
  for (const auto& [name, number] : table)
    if (equals_ignore_case(name, text)) return number;
  return real_time(text);
}

std::string signal_name(int number) {
  for (const auto& [name, known] : table)
    if (known == number) return "SIG" + std::string(name);
  if (number < rt_min || number > rt_max) return {};
  if (number == rt_min) return "SIGRTMIN";
  if (number == rt_max) return "SIGRTMAX";
  return number <= rt_min + most_up ? "SIGRTMIN+" + std::to_string(number - rt_min) : "SIGRTMAX-" + std::to_string(rt_max - number);
}

}  // namespace estiba
