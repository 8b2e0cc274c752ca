#include "node/devices/ledger.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

using Ids = std::vector<std::string>;

DeviceLedger with(const std::string& resource, const std::vector<std::pair<std::string, std::string>>& devices) {
  DeviceLedger out;
  std::vector<plugin_api::Device> all;
  for (const auto& [id, health] : devices) all.push_back({.id = id, .health = health, .topology = {}});
  out.set_devices(resource, all);
  return out;
}

TEST(DeviceLedger, CountsAndChoosesWhatIsWell) {
  DeviceLedger ledger = with("e.com/gpu", {{"a", "Healthy"}, {"b", "Unhealthy"}, {"c", "Healthy"}, {"d", "Healthy"}});
  EXPECT_EQ(ledger.counts().at("e.com/gpu"), (DeviceLedger::Count{4, 3}));
  EXPECT_EQ(ledger.choose({"p", "main", "e.com/gpu", 2}, {}, {}).value(), (Ids{"a", "c"}));
  EXPECT_EQ(ledger.choose({"p", "main", "e.com/gpu", 2}, {}, {"d", "b", "x"}).value(), (Ids{"d", "a"})) << "a preference is not an order";
  EXPECT_EQ(ledger.choose({"p", "main", "e.com/gpu", 4}, {}, {}).error().message,
            "requested number of devices unavailable for e.com/gpu. Requested: 4, Available: 3");
  ledger.give({"p", "main", "e.com/gpu", 2}, {"a", "c"}, {});
  EXPECT_EQ(ledger.free("e.com/gpu"), (DeviceLedger::Ids{"d"}));
  EXPECT_EQ(ledger.choose({"p", "second", "e.com/gpu", 2}, {"c"}, {}).value(), (Ids{"c", "d"})) << "an earlier container's come first";
  ledger.set_all_unhealthy("e.com/gpu");
  EXPECT_EQ(ledger.counts().at("e.com/gpu"), (DeviceLedger::Count{4, 0}));
  ledger.forget("e.com/gpu");
  EXPECT_TRUE(ledger.counts().empty());
  EXPECT_EQ(ledger.given_to("p", "main").at("e.com/gpu").ids, (Ids{"a", "c"})) << "who has some keeps them";
}

TEST(DeviceLedger, KnowsWhereDevicesAre) {
  DeviceLedger ledger;
  const auto on = [](const char* id, std::vector<plugin_api::NumaNode> nodes) {
    plugin_api::Device out;
    out.id = id;
    out.health = "Healthy";
    out.topology.nodes = std::move(nodes);
    return out;
  };
  ledger.set_devices("e.com/gpu", {on("a", {{0}}), on("b", {{1}}), on("c", {{1}}), on("d", {})});
  ledger.set_devices("e.com/fpga", {on("x", {})});
  const NumaNodes both{0, 1};
  EXPECT_FALSE(ledger.hints("e.com/fpga", 1, {}, both)) << "its plugin does not say";
  EXPECT_EQ(*ledger.hints("e.com/gpu", 2, {}, both), (std::vector<Hint>{{NumaNodes{1}, true}, {both, false}}));
  EXPECT_EQ(*ledger.hints("e.com/gpu", 5, {}, both), std::vector<Hint>{}) << "there are four";
  EXPECT_EQ(*ledger.choose({"p", "main", "e.com/gpu", 2}, {}, {}, NumaNodes{1}), (Ids{"b", "c"}));
  EXPECT_EQ(*ledger.choose({"p", "main", "e.com/gpu", 3}, {}, {}, NumaNodes{1}), (Ids{"b", "c", "a"}));
  EXPECT_EQ(ledger.nodes_of("e.com/gpu", "c"), NumaNodes{1});
  EXPECT_EQ(ledger.nodes_of("e.com/gpu", "z"), NumaNodes{});
}

TEST(DeviceLedger, WhoIsGoneHasNothing) {
  DeviceLedger ledger = with("e.com/gpu", {{"a", "Healthy"}, {"b", "Healthy"}, {"c", "Healthy"}});
  for (const char* pod : {"p", "q", "r"}) ledger.give({pod, "main", "e.com/gpu", 1}, {std::string(1, char('a' + pod[0] - 'p'))}, {});
  ledger.keep_only({"q", "x"});
  EXPECT_EQ(ledger.free("e.com/gpu"), (DeviceLedger::Ids{"a", "c"}));
  EXPECT_FALSE(ledger.has("p"));
  ledger.release("q");
  EXPECT_EQ(ledger.free("e.com/gpu").size(), 3u);
}

TEST(DeviceLedger, IsSavedAndLoaded) {
  DeviceLedger ledger = with("e.com/gpu", {{"a\"b", "Healthy"}});
  plugin_api::ContainerAllocation answer;
  answer.envs["GPU"] = "0";
  answer.devices.push_back({"/dev/gpu", "/dev/nvidia0", "rw"});
  ledger.give({"p", "main", "e.com/gpu", 1}, {"a\"b"}, answer);
  DeviceLedger again;
  ASSERT_TRUE(again.load(ledger.save()));
  EXPECT_TRUE(again.knows("e.com/gpu"));
  EXPECT_EQ(again.counts().at("e.com/gpu"), (DeviceLedger::Count{0, 0})) << "until the plugin comes";
  const auto given = again.given_to("p", "main").at("e.com/gpu");
  EXPECT_EQ(given.ids, (Ids{"a\"b"}));
  EXPECT_EQ(given.answer.envs.at("GPU"), "0");
  ASSERT_EQ(given.answer.devices.size(), 1u);
  EXPECT_EQ(given.answer.devices[0].host_path, "/dev/nvidia0");
  EXPECT_EQ(again.save(), ledger.save());
}

TEST(DeviceLedger, RefusesAFileThatIsNoneOfIts) {
  for (const char* bad :
       {"", "{", "{}", R"({"resources":[],"given":[{"pod":"p","answer":"?"}]})", R"({"resources":[],"given":[{"answer":""}]})"})
    EXPECT_FALSE(DeviceLedger().load(bad)) << bad;
}

TEST(DeviceLedger, WishesAreLimitsOfKnownResources) {
  const DeviceLedger ledger = with("e.com/gpu", {});
  model::core_v1::Container container;
  EXPECT_TRUE(device_wishes(container, ledger).empty());
  container.resources.ensure().limits = {{"cpu", "1"}, {"e.com/gpu", "2"}, {"e.com/other", "3"}};
  EXPECT_EQ(device_wishes(container, ledger), (std::map<std::string, size_t>{{"e.com/gpu", 2}}));
}

}  // namespace
}  // namespace estiba::node
