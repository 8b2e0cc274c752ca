// links: store
// A child of tests/crash/test_store_crash.py and test_etcd_crash.py: what it prints about the store it works on is compared with what was
// acknowledged before it was killed.
//
//   store_crash write DIR WRITERS SEED   writers over the store until killed; prints "start REVISION FLOOR", then a line
//                                        an acknowledged write: "put REVISION KEY VALUE" or "del REVISION KEY", and a line
//                                        an event of a watch from the start: "event REVISION KIND KEY VALUE"
//                                        A DIR "etcd=URL" is an etcd.
//   store_crash resume DIR REVISION      prints "revision N", "key KEY MOD_REVISION VALUE" for each key, and "gone" or
//                                        "events N" of a watch from REVISION
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/strings.h"
#include "store/embedded/embedded.h"
#include "store/etcd/etcd.h"

namespace estiba::store {
namespace {

// One write(2) a line, below PIPE_BUF: a line is whole or not there.
void say(const std::string& line) {
  std::string text = line + "\n";
  if (::write(1, text.data(), text.size()) != static_cast<ssize_t>(text.size())) _exit(3);
}

int refuse(const Error& error) {
  fprintf(stderr, "store_crash: %s\n", error.message.c_str());
  return 1;
}

// The value as the parent sees it: long ones by length and hash, so that pipes stay quick.
std::string shown(std::string_view value) { return std::to_string(value.size()) + ":" + std::to_string(fnv1a64(value)); }

Result<std::unique_ptr<Store>> open(std::string_view place) {
  if (place.starts_with("etcd=")) return open_etcd({.endpoints = {std::string(place.substr(5))}});
  return open_embedded({.directory = std::string(place)});
}

class Writer {
 public:
  Writer(Store& store, int id, uint64_t seed)
      : store_(store), prefix_("/crash/" + std::to_string(id) + "/"), random_(seed * 1000 + id + 1) {}

  void step() {
    uint64_t r = next();
    std::string key = prefix_ + std::to_string(r % 20);
    bool removal = next() % 4 == 0;
    Write write{removal ? Write::Kind::remove : Write::Kind::put, key, {}, Write::any, nullptr};
    if (!removal)
      write.value = std::string(next() % 100 == 0 ? 200'000 : next() % 4000, static_cast<char>('a' + r % 26)) + std::to_string(r);
    std::mutex mutex;
    std::condition_variable ready;
    bool answered = false;
    store_.write(std::move(write), [&](Result<WriteResult> result) {
      if (result) {
        std::string revision = std::to_string(result->revision);
        say(removal ? "del " + revision + " " + key : "put " + revision + " " + key + " " + shown(result->entry->value));
      } else if (result.error().code != Code::not_found) {
        say("error " + result.error().message);
      }
      std::lock_guard lock(mutex);
      answered = true;
      ready.notify_one();
    });
    std::unique_lock lock(mutex);
    ready.wait(lock, [&] { return answered; });
  }

 private:
  uint64_t next() {  // xorshift64*
    random_ ^= random_ >> 12;
    random_ ^= random_ << 25;
    random_ ^= random_ >> 27;
    return (random_ * 0x2545f4914f6cdd1dull) >> 16;
  }
  Store& store_;
  std::string prefix_;
  uint64_t random_;
};

[[noreturn]] void follow(Watch& watch) {
  for (;;) {
    std::mutex mutex;
    std::condition_variable ready;
    bool rung = false;
    watch.arm([&] {
      std::lock_guard lock(mutex);
      rung = true;
      ready.notify_one();
    });
    {
      std::unique_lock lock(mutex);
      ready.wait(lock, [&] { return rung; });
    }
    std::vector<Event> events;
    auto result = watch.poll(events, 1000);
    if (!result) say("error " + result.error().message);
    for (auto& event : events) {
      bool put = event.kind == Event::Kind::put;
      say("event " + std::to_string(event.revision) + (put ? " put " : " del ") + event.entry->key +
          (put ? " " + shown(event.entry->value) : ""));
    }
  }
}

int write_until_killed(const char* directory, int writers, uint64_t seed) {
  auto store = open(directory);
  if (!store) return refuse(store.error());
  Revision start = (*store)->revision();
  auto watch = (*store)->watch("/crash/", start);
  if (!watch) return refuse(watch.error());
  say("start " + std::to_string(start));
  std::vector<std::thread> threads;
  for (int i = 0; i < writers; ++i) {
    threads.emplace_back([&store, i, seed] {
      Writer writer(**store, i, seed);
      for (;;) writer.step();
    });
  }
  follow(**watch);
}

int resume(const char* directory, Revision from) {
  auto store = open(directory);
  if (!store) return refuse(store.error());
  say("revision " + std::to_string((*store)->revision()));
  auto all = (*store)->list("/crash/");
  if (!all) return refuse(all.error());
  for (auto& entry : all->entries) say("key " + entry->key + " " + std::to_string(entry->mod_revision) + " " + shown(entry->value));
  auto watch = (*store)->watch("/crash/", from);
  if (!watch) {
    say(watch.error().code == Code::gone ? "gone" : "error " + watch.error().message);
    return 0;
  }
  std::vector<Event> events;
  auto count = (*watch)->poll(events, 1 << 20);
  say(count ? "events " + std::to_string(*count) : "gone");
  return 0;
}

}  // namespace
}  // namespace estiba::store

int main(int argc, char** argv) {
  std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "write" && argc == 5) return estiba::store::write_until_killed(argv[2], atoi(argv[3]), static_cast<uint64_t>(atoll(argv[4])));
  if (verb == "resume" && argc == 4) return estiba::store::resume(argv[2], atoll(argv[3]));
  fprintf(stderr, "usage: store_crash write DIR WRITERS SEED | resume DIR REVISION\n");
  return 2;
}
