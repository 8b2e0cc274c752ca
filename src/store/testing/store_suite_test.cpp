// The tests that every store has to pass.
#include "store/testing/store_suite.h"

namespace estiba::store {

TEST_P(StoreSuite, PutGetAndRemoveKeepVersionsAndRevisions) {
  Revision start = store_->revision();
  EXPECT_EQ(value("/a/x"), "NotFound");
  auto created = put("/a/x", "1");
  ASSERT_TRUE(created);
  EXPECT_EQ(created->revision, start + 1);
  EXPECT_EQ(created->entry->create_revision, start + 1);
  EXPECT_EQ(created->entry->mod_revision, start + 1);
  EXPECT_EQ(created->entry->version, 1);
  EXPECT_FALSE(created->previous);
  EXPECT_EQ(store_->revision(), start + 1);

  auto changed = put("/a/x", "2");
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->revision, start + 2);
  EXPECT_EQ(changed->entry->create_revision, start + 1);
  EXPECT_EQ(changed->entry->version, 2);
  EXPECT_EQ(changed->previous->value, "1");
  EXPECT_EQ(value("/a/x"), "2");

  auto removed = remove("/a/x");
  ASSERT_TRUE(removed);
  EXPECT_EQ(removed->revision, start + 3);
  EXPECT_EQ(removed->entry->value, "2");
  EXPECT_EQ(removed->previous->value, "2");
  EXPECT_EQ(value("/a/x"), "NotFound");
  EXPECT_EQ(store_->count("/a/"), 0u);

  auto again = put("/a/x", "3");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->entry->version, 1);
  EXPECT_EQ(again->entry->create_revision, start + 4);
}

TEST_P(StoreSuite, PreconditionsNameWhatIsWrong) {
  auto created = put("/k", "1", 0);
  ASSERT_TRUE(created);
  EXPECT_EQ(put("/k", "2", 0).error().code, Code::already_exists);
  EXPECT_EQ(put("/k", "2", created->revision + 1).error().code, Code::conflict);
  EXPECT_EQ(put("/absent", "2", 7).error().code, Code::not_found);
  EXPECT_EQ(remove("/absent").error().code, Code::not_found);
  EXPECT_EQ(remove("/absent", 7).error().code, Code::not_found);
  EXPECT_EQ(remove("/k", created->revision + 1).error().code, Code::conflict);
  EXPECT_EQ(put("", "x").error().code, Code::invalid);
  EXPECT_EQ(store_->revision(), created->revision) << "a failed write takes no revision";
  auto message = put("/k", "2", created->revision + 1).error().message;
  EXPECT_NE(message.find("/k"), std::string::npos) << message;
  EXPECT_TRUE(put("/k", "2", created->revision));
  EXPECT_TRUE(remove("/k", created->revision + 1));
}

