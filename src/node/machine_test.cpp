#include "node/machine.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "engine/files.h"

namespace estiba::node {
namespace {

TEST(Machine, HugePagesOfEverySizeSmallestFirst) {
  char name[] = "/tmp/estiba-machine-test-XXXXXX";
  const std::string dir = mkdtemp(name);
  for (const auto& [size, count] :
       {std::pair("hugepages-1048576kB", "2\n"), std::pair("hugepages-64kB", "0\n"), std::pair("hugepages-2048kB", "16\n")}) {
    ASSERT_TRUE(engine::make_dirs(dir + "/" + size));
    ASSERT_TRUE(engine::write_file(dir + "/" + size + "/nr_hugepages", count));
  }
  ASSERT_TRUE(engine::make_dirs(dir + "/other"));
  const auto found = huge_pages(dir);
  ASSERT_EQ(found.size(), 3u);
  const std::pair<uint64_t, uint64_t> wanted[] = {{64 << 10, 0}, {2 << 20, 16}, {1 << 30, 2}};
  const char* names[] = {"hugepages-64Ki", "hugepages-2Mi", "hugepages-1Gi"};
  for (size_t i = 0; i < 3; i++) {
    EXPECT_EQ(std::pair(found[i].page_bytes, found[i].count), wanted[i]);
    EXPECT_EQ(huge_page_resource(found[i].page_bytes), names[i]);
  }
  std::filesystem::remove_all(dir);
  EXPECT_TRUE(huge_pages(dir).empty());
}

}  // namespace
}  // namespace estiba::node
