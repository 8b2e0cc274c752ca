// The conformance suite of store::Store (its tests are in store_suite_test.cpp). Each implementation instantiates it:
//   INSTANTIATE_TEST_SUITE_P(Embedded, StoreSuite, testing::Values(make_factory));
// The tests know the interface only.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fake_executor.h"
#include "store/store.h"

namespace estiba::store {

/// What an implementation provides to the suite; destroyed after each test.
class StoreFactory {
 public:
  virtual ~StoreFactory() = default;
  /// An empty store that keeps for watches at least half and at most 90 times as many events as `history` says.
  virtual std::unique_ptr<Store> open(size_t history) = 0;
  /// So many events later a watch that has not polled is gone.
  virtual size_t surely_forgotten(size_t history) { return 100 * history; }
  /// How many syncs the store has made for writes so far, or nullopt when it cannot tell.
  virtual std::optional<uint64_t> syncs(Store&) { return std::nullopt; }
};

class StoreSuite : public testing::TestWithParam<std::unique_ptr<StoreFactory> (*)()> {
 protected:
  static constexpr size_t history = 1000;

  void SetUp() override {
    factory_ = GetParam()();
    store_ = factory_->open(history);
    ASSERT_TRUE(store_);
  }
  void TearDown() override {
    store_.reset();
    factory_.reset();
  }

  Result<WriteResult> write(Write write) {
    std::mutex mutex;
    std::condition_variable ready;
    std::optional<Result<WriteResult>> result;
    store_->write(std::move(write), [&](Result<WriteResult> r) {
      std::lock_guard lock(mutex);
      result.emplace(std::move(r));
      ready.notify_one();
    });
    std::unique_lock lock(mutex);
    ready.wait(lock, [&] { return result.has_value(); });
    return std::move(*result);
  }
  Result<WriteResult> put(std::string key, std::string value, Revision expect = Write::any) {
    return write({Write::Kind::put, std::move(key), std::move(value), expect, nullptr});
  }
  Result<WriteResult> remove(std::string key, Revision expect = Write::any) {
    return write({Write::Kind::remove, std::move(key), {}, expect, nullptr});
  }
  /// put() that must succeed; its revision.
  Revision set(std::string key, std::string value) {
    auto result = put(std::move(key), std::move(value));
    EXPECT_TRUE(result) << result.error().message;
    return result ? result->revision : 0;
  }
  std::string value(std::string_view key, Revision at = 0) {
    auto entry = store_->get(key, at);
    return entry ? std::string((*entry)->value) : std::string(to_string(entry.error().code));
  }
  std::vector<std::string> keys(std::string_view prefix, const ListOptions& options = {}) {
    std::vector<std::string> out;
    auto result = store_->list(prefix, options);
    EXPECT_TRUE(result) << result.error().message;
    if (!result) return out;
    for (auto& entry : result->entries) out.push_back(entry->key);
    return out;
  }
  std::unique_ptr<Watch> watch(std::string_view prefix, Revision after) {
    auto result = store_->watch(prefix, after);
    EXPECT_TRUE(result) << result.error().message;
    return result ? std::move(*result) : nullptr;
  }
  /// "+key=value" created, "~key=value" changed, "-key=last value" removed, with the revision behind "@".
  static std::string text(const Event& event) {
    const char* sign = event.kind == Event::Kind::remove ? "-" : event.previous ? "~" : "+";
    return sign + event.entry->key + "=" + std::string(event.entry->value) + "@" + std::to_string(event.revision);
  }
  static std::vector<std::string> drain(Watch& watch, size_t max = 1 << 20) {
    std::vector<Event> events;
    auto result = watch.poll(events, max);
    if (!result) return {std::string(to_string(result.error().code))};
    std::vector<std::string> out;
    for (auto& event : events) out.push_back(text(event));
    return out;
  }

  /// Counts the calls of arm()'s callback and waits for them.
  struct Bell {
    std::mutex mutex;
    std::condition_variable changed;
    int rung = 0;
    UniqueFunction<void()> hook() {
      return [this] {
        std::lock_guard lock(mutex);
        ++rung;
        changed.notify_all();
      };
    }
    bool wait_for(int count) {
      std::unique_lock lock(mutex);
      return changed.wait_for(lock, std::chrono::seconds(count > 1000 ? 120 : 10), [&] { return rung >= count; });
    }
    int count() {
      std::lock_guard lock(mutex);
      return rung;
    }
  };

  using Strings = std::vector<std::string>;
  static std::string at(std::string_view event, Revision revision) { return std::string(event) + "@" + std::to_string(revision); }

  std::unique_ptr<StoreFactory> factory_;
  std::unique_ptr<Store> store_;
};

}  // namespace estiba::store
