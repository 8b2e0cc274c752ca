#include "cli/docker/container_options.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "cli/docker/verb.h"
#include "os/file.h"

namespace estiba::cli::docker {
namespace {

// The request body that a command line makes, or the error.
json::Document body_of(Arguments arguments, std::string* error = nullptr) {
  static Cli cli("docker");
  const Verb verb{.names = "run", .usage = "[OPTIONS] IMAGE", .summary = "", .least = 1, .most = -1};
  Call call{cli, verb, "docker run", std::move(arguments)};
  ContainerOptions options;
  Flags flags(call);
  options.declare(flags);
  auto rest = flags.parse(true);
  EXPECT_TRUE(rest);
  options.note(flags);
  Builder body;
  auto built = build_container(options, *rest, false, body);
  if (error) *error = built ? "" : built.error().message;
  else EXPECT_TRUE(built) << built.error().message;
  return *json::Document::parse(body.text());
}

std::string at(const json::Document& body, auto... path) {
  const json::Node* node = body.root().at(path...);
  return node ? json::print(*node) : "(none)";
}

std::string error_of(Arguments arguments) {
  std::string error;
  body_of(std::move(arguments), &error);
  return error;
}

TEST(ContainerOptions, Plain) {
  const auto body = body_of({"--name", "x", "alpine", "sh", "-c", "true"});
  EXPECT_EQ(at(body, "Image"), "\"alpine\"");
  EXPECT_EQ(at(body, "Cmd"), R"(["sh","-c","true"])");
  EXPECT_EQ(at(body, "AttachStdout"), "true");
  EXPECT_EQ(at(body, "AttachStdin"), "false");
  EXPECT_EQ(at(body, "Entrypoint"), "(none)");
  EXPECT_EQ(at(body, "HostConfig", "NetworkMode"), "\"default\"");
  EXPECT_EQ(at(body, "HostConfig", "RestartPolicy"), R"({"Name":"no","MaximumRetryCount":0})");
  const auto interactive = body_of({"-i", "--entrypoint", "", "alpine"});
  EXPECT_EQ(at(interactive, "StdinOnce"), "true");
  EXPECT_EQ(at(interactive, "Entrypoint"), R"([""])");
  EXPECT_EQ(at(interactive, "Cmd"), "(none)");
}

TEST(ContainerOptions, Ports) {
  const auto body = body_of({"-p", "8080:80", "-p", "127.0.0.1:9000-9001:90-91/udp", "-p", "[::1]:53:53/udp", "-p", "7000", "-p",
                             "127.0.0.1::6000", "-p", "8000-8010:85", "--expose", "1-2", "alpine"});
  const json::Node& ports = *body.root().at("HostConfig", "PortBindings");
  EXPECT_EQ(json::print(*ports.find("80/tcp")), R"([{"HostIp":"","HostPort":"8080"}])");
  EXPECT_EQ(json::print(*ports.find("91/udp")), R"([{"HostIp":"127.0.0.1","HostPort":"9001"}])");
  EXPECT_EQ(json::print(*ports.find("53/udp")), R"([{"HostIp":"::1","HostPort":"53"}])");
  EXPECT_EQ(json::print(*ports.find("7000/tcp")), R"([{"HostIp":"","HostPort":""}])");
  EXPECT_EQ(json::print(*ports.find("6000/tcp")), R"([{"HostIp":"127.0.0.1","HostPort":""}])");
  EXPECT_EQ(json::print(*ports.find("85/tcp")), R"([{"HostIp":"","HostPort":"8000-8010"}])");
  EXPECT_NE(body.root().at("ExposedPorts", "2/tcp"), nullptr);
  EXPECT_EQ(error_of({"-p", "x:80", "a"}), "invalid hostPort: x");
  EXPECT_EQ(error_of({"-p", "80:x", "a"}), "invalid containerPort: x");
  EXPECT_EQ(error_of({"-p", "80/sctpx", "a"}), "invalid proto: sctpx");
  EXPECT_NE(error_of({"-p", "80-81:90-93", "a"}).find("invalid ranges"), std::string::npos);
  EXPECT_NE(error_of({"-p", "99999:80", "a"}), "");
}

TEST(ContainerOptions, VolumesAndMounts) {
  const auto body =
      body_of({"-v", "data:/data:ro", "-v", "/anonymous", "-v", "./here:/there", "--tmpfs", "/run:size=1m", "--mount",
               "type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave", "--mount", "target=/v,volume-opt=type=nfs,volume-label=a=b",
               "--mount", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770", "alpine"});
  const json::Node& binds = *body.root().at("HostConfig", "Binds");
  EXPECT_EQ(binds[0].as_string(), "data:/data:ro");
  EXPECT_TRUE(binds[1].as_string().starts_with('/') && binds[1].as_string().ends_with("/here:/there")) << binds[1].as_string();
  EXPECT_EQ(at(body, "Volumes"), R"({"/anonymous":{}})");
  EXPECT_EQ(at(body, "HostConfig", "Tmpfs"), R"({"/run":"size=1m"})");
  const json::Node& mounts = *body.root().at("HostConfig", "Mounts");
  EXPECT_EQ(json::print(mounts[0]),
            R"({"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"Propagation":"rslave"}})");
  EXPECT_EQ(json::print(mounts[1]),
            R"({"Target":"/v","VolumeOptions":{"DriverConfig":{"Options":{"type":"nfs"}},"Labels":{"a":"b"}},"Type":"volume"})");
  EXPECT_EQ(json::print(mounts[2]), R"({"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1048576,"Mode":1016}})");
  EXPECT_NE(error_of({"--mount", "type=bind", "a"}).find("target is required"), std::string::npos);
  EXPECT_EQ(error_of({"--mount", "nonsense=1,target=/x", "a"}), "unknown option 'nonsense' in 'nonsense=1'");
  EXPECT_NE(error_of({"--mount", "type=bind,target=/x,volume-nocopy", "a"}).find("cannot mix"), std::string::npos);
}

