// The CRI by gRPC on a real engine and network, in namespaces of the test's own. This program is the shim as well.
#include "cri/server.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "client/testing/fake_client.h"
#include "engine/test_support.h"
#include "io/grpc.h"
#include "io/remote_command.h"
#include "os/cgroup.h"
#include "os/namespace.h"
#include "runtime/shim.h"

namespace estiba::cri {
namespace {

using engine::Bed;
using namespace std::chrono_literals;

__attribute__((constructor)) void be_shim(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "shim") {
    signal(SIGPIPE, SIG_IGN);
    _exit(runtime::shim_main(argc - 2, argv + 2));
  }
}

/// What a method said: its answer, or why not.
template <class A>
struct Said {
  io::GrpcStatus status;
  A answer;
};

/// A CRI server on the bed's engine, and a client of it.
struct Bench {
  Bed& bed;
  client::testing::FakeClient api;
  std::unique_ptr<network::Network> network;
  std::unique_ptr<Server> server;
  std::unique_ptr<io::GrpcConnection> connection;
  explicit Bench(Bed& bed) : bed(bed), api(*bed.loop) {}

  Task<void> start() {
    network::Options net;
    CO_ASSERT_OK(os::bring_loopback_up());  // streams are served on 127.0.0.1
    net.run_dir = bed.options.run_dir;
    net.data_dir = bed.options.data_dir;
    net.dns = net.proxy = net.policies = false;
    net.pool = 0;
    network = std::make_unique<network::Network>(net, api, *bed.loop);
    CO_ASSERT_OK(co_await network->start());
    Options options;
    options.run_dir = bed.options.run_dir;
    options.data_dir = bed.options.data_dir;
    options.version = "1.2.3";
    options.cgroup_root = bed.group() + "/cri";
    server = std::make_unique<Server>(options, *bed.loop, Parts{*bed.loop, *bed.engine, *network, bed.pool});
    CO_ASSERT_OK(co_await server->start());
    auto stream = co_await io::connect_unix(options.socket_path());
    CO_ASSERT_OK(stream);
    auto http = std::make_shared<io::Http2ClientConnection>(std::move(*stream), 1min);
    http->start();
    connection = std::make_unique<io::GrpcConnection>(*io::Url::parse("http://localhost/"), std::move(http));
  }
  Task<void> stop() {
    connection.reset();
    co_await server->stop();
    server.reset();
    CO_ASSERT_OK(co_await network->stop());
    network.reset();
  }

  template <class A, class Q>
  Task<Said<A>> call(std::string method, Q request, std::string service = "RuntimeService") {
    auto got = co_await connection->call("/runtime.v1." + service + "/" + method, encode(request), {}, 60s);
    Said<A> out{std::move(got.status), {}};
    if (out.status.ok()) EXPECT_TRUE(decode(got.message, out.answer)) << method;
    co_return out;
  }
  template <class A, class Q>
  Task<A> good(std::string method, Q request, std::string service = "RuntimeService") {
    auto said = co_await call<A>(method, std::move(request), std::move(service));
    EXPECT_TRUE(said.status.ok()) << method << ": " << said.status.message;
    co_return std::move(said.answer);
  }

