#include "runtime/container.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/process.h"
#include "os/user_namespace.h"
#include "runtime/seccomp_default.h"
#include "runtime/test_container.h"

namespace estiba::runtime {
namespace {

TEST_F(ContainerTest, GivesTheExitCode) { EXPECT_EQ(run({"sh", "-c", "exit 42"}).code, 42); }

TEST_F(ContainerTest, SeesOnlyItsOwnProcessesAndRoot) {
  std::string text = output_of("echo $$; ls /");
  EXPECT_TRUE(text.starts_with("1\n")) << text;
  EXPECT_EQ(text.find("home"), std::string::npos) << text;
}

TEST_F(ContainerTest, UserGroupsAndUmask) {
  std::string text = output_of("id -u; id -g; id -G; umask; echo $HOME",
                               {{"process.user", R"({"uid":1000,"gid":1001,"additionalGids":[5,6],"umask":63})"}});
  EXPECT_EQ(text, "1000\n1001\n1001 5 6\n0077\n/home/app\n");
}

TEST_F(ContainerTest, HasExactlyItsCapabilities) {
  EXPECT_EQ(output_of("grep Cap /proc/self/status"),
            "CapInh:\t0000000000000000\nCapPrm:\t0000000000000021\nCapEff:\t0000000000000021\nCapBnd:\t0000000000000021\nCapAmb:"
            "\t0000000000000000\n");
}

TEST_F(ContainerTest, AmbientCapabilitiesReachAUserThatIsNotRoot) {
  std::string sets = R"(["CAP_NET_BIND_SERVICE"])";
  std::string text = output_of("grep -E 'CapEff|CapAmb' /proc/self/status",
                               {{"process.user", R"({"uid":1000,"gid":1000})"},
                                {"process.capabilities", R"({"bounding":)" + sets + R"(,"effective":)" + sets + R"(,"permitted":)" + sets +
                                                             R"(,"inheritable":)" + sets + R"(,"ambient":)" + sets + "}"}});
  EXPECT_EQ(text, "CapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n");
}

TEST_F(ContainerTest, WithoutCapabilitiesInTheBoundingSetRootCannotChangeOwners) {
  EXPECT_NE(run({"chown", "1", "/bin"}, {{"process.capabilities", "{}"}}).code, 0);
}

TEST_F(ContainerTest, NoNewPrivilegesAndSeccomp) {
  std::string text = output_of(
      "grep -E 'NoNewPrivs|^Seccomp:' /proc/self/status; unshare -U true 2>/dev/null; mkdir /x && mount -t tmpfs none /x || echo refused",
      {{"process.noNewPrivileges", "true"}, {"linux.seccomp", default_seccomp_json({})}});
  EXPECT_NE(text.find("NoNewPrivs:\t1"), std::string::npos) << text;
  EXPECT_NE(text.find("Seccomp:\t2"), std::string::npos) << text;
  EXPECT_NE(text.find("refused"), std::string::npos) << text;
}

TEST_F(ContainerTest, SeccompWithoutNoNewPrivilegesWorksToo) {
  std::string text = output_of("grep ^Seccomp: /proc/self/status",
                               {{"linux.seccomp", default_seccomp_json({})}, {"process.user", R"({"uid":1000,"gid":1000})"}});
  EXPECT_EQ(text, "Seccomp:\t2\n");
}

TEST_F(ContainerTest, ASeccompProfileOlderThanFaccessat2DoesNotKeepProgramsFromRunning) {
  const std::string old_profile = R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["faccessat2"],"action":"SCMP_ACT_ERRNO"}]})";
  EXPECT_EQ(output_of("echo runs", {{"linux.seccomp", old_profile}}), "runs\n");
  EXPECT_EQ(run({"/etc"}, {{"linux.seccomp", old_profile}}).error, "exec /etc: Permission denied");
}

TEST(SpecResources, WhatNoControllerHereCanDoIsNotPassedOver) {
  const auto parse = [](const std::string& text) { return parse_resources(json::Document::parse(text)->root(), "linux.resources"); };
  auto all = parse(
      R"({"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":500}]},"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000}}})");
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(all->network_class, 1048577u);
  EXPECT_EQ(all->network_priorities, (std::vector<std::pair<std::string, uint32_t>>{{"eth0", 500}}));
  EXPECT_EQ(all->rdma, (std::vector<std::pair<std::string, std::string>>{{"mlx5_1", "hca_handle=3 hca_object=10000"}}));
  EXPECT_EQ(parse(R"({"network":{"priorities":[{"priority":5}]}})").error().message,
            "linux.resources.network.priorities.name: is required");
  EXPECT_EQ(parse(R"({"rdma":{"mlx5_1":{}}})").error().message, "linux.resources.rdma.mlx5_1: hcaHandles or hcaObjects is required");
}

