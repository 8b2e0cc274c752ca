#include "node/placement/cpu_choice.h"

#include <gtest/gtest.h>

#include "node/placement/test_machine.h"

namespace estiba::node {
namespace {

Topology topology(int sockets, int numa, int cores, int threads) {
  const TestMachine machine(sockets, numa, cores, threads);
  auto read = read_topology(machine.sys());
  EXPECT_TRUE(read) << read.error().message;
  return read.value_or(Topology{});
}

std::string chosen(const Topology& machine, std::string_view free, size_t count, CpuSpread spread = CpuSpread::packed,
                   bool in_cores = false) {
  const auto out = choose_cpus(machine, CpuSet::parse(free).value_or(CpuSet{}), count, spread, in_cores);
  return out ? out->text() : "too few";
}

TEST(CpuSet, IsAListOfRanges) {
  for (const char* text : {"", "0", "0-3", "0,2", "0-1,4-7,9"}) EXPECT_EQ(CpuSet::parse(text)->text(), text);
  EXPECT_EQ(CpuSet::parse(" 3,1,2\n")->text(), "1-3");
  for (const char* text : {"a", "1-", "3-1", "-1", "0,,1", "0-99999"}) EXPECT_FALSE(CpuSet::parse(text)) << text;
  const CpuSet a{0, 1, 2}, b{2, 3};
  EXPECT_EQ((a | b).text(), "0-3");
  EXPECT_EQ((a & b).text(), "2");
  EXPECT_EQ((a - b).text(), "0-1");
  EXPECT_TRUE(a.contains_all({0, 2}));
  EXPECT_FALSE(a.contains_all(b));
}

TEST(Topology, IsReadFromSys) {
  const Topology machine = topology(2, 2, 2, 2);
  EXPECT_EQ(machine.all().text(), "0-15");
  EXPECT_EQ(machine.numa_nodes().text(), "0-3");
  EXPECT_EQ(machine.threads_per_core(), 2u);
  EXPECT_EQ(machine.by(&Topology::Cpu::core).at(3).text(), "3,11");
  EXPECT_EQ(machine.by(&Topology::Cpu::socket).at(1).text(), "4-7,12-15");
  EXPECT_EQ(machine.of_numa({1, 2}).text(), "2-5,10-13");
  EXPECT_EQ(machine.numa.at(3).memory_bytes, uint64_t(4) << 30);
  EXPECT_EQ(machine.numa.at(3).huge_pages.at(2 << 20), 4u);
}

TEST(Topology, OfAMachineWithoutNumaHasOneNode) {
  const TestMachine machine(1, 1, 2, 1);
  std::filesystem::remove_all(machine.sys() + "/devices/system/node");
  const auto read = read_topology(machine.sys());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->numa_nodes().text(), "0");
  EXPECT_EQ(read->of_numa({0}).text(), "0-1");
  std::filesystem::remove_all(machine.sys() + "/devices/system/cpu/cpu1");
  EXPECT_TRUE(read_topology(machine.sys()).error().message.contains("/cpu1/topology"));
}

TEST(CpuChoice, TakesWhatIsWholeFirst) {
  const Topology machine = topology(2, 1, 2, 2);  // cores 0,4 1,5 | 2,6 3,7
  EXPECT_EQ(chosen(machine, "0-7", 1), "0");
  EXPECT_EQ(chosen(machine, "0-7", 2), "0,4");
  EXPECT_EQ(chosen(machine, "0-7", 4), "0-1,4-5") << "a socket";
  EXPECT_EQ(chosen(machine, "0-7", 6), "0-2,4-6") << "a socket and a core";
  EXPECT_EQ(chosen(machine, "1-7", 4), "2-3,6-7") << "the socket that is whole";
  EXPECT_EQ(chosen(machine, "1-7", 1), "4") << "beside a thread that is taken";
  EXPECT_EQ(chosen(machine, "1-7", 2), "1,5") << "a core of the socket that is broken already";
  EXPECT_EQ(chosen(machine, "1,3", 2), "1,3");
  EXPECT_EQ(chosen(machine, "1,3", 3), "too few");
  EXPECT_EQ(chosen(machine, "0-7", 0), "");
}

TEST(CpuChoice, SocketsOfSeveralNumaNodesComeFirst) {
  const Topology machine = topology(2, 2, 1, 2);  // nodes 0,4 1,5 | 2,6 3,7
  EXPECT_EQ(chosen(machine, "0-7", 4), "0-1,4-5");
  EXPECT_EQ(chosen(machine, "0-3,5-7", 4), "2-3,6-7");
  EXPECT_EQ(chosen(machine, "0-3,5-7", 2), "1,5");
}

TEST(CpuChoice, SpreadsWhereItIsTold) {
  const Topology machine = topology(2, 1, 2, 2);
  EXPECT_EQ(chosen(machine, "0-7", 3, CpuSpread::across_cores), "0-2") << "one thread of each core";
  EXPECT_EQ(chosen(machine, "0-7", 5, CpuSpread::across_cores), "0-4");
  EXPECT_EQ(chosen(machine, "0-7", 6, CpuSpread::across_numa), "0-4,6") << "three on each";
  EXPECT_EQ(chosen(machine, "0-7", 4, CpuSpread::across_numa), "0-1,4-5") << "one node has room";
  EXPECT_EQ(chosen(machine, "0-7", 6, CpuSpread::across_numa, true), "0-2,4-6") << "three are no whole cores: packed";
}

}  // namespace
}  // namespace estiba::node
