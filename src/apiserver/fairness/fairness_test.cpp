#include "apiserver/fairness/fairness.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "apiserver/fairness/bootstrap.h"
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

using namespace std::chrono_literals;

TEST(Hands, are_different_queues_and_always_the_same) {
  std::set<std::vector<size_t>> seen;
  for (uint64_t flow = 0; flow < 1000; ++flow) {
    const uint64_t hash = flow * 0x9e3779b97f4a7c15;
    auto hand = deal_hand(hash, 64, 6);
    ASSERT_EQ(hand.size(), 6u);
    EXPECT_TRUE(std::is_sorted(hand.begin(), hand.end()));
    EXPECT_EQ(std::set<size_t>(hand.begin(), hand.end()).size(), 6u);
    EXPECT_LT(hand.back(), 64u);
    EXPECT_EQ(hand, deal_hand(hash, 64, 6));
    seen.insert(hand);
  }
  EXPECT_GT(seen.size(), 990u) << "flows rarely share all queues";
  EXPECT_EQ(deal_hand(7, 3, 3), (std::vector<size_t>{0, 1, 2}));
}

struct LevelTest : ::testing::Test {
  io::Loop loop;
  std::shared_ptr<Lending> lending = std::make_shared<Lending>();
  std::shared_ptr<Level> level = std::make_shared<Level>("a", lending), other = std::make_shared<Level>("b", lending);
  void SetUp() override { lending->set({level, other}); }
  static Task<void> take(Level* level, uint64_t flow, std::vector<int>* order, int who, Event* hold, Duration patience = 5s) {
    Seat seat = co_await level->enter(flow, patience);
    order->push_back(seat ? who : -who);
    if (seat) co_await hold->wait();
  }
  static Task<void> turn(Duration time) { co_await sleep_for(time); }
};

TEST_F(LevelTest, has_as_many_seats_as_it_has) {
  level->reshape({.nominal = 2});
  Seat one = level->try_enter(), two = level->try_enter();
  EXPECT_TRUE(one && two);
  EXPECT_FALSE(level->try_enter());
  one = {};
  EXPECT_TRUE(level->try_enter()) << "and gives it back at once";
  EXPECT_EQ(level->in_use(), 1);
}

TEST_F(LevelTest, refuses_without_queues_and_when_they_are_full) {
  level->reshape({.nominal = 1});
  Event hold;
  std::vector<int> order;
  TaskGroup group;
  auto script = [](LevelTest* self, TaskGroup* group, std::vector<int>* order, Event* hold) -> Task<void> {
    group->start(take(self->level.get(), 0, order, 1, hold));
    group->start(take(self->level.get(), 0, order, 2, hold));
    EXPECT_EQ(*order, (std::vector<int>{1, -2}));
    self->level->reshape({.nominal = 1, .queues = 1, .hand_size = 1, .queue_length = 1});
    group->start(take(self->level.get(), 0, order, 3, hold));
    group->start(take(self->level.get(), 0, order, 4, hold));
    EXPECT_EQ(*order, (std::vector<int>{1, -2, -4}));
    EXPECT_EQ(self->level->waiting(), 1);
    hold->set();
    co_await group->join();
    EXPECT_EQ(*order, (std::vector<int>{1, -2, -4, 3}));
    EXPECT_EQ(self->level->in_use(), 0);
  };
  loop.block_on(script(this, &group, &order, &hold));
}

TEST_F(LevelTest, takes_flows_in_turn) {
  level->reshape({.nominal = 1, .queues = 2, .hand_size = 1, .queue_length = 50});
  auto script = [](LevelTest* self) -> Task<void> {
    Event hold, done;
    done.set();
    std::vector<int> order;
    TaskGroup group;
    group.start(take(self->level.get(), 0, &order, 1, &hold));
    for (int i = 10; i < 15; ++i) group.start(take(self->level.get(), 0, &order, i, &done));  // one flow asks five times
    for (int i = 20; i < 22; ++i) group.start(take(self->level.get(), 1, &order, i, &done));
    hold.set();
    co_await group.join();
    EXPECT_EQ(order, (std::vector<int>{1, 10, 20, 11, 21, 12, 13, 14}));
  };
  loop.block_on(script(this));
}

