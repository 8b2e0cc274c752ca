// Slabs: memory for pieces of some hundred bytes to some KiB that come and go in great numbers, apart from the allocator's. Pieces of about
// one size share a slab, an own mapping, as in Bonwick, "The Slab Allocator" (USENIX 1994): room that a piece leaves is taken by the next
// one of that size, and a slab whose last piece goes returns to the kernel, whatever else the program has allocated meanwhile.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace estiba {

class Slabs {
 public:
  static constexpr size_t largest = 64 << 10;  ///< what is larger comes from malloc

  Slabs() = default;
  Slabs(const Slabs&) = delete;
  Slabs& operator=(const Slabs&) = delete;
  /// Everything must have been freed.
  ~Slabs();

  /// What a piece of so many bytes has room for: all that would come from the same slabs.
  static size_t room(size_t bytes) { return bytes > largest ? bytes : size_of(class_of(bytes)); }
  /// Aligned for every type; never null (without memory the program ends). Any thread.
  void* allocate(size_t bytes);
  /// What allocate has returned. Any thread.
  void free(void* piece);
  /// Returns the slabs that are kept for the next piece of their size to the kernel. Any thread.
  void trim();
  /// Bytes of the slabs that are mapped. Any thread.
  size_t mapped() const;

 private:
  struct Slab;
  struct Class {
    Slab* with_room = nullptr;  // a list
    Slab* empty = nullptr;      // at most one, which is not in the list
  };
  static constexpr size_t classes = 100;
  static size_t class_of(size_t bytes);
  static size_t size_of(size_t number);
  Slab* make(size_t number);
  void unmap(Slab* slab);

  mutable std::mutex mutex_;
  std::array<Class, classes> classes_{};
  size_t mapped_ = 0;
};

}  // namespace estiba
