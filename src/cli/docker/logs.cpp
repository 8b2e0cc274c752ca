// docker logs, docker top, docker diff, docker events: what a container tells and what happens to it.
#include <cstdio>
#include <ctime>

#include "base/strings.h"
#include "cli/docker/format.h"
#include "cli/docker/session.h"
#include "cli/docker/terminal.h"
#include "cli/docker/times.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"

namespace estiba::cli::docker {

namespace {

// Daemons since API 1.42 say whether the output is framed; before, only the container's configuration tells.
Result<bool> is_framed(Client& client, const Response& response, std::string_view container) {
  const std::string_view type = response.headers.get("Content-Type");
  if (type == "application/vnd.docker.multiplexed-stream") return true;
  const json::Document answer = TRY(client.call({.path = "/containers/" + segment(container) + "/json"}));
  const json::Node* tty = answer.root().at("Config", "Tty");
  return !(tty && tty->as_bool());
}

}  // namespace

Result<int> logs(Call& call) {
  bool details = false, follow = false, timestamps = false;
  std::string since, until, tail = "all";
  Flags flags(call);
  flags.add("details", &details, "Show extra details provided to logs");
  flags.add("follow,f", &follow, "Follow log output");
  flags.add("since", &since, "Show logs since a time (e.g. \"2013-01-02T13:23:37Z\") or so long ago (e.g. \"42m\")");
  flags.add("tail,n", &tail, "Number of lines to show from the end of the logs");
  flags.add("timestamps,t", &timestamps, "Show timestamps");
  flags.add("until", &until, "Show logs before a time (e.g. \"2013-01-02T13:23:37Z\") or so long ago (e.g. \"42m\")");
  const Arguments arguments = TRY(flags.parse());
  Request request{.path = "/containers/" + segment(arguments[0]) + "/logs"};
  request.query.add("stdout", "1");
  request.query.add("stderr", "1");
  if (!since.empty()) request.query.add("since", TRY_AS("invalid value for \"since\"", api_timestamp(since)));
  if (!until.empty()) request.query.add("until", TRY_AS("invalid value for \"until\"", api_timestamp(until)));
  if (timestamps) request.query.add("timestamps", "1");
  if (follow) request.query.add("follow", "1");
  if (details) request.query.add("details", "1");
  request.query.add("tail", tail);
  auto client = TRY(call.cli.connect());
  auto response = TRY(client->stream(std::move(request)));
  const bool framed = TRY(is_framed(*TRY(call.cli.client()), *response, arguments[0]));
  Demultiplexer demultiplexer(framed, [](int stream, std::string_view bytes) { return print_bytes(stream, bytes); });
  std::vector<char> bytes(256 * 1024);
  for (;;) {
    const size_t n = TRY(response->read(bytes.data(), bytes.size()));
    if (n == 0 || !TRY(demultiplexer.feed({bytes.data(), n}))) return 0;
  }
}

Result<int> top(Call& call) {
  Flags flags(call);
  const Arguments arguments = TRY(flags.parse(true));
  Request request{.path = "/containers/" + segment(arguments[0]) + "/top"};
  if (arguments.size() > 1) request.query.add("ps_args", join(std::vector<std::string>(arguments.begin() + 1, arguments.end()), " "));
  const json::Document answer = TRY(TRY(call.cli.client())->call(std::move(request)));
  std::string out;
  auto line = [&](const json::Node* cells) {
    if (!cells) return;
    bool first = true;
    for (const json::Node& cell : *cells) {
      if (!std::exchange(first, false)) out += '\t';
      out += cell.as_string();
    }
    out += '\n';
  };
  line(answer.root().find("Titles"));
  if (const json::Node* processes = answer.root().find("Processes"))
    for (const json::Node& process : *processes) line(&process);
  std::fputs(align(out, 20).c_str(), stdout);
  return 0;
}

Result<int> diff(Call& call) {
  Flags flags(call);
  const Arguments arguments = TRY(flags.parse());
  const json::Document answer = TRY(TRY(call.cli.client())->call({.path = "/containers/" + segment(arguments[0]) + "/changes"}));
  for (const json::Node& change : answer.root()) {
    const json::Node* kind = change.find("Kind");
    const int64_t number = kind ? kind->as_int().value_or(0) : 0;
    std::printf("%c %s\n", number == 1 ? 'A' : number == 2 ? 'D' : 'C', std::string(change.string_at("Path")).c_str());
  }
  return 0;
}

namespace {

// "2026-11-28T15:31:09.123456789Z container start 4f… (image=box:1, name=web)"
std::string event_line(const json::Node& event) {
  const json::Node* nano = event.find("timeNano");
  const json::Node* seconds = event.find("time");
  const int64_t time = nano ? nano->as_int().value_or(0) : seconds ? seconds->as_int().value_or(0) * 1'000'000'000 : 0;
  std::string out;
  if (time) {
    std::tm tm{};
    const std::time_t t = time / 1'000'000'000;
    localtime_r(&t, &tm);
    char text[64], zone[16];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    std::strftime(zone, sizeof zone, "%z", &tm);
    char fraction[16];
    std::snprintf(fraction, sizeof fraction, ".%09lld", static_cast<long long>(time % 1'000'000'000));
    const std::string offset(zone);
    out = std::string(text) + fraction + (offset == "+0000" ? "Z" : offset.substr(0, 3) + ":" + offset.substr(3)) + " ";
  }
  out += std::string(event.string_at("Type")) + " " + std::string(event.string_at("Action")) + " " +
         std::string(event.string_at("Actor", "ID"));
  std::vector<std::string> attributes;
  if (const json::Node* list = event.at("Actor", "Attributes"))
    for (const json::Node& each : *list) attributes.push_back(std::string(each.key()) + "=" + std::string(each.as_string()));
  std::sort(attributes.begin(), attributes.end());
  if (!attributes.empty()) out += " (" + join(attributes, ", ") + ")";
  return out + "\n";
}

}  // namespace

Result<int> events(Call& call) {
  std::string format, since, until;
  std::vector<std::string> filter;
  Flags flags(call);
  flags.add("filter,f", &filter, "Filter output based on conditions provided", "filter");
  flags.add("format", &format, "Format output using a custom template: 'json' or 'TEMPLATE'");
  flags.add("since", &since, "Show all events created since timestamp");
  flags.add("until", &until, "Stream events until this timestamp");
  TRY(flags.parse());
  std::optional<Template> parsed;
  if (!format.empty()) parsed = TRY(parse_format(format));
  Request request{.path = "/events"};
  if (!since.empty()) request.query.add("since", TRY(api_timestamp(since)));
  if (!until.empty()) request.query.add("until", TRY(api_timestamp(until)));
  if (std::string conditions = TRY(filters(filter)); !conditions.empty()) request.query.add("filters", conditions);
  auto response = TRY(TRY(call.cli.client())->stream(std::move(request)));
  std::string pending;
  char bytes[16 * 1024];
  for (;;) {
    const size_t n = TRY(response->read(bytes, sizeof bytes));
    if (n == 0) return 0;
    pending.append(bytes, n);
    for (size_t end; (end = pending.find('\n')) != pending.npos; pending.erase(0, end + 1)) {
      const std::string_view text = trim(std::string_view(pending).substr(0, end));
      if (text.empty()) continue;
      const json::Document event = TRY_AS("an event", json::Document::parse(text, {.allow_duplicate_keys = true}));
      const std::string line = parsed ? TRY(format_object(*parsed, event.root())) + "\n" : event_line(event.root());
      std::fputs(line.c_str(), stdout);
    }
    std::fflush(stdout);
  }
}

}  // namespace estiba::cli::docker
