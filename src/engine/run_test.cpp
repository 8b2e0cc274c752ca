// Containers run in one go, kept roots, attachments before the start, and what Docker asks of a container beyond Kubernetes.
#include <gtest/gtest.h>
#include <unistd.h>

#include "engine/test_support.h"

namespace estiba::engine {
namespace {

SandboxSpec docker_sandbox(const Bed& bed, const std::string& id) {
  SandboxSpec spec;
  spec.uid = id;
  spec.owner = "docker";
  spec.hostname = "box-0";
  spec.shm_bytes = 0;
  spec.log_dir = bed.dir / "logs/" + id;
  return spec;
}

ContainerSpec docker_container(const Bed& bed, const std::string& id, std::string script) {
  ContainerSpec spec = Bed::shell(std::move(script));
  spec.id = id;
  spec.cgroup = bed.group() + "-" + id;
  spec.env_is_whole = true;
  return spec;
}

/// Everything that comes from `fd` until its end.
Task<std::string> text_of(Bed* bed, Fd fd) {
  std::string out;
  char buffer[65536];
  for (;;) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n > 0) {
      out.append(buffer, size_t(n));
    } else if (n < 0 && errno == EAGAIN) {
      co_await bed->loop->readable(fd.get());
    } else if (n == 0 || errno != EINTR) {
      co_return out;
    }
  }
}

TEST(Run, AContainerRunsInOneGoOnARootThatStays) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->make_root("c1", "box:1"));
    auto twice = co_await bed.engine->make_root("c1", "box:1");
    CO_ASSERT(!twice);
    EXPECT_EQ(twice.error().code, Code::already_exists);
    for (int round = 1; round <= 2; ++round) {
      auto spec = docker_container(bed, "c1", "echo round >> /rounds; cat /rounds; hostname; exit 4");
      spec.keep_root = true;
      auto ran = co_await bed.engine->run(docker_sandbox(bed, "c1"), spec);
      CO_ASSERT_OK(ran);
      auto end = co_await bed.engine->wait("c1");
      CO_ASSERT_OK(end);
      EXPECT_EQ(end->exit_code, 4);
      CO_ASSERT_OK(co_await bed.engine->remove_sandbox("c1"));
      EXPECT_FALSE(bed.engine->container("c1"));
      EXPECT_TRUE(os::exists(bed.engine->upper_dir("c1") + "/rounds"));
      co_await bed.until_gone(bed.dir / "data/containers/c1/rootfs/bin");
    }
    EXPECT_EQ(bed.logged("main", "c1"), "round\nbox-0\nround\nround\nbox-0\n");
    EXPECT_EQ(bed.count(Event::Type::container_started), 2u);
    EXPECT_EQ(bed.count(Event::Type::container_exited), 2u);
    auto root = co_await bed.engine->mount_root("c1");
    CO_ASSERT_OK(root);
    EXPECT_TRUE(os::exists(*root + "/bin/busybox"));
    auto again = co_await bed.engine->mount_root("c1");
    CO_ASSERT_OK(again);
    CO_ASSERT_OK(co_await bed.engine->unmount_root("c1"));
    EXPECT_TRUE(os::exists(*root + "/bin/busybox"));
    EXPECT_EQ((co_await bed.engine->remove_root("c1")).error().code, Code::conflict);
    CO_ASSERT_OK(co_await bed.engine->unmount_root("c1"));
    co_await bed.until_gone(*root + "/bin/busybox");
    CO_ASSERT_OK(co_await bed.engine->remove_root("c1"));
    CO_ASSERT_OK(co_await bed.engine->remove_root("c1"));
    EXPECT_EQ((co_await bed.engine->mount_root("c1")).error().code, Code::not_found);
  });
}

