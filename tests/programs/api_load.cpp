// links: io
// A load generator: keeps a number of connections busy with one kind of request and prints, as JSON, how many were answered
// and how long they took. Names in the body or URL may hold "@N", which becomes the number of the request, and "@T", which becomes the
// time in microseconds of a clock that all processes share.
//
//   api_load --url=https://127.0.0.1:6443/api/v1/namespaces/default --ca=ca.crt --cert=admin.crt --key=admin.key
//            [--unix=/run/estiba/docker.sock] [--connections=1] [--requests=N | --seconds=S] [--method=POST --body=FILE --type=MEDIA]
//            [--first=0] [--watch=EVENTS]
//
// With --watch each connection holds the URL's answer open and counts lines until EVENTS have come; "watching" is printed
// when all of them are open. Where an event holds "sent":"@T" as somebody else sent it, its delay is what is told as p50 and p99; one
// connection of sixteen looks for it.
#include <cstdio>
#include <cstdlib>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "base/strings.h"
#include "io/http_client.h"

namespace estiba {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::map<std::string, std::string, std::less<>> given;
  std::string text(std::string_view name, std::string otherwise = {}) const {
    auto found = given.find(name);
    return found == given.end() ? otherwise : found->second;
  }
  int64_t number(std::string_view name, int64_t otherwise) const {
    auto found = given.find(name);
    return found == given.end() ? otherwise : parse_number<int64_t>(found->second).value_or(otherwise);
  }
  std::string file(std::string_view name) const {
    std::string path = text(name);
    if (path.empty()) return {};
    std::ifstream in(path, std::ios::binary);
    if (!in) {
      fprintf(stderr, "api_load: cannot read %s\n", path.c_str());
      exit(2);
    }
    return {std::istreambuf_iterator<char>(in), {}};
  }
};

int64_t now_us() { return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch()).count(); }

std::string numbered(const std::string& text, int64_t number) {
  std::string out = text;
  for (size_t at; (at = out.find("@N")) != std::string::npos;) out.replace(at, 2, std::to_string(number));
  for (size_t at; (at = out.find("@T")) != std::string::npos;) out.replace(at, 2, std::to_string(now_us()));
  return out;
}

class Load {
 public:
  explicit Load(const Options& options)
      : url_(options.text("url")),
        method_(options.text("method", "GET")),
        body_(options.file("body")),
        type_(options.text("type", "application/json")),
        accept_(options.text("accept", "application/json")),
        connections_(int(options.number("connections", 1))),
        left_(options.number("requests", INT64_MAX)),
        next_(options.number("first", 0)),
        seconds_(double(options.number("seconds", 3600))),
        events_(options.number("watch", 0)),
        client_(make_client(options)) {}

  Task<void> run() {
    TaskGroup group;
    start_ = Clock::now();
    for (int i = 0; i < connections_; ++i) group.start(events_ ? watch() : lane());
    co_await group.join();
    report();
  }
  bool failed() const { return failures_ > 0; }

 private:
  static io::HttpClient make_client(const Options& options) {
    io::TlsContextRef tls;
    if (options.text("url").starts_with("https:")) {
      auto made = io::make_tls_client({.ca_pem = options.file("ca"),
                                       .certificate_pem = options.file("cert"),
                                       .key_pem = options.file("key"),
                                       .insecure = options.text("ca").empty()});
      if (!made) {
        fprintf(stderr, "api_load: %s\n", made.error().message.c_str());
        exit(2);
      }
      tls = *made;
    }
    return io::HttpClient({.tls = tls, .unix_path = options.text("unix"), .max_idle_connections = 1024});
  }

  io::ClientRequest request(int64_t number) const {
    io::ClientRequest out;
    out.method = method_;
    out.url = numbered(url_, number);
    out.headers = {{"Accept", accept_}};
    if (!body_.empty()) {
      out.headers.add("Content-Type", type_);
      out.body = numbered(body_, number);
    }
    return out;
  }

  void fail(const std::string& what) {
    if (failures_++ == 0) fprintf(stderr, "api_load: %s\n", what.c_str());
  }

