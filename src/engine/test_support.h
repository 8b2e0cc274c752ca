// For this layer's tests: an engine in mount and network namespaces of the test's own, with a small image, whose shim is this
// very program.
#pragma once
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "engine/engine.h"
#include "image/archive.h"
#include "image/test_support.h"
#include "io/loop.h"
#include "io/pool.h"

namespace estiba::engine {

using namespace std::chrono_literals;

#define CO_ASSERT_OK(value)                                             \
  if (auto&& co_assert_value = (value); !co_assert_value) {             \
    ADD_FAILURE() << #value << ": " << co_assert_value.error().message; \
    co_return;                                                          \
  }
#define CO_ASSERT(condition)                  \
  if (!(condition)) {                         \
    ADD_FAILURE() << #condition << " is not"; \
    co_return;                                \
  }

/// The rootfs of an image with Debian's static busybox.
inline std::string busybox_tar() {
  std::string program = os::read_file("/bin/busybox").value_or("");
  EXPECT_FALSE(program.empty()) << "the package busybox-static is missing";
  image::TarText tar;
  tar.directory("tmp", 01777).directory("proc").directory("sys").directory("dev").file("bin/busybox", program, 0755);
  for (const char* name : {"sh",    "sleep", "echo", "cat",  "id", "env",   "hostname", "pwd",  "kill", "true",
                           "false", "ls",    "nc",   "head", "dd", "touch", "mount",    "grep", "wc",   "stty"})
    tar.symlink(std::string("bin/") + name, "busybox");
  tar.file("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n")
      .file("etc/group", "root:x:0:\napp:x:1001:\nextra:x:2000:app\n");
  tar.file("etc/resolv.conf", "# of the image\n").file("bin/text", "not a program\n", 0644);
  return tar.text();
}

class Bed {
 public:
  Bed() {
    static const bool moved = [] {
      EXPECT_EQ(::unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
      EXPECT_EQ(::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
      return true;
    }();
    (void)moved;
    options.data_dir = dir / "data";
    options.run_dir = dir / "run";
    options.oci_program = "/proc/self/exe";
    auto store = image::Store::open(options.data_dir);
    EXPECT_TRUE(store);
    EXPECT_TRUE(os::write_file(dir / "rootfs.tar", busybox_tar(), O_CREAT));
    auto imported =
        image::import_image(**store, dir / "rootfs.tar", {.name = "box:1", .env = {"FROM=image"}, .cmd = {"sh", "-c", "echo default"}});
    EXPECT_TRUE(imported) << imported.error().message;
  }

  /// Runs the test on a loop with an engine, then removes all sandboxes and looks for what is left.
  void run(Task<void> (*test)(Bed&)) {
    loop = std::make_unique<io::Loop>();
    loop->block_on(whole(this, test));
    engine.reset();
    loop.reset();
    std::string mounts = os::read_file("/proc/self/mounts").value_or("");
    EXPECT_EQ(mounts.find(dir.path()), std::string::npos) << mounts;
    EXPECT_EQ(os::list_dir(dir / "run/pods").value_or(std::vector<os::DirEntry>()).size(), 0u);
    EXPECT_EQ(os::list_dir(dir / "data/containers").value_or(std::vector<os::DirEntry>()).size(), 0u);
    for (const auto& entry : os::list_dir("/sys/fs/cgroup/memory").value_or(std::vector<os::DirEntry>()))
      EXPECT_FALSE(entry.name.starts_with(group().substr(1))) << entry.name;
  }

  void start_engine() {
    auto made = make_engine(options, *loop, pool);
    EXPECT_TRUE(made);
    engine = std::move(*made);
    engine->on_event([this](const Event& event) {
      events.push_back(event);
      changed.set();
    });
  }

  std::string group() const { return "/estiba-test-" + std::to_string(::getpid()); }
  SandboxSpec sandbox(std::string uid = "u1") const {
    SandboxSpec spec;
    spec.uid = uid;
    spec.name = "web";
    spec.ns = "default";
    spec.hostname = "web-0";
    spec.cgroup_parent = group() + "-" + uid;
    spec.log_dir = dir / "logs/" + uid;
    spec.resolv_conf = "nameserver 10.43.0.10\n";
    spec.hosts = "10.42.0.2 web-0\n";
    return spec;
  }
  static ContainerSpec shell(std::string script, std::string name = "main") {
    ContainerSpec spec;
    spec.name = name;
    spec.image = "box:1";
    spec.command = {"sh", "-c", std::move(script)};
    spec.log_path = name + "/0.log";
    return spec;
  }

  /// Creates and starts; the id, or "" after a failure was noted.
  Task<std::string> started(ContainerSpec spec, std::string uid = "u1") {
    auto id = co_await engine->create_container(uid, std::move(spec));
    EXPECT_TRUE(id) << id.error().message;
    if (!id) co_return "";
    auto started = co_await engine->start_container(*id);
    EXPECT_TRUE(started) << started.error().message;
    co_return started ? *id : "";
  }
  /// Waits until `path` is there no more.
  Task<void> until_gone(std::string path) {
    for (int i = 0; os::exists(path); ++i) {
      CO_ASSERT(i < 5000);
      co_await sleep_for(2ms);
    }
  }
  Task<ContainerStatus> ended(std::string id) {
    while (engine->container(id) && engine->container(id)->state != ContainerState::exited) {
      changed.reset();
      if (!co_await changed.wait_for(10s)) {
        ADD_FAILURE() << "container " << id << " does not end";
        break;
      }
    }
    co_return engine->container(id).value_or(ContainerStatus{});
  }
  /// The text of the log without CRI's time, stream and tag.
  std::string logged(std::string name = "main", std::string uid = "u1") const {
    std::string out;
    const std::string text = os::read_file(dir / "logs/" + uid + "/" + name + "/0.log").value_or("");
    for (std::string_view line : split(text, '\n')) {
      auto fields = split(line, ' ');
      if (fields.size() > 3) out.append(line.substr(fields[0].size() + fields[1].size() + fields[2].size() + 3)).append("\n");
    }
    return out;
  }
  size_t count(Event::Type type) const {
    return size_t(std::count_if(events.begin(), events.end(), [&](const Event& e) { return e.type == type; }));
  }

  image::TemporaryDirectory dir;
  Options options;
  std::unique_ptr<io::Loop> loop;
  io::Pool pool{4};
  std::unique_ptr<Engine> engine;
  std::vector<Event> events;
  estiba::Event changed;

 private:
  static Task<void> whole(Bed* bed, Task<void> (*test)(Bed&)) {
    bed->start_engine();
    auto recovered = co_await bed->engine->recover();
    EXPECT_TRUE(recovered) << recovered.error().message;
    co_await test(*bed);
    for (const auto& pod : bed->engine->sandboxes()) {
      auto removed = co_await bed->engine->remove_sandbox(pod.uid);
      EXPECT_TRUE(removed) << removed.error().message;
    }
  }
};

}  // namespace estiba::engine
