// Opt<T>: an optional message of an API struct. Like std::optional, but the value is on the heap, so that it may be of a
// type declared later and absent ones cost a pointer. Copies are deep.
#pragma once
#include <utility>

namespace estiba::model {

/// What generic code sees of an Opt<T>: where the T is, or null.
struct OptBase {
  void* value = nullptr;
};

template <class T>
class Opt : private OptBase {
 public:
  Opt() = default;
  Opt(T made) { value = new T(std::move(made)); }
  Opt(const Opt& other) { value = other ? new T(*other) : nullptr; }
  Opt(Opt&& other) noexcept { value = std::exchange(other.value, nullptr); }
  Opt& operator=(Opt other) noexcept {
    std::swap(value, other.value);
    return *this;
  }
  ~Opt() { delete get(); }

  T* get() { return static_cast<T*>(value); }
  const T* get() const { return static_cast<const T*>(value); }
  explicit operator bool() const { return value != nullptr; }
  bool has_value() const { return value != nullptr; }
  T& operator*() { return *get(); }
  const T& operator*() const { return *get(); }
  T* operator->() { return get(); }
  const T* operator->() const { return get(); }
  /// The value, made when absent.
  T& ensure() {
    if (!value) value = new T();
    return *get();
  }
  void reset() {
    delete get();
    value = nullptr;
  }
};

}  // namespace estiba::model