TEST_P(StoreSuite, WritesHappenTogetherOrNotAtAll) {
  const Revision start = set("/t/old", "1");
  auto seen = watch("/t/", start);
  const auto together = [&](Write main, std::vector<Write> with) {
    main.with = std::move(with);
    return write(std::move(main));
  };
  const auto put_of = [](std::string key, std::string value, Revision expect) {
    return Write{Write::Kind::put, std::move(key), std::move(value), expect, nullptr, {}};
  };
  const auto removal_of = [](std::string key, Revision expect = Write::any) {
    return Write{Write::Kind::remove, std::move(key), {}, expect, nullptr, {}};
  };
  auto made = together(put_of("/t/main", "m", 0), {put_of("/t/side", "s", 0), removal_of("/t/old", start)});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->entry->key, "/t/main");
  EXPECT_EQ(made->revision, made->entry->mod_revision);
  EXPECT_EQ(store_->revision(), made->revision);
  EXPECT_EQ(keys("/t/"), (Strings{"/t/main", "/t/side"}));
  Strings events;
  for (std::string& event : drain(*seen)) events.push_back(event.substr(0, event.find('@')));
  std::sort(events.begin(), events.end());
  EXPECT_EQ(events, (Strings{"+/t/main=m", "+/t/side=s", "-/t/old=1"}));

  // What fails: a key that is there, one that is not, another revision. The write's own failure keeps its code.
  const Revision before = store_->revision();
  auto taken = together(put_of("/t/other", "o", 0), {put_of("/t/more", "s", 0), put_of("/t/side", "t", 0)});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Code::conflict);
  EXPECT_NE(taken.error().message.find("/t/side"), std::string::npos) << taken.error().message;
  EXPECT_EQ(together(put_of("/t/other", "o", 0), {removal_of("/t/absent")}).error().code, Code::conflict);
  EXPECT_EQ(together(put_of("/t/other", "o", 0), {put_of("/t/side", "t", before + 1)}).error().code, Code::conflict);
  EXPECT_EQ(together(put_of("/t/main", "o", 0), {put_of("/t/more", "t", 0)}).error().code, Code::already_exists);
  EXPECT_EQ(together(removal_of("/t/absent"), {put_of("/t/more", "t", 0)}).error().code, Code::not_found);
  EXPECT_EQ(together(put_of("/t/other", "o", 0), {put_of("", "t", 0)}).error().code, Code::invalid);
  EXPECT_EQ(keys("/t/"), (Strings{"/t/main", "/t/side"}));
  EXPECT_EQ(store_->revision(), before);
  EXPECT_EQ(drain(*seen), Strings{});

  auto gone = together(removal_of("/t/main", made->revision), {removal_of("/t/side")});
  ASSERT_TRUE(gone) << gone.error().message;
  EXPECT_EQ(gone->entry->value, "m");
  EXPECT_EQ(keys("/t/"), Strings{});
}

TEST_P(StoreSuite, ManyWritesFitTogether) {
  Write write{Write::Kind::put, "/t/main", "m", 0, nullptr, {}};
  for (int i = 0; i < 100; ++i) write.with.push_back({Write::Kind::put, "/t/" + std::to_string(i), "s", 0, nullptr, {}});
  auto made = this->write(std::move(write));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(keys("/t/").size(), 101u);
}

TEST_P(StoreSuite, ListsAPrefixInKeyOrder) {
  for (const char* key : {"/b/2", "/a/1", "/b/1", "/b/10", "/b", "/c/1", "/b0"}) set(key, key);
  EXPECT_EQ(keys("/b/"), (Strings{"/b/1", "/b/10", "/b/2"}));
  EXPECT_EQ(keys("/b"), (Strings{"/b", "/b/1", "/b/10", "/b/2", "/b0"}));
  EXPECT_EQ(keys("/d/"), Strings{});
  EXPECT_EQ(keys("").size(), 7u);
  EXPECT_EQ(store_->count("/b/"), 3u);
  EXPECT_EQ(store_->list("/b/")->revision, store_->revision());
}

TEST_P(StoreSuite, KeysAreBytes) {
  std::string high("/\xff\xff", 3), zero("/\0x", 3);
  set(high, "high");
  set(zero, std::string("a\0b", 3));
  set("/m", "");
  EXPECT_EQ(value(zero), std::string("a\0b", 3));
  EXPECT_EQ(value("/m"), "");
  EXPECT_EQ(keys("/"), (Strings{zero, "/m", high}));
  EXPECT_EQ(keys(std::string_view("/\xff", 2)), (Strings{high}));
}