TEST_F(ContainerTest, ResourcesOfControllersThatAreNotThereAreRefused) {
  if (os::exists("/sys/fs/cgroup/net_cls") || os::exists("/sys/fs/cgroup/net_cls,net_prio")) GTEST_SKIP() << "the controller is there";
  const Outcome out = run({"true"}, {{"linux.resources", R"({"network":{"classID":1}})"}});
  // Version 2 has none for it at all.
  const bool v1 = (*os::cgroup_host())->mode == os::CgroupMode::v1;
  EXPECT_NE(out.error.find(v1 ? "net_cls" : "linux.resources.network needs cgroup v1"), std::string::npos) << out.error;
}

TEST_F(ContainerTest, TheRootMayBeUnbindable) {
  EXPECT_EQ(output_of("grep ' / r[wo]' /proc/self/mountinfo | grep -c unbindable", {{"linux.rootfsPropagation", R"("unbindable")"}}),
            "1\n");
}

TEST_F(ContainerTest, ReadonlyRootMaskedAndReadonlyPaths) {
  std::string text = output_of(
      "touch /x 2>/dev/null || echo ro; cat /proc/keys | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sys/vm/swappiness || true",
      {{"root", R"({"path":"rootfs","readonly":true})"},
       {"linux.maskedPaths", R"(["/proc/keys","/sys/firmware","/proc/not-there"])"},
       {"linux.readonlyPaths", R"(["/proc/sys"])"}});
  EXPECT_TRUE(text.starts_with("ro\n0\n0\n")) << text;
  EXPECT_NE(text.find("Read-only file system"), std::string::npos) << text;
}

TEST_F(ContainerTest, BindTmpfsAndFileMounts) {
  ASSERT_TRUE(os::make_dirs(bundle.dir + "/data/sub"));
  ASSERT_TRUE(os::write_file(bundle.dir + "/data/file", "content", O_CREAT));
  ASSERT_TRUE(os::mount("tmpfs", bundle.dir + "/data/sub", "tmpfs", 0));
  std::string mounts = R"([{"destination":"/proc","type":"proc","source":"proc"},
    {"destination":"/dev","type":"tmpfs","source":"tmpfs"},
    {"destination":"/a/b","type":"bind","source":"data","options":["rbind","ro"]},
    {"destination":"/all","type":"bind","source":"data","options":["rbind","rro"]},
    {"destination":"/f/g","source":"data/file","options":["bind"]},
    {"destination":"/t","type":"tmpfs","source":"t","options":["size=1m","mode=1777","noexec"]}])";
  std::string text = output_of(
      "cat /a/b/file; touch /a/b/x 2>&1; touch /a/b/sub/x && echo sub; touch /all/sub/y 2>&1; cat /f/g; stat -c %a /t; grep ' /t ' "
      "/proc/mounts",
      {{"mounts", mounts}});
  ASSERT_TRUE(os::umount(bundle.dir + "/data/sub"));
  EXPECT_TRUE(text.starts_with("contenttouch: /a/b/x: Read-only file system\nsub\ntouch: /all/sub/y: Read-only file system\ncontent1777\n"))
      << text;
  EXPECT_NE(text.find("noexec"), std::string::npos) << text;
}

TEST_F(ContainerTest, OverlayMount) {
  for (const char* dir : {"/lower", "/upper", "/work"}) ASSERT_TRUE(os::make_dirs(bundle.dir + dir));
  ASSERT_TRUE(os::write_file(bundle.dir + "/lower/x", "lower", O_CREAT));
  // An overlay's upper directory cannot be on another overlay, which /tmp may be.
  std::string base = bundle.dir;
  std::string mounts = R"([{"destination":"/o","type":"overlay","source":"overlay","options":["lowerdir=)" + base +
                       "/lower,upperdir=" + base + "/upper,workdir=" + base + R"(/work"]}])";
  EXPECT_EQ(output_of("cat /o/x; echo y > /o/y", {{"mounts", mounts}}), "lower");
  EXPECT_EQ(os::read_file(base + "/upper/y").value_or(""), "y\n");
}

