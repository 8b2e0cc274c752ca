// For tests: a bundle with busybox in a directory of its own, in mount and network namespaces of the test program.
#pragma once
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "model/json.h"
#include "os/cgroup.h"
#include "os/file.h"
#include "os/mount.h"
#include "os/namespace.h"

namespace estiba::runtime {

/// Enters namespaces of the test program's own, once, so that nothing is left on the host whatever fails.
inline void isolate_test() {
  static bool done = [] {
    EXPECT_TRUE(os::unshare(CLONE_NEWNS | CLONE_NEWNET));
    EXPECT_TRUE(os::mount("none", "/", "", MS_REC | MS_PRIVATE));
    EXPECT_TRUE(os::mount("tmpfs", "/run", "tmpfs", 0, "mode=755"));
    return true;
  }();
  (void)done;
}

class TestBundle {
 public:
  TestBundle() {
    isolate_test();
    char name[] = "/tmp/estiba-runtime-test-XXXXXX";
    dir = mkdtemp(name);
    std::string bin = dir + "/rootfs/bin";
    EXPECT_TRUE(os::make_dirs(bin));
    EXPECT_TRUE(os::make_dirs(dir + "/rootfs/etc"));
    EXPECT_TRUE(os::write_file(dir + "/rootfs/etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n", O_CREAT));
    std::string busybox = os::read_file("/bin/busybox").value_or("");
    EXPECT_TRUE(os::write_file(bin + "/busybox", busybox, O_CREAT, 0755));
    for (const char* applet : {"sh", "true", "false", "echo", "cat", "sleep", "id", "ls", "mount", "hostname", "env", "pwd", "kill", "seq", "stty", "dd", "ps", "touch", "grep", "mkdir", "stat", "test", "tail", "head", "yes", "ip", "wc", "date"}) {
      EXPECT_TRUE(os::make_symlink("busybox", bin + "/" + applet));
    }
    group = "/estiba-test/" + dir.substr(dir.rfind('-') + 1);
    (void)json::Document::parse(config);
  }
  ~TestBundle() {
    if (auto g = os::Cgroup::at(group); g && g->exists()) {
      EXPECT_TRUE(g->kill_all());
      EXPECT_TRUE(g->remove());
    }
    if (auto parent = os::Cgroup::at("/estiba-test")) parent->remove_if_empty();
    auto removed = os::remove_all(dir);
    EXPECT_TRUE(removed) << removed.error().message;
  }

  /// Writes config.json: the program, and members that replace those of `process`, `linux` or the top level ("linux.x").
  void configure(const std::vector<std::string>& args, const std::vector<std::pair<std::string, std::string>>& changes = {}) {
    auto document = json::Document::parse(config);
    ASSERT_TRUE(document) << document.error().message;
    json::Node& root = document->root();
    json::Node& list = document->make_array();
    for (const std::string& arg : args) document->append(list, document->make_string(arg));
    document->set(*root.find("process"), "args", list);
    document->set(*root.find("linux"), "cgroupsPath", group + "/c");
    for (const auto& [path, text] : changes) {
      auto value = json::Document::parse(text);
      ASSERT_TRUE(value) << path;
      size_t dot = path.find('.');
      json::Node& object = dot == std::string::npos ? root : *root.find(path.substr(0, dot));
      document->set(object, dot == std::string::npos ? path : path.substr(dot + 1), document->copy(value->root()));
    }
    ASSERT_TRUE(os::write_file(dir + "/config.json", json::print(root), O_CREAT | O_TRUNC));
  }

  std::string dir, group;

 private:
  static constexpr const char* config = R"({
    "ociVersion": "1.2.0",
    "process": {"user": {"uid": 0, "gid": 0}, "args": ["true"], "cwd": "/", "env": ["PATH=/bin"],
      "capabilities": {"bounding": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL", "CAP_CHOWN"]}},
    "root": {"path": "rootfs", "readonly": false},
    "mounts": [
      {"destination": "/proc", "type": "proc", "source": "proc"},
      {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
      {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
      {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}],
    "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "cgroup"}]}
  })";
};

}  // namespace estiba::runtime
