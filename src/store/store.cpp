#include "store/store.h"

namespace estiba::store {

std::shared_ptr<const Attachment> Entry::attachment() const {
  // held_ never changes once fast_ says that it is there, so copying it needs no lock.
  return fast_.load(std::memory_order_acquire) ? held_ : nullptr;
}

std::shared_ptr<const Attachment> Entry::attach(std::shared_ptr<const Attachment> made) const {
  while (lock_.test_and_set(std::memory_order_acquire)) lock_.wait(true, std::memory_order_relaxed);
  if (!held_ && made) {
    held_ = std::move(made);
    fast_.store(held_.get(), std::memory_order_release);
  }
  lock_.clear(std::memory_order_release);
  lock_.notify_one();
  return held_;
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