TEST_F(ContainerTest, SymlinksInTheImageLeadNowhereElse) {
  std::string outside = bundle.dir + "/outside";
  ASSERT_TRUE(os::make_dirs(outside));
  ASSERT_TRUE(os::make_dirs(bundle.dir + "/data"));
  ASSERT_TRUE(os::make_symlink(outside, bundle.dir + "/rootfs/link"));
  ASSERT_TRUE(os::make_symlink("../../../../../../.." + outside, bundle.dir + "/rootfs/dots"));
  std::string mounts = R"([{"destination":"/link/here","type":"bind","source":"data","options":["bind"]},
                           {"destination":"/dots/there","type":"tmpfs","source":"tmpfs"},
                           {"destination":"/../../up","type":"tmpfs","source":"tmpfs"}])";
  Outcome out = run({"ls", outside}, {{"mounts", mounts}});
  EXPECT_EQ(out.output, "here\nthere\n") << out.error;
  EXPECT_TRUE(os::list_dir(outside)->empty());
  EXPECT_FALSE(os::exists("/up"));
}

TEST_F(ContainerTest, DevicesOfEveryContainerAndOfTheConfig) {
  std::string text =
      output_of("stat -c '%n %a %t %T' /dev/null /dev/fuse; ls -l /dev/fd | grep -c /proc/self/fd; test -c /dev/ptmx && echo ok",
                {{"linux.devices", R"([{"path":"/dev/fuse","type":"c","major":10,"minor":229,"fileMode":416,"uid":0,"gid":5}])"}});
  EXPECT_EQ(text, "/dev/null 666 1 3\n/dev/fuse 640 a e5\n1\nok\n");
}

TEST_F(ContainerTest, DeviceRulesOfTheCgroupHold) {
  // A node for the kernel's log can be made, but not opened.
  std::string text = output_of(
      "cat /dev/kmsg 2>&1; head -c 1 /dev/zero | wc -c",
      {{"linux.resources", R"({"devices":[{"allow":false,"access":"rwm"}]})"},
       {"linux.devices", "[]"},
       {"process.capabilities", R"({"bounding":["CAP_MKNOD"],"effective":["CAP_MKNOD"],"permitted":["CAP_MKNOD"]})"},
       {"hooks", R"({"createContainer":[{"path":"/bin/sh","args":["sh","-c","mknod )" + bundle.dir + R"(/rootfs/dev/kmsg c 1 11"]}]})"}});
  EXPECT_EQ(text, "cat: can't open '/dev/kmsg': Operation not permitted\n1\n");
}

TEST_F(ContainerTest, HostnameDomainnameSysctlsAndLimits) {
  std::string text = output_of(
      "hostname; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced; ulimit "
      "-n; ulimit -Hn; ip link show lo | grep -c UP",
      {{"linux.namespaces", R"([{"type":"pid"},{"type":"mount"},{"type":"uts"},{"type":"network"},{"type":"ipc"}])"},
       {"hostname", R"("box")"},
       {"domainname", R"("example.org")"},
       {"linux.sysctl", R"({"net.ipv4.ip_unprivileged_port_start":"80","kernel.shm_rmid_forced":"1"})"},
       {"process.rlimits", R"([{"type":"RLIMIT_NOFILE","soft":100,"hard":200}])"}});
  EXPECT_EQ(text, "box\nexample.org\n80\n1\n100\n200\n1\n");
}

TEST_F(ContainerTest, JoinsANamespaceByPath) {
  auto ns = os::new_namespace(CLONE_NEWUTS);
  ASSERT_TRUE(ns);
  std::string path = "/run/uts";
  ASSERT_TRUE(os::persist_namespace(ns->get(), path));
  ASSERT_TRUE(os::inside_namespace(ns->get(), CLONE_NEWUTS, [] { return os::set_hostname("joined"); }));
  EXPECT_EQ(output_of("hostname", {{"linux.namespaces", R"([{"type":"pid"},{"type":"mount"},{"type":"uts","path":"/run/uts"}])"}}),
            "joined\n");
  Outcome wrong = run({"true"}, {{"linux.namespaces", R"([{"type":"mount"},{"type":"network","path":"/run/uts"}])"}});
  EXPECT_EQ(wrong.error, "/run/uts is a uts namespace, not net");
  ASSERT_TRUE(os::unpersist_namespace(path));
}

