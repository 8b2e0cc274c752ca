#include "base/slabs.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace estiba {
namespace {

struct Piece {
  unsigned char* at;
  size_t size;
  unsigned char filled;
  bool whole() const {
    return std::all_of(at, at + size, [this](unsigned char byte) { return byte == filled; });
  }
};

TEST(Slabs, EveryPieceHasItsOwnMemory) {
  Slabs slabs;
  std::mt19937 random(7);
  std::vector<Piece> pieces;
  for (int round = 0; round < 20'000; ++round) {
    if (pieces.size() < 500 || random() % 2) {
      const size_t size = random() % 10 ? 1 + random() % 9000 : 1 + random() % (Slabs::largest + 5000);
      Piece piece{static_cast<unsigned char*>(slabs.allocate(size)), size, static_cast<unsigned char>(random())};
      ASSERT_EQ(reinterpret_cast<uintptr_t>(piece.at) % alignof(std::max_align_t), 0u);
      memset(piece.at, piece.filled, size);
      pieces.push_back(piece);
    } else {
      std::swap(pieces[random() % pieces.size()], pieces.back());
      ASSERT_TRUE(pieces.back().whole());
      slabs.free(pieces.back().at);
      pieces.pop_back();
    }
  }
  for (const Piece& piece : pieces) {
    ASSERT_TRUE(piece.whole());
    slabs.free(piece.at);
  }
  slabs.trim();
  EXPECT_EQ(slabs.mapped(), 0u);
}

TEST(Slabs, RoomIsTakenAgainBeforeMoreIsMapped) {
  Slabs slabs;
  std::vector<void*> pieces;
  for (int i = 0; i < 1000; ++i) pieces.push_back(slabs.allocate(5000));
  const size_t mapped = slabs.mapped();
  EXPECT_LT(mapped, 1000u * 5500);
  for (int round = 0; round < 10; ++round) {
    for (size_t i = 0; i < pieces.size(); i += 3) slabs.free(pieces[i]);
    for (size_t i = 0; i < pieces.size(); i += 3) pieces[i] = slabs.allocate(4990);
  }
  EXPECT_EQ(slabs.mapped(), mapped);
  for (size_t i = 1; i < pieces.size(); ++i) slabs.free(pieces[i]);
  EXPECT_LE(slabs.mapped(), 2u << 18) << "one is in use, one is kept";
  slabs.free(pieces[0]);
  EXPECT_LE(slabs.mapped(), 1u << 18);
  slabs.trim();
  EXPECT_EQ(slabs.mapped(), 0u);
}

TEST(Slabs, ThreadsMayFreeWhatOthersHaveAllocated) {
  Slabs slabs;
  std::vector<std::vector<void*>> made(4);
  std::vector<std::thread> threads;
  for (auto& mine : made)
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) mine.push_back(slabs.allocate(size_t(100 + i % 700)));
    });
  for (auto& thread : threads) thread.join();
  threads.clear();
  for (size_t t = 0; t < made.size(); ++t)
    threads.emplace_back([&, t] {
      for (void* piece : made[(t + 1) % made.size()]) slabs.free(piece);
    });
  for (auto& thread : threads) thread.join();
  slabs.trim();
  EXPECT_EQ(slabs.mapped(), 0u);
}

}  // namespace
}  // namespace estiba
