#include "store/memory/history.h"

#include <gtest/gtest.h>

#include <thread>

#include "store/memory/memory.h"

namespace estiba::store {
namespace {

Event put_event(Revision revision, std::string key, size_t bytes = 1) {
  auto entry = std::make_shared<Entry>();
  entry->key = std::move(key);
  entry->value = std::string(bytes, 'v');
  entry->create_revision = entry->mod_revision = revision;
  entry->version = 1;
  return {Event::Kind::put, revision, entry, nullptr};
}

Instant at(int seconds) { return Instant(std::chrono::seconds(seconds)); }

TEST(History, IsCutAtTheNumberOfEventsInWholeChunks) {
  History history({.events = 1000, .bytes = 1 << 30, .least_age = Duration(0)}, 0, {});
  for (Revision r = 1; r <= 5000; ++r) history.append(put_event(r, std::to_string(r % 10)), at(0));
  auto snapshot = history.publish(at(1), 0);
  EXPECT_GE(snapshot->ring->floor, 4000);
  EXPECT_LE(snapshot->ring->floor, 4000 + Revision(Chunk::capacity));
  Revision expected = snapshot->ring->floor;
  snapshot->each_event(snapshot->ring->floor, 5000, [&](const Event& event) { return event.revision == ++expected; });
  EXPECT_EQ(expected, 5000);
}

TEST(History, BigValuesCloseAChunkEarlySoThatTheCutIsFine) {
  History history({.events = 65536, .bytes = 4 << 20, .least_age = Duration(0)}, 0, {});
  EntryPtr last;
  for (Revision r = 1; r <= 100; ++r) {
    Event event = put_event(r, "/k", 500'000);
    event.previous = std::exchange(last, event.entry);
    history.append(std::move(event), at(0));
    history.publish(at(1), 0);
  }
  auto snapshot = history.publish(at(1), 0);
  EXPECT_GE(snapshot->ring->floor, 85);
  EXPECT_LE(snapshot->ring->floor, 95);
}

TEST(History, RemovedObjectsAreCountedAndGo) {
  History history({.events = 65536, .bytes = 4 << 20, .least_age = Duration(0)}, 0, {});
  std::vector<std::weak_ptr<const Entry>> made;
  Revision revision = 0;
  std::vector<EntryPtr> entries;
  for (int i = 0; i < 100; ++i) {
    Event event = put_event(++revision, "/k" + std::to_string(i), 500'000);
    entries.push_back(event.entry);
    history.append(std::move(event), at(0));
  }
  history.publish(at(1), 0);
  for (EntryPtr& entry : entries) {
    made.push_back(entry);
    history.append({Event::Kind::remove, ++revision, entry, std::exchange(entry, nullptr)}, at(1));
    history.publish(at(2), 0);
  }
  const auto alive = std::count_if(made.begin(), made.end(), [](const auto& entry) { return !entry.expired(); });
  EXPECT_LE(alive, 15) << "4 MiB hold eight, and chunks go as wholes";
  EXPECT_GE(alive, 6);
}

TEST(History, AKeptTreeIsTheOneOfItsRevision) {
  History history({.least_age = Duration(0)}, 0, {});
  for (Revision r = 1; r <= 1000; ++r) history.append(put_event(r, std::to_string(r)), at(0));
  auto snapshot = history.publish(at(0), 0);
  for (Revision r : {0, 1, 255, 256, 257, 511, 512, 999, 1000}) {
    EXPECT_EQ(snapshot->tree_at(r).size(), static_cast<uint64_t>(r));
    EXPECT_EQ(snapshot->find_at(std::to_string(r), r) != nullptr, r > 0);
    EXPECT_EQ(snapshot->find_at(std::to_string(r + 1), r), nullptr);
  }
}

// The race that counts: readers take snapshots while the writer replaces and drops them.
TEST(SnapshotCell, ReadersAlwaysHaveAWholeSnapshotWhileItIsReplaced) {
  History history({.events = 300, .bytes = 1 << 30, .least_age = Duration(0)}, 0, {});
  SnapshotCell cell(history.publish(at(0), 0));
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      Revision last = 0;
      while (!stop) {
        auto snapshot = cell.load();
        EXPECT_GE(snapshot->revision, last);
        last = snapshot->revision;
        if (last == 0) continue;
        const EntryPtr* newest = snapshot->tree.find(std::to_string(last % 50));
        ASSERT_TRUE(newest);
        EXPECT_EQ((*newest)->mod_revision, last);
        Revision past = std::max(last - 20, snapshot->ring->floor);
        EXPECT_EQ(snapshot->tree_at(past).size(), static_cast<uint64_t>(std::min<Revision>(past, 50)));
      }
    });
  }
  for (Revision r = 1; r <= 5000; ++r) {
    history.append(put_event(r, std::to_string(r % 50)), at(0));
    cell.store(history.publish(at(1), 0));
  }
  stop = true;
  for (auto& reader : readers) reader.join();
}

// As etcd's revisions are when others write there too: with gaps, and several events in one.
TEST(History, RevisionsMayHaveNoEventOrSeveral) {
  History history({.least_age = Duration(0)}, 10, {});
  for (int i = 0; i < 300; ++i) history.append(put_event(20, "a" + std::to_string(i)), at(0));
  for (int i = 0; i < 5; ++i) history.append(put_event(30, "b" + std::to_string(i)), at(0));
  history.advance(40);
  auto snapshot = history.publish(at(0), 0);
  EXPECT_EQ(snapshot->revision, 40);
  for (auto [revision, size] : {std::pair{10, 0}, {19, 0}, {20, 300}, {29, 300}, {30, 305}, {35, 305}, {40, 305}})
    EXPECT_EQ(snapshot->tree_at(revision).size(), static_cast<uint64_t>(size)) << revision;
  EXPECT_FALSE(snapshot->find_at("b0", 29));
  EXPECT_TRUE(snapshot->find_at("b0", 30));
  size_t seen = 0;
  snapshot->each_event(20, 40, [&](const Event&) { return ++seen, true; });
  EXPECT_EQ(seen, 5u);
}

TEST(Watch, StopsWithinARevisionAndGoesOnThere) {
  History history({.least_age = Duration(0)}, 0, {});
  auto memory = std::make_shared<Memory>(history.publish(at(0), 0));
  RingWatch watch(memory, "/k/", 0);
  std::vector<Event> batch, events;
  for (int i = 0; i < 600; ++i) batch.push_back(put_event(7, (i % 2 ? "/k/" : "/other/") + std::to_string(i)));
  batch.push_back(put_event(9, "/k/last"));
  for (const Event& event : batch) history.append(event, at(0));
  history.advance(12);
  memory->newest.store(history.publish(at(0), 0));
  memory->hub.wake(batch);
  memory->hub.advance(12);
  int rung = 0;
  while (*watch.poll(events, 7) == 7) {
    if (events.size() < 300) EXPECT_EQ(watch.position(), 0) << "the revision is not over";
    watch.arm([&] { ++rung; });
  }
  ASSERT_EQ(events.size(), 301u);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(events[i].entry->key, "/k/" + std::to_string(2 * i + 1));
  EXPECT_EQ(events.back().entry->key, "/k/last");
  EXPECT_EQ(watch.position(), 12);
  EXPECT_GT(rung, 0);
}

TEST(Watch, LostEventsWakeEveryArmedWatchWhichThenIsGone) {
  History history({.least_age = Duration(0)}, 5, {});
  auto memory = std::make_shared<Memory>(history.publish(at(0), 0));
  RingWatch watch(memory, "/k/", 5);
  int rung = 0;
  watch.arm([&] { ++rung; });
  History fresh({}, 50, {});
  memory->newest.store(fresh.publish(at(0), 0));
  memory->hub.advance(50);
  memory->hub.wake_all();
  EXPECT_EQ(rung, 1);
  std::vector<Event> events;
  auto result = watch.poll(events, 10);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::gone);
}

