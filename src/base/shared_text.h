// SharedText: immutable bytes that several owners share without copying them: one allocation, one pointer wide.
#pragma once
#include <atomic>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace estiba {

class SharedText {
 public:
  SharedText() = default;
  /// Copies the bytes once.
  SharedText(std::string_view text) : block_(make(text)) {}
  SharedText(const std::string& text) : SharedText(std::string_view(text)) {}
  SharedText(const char* text) : SharedText(std::string_view(text)) {}
  SharedText(const SharedText& other) : block_(other.block_) {
    if (block_) block_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  SharedText(SharedText&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  SharedText& operator=(SharedText other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~SharedText() {
    if (!block_ || block_->owners.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    block_->~Block();
    ::operator delete(block_);
  }

  /// Stays valid as long as any owner of the same bytes lives; never with a null pointer.
  std::string_view view() const { return block_ ? std::string_view(block_->bytes(), block_->size) : std::string_view(""); }
  operator std::string_view() const { return view(); }
  const char* data() const { return view().data(); }
  size_t size() const { return block_ ? block_->size : 0; }
  bool empty() const { return size() == 0; }
  /// Both own the very same bytes.
  bool shares(const SharedText& other) const { return block_ == other.block_; }

  friend bool operator==(const SharedText& a, std::string_view b) { return a.view() == b; }

 private:
  struct Block {
    std::atomic<size_t> owners{1};
    size_t size;
    explicit Block(size_t bytes) : size(bytes) {}
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
  };
  static Block* make(std::string_view text) {
    if (text.empty()) return nullptr;
    auto* block = new (::operator new(sizeof(Block) + text.size())) Block(text.size());
    memcpy(block->bytes(), text.data(), text.size());
    return block;
  }
  Block* block_ = nullptr;
};

}  // namespace estiba