TEST_F(ContainerTest, UserNamespaceWithMappings) {
  // The rootfs belongs to nobody inside, so what is mounted on must be there.
  ASSERT_TRUE(os::change_mode(bundle.dir, 0755));
  for (const char* dir : {"/rootfs/proc", "/rootfs/dev"}) ASSERT_TRUE(os::make_dirs(bundle.dir + dir));
  std::string text = output_of(
      "id -u; cat /proc/self/uid_map; ls -ln / | grep -c ' 0 '; mount | grep -c proc",
      {{"linux.namespaces", R"([{"type":"user"},{"type":"pid"},{"type":"mount"},{"type":"network"},{"type":"ipc"},{"type":"uts"}])"},
       {"linux.uidMappings", R"([{"containerID":0,"hostID":100000,"size":1000}])"},
       {"linux.gidMappings", R"([{"containerID":0,"hostID":100000,"size":1000}])"},
       {"mounts", R"([{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs"}])"}});
  EXPECT_TRUE(text.starts_with("0\n         0     100000       1000\n")) << text;
}

constexpr const char* mappings = R"([{"containerID":0,"hostID":100000,"size":65536}])";

// A user namespace at /run/user-ns, as a pod's containers join it.
struct BoundUserNamespace {
  BoundUserNamespace() {
    auto made = os::new_user_namespace({{0, 100000, 65536}}, {{0, 100000, 65536}});
    EXPECT_TRUE(made && os::persist_namespace(made->get(), path));
  }
  ~BoundUserNamespace() { EXPECT_TRUE(os::unpersist_namespace(path)); }
  const std::string path = "/run/user-ns";
};

TEST_F(ContainerTest, JoinsAUserNamespaceWhoseRootCannotReachTheSources) {
  BoundUserNamespace user;
  ASSERT_TRUE(os::change_mode(bundle.dir, 0700));
  ASSERT_TRUE(os::make_dirs(bundle.dir + "/data"));
  ASSERT_TRUE(os::write_file(bundle.dir + "/data/roots", "of the host", O_CREAT, 0600));
  ASSERT_TRUE(os::write_file(bundle.dir + "/data/users", "", O_CREAT, 0644));
  ASSERT_TRUE(os::change_owner(bundle.dir + "/data/users", 1000, 2000));
  // Mount points are made by the container's root.
  ASSERT_TRUE(os::change_owner(bundle.dir + "/rootfs", 100000, 100000));
  const std::string ids = std::string(R"("uidMappings":)") + mappings + R"(,"gidMappings":)" + mappings;
  std::string text = output_of(
      "cat /proc/self/uid_map; cat /data/roots; echo; stat -c '%u %g' /data/roots /data/users /plain; touch /data/made; id -u; echo seen > "
      "/proc/self/fd/1",
      {{"linux.namespaces",
        R"([{"type":"user","path":"/run/user-ns"},{"type":"pid"},{"type":"mount"},{"type":"network"},{"type":"ipc"},{"type":"uts"}])"},
       {"linux.uidMappings", mappings},
       {"linux.gidMappings", mappings},
       {"mounts", R"([{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs"},
                      {"destination":"/data","source":"data","options":["rbind","rprivate"],)" +
                      ids + R"(},{"destination":"/plain","source":"data","options":["bind","ro"]}])"}});
  EXPECT_EQ(text, "         0     100000      65536\nof the host\n0 0\n1000 2000\n65534 65534\n0\nseen\n");
  auto made = os::stat_file(bundle.dir + "/data/made");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->st_uid, 0u);
}

