#include "image/pipe.h"

#include <gtest/gtest.h>

#include <thread>

#include "io/loop.h"

namespace estiba::image {
namespace {

std::string pattern(size_t size) {
  std::string out(size, '\0');
  for (size_t i = 0; i < size; ++i) out[i] = char(i * 7 + i / 251);
  return out;
}

Task<Result<void>> give(Pipe* pipe, std::string text) {
  for (size_t at = 0; at < text.size(); at += 1000)
    if (!co_await pipe->put(text.substr(at, 1000))) co_return fail(Code::cancelled, "nobody reads");
  pipe->end();
  co_return {};
}

TEST(Pipe, CarriesBytesToAThread) {
  io::Loop loop;
  struct Run {
    static Task<Result<void>> go(std::string text, std::string* got) {
      Pipe pipe(4096);
      std::thread thread([reader = pipe.reader(), got] { *got = read_all(*reader, 1 << 20).value_or("failed"); });
      auto done = co_await give(&pipe, std::move(text));
      thread.join();
      co_return done;
    }
  };
  std::string text = pattern(100'000), got;
  ASSERT_TRUE(loop.block_on(Run::go(text, &got)));
  EXPECT_EQ(got, text);
}

TEST(Pipe, CarriesBytesFromAThread) {
  io::Loop loop;
  struct Run {
    static Task<Result<void>> go(std::string text, std::string* got) {
      Pipe pipe(4096);
      std::thread thread([writer = pipe.writer(), text] {
        for (size_t at = 0; at < text.size(); at += 777) EXPECT_TRUE(writer->write(std::string_view(text).substr(at, 777)));
        writer->finish();
      });
      Result<void> done;
      for (;;) {
        auto piece = co_await pipe.take();
        if (!piece) done = std::unexpected(piece.error());
        if (!piece || piece->empty()) break;
        *got += *piece;
      }
      thread.join();
      co_return done;
    }
  };
  std::string text = pattern(300'000), got;
  ASSERT_TRUE(loop.block_on(Run::go(text, &got)));
  EXPECT_EQ(got, text);
}

TEST(Pipe, HandsWholePiecesOverAndTakesTheirMemoryBack) {
  io::Loop loop;
  struct Run {
    static Task<Result<void>> go(std::string text, std::string* there, std::string* back) {
      Pipe to, from;
      std::thread thread([reader = to.reader(), writer = from.writer(), there] {
        struct Pieces final : Source {
          Pipe::Reader& reader;
          std::string piece;
          std::string& all;
          Pieces(Pipe::Reader& r, std::string& a) : reader(r), all(a) {}
          Result<size_t> read(std::span<char> buffer) override {
            if (piece.empty()) piece = TRY(reader.next(std::move(piece)));
            const size_t n = piece.copy(buffer.data(), buffer.size());
            all.append(piece, 0, n);
            piece.erase(0, n);
            return n;
          }
        } pieces(*reader, *there);
        auto done = writer->copy_from(pieces);
        writer->finish(done ? std::nullopt : std::optional(done.error()));
      });
      size_t at = 0;
      for (size_t size : {10uz, Pipe::piece_size, 1uz, 100'000uz, Pipe::piece_size}) {
        std::string piece = to.space();
        EXPECT_GE(piece.capacity(), Pipe::piece_size);
        EXPECT_TRUE(piece.empty());
        piece.assign(text, at, size);
        at += size;
        EXPECT_TRUE(co_await to.put(std::move(piece)));
      }
      to.end();
      for (std::string piece;;) {
        from.give_back(std::move(piece));
        piece = CO_TRY(co_await from.take());
        if (piece.empty()) break;
        *back += piece;
      }
      thread.join();
      co_return {};
    }
  };
  const std::string text = pattern(2 * Pipe::piece_size + 100'011);
  std::string there, back;
  ASSERT_TRUE(loop.block_on(Run::go(text, &there, &back)));
  EXPECT_TRUE(there == text);
  EXPECT_TRUE(back == text);
}

TEST(Pipe, AnEndThatGoesEndsTheOther) {
  io::Loop loop;
  struct Run {
    static Task<Result<void>> go() {
      auto pipe = std::make_unique<Pipe>(1000);
      auto reader = pipe->reader();
      EXPECT_TRUE(co_await pipe->put("abc"));
      pipe.reset();
      char buffer[10];
      EXPECT_EQ(reader->read(buffer).value_or(0), 3u);  // what was under way still comes
      EXPECT_EQ(reader->read(buffer).error().code, Code::cancelled);
      Pipe other(1000);
      other.reader().reset();
      EXPECT_FALSE(co_await other.put("x"));
      Pipe third(1000);
      third.writer().reset();
      EXPECT_EQ((co_await third.take()).error().code, Code::cancelled);
      Pipe fourth(1000);
      auto writer = fourth.writer();
      EXPECT_TRUE(writer->write("last"));
      writer->finish(Error{Code::timeout, 0, "slow", nullptr});
      EXPECT_EQ((co_await fourth.take()).value_or(""), "last");
      EXPECT_EQ((co_await fourth.take()).error().message, "slow");
      co_return {};
    }
  };
  ASSERT_TRUE(loop.block_on(Run::go()));
}

}  // namespace
}  // namespace estiba::image