TEST(ContainerOptions, Limits) {
  const auto body = body_of({"-m", "512m", "--cpus", "1.5", "--pids-limit", "100", "--ulimit", "nofile=1024:2048", "--ulimit", "core=0",
                             "--shm-size", "1g", "--memory-swap", "-1", "--device", "/dev/fuse", "--device", "/dev/a:/dev/b:r", "alpine"});
  EXPECT_EQ(at(body, "HostConfig", "Memory"), "536870912");
  EXPECT_EQ(at(body, "HostConfig", "NanoCpus"), "1500000000");
  EXPECT_EQ(at(body, "HostConfig", "PidsLimit"), "100");
  EXPECT_EQ(at(body, "HostConfig", "MemorySwap"), "-1");
  EXPECT_EQ(at(body, "HostConfig", "Ulimits"), R"([{"Name":"nofile","Soft":1024,"Hard":2048},{"Name":"core","Soft":0,"Hard":0}])");
  EXPECT_EQ(
      at(body, "HostConfig", "Devices"),
      R"([{"PathOnHost":"/dev/fuse","PathInContainer":"/dev/fuse","CgroupPermissions":"rwm"},{"PathOnHost":"/dev/a","PathInContainer":"/dev/b","CgroupPermissions":"r"}])");
  EXPECT_NE(error_of({"--cpus", "many", "a"}), "");
  EXPECT_NE(error_of({"--ulimit", "nofile", "a"}), "");
  EXPECT_NE(error_of({"--ulimit", "nofile=5:3", "a"}), "");
}

