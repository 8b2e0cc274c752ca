#include "node/placement/placement.h"

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "model/codec.h"
#include "node/placement/test_machine.h"
#include "os/file.h"

namespace estiba::node {
namespace {

using namespace model::core_v1;

class PlacementTest : public testing::Test {
 protected:
  PlacementTest() {
    options_.cpus = {.exclusive = true, .reserved = {0}};
    options_.sys = machine_.sys();
  }

  void open() {
    auto made = Placement::open(options_, file_);
    ASSERT_TRUE(made) << made.error().message;
    placement_ = std::move(*made);
  }
  std::string refusal() {
    auto made = Placement::open(options_, file_);
    return made ? "" : made.error().message;
  }

  // Containers "c0", "c1", … with so many CPUs each; init containers "i0", ….
  static Pod pod(const std::string& uid, const std::vector<std::string>& cpus, const std::vector<std::string>& init = {}) {
    Pod out;
    out.metadata.uid = uid;
    const auto add = [](std::vector<Container>& list, const std::string& name, const std::string& cpu) {
      Container& container = list.emplace_back();
      container.name = name;
      container.resources.ensure().limits = {{"cpu", cpu}, {"memory", "1Gi"}};
    };
    for (size_t i = 0; i < init.size(); ++i) add(out.spec.initContainers, "i" + std::to_string(i), init[i]);
    for (size_t i = 0; i < cpus.size(); ++i) add(out.spec.containers, "c" + std::to_string(i), cpus[i]);
    return out;
  }

  // "c0=1 c1=2-3", or why it is refused.
  std::string place(const Pod& pod, const Hints& devices = {}) {
    for (const auto list : {&PodSpec::initContainers, &PodSpec::containers})
      for (const Container& container : pod.spec.*list)
        if (auto placed = placement_->place(pod, container, [&](const NumaNodes&, bool) { return devices; }); !placed) {
          placement_->release(pod.metadata.uid);
          return std::string(engine::reason_of(placed.error())) + ": " + placed.error().message;
        }
    auto kept = placement_->keep(pod.metadata.uid);
    return kept ? cpus_of(pod) : kept.error().message;
  }
  std::string cpus_of(const Pod& pod) const {
    std::string out;
    for (const auto list : {&PodSpec::initContainers, &PodSpec::containers})
      for (const Container& container : pod.spec.*list)
        if (const auto own = placement_->cpus().given(pod.metadata.uid, container.name))
          out += (out.empty() ? "" : " ") + container.name + "=" + own->text();
    return out;
  }
  std::string shared() const { return placement_->cpus().shared().text(); }

