#include "engine/engine.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "engine/test_support.h"
#include "os/namespace.h"
#include "os/user_namespace.h"
#include "runtime/shim.h"

namespace estiba::engine {
namespace {

// This program is the shim as well, when it is called as one.
__attribute__((constructor)) void be_shim(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "shim") {
    signal(SIGPIPE, SIG_IGN);
    _exit(runtime::shim_main(argc - 2, argv + 2));
  }
}

TEST(Engine, APodRunsAndLogsAndIsGone) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(bed.sandbox()));
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(bed.sandbox()));
    EXPECT_TRUE(bed.engine->sandbox("u1")->ready);
    auto spec = Bed::shell("echo hello $A $FROM; hostname; cat /etc/resolv.conf /etc/hosts; pwd; touch /written; exit 3");
    spec.env = {{"A", "1"}};
    spec.working_dir = "/tmp";
    std::string id = co_await bed.started(spec);
    auto status = co_await bed.ended(id);
    EXPECT_EQ(status.exit_code, 3);
    EXPECT_EQ(status.reason, "Error");
    EXPECT_NE(status.started, WallTime{});
    EXPECT_GE(status.finished, status.started);
    EXPECT_EQ(bed.logged(), "hello 1 image\nweb-0\nnameserver 10.43.0.10\n10.42.0.2 web-0\n/tmp\n");
    EXPECT_TRUE(os::exists(bed.dir / "data/containers/" + id + "/upper/written"));
    EXPECT_EQ(bed.count(Event::Type::container_started), 1u);
    EXPECT_EQ(bed.count(Event::Type::container_exited), 1u);
    CO_ASSERT_OK(co_await bed.engine->remove_container(id));
    EXPECT_FALSE(bed.engine->container(id));
    EXPECT_FALSE(os::exists(bed.dir / "data/containers/" + id));
    CO_ASSERT_OK(co_await bed.engine->remove_sandbox("u1"));
    CO_ASSERT_OK(co_await bed.engine->remove_sandbox("u1"));
    EXPECT_FALSE(bed.engine->sandbox("u1"));
  });
}

TEST(Engine, APodOfAUserNamespaceIsRootOfItsOwnFilesOnly) {
  Bed().run([](Bed& bed) -> Task<void> {
    auto spec = bed.sandbox();
    auto user = os::new_user_namespace({{0, 300000, 65536}}, {{0, 300000, 65536}});
    CO_ASSERT_OK(user);
    auto net = os::new_namespace_inside(user->get(), CLONE_NEWNET);
    CO_ASSERT_OK(net);
    spec.users = {bed.dir / "user", {{0, 300000, 65536}}, {{0, 300000, 65536}}};
    spec.netns_path = bed.dir / "net";
    CO_ASSERT_OK(os::persist_namespace(user->get(), spec.users.path));
    CO_ASSERT_OK(os::persist_namespace(net->get(), spec.netns_path));
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(spec));
    CO_ASSERT_OK(os::make_dirs(bed.dir / "volume"));
    auto container =
        Bed::shell("cat /proc/self/uid_map /etc/hosts; id -u; echo v > /volume/made; echo r > /made; echo s > /dev/shm/made && sleep 1000");
    container.mounts.push_back({.host_path = bed.dir / "volume", .container_path = "/volume"});
    container.mounts.push_back({.container_path = "/image", .image = "box:1"});
    std::string id = co_await bed.started(container);
    for (int i = 0; bed.logged().find("\n0\n") == std::string::npos && i < 500; ++i) co_await sleep_for(10ms);
    EXPECT_EQ(bed.logged(), "         0     300000      65536\n10.42.0.2 web-0\n0\n");
    auto said = co_await bed.engine->exec_sync(
        id, {"sh", "-c", "ls -ln / /image /volume | grep -vE ' (proc|sys)$' | grep -c 65534; cat /dev/shm/made"}, 10s);
    CO_ASSERT_OK(said);
    EXPECT_EQ(said->output, "0\ns\n") << "everything belongs to somebody of the namespace";
    EXPECT_EQ(os::stat_file(bed.dir / "volume/made")->st_uid, 0u);
    EXPECT_EQ(os::stat_file(bed.dir / "data/containers/" + id + "/upper/made")->st_uid, 300000u);
    auto beyond = Bed::shell("true", "beyond");
    beyond.user.uid = 65536;
    auto refused = co_await bed.engine->create_container("u1", beyond);
    CO_ASSERT(!refused);
    EXPECT_EQ(reason_of(refused.error()), "CreateContainerConfigError");
    // The next engine knows whose it is.
    bed.engine.reset();
    bed.start_engine();
    CO_ASSERT_OK(co_await bed.engine->recover());
    auto second = Bed::shell("cat /proc/self/gid_map", "second");
    EXPECT_EQ((co_await bed.ended(co_await bed.started(second))).exit_code, 0);
    EXPECT_EQ(bed.logged("second"), "         0     300000      65536\n");
    CO_ASSERT_OK(co_await bed.engine->remove_sandbox("u1"));
    CO_ASSERT_OK(os::unpersist_namespace(spec.users.path));
    CO_ASSERT_OK(os::unpersist_namespace(spec.netns_path));
  });
}

