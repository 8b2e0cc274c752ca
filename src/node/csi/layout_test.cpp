#include "node/csi/layout.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "os/file.h"

namespace estiba::node {
namespace {

struct Layout : ::testing::Test {
  std::string dir = [] {
    char name[] = "/tmp/estiba-csi-XXXXXX";
    return std::string(mkdtemp(name));
  }();
  CsiLayout layout{dir};
  ~Layout() override { (void)os::remove_all(dir); }
};

// As the kubelet lays them out: drivers and tools know these paths.
TEST_F(Layout, IsTheKubelets) {
  CsiPlace place{.pod_uid = "uid", .volume = "pv", .driver = "d.io", .handle = "abc"};
  EXPECT_EQ(layout.staging_path(place), dir +
                                            "/plugins/kubernetes.io/csi/d.io/"
                                            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad/globalmount");
  EXPECT_EQ(layout.target_path(place), dir + "/pods/uid/volumes/kubernetes.io~csi/pv/mount");
  place.block = true;
  EXPECT_EQ(layout.staging_path(place), dir + "/plugins/kubernetes.io/csi/volumeDevices/staging/pv");
  EXPECT_EQ(layout.target_path(place), dir + "/plugins/kubernetes.io/csi/volumeDevices/publish/pv/uid");
  EXPECT_EQ(inline_handle("a", "bc"), "csi-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(Layout, WhatIsWrittenDownIsFoundAgain) {
  const CsiPlace one{.pod_uid = "u1", .volume = "pv", .driver = "d.io", .handle = "h", .attachment = "csi-1"};
  const CsiPlace two{.pod_uid = "u2", .volume = "data", .driver = "d.io", .handle = "i", .ephemeral = true};
  const CsiPlace raw{.pod_uid = "u2", .volume = "raw", .driver = "e.io", .handle = "r", .block = true};
  for (const CsiPlace& place : {one, two, raw}) ASSERT_TRUE(layout.add(place, "node"));
  ASSERT_TRUE(layout.add_staging(one));
  auto found = layout.places();
  ASSERT_EQ(found.size(), 3u);
  std::ranges::sort(found, {}, &CsiPlace::volume);
  EXPECT_TRUE(found[0].ephemeral && found[0].pod_uid == "u2" && found[0].handle == "i");
  EXPECT_TRUE(found[1].attachment == "csi-1" && found[1].driver == "d.io" && !found[1].block);
  EXPECT_TRUE(found[2].block && found[2].volume == "raw");
  ASSERT_EQ(layout.staged().size(), 1u);
  EXPECT_EQ(layout.staged()[0].handle, "h");

  for (const CsiPlace& place : found) EXPECT_TRUE(layout.remove(place));
  EXPECT_TRUE(layout.remove_staging(one));
  EXPECT_TRUE(layout.places().empty() && layout.staged().empty());
  EXPECT_FALSE(os::exists(dir + "/pods/u1") || os::exists(dir + "/pods/u2")) << "nothing is left of the pods";
}

TEST_F(Layout, WhatIsInAVolumeIsNeverDeleted) {
  const CsiPlace place{.pod_uid = "u", .volume = "pv", .driver = "d.io", .handle = "h"};
  ASSERT_TRUE(layout.add(place, "node"));
  ASSERT_TRUE(os::make_dirs(layout.target_path(place) + "/precious"));
  EXPECT_FALSE(layout.remove(place)) << "the driver has taken nothing away";
  EXPECT_TRUE(os::exists(layout.target_path(place) + "/precious"));
  EXPECT_EQ(layout.places().size(), 1u) << "it is tried again";
}

TEST_F(Layout, RecordsThatCannotBeReadAreLeftOut) {
  const CsiPlace place{.pod_uid = "u", .volume = "pv", .driver = "d.io", .handle = "h"};
  ASSERT_TRUE(layout.add(place, "node"));
  for (const char* text : {"", "{", "[]", R"({"driverName":"d.io"})"}) {
    ASSERT_TRUE(os::write_file_atomic(dir + "/pods/u/volumes/kubernetes.io~csi/pv/vol_data.json", text));
    EXPECT_TRUE(layout.places().empty()) << text;
  }
}

}  // namespace
}  // namespace estiba::node