TEST(Run, KeptRootsOutliveTheEngineAndReboots) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->make_root("c1", "box:1"));
    CO_ASSERT_OK(co_await bed.engine->make_root("c2", "box:1"));
    auto spec = docker_container(bed, "c1", "echo here > /mark; exec sleep 1000");
    spec.keep_root = true;
    CO_ASSERT_OK(co_await bed.engine->run(docker_sandbox(bed, "c1"), spec));
    for (int i = 0; i < 5000 && !os::exists(bed.engine->upper_dir("c1") + "/mark"); ++i) co_await sleep_for(5ms);
    // An engine that was killed leaves its mounts.
    auto left = co_await bed.engine->mount_root("c2");
    CO_ASSERT_OK(left);
    bed.engine.reset();
    bed.start_engine();
    CO_ASSERT_OK(co_await bed.engine->recover());
    CO_ASSERT_OK(co_await bed.engine->recover());
    EXPECT_FALSE(os::exists(*left + "/bin"));
    auto pod = bed.engine->sandbox("c1");
    CO_ASSERT(pod);
    EXPECT_EQ(pod->owner, "docker");
    EXPECT_TRUE(os::exists(bed.dir / "data/containers/c1/rootfs/bin"));
    EXPECT_EQ((co_await bed.engine->remove_root("c1")).error().code, Code::conflict);
    CO_ASSERT_OK(co_await bed.engine->stop_container("c1", 0s));
    CO_ASSERT_OK(co_await bed.engine->remove_sandbox("c1"));
    EXPECT_TRUE(os::exists(bed.engine->upper_dir("c1") + "/mark"));
    co_await bed.until_gone(bed.dir / "data/containers/c1/rootfs/bin");
    CO_ASSERT_OK(co_await bed.engine->remove_root("c1"));
    CO_ASSERT_OK(co_await bed.engine->remove_root("c2"));
  });
}

TEST(Run, WhatFailsLeavesNothing) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->make_root("c1", "box:1"));
    auto spec = docker_container(bed, "c1", "");
    spec.keep_root = true;
    spec.command = {"no-such-program"};
    auto missing = co_await bed.engine->run(docker_sandbox(bed, "c1"), spec);
    CO_ASSERT(!missing);
    EXPECT_EQ(missing.error().code, Code::not_found);
    EXPECT_EQ(reason_of(missing.error()), "RunContainerError");
    EXPECT_FALSE(bed.engine->sandbox("c1"));
    co_await bed.until_gone(bed.dir / "data/containers/c1/rootfs/bin");
    spec.command = {"true"};
    spec.mounts = {{"/no/such/directory", "/x"}};
    auto config = co_await bed.engine->run(docker_sandbox(bed, "c1"), spec);
    CO_ASSERT(!config);
    EXPECT_EQ(reason_of(config.error()), "CreateContainerConfigError");
    co_await bed.until_gone(bed.dir / "data/containers/c1/rootfs/bin");
    auto without = docker_container(bed, "c9", "true");
    without.keep_root = true;
    EXPECT_EQ((co_await bed.engine->run(docker_sandbox(bed, "c9"), without)).error().code, Code::not_found);
    CO_ASSERT_OK(co_await bed.engine->remove_root("c1"));
    EXPECT_EQ(bed.count(Event::Type::container_started), 0u);
  });
}

TEST(Run, WhoIsAttachedBeforeTheStartMissesNothing) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->make_root("c1", "box:1"));
    EXPECT_FALSE(co_await bed.engine->attach("unknown", false));
    auto first = co_await bed.engine->attach("c1", true);
    CO_ASSERT_OK(first);
    auto second = co_await bed.engine->attach("c1", false);
    CO_ASSERT_OK(second);
    EXPECT_EQ((*first)->pid(), 0);
    Fd in = (*first)->take_input();
    CO_ASSERT(in);
    EXPECT_EQ(::write(in.get(), "early\n", 6), 6);
    auto spec = docker_container(bed, "c1", "echo begin; echo oops >&2; cat; echo end; exit 6");
    spec.keep_root = spec.stdin_open = spec.stdin_once = true;
    CO_ASSERT_OK(co_await bed.engine->run(docker_sandbox(bed, "c1"), spec));
    in.reset();
    EXPECT_EQ(co_await text_of(&bed, (*first)->take_output()), "begin\nearly\nend\n");
    EXPECT_EQ(co_await text_of(&bed, (*first)->take_error()), "oops\n");
    EXPECT_EQ(co_await text_of(&bed, (*second)->take_output()), "begin\nearly\nend\n");
    EXPECT_EQ((co_await (*first)->wait()).value_or(-1), 6);
    EXPECT_EQ((co_await (*second)->wait()).value_or(-1), 6);
    CO_ASSERT_OK(co_await bed.engine->remove_sandbox("c1"));
    // One who waits for a container that never runs is told.
    auto never = co_await bed.engine->attach("c1", true);
    CO_ASSERT_OK(never);
    CO_ASSERT_OK(co_await bed.engine->remove_root("c1"));
    EXPECT_FALSE(co_await (*never)->wait());
    EXPECT_EQ(co_await text_of(&bed, (*never)->take_output()), "");
  });
}

