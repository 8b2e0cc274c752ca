// links: store
// Numbers of the embedded store: store_bench [DIR] (default: a new directory below $TMPDIR or /tmp, removed afterwards).
// Each line says what was measured; build it with the release preset. A sync depends on the disk and on what else the
// machine does: compare runs of one machine only.
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "store/embedded/embedded.h"

namespace estiba::store {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }
void report(const char* what, double count, double seconds, const char* unit) {
  printf("%-52s %12.0f %s/s  (%.2f us each)\n", what, count / seconds, unit, seconds / count * 1e6);
}

// Writes `total` values in `lanes` chains: each has one write under way and starts the next when it is answered.
class Load {
 public:
  Load(Store& store, int lanes, int total) : store_(store), left_(total), running_(lanes), lanes_(lanes), value_(2048, 'v') {}
  double run() {
    auto start = Clock::now();
    for (int lane = 0; lane < lanes_; ++lane) next();
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return running_ == 0; });
    return seconds_since(start);
  }

 private:
  void next() {
    int number = left_.fetch_sub(1) - 1;
    if (number < 0) {
      std::lock_guard lock(mutex_);
      if (--running_ == 0) ended_.notify_one();
      return;
    }
    std::string key = "/registry/pods/default/pod-" + std::to_string(number % 10000);
    store_.write({Write::Kind::put, std::move(key), value_, Write::any, nullptr}, [this](Result<WriteResult> result) {
      if (!result) {
        fprintf(stderr, "%s\n", result.error().message.c_str());
        _exit(1);
      }
      next();
    });
  }

  Store& store_;
  std::atomic<int> left_;
  int running_;  // guarded by mutex_
  int lanes_;
  std::string value_;
  std::mutex mutex_;
  std::condition_variable ended_;
};

void writes(EmbeddedStore& store) {
  report("durable 2 KiB puts, one at a time", 5000, Load(store, 1, 5000).run(), "put");
  auto before = store.counters();
  report("durable 2 KiB puts, 100 at a time", 100000, Load(store, 100, 100000).run(), "put");
  auto after = store.counters();
  printf("%-52s %12.1f\n", "  writes a sync", double(after.writes - before.writes) / double(after.batches - before.batches));
}

void reads(Store& store) {
  std::vector<std::string> keys;
  for (int i = 0; i < 10000; ++i) keys.push_back("/registry/pods/default/pod-" + std::to_string(i * 7919 % 10000));
  auto start = Clock::now();
  size_t bytes = 0;
  for (int round = 0; round < 50; ++round) {
    for (auto& key : keys) bytes += (*store.get(key))->value.size();
  }
  report("get", 500000, seconds_since(start), "get");
  start = Clock::now();
  for (int i = 0; i < 100; ++i) bytes += store.list("/registry/pods/")->entries.size();
  report("list of 10,000", 100, seconds_since(start), "list");
  start = Clock::now();
  for (int i = 0; i < 20000; ++i) bytes += store.list("/registry/pods/", {.limit = 50, .start_after = keys[i % 10000]})->entries.size();
  report("page of 50", 20000, seconds_since(start), "page");
  Revision past = store.revision() - 100;
  start = Clock::now();
  for (int i = 0; i < 2000; ++i) bytes += store.list("/registry/pods/", {.revision = past, .limit = 50})->entries.size();
  report("page of 50 at a past revision", 2000, seconds_since(start), "page");
  if (bytes == 0) printf("nothing was read\n");
}

// `watches` watches of one prefix and as many of others, one thread that serves all, one writer.
void fan_out(Store& store, int watches) {
  struct Follower {
    std::unique_ptr<Watch> watch;
    std::atomic<bool> rung{false};
    size_t seen = 0;
  };
  std::mutex mutex;
  std::condition_variable rang;
  std::vector<Follower*> ready;
  std::vector<std::unique_ptr<Follower>> followers;
  auto arm = [&](Follower* f) {
    f->watch->arm([&, f] {
      std::lock_guard lock(mutex);
      ready.push_back(f);
      if (ready.size() == 1) rang.notify_one();
    });
  };
  for (int i = 0; i < 2 * watches; ++i) {
    auto f = std::make_unique<Follower>();
    f->watch = *store.watch(i < watches ? "/registry/pods/" : "/registry/other-" + std::to_string(i) + "/", store.revision());
    followers.push_back(std::move(f));
    arm(followers.back().get());
  }
  constexpr int events = 2000;
  auto start = Clock::now();
  std::thread writer([&] { Load(store, 10, events).run(); });
  size_t delivered = 0;
  std::vector<Event> out;
  while (delivered < size_t(watches) * events) {
    std::vector<Follower*> now;
    {
      std::unique_lock lock(mutex);
      rang.wait(lock, [&] { return !ready.empty(); });
      now.swap(ready);
    }
    for (Follower* f : now) {
      out.clear();
      if (!f->watch->poll(out, 1000)) _exit(1);
      delivered += out.size();
      arm(f);
    }
  }
  double seconds = seconds_since(start);
  writer.join();
  std::string what = "fan-out to " + std::to_string(watches) + " watches (and " + std::to_string(watches) + " of other prefixes)";
  report(what.c_str(), double(watches) * events, seconds, "event");
}

int run(const std::string& directory) {
  {
    auto store = open_embedded({.directory = directory});
    if (!store) return fprintf(stderr, "%s\n", store.error().message.c_str()), 1;
    writes(**store);
    reads(**store);
    fan_out(**store, 1);
    fan_out(**store, 1000);
  }
  auto start = Clock::now();
  auto store = open_embedded({.directory = directory});
  if (!store) return 1;
  printf("%-52s %12.1f ms\n", "open with 10,000 values of 2 KiB", seconds_since(start) * 1e3);
  return 0;
}

}  // namespace
}  // namespace estiba::store

int main(int argc, char** argv) {
  if (argc > 1) return estiba::store::run(argv[1]);
  const char* base = getenv("TMPDIR");
  std::string directory = std::string(base ? base : "/tmp") + "/estiba-bench-XXXXXX";
  if (!mkdtemp(directory.data())) return 1;
  int status = estiba::store::run(directory);
  for (const char* name : {"/store.db", "/store.db-wal", "/store.db-reserve", "/lock"}) unlink((directory + name).c_str());
  rmdir(directory.c_str());
  return status;
}
