// An engine without any process or image, for tests of what stands on it.
#pragma once
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace estiba::node {

using engine::ContainerState;

// Sandboxes and containers as the engine would tell of them, without any process.
struct FakeEngine final : engine::Engine {
  std::optional<engine::SandboxStatus> pod;
  int pulls = 0, created = 0, started = 0;
  std::function<void()> while_making_sandbox;
  bool images_at_once = false;  ///< asking for an image does not suspend

  engine::ContainerStatus* find(std::string_view id) {
    if (pod)
      for (auto& c : pod->containers)
        if (c.id == id) return &c;
    return nullptr;
  }
  engine::ContainerStatus& add(const std::string& name, uint32_t attempt, ContainerState state, int exit_code = 0) {
    engine::ContainerStatus& c = pod->containers.emplace_back();
    c.id = name + "-" + std::to_string(attempt);
    c.name = name;
    c.attempt = attempt;
    c.state = state;
    c.exit_code = exit_code;
    c.image = "img";
    return c;
  }
  void have_sandbox(const std::string& uid) {
    pod.emplace();
    pod->uid = uid;
    pod->ready = true;
  }

  Task<Result<void>> run_sandbox(engine::SandboxSpec spec) override {
    if (while_making_sandbox) while_making_sandbox();
    have_sandbox(spec.uid);
    co_return {};
  }
  Task<Result<void>> stop_sandbox(std::string, Duration) override {
    if (pod) pod->ready = false;
    co_return {};
  }
  Task<Result<void>> remove_sandbox(std::string) override {
    pod.reset();
    co_return {};
  }
  std::optional<engine::SandboxStatus> sandbox(std::string_view) const override { return pod; }
  std::vector<engine::SandboxStatus> sandboxes() const override { return {}; }
  Task<Result<std::string>> create_container(std::string, engine::ContainerSpec spec) override {
    ++created;
    co_return add(spec.name, spec.attempt, ContainerState::created).id;
  }
  Task<Result<void>> start_container(std::string id) override {
    ++started;
    find(id)->state = ContainerState::running;
    co_return {};
  }
  Task<Result<void>> stop_container(std::string id, Duration) override {
    if (auto* c = find(id); c && c->state == ContainerState::running) c->state = ContainerState::exited, c->exit_code = 137;
    co_return {};
  }
  Task<Result<void>> remove_container(std::string id) override {
    if (pod) std::erase_if(pod->containers, [&](const auto& c) { return c.id == id; });
    co_return {};
  }
  std::optional<engine::ContainerStatus> container(std::string_view id) const override {
    auto* found = const_cast<FakeEngine*>(this)->find(id);
    return found ? std::optional(*found) : std::nullopt;
  }
  Task<Result<engine::ContainerStatus>> run(engine::SandboxSpec, engine::ContainerSpec) override { co_return engine::ContainerStatus{}; }
  Task<Result<engine::ContainerStatus>> wait(std::string) override { co_return engine::ContainerStatus{}; }
  Task<Result<engine::ContainerStats>> stats(std::string, bool) override { co_return engine::ContainerStats{}; }
  Task<Result<void>> kill(std::string, int, bool) override { co_return {}; }
  Task<Result<void>> pause(std::string) override { co_return {}; }
  Task<Result<void>> unpause(std::string) override { co_return {}; }
  Task<Result<void>> update(std::string, engine::Resources) override { co_return {}; }
  Task<Result<void>> resize(std::string, uint16_t, uint16_t) override { co_return {}; }
  Task<Result<std::vector<int>>> top(std::string) override { co_return std::vector<int>{}; }
  Task<Result<void>> make_root(std::string, std::string, bool) override { co_return {}; }
  Task<Result<std::string>> mount_root(std::string) override { co_return std::string(); }
  Task<Result<void>> unmount_root(std::string) override { co_return {}; }
  Task<Result<void>> remove_root(std::string, bool) override { co_return {}; }
  std::string upper_dir(std::string_view) const override { return {}; }
  std::string shm_dir(std::string_view) const override { return {}; }
  Task<Result<void>> reopen_log(std::string) override { co_return {}; }
  Task<Result<std::unique_ptr<engine::Session>>> exec(std::string, engine::ExecSpec) override { co_return nullptr; }
  Task<Result<engine::ExecOutput>> exec_sync(std::string, std::vector<std::string>, Duration) override { co_return engine::ExecOutput{}; }
  Task<Result<std::unique_ptr<engine::Session>>> attach(std::string, bool) override { co_return nullptr; }
  Task<Result<Fd>> dial(std::string, uint16_t) override { co_return Fd(); }
  Task<Result<void>> recover() override { co_return {}; }
  void on_event(UniqueFunction<void(const engine::Event&)>) override {}
  Task<Result<engine::ImageInfo>> ensure_image(std::string, engine::PullPolicy, std::vector<engine::Credentials>) override {
    ++pulls;
    co_await yield_now();
    co_return engine::ImageInfo{.id = "sha256:1"};
  }
  Task<Result<std::optional<engine::ImageInfo>>> image_status(std::string) override {
    if (!images_at_once) co_await yield_now();
    co_return engine::ImageInfo{.id = "sha256:1"};
  }
  Task<Result<std::vector<engine::ImageInfo>>> images() override { co_return std::vector<engine::ImageInfo>{}; }
  Task<Result<void>> remove_image(std::string) override { co_return {}; }
};

}  // namespace estiba::node
