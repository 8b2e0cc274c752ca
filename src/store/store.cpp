#include "store/store.h"

namespace estiba::store {

// Held for the copy of a pointer.
class Entry::Locked {
 public:
  explicit Locked(const Entry& entry) : entry_(entry) {
    while (entry_.lock_.test_and_set(std::memory_order_acquire)) entry_.lock_.wait(true, std::memory_order_relaxed);
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
  ~Locked() {
    entry_.lock_.clear(std::memory_order_release);
    entry_.lock_.notify_one();
  }

 private:
  const Entry& entry_;
};

std::shared_ptr<const Attachment> Entry::attachment() const {
  if (!any_.load(std::memory_order_acquire)) return nullptr;
  const Locked locked(*this);
  return held_;
}

std::shared_ptr<const Attachment> Entry::attach(std::shared_ptr<const Attachment> made) const {
  const Locked locked(*this);
  if (!held_ && made) {
    held_ = std::move(made);
    any_.store(true, std::memory_order_release);
  }
  return held_;
}

void Entry::replace(const std::shared_ptr<const Attachment>& before, std::shared_ptr<const Attachment> now) const {
  const Locked locked(*this);
  if (held_ == before) held_.swap(now);  // what was there goes behind the lock
}

Task<Result<WriteResult>> Store::commit(Write write) {
  OneShot<Result<WriteResult>> answer;
  std::string key = write.key;
  this->write(std::move(write), [sender = answer.sender()](Result<WriteResult> result) mutable { sender.send(std::move(result)); });
  auto result = co_await answer;
  if (!result) co_return fail(Code::unavailable, "write " + key + ": the store was closed before it answered");
  co_return std::move(*result);
}

}  // namespace estiba::store
