#include "store/embedded/embedded.h"

#include "store/testing/store_suite.h"

#include "store/testing/temp_directory.h"

namespace estiba::store {
namespace {

class EmbeddedFactory : public StoreFactory {
 public:
  std::unique_ptr<Store> open(size_t history) override {
    EmbeddedOptions options{.directory = directory_.path()};
    options.history = {.events = history, .bytes = 64 << 20, .least_age = Duration(0)};
    auto store = open_embedded(std::move(options));
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  std::optional<uint64_t> syncs(Store& store) override { return static_cast<EmbeddedStore&>(store).counters().batches; }

 private:
  TempDirectory directory_;
};

std::unique_ptr<StoreFactory> embedded() { return std::make_unique<EmbeddedFactory>(); }

INSTANTIATE_TEST_SUITE_P(Embedded, StoreSuite, testing::Values(embedded));

}  // namespace
}  // namespace estiba::store