TEST(Run, ASlowReaderGetsAll) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->make_root("c1", "box:1"));
    auto session = co_await bed.engine->attach("c1", false);
    CO_ASSERT_OK(session);
    auto spec = docker_container(bed, "c1", "dd if=/dev/zero bs=1M count=8 2>/dev/null; echo end >&2");
    spec.keep_root = true;
    spec.log_path.clear();
    CO_ASSERT_OK(co_await bed.engine->run(docker_sandbox(bed, "c1"), spec));
    // It stands still until it is read: the end of it comes only then.
    std::string text = co_await text_of(&bed, (*session)->take_output());
    EXPECT_EQ(text.size(), size_t(8) << 20);
    EXPECT_EQ(co_await text_of(&bed, (*session)->take_error()), "end\n");
    EXPECT_EQ((co_await (*session)->wait()).value_or(-1), 0);
    CO_ASSERT_OK(co_await bed.engine->remove_sandbox("c1"));
    CO_ASSERT_OK(co_await bed.engine->remove_root("c1"));
  });
}

TEST(Run, ATerminalIsAttachedBeforeTheStart) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->make_root("c1", "box:1"));
    auto session = co_await bed.engine->attach("c1", true);
    CO_ASSERT_OK(session);
    Fd in = (*session)->take_input(), out = (*session)->take_output();
    auto spec = docker_container(bed, "c1", "read line; echo got $line; read size; stty size; exit 3");
    spec.keep_root = spec.stdin_open = spec.stdin_once = spec.tty = true;
    CO_ASSERT_OK(co_await bed.engine->run(docker_sandbox(bed, "c1"), spec));
    EXPECT_EQ(::write(in.get(), "typed\n", 6), 6);
    CO_ASSERT_OK(co_await (*session)->resize(91, 27));
    EXPECT_EQ(::write(in.get(), "\n", 1), 1);
    std::string text = co_await text_of(&bed, std::move(out));
    EXPECT_NE(text.find("got typed"), std::string::npos) << text;
    EXPECT_NE(text.find("27 91"), std::string::npos) << text;
    EXPECT_EQ((co_await (*session)->wait()).value_or(-1), 3);
    CO_ASSERT_OK(co_await bed.engine->remove_sandbox("c1"));
    CO_ASSERT_OK(co_await bed.engine->remove_root("c1"));
  });
}

TEST(Run, LastWordsOnATerminalAreNotLost) {
  Bed().run([](Bed& bed) -> Task<void> {
    for (int round = 0; round < 12; ++round) {
      const std::string id = "c" + std::to_string(round);
      auto spec = docker_container(bed, id, "exec echo last words");
      spec.tty = true;
      CO_ASSERT_OK(co_await bed.engine->run(docker_sandbox(bed, id), spec));
      CO_ASSERT_OK(co_await bed.engine->wait(id));
      EXPECT_EQ(bed.logged("main", id), "last words\r\n") << round;
      CO_ASSERT_OK(co_await bed.engine->remove_sandbox(id));
    }
  });
}

