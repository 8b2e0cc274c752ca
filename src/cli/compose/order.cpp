#include "cli/compose/order.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace estiba::cli::compose {
namespace {

constexpr size_t most_threads = 32;

using Step = std::function<Result<void>(Context&, const std::string&)>;

class Crew {
 public:
  Crew(Schedule schedule, const Step& step) : schedule_(std::move(schedule)), step_(step) {}

  void work(Context context) {
    std::unique_lock lock(mutex_);
    for (;;) {
      std::string service;
      changed_.wait(lock, [&] { return error_ || schedule_.empty() || !(service = schedule_.take()).empty(); });
      if (service.empty()) return;
      lock.unlock();
      auto did = step_(context, service);
      lock.lock();
      if (!did && !error_) error_ = std::move(did.error());
      schedule_.done(service);
      changed_.notify_all();
    }
  }

  Result<void> outcome() {
    if (error_) return std::unexpected(std::move(*error_));
    return {};
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Schedule schedule_;           // guarded by mutex_
  std::optional<Error> error_;  // guarded by mutex_
  const Step& step_;
};

}  // namespace

Schedule::Schedule(const Project& project, const std::vector<std::string>& services, Direction direction) : waiting_(services) {
  auto meant = [&](std::string_view name) { return std::find(services.begin(), services.end(), name) != services.end(); };
  for (const auto& name : services) {
    const json::Node* service = project.service(name);
    const json::Node* depends = service ? service->find("depends_on") : nullptr;
    if (!depends) continue;
    for (const json::Node& each : *depends) {
      const std::string other(each.key());
      if (!meant(other)) continue;
      if (direction == Direction::forward) before_[name].insert(other);
      else before_[other].insert(name);
    }
  }
}

std::string Schedule::take() {
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
    if (auto before = before_.find(*it); before != before_.end() && !before->second.empty()) continue;
    std::string out = std::move(*it);
    waiting_.erase(it);
    return out;
  }
  return {};
}

void Schedule::done(const std::string& service) {
  for (auto& [name, before] : before_) before.erase(service);
}

Result<void> in_order(Context& context, const Project& project, const std::vector<std::string>& services, Direction direction,
                      const Step& step) {
  Crew crew(Schedule(project, services, direction), step);
  const size_t limit = context.parallel > 0 ? std::min(size_t(context.parallel), most_threads) : most_threads;
  const size_t count = std::min(services.size(), limit);
  if (count < 2) {
    crew.work(context);
    return crew.outcome();
  }
  std::vector<std::unique_ptr<docker::Client>> clients;
  for (size_t i = 0; i < count; ++i) clients.push_back(TRY(context.call.cli.connect()));
  std::vector<std::thread> threads;
  for (auto& client : clients) {
    Context own = context;
    own.connection = client.get();
    threads.emplace_back([&crew, own = std::move(own)] { crew.work(own); });
  }
  for (auto& thread : threads) thread.join();
  return crew.outcome();
}

}  // namespace estiba::cli::compose