  v1::RunPodSandboxRequest sandbox(std::string name = "web") const {
    v1::RunPodSandboxRequest request;
    request.config.metadata = {name, "uid-" + name, "default", 0};
    request.config.hostname = name + "-host";
    request.config.log_directory = bed.dir / "logs/" + name;
    request.config.dns_config = {{"10.43.0.10"}, {"default.svc.cluster.local"}, {"ndots:5"}};
    request.config.labels = {{"app", name}};
    request.config.linux.security_context.namespace_options.pid = v1::NamespaceMode::container;
    return request;
  }
  v1::CreateContainerRequest shell(std::string sandbox_id, std::string script, std::string name = "main") const {
    v1::CreateContainerRequest request;
    request.pod_sandbox_id = std::move(sandbox_id);
    request.config.metadata = {name, 0};
    request.config.image.image = "box:1";
    request.config.command = {"sh", "-c", std::move(script)};
    request.config.log_path = name + "/0.log";
    request.config.labels = {{"part", name}};
    request.config.linux.security_context.namespace_options.pid = v1::NamespaceMode::container;
    return request;
  }
  Task<std::string> sandboxed(std::string name = "web") {
    co_return (co_await good<v1::RunPodSandboxResponse>("RunPodSandbox", sandbox(std::move(name)))).pod_sandbox_id;
  }
  Task<std::string> started(v1::CreateContainerRequest request) {
    auto id = (co_await good<v1::CreateContainerResponse>("CreateContainer", std::move(request))).container_id;
    (void)co_await good<v1::Empty>("StartContainer", v1::StartContainerRequest{id});
    co_return id;
  }
  Task<v1::ContainerStatus> status(std::string id) {
    co_return (co_await good<v1::ContainerStatusResponse>("ContainerStatus", v1::ContainerStatusRequest{id})).status;
  }
  Task<v1::ContainerStatus> ended(std::string id) {
    (void)co_await bed.ended(id);
    co_return co_await status(std::move(id));
  }
};

void with_bench(Task<void> (*test)(Bench&)) {
  static Task<void> (*chosen)(Bench&);
  chosen = test;
  Bed().run([](Bed& bed) -> Task<void> {
    Bench bench(bed);
    co_await bench.start();
    co_await chosen(bench);
    auto left = co_await bench.good<v1::ListPodSandboxResponse>("ListPodSandbox", v1::ListPodSandboxRequest{});
    for (const auto& sandbox : left.items)
      (void)co_await bench.good<v1::Empty>("RemovePodSandbox", v1::RemovePodSandboxRequest{sandbox.id});
    EXPECT_TRUE(os::list_dir(bed.options.run_dir + "/cri/containers").value_or(std::vector<os::DirEntry>()).empty());
    EXPECT_TRUE(os::list_dir(bed.options.run_dir + "/cri/sandboxes").value_or(std::vector<os::DirEntry>()).empty());
    co_await bench.stop();
    if (auto group = os::Cgroup::at(bed.group())) EXPECT_TRUE(group->remove());
  });
}

TEST(Cri, APodFromItsSandboxToItsEnd) {
  with_bench([](Bench& b) -> Task<void> {
    auto version = co_await b.good<v1::VersionResponse>("Version", v1::VersionRequest{});
    EXPECT_EQ(version.runtime_api_version, "v1");
    EXPECT_EQ(version.runtime_version, "1.2.3");
    const std::string pod = co_await b.sandboxed();
    auto box = co_await b.good<v1::PodSandboxStatusResponse>("PodSandboxStatus", v1::PodSandboxStatusRequest{pod, true});
    EXPECT_EQ(box.status.state, v1::PodSandboxState::ready);
    EXPECT_EQ(box.status.metadata.name, "web");
    EXPECT_TRUE(box.status.network.ip.starts_with("10.42.0.")) << box.status.network.ip;
    EXPECT_NE(box.info["info"].find("netNSPath"), std::string::npos);

    auto request = b.shell(pod, "hostname; cat /etc/resolv.conf; echo $A $FROM; id; cat /proc/net/dev | grep -c eth0; exit 3");
    request.config.envs = {{"A", "1"}};
    request.config.linux.security_context.run_as_user = 1000;
    request.config.linux.security_context.supplemental_groups = {7};
    const std::string id = (co_await b.good<v1::CreateContainerResponse>("CreateContainer", request)).container_id;
    EXPECT_EQ((co_await b.status(id)).state, v1::ContainerState::created);
    (void)co_await b.good<v1::Empty>("StartContainer", v1::StartContainerRequest{id});
    auto status = co_await b.ended(id);
    EXPECT_EQ(status.state, v1::ContainerState::exited);
    EXPECT_EQ(status.exit_code, 3);
    EXPECT_EQ(status.reason, "Error");
    EXPECT_GE(status.finished_at, status.started_at);
    EXPECT_GE(status.started_at, status.created_at);
    EXPECT_EQ(status.log_path, b.bed.dir / "logs/web/main/0.log");
    EXPECT_EQ(b.bed.logged("main", "web"),
              "web-host\nsearch default.svc.cluster.local\nnameserver 10.43.0.10\noptions ndots:5\n1 image\nuid=1000(app) gid=1001(app) "
              "groups=7,1001(app),2000(extra)\n1\n");

    auto list = co_await b.good<v1::ListContainersResponse>("ListContainers", v1::ListContainersRequest{{.id = id.substr(0, 12)}});
    CO_ASSERT(list.containers.size() == 1);
    EXPECT_EQ(list.containers[0].pod_sandbox_id, pod);
    (void)co_await b.good<v1::Empty>("RemoveContainer", v1::RemoveContainerRequest{id});
    (void)co_await b.good<v1::Empty>("RemoveContainer", v1::RemoveContainerRequest{id});
    (void)co_await b.good<v1::Empty>("StopPodSandbox", v1::StopPodSandboxRequest{pod});
    (void)co_await b.good<v1::Empty>("StopPodSandbox", v1::StopPodSandboxRequest{pod});
    box = co_await b.good<v1::PodSandboxStatusResponse>("PodSandboxStatus", v1::PodSandboxStatusRequest{pod});
    EXPECT_EQ(box.status.state, v1::PodSandboxState::not_ready);
    EXPECT_EQ(box.status.network.ip, "");
    (void)co_await b.good<v1::Empty>("RemovePodSandbox", v1::RemovePodSandboxRequest{pod});
    (void)co_await b.good<v1::Empty>("RemovePodSandbox", v1::RemovePodSandboxRequest{pod});
    (void)co_await b.good<v1::Empty>("StopPodSandbox", v1::StopPodSandboxRequest{pod});
  });
}

TEST(Cri, WhatIsNotThereOrNotRightIsSaidByItsCode) {
  with_bench([](Bench& b) -> Task<void> {
    using io::GrpcCode;
    auto code = [&](auto said) { return said.status.code; };
    EXPECT_EQ(code(co_await b.call<v1::ContainerStatusResponse>("ContainerStatus", v1::ContainerStatusRequest{"none"})),
              GrpcCode::not_found);
    EXPECT_EQ(code(co_await b.call<v1::PodSandboxStatusResponse>("PodSandboxStatus", v1::PodSandboxStatusRequest{"none"})),
              GrpcCode::not_found);
    EXPECT_EQ(code(co_await b.call<v1::Empty>("StartContainer", v1::StartContainerRequest{"none"})), GrpcCode::not_found);
    EXPECT_EQ(code(co_await b.call<v1::Empty>("StopContainer", v1::StopContainerRequest{"none"})), GrpcCode::ok);
    EXPECT_EQ(code(co_await b.call<v1::CreateContainerResponse>("CreateContainer", b.shell("none", "true"))), GrpcCode::not_found);
    EXPECT_EQ(code(co_await b.call<v1::RunPodSandboxResponse>("RunPodSandbox", v1::RunPodSandboxRequest{})), GrpcCode::invalid_argument);
    EXPECT_EQ(code(co_await b.call<v1::Empty>("CheckpointContainer", v1::CheckpointContainerRequest{"c"})), GrpcCode::unimplemented);
    EXPECT_EQ(code(co_await b.call<v1::Empty>("NoSuchMethod", v1::Empty{})), GrpcCode::unimplemented);
    auto handler = b.sandbox("other");
    handler.runtime_handler = "kata";
    EXPECT_EQ(code(co_await b.call<v1::RunPodSandboxResponse>("RunPodSandbox", handler)), GrpcCode::invalid_argument);
    const std::string pod = co_await b.sandboxed();
    EXPECT_EQ(code(co_await b.call<v1::RunPodSandboxResponse>("RunPodSandbox", b.sandbox())), GrpcCode::already_exists);
    auto absent = b.shell(pod, "true");
    absent.config.image.image = "absent:1";
    EXPECT_EQ(code(co_await b.call<v1::CreateContainerResponse>("CreateContainer", absent)), GrpcCode::not_found);
    auto missing = b.shell(pod, "");
    missing.config.command = {"no-such-program"};
    auto id = (co_await b.good<v1::CreateContainerResponse>("CreateContainer", missing)).container_id;
    EXPECT_EQ(code(co_await b.call<v1::CreateContainerResponse>("CreateContainer", missing)), GrpcCode::already_exists);
    auto start = co_await b.call<v1::Empty>("StartContainer", v1::StartContainerRequest{id});
    EXPECT_EQ(start.status.code, GrpcCode::unknown);
    EXPECT_NE(start.status.message.find("no-such-program"), std::string::npos) << start.status.message;
    auto status = co_await b.status(id);
    EXPECT_EQ(status.exit_code, 128);
    EXPECT_EQ(status.reason, "StartError");
    EXPECT_EQ(code(co_await b.call<v1::Empty>("StartContainer", v1::StartContainerRequest{id})), GrpcCode::failed_precondition);
  });
}

TEST(Cri, CommandsRunInContainers) {
  with_bench([](Bench& b) -> Task<void> {
    const std::string id = co_await b.started(b.shell(co_await b.sandboxed(), "sleep 1000"));
    auto done =
        co_await b.good<v1::ExecSyncResponse>("ExecSync", v1::ExecSyncRequest{id, {"sh", "-c", "echo out; echo err >&2; exit 5"}, 10});
    EXPECT_EQ(done.stdout, "out\n");
    EXPECT_EQ(done.stderr, "err\n");
    EXPECT_EQ(done.exit_code, 5);
    auto late = co_await b.call<v1::ExecSyncResponse>("ExecSync", v1::ExecSyncRequest{id, {"sleep", "1000"}, 1});
    EXPECT_EQ(late.status.code, io::GrpcCode::deadline_exceeded);
    auto none = co_await b.call<v1::ExecSyncResponse>("ExecSync", v1::ExecSyncRequest{id, {"no-such-program"}, 1});
    EXPECT_EQ(none.status.code, io::GrpcCode::unknown);

    v1::ExecRequest request{id, {"cat"}};
    request.stdin = request.stdout = true;
    auto url = (co_await b.good<v1::ExecResponse>("Exec", request)).url;
    io::HttpClient http({});
    auto session = co_await io::connect_remote_command(http, {.method = "GET", .url = url}, {.in = true, .err = false});
    CO_ASSERT_OK(session);
    CO_ASSERT_OK(co_await (*session)->write_stdin("through the URL\n"));
    CO_ASSERT_OK(co_await (*session)->close_stdin());
    std::string out, end;
    for (;;) {
      auto piece = co_await (*session)->read();
      CO_ASSERT_OK(piece);
      if (!*piece) break;
      ((*piece)->from == io::RemoteCommandClient::Output::From::status ? end : out) += (*piece)->data;
    }
    EXPECT_EQ(out, "through the URL\n");
    EXPECT_NE(end.find("Success"), std::string::npos) << end;
    EXPECT_FALSE(co_await io::connect_remote_command(http, {.method = "GET", .url = url}, {.in = true, .err = false}))
        << "a token is good once";
    request.tty = request.stderr = true;
    EXPECT_EQ((co_await b.call<v1::ExecResponse>("Exec", request)).status.code, io::GrpcCode::invalid_argument);
  });
}

TEST(Cri, PodsOutliveTheServer) {
  with_bench([](Bench& b) -> Task<void> {
    const std::string pod = co_await b.sandboxed();
    const std::string id = co_await b.started(b.shell(pod, "sleep 1000"));
    auto before = co_await b.good<v1::PodSandboxStatusResponse>("PodSandboxStatus", v1::PodSandboxStatusRequest{pod});
    co_await b.stop();
    b.bed.engine.reset();
    b.bed.start_engine();
    CO_ASSERT_OK(co_await b.bed.engine->recover());
    co_await b.start();
    auto after = co_await b.good<v1::PodSandboxStatusResponse>("PodSandboxStatus", v1::PodSandboxStatusRequest{pod});
    EXPECT_EQ(encode(after.status), encode(before.status));
    auto status = co_await b.status(id);
    EXPECT_EQ(status.state, v1::ContainerState::running);
    EXPECT_EQ(status.metadata.name, "main");
    EXPECT_EQ(status.image.image, "docker.io/library/box:1");
    (void)co_await b.good<v1::Empty>("StopContainer", v1::StopContainerRequest{id, 0});
    EXPECT_EQ((co_await b.status(id)).exit_code, 137);
  });
}

TEST(Cri, ListsAreFiltered) {
  with_bench([](Bench& b) -> Task<void> {
    const std::string one = co_await b.sandboxed("one"), two = co_await b.sandboxed("two");
    const std::string a = co_await b.started(b.shell(one, "sleep 1000", "a"));
    (void)co_await b.ended(co_await b.started(b.shell(one, "true", "b")));
    (void)co_await b.good<v1::Empty>("StopPodSandbox", v1::StopPodSandboxRequest{two});
    auto sandboxes = [&](v1::PodSandboxFilter filter) {
      return b.good<v1::ListPodSandboxResponse>("ListPodSandbox", v1::ListPodSandboxRequest{filter});
    };
    EXPECT_EQ((co_await sandboxes({})).items.size(), 2u);
    EXPECT_EQ((co_await sandboxes({.state = v1::PodSandboxState::ready})).items.at(0).id, one);
    EXPECT_EQ((co_await sandboxes({.label_selector = {{"app", "two"}}})).items.at(0).id, two);
    EXPECT_EQ((co_await sandboxes({.id = "none"})).items.size(), 0u);
    auto containers = [&](v1::ContainerFilter filter) {
      return b.good<v1::ListContainersResponse>("ListContainers", v1::ListContainersRequest{filter});
    };
    EXPECT_EQ((co_await containers({.pod_sandbox_id = one})).containers.size(), 2u);
    EXPECT_EQ((co_await containers({.pod_sandbox_id = two})).containers.size(), 0u);
    EXPECT_EQ((co_await containers({.state = v1::ContainerState::running})).containers.at(0).id, a);
    EXPECT_EQ((co_await containers({.label_selector = {{"part", "b"}}})).containers.at(0).state, v1::ContainerState::exited);
  });
}

TEST(Cri, UseIsToldAndLimited) {
  with_bench([](Bench& b) -> Task<void> {
    const std::string pod = co_await b.sandboxed();
    auto request = b.shell(pod, "sleep 1000");
    request.config.linux.resources.memory_limit_in_bytes = 64 << 20;
    const std::string id = co_await b.started(request);
    auto stats = (co_await b.good<v1::ContainerStatsResponse>("ContainerStats", v1::ContainerStatsRequest{id})).stats;
    EXPECT_EQ(stats.attributes.metadata.name, "main");
    EXPECT_GT(stats.cpu.usage_core_nano_seconds.value_or(0), 0u);
    EXPECT_GT(stats.memory.available_bytes.value_or(0), 0u);
    EXPECT_TRUE(stats.writable_layer.used_bytes);
    v1::UpdateContainerResourcesRequest update{.container_id = id};
    update.linux.memory_limit_in_bytes = 32 << 20;
    update.linux.cpu_shares = 512;
    (void)co_await b.good<v1::Empty>("UpdateContainerResources", update);
    auto status = co_await b.status(id);
    EXPECT_EQ(status.resources.linux.memory_limit_in_bytes, 32 << 20);
    EXPECT_EQ(status.resources.linux.cpu_shares, 512);
    EXPECT_LT((co_await b.good<v1::ContainerStatsResponse>("ContainerStats", v1::ContainerStatsRequest{id}))
                  .stats.memory.available_bytes.value_or(0),
              uint64_t(32 << 20) + 1);
    auto all = (co_await b.good<v1::ListPodSandboxStatsResponse>("ListPodSandboxStats", v1::ListPodSandboxStatsRequest{})).stats;
    CO_ASSERT(all.size() == 1);
    EXPECT_EQ(all[0].linux.containers.size(), 1u);
    EXPECT_EQ(all[0].linux.process.process_count, 1u);
    EXPECT_EQ(all[0].linux.network.default_interface.name, "eth0");
  });
}

TEST(Cri, MetricsAreThoseThatTheDescriptorsTell) {
  with_bench([](Bench& b) -> Task<void> {
    const std::string pod = co_await b.sandboxed(), id = co_await b.started(b.shell(pod, "sleep 1000"));
    std::map<std::string, v1::MetricDescriptor> descriptors;
    for (auto& each : (co_await b.good<v1::ListMetricDescriptorsResponse>("ListMetricDescriptors", v1::Empty{})).descriptors)
      EXPECT_TRUE(descriptors.emplace(each.name, each).second) << each.name;
    EXPECT_EQ(descriptors.at("container_network_receive_bytes_total").label_keys.back(), "interface");
    auto all = (co_await b.good<v1::ListPodSandboxMetricsResponse>("ListPodSandboxMetrics", v1::Empty{})).pod_metrics;
    CO_ASSERT(all.size() == 1 && all[0].container_metrics.size() == 1);
    EXPECT_EQ(all[0].pod_sandbox_id, pod);
    EXPECT_EQ(all[0].container_metrics[0].container_id, id);
    std::set<std::string> of_pod, of_container;
    const auto check = [&](const std::vector<v1::Metric>& metrics, std::set<std::string>& names) {
      for (const v1::Metric& metric : metrics) {
        names.insert(metric.name);
        EXPECT_EQ(metric.label_values.size(), descriptors[metric.name].label_keys.size()) << metric.name;
        EXPECT_GT(metric.timestamp, 0) << metric.name;
        if (metric.name == "container_memory_usage_bytes") EXPECT_GT(metric.value.value_or(0), 0u);
      }
    };
    check(all[0].metrics, of_pod);
    check(all[0].container_metrics[0].metrics, of_container);
    EXPECT_TRUE(of_pod.contains("container_network_receive_bytes_total"));
    EXPECT_FALSE(of_container.contains("container_network_receive_bytes_total"));
    EXPECT_TRUE(of_container.contains("container_cpu_usage_seconds_total"));
  });
}

TEST(Cri, EventsAreToldAsTheyCome) {
  with_bench([](Bench& b) -> Task<void> {
    auto opened = co_await b.connection->open("/runtime.v1.RuntimeService/GetContainerEvents", "", {}, 10s);
    CO_ASSERT(opened.stream != nullptr);
    const std::string pod = co_await b.sandboxed();
    const std::string id = co_await b.started(b.shell(pod, "exit 4"));
    using enum v1::ContainerEventType;
    const std::pair<std::string, v1::ContainerEventType> expected[] = {
        {pod, created}, {pod, started}, {id, created}, {id, started}, {id, stopped}};
    for (const auto& [who, what] : expected) {
      auto bytes = co_await opened.stream->next();
      CO_ASSERT(bytes.has_value());
      v1::ContainerEventResponse event;
      EXPECT_TRUE(decode(*bytes, event));
      EXPECT_EQ(event.container_id, who);
      EXPECT_EQ(event.container_event_type, what);
      EXPECT_EQ(event.pod_sandbox_status.id, pod);
      if (what == stopped) EXPECT_EQ(event.containers_statuses.at(0).exit_code, 4);
    }
  });
}

TEST(Cri, ImagesAreListedAndRemovedWhole) {
  with_bench([](Bench& b) -> Task<void> {
    const std::string service = "ImageService";
    auto list = co_await b.good<v1::ListImagesResponse>("ListImages", v1::ListImagesRequest{}, service);
    CO_ASSERT(list.images.size() == 1);
    EXPECT_EQ(list.images[0].repo_tags, std::vector<std::string>{"docker.io/library/box:1"});
    EXPECT_GT(list.images[0].size, 0u);
    auto found = co_await b.good<v1::ImageStatusResponse>("ImageStatus", v1::ImageStatusRequest{{.image = "box:1"}}, service);
    EXPECT_EQ(found.image.id, list.images[0].id);
    auto disk = co_await b.good<v1::ImageFsInfoResponse>("ImageFsInfo", v1::Empty{}, service);
    CO_ASSERT(disk.image_filesystems.size() == 1);
    EXPECT_EQ(disk.image_filesystems[0].fs_id.mountpoint, b.bed.options.data_dir);
    (void)co_await b.good<v1::Empty>("RemoveImage", v1::RemoveImageRequest{{.image = found.image.id}}, service);
    (void)co_await b.good<v1::Empty>("RemoveImage", v1::RemoveImageRequest{{.image = found.image.id}}, service);
    found = co_await b.good<v1::ImageStatusResponse>("ImageStatus", v1::ImageStatusRequest{{.image = "box:1"}}, service);
    EXPECT_EQ(found.image.id, "") << "an image that is not here is no error";
    auto pulled = co_await b.call<v1::PullImageResponse>("PullImage", v1::PullImageRequest{{.image = "Not An Image"}}, service);
    EXPECT_EQ(pulled.status.code, io::GrpcCode::invalid_argument);
  });
}

}  // namespace
}  // namespace estiba::cri
