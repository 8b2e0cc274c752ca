#include "controllers/testing/cluster.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;

struct EventExpiryTest : ControllerTest {
  void add(const std::string& name) {
    server.add(client::events, "x", R"({"apiVersion":"v1","kind":"Event","metadata":{"name":")" + name + R"("},"lastTimestamp":")" + now() + "\"}");
  }
  bool has(const std::string& name) { return bool(server.find(client::events, "x", name)); }
};

TEST_F(EventExpiryTest, EventsGoAnHourAfterTheyWereLastSeen) {
  add("old");
  executor.advance(30min);
  start({make_event_expiry});
  add("young");
  executor.advance(31min);
  EXPECT_FALSE(has("old"));
  EXPECT_TRUE(has("young"));
  executor.advance(30min);
  EXPECT_FALSE(has("young"));
  EXPECT_EQ(executor.timers(), 0u);
}

TEST_F(EventExpiryTest, AnEventThatIsSaidAgainStays) {
  start({make_event_expiry});
  add("again");
  executor.advance(50min);
  server.merge(client::events, "x", "again", R"({"count":2,"lastTimestamp":")" + now() + "\"}");
  executor.advance(50min);
  EXPECT_TRUE(has("again"));
  executor.advance(11min);
  EXPECT_FALSE(has("again"));
}

}  // namespace
}  // namespace estiba::controllers