TEST_P(StoreSuite, PagesStayInTheirSnapshot) {
  for (int i = 10; i < 20; ++i) set("/p/" + std::to_string(i), "old");
  set("/q/1", "other");
  auto first = store_->list("/p/", {.limit = 4});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->entries.size(), 4u);
  EXPECT_TRUE(first->more);
  EXPECT_EQ(first->remaining, 6u);
  ASSERT_TRUE(remove("/p/15"));
  set("/p/155", "new");
  set("/p/16", "new");
  auto second = store_->list("/p/", {.revision = first->revision, .limit = 4, .start_after = first->entries.back()->key});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->revision, first->revision);
  Strings got;
  for (auto& entry : second->entries) got.push_back(entry->key + std::string(entry->value));
  EXPECT_EQ(got, (Strings{"/p/14old", "/p/15old", "/p/16old", "/p/17old"}));
  EXPECT_EQ(second->remaining, 2u);
  auto last = store_->list("/p/", {.revision = first->revision, .limit = 4, .start_after = "/p/17"});
  ASSERT_TRUE(last);
  EXPECT_EQ(last->entries.size(), 2u);
  EXPECT_FALSE(last->more);
  EXPECT_EQ(last->remaining, 0u);
}

TEST_P(StoreSuite, EveryRevisionOfTheHistoryCanBeRead) {
  Revision start = store_->revision();
  for (int i = 0; i < 300; ++i) set("/r/" + std::to_string(i % 7), std::to_string(i));
  Revision removed = remove("/r/3")->revision;
  for (int i = 300; i < 600; ++i) set("/r/" + std::to_string(i % 2), std::to_string(i));
  for (int i = 7; i < 300; i += 11) {
    Revision at = start + 1 + i;
    EXPECT_EQ(value("/r/" + std::to_string(i % 7), at), std::to_string(i));
    EXPECT_EQ(keys("/r/", {.revision = at}).size(), 7u);
  }
  EXPECT_EQ(value("/r/3", removed - 1), std::to_string(297));
  EXPECT_EQ(value("/r/3", removed), "NotFound");
  EXPECT_EQ(keys("/r/", {.revision = removed}).size(), 6u);
  EXPECT_EQ(store_->get("/r/0", store_->revision() + 1).error().code, Code::invalid);
  EXPECT_EQ(store_->list("/r/", {.revision = store_->revision() + 1}).error().code, Code::invalid);
}

TEST_P(StoreSuite, WatchDeliversEventsAfterARevisionInOrder) {
  Revision a = set("/w/a", "1");
  auto from_a = watch("/w/", a);
  Revision b = set("/w/b", "1");
  Revision c = set("/w/a", "2");
  set("/x/a", "no");
  Revision d = remove("/w/b")->revision;
  EXPECT_EQ(drain(*from_a), (Strings{at("+/w/b=1", b), at("~/w/a=2", c), at("-/w/b=1", d)}));
  EXPECT_EQ(from_a->position(), d);
  EXPECT_EQ(drain(*from_a), Strings{});
  auto from_b = watch("/w/", b);
  EXPECT_EQ(drain(*from_b, 1), (Strings{at("~/w/a=2", c)}));
  EXPECT_EQ(from_b->position(), c);
  EXPECT_EQ(drain(*from_b, 1), (Strings{at("-/w/b=1", d)}));
  EXPECT_EQ(store_->watch("/w/", store_->revision() + 1).error().code, Code::invalid);
}

TEST_P(StoreSuite, WatchPositionMovesOverOtherKeys) {
  auto quiet = watch("/quiet/", store_->revision());
  Bell bell;
  quiet->arm(bell.hook());
  Revision last = set("/loud/1", "x");
  for (int i = 0; i < 100 && quiet->position() < last; ++i) {
    EXPECT_EQ(drain(*quiet), Strings{});
    std::this_thread::yield();
  }
  EXPECT_EQ(quiet->position(), last);
  EXPECT_EQ(bell.count(), 0);
}

