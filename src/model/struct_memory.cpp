#include "model/struct_memory.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "base/slabs.h"

// With a sanitizer everything is an allocation of its own, so that it can be watched.
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define ESTIBA_STRUCTS_IN_PIECES 1
#endif

namespace estiba::model {

#ifdef ESTIBA_STRUCTS_IN_PIECES

void* make_struct(const codec::Struct& layout, const json::Node* node) {
  void* value = layout.operations.make();
  if (node) (void)codec::decode_into(layout, value, *node, true);
  return value;
}
void free_struct(const codec::Struct& layout, void* value) { layout.operations.destroy(value); }
void trim_structs() {}

#else

namespace {

constexpr size_t alignment = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

// Takes from a given piece what operator new is asked for, one behind the other; beyond its end it counts on, with memory that is gone at
// the end.
class Bump {
 public:
  Bump(char* memory, size_t size) : memory_(memory), size_(size) {}
  Bump(const Bump&) = delete;
  Bump& operator=(const Bump&) = delete;
  ~Bump() {
    for (Spill* spill = spills_; spill;) ::free(std::exchange(spill, spill->next));
  }
  void* take(size_t bytes) {
    bytes = (std::max<size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
    const size_t at = used_;
    used_ += bytes;
    if (used_ <= size_) return memory_ + at;
    auto* spill = static_cast<Spill*>(malloc(sizeof(Spill) + bytes));
    if (!spill) abort();
    *spill = {spills_, bytes};
    spills_ = spill;
    return spill + 1;
  }
  bool holds(const void* pointer) const {
    const auto* at = static_cast<const char*>(pointer);
    if (at >= memory_ && at < memory_ + size_) return true;
    for (const Spill* spill = spills_; spill; spill = spill->next)
      if (pointer == spill + 1) return true;
    return false;
  }
  size_t used() const { return used_; }
  char* memory() const { return memory_; }

 private:
  struct alignas(alignment) Spill {
    Spill* next;
    size_t size;
  };
  char* const memory_;
  const size_t size_;
  size_t used_ = 0;
  Spill* spills_ = nullptr;
};

// Of this thread, while it decodes.
constinit thread_local Bump* bump = nullptr;

// The allocations of one decode go to `to`.
struct Scope {
  explicit Scope(Bump& to) { bump = &to; }
  ~Scope() { bump = nullptr; }
};

void* fill(Bump& to, const codec::Struct& layout, const json::Node* node) {
  const Scope scope(to);
  void* value = layout.operations.make();
  if (node) (void)codec::decode_into(layout, value, *node, true);
  return value;
}

Slabs& slabs() {
  static auto* one = new Slabs;  // for ever: objects may outlive everything
  return *one;
}

// What structs of a layout took lately, of this thread: those of one workload take the same.
class Expected {
 public:
  size_t& of(const codec::Struct& layout) {
    Size& size = sizes_[(reinterpret_cast<uintptr_t>(&layout) / sizeof(codec::Struct)) % sizes_.size()];
    if (size.layout != &layout) size = {&layout, 4096};
    return size.bytes;
  }

 private:
  struct Size {
    const codec::Struct* layout = nullptr;
    size_t bytes = 0;
  };
  std::array<Size, 16> sizes_{};
};

}  // namespace

// How much it takes is known once it is made: if the piece was not of that size, it is made once more.
void* make_struct(const codec::Struct& layout, const json::Node* node) {
  thread_local Expected expected;
  size_t& size = expected.of(layout);
  while (true) {
    const size_t given = Slabs::room(size);
    Bump piece(static_cast<char*>(slabs().allocate(given)), given);
    void* value = fill(piece, layout, node);
    size = piece.used();
    if (Slabs::room(size) == given) return value;
    slabs().free(piece.memory());
  }
}

void free_struct(const codec::Struct&, void* value) { slabs().free(value); }
void trim_structs() { slabs().trim(); }

#endif

}  // namespace estiba::model

#ifndef ESTIBA_STRUCTS_IN_PIECES

// The program's allocations, but for a decode's: [new.delete.single]. Arrays and sizes end here too.
void* operator new(size_t bytes) {
  if (estiba::model::bump) [[unlikely]]
    return estiba::model::bump->take(bytes);
  if (void* memory = malloc(bytes)) return memory;
  fprintf(stderr, "estiba: out of memory: %zu bytes\n", bytes);
  abort();
}

void operator delete(void* memory) noexcept {
  if (estiba::model::bump && estiba::model::bump->holds(memory)) [[unlikely]]
    return;
  free(memory);
}

#endif