  TestMachine machine_{2, 1, 2, 2};  // cores 0,4 1,5 | 2,6 3,7
  const std::string file_ = machine_.sys() + "/placement.json";
  PlacementOptions options_;
  std::unique_ptr<Placement> placement_;
};

TEST_F(PlacementTest, WholeCpusOfGuaranteedPodsAreTheirs) {
  open();
  int changes = 0;
  placement_->on_change([&] { ++changes; });
  const Pod two = pod("a", {"2", "500m"}), burstable = [] {
    Pod out = pod("b", {"2"});
    out.spec.containers[0].resources->requests = {{"cpu", "1"}, {"memory", "1Gi"}};
    return out;
  }();
  EXPECT_TRUE(placement_->wanted_by(two));
  EXPECT_FALSE(placement_->wanted_by(burstable));
  EXPECT_EQ(place(two), "c0=1,5");
  EXPECT_FALSE(placement_->wanted_by(two));
  EXPECT_EQ(shared(), "0,2-4,6-7");
  EXPECT_EQ(place(burstable), "");
  engine::Resources own{.cpu_quota_us = 200'000, .cpu_period_us = 100'000}, other = own;
  placement_->limit(own, "a", "c0");
  placement_->limit(other, "a", "c1");
  EXPECT_EQ(own.cpuset_cpus, "1,5");
  EXPECT_FALSE(own.cpu_quota_us) << "a quota would take from it what is its own";
  EXPECT_EQ(other.cpuset_cpus, "0,2-4,6-7");
  EXPECT_EQ(other.cpu_quota_us, 200'000);
  placement_->keep_only({"b"});
  EXPECT_EQ(shared(), "0-7");
  EXPECT_EQ(changes, 2);
}

TEST_F(PlacementTest, InitContainersHandTheirsOn) {
  open();
  EXPECT_EQ(place(pod("a", {"2", "2"}, {"3", "1"})), "i0=1,4-5 i1=4 c0=1,5 c1=2,6");
  EXPECT_EQ(shared(), "0,3,7") << "4 is an init container's still";
  placement_->release("a");
  EXPECT_EQ(shared(), "0-7");
}

TEST_F(PlacementTest, WhatIsNotThereIsRefused) {
  open();
  EXPECT_EQ(place(pod("a", {"4", "4"})),
            "UnexpectedAdmissionError: Allocate failed due to not enough cpus available to satisfy request: "
            "requested=4, available=3, which is unexpected (container \"c1\")");
  EXPECT_EQ(shared(), "0-7") << "nothing is left behind";
  options_.cpus.whole_cores = true;
  open();
  EXPECT_EQ(place(pod("a", {"3"})), "SMTAlignmentError: SMT Alignment Error: requested 3 cpus not multiple cpus per core = 2");
  EXPECT_EQ(place(pod("a", {"8"})),
            "SMTAlignmentError: SMT Alignment Error: not enough free physical CPUs: available physical CPUs = 6, "
            "requested CPUs = 8, CPUs per core = 2");
  EXPECT_EQ(place(pod("a", {"4"})), "c0=2-3,6-7");
}

TEST_F(PlacementTest, CpusLieWithDevices) {
  options_.topology = TopologyPolicy::single_numa_node;
  open();
  const auto gpu_on = [](int node) { return Hints{{"gpu", std::vector<Hint>{{NumaNodes{node}, true}}}}; };
  EXPECT_EQ(place(pod("a", {"2"}), gpu_on(1)), "c0=2,6");
  EXPECT_EQ(place(pod("b", {"2"}), gpu_on(0)), "c0=1,5");
  EXPECT_EQ(place(pod("c", {"3"}), gpu_on(1)), "TopologyAffinityError: Resources cannot be allocated with Topology locality");
  EXPECT_EQ(place(pod("d", {"1", "2"}), gpu_on(1)), "TopologyAffinityError: Resources cannot be allocated with Topology locality");
  EXPECT_EQ(shared(), "0,3-4,7");
  options_.topology = TopologyPolicy::best_effort;
  open();
  EXPECT_EQ(place(pod("c", {"3"}), gpu_on(1)), "c0=3-4,7") << "as near as can be";
}

TEST_F(PlacementTest, APodMayBePlacedAsAWhole) {
  options_.topology = TopologyPolicy::single_numa_node;
  options_.by_pod = true;
  open();
  EXPECT_EQ(place(pod("a", {"2", "2"})), "c0=2,6 c1=3,7") << "where both fit";
  EXPECT_EQ(place(pod("b", {"2", "2"})), "TopologyAffinityError: Resources cannot be allocated with Topology locality");
}

TEST_F(PlacementTest, MemoryLiesWithCpus) {
  options_.memory.pinned = true;
  options_.topology = TopologyPolicy::single_numa_node;
  open();
  const Hints far{{"gpu", std::vector<Hint>{{NumaNodes{1}, true}}}};
  EXPECT_EQ(place(pod("a", {"1"}), far), "c0=2");
  engine::Resources limits;
  placement_->limit(limits, "a", "c0");
  EXPECT_EQ(limits.cpuset_mems, "1");
  Pod large = pod("b", {"1"});
  large.spec.containers[0].resources->limits["memory"] = "3500Mi";
  EXPECT_EQ(place(large, far), "TopologyAffinityError: Resources cannot be allocated with Topology locality")
      << "1 GiB of that node is a's";
  EXPECT_EQ(place(large), "c0=4") << "beside the reserved CPU";
  open();
  placement_->limit(limits, "b", "c0");
  EXPECT_EQ(limits.cpuset_mems, "0");
}

TEST_F(PlacementTest, ARestartKeepsWhatWasGiven) {
  open();
  const Pod one = pod("a", {"2"});
  place(one);
  open();
  EXPECT_EQ(cpus_of(one), "c0=1,5");
  EXPECT_EQ(shared(), "0,2-4,6-7");
  EXPECT_FALSE(placement_->wanted_by(one));
}

TEST_F(PlacementTest, WhatDiffersFromTheFileIsNamed) {
  open();
  place(pod("a", {"2"}));
  options_.cpus.exclusive = false;
  EXPECT_EQ(
      refusal(),
      file_ + ": --cpu-manager-policy was \"static\" and is \"none\" now: drain this node and remove the file, or start it as before");
  options_.cpus = {.exclusive = true, .reserved = {0, 1}};
  EXPECT_EQ(refusal(), file_ + ": CPUs 1 are reserved now, and a container's: drain this node and remove the file, or start it as before");
  options_.cpus.reserved = {0};
  machine_.write("cpu/online", "0-6\n");
  EXPECT_EQ(refusal(),
            file_ + ": the CPUs that pods may use were 0-7 and are 0-6 now: drain this node and remove the file, or start it as before");
  machine_.write("cpu/online", "0-7\n");
  const std::string text = *os::read_file(file_);
  std::string other = text;
  other.replace(other.find("1,5"), 3, "1,6");
  ASSERT_TRUE(os::write_file_atomic(file_, other));
  EXPECT_EQ(refusal(), file_ + ": it is damaged (its checksum does not fit): drain this node and remove the file, or start it as before");
  ASSERT_TRUE(os::write_file_atomic(file_, text));
  EXPECT_EQ(refusal(), "");
}

TEST_F(PlacementTest, CpusMustBeReserved) {
  options_.cpus = {.exclusive = true, .reserved = {9}};
  EXPECT_EQ(refusal(), "--reserved-cpus: this machine has no CPU 9, but 0-7");
  options_.cpus = {.exclusive = true};
  EXPECT_TRUE(refusal().starts_with("--cpu-manager-policy=static needs CPUs that no container has for itself"));
  options_.cpus = {.exclusive = true, .strict_reservation = true, .reserved_count = 2};
  open();
  EXPECT_EQ(shared(), "1-3,5-7") << "the reserved ones are nobody's";
  EXPECT_EQ(placement_->cpus().allocatable().text(), "1-3,5-7");
}

TEST(CpuPolicyOptions, AreRead) {
  CpuOptions out;
  ASSERT_TRUE(read_cpu_policy_options("full-pcpus-only=true,distribute-cpus-across-numa=true,strict-cpu-reservation=false", out));
  EXPECT_TRUE(out.whole_cores);
  EXPECT_FALSE(out.strict_reservation);
  EXPECT_EQ(out.spread, CpuSpread::across_numa);
  const auto wrong = [](std::string_view text) {
    CpuOptions options;
    auto read = read_cpu_policy_options(text, options);
    return read ? "" : read.error().message;
  };
  EXPECT_EQ(wrong("full-pcpus-only"), "\"full-pcpus-only\" must be OPTION=true or OPTION=false");
  EXPECT_TRUE(wrong("align-by-socket=true").starts_with("\"align-by-socket\" is no option here"));
  EXPECT_TRUE(wrong("full-pcpus-only=true,distribute-cpus-across-cores=true").contains("not both"));
}

}  // namespace
}  // namespace estiba::node