TEST_F(LevelTest, who_gives_up_leaves_no_trace) {
  level->reshape({.nominal = 1, .queues = 1, .hand_size = 1, .queue_length = 5});
  auto script = [](LevelTest* self) -> Task<void> {
    Event hold;
    std::vector<int> order;
    TaskGroup group;
    group.start(take(self->level.get(), 0, &order, 1, &hold));
    group.start(take(self->level.get(), 0, &order, 2, &hold, 5ms));
    {
      Job dropped(take(self->level.get(), 0, &order, 3, &hold));
      EXPECT_EQ(self->level->waiting(), 2);
    }
    co_await turn(50ms);
    EXPECT_EQ(order, (std::vector<int>{1, -2}));
    EXPECT_EQ(self->level->waiting(), 0);
    {
      Job seated(take(self->level.get(), 0, &order, 4, &hold));
      hold.set();
      co_await yield_now();
    }
    co_await group.join();
    co_await turn(5ms);
    EXPECT_EQ(self->level->in_use(), 0) << "a seat that was given to one who has gone comes back";
    EXPECT_EQ(self->lending->waiting.load(), 0);
  };
  loop.block_on(script(this));
}

TEST_F(LevelTest, borrows_what_others_lend_and_no_more) {
  level->reshape({.nominal = 1, .borrowing_limit = 2});
  other->reshape({.nominal = 4, .lendable = 3});
  std::vector<Seat> seats;
  for (int i = 0; i < 5; ++i)
    if (Seat seat = level->try_enter()) seats.push_back(std::move(seat));
  EXPECT_EQ(seats.size(), 3u) << "its own, and two borrowed";
  level->reshape({.nominal = 1, .borrowing_limit = -1});
  while (Seat seat = level->try_enter()) seats.push_back(std::move(seat));
  EXPECT_EQ(seats.size(), 4u) << "one of the other's is not to be lent";
  Seat own = other->try_enter();
  EXPECT_TRUE(own) << "who lends is not kept from his own";
  seats.clear();
  other->reshape({.nominal = 4, .lendable = 0});
  Seat one = level->try_enter();
  EXPECT_FALSE(level->try_enter());
}

TEST(Shares, are_divided_as_kubernetes_divides_them) {
  std::vector<LevelConfig> levels;
  for (const FairnessObject& one : fairness_objects()) {
    if (one.resource != "prioritylevelconfigurations") continue;
    auto doc = json::Document::parse(one.json());
    ASSERT_TRUE(doc) << one.name;
    levels.push_back(read_level(doc->root()));
  }
  divide_seats(levels, 600);
  std::map<std::string, LevelShape> shapes;
  for (const LevelConfig& level : levels) shapes[level.name] = level.shape;
  EXPECT_EQ(shapes["exempt"].nominal, 0);
  EXPECT_TRUE(shapes["exempt"].exempt);
  EXPECT_EQ(shapes["catch-all"].nominal, 13);
  EXPECT_EQ(shapes["workload-low"].nominal, 245);
  EXPECT_EQ(shapes["workload-low"].lendable, 221);
  EXPECT_EQ(shapes["global-default"].queues, 128u);
  EXPECT_EQ(shapes["catch-all"].queues, 0u);
}