TEST_F(ContainerTest, AMountIsIdMappedWithoutAUserNamespaceToo) {
  ASSERT_TRUE(os::make_dirs(bundle.dir + "/data"));
  const std::string one = R"({"destination":"/data","type":"bind","source":"data","options":["bind","idmap"])";
  const std::string plain = R"({"destination":"/proc","type":"proc","source":"proc"})";
  std::string text =
      output_of("stat -c '%u %g' /data",
                {{"mounts", "[" + one + R"(,"uidMappings":)" + mappings + R"(,"gidMappings":[{"containerID":0,"hostID":7,"size":5}]}])"}});
  EXPECT_EQ(text, "100000 7\n");
  EXPECT_NE(run({"true"}, {{"mounts", "[" + one + "}]"}}).error.find("mount /data: idmap needs uidMappings"), std::string::npos);
  EXPECT_NE(run({"true"}, {{"mounts", "[" + one + R"(,"uidMappings":)" + mappings + "}]"}}).error.find("mounts[0].gidMappings"),
            std::string::npos);
  Outcome refused =
      run({"true"}, {{"mounts", R"([{"destination":"/data","type":"bind","source":"/proc","options":["rbind","idmap"],"uidMappings":)" +
                                    std::string(mappings) + R"(,"gidMappings":)" + mappings + "}]"}});
  EXPECT_NE(refused.error.find("mount /data: /proc: the file system proc"), std::string::npos) << refused.error;
  EXPECT_EQ(refused.error_code, Code::unsupported);
}

TEST_F(ContainerTest, AControlGroupIsGivenToTheRootOfAUserNamespaceWhereThatIsSafe) {
  BoundUserNamespace user;
  ASSERT_TRUE(os::change_owner(bundle.dir + "/rootfs", 100000, 100000));
  auto changes = [](const char* options) -> std::vector<std::pair<std::string, std::string>> {
    return {
        {"linux.namespaces", R"([{"type":"user","path":"/run/user-ns"},{"type":"pid"},{"type":"mount"},{"type":"cgroup"}])"},
        {"linux.uidMappings", mappings},
        {"linux.gidMappings", mappings},
        {"mounts",
         R"([{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["mode=755"]},)" +
             (R"({"destination":"/group","type":"cgroup","source":"cgroup","options":[)" + std::string(options) + "]}]")}};
  };
  if ((*os::cgroup_host())->mode == os::CgroupMode::v1) {
    EXPECT_EQ(output_of("mkdir /group/memory/below 2>/dev/null || echo refused", changes("")), "refused\n");
    return;
  }
  EXPECT_EQ(output_of("mkdir /group/below && echo 0 > /group/below/cgroup.procs && cat /proc/self/cgroup; stat -c %u /group/memory.max",
                      changes("")),
            "0::/below\n65534\n");
  EXPECT_EQ(output_of("mkdir /group/below 2>/dev/null || echo refused; stat -c %u /group/cgroup.procs", changes(R"("ro")")),
            "refused\n65534\n");
}

TEST_F(ContainerTest, RidmapMapsWhatIsMountedBelowAndIdmapDoesNot) {
  ASSERT_TRUE(os::make_dirs(bundle.dir + "/data/below"));
  ASSERT_TRUE(os::make_dirs(bundle.dir + "/other"));
  ASSERT_TRUE(os::mount(bundle.dir + "/other", bundle.dir + "/data/below", "", MS_BIND));
  for (const auto& [option, owner] : {std::pair("idmap", "100000 0\n"), std::pair("ridmap", "100000 100000\n")}) {
    std::string mount = R"([{"destination":"/data","type":"bind","source":"data","options":["rbind",")" + std::string(option) +
                        R"("],"uidMappings":)" + mappings + R"(,"gidMappings":)" + mappings + "}]";
    EXPECT_EQ(output_of("echo $(stat -c %u /data /data/below)", {{"mounts", mount}}), owner);
  }
  ASSERT_TRUE(os::umount(bundle.dir + "/data/below"));
}

TEST_F(ContainerTest, TimeNamespaceWithOffset) {
  std::string text = output_of("cat /proc/uptime", {{"linux.namespaces", R"([{"type":"pid"},{"type":"mount"},{"type":"time"}])"},
                                                    {"linux.timeOffsets", R"({"boottime":{"secs":1000000}})"}});
  EXPECT_GT(parse_number<int>(text.substr(0, text.find('.'))).value_or(0), 1000000) << text;
}

TEST_F(ContainerTest, TimeNamespaceWithOffsetInAJoinedUserNamespace) {
  BoundUserNamespace user;
  ASSERT_TRUE(os::change_owner(bundle.dir + "/rootfs", 100000, 100000));
  std::string text =
      output_of("cat /proc/uptime; id -u",
                {{"linux.namespaces",
                  R"([{"type":"pid"},{"type":"mount"},{"type":"time"},{"type":"network"},{"type":"user","path":"/run/user-ns"}])"},
                 {"linux.uidMappings", mappings},
                 {"linux.gidMappings", mappings},
                 {"linux.timeOffsets", R"({"boottime":{"secs":1000000}})"}});
  EXPECT_GT(parse_number<int>(text.substr(0, text.find('.'))).value_or(0), 1000000) << text;
  EXPECT_TRUE(text.ends_with("\n0\n")) << text;
}

