// docker stats.
#include <poll.h>

#include <cstdio>
#include <map>

#include "base/strings.h"
#include "cli/docker/format.h"
#include "cli/docker/session.h"
#include "cli/docker/terminal.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"

namespace estiba::cli::docker {

namespace {

// One container: its stream and what it told last.
struct Watched {
  std::string name;  // as it was asked for
  std::unique_ptr<Client> client;
  std::unique_ptr<Response> response;
  std::string pending;
  std::optional<json::Document> last;
  bool gone = false;
};

double number(const json::Node& root, auto... path) {
  const json::Node* node = root.at(path...);
  return node ? node->as_double().value_or(0) : 0;
}

double cpu_percent(const json::Node& s) {
  const double used = number(s, "cpu_stats", "cpu_usage", "total_usage") - number(s, "precpu_stats", "cpu_usage", "total_usage");
  const double passed = number(s, "cpu_stats", "system_cpu_usage") - number(s, "precpu_stats", "system_cpu_usage");
  double cpus = number(s, "cpu_stats", "online_cpus");
  if (cpus == 0)
    if (const json::Node* each = s.at("cpu_stats", "cpu_usage", "percpu_usage")) cpus = each->size();
  return used > 0 && passed > 0 ? used / passed * cpus * 100 : 0;
}

// Without the page cache that the kernel would give back at once.
double memory_used(const json::Node& s) {
  const double usage = number(s, "memory_stats", "usage");
  for (const char* name : {"total_inactive_file", "inactive_file"})
    if (const double cache = number(s, "memory_stats", "stats", name); cache > 0 && cache < usage) return usage - cache;
  return usage;
}

std::pair<double, double> block_io(const json::Node& s) {
  double read = 0, written = 0;
  if (const json::Node* list = s.at("blkio_stats", "io_service_bytes_recursive"))
    for (const json::Node& each : *list) {
      if (equals_ignore_case(each.string_at("op"), "read")) read += number(each, "value");
      if (equals_ignore_case(each.string_at("op"), "write")) written += number(each, "value");
    }
  return {read, written};
}

std::pair<double, double> network_io(const json::Node& s) {
  double in = 0, out = 0;
  if (const json::Node* networks = s.find("networks"))
    for (const json::Node& each : *networks) {
      in += number(each, "rx_bytes");
      out += number(each, "tx_bytes");
    }
  return {in, out};
}

void fill(Listing& listing, json::Node& row, const Watched& watched, bool whole) {
  auto percent = [](double value) {
    char text[64];
    std::snprintf(text, sizeof text, "%.2f%%", value);
    return std::string(text);
  };
  auto pair = [](std::pair<double, double> io) { return human_size(io.first) + " / " + human_size(io.second); };
  const bool known = watched.last.has_value();
  static const json::Document nothing = *json::Document::parse("{}");
  const json::Node& s = known ? watched.last->root() : nothing.root();
  std::string_view name = s.string_at("name");
  if (name.starts_with('/')) name.remove_prefix(1);
  const std::string_view id = s.string_at("id");
  const double limit = number(s, "memory_stats", "limit");
  listing.set(row, "BlockIO", known ? pair(block_io(s)) : "--");
  listing.set(row, "CPUPerc", known ? percent(cpu_percent(s)) : "--");
  listing.set(row, "Container", watched.name);
  listing.set(row, "ID", id.empty() ? "--" : whole ? std::string(id) : short_id(id));
  listing.set(row, "MemPerc", known ? percent(limit > 0 ? memory_used(s) / limit * 100 : 0) : "--");
  listing.set(row, "MemUsage", known ? binary_size(memory_used(s)) + " / " + binary_size(limit) : "-- / --");
  listing.set(row, "Name", name.empty() ? "--" : std::string(name));
  listing.set(row, "NetIO", known ? pair(network_io(s)) : "--");
  listing.set(row, "PIDs", known ? std::to_string(int64_t(number(s, "pids_stats", "current"))) : "--");
}

class Stats {
 public:
  Stats(Call& call, std::string format, bool whole, bool streaming)
      : call_(call), format_(std::move(format)), whole_(whole), streaming_(streaming) {}

  Result<void> watch(std::string_view name) {
    for (const Watched& each : watched_)
      if (each.name == name && !each.gone) return {};
    Watched one;
    one.name = name;
    one.client = TRY(call_.cli.connect());
    Request request{.path = "/containers/" + segment(name) + "/stats"};
    request.query.add("stream", streaming_ ? "1" : "0");
    one.response = TRY(one.client->stream(std::move(request)));
    watched_.push_back(std::move(one));
    return {};
  }

  Result<void> watch_all(bool stopped_too) {
    Request request{.path = "/containers/json"};
    if (stopped_too) request.query.add("all", "1");
    const json::Document answer = TRY(TRY(call_.cli.client())->call(std::move(request)));
    for (const json::Node& each : answer.root()) {
      auto watched = watch(short_id(each.string_at("Id")));
      if (!watched && watched.error().code != Code::not_found) return watched;  // it may have gone meanwhile
    }
    return {};
  }