TEST(Run, ContainersArePausedChangedAndLookedInto) {
  Bed().run([](Bed& bed) -> Task<void> {
    auto spec = docker_container(bed, "c1", "sleep 1000 & exec sleep 1000");
    spec.resources.memory_bytes = 64 << 20;
    CO_ASSERT_OK(co_await bed.engine->run(docker_sandbox(bed, "c1"), spec));
    std::vector<int> pids;
    for (int i = 0; i < 5000 && pids.size() < 2; ++i) {
      auto top = co_await bed.engine->top("c1");
      CO_ASSERT_OK(top);
      pids = *top;
      co_await sleep_for(5ms);
    }
    EXPECT_EQ(pids.size(), 2u);
    CO_ASSERT_OK(co_await bed.engine->pause("c1"));
    EXPECT_TRUE(bed.engine->container("c1")->paused);
    EXPECT_EQ((co_await bed.engine->pause("c1")).error().code, Code::conflict);
    CO_ASSERT_OK(co_await bed.engine->unpause("c1"));
    EXPECT_EQ((co_await bed.engine->unpause("c1")).error().code, Code::conflict);
    EXPECT_FALSE(bed.engine->container("c1")->paused);
    CO_ASSERT_OK(co_await bed.engine->update("c1", {.memory_bytes = 128 << 20}));
    auto stats = co_await bed.engine->stats("c1", false);
    CO_ASSERT_OK(stats);
    EXPECT_EQ(stats->memory_limit_bytes, uint64_t(128) << 20);
    EXPECT_EQ(stats->pids, 2u);
    EXPECT_FALSE(stats->memory_stat.empty());
    EXPECT_EQ((co_await bed.engine->resize("c1", 80, 24)).error().code, Code::invalid);
    CO_ASSERT_OK(co_await bed.engine->kill("c1", 9, true));
    auto end = co_await bed.engine->wait("c1");
    CO_ASSERT_OK(end);
    EXPECT_EQ(end->exit_code, 137);
  });
}

TEST(Run, DockersSettingsReachTheProcess) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(os::make_dirs(bed.dir / "files"));
    CO_ASSERT_OK(os::write_file(bed.dir / "files/hosts", "10.1.1.1 me\n", O_CREAT, 0644));
    auto spec =
        docker_container(bed, "c1",
                         "ulimit -n; ulimit -Hn; echo $FROM,$A; mount | grep ' /scratch '; mount | grep ' /dev/shm '; cat /etc/hosts; "
                         "echo more >> /etc/hosts; grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp 2>&1 || true; echo done");
    spec.env = {{"A", "1"}};
    spec.ulimits = {{"nofile", 100, 200}};
    spec.tmpfs = {{"/scratch", 4 << 20, 0700, {"exec"}}};
    spec.shm_bytes = 1 << 20;
    spec.files_dir = bed.dir / "files";
    spec.seccomp = ContainerSpec::Seccomp::profile;
    spec.seccomp_profile =
        R"({"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
      "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 42, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
                   {"name": "getpid", "action": "SCMP_ACT_KILL", "includes": {"caps": ["CAP_SYS_BOOT"]}}]})";
    spec.capabilities_drop = {"ALL"};
    spec.masked_paths.emplace();
    spec.resources.device_rules = {"c 10:200 rwm"};
    auto ran = co_await bed.engine->run(docker_sandbox(bed, "c1"), spec);
    CO_ASSERT_OK(ran);
    auto end = co_await bed.engine->wait("c1");
    CO_ASSERT_OK(end);
    const std::string log = bed.logged("main", "c1");
    EXPECT_EQ(end->exit_code, 0) << log;
    EXPECT_TRUE(log.starts_with("100\n200\n,1\n")) << log;
    EXPECT_NE(log.find("size=4096k,mode=700"), std::string::npos) << log;
    EXPECT_NE(log.find("size=1024k"), std::string::npos) << log;
    EXPECT_NE(log.find("10.1.1.1 me\n"), std::string::npos) << log;
    EXPECT_NE(log.find("Seccomp:\t2"), std::string::npos) << log;
    EXPECT_NE(log.find("No message of desired type"), std::string::npos) << log;  // errno 42
    EXPECT_TRUE(log.ends_with("done\n")) << log;
    EXPECT_EQ(os::read_file(bed.dir / "files/hosts").value_or(""), "10.1.1.1 me\nmore\n");
    auto bad = docker_container(bed, "c2", "true");
    bad.seccomp = ContainerSpec::Seccomp::profile;
    bad.seccomp_profile = "[]";
    auto refused = co_await bed.engine->run(docker_sandbox(bed, "c2"), bad);
    CO_ASSERT(!refused);
    EXPECT_NE(refused.error().message.find("Decoding seccomp profile failed"), std::string::npos) << refused.error().message;
    bad = docker_container(bed, "c3", "true");
    bad.resources.device_rules = {"x 1:1 r"};
    EXPECT_NE((co_await bed.engine->run(docker_sandbox(bed, "c3"), bad)).error().message.find("invalid device cgroup rule format"),
              std::string::npos);
  });
}