TEST(Engine, TheImagesCommandAndUserAreUsedUnlessReplaced) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(bed.sandbox()));
    auto spec = Bed::shell("");
    spec.command.clear();
    EXPECT_EQ((co_await bed.ended(co_await bed.started(spec))).exit_code, 0);
    EXPECT_EQ(bed.logged(), "default\n");
    auto as_app = Bed::shell("id; echo $HOME", "user");
    as_app.user.user = "app";
    as_app.user.groups = {7};
    EXPECT_EQ((co_await bed.ended(co_await bed.started(as_app))).reason, "Completed");
    EXPECT_EQ(bed.logged("user"), "uid=1000(app) gid=1001(app) groups=7,1001(app),2000(extra)\n/home/app\n");
  });
}

TEST(Engine, ContainersAreStoppedWithGraceThenKilled) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(bed.sandbox()));
    std::string polite = co_await bed.started(Bed::shell("trap 'exit 7' TERM; while :; do sleep 0.05; done", "polite"));
    std::string deaf = co_await bed.started(Bed::shell("trap '' TERM; while :; do sleep 0.05; done", "deaf"));
    co_await sleep_for(100ms);
    EXPECT_EQ((co_await bed.engine->remove_container(polite)).error().code, Code::conflict);
    CO_ASSERT_OK(co_await bed.engine->stop_container(polite, 10s));
    EXPECT_EQ(bed.engine->container(polite)->exit_code, 7);
    CO_ASSERT_OK(co_await bed.engine->stop_container(deaf, 200ms));
    EXPECT_EQ(bed.engine->container(deaf)->exit_code, 137);
    EXPECT_EQ(bed.engine->container(deaf)->signal, 9);
    CO_ASSERT_OK(co_await bed.engine->stop_container(deaf, 0s));
    CO_ASSERT_OK(co_await bed.engine->stop_container("unknown", 0s));
    std::string third = co_await bed.started(Bed::shell("sleep 1000", "third"));
    CO_ASSERT_OK(co_await bed.engine->stop_sandbox("u1", 0s));
    EXPECT_EQ(bed.engine->container(third)->state, ContainerState::exited);
    EXPECT_FALSE(bed.engine->sandbox("u1")->ready);
  });
}