  bool time_left() const { return std::chrono::duration<double>(Clock::now() - start_).count() < seconds_; }

  Task<void> lane() {
    while (left_ > 0 && time_left()) {
      --left_;
      auto begin = Clock::now();
      auto answer = co_await client_.fetch(request(next_++));
      if (!answer) {
        fail(answer.error().message);
        break;
      }
      if (answer->status >= 300) {
        fail(std::to_string(answer->status) + " " + answer->body.substr(0, 300));
        break;
      }
      bytes_ += answer->body.size();
      took_.push_back(float(std::chrono::duration<double, std::micro>(Clock::now() - begin).count()));
    }
  }

  Task<void> watch() {
    io::ClientRequest asked = request(0);
    asked.timeout = Duration::zero();
    auto answer = co_await client_.send(std::move(asked));
    if (!answer) {
      fail(answer.error().message);
    } else {
      const bool looks = watching_ % 16 == 0;
      if (++watching_ == connections_) {
        printf("watching\n");
        fflush(stdout);
      }
      for (int64_t seen = 0; seen < events_;) {
        auto piece = co_await (*answer)->read();
        if (!piece || piece->empty()) {
          fail(piece ? "the watch ended" : piece.error().message);
          break;
        }
        if (first_event_ == Clock::time_point{}) first_event_ = Clock::now();
        bytes_ += piece->size();
        const int64_t lines = count_lines(*piece);
        seen += lines;
        delivered_ += lines;
        if (looks) note_delays(*piece);
      }
    }
  }

  static int64_t count_lines(std::string_view text) {
    int64_t out = 0;
    for (size_t at = 0; (at = text.find('\n', at)) != text.npos; ++at) ++out;
    return out;
  }

  void note_delays(std::string_view events) {
    constexpr std::string_view mark = "\"sent\":\"";
    const int64_t now = now_us();
    for (size_t at = 0; (at = events.find(mark, at)) != events.npos;) {
      at += mark.size();
      if (auto sent = parse_number<int64_t>(events.substr(at, std::min(events.size(), events.find('"', at)) - at)))
        took_.push_back(float(now - *sent));
    }
  }

  void report() {
    auto begin = events_ ? first_event_ : start_;
    double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    std::sort(took_.begin(), took_.end());
    auto at = [&](double part) {
      return took_.empty() ? 0.0 : double(took_[std::min(took_.size() - 1, size_t(part * double(took_.size())))]);
    };
    printf(
        "{\"requests\": %zu, \"failures\": %d, \"seconds\": %.6f, \"bytes\": %zu, \"events\": %lld, \"p50_us\": %.1f, \"p99_us\": %.1f, "
        "\"max_us\": %.1f}\n",
        took_.size(), failures_, seconds, bytes_, static_cast<long long>(delivered_), at(0.5), at(0.99), at(1));
  }

  std::string url_, method_, body_, type_, accept_;
  int connections_;
  int64_t left_, next_;
  double seconds_;
  int64_t events_;
  io::HttpClient client_;
  Clock::time_point start_, first_event_;
  std::vector<float> took_;
  size_t bytes_ = 0;
  int64_t delivered_ = 0;
  int failures_ = 0, watching_ = 0;
};

}  // namespace
}  // namespace estiba

int main(int argc, char** argv) {
  estiba::Options options;
  for (int i = 1; i < argc; ++i) {
    auto [name, value] = estiba::split_once(argv[i], '=');
    if (!name.starts_with("--") || !value) return fprintf(stderr, "api_load: %s is no --name=value\n", argv[i]), 2;
    options.given[std::string(name.substr(2))] = *value;
  }
  if (options.text("url").empty()) return fprintf(stderr, "api_load: --url is missing\n"), 2;
  estiba::io::Loop loop;
  bool failed = loop.block_on([](const estiba::Options& given) -> estiba::Task<bool> {
    estiba::Load load(given);
    co_await load.run();
    co_return load.failed();
  }(options));
  return failed ? 1 : 0;
}
