#include "client/leader_election.h"

#include <gtest/gtest.h>

#include "base/fake_executor.h"
#include "client/testing/fake_client.h"
#include "model/types/coordination_v1.h"

namespace estiba::client {
namespace {

using namespace std::chrono_literals;
using model::coordination_v1::Lease;

struct LeaderElectionTest : ::testing::Test {
  FakeExecutor executor;
  testing::FakeClient client{executor};

  struct Candidate {
    LeaderElector elector;
    int begun = 0, ended = 0;
    Job job;
    Candidate(FakeExecutor& executor, Client& client, std::string identity)
        : elector(client, {.name = "control", .identity = std::move(identity)}) {
      executor.post([this] { job = Job(elector.run([this] { ++begun; }, [this] { return end(this); })); });
      executor.run();
    }
    static Task<void> end(Candidate* self) {
      ++self->ended;
      co_return;
    }
  };
  std::string holder() { return client.find(leases, "kube-system", "control").as<Lease>().spec.holderIdentity; }
};

TEST_F(LeaderElectionTest, OneLeadsAndTheOtherTakesOverWhenTheLeaseRunsOut) {
  auto a = std::make_unique<Candidate>(executor, client, "a");
  EXPECT_EQ(a->begun, 1) << "alone, it leads at once";
  Candidate b(executor, client, "b");
  executor.advance(1min);
  EXPECT_EQ(b.begun, 0);
  EXPECT_EQ(holder(), "a");
  a.reset();  // dies
  executor.advance(14s);
  EXPECT_EQ(b.begun, 0);
  executor.advance(5s);
  EXPECT_EQ(b.begun, 1);
  EXPECT_EQ(holder(), "b");
  EXPECT_EQ(client.find(leases, "kube-system", "control").as<Lease>().spec.leaseTransitions, 1);
}

TEST_F(LeaderElectionTest, AReleasedLeaseIsTakenAtOnce) {
  auto a = std::make_unique<Candidate>(executor, client, "a");
  Candidate b(executor, client, "b");
  executor.advance(10s);
  a->job.cancel();
  executor.post([&] { spawn(a->elector.release()); });
  executor.advance(3s);
  EXPECT_EQ(holder(), "b");
  EXPECT_EQ(b.begun, 1);
}

TEST_F(LeaderElectionTest, WhoCannotRenewStopsBeforeAnotherBegins) {
  Candidate a(executor, client, "a");
  bool broken = true;
  client.before_call = [&](std::string_view, Resource, std::string_view) -> Result<void> {
    if (broken) return fail(Code::unavailable, "no etcd");
    return {};
  };
  executor.advance(9s);
  EXPECT_EQ(a.ended, 0) << "a short outage changes nothing";
  executor.advance(5s);
  EXPECT_EQ(a.ended, 1);
  EXPECT_FALSE(a.elector.leading());
  broken = false;
  executor.advance(5s);
  EXPECT_EQ(a.begun, 2);
}

}  // namespace
}  // namespace estiba::client
