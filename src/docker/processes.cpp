#include "docker/processes.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <map>

#include "base/strings.h"
#include "os/file.h"
#include "os/process.h"

namespace estiba::docker {

namespace {

struct Process {
  int pid = 0, parent = 0;
  uint32_t uid = 0;
  char state = '?';
  uint64_t cpu_ticks = 0, start_ticks = 0, virtual_bytes = 0, resident_pages = 0;
  int terminal = 0;
  int64_t nice = 0, threads = 1;
  bool leads_session = false, in_foreground = false;
  std::string command;
};

// proc_pid_stat(5). The name may hold anything, so fields count from its closing parenthesis.
std::optional<Process> read_process(int pid) {
  const std::string dir = "/proc/" + std::to_string(pid);
  auto stat = os::read_file(dir + "/stat");
  auto owner = os::stat_file(dir);
  if (!stat || !owner) return std::nullopt;
  const size_t open = stat->find('('), close = stat->rfind(')');
  if (open == stat->npos || close == stat->npos) return std::nullopt;
  const auto fields = words(trim(std::string_view(*stat).substr(close + 1)));
  if (fields.size() < 22) return std::nullopt;
  auto field = [&](size_t number) { return parse_number<int64_t>(fields[number - 3]).value_or(0); };  // as proc(5) numbers them
  Process out;
  out.pid = pid;
  out.uid = owner->st_uid;
  out.state = fields[0].empty() ? '?' : fields[0][0];
  out.parent = int(field(4));
  out.leads_session = field(6) == pid;
  out.terminal = int(field(7));
  out.in_foreground = field(8) == field(5) && field(8) > 0;
  out.cpu_ticks = uint64_t(field(14) + field(15));
  out.nice = field(19);
  out.threads = field(20);
  out.start_ticks = uint64_t(field(22));
  if (fields.size() > 21) {
    out.virtual_bytes = uint64_t(field(23));
    out.resident_pages = uint64_t(field(24));
  }
  std::string command = os::read_file(dir + "/cmdline").value_or(std::string());
  while (command.ends_with('\0')) command.pop_back();
  std::replace(command.begin(), command.end(), '\0', ' ');
  std::replace(command.begin(), command.end(), '\n', ' ');
  out.command = command.empty() ? "[" + stat->substr(open + 1, close - open - 1) + "]" : command;
  return out;
}

std::string user_name(uint32_t uid) {
  for (std::string_view line : split(os::read_file("/etc/passwd").value_or(std::string()), '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() > 2 && fields[2] == std::to_string(uid)) return std::string(fields[0]);
  }
  return std::to_string(uid);
}

std::string terminal_name(int device) {
  const int major = device >> 8 & 0xfff, minor = (device & 0xff) | (device >> 12 & 0xfff00);
  if (device == 0) return "?";
  if (major >= 136 && major <= 143) return "pts/" + std::to_string((major - 136) * 256 + minor);
  if (major == 4) return "tty" + std::to_string(minor);
  return "?";
}

std::string text(const char* format, auto... values) {
  char out[64];
  std::snprintf(out, sizeof out, format, values...);
  return out;
}

class Printer {
 public:
  explicit Printer(WallTime now) : now_(now), ticks_(uint64_t(::sysconf(_SC_CLK_TCK))) {
    const std::string uptime = os::read_file("/proc/uptime").value_or("0 0");
    up_ = std::strtod(uptime.c_str(), nullptr);
  }

  std::vector<std::string> full(const Process& process) const {
    return {user_name(process.uid),
            std::to_string(process.pid),
            std::to_string(process.parent),
            text("%d", int(share(process))),
            started(process),
            terminal_name(process.terminal),
            long_time(process),
            process.command};
  }
  std::vector<std::string> aux(const Process& process) const {
    static const double memory = double(::sysconf(_SC_PHYS_PAGES));
    const uint64_t resident = process.resident_pages * uint64_t(::sysconf(_SC_PAGESIZE)) / 1024;
    std::string state(1, process.state);
    if (process.nice < 0) state += '<';
    if (process.nice > 0) state += 'N';
    if (process.leads_session) state += 's';
    if (process.threads > 1) state += 'l';
    if (process.in_foreground) state += '+';
    const uint64_t seconds = process.cpu_ticks / ticks_;
    return {user_name(process.uid),
            std::to_string(process.pid),
            text("%.1f", share(process)),
            text("%.1f", double(process.resident_pages) / memory * 100),
            std::to_string(process.virtual_bytes / 1024),
            std::to_string(resident),
            terminal_name(process.terminal),
            state,
            started(process),
            text("%llu:%02llu", static_cast<unsigned long long>(seconds / 60), static_cast<unsigned long long>(seconds % 60)),
            process.command};
  }

 private:
  double age(const Process& process) const { return std::max(up_ - double(process.start_ticks) / double(ticks_), 0.0); }
  double share(const Process& process) const {
    const double seconds = age(process);
    return seconds < 0.01 ? 0 : std::min(double(process.cpu_ticks) / double(ticks_) / seconds * 100, 9999.0);
  }
  // "10:31" of today, "Nov27" of this year, "2025" before it.
  std::string started(const Process& process) const {
    const std::time_t now = std::chrono::duration_cast<std::chrono::seconds>(now_.time_since_epoch()).count();
    const std::time_t then = now - std::time_t(age(process));
    std::tm a{}, b{};
    localtime_r(&now, &a);
    localtime_r(&then, &b);
    char out[16];
    const char* format = a.tm_year != b.tm_year ? "%Y" : a.tm_yday != b.tm_yday ? "%b%d" : "%H:%M";
    return std::string(out, std::strftime(out, sizeof out, format, &b));
  }
  std::string long_time(const Process& process) const {
    const unsigned long long seconds = process.cpu_ticks / ticks_;
    if (seconds >= 86400) return text("%llu-%02llu:%02llu:%02llu", seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    return text("%02llu:%02llu:%02llu", seconds / 3600, seconds / 60 % 60, seconds % 60);
  }

  const WallTime now_;
  const uint64_t ticks_;
  double up_ = 0;
};

Result<std::string> run_ps(std::string_view arguments) {
  auto [ours, theirs] = TRY(os::make_pipe());
  os::SpawnOptions spawn;
  spawn.argv = {"ps"};
  for (std::string_view word : words(arguments)) spawn.argv.emplace_back(word);
  spawn.fds = {{theirs.get(), 1}, {theirs.get(), 2}};
  auto pid = os::spawn(spawn);
  theirs.reset();
  if (!pid) return fail(Code::invalid, "ps " + std::string(arguments) + ": this machine has no ps; \"-ef\" and \"aux\" work without one");
  std::string output = TRY(os::read_all(ours.get()));
  const os::ExitStatus status = TRY(os::wait_child(*pid));
  if (status.code != 0) return fail(Code::invalid, "ps: " + std::string(trim(output)));
  return output;
}

}  // namespace

Result<void> check_ps_arguments(std::string_view arguments) {
  // "-o pid=title" and the like rename or hide the column by which rows are chosen.
  for (std::string_view word : words(arguments)) {
    if (word.find('=') != word.npos && word.find("pid") != word.npos)
      return fail(Code::invalid, "specifying \"" + std::string(word) + "\" is not allowed: the PID column cannot be renamed");
  }
  return {};
}

Result<ProcessTable> choose_rows(std::string_view output, const std::vector<int>& pids) {
  ProcessTable table;
  size_t pid_column = 0;
  for (std::string_view line : split(output, '\n')) {
    const auto fields = words(line);
    if (fields.empty()) continue;
    if (table.titles.empty()) {
      for (std::string_view title : fields) table.titles.emplace_back(title);
      pid_column = size_t(std::find(fields.begin(), fields.end(), "PID") - fields.begin());
      if (pid_column == fields.size()) return fail(Code::invalid, "Couldn't find PID field in ps output");
      continue;
    }
    if (fields.size() <= pid_column) continue;
    auto pid = parse_number<int>(fields[pid_column]);
    if (!pid || std::find(pids.begin(), pids.end(), *pid) == pids.end()) continue;
    std::vector<std::string> row;
    const size_t columns = table.titles.size();
    for (size_t i = 0; i < fields.size() && i + 1 < columns; ++i) row.emplace_back(fields[i]);
    // The last column is a command with its spaces.
    if (fields.size() >= columns) row.emplace_back(trim(line.substr(size_t(fields[columns - 1].data() - line.data()))));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Result<ProcessTable> list_processes(const std::vector<int>& pids, std::string_view arguments, WallTime now) {
  arguments = trim(arguments);
  const bool aux = arguments == "aux" || arguments == "-aux";
  if (!arguments.empty() && arguments != "-ef" && arguments != "-e -f" && !aux) {
    TRY(check_ps_arguments(arguments));
    return choose_rows(TRY(run_ps(arguments)), pids);
  }
  ProcessTable table;
  if (aux) table.titles = {"USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"};
  else table.titles = {"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"};
  const Printer printer(now);
  for (int pid : pids)
    if (auto process = read_process(pid)) table.rows.push_back(aux ? printer.aux(*process) : printer.full(*process));
  return table;
}

}  // namespace estiba::docker
