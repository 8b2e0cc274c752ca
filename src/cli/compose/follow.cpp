#include "cli/compose/follow.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/strings.h"
#include "base/time.h"
#include "cli/docker/session.h"
#include "cli/docker/terminal.h"

namespace estiba::cli::compose {

using docker::Client;
using docker::Request;
using docker::segment;
using json::Node;

namespace {

constexpr const char* colours[] = {"\033[36m", "\033[33m", "\033[32m", "\033[35m", "\033[34m",
                                   "\033[96m", "\033[93m", "\033[92m", "\033[95m", "\033[94m"};

}  // namespace

std::string just_after(std::string_view stamp) {
  auto time = parse_rfc3339(std::string(stamp));
  if (!time) return "";
  const auto nanoseconds = time->time_since_epoch().count() + 1;
  std::string fraction = std::to_string(nanoseconds % 1'000'000'000);
  return std::to_string(nanoseconds / 1'000'000'000) + "." + std::string(9 - fraction.size(), '0') + fraction;
}

std::string display_name(std::string_view project, const Member& member) {
  const std::string prefix = std::string(project) + "-";
  return member.name.starts_with(prefix) ? member.name.substr(prefix.size()) : member.name;
}

struct Follower::Impl {
  FollowOptions options;
  std::atomic<size_t> left = 0;
  std::mutex mutex;
  std::vector<Exit> exits;                   // guarded by mutex, as is the output
  std::string error;                         // guarded by mutex
  std::vector<std::thread> threads;          // guarded by mutex
  std::map<std::string, std::string> heads;  // name → what stands before each line
  std::atomic<bool> stopping = false;
  std::set<int> reading;  // connections; guarded by mutex

  struct Track {
    Member member;
    std::string name, head;
    std::unique_ptr<Client> client;
    std::string partial[2];
    std::string since, tail;
  };

  void line(Track& track, int stream, std::string_view text) {
    std::string stamp;
    if (auto [first, rest] = split_once(text, ' '); rest && first.size() >= 20) {
      track.since = just_after(first);
      stamp = options.timestamps ? std::string(first) + " " : "";
      text = *rest;
    }
    if (text.ends_with('\r')) text.remove_suffix(1);
    std::lock_guard lock(mutex);
    (void)docker::print_bytes(stream, track.head + stamp + std::string(text) + "\n");
  }

  bool take(Track& track, int stream, std::string_view bytes) {
    std::string& partial = track.partial[stream == 2];
    partial += bytes;
    size_t begin = 0;
    for (size_t end; (end = partial.find('\n', begin)) != partial.npos; begin = end + 1)
      line(track, stream, std::string_view(partial).substr(begin, end - begin));
    partial.erase(0, begin);
    return true;
  }

  void flush(Track& track) {
    for (int stream : {1, 2})
      if (std::string& partial = track.partial[stream == 2]; !partial.empty()) line(track, stream, std::exchange(partial, {}));
  }

  Result<void> read_all(Track& track, docker::Response& response, bool framed) {
    docker::Demultiplexer demultiplexer(framed, [this, &track](int stream, std::string_view bytes) { return take(track, stream, bytes); });
    std::vector<char> buffer(64 * 1024);
    for (;;) {
      const size_t n = TRY(response.read(buffer.data(), buffer.size()));
      if (n == 0) break;
      TRY(demultiplexer.feed({buffer.data(), n}));
    }
    return {};
  }

  Result<void> read_once(Track& track, bool framed) {
    Request request{.path = "/containers/" + segment(track.member.id) + "/logs"};
    request.query.add("stdout", "1");
    request.query.add("stderr", "1");
    // Always, to know from where to go on.
    request.query.add("timestamps", "1");
    if (options.follow) request.query.add("follow", "1");
    request.query.add("tail", track.tail);
    if (!track.since.empty()) request.query.add("since", track.since);
    if (!options.until.empty()) request.query.add("until", options.until);
    auto response = TRY(track.client->stream(std::move(request)));
    const int fd = response->fd();
    if (!begin_reading(fd)) return {};
    auto ended = read_all(track, *response, framed);
    end_reading(fd);
    TRY(std::move(ended));
    flush(track);
    track.tail = "all";
    return {};
  }

  /// Whether the connection may be read: stop() ends those that are.
  bool begin_reading(int fd) {
    std::lock_guard lock(mutex);
    if (!stopping) reading.insert(fd);
    return !stopping;
  }
  void end_reading(int fd) {
    std::lock_guard lock(mutex);
    reading.erase(fd);
  }

  Result<void> follow(Track& track) {
    const std::string path = "/containers/" + segment(track.member.id) + "/json";
    const json::Document first = TRY(track.client->call({.path = path}));
    const Node* tty = first.root().at("Config", "Tty");
    for (;;) {
      TRY(read_once(track, !(tty && tty->as_bool())));
      if (!options.lasting || stopping) return {};
      auto now = track.client->call({.path = path});
      if (!now && now.error().code == Code::not_found) return {};
      if (!now) return std::unexpected(std::move(now.error()));
      const std::string_view status = now->root().string_at("State", "Status");
      if (status == "running" || status == "restarting" || status == "paused") {
        ::usleep(100'000);
        continue;
      }
      const Node* code = now->root().at("State", "ExitCode");
      const Exit exit{track.member.service, track.name, code ? code->as_int().value_or(0) : 0};
      std::lock_guard lock(mutex);
      (void)docker::print_bytes(1, exit.name + " exited with code " + std::to_string(exit.code) + "\n");
      exits.push_back(exit);
      return {};
    }
  }

  void run(std::unique_ptr<Track> track) {
    auto ended = follow(*track);
    if (!ended && !stopping) {
      std::lock_guard lock(mutex);
      if (error.empty()) error = ended.error().message;
    }
    --left;
  }
};

Follower::Follower(std::unique_ptr<Impl> impl) : impl_(std::move(impl)), left_(impl_->left) {}

std::unique_ptr<Follower> Follower::open(Context& context, const std::vector<Member>& members, FollowOptions options) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  const bool colour = context.colour && docker::is_terminal(1);
  size_t width = 0, index = 0;
  for (const Member& member : members) width = std::max(width, display_name(impl->options.project, member).size());
  for (const Member& member : members) {
    if (!impl->options.prefix) break;
    const std::string name = display_name(impl->options.project, member);
    const std::string head = name + std::string(width - name.size(), ' ') + "  | ";
    impl->heads[name] = colour ? colours[index++ % std::size(colours)] + head + "\033[0m" : head;
  }
  impl->left = 1;
  return std::unique_ptr<Follower>(new Follower(std::move(impl)));
}

Result<std::unique_ptr<Follower>> Follower::start(Context& context, const std::vector<Member>& members, FollowOptions options) {
  auto out = open(context, members, std::move(options));
  for (const Member& member : members) {
    auto added = out->add(context, member);
    if (added) continue;
    out->stop();
    return std::unexpected(std::move(added.error()));
  }
  out->close();
  return out;
}

Result<void> Follower::add(Context& context, const Member& member, const std::string& since, const std::string& tail) {
  auto track = std::make_unique<Impl::Track>();
  track->member = member;
  track->name = display_name(impl_->options.project, member);
  track->since = since.empty() ? impl_->options.since : since;
  track->tail = tail.empty() ? impl_->options.tail : tail;
  if (auto head = impl_->heads.find(track->name); head != impl_->heads.end()) track->head = head->second;
  std::lock_guard lock(impl_->mutex);
  track->client = TRY(context.call.cli.connect());
  ++impl_->left;
  impl_->threads.emplace_back([impl = impl_.get(), track = std::move(track)]() mutable { impl->run(std::move(track)); });
  return {};
}

void Follower::stop() {
  std::lock_guard lock(impl_->mutex);
  impl_->stopping = true;
  for (int fd : impl_->reading) (void)::shutdown(fd, SHUT_RDWR);
}

void Follower::join() {
  for (auto& thread : impl_->threads)
    if (thread.joinable()) thread.join();
}

Follower::~Follower() { join(); }

std::optional<Follower::Exit> Follower::first_exit() {
  std::lock_guard lock(impl_->mutex);
  return impl_->exits.empty() ? std::nullopt : std::optional(impl_->exits.front());
}

std::optional<Follower::Exit> Follower::exit_of(std::string_view service) {
  std::lock_guard lock(impl_->mutex);
  for (const Exit& exit : impl_->exits)
    if (exit.service == service) return exit;
  return std::nullopt;
}

std::string Follower::error() {
  std::lock_guard lock(impl_->mutex);
  return impl_->error;
}

}  // namespace estiba::cli::compose