TEST_F(ContainerTest, HooksRunInOrderWithTheState) {
  auto hook = [&](const std::string& name) {
    return "\"" + name + R"(":[{"path":"/bin/sh","args":["sh","-c","echo )" + name +
           " $(grep -oE '(creating|created|running|stopped)') >> " + bundle.dir + R"(/hooks"]}])";
  };
  std::string hooks = "{" + hook("prestart") + "," + hook("createRuntime") + "," + hook("createContainer") + "," + hook("poststart") + "," +
                      hook("poststop") + R"(,"startContainer":[{"path":"/bin/sh","args":["sh","-c","echo inside > /started"]}]})";
  EXPECT_EQ(output_of("cat /started", {{"hooks", hooks}}), "inside\n");
  EXPECT_EQ(os::read_file(bundle.dir + "/hooks").value_or(""),
            "prestart creating\ncreateRuntime creating\ncreateContainer creating\npoststart running\npoststop stopped\n");
}

TEST_F(ContainerTest, AHookThatFailsOrHangsStopsTheCreation) {
  Outcome out = run({"true"}, {{"hooks", R"({"createRuntime":[{"path":"/bin/sh","args":["sh","-c","exit 3"]}]})"}});
  EXPECT_EQ(out.error, "createRuntime hook /bin/sh: ended with exit code 3");
  out = run({"true"}, {{"hooks", R"({"createContainer":[{"path":"/bin/sh","args":["sh","-c","sleep 100"],"timeout":1}]})"}});
  EXPECT_EQ(out.error, "createContainer hook /bin/sh: did not end within 1 s");
  EXPECT_EQ(list(root)->size(), 0u);
}

TEST_F(ContainerTest, MissingAndUnusablePrograms) {
  Outcome out = run({"nothing"});
  EXPECT_EQ(out.error, "exec nothing: executable file not found in $PATH");
  EXPECT_EQ(out.error_code, Code::not_found);
  out = run({"/no/such"});
  EXPECT_EQ(out.error, "exec /no/such: No such file or directory");
  EXPECT_EQ(out.error_code, Code::not_found);
  out = run({"/etc/passwd"});
  EXPECT_EQ(out.error, "exec /etc/passwd: Permission denied");
  EXPECT_EQ(out.error_code, Code::forbidden);
  EXPECT_FALSE(os::exists(root + "/c"));
  EXPECT_FALSE(os::Cgroup::at(bundle.group + "/c")->exists());
}

TEST_F(ContainerTest, AFileThatIsNoProgramFailsAtStart) {
  ASSERT_TRUE(os::write_file(bundle.dir + "/rootfs/bin/junk", "\x7f junk", O_CREAT, 0755));
  Outcome out = run({"junk"});
  EXPECT_EQ(out.error, "exec junk: Exec format error");
  EXPECT_EQ(out.code, 126);
}

TEST_F(ContainerTest, BadConfigsNameTheField) {
  EXPECT_NE(run({"true"}, {{"process.cwd", R"("relative")"}}).error.find("process.cwd: must be an absolute path"), std::string::npos);
  EXPECT_NE(run({"true"}, {{"linux.namespaces", R"([{"type":"mount"},{"type":"moon"}])"}}).error.find("linux.namespaces[1].type"),
            std::string::npos);
  EXPECT_NE(run({"true"}, {{"ociVersion", R"("3.0")"}}).error.find("ociVersion"), std::string::npos);
  EXPECT_NE(run({"true"}, {{"process.rlimits", R"([{"type":"RLIMIT_X"}])"}}).error.find("process.rlimits[0].type"), std::string::npos);
  EXPECT_NE(run({"true"}, {{"root", R"({"path":"nowhere"})"}}).error.find("root.path"), std::string::npos);
  EXPECT_NE(run({"true"}, {{"mounts", R"([{"destination":"/x","type":"nofs","source":"x"}])"}}).error.find("mount /x: mount nofs"),
            std::string::npos);
}

