#include "server/cluster_facts.h"

#include <gtest/gtest.h>

#include "os/file.h"
#include "store/testing/temp_directory.h"

namespace estiba::server {
namespace {

TEST(ClusterFacts, AreKept) {
  const store::TempDirectory directory;
  EXPECT_EQ(load_cluster_facts(directory.path()).error().code, Code::not_found);
  const ClusterFacts facts{"10.42.0.0/16", "10.43.0.0/16", "cluster.local", "10.42.3.0/24", true};
  ASSERT_TRUE(store_cluster_facts(directory.path(), facts));
  EXPECT_EQ(*load_cluster_facts(directory.path()), facts);
}

TEST(ClusterFacts, HalfOfThemAreNone) {
  const store::TempDirectory directory;
  ASSERT_TRUE(os::write_file(directory.path() + "/cluster.json", R"({"podCIDR":"10.42.0.0/16"})", O_CREAT));
  EXPECT_EQ(load_cluster_facts(directory.path()).error().message,
            directory.path() + "/cluster.json: podCIDR, serviceCIDR or nodePodCIDR is missing");
  ASSERT_TRUE(os::write_file(directory.path() + "/cluster.json", "{", O_CREAT | O_TRUNC));
  EXPECT_TRUE(load_cluster_facts(directory.path()).error().message.starts_with(directory.path() + "/cluster.json: "));
}

}  // namespace
}  // namespace estiba::server