TEST_P(StoreSuite, ArmRingsOnceAndOnlyForItsPrefix) {
  auto pods = watch("/registry/pods/", store_->revision());
  auto one = watch("/registry/pods/default/web", store_->revision());
  auto all = watch("", store_->revision());
  Bell pod_bell, one_bell, all_bell;
  pods->arm(pod_bell.hook());
  one->arm(one_bell.hook());
  all->arm(all_bell.hook());
  set("/registry/nodes/n1", "x");
  EXPECT_TRUE(all_bell.wait_for(1));
  Revision first = set("/registry/pods/default/api", "x");
  EXPECT_TRUE(pod_bell.wait_for(1));
  Revision second = set("/registry/pods/default/web", "x");
  EXPECT_TRUE(one_bell.wait_for(1));
  EXPECT_EQ(pod_bell.count(), 1);
  EXPECT_EQ(all_bell.count(), 1);
  EXPECT_EQ(drain(*pods), (Strings{at("+/registry/pods/default/api=x", first), at("+/registry/pods/default/web=x", second)}));
  EXPECT_EQ(drain(*one), (Strings{at("+/registry/pods/default/web=x", second)}));
  EXPECT_EQ(drain(*all).size(), 3u);
}

TEST_P(StoreSuite, ArmRingsAtOnceWhenSomethingIsThere) {
  auto pending = watch("/k/", store_->revision());
  Revision first = set("/k/1", "x");
  Bell bell;
  pending->arm(bell.hook());
  EXPECT_TRUE(bell.wait_for(1));
  EXPECT_EQ(drain(*pending), (Strings{at("+/k/1=x", first)}));
  pending->arm(bell.hook());
  EXPECT_EQ(bell.count(), 1);
  Revision second = set("/k/2", "x");
  EXPECT_TRUE(bell.wait_for(2));
  pending->arm(bell.hook());
  EXPECT_TRUE(bell.wait_for(3));
  EXPECT_EQ(drain(*pending), (Strings{at("+/k/2=x", second)}));
}

TEST_P(StoreSuite, ADestroyedWatchStaysSilent) {
  Bell bell;
  auto gone = watch("/k/", store_->revision());
  gone->arm(bell.hook());
  gone.reset();
  set("/k/1", "x");
  set("/k/2", "x");
  EXPECT_EQ(bell.count(), 0);
}

TEST_P(StoreSuite, AWatchThatFallsBehindIsGone) {
  set("/k/1", "v");
  auto slow = watch("/k/", store_->revision());
  auto quiet = watch("/other/", store_->revision());
  Bell slow_bell, quiet_bell;
  quiet->arm(quiet_bell.hook());
  Revision start = store_->revision();
  Bell answered;
  const size_t count = factory_->surely_forgotten(history);
  for (size_t i = 0; i < count; ++i) {
    store_->write({Write::Kind::put, "/k/" + std::to_string(i % 100), "v", Write::any, nullptr},
                  [hook = answered.hook()](Result<WriteResult>) mutable { hook(); });
  }
  ASSERT_TRUE(answered.wait_for(static_cast<int>(count)));
  slow->arm(slow_bell.hook());
  EXPECT_TRUE(slow_bell.wait_for(1)) << "an error wakes as well";
  EXPECT_EQ(drain(*slow), Strings{"Expired"});
  EXPECT_EQ(store_->watch("/k/", start).error().code, Code::gone);
  EXPECT_EQ(store_->get("/k/1", start).error().code, Code::gone);
  Revision found = set("/other/x", "v");
  EXPECT_TRUE(quiet_bell.wait_for(1));
  EXPECT_EQ(drain(*quiet), (Strings{at("+/other/x=v", found)})) << "nothing of its own was lost";
}

