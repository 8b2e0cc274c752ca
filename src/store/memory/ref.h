// Ref<T>: an intrusive counted pointer for the store's immutable nodes: half the size of a shared_ptr, and unique()
// tells the writer when it may change a node in place because no reader can have seen it.
#pragma once
#include <atomic>
#include <cstdint>
#include <utility>

namespace estiba::store {

/// Base of what a Ref points to; starts with no reference.
class Counted {
 public:
  Counted() = default;
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  template <class T>
  friend class Ref;
  mutable std::atomic<uint32_t> refs_{0};
};

template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) { retain(); }
  Ref(const Ref& other) : object_(other.object_) { retain(); }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ && drop(object_)) delete object_;
  }

  /// Takes over a reference that was counted by retain_raw.
  static Ref adopt(T* object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  /// Counts `n` references that adopt() or release_raw() will account for.
  static void retain_raw(T* object, uint32_t n) { object->refs_.fetch_add(n, std::memory_order_relaxed); }
  static void release_raw(T* object, uint32_t n) {
    if (object->refs_.fetch_sub(n, std::memory_order_acq_rel) == n) delete object;
  }
  /// Gives the reference away uncounted.
  T* leak() { return std::exchange(object_, nullptr); }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  bool unique() const { return object_->refs_.load(std::memory_order_acquire) == 1; }

 private:
  void retain() {
    if (object_) object_->refs_.fetch_add(1, std::memory_order_relaxed);
  }
  static bool drop(T* object) { return object->refs_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

  T* object_ = nullptr;
};

}  // namespace estiba::store
