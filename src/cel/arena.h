// Memory of one compiled program or one evaluation: a bump allocator whose blocks are freed together. What is made in it
// needs no destructor.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace estiba::cel {

class Arena {
 public:
  Arena() = default;
  Arena(Arena&&) noexcept = default;
  Arena& operator=(Arena&&) noexcept = default;

  void* allocate(size_t bytes, size_t align = alignof(std::max_align_t)) {
    const uintptr_t start = (at_ + align - 1) & ~uintptr_t(align - 1);
    if (start > end_ || end_ - start < bytes) [[unlikely]]
      return grow(bytes, align);
    at_ = start + bytes;
    return reinterpret_cast<void*>(start);
  }

  template <class T, class... Args>
  T* make(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T>);
    return new (allocate(sizeof(T), alignof(T))) T{std::forward<Args>(args)...};
  }
  template <class T>
  T* array(size_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    T* items = static_cast<T*>(allocate(sizeof(T) * (count ? count : 1), alignof(T)));
    for (size_t i = 0; i < count; i++) new (items + i) T{};
    return items;
  }
  template <class T>
  std::span<T> copy(std::span<const T> items) {
    T* to = array<T>(items.size());
    for (size_t i = 0; i < items.size(); i++) to[i] = items[i];
    return {to, items.size()};
  }
  template <class T>
  std::span<T> copy(const std::vector<T>& items) {
    return copy(std::span<const T>(items));
  }
  char* text(size_t bytes) { return static_cast<char*>(allocate(bytes ? bytes : 1, 1)); }
  std::string_view keep(std::string_view text_in) {
    char* to = text(text_in.size());
    memcpy(to, text_in.data(), text_in.size());
    return {to, text_in.size()};
  }

  /// Bytes handed out in blocks so far.
  size_t used() const { return used_; }
  /// Frees all but the first block, so that the next use allocates little.
  void reset() {
    if (blocks_.size() > 1) blocks_.resize(1);
    used_ = blocks_.empty() ? 0 : first_;
    at_ = blocks_.empty() ? 0 : reinterpret_cast<uintptr_t>(blocks_[0].get());
    end_ = at_ + used_;
  }

 private:
  void* grow(size_t bytes, size_t align) {
    size_t size = blocks_.empty() ? 4096 : std::min<size_t>(used_, 1 << 20);
    if (size < bytes + align) size = bytes + align;
    if (blocks_.empty()) first_ = size;
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    used_ += size;
    at_ = reinterpret_cast<uintptr_t>(blocks_.back().get());
    end_ = at_ + size;
    return allocate(bytes, align);
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  uintptr_t at_ = 0, end_ = 0;
  size_t used_ = 0, first_ = 0;
};

}  // namespace estiba::cel