TEST_F(ContainerTest, LivesFromCreateToDelete) {
  bundle.configure({"sleep", "100"});
  // The control socket of a container that `start` starts is closed; its output is this program's.
  auto made = create(options());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(create(options()).error().code, Code::already_exists);
  auto status = [&] { return *container_status(root, *load(root, "c")); };
  EXPECT_EQ(status(), "created");
  EXPECT_EQ(pause(root, "c").has_value(), true);
  EXPECT_TRUE(resume(root, "c"));
  auto started = start(root, "c");
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_EQ(status(), "running");
  EXPECT_EQ(start(root, "c").error().code, Code::conflict);
  ASSERT_TRUE(pause(root, "c"));
  EXPECT_EQ(status(), "paused");
  ASSERT_TRUE(resume(root, "c"));
  os::CgroupResources more;
  more.pids_limit = 33;
  ASSERT_TRUE(update(root, "c", more));
  EXPECT_EQ(os::Cgroup::at(bundle.group + "/c")->stats()->pids_limit, 33u);
  EXPECT_EQ(remove(root, "c", false).error().code, Code::conflict);
  ASSERT_TRUE(kill(root, "c", SIGKILL, false));
  os::ExitStatus end = *os::wait_child(made->process.pid);
  EXPECT_EQ(end.code, 137);
  EXPECT_EQ(status(), "stopped");
  EXPECT_EQ(kill(root, "c", SIGTERM, false).error().code, Code::not_found);
  ASSERT_TRUE(remove(root, "c", false));
  EXPECT_EQ(load(root, "c").error().code, Code::not_found);
  EXPECT_FALSE(os::Cgroup::at(bundle.group + "/c")->exists());
}

TEST_F(ContainerTest, ExecJoinsTheContainer) {
  bundle.configure({"sleep", "100"});
  CreateOptions create_options = options();
  create_options.attached = true;
  auto made = create(create_options);
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE(made->process.start());
  auto [read_end, write_end] = *os::make_pipe();
  ExecRequest request{.root = root, .id = "c", .process = made->spec.process};
  request.process.args = {"sh", "-c", "ps; grep Cap /proc/self/status | head -2; cat /proc/self/cgroup"};
  request.stdio[1] = request.stdio[2] = write_end.get();
  auto process = exec(request);
  ASSERT_TRUE(process) << process.error().message;
  ASSERT_TRUE(process->start());
  write_end.reset();
  std::string text = os::read_all(read_end.get()).value_or("");
  EXPECT_EQ(os::wait_child(process->pid)->code, 0);
  EXPECT_NE(text.find("sleep 100"), std::string::npos) << text;
  EXPECT_NE(text.find("CapPrm:\t0000000000000021"), std::string::npos) << text;
  request.process.args = {"gone"};
  EXPECT_EQ(exec(request).error().code, Code::not_found);
  ASSERT_TRUE(kill(root, "c", SIGKILL, false));
  (void)os::wait_child(made->process.pid);
  ASSERT_TRUE(remove(root, "c", false));
}

TEST_F(ContainerTest, ATerminalOfItsOwn) {
  bundle.configure({"sh", "-c", "tty; stty size; test -c /dev/console && echo console"},
                   {{"process.terminal", "true"}, {"process.consoleSize", R"({"width":120,"height":40})"}});
  CreateOptions create_options = options();
  create_options.attached = true;
  auto made = create(create_options);
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE(made->process.terminal);
  ASSERT_TRUE(made->process.start());
  std::string text;
  char buffer[512];
  for (ssize_t n; (n = read(made->process.terminal.get(), buffer, sizeof buffer)) > 0;) text.append(buffer, size_t(n));
  EXPECT_EQ(text, "/dev/pts/0\r\n40 120\r\nconsole\r\n");
  (void)os::wait_child(made->process.pid);
  ASSERT_TRUE(remove(root, "c", true));
}

TEST_F(ContainerTest, NothingOfTheHostIsOpenInside) {
  os::Fd leak(::open("/etc", O_RDONLY | O_DIRECTORY));      // on purpose without close-on-exec
  EXPECT_EQ(output_of("ls /proc/self/fd | wc -l"), "4\n");  // 0, 1, 2 and ls's own
}

TEST_F(ContainerTest, AMissingWorkingDirectoryIsMade) { EXPECT_EQ(output_of("pwd", {{"process.cwd", R"("/deep/er")"}}), "/deep/er\n"); }

}  // namespace
}  // namespace estiba::runtime