TEST(Engine, WhatCannotStartSaysWhy) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(bed.sandbox()));
    auto missing = Bed::shell("");
    missing.command = {"no-such-program"};
    auto id = co_await bed.engine->create_container("u1", missing);
    CO_ASSERT_OK(id);
    auto started = co_await bed.engine->start_container(*id);
    CO_ASSERT(!started);
    EXPECT_EQ(reason_of(started.error()), "RunContainerError");
    EXPECT_NE(started.error().message.find("no-such-program"), std::string::npos) << started.error().message;
    auto status = *bed.engine->container(*id);
    EXPECT_EQ(status.state, ContainerState::exited);
    EXPECT_EQ(status.exit_code, 128);
    EXPECT_EQ(status.reason, "StartError");
    EXPECT_NE(status.message.find("not found"), std::string::npos) << status.message;
    EXPECT_FALSE(co_await bed.engine->start_container(*id));

    auto text = Bed::shell("");
    text.command = {"/bin/text"};
    auto text_id = co_await bed.engine->create_container("u1", text);
    CO_ASSERT_OK(text_id);
    auto denied = co_await bed.engine->start_container(*text_id);
    CO_ASSERT(!denied);
    EXPECT_NE(denied.error().message.find("ermission denied"), std::string::npos) << denied.error().message;

    auto absent = Bed::shell("true");
    absent.image = "absent:1";
    auto no_image = co_await bed.engine->create_container("u1", absent);
    CO_ASSERT(!no_image);
    EXPECT_EQ(reason_of(no_image.error()), "CreateContainerError");
    auto nonroot = Bed::shell("true");
    nonroot.user.must_not_be_root = true;
    auto refused = co_await bed.engine->create_container("u1", nonroot);
    CO_ASSERT(!refused);
    EXPECT_EQ(reason_of(refused.error()), "CreateContainerConfigError");
    EXPECT_EQ(bed.engine->sandbox("u1")->containers.size(), 2u);
    auto nowhere = co_await bed.engine->create_container("u2", Bed::shell("true"));
    EXPECT_FALSE(nowhere);
    auto bad_net = bed.sandbox("u3");
    bad_net.netns_path = "/does/not/exist";
    auto no_sandbox = co_await bed.engine->run_sandbox(bad_net);
    CO_ASSERT(!no_sandbox);
    EXPECT_EQ(reason_of(no_sandbox.error()), "CreatePodSandboxError");
    EXPECT_FALSE(bed.engine->sandbox("u3"));
  });
}

TEST(Engine, ImagesAreMountedWithTheirContentOrAPartOfIt) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(bed.sandbox()));
    auto spec = Bed::shell(
        "cat /content/etc/group /part/passwd /alone | wc -l; touch /content/x 2>&1; /content/bin/busybox true 2>&1; grep -c ' /content ' "
        "/proc/mounts; exec sleep 1000");
    auto mount = [](std::string at, std::string part) {
      Mount out;
      out.image = "box:1";
      out.sub_path = std::move(part);
      out.container_path = std::move(at);
      return out;
    };
    spec.mounts = {mount("/content", ""), mount("/part", "etc"), mount("/alone", "etc/group")};
    const std::string id = co_await bed.started(spec);
    while (bed.logged().find("\n1\n") == std::string::npos) co_await sleep_for(10ms);
    const std::string log = bed.logged();
    EXPECT_TRUE(log.starts_with("8\n")) << log;
    EXPECT_NE(log.find("Read-only file system"), std::string::npos) << log;
    EXPECT_NE(log.find("ermission denied"), std::string::npos) << log;
    // Another engine finds them, and does not take them for orphans.
    bed.engine.reset();
    bed.start_engine();
    CO_ASSERT_OK(co_await bed.engine->recover());
    auto inside = co_await bed.engine->exec_sync(id, {"cat", "/part/passwd"}, 10s);
    CO_ASSERT_OK(inside);
    EXPECT_TRUE(inside->output.starts_with("root:")) << inside->output;
    EXPECT_TRUE(os::exists(bed.dir / "data/containers/" + id + ".image2/rootfs"));
    CO_ASSERT_OK(co_await bed.engine->stop_container(id, 0s));
    CO_ASSERT_OK(co_await bed.engine->remove_container(id));
    EXPECT_FALSE(os::exists(bed.dir / "data/containers/" + id + ".image0"));

    for (auto [part, why] : {std::pair{"no/such", "no/such"}, std::pair{"../../etc", "../../etc"}}) {
      auto wrong = Bed::shell("true", "wrong");
      wrong.mounts = {mount("/part", part)};
      auto refused = co_await bed.engine->create_container("u1", wrong);
      CO_ASSERT(!refused);
      EXPECT_NE(refused.error().message.find(why), std::string::npos) << refused.error().message;
    }
    auto absent = Bed::shell("true", "absent");
    absent.mounts = {mount("/part", "")};
    absent.mounts[0].image = "absent:1";
    auto refused = co_await bed.engine->create_container("u1", absent);
    CO_ASSERT(!refused);
    EXPECT_EQ(refused.error().code, Code::not_found);
  });
}

