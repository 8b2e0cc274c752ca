#include "node/layer_sizes.h"

#include <gtest/gtest.h>

#include "base/fake_executor.h"

namespace estiba::node {
namespace {

using namespace std::chrono_literals;

struct Walks {
  int count = 0;
  static Task<image::Usage> walk(Walks* self, std::string) {
    co_await sleep_for(1s);
    co_return image::Usage{uint64_t(++self->count), 1};
  }
};

uint64_t ask(FakeExecutor& executor, LayerSizes& sizes, const std::string& id) {
  uint64_t out = 0;
  Job job;
  executor.post([&] {
    job = Job(
        [](LayerSizes* sizes, std::string id, uint64_t* out) -> Task<void> { *out = (co_await sizes->of(id)).bytes; }(&sizes, id, &out));
  });
  executor.run();
  if (!job.done()) executor.advance(1s);
  return out;
}

TEST(LayerSizes, AWalkIsNotRepeatedForThirtyTimesAsLong) {
  FakeExecutor executor;
  Walks walks;
  LayerSizes sizes(executor, [&](std::string id) { return Walks::walk(&walks, std::move(id)); });
  EXPECT_EQ(ask(executor, sizes, "a"), 1u);
  executor.advance(29s);
  EXPECT_EQ(ask(executor, sizes, "a"), 1u);
  EXPECT_EQ(ask(executor, sizes, "b"), 2u) << "another one is its own";
  executor.advance(2s);
  EXPECT_EQ(ask(executor, sizes, "a"), 3u);
  sizes.keep({"b"});
  EXPECT_EQ(ask(executor, sizes, "a"), 4u) << "what is gone is forgotten";
}

}  // namespace
}  // namespace estiba::node
