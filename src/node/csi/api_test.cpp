#include "node/csi/api.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace estiba::node::csi_api {
namespace {

// What Debian's protocol buffers write for the same messages.
TEST(CsiApi, RequestsAreWrittenAsTheSpecificationNumbersThem) {
  NodePublishVolumeRequest publish;
  publish.volume_id = "v";
  publish.publish_context = {{"a", "b"}};
  publish.staging_target_path = "/s";
  publish.target_path = "/t";
  publish.volume_capability.mount = MountVolume{"ext4", {"noatime"}, "7"};
  publish.volume_capability.access_mode.mode = AccessModeKind::multi_node_multi_writer;
  publish.readonly = true;
  publish.secrets = {{"k", "s"}};
  publish.volume_context = {{"c", "d"}};
  EXPECT_EQ(hex_encode(protobuf::encode(publish)),
            "0a0176"
            "12060a0161120162"
            "1a022f73"
            "22022f74"
            "2a1812120a046578743412076e6f6174696d651a01371a020805"
            "3001"
            "3a060a016b120173"
            "42060a0163120164");

  NodeExpandVolumeRequest expand{"v", "/t", {1 << 30, 0}, "/s", {}, {{"k", "s"}}};
  expand.volume_capability.block.emplace();
  EXPECT_EQ(hex_encode(protobuf::encode(expand)),
            "0a0176"
            "12022f74"
            "1a06088080808004"
            "22022f73"
            "2a020a00"
            "32060a016b120173");

  NodeStageVolumeRequest stage{"v", {{"a", "b"}}, "/s", {}, {{"k", "s"}}, {{"c", "d"}}};
  EXPECT_EQ(hex_encode(protobuf::encode(stage)),
            "0a0176"
            "12060a0161120162"
            "1a022f73"
            "2a060a016b120173"
            "32060a0163120164");
}

TEST(CsiApi, AnswersAreRead) {
  NodeGetInfoResponse info;
  EXPECT_TRUE(protobuf::decode(std::string_view("\x0a\x01n\x10\x03\x1a\x08\x0a\x06\x0a\x01z\x12\x01y", 15), info));
  EXPECT_EQ(info.node_id, "n");
  EXPECT_EQ(info.max_volumes_per_node, 3);
  EXPECT_EQ(info.accessible_topology.segments, (Labels{{"z", "y"}}));

  NodeGetCapabilitiesResponse features;
  EXPECT_TRUE(protobuf::decode(std::string_view("\x0a\x04\x0a\x02\x08\x01\x0a\x04\x0a\x02\x08\x63", 12), features));
  ASSERT_EQ(features.capabilities.size(), 2u);
  EXPECT_EQ(features.capabilities[0].rpc.type, NodeFeature::stage_unstage_volume);
  EXPECT_EQ(int(features.capabilities[1].rpc.type), 99) << "one of a newer specification";

  NodeGetVolumeStatsResponse stats;
  EXPECT_TRUE(protobuf::decode(std::string_view("\x0a\x08\x08\x07\x10\x0a\x18\x03\x20\x02\x12\x02\x08\x01", 14), stats));
  ASSERT_EQ(stats.usage.size(), 1u);
  EXPECT_EQ(stats.usage[0].available, 7);
  EXPECT_EQ(stats.usage[0].unit, UsageUnit::inodes);
}

}  // namespace
}  // namespace estiba::node::csi_api
