// A made-up /sys of a machine, for tests.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>

namespace estiba::node {

/// Sockets, NUMA nodes in each, cores in each of these, threads in each of these. CPUs are numbered as Linux does on x86: the first thread
/// of every core, then the second ones. Every NUMA node has 4 GiB and four huge pages of 2 MiB.
class TestMachine {
 public:
  TestMachine(int sockets, int numa, int cores, int threads) {
    std::string name = "/tmp/estiba-machine-XXXXXX";
    root_ = ::mkdtemp(name.data());
    const int all_cores = sockets * numa * cores;
    for (int node = 0; node < sockets * numa; ++node) {
      std::string list;
      for (int thread = 0; thread < threads; ++thread)
        for (int core = node * cores; core < (node + 1) * cores; ++core) {
          const int cpu = thread * all_cores + core;
          list += (list.empty() ? "" : ",") + std::to_string(cpu);
          std::string siblings;
          for (int other = 0; other < threads; ++other) siblings += (other ? "," : "") + std::to_string(other * all_cores + core);
          const std::string topology = "cpu/cpu" + std::to_string(cpu) + "/topology/";
          write(topology + "core_cpus_list", siblings + "\n");
          write(topology + "physical_package_id", std::to_string(node / numa) + "\n");
        }
      const std::string dir = "node/node" + std::to_string(node);
      write(dir + "/cpulist", list + "\n");
      write(dir + "/meminfo",
            "\nNode " + std::to_string(node) + " MemTotal:        4194304 kB\nNode " + std::to_string(node) + " MemFree: 1 kB\n");
      write(dir + "/hugepages/hugepages-2048kB/nr_hugepages", "4\n");
    }
    const auto up_to = [](int count) { return count == 1 ? std::string("0\n") : "0-" + std::to_string(count - 1) + "\n"; };
    write("cpu/online", up_to(all_cores * threads));
    write("node/online", up_to(sockets * numa));
  }
  ~TestMachine() { std::filesystem::remove_all(root_); }
  TestMachine(const TestMachine&) = delete;

  const std::string& sys() const { return root_; }
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = root_ + "/devices/system/" + path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }

 private:
  std::string root_;
};

}  // namespace estiba::node