TEST(Watch, ManyThreadsThatArmAndPollMissNothing) {
  History history({.least_age = Duration(0)}, 0, {});
  auto memory = std::make_shared<Memory>(history.publish(at(0), 0));
  constexpr Revision last = 3000;
  std::vector<std::thread> followers;
  for (int i = 0; i < 3; ++i) {
    followers.emplace_back([&, i] {
      RingWatch watch(memory, "/" + std::to_string(i) + "/", 0);
      std::vector<Event> events;
      while (events.size() < last / 3) {
        std::atomic<bool> rung{false};
        watch.arm([&] {
          rung = true;
          rung.notify_one();
        });
        rung.wait(false);
        ASSERT_TRUE(watch.poll(events, 5));
      }
      for (size_t n = 0; n < events.size(); ++n) EXPECT_EQ(events[n].entry->key, "/" + std::to_string(i) + "/" + std::to_string(n));
    });
  }
  for (Revision r = 1; r <= last; ++r) {
    std::vector<Event> events{put_event(r, "/" + std::to_string((r - 1) % 3) + "/" + std::to_string((r - 1) / 3))};
    history.append(events[0], at(0));
    memory->newest.store(history.publish(at(0), 0));
    memory->hub.wake(events);
  }
  for (auto& follower : followers) follower.join();
}

TEST(Watch, AnEventThatWasPolledBeforeTheHubShowsItDoesNotRing) {
  History history({}, 0, {});
  Memory memory(history.publish(at(0), 0));
  auto shared = std::shared_ptr<Memory>(&memory, [](Memory*) {});
  RingWatch watch(shared, "/k/", 0);
  std::vector<Event> batch{put_event(1, "/k/1")}, events;
  history.append(batch[0], at(0));
  memory.newest.store(history.publish(at(0), 0));
  EXPECT_EQ(*watch.poll(events, 10), 1u);
  int rung = 0;
  watch.arm([&] { ++rung; });
  memory.hub.wake(batch);
  EXPECT_EQ(rung, 0);
  EXPECT_EQ(*watch.poll(events, 10), 0u);
  EXPECT_EQ(watch.position(), 1);
}

}  // namespace
}  // namespace estiba::store