TEST(Engine, AContainerOverItsMemoryIsOOMKilled) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(bed.sandbox()));
    auto spec = Bed::shell("dd if=/dev/zero of=/dev/null bs=200M count=1");
    spec.resources.memory_bytes = 32 << 20;
    spec.resources.memory_swap_bytes = 32 << 20;
    auto status = co_await bed.ended(co_await bed.started(spec));
    EXPECT_NE(status.exit_code, 0);
    EXPECT_TRUE(status.oom_killed);
    EXPECT_EQ(status.reason, "OOMKilled");
  });
}

TEST(Engine, CommandsRunInside) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(bed.sandbox()));
    std::string id = co_await bed.started(Bed::shell("sleep 1000"));
    auto done = co_await bed.engine->exec_sync(id, {"sh", "-c", "echo out; echo err >&2; exit 5"}, 10s);
    CO_ASSERT_OK(done);
    EXPECT_EQ(done->exit_code, 5);
    EXPECT_EQ(done->output, "out\n");
    EXPECT_EQ(done->error, "err\n");
    auto slow = co_await bed.engine->exec_sync(id, {"sleep", "1000"}, 100ms);
    CO_ASSERT(!slow);
    EXPECT_EQ(slow.error().code, Code::timeout);
    auto background = co_await bed.engine->exec_sync(id, {"sh", "-c", "sleep 5 & echo started"}, 10s);
    CO_ASSERT_OK(background);
    EXPECT_EQ(background->output, "started\n");
    EXPECT_FALSE(co_await bed.engine->exec_sync(id, {"no-such-program"}, 10s));

    auto session = co_await bed.engine->exec(id, {.command = {"cat"}, .with_stdin = true});
    CO_ASSERT_OK(session);
    Fd in = (*session)->take_input(), out = (*session)->take_output();
    CO_ASSERT(in && out);
    EXPECT_EQ(::write(in.get(), "ping", 4), 4);
    in.reset();
    co_await bed.loop->readable(out.get());
    char buffer[16];
    EXPECT_EQ(::read(out.get(), buffer, sizeof buffer), 4);
    EXPECT_EQ((co_await (*session)->wait()).value_or(-1), 0);
    EXPECT_FALSE(co_await bed.engine->exec("unknown", {.command = {"true"}}));
    auto stats = co_await bed.engine->stats(id);
    CO_ASSERT_OK(stats);
    EXPECT_GT(stats->pids, 0u);
    EXPECT_GT(stats->memory_bytes, 0u);
  });
}

TEST(Engine, SecuritySettingsReachTheProcess) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(bed.sandbox()));
    auto tight = Bed::shell(
        "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; touch /x 2>&1; touch /tmp/x; touch /proc/sys/kernel/x 2>&1 || echo masked",
        "tight");
    tight.readonly_root = true;
    tight.no_new_privileges = true;
    tight.capabilities_drop = {"ALL"};
    tight.seccomp = ContainerSpec::Seccomp::runtime_default;
    tight.user.uid = 1000;
    CO_ASSERT_OK(os::make_dir(bed.dir / "volume"));
    tight.mounts = {{bed.dir / "volume", "/tmp"}};
    CO_ASSERT_OK(os::change_mode(bed.dir / "volume", 0777));
    EXPECT_EQ((co_await bed.ended(co_await bed.started(tight))).exit_code, 0);
    std::string log = bed.logged("tight");
    EXPECT_NE(log.find("CapEff:\t0000000000000000"), std::string::npos) << log;
    EXPECT_NE(log.find("NoNewPrivs:\t1"), std::string::npos) << log;
    EXPECT_NE(log.find("Seccomp:\t2"), std::string::npos) << log;
    EXPECT_NE(log.find("/x: Read-only file system"), std::string::npos) << log;
    EXPECT_NE(log.find("masked"), std::string::npos) << log;
    EXPECT_TRUE(os::exists(bed.dir / "volume/x"));

    auto loose =
        Bed::shell("grep CapEff /proc/self/status; ls /dev/console /dev/null /dev/kmsg; mount -t tmpfs x /tmp && echo mounted", "loose");
    loose.privileged = true;
    co_await bed.ended(co_await bed.started(loose));
    log = bed.logged("loose");
    EXPECT_EQ(log.find("CapEff:\t0000000000000000"), std::string::npos) << log;
    EXPECT_NE(log.find("mounted"), std::string::npos) << log;
  });
}