  // Reads once from a stream; takes in the last whole line of it.
  Result<void> read(Watched& one) {
    char bytes[16 * 1024];
    auto n = one.response->read(bytes, sizeof bytes);
    if (!n || *n == 0) {
      one.gone = true;
      return {};
    }
    one.pending.append(bytes, *n);
    for (size_t end; (end = one.pending.find('\n')) != one.pending.npos; one.pending.erase(0, end + 1))
      take(one, std::string_view(one.pending).substr(0, end));
    return {};
  }

  static void take(Watched& one, std::string_view text) {
    if (trim(text).empty()) return;
    if (auto document = json::Document::parse(text, {.allow_duplicate_keys = true})) one.last = std::move(*document);
  }

  Result<void> once() {
    for (Watched& one : watched_) {
      const std::string text = TRY(one.response->text());
      take(one, text);
    }
    return print();
  }

  Result<void> print() {
    Listing listing("*formatter.statsContext", {{"Container", "CONTAINER"},
                                                {"ID", "CONTAINER ID"},
                                                {"Name", "NAME"},
                                                {"CPUPerc", "CPU %"},
                                                {"MemUsage", "MEM USAGE / LIMIT"},
                                                {"MemPerc", "MEM %"},
                                                {"NetIO", "NET I/O"},
                                                {"BlockIO", "BLOCK I/O"},
                                                {"PIDs", "PIDS"}});
    TRY(listing.start(format_, false, "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
                      ""));
    for (const Watched& one : watched_) {
      if (one.gone && streaming_) continue;
      json::Node& row = listing.row();
      fill(listing, row, one, whole_);
      TRY(listing.add(row));
    }
    std::string text = TRY(listing.finish());
    if (streaming_) {  // over the last picture; what is left of longer lines goes
      std::string lines = "\x1b[H";
      for (char c : text) lines += c == '\n' ? std::string("\x1b[K\n") : std::string(1, c);
      text = lines + "\x1b[J";
    }
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    return {};
  }

  // Until nothing is left to watch, or for ever when containers may still start (`follow` is the stream of events).
  Result<void> stream(Response* follow) {
    std::string events;
    if (is_terminal(1)) std::fputs("\x1b[2J", stdout);
    TRY(print());
    for (;;) {
      std::vector<pollfd> waits;
      for (Watched& one : watched_) waits.push_back({one.gone ? -1 : one.response->fd(), POLLIN, 0});
      if (follow) waits.push_back({follow->fd(), POLLIN, 0});
      const bool alive = std::any_of(watched_.begin(), watched_.end(), [](const Watched& w) { return !w.gone; });
      if (!alive && !follow) return {};
      bool buffered = follow && follow->buffered();
      for (Watched& one : watched_) buffered = buffered || (!one.gone && one.response->buffered());
      if (poll(waits.data(), waits.size(), buffered ? 0 : -1) < 0 && errno != EINTR) return fail_errno("poll");
      const size_t count = watched_.size();
      for (size_t i = 0; i < count; ++i)
        if (!watched_[i].gone && (waits[i].revents || watched_[i].response->buffered())) TRY(read(watched_[i]));
      if (follow && (waits[count].revents || follow->buffered())) {
        char bytes[8192];
        const size_t n = TRY(follow->read(bytes, sizeof bytes));
        if (n == 0) return {};
        events.append(bytes, n);
        if (events.ends_with('\n')) {
          events.clear();
          TRY(watch_all(false));
        }
      }
      TRY(print());
    }
  }

 private:
  Call& call_;
  std::string format_;
  bool whole_, streaming_;
  std::vector<Watched> watched_;
};

}  // namespace

Result<int> stats(Call& call) {
  bool all = false, no_stream = false, whole = false;
  std::string format;
  Flags flags(call);
  flags.add("all,a", &all, "Show all containers (default shows just running)");
  flags.add("format", &format, "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'");
  flags.add("no-stream", &no_stream, "Disable streaming stats and only pull the first result");
  flags.add("no-trunc", &whole, "Do not truncate output");
  const Arguments names = TRY(flags.parse());
  if (format.empty()) format = TRY(call.cli.config())->text("statsFormat");
  Stats stats(call, format, whole, !no_stream);
  std::unique_ptr<Client> client = TRY(call.cli.connect());
  std::unique_ptr<Response> follow;
  if (names.empty() && !no_stream) {
    Request request{.path = "/events"};
    request.query.add("filters", R"({"type":{"container":true},"event":{"start":true}})");
    follow = TRY(client->stream(std::move(request)));
  }
  if (names.empty()) TRY(stats.watch_all(all));
  for (std::string_view name : names) TRY(stats.watch(name));
  if (no_stream) TRY(stats.once());
  else TRY(stats.stream(follow.get()));
  return 0;
}

}  // namespace estiba::cli::docker
