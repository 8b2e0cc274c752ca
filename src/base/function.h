// UniqueFunction: a callable that is moved, never copied, so that it may own what it captures (libc++ has no
// std::move_only_function yet). Callables up to 32 bytes need no allocation.
#pragma once
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace estiba {

template <class Signature>
class UniqueFunction;

template <class R, class... Args>
class UniqueFunction<R(Args...)> {
 public:
  UniqueFunction() = default;
  UniqueFunction(std::nullptr_t) {}

  template <class F>
    requires(!std::is_same_v<std::decay_t<F>, UniqueFunction> && std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
  UniqueFunction(F&& f) {
    using D = std::decay_t<F>;
    if constexpr (sizeof(D) <= sizeof(buffer_) && alignof(D) <= alignof(std::max_align_t) && std::is_nothrow_move_constructible_v<D>) {
      new (buffer_) D(std::forward<F>(f));
      static constexpr Table table{
          [](void* self, Args... args) -> R { return (*static_cast<D*>(self))(std::forward<Args>(args)...); },
          [](void* to, void* from) {
            new (to) D(std::move(*static_cast<D*>(from)));
            static_cast<D*>(from)->~D();
          },
          [](void* self) { static_cast<D*>(self)->~D(); }};
      table_ = &table;
    } else {
      new (buffer_) D*(new D(std::forward<F>(f)));
      static constexpr Table table{
          [](void* self, Args... args) -> R { return (**static_cast<D**>(self))(std::forward<Args>(args)...); },
          [](void* to, void* from) { new (to) D*(*static_cast<D**>(from)); },
          [](void* self) { delete *static_cast<D**>(self); }};
      table_ = &table;
    }
  }

  UniqueFunction(UniqueFunction&& other) noexcept { take(other); }
  UniqueFunction& operator=(UniqueFunction&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  ~UniqueFunction() { reset(); }

  explicit operator bool() const { return table_ != nullptr; }
  R operator()(Args... args) { return table_->call(buffer_, std::forward<Args>(args)...); }

  void reset() {
    if (table_) table_->destroy(buffer_);
    table_ = nullptr;
  }

 private:
  struct Table {
    R (*call)(void*, Args...);
    void (*move)(void* to, void* from);
    void (*destroy)(void*);
  };
  void take(UniqueFunction& other) {
    table_ = std::exchange(other.table_, nullptr);
    if (table_) table_->move(buffer_, other.buffer_);
  }

  const Table* table_ = nullptr;
  alignas(std::max_align_t) unsigned char buffer_[32];
};

}  // namespace estiba