TEST(Run, NamespacesOfAnotherContainerAreJoined) {
  Bed().run([](Bed& bed) -> Task<void> {
    auto first = co_await bed.engine->run(docker_sandbox(bed, "c1"), docker_container(bed, "c1", "exec sleep 1234"));
    CO_ASSERT_OK(first);
    const std::string ns = "/proc/" + std::to_string(first->pid) + "/ns/";
    auto spec = docker_container(bed, "c2", "hostname; while grep -q sh /proc/1/cmdline; do sleep 0.01; done; cat /proc/1/cmdline");
    spec.join = {.ipc = ns + "ipc", .pid = ns + "pid", .uts = ns + "uts"};
    auto sandbox = docker_sandbox(bed, "c2");
    sandbox.hostname.clear();
    CO_ASSERT_OK(co_await bed.engine->run(sandbox, spec));
    auto end = co_await bed.engine->wait("c2");
    CO_ASSERT_OK(end);
    EXPECT_EQ(bed.logged("main", "c2"), std::string("box-0\nsleep\0001234\0", 17) + "\n") << bed.logged("main", "c2");
  });
}

TEST(Run, ExecAsAnotherUser) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->run(docker_sandbox(bed, "c1"), docker_container(bed, "c1", "exec sleep 1000")));
    auto session = co_await bed.engine->exec("c1", {.command = {"sh", "-c", "id; echo $HOME; pwd"}, .user = "app", .working_dir = "/tmp"});
    CO_ASSERT_OK(session);
    EXPECT_GT((*session)->pid(), 1);
    EXPECT_EQ(co_await text_of(&bed, (*session)->take_output()),
              "uid=1000(app) gid=1001(app) groups=1001(app),2000(extra)\n/home/app\n/tmp\n");
    EXPECT_EQ((co_await (*session)->wait()).value_or(-1), 0);
    auto all = co_await bed.engine->exec("c1", {.command = {"grep", "CapEff", "/proc/self/status"}, .privileged = true});
    CO_ASSERT_OK(all);
    auto few = co_await bed.engine->exec("c1", {.command = {"grep", "CapEff", "/proc/self/status"}});
    CO_ASSERT_OK(few);
    EXPECT_NE(co_await text_of(&bed, (*all)->take_output()), co_await text_of(&bed, (*few)->take_output()));
    EXPECT_FALSE(co_await bed.engine->exec("c1", {.command = {"true"}, .user = "nobody-here"}));
  });
}

TEST(Run, LayersGivenByTheCaller) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->make_root("base", "box:1"));
    auto base = co_await bed.engine->mount_root("base");
    CO_ASSERT_OK(base);
    CO_ASSERT_OK(os::make_dirs(bed.dir / "layer/bin"));
    CO_ASSERT_OK(os::write_file(bed.dir / "layer/bin/busybox", os::read_file("/bin/busybox").value_or(""), O_CREAT, 0755));
    CO_ASSERT_OK(os::make_symlink("busybox", bed.dir / "layer/bin/sh"));
    const std::string upper = bed.dir / "data/uppers/1";
    TaskGroup all;
    for (int i = 0; i < 3; ++i) {
      all.start([](Bed* bed, std::string upper, int i) -> Task<void> {
        const std::string id = "b" + std::to_string(i);
        auto spec = docker_container(*bed, id, "echo $PATH > /made" + std::to_string(i));
        spec.image.clear();
        spec.layers = {bed->dir / "layer"};
        if (i == 0) spec.upper_dir = upper;
        auto sandbox = docker_sandbox(*bed, id);
        sandbox.owner = "build";
        CO_ASSERT_OK(co_await bed->engine->run(sandbox, spec));
        auto end = co_await bed->engine->wait(id);
        CO_ASSERT_OK(end);
        EXPECT_EQ(end->exit_code, 0);
        EXPECT_TRUE(os::exists((i == 0 ? upper : bed->engine->upper_dir(id)) + "/made" + std::to_string(i)));
        CO_ASSERT_OK(co_await bed->engine->remove_sandbox(id));
      }(&bed, upper, i));
    }
    co_await all.join();
    EXPECT_TRUE(os::exists(upper + "/made0"));
    CO_ASSERT_OK(co_await bed.engine->unmount_root("base"));
    CO_ASSERT_OK(co_await bed.engine->remove_root("base"));
  });
}

}  // namespace
}  // namespace estiba::engine