TEST_P(StoreSuite, CompactForgetsWhatIsBefore) {
  Revision a = set("/k", "1");
  Revision b = set("/k", "2");
  auto before = watch("/k", a);
  Revision c = set("/k", "3");
  EXPECT_LE(store_->oldest(), a);
  ASSERT_TRUE(store_->compact(b));
  EXPECT_EQ(store_->oldest(), b);
  EXPECT_EQ(store_->get("/k", a).error().code, Code::gone);
  EXPECT_EQ(store_->list("/k", {.revision = a}).error().code, Code::gone);
  EXPECT_EQ(store_->watch("/k", a).error().code, Code::gone);
  EXPECT_EQ(drain(*before), Strings{"Expired"});
  EXPECT_EQ(value("/k", b), "2");
  EXPECT_EQ(value("/k"), "3");
  EXPECT_EQ(drain(*watch("/k", b)), (Strings{at("~/k=3", c)}));
  EXPECT_TRUE(store_->compact(a)) << "what is compacted already";
  EXPECT_EQ(store_->compact(c + 1).error().code, Code::invalid);
  ASSERT_TRUE(store_->compact(c));
  set("/k", "4");
  EXPECT_EQ(value("/k", c), "3");
  EXPECT_EQ(store_->get("/k", b).error().code, Code::gone);
}

