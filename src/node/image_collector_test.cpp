#include "node/image_collector.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "client/testing/fake_client.h"
#include "io/loop.h"
#include "node/testing/fake_engine.h"

namespace estiba::node {
namespace {

using namespace std::chrono_literals;

// Goes after all that may still write there.
struct Directory {
  std::string path = testing::TempDir() + "estiba-image-collector-" + std::to_string(getpid());
  ~Directory() { std::filesystem::remove_all(path); }
};

struct ImageCollectorTest : testing::Test {
  Directory directory;  // first: ends last
  const std::string& dir = directory.path;
  io::Loop loop;
  client::testing::FakeClient client{loop};
  FakeEngine engine;
  io::Pool pool{1};
  client::Informers informers{client};
  client::EventRecorder events{client, loop, "kubelet", "n"};
  network::Network network{{}, client, loop};
  Context context{options(), loop, client, informers, engine, network, pool, events};

  Options options() {
    Options made;
    made.node_name = "n";
    made.data_dir = dir;
    made.housekeeping.image_period = 1ms;
    return made;
  }

  /// The events of the Node, once there are so many; fewer if that takes too long.
  std::vector<std::string> told(size_t count) {
    return loop.block_on([](ImageCollectorTest* self, size_t count) -> Task<std::vector<std::string>> {
      std::vector<std::string> out;
      for (int i = 0; i < 10'000 && out.size() < count; ++i) {
        co_await sleep_for(2ms);
        out.clear();
        for (const model::ObjectRef& object : self->client.all(client::events)) {
          const auto& event = object.as<model::core_v1::Event>();
          out.push_back(event.type + " " + event.involvedObject.kind + "/" + event.involvedObject.name + " " + event.reason + ": " +
                        event.message);
        }
      }
      co_return out;
    }(this, count));
  }
};

// The first failure may be a start that is not finished yet.
TEST_F(ImageCollectorTest, WhatFailsAgainIsToldByAnEventOfTheNode) {
  std::filesystem::create_directories(dir);
  std::ofstream(dir + "/images") << "where a directory should be";
  ImageCollector collector(context);
  loop.post([&] { collector.start(); });
  const std::vector<std::string> events = told(1);
  ASSERT_FALSE(events.empty());
  EXPECT_TRUE(events[0].starts_with("Warning Node/n ImageGCFailed: ")) << events[0];
  EXPECT_TRUE(events[0].contains(dir + "/images")) << events[0];
}

TEST_F(ImageCollectorTest, ADiskThatStaysFullIsTold) {
  context.options.housekeeping.image_high_percent = 0;
  context.options.housekeeping.image_low_percent = 0;
  ImageCollector collector(context);
  loop.post([&] { collector.start(); });
  bool full = false, failed = false;
  for (const std::string& event : told(2)) {
    full |= event.starts_with("Warning Node/n FreeDiskSpaceFailed: Insufficient free disk space on the node's image filesystem (");
    failed |= event.starts_with("Warning Node/n ImageGCFailed: Insufficient free disk space");
  }
  EXPECT_TRUE(full && failed);
}

}  // namespace
}  // namespace estiba::node