TEST(Engine, AProcessNamespaceMayBeShared) {
  Bed().run([](Bed& bed) -> Task<void> {
    auto sandbox = bed.sandbox();
    sandbox.share_process_namespace = true;
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(sandbox));
    co_await bed.started(Bed::shell("exec sleep 1234", "one"));
    auto two = Bed::shell("cat /proc/[0-9]*/cmdline; echo shared > /dev/shm/x", "two");
    EXPECT_EQ((co_await bed.ended(co_await bed.started(two))).exit_code, 0);
    EXPECT_NE(bed.logged("two").find("1234"), std::string::npos) << bed.logged("two");
    auto three = Bed::shell("cat /dev/shm/x", "three");
    co_await bed.ended(co_await bed.started(three));
    EXPECT_EQ(bed.logged("three"), "shared\n");
  });
}

TEST(Engine, AnAbandonedStartIsClearedAway) {
  Bed().run([](Bed& bed) -> Task<void> {
    struct Start {
      static Task<void> go(Bed* bed) { (void)co_await bed->engine->run_sandbox(bed->sandbox()); }
    };
    for (auto moment : {1ms, 3ms, 6ms, 10ms, 15ms}) {
      {
        Job job(Start::go(&bed));
        co_await sleep_for(moment);
      }
      CO_ASSERT_OK(co_await bed.engine->remove_sandbox("u1"));
      EXPECT_FALSE(bed.engine->sandbox("u1"));
    }
  });
}

TEST(Engine, APortOfThePodIsReached) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(bed.sandbox()));
    EXPECT_EQ(::system("ip link set lo up"), 0);
    std::string id = co_await bed.started(Bed::shell("echo answer | nc -l -p 8080"));
    Result<Fd> fd = fail(Code::unavailable, "");
    for (int i = 0; i < 100 && !fd; ++i) {
      co_await sleep_for(10ms);
      fd = co_await bed.engine->dial("u1", 8080);
    }
    CO_ASSERT_OK(fd);
    co_await bed.loop->readable(fd->get());
    char buffer[16];
    EXPECT_EQ(::read(fd->get(), buffer, sizeof buffer), 7);
    auto closed = co_await bed.engine->dial("u1", 81);
    CO_ASSERT(!closed);
    EXPECT_NE(closed.error().message.find("port 81 of pod default/web"), std::string::npos);
  });
}

TEST(Engine, ContainersOutliveTheEngineAndAreFoundAgain) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(bed.sandbox()));
    std::string running = co_await bed.started(Bed::shell("sleep 1000", "running"));
    std::string ending = co_await bed.started(Bed::shell("sleep 0.3; exit 9", "ending"));
    auto waiting = co_await bed.engine->create_container("u1", Bed::shell("echo late", "waiting"));
    CO_ASSERT_OK(waiting);
    auto broken_spec = Bed::shell("", "broken");
    broken_spec.command = {"no-such-program"};
    auto broken = co_await bed.engine->create_container("u1", broken_spec);
    CO_ASSERT_OK(broken);
    EXPECT_FALSE(co_await bed.engine->start_container(*broken));
    int pid = bed.engine->container(running)->pid;
    EXPECT_GT(pid, 0);

    bed.engine.reset();
    // Left half done by a crash: a root without a container, a pod without a record.
    EXPECT_TRUE(os::make_dirs(bed.dir / "data/containers/orphan/rootfs"));
    EXPECT_TRUE(os::make_dirs(bed.dir / "run/pods/half"));
    co_await sleep_for(500ms);
    bed.start_engine();
    CO_ASSERT_OK(co_await bed.engine->recover());
    EXPECT_EQ(bed.engine->sandboxes().size(), 1u);
    auto pod = bed.engine->sandbox("u1");
    CO_ASSERT(pod);
    EXPECT_TRUE(pod->ready);
    EXPECT_EQ(pod->name, "web");
    CO_ASSERT(pod->containers.size() == 4);
    EXPECT_EQ(pod->containers[0].id, running);
    EXPECT_EQ(bed.engine->container(running)->state, ContainerState::running);
    EXPECT_EQ(bed.engine->container(running)->pid, pid);
    EXPECT_EQ(bed.engine->container(ending)->state, ContainerState::exited);
    EXPECT_EQ(bed.engine->container(ending)->exit_code, 9);
    EXPECT_EQ(bed.engine->container(*waiting)->state, ContainerState::created);
    EXPECT_EQ(bed.engine->container(*broken)->reason, "StartError");
    EXPECT_FALSE(os::exists(bed.dir / "data/containers/orphan"));
    EXPECT_FALSE(os::exists(bed.dir / "run/pods/half"));
    CO_ASSERT_OK(co_await bed.engine->start_container(*waiting));
    EXPECT_EQ((co_await bed.ended(*waiting)).exit_code, 0);
    EXPECT_EQ(bed.logged("waiting"), "late\n");
    CO_ASSERT_OK(co_await bed.engine->stop_container(running, 0s));
  });
}