TEST_P(StoreSuite, ConcurrentWritersShareSyncsAndRevisionsAreUnique) {
  auto before = factory_->syncs(*store_);
  constexpr int writers = 8, each = 100;
  std::vector<std::vector<Revision>> revisions(writers);
  std::vector<std::thread> threads;
  for (int w = 0; w < writers; ++w) {
    threads.emplace_back([&, w] {
      for (int i = 0; i < each; ++i) revisions[w].push_back(set("/c/" + std::to_string(w), std::to_string(i)));
    });
  }
  for (auto& thread : threads) thread.join();
  std::vector<Revision> all;
  for (auto& some : revisions) {
    EXPECT_TRUE(std::is_sorted(some.begin(), some.end()));
    all.insert(all.end(), some.begin(), some.end());
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
  EXPECT_EQ(all.back() - all.front(), writers * each - 1);
  if (before) EXPECT_LT(*factory_->syncs(*store_) - *before, static_cast<uint64_t>(writers * each));
}

TEST_P(StoreSuite, OnlyOneOfManyCreatorsWins) {
  std::atomic<int> won{0}, lost{0};
  std::vector<std::thread> threads;
  for (int w = 0; w < 8; ++w) {
    threads.emplace_back([&] {
      auto result = put("/only", "x", 0);
      if (result) ++won;
      if (!result && result.error().code == Code::already_exists) ++lost;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(lost, 7);
}

TEST_P(StoreSuite, ReadersAndWatchersSeeOneConsistentOrder) {
  constexpr int writes = 400;
  auto seen_by = watch("/o/", store_->revision());
  std::thread writer([&] {
    for (int i = 0; i < writes; ++i) set("/o/" + std::to_string(i % 10), std::to_string(i));
  });
  Bell bell;
  int rings = 0;
  Revision last = seen_by->position();
  std::vector<Event> events;
  while (events.size() < writes) {
    ASSERT_TRUE(seen_by->poll(events, 7));
    if (!events.empty()) {
      const Event& newest = events.back();
      auto entry = store_->get(newest.entry->key);
      ASSERT_TRUE(entry);
      EXPECT_GE((*entry)->mod_revision, newest.revision) << "a read after an event is not older than it";
    }
    if (events.size() == writes) break;
    seen_by->arm(bell.hook());
    ASSERT_TRUE(bell.wait_for(++rings));
  }
  writer.join();
  for (int i = 0; i < writes; ++i) {
    EXPECT_EQ(events[i].revision, last + 1 + i);
    EXPECT_EQ(events[i].entry->value, std::to_string(i));
  }
}

struct Decoded : Attachment {
  explicit Decoded(int n) : number(n) {}
  int number;
};

TEST_P(StoreSuite, AttachmentsTravelWithTheirVersion) {
  auto made = std::make_shared<Decoded>(1);
  ASSERT_TRUE(write({Write::Kind::put, "/k", "1", 0, made}));
  auto first = *store_->get("/k");
  EXPECT_EQ(first->attachment(), made);
  EXPECT_EQ(first->attach(std::make_shared<Decoded>(2)), made) << "the first one stays";
  set("/k", "2");
  auto second = *store_->get("/k");
  EXPECT_FALSE(second->attachment());
  auto later = std::make_shared<Decoded>(3);
  EXPECT_EQ(second->attach(later), later);
  EXPECT_EQ((*store_->get("/k"))->attachment(), later);
  EXPECT_EQ(first->attachment(), made);
  auto equal = std::make_shared<Decoded>(1);
  first->replace(later, equal);
  EXPECT_EQ(first->attachment(), made) << "it is not what is there";
  first->replace(made, equal);
  EXPECT_EQ(first->attachment(), equal);
}

TEST_P(StoreSuite, OneAttachmentWinsBetweenThreads) {
  set("/k", "1");
  auto entry = *store_->get("/k");
  std::vector<std::shared_ptr<const Attachment>> got(8);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&, i] { got[i] = entry->attach(std::make_shared<Decoded>(i)); });
  for (auto& thread : threads) thread.join();
  for (auto& one : got) EXPECT_EQ(one, got[0]);
  EXPECT_TRUE(got[0]);
}

TEST_P(StoreSuite, BigValuesComeBackWhole) {
  std::string big(1'500'000, 'x');
  for (size_t i = 0; i < big.size(); i += 97) big[i] = static_cast<char>(i);
  Revision at = set("/big", big);
  EXPECT_EQ(value("/big"), big);
  set("/big", "small");
  EXPECT_EQ(value("/big", at), big);
}

TEST_P(StoreSuite, ManyKeysArePagedCompletely) {
  constexpr int count = 20000;
  std::atomic<int> succeeded{0};
  Bell answered;
  for (int i = 0; i < count; ++i) {
    int key = static_cast<int>((i * 7919LL) % count);
    store_->write({Write::Kind::put, "/m/" + std::to_string(100000 + key), "v", 0, nullptr},
                  [&, hook = answered.hook()](Result<WriteResult> r) mutable {
                    succeeded += r.has_value();
                    hook();
                  });
  }
  ASSERT_TRUE(answered.wait_for(count));
  EXPECT_EQ(succeeded, count);
  EXPECT_EQ(store_->count("/m/"), static_cast<uint64_t>(count));
  std::string after;
  int seen = 0;
  for (;;) {
    auto page = store_->list("/m/", {.limit = 777, .start_after = after});
    ASSERT_TRUE(page);
    for (auto& entry : page->entries) EXPECT_EQ(entry->key, "/m/" + std::to_string(100000 + seen++));
    EXPECT_EQ(page->remaining, static_cast<uint64_t>(count - seen));
    if (!page->more) break;
    after = page->entries.back()->key;
  }
  EXPECT_EQ(seen, count);
}

TEST_P(StoreSuite, CommitResumesOnTheCallersExecutor) {
  FakeExecutor executor;
  std::optional<Result<WriteResult>> good, bad;
  auto go = [](Store* store, Revision expect, std::optional<Result<WriteResult>>* out) -> Task<void> {
    const auto caller = std::this_thread::get_id();
    auto answer = co_await store->commit({Write::Kind::put, "/k", "v", expect, nullptr});
    EXPECT_EQ(std::this_thread::get_id(), caller) << "not on the store's own thread";
    out->emplace(std::move(answer));
  };
  // It has been answered by now, which does not go on by itself; or the answer was there before anybody waited for it.
  auto wait = [&](std::optional<Result<WriteResult>>& out) {
    for (int i = 0; i < 1000 && !out; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      executor.run();
    }
  };
  spawn(go(store_.get(), 0, &good));
  set("/after", "x");
  wait(good);
  ASSERT_TRUE(good && *good);
  spawn(go(store_.get(), 0, &bad));
  set("/after", "y");
  wait(bad);
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->error().code, Code::already_exists);
}

}  // namespace estiba::store
