// A provider in memory, whose machines a test boots.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "autoscale/provider.h"

namespace estiba::autoscale::testing {

class Cloud final : public Provider {
 public:
  std::map<std::string, std::pair<std::string, Machine>> machines;  ///< by name: the group, and the machine
  std::map<std::string, int> calls;
  std::function<Result<void>(std::string_view command)> before_call;

  Task<Result<std::vector<Machine>>> list(const NodeGroup& group) override {
    CO_TRY(co_await arrive("list"));
    std::vector<Machine> out;
    for (const auto& [name, entry] : machines)
      if (entry.first == group.name) out.push_back(entry.second);
    co_return out;
  }
  Task<Result<void>> create(const NodeGroup& group, std::string name, std::string) override {
    const std::string of = group.name;
    CO_TRY(co_await arrive("create"));
    machines[name] = {of, {.name = name}};
    co_return {};
  }
  Task<Result<void>> remove(const NodeGroup&, std::string name) override {
    CO_TRY(co_await arrive("remove"));
    machines.erase(name);
    co_return {};
  }

 private:
  Task<Result<void>> arrive(std::string command) {
    co_await yield_now();
    ++calls[command];
    if (before_call) co_return before_call(command);
    co_return {};
  }
};

}  // namespace estiba::autoscale::testing