TEST(Engine, ADeadShimIsTold) {
  Bed().run([](Bed& bed) -> Task<void> {
    CO_ASSERT_OK(co_await bed.engine->run_sandbox(bed.sandbox()));
    std::string id = co_await bed.started(Bed::shell("sleep 1000"));
    int shim = bed.engine->sandbox("u1")->shim_pid;
    CO_ASSERT(shim > 1);
    ::kill(shim, SIGKILL);
    auto status = co_await bed.ended(id);
    EXPECT_EQ(status.exit_code, 137);
    while (bed.count(Event::Type::sandbox_died) == 0) {
      bed.changed.reset();
      CO_ASSERT(co_await bed.changed.wait_for(10s));
    }
    EXPECT_FALSE(bed.engine->sandbox("u1")->ready);
    auto late = co_await bed.engine->create_container("u1", Bed::shell("true"));
    EXPECT_FALSE(late);
    CO_ASSERT_OK(co_await bed.engine->stop_sandbox("u1", 1s));
  });
}

TEST(Engine, ManyPodsStartAtOnce) {
  Bed().run([](Bed& bed) -> Task<void> {
    struct One {
      static Task<void> pod(Bed* bed, int i) {
        std::string uid = "u" + std::to_string(i);
        CO_ASSERT_OK(co_await bed->engine->run_sandbox(bed->sandbox(uid)));
        co_await bed->started(Bed::shell("sleep 1000"), uid);
      }
    };
    TaskGroup group;
    auto before = std::chrono::steady_clock::now();
    for (int i = 0; i < 10; ++i) group.start(One::pod(&bed, i));
    co_await group.join();
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - before).count();
    std::printf("10 pods in %lld ms\n", static_cast<long long>(ms));
    EXPECT_EQ(bed.count(Event::Type::container_started), 10u);
  });
}

TEST(Engine, ImagesAreToldAndPoliciesHold) {
  Bed().run([](Bed& bed) -> Task<void> {
    auto info = co_await bed.engine->ensure_image("box:1", PullPolicy::never, {});
    CO_ASSERT_OK(info);
    EXPECT_EQ(info->tags, std::vector<std::string>{"docker.io/library/box:1"});
    auto by_id = co_await bed.engine->image_status(info->id);
    CO_ASSERT_OK(by_id);
    EXPECT_TRUE(*by_id);
    auto never = co_await bed.engine->ensure_image("absent:1", PullPolicy::never, {});
    CO_ASSERT(!never);
    EXPECT_EQ(reason_of(never.error()), "ErrImageNeverPull");
    auto bad = co_await bed.engine->ensure_image("Bad Name", PullPolicy::if_not_present, {});
    CO_ASSERT(!bad);
    EXPECT_EQ(reason_of(bad.error()), "InvalidImageName");
    auto unreachable = co_await bed.engine->ensure_image("127.0.0.1:1/absent:1", PullPolicy::if_not_present, {});
    CO_ASSERT(!unreachable);
    EXPECT_EQ(reason_of(unreachable.error()), "ErrImagePull");
    EXPECT_EQ(unreachable.error().code, Code::unavailable);
    EXPECT_EQ((co_await bed.engine->images())->size(), 1u);
    CO_ASSERT_OK(co_await bed.engine->remove_image("box:1"));
    CO_ASSERT_OK(co_await bed.engine->remove_image("box:1"));
    EXPECT_EQ((co_await bed.engine->images())->size(), 0u);
  });
}

}  // namespace
}  // namespace estiba::engine
