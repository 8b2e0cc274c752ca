#include "base/slabs.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace estiba {
namespace {

constexpr size_t alignment = 16;
constexpr size_t small_slab = 64 << 10, large_slab = 256 << 10, small_piece = 2 << 10;

// Before each piece: its slab, null for what malloc gave.
constexpr size_t head = alignment;

[[noreturn]] void out_of_memory(size_t bytes) {
  fprintf(stderr, "estiba: out of memory: %zu bytes\n", bytes);
  abort();
}

}  // namespace

// Pieces from the front that were never used cost no memory yet; those that were freed are a list through themselves.
struct Slabs::Slab {
  char* memory;
  size_t number, size, piece;  // of the class; bytes of the mapping, of a piece with its head
  size_t used = 0, live = 0;   // pieces
  void* free = nullptr;
  Slab *next = nullptr, *before = nullptr;
  bool listed = false;

  size_t count() const { return size / piece; }
  bool has_room() const { return free || used < count(); }
  void put_first(Slab*& list) {
    next = list;
    before = nullptr;
    if (list) list->before = this;
    list = this;
    listed = true;
  }
  void take_out(Slab*& list) {
    (before ? before->next : list) = next;
    if (next) next->before = before;
    listed = false;
  }
};

// Steps of 64 bytes up to 1 KiB, of 256 up to 8 KiB, of 1 KiB beyond.
size_t Slabs::class_of(size_t bytes) {
  if (bytes <= 1024) return bytes == 0 ? 0 : (bytes - 1) / 64;
  if (bytes <= 8192) return 16 + (bytes - 1025) / 256;
  return 44 + (bytes - 8193) / 1024;
}

size_t Slabs::size_of(size_t number) {
  if (number < 16) return (number + 1) * 64;
  if (number < 44) return 1024 + (number - 15) * 256;
  return 8192 + (number - 43) * 1024;
}

Slabs::Slab* Slabs::make(size_t number) {
  const size_t piece = size_of(number) + head, size = piece <= small_piece ? small_slab : large_slab;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) out_of_memory(size);
  mapped_ += size;
  return new Slab{.memory = static_cast<char*>(memory), .number = number, .size = size, .piece = piece};
}

void Slabs::unmap(Slab* slab) {
  munmap(slab->memory, slab->size);
  mapped_ -= slab->size;
  delete slab;
}

Slabs::~Slabs() { trim(); }

void* Slabs::allocate(size_t bytes) {
  if (bytes > largest) {
    auto* block = static_cast<char*>(malloc(bytes + head));
    if (!block) out_of_memory(bytes);
    *reinterpret_cast<Slab**>(block) = nullptr;
    return block + head;
  }
  const size_t number = class_of(bytes);
  std::lock_guard lock(mutex_);
  Class& same = classes_[number];
  if (!same.with_room) {
    Slab* slab = same.empty ? std::exchange(same.empty, nullptr) : make(number);
    slab->put_first(same.with_room);
  }
  Slab* slab = same.with_room;
  char* piece;
  if (slab->free) {
    piece = static_cast<char*>(slab->free);
    slab->free = *reinterpret_cast<void**>(piece + head);
  } else {
    piece = slab->memory + slab->piece * slab->used++;
  }
  ++slab->live;
  if (!slab->has_room()) slab->take_out(same.with_room);
  *reinterpret_cast<Slab**>(piece) = slab;
  return piece + head;
}

void Slabs::free(void* given) {
  char* piece = static_cast<char*>(given) - head;
  Slab* slab = *reinterpret_cast<Slab**>(piece);
  if (!slab) return ::free(piece);
  std::lock_guard lock(mutex_);
  Class& same = classes_[slab->number];
  *reinterpret_cast<void**>(given) = std::exchange(slab->free, piece);
  if (--slab->live) {
    // Behind the first, so that slabs fill one after the other and the others may become empty.
    if (!slab->listed) slab->put_first(same.with_room);
    return;
  }
  if (slab->listed) slab->take_out(same.with_room);
  if (Slab* other = std::exchange(same.empty, slab)) unmap(other);
}

void Slabs::trim() {
  std::lock_guard lock(mutex_);
  for (Class& same : classes_)
    if (Slab* slab = std::exchange(same.empty, nullptr)) unmap(slab);
}

size_t Slabs::mapped() const {
  std::lock_guard lock(mutex_);
  return mapped_;
}

}  // namespace estiba