TEST(ContainerOptions, Networks) {
  auto body = body_of({"--network", "front", "--network-alias", "web", "--ip", "10.0.0.9", "alpine"});
  EXPECT_EQ(at(body, "HostConfig", "NetworkMode"), "\"front\"");
  EXPECT_EQ(at(body, "NetworkingConfig", "EndpointsConfig"), R"({"front":{"Aliases":["web"],"IPAMConfig":{"IPv4Address":"10.0.0.9"}}})");
  body = body_of({"--network", "name=a,alias=x,alias=y", "--network", "b", "alpine"});
  EXPECT_EQ(at(body, "NetworkingConfig", "EndpointsConfig"), R"({"a":{"Aliases":["x","y"]},"b":{}})");
  body = body_of({"--network", "none", "alpine"});
  EXPECT_EQ(at(body, "NetworkingConfig", "EndpointsConfig"), "{}");
  EXPECT_EQ(at(body_of({"--add-host", "db:10.0.0.1", "--add-host", "v6=[::1]", "alpine"}), "HostConfig", "ExtraHosts"),
            R"(["db:10.0.0.1","v6:::1"])");
}

TEST(ContainerOptions, Environment) {
  setenv("ESTIBA_TEST_HERE", "found", 1);
  unsetenv("ESTIBA_TEST_GONE");
  const std::string path = testing::TempDir() + "/env-file-test";
  ASSERT_TRUE(os::write_file(path, "# comment\n\nA=1\n  B=two words \nESTIBA_TEST_HERE\nESTIBA_TEST_GONE\nE=\n", O_CREAT | O_TRUNC));
  const auto body = body_of({"--env-file", path, "-e", "C=3", "-e", "ESTIBA_TEST_HERE", "alpine"});
  EXPECT_EQ(at(body, "Env"), R"(["A=1","B=two words ","ESTIBA_TEST_HERE=found","E=","C=3","ESTIBA_TEST_HERE=found"])");
  ASSERT_TRUE(os::write_file(path, "BAD NAME=1\n", O_TRUNC));
  EXPECT_EQ(error_of({"--env-file", path, "a"}), "variable 'BAD NAME' contains whitespaces");
  EXPECT_NE(error_of({"--env-file", "/nowhere/at/all", "a"}).find("no such file or directory"), std::string::npos);
  ASSERT_TRUE(os::remove_file(path));
}

TEST(ContainerOptions, HealthAndRestart) {
  const auto body =
      body_of({"--health-cmd", "true", "--health-interval", "5s", "--health-retries", "3", "--restart", "on-failure:4", "alpine"});
  EXPECT_EQ(at(body, "Healthcheck"), R"({"Test":["CMD-SHELL","true"],"Interval":5000000000,"Retries":3})");
  EXPECT_EQ(at(body, "HostConfig", "RestartPolicy"), R"({"Name":"on-failure","MaximumRetryCount":4})");
  EXPECT_EQ(at(body_of({"--no-healthcheck", "a"}), "Healthcheck"), R"({"Test":["NONE"]})");
  EXPECT_NE(error_of({"--no-healthcheck", "--health-cmd", "x", "a"}), "");
  EXPECT_EQ(error_of({"--rm", "--restart", "always", "a"}), "conflicting options: cannot specify both --restart and --rm");
  EXPECT_EQ(error_of({"--restart", "on-failure:x", "a"}), "invalid restart policy format: maximum retry count must be an integer");
}

TEST(ContainerOptions, Gpus) {
  EXPECT_EQ(at(body_of({"--gpus", "all", "a"}), "HostConfig", "DeviceRequests"), R"([{"Count":-1,"Capabilities":[["gpu"]]}])");
  EXPECT_NE(error_of({"--gpus", "nonsense", "a"}), "");
  const auto devices = body_of({"--device", "v.com/c=1", "--device", "/dev/x", "--device", "v.com/c=a:2", "a"});
  EXPECT_EQ(at(devices, "HostConfig", "DeviceRequests"), R"([{"Driver":"cdi","DeviceIDs":["v.com/c=1","v.com/c=a:2"]}])");
  EXPECT_EQ(at(devices, "HostConfig", "Devices"), R"([{"PathOnHost":"/dev/x","PathInContainer":"/dev/x","CgroupPermissions":"rwm"}])");
}

}  // namespace
}  // namespace estiba::cli::docker