struct FairnessTest : ApiFixture {
  std::string schema_of(Fairness& fairness, User user, Attributes asked) {
    io::Response response;
    auto pass = fairness.classify(user, asked, response);
    return pass.found ? pass.found->schema.name : "";
  }
  Result<Outcome> make_schema(const std::string& name, const std::string& spec) {
    return create("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "",
                  R"({"metadata":{"name":")" + name + R"("},"spec":)" + spec + "}");
  }
  static Task<void> until_good(Task<void> run, std::function<bool()> good) {
    Job job(std::move(run));
    for (int i = 0; i < 3000 && !good(); ++i) co_await sleep_for(10ms);
  }
  void run_until(Fairness& fairness, std::function<bool()> good) {
    io::Loop loop;
    loop.block_on(until_good(fairness.run(), std::move(good)));
  }
  std::string dangling(const char* name) {
    auto object = get("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "", name);
    const json::Node* conditions = object ? json_of(*object).at("status", "conditions") : nullptr;
    for (size_t i = 0; conditions && i < conditions->size(); ++i)
      if ((*conditions)[i].string_at("type") == "Dangling") return std::string((*conditions)[i].string_at("status"));
    return "";
  }
};

TEST_F(FairnessTest, requests_belong_to_the_first_schema_that_matches) {
  Fairness fairness(registry());
  User nobody{"system:anonymous", {}, {"system:unauthenticated"}, {}};
  Attributes pods{.verb = "list", .version = "v1", .resource = "pods", .ns = "default"};
  EXPECT_EQ(schema_of(fairness, nobody, pods), "catch-all") << "the mandatory ones count before they are stored";
  const User jane{"jane", {}, {"system:authenticated"}, {}};
  run_until(fairness, [&] { return schema_of(fairness, jane, pods) == "global-default"; });
  User node{"system:node:n", {}, {"system:nodes", "system:authenticated"}, {}};
  User account{"system:serviceaccount:kube-system:a", {}, {"system:serviceaccounts", "system:authenticated"}, {}};
  User other{"system:serviceaccount:shop:a", {}, {"system:serviceaccounts", "system:authenticated"}, {}};
  EXPECT_EQ(schema_of(fairness, {"root", {}, {"system:masters"}, {}}, pods), "exempt");
  EXPECT_EQ(schema_of(fairness, node, {.verb = "patch", .resource = "nodes", .subresource = "status", .name = "n"}), "system-node-high");
  EXPECT_EQ(schema_of(fairness, node, pods), "system-nodes");
  EXPECT_EQ(schema_of(fairness, account, {.verb = "update", .group = "coordination.k8s.io", .resource = "leases", .ns = "x"}),
            "system-leader-election");
  EXPECT_EQ(schema_of(fairness, account, pods), "kube-system-service-accounts");
  EXPECT_EQ(schema_of(fairness, other, pods), "service-accounts");
  EXPECT_EQ(schema_of(fairness, {"system:kube-scheduler", {}, {"system:authenticated"}, {}}, pods), "kube-scheduler");
  EXPECT_EQ(schema_of(fairness, {"jane", {}, {"system:authenticated"}, {}}, pods), "global-default");
  EXPECT_EQ(schema_of(fairness, nobody, {.verb = "get", .path = "/readyz"}), "probes");
  EXPECT_EQ(schema_of(fairness, nobody, {.verb = "get", .path = "/readyz/ping"}), "global-default");

  ASSERT_TRUE(make_schema(
      "mine",
      R"({"priorityLevelConfiguration":{"name":"none"},"matchingPrecedence":50,"rules":[{"subjects":[{"kind":"User","user":{"name":"jane"}}],)"
      R"("resourceRules":[{"verbs":["list"],"apiGroups":[""],"resources":["pods"],"namespaces":["default"]}]}]})"));
  run_until(fairness, [&] { return dangling("mine") == "True"; });
  EXPECT_EQ(dangling("mine"), "True");
  EXPECT_EQ(schema_of(fairness, jane, pods), "global-default") << "it dangles";
  ASSERT_TRUE(patch("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "", "mine", BodyType::strategic_patch,
                    R"({"status":{"conditions":[{"type":"Own","status":"True"}]}})", "status"));
  ASSERT_TRUE(create(
      "flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations", "",
      R"({"metadata":{"name":"none"},"spec":{"type":"Limited","limited":{"nominalConcurrencyShares":1,"limitResponse":{"type":"Reject"}}}})"));
  run_until(fairness, [&] { return dangling("mine") == "False" && schema_of(fairness, jane, pods) == "mine"; });
  EXPECT_EQ(schema_of(fairness, jane, pods), "mine");
  auto object = get("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "", "mine");
  EXPECT_EQ(json_of(*object).at("status", "conditions")->size(), 2u) << "others' conditions stay: " << object->print();
  pods.ns = "other";
  EXPECT_EQ(schema_of(fairness, {"jane", {}, {"system:authenticated"}, {}}, pods), "global-default");
}

TEST_F(FairnessTest, what_every_cluster_has_comes_back) {
  Fairness fairness(registry());
  run_until(fairness, [&] { return dangling("global-default") == "False"; });
  ASSERT_TRUE(remove("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "", "catch-all"));
  auto refused = patch("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations", "", "catch-all", BodyType::merge_patch,
                       R"({"spec":{"limited":{"nominalConcurrencyShares":50}}})");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("must equal the fixed value"), std::string::npos) << refused.error().message;
  ASSERT_TRUE(patch("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations", "", "exempt", BodyType::merge_patch,
                    R"({"spec":{"exempt":{"nominalConcurrencyShares":5}}})"));
  ASSERT_TRUE(patch("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "", "service-accounts", BodyType::merge_patch,
                    R"({"spec":{"matchingPrecedence":8000}})"));
  ASSERT_TRUE(patch("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "", "global-default", BodyType::merge_patch,
                    R"({"metadata":{"annotations":{"apf.kubernetes.io/autoupdate-spec":"false"}},"spec":{"matchingPrecedence":8500}})"));
  auto number = [&](const char* name) -> int64_t {
    if (!get("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "", name)) return 0;
    return json_of(*get("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "", name))
        .at("spec", "matchingPrecedence")
        ->as_int()
        .value_or(0);
  };
  run_until(fairness, [&] { return number("catch-all") == 10000 && number("service-accounts") == 9000; });
  EXPECT_EQ(number("catch-all"), 10000);
  EXPECT_EQ(number("service-accounts"), 9000) << "it follows the program";
  EXPECT_EQ(number("global-default"), 8500) << "its annotation says that it does not";
}

TEST_F(FairnessTest, what_is_wrong_is_named) {
  auto refused = make_schema(
      "bad",
      R"({"priorityLevelConfiguration":{"name":"x"},"matchingPrecedence":1,"distinguisherMethod":{"type":"ByColor"},)"
      R"("rules":[{"subjects":[{"kind":"User","group":{"name":"g"}}],"resourceRules":[{"verbs":["*","get"],"apiGroups":[""],"resources":["pods"]}]}]})");
  ASSERT_FALSE(refused);
  for (const char* text : {"spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
                           "spec.distinguisherMethod.type: Unsupported value", "spec.rules[0].subjects[0].user: Required value",
                           "spec.rules[0].subjects[0].group: Forbidden", "spec.rules[0].resourceRules[0].verbs: Invalid value",
                           "spec.rules[0].resourceRules[0].namespaces: Required value"})
    EXPECT_NE(refused.error().message.find(text), std::string::npos) << text << "\n" << refused.error().message;
  refused = create(
      "flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations", "",
      R"({"metadata":{"name":"p"},"spec":{"type":"Limited","limited":{"lendablePercent":101,"limitResponse":{"type":"Queue","queuing":{"queues":4,"handSize":5}}}}})");
  ASSERT_FALSE(refused);
  for (const char* text : {"spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
                           "spec.limited.limitResponse.queuing.handSize: Invalid value: 5: should not be greater than queues (4)"})
    EXPECT_NE(refused.error().message.find(text), std::string::npos) << text << "\n" << refused.error().message;
}

}  // namespace
}  // namespace estiba::apiserver
