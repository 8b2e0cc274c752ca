// links: network
// What the network is measured with; each prints one line of JSON.
//
//   network_load serve PORT ANSWER           answers every connection with ANSWER and closes it, until it is killed
//   network_load connect ADDRESS PORT SECONDS   connections a second, one after another: connect, ask, read to the end
//   network_load dns ADDRESS NAME SECONDS    answers a second with many questions under way, and the times of single ones
//   network_load services N ENDPOINTS        N Services with ENDPOINTS each, from their objects to the packet filter of this network
//   namespace
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "model/object.h"
#include "network/proxy/table.h"

namespace estiba::network {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_in address_of(const char* ip, int port) {
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(uint16_t(port))};
  if (inet_pton(AF_INET, ip, &address.sin_addr) != 1) give_up(ip);
  return address;
}

int serve(int port, const std::string& answer) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = address_of("0.0.0.0", port);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 || listen(listener, 1024) < 0) give_up("listen");
  for (;;) {
    int fd = accept(listener, nullptr, nullptr);
    if (fd < 0) continue;
    char question[16];
    (void)!read(fd, question, sizeof question);
    (void)!write(fd, answer.data(), answer.size());
    close(fd);
  }
}

int connect_again_and_again(const char* ip, int port, double seconds) {
  sockaddr_in address = address_of(ip, port);
  uint64_t count = 0;
  auto begin = Clock::now();
  while (seconds_since(begin) < seconds) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) give_up("connect");
    char answer[64];
    if (write(fd, "?", 1) != 1) give_up("write");
    while (read(fd, answer, sizeof answer) > 0) {
    }
    // Reset instead of TIME_WAIT, so that ports do not run out.
    linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    ++count;
  }
  std::printf("{\"per_second\": %.0f}\n", double(count) / seconds_since(begin));
  return 0;
}

std::string question(const std::string& name) {
  std::string packet("\0\0\1\0\0\1\0\0\0\0\0\0", 12);
  for (size_t at = 0; at < name.size();) {
    size_t end = std::min(name.find('.', at), name.size());
    packet += char(end - at);
    packet.append(name, at, end - at);
    at = end + 1;
  }
  return packet + std::string("\0\0\1\0\1", 5);
}

int ask(const char* ip, const std::string& name, double seconds) {
  constexpr size_t kUnderWay = 64;
  sockaddr_in address = address_of(ip, 53);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) give_up("connect");
  std::string packet = question(name);
  char answers[kUnderWay][512];
  iovec in[kUnderWay], out{packet.data(), packet.size()};
  mmsghdr received[kUnderWay] = {}, sent[kUnderWay] = {};
  for (size_t i = 0; i < kUnderWay; ++i) {
    in[i] = {answers[i], sizeof answers[i]};
    received[i].msg_hdr = {.msg_iov = &in[i], .msg_iovlen = 1};
    sent[i].msg_hdr = {.msg_iov = &out, .msg_iovlen = 1};
  }
  auto answered = [&](unsigned at_most) {
    pollfd wait{fd, POLLIN, 0};
    if (poll(&wait, 1, 200) <= 0) return 0;
    return recvmmsg(fd, received, at_most, MSG_DONTWAIT, nullptr);
  };
  std::vector<double> micros;
  for (int i = 0; i < 5000; ++i) {
    auto begin = Clock::now();
    if (send(fd, packet.data(), packet.size(), 0) < 0) give_up("send");
    if (answered(1) != 1 || (answers[0][3] & 15)) give_up("no answer");
    micros.push_back(seconds_since(begin) * 1e6);
  }
  std::ranges::sort(micros);
  uint64_t count = 0;
  int under_way = 0;
  auto begin = Clock::now();
  while (seconds_since(begin) < seconds) {
    if (int more = int(kUnderWay) - under_way; more > 0) under_way += std::max(0, sendmmsg(fd, sent, unsigned(more), 0));
    int got = answered(kUnderWay);
    if (got <= 0) under_way = 0;  // lost: the socket's buffer was full
    else count += uint64_t(got), under_way = std::max(0, under_way - got);
  }
  std::printf("{\"per_second\": %.0f, \"answers\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", double(count) / seconds_since(begin),
              size_t(count) + micros.size(), micros[micros.size() / 2], micros[micros.size() * 99 / 100]);
  return 0;
}

long resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
  return 0;
}

int load_services(int count, int endpoints) {
  const Prefix pods = *Prefix::parse("10.42.0.0/16"), services = *Prefix::parse("10.43.0.0/16");
  std::vector<model::ObjectRef> objects;
  auto keep = [&](const std::string& json) {
    auto made = model::Object::parse(json);
    if (!made) give_up(made.error().message.c_str());
    objects.push_back({std::move(*made), 1});
  };
  uint32_t pod = 0;
  for (int i = 0; i < count; ++i) {
    std::string name = "s" + std::to_string(i), list;
    keep(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":")" + name + R"(","namespace":"x"},"spec":{"clusterIP":")" +
         services.nth(uint32_t(i) + 256)->text() +
         R"(","type":"ClusterIP","ports":[{"name":"http","port":80,"targetPort":8080,"protocol":"TCP"}]}})");
    for (int e = 0; e < endpoints; ++e, ++pod)
      list += (e ? "," : "") + (R"({"addresses":[")" + pods.nth(2 + pod % 65000)->text() +
                                R"("],"conditions":{"ready":true,"serving":true,"terminating":false},"nodeName":"n"})");
    keep(R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":")" + name +
         R"(-x","namespace":"x"},"addressType":"IPv4","ports":[{"name":"http","port":8080,"protocol":"TCP"}],"endpoints":[)" + list + "]}");
  }
  const long before = resident_kib();
  auto begin = Clock::now();
  ProxyState state(pods);
  for (size_t i = 0; i < objects.size(); i += 2)
    state.set("x/s" + std::to_string(i / 2), entries_of(objects[i].as<model::core_v1::Service>(),
                                                        {&objects[i + 1].as<model::discovery_v1::EndpointSlice>()}, {.node = "n"}));
  const double taken_in = seconds_since(begin);
  ProxyTable table({.bridge = "estiba0",
                    .side = {.pods = pods, .cluster = pods, .services = services, .gateway = *pods.nth(1), .dns = *services.nth(10)}});
  auto socket = os::netlink::Socket::open(NETLINK_NETFILTER);
  if (!socket) give_up("netlink");
  {
    auto whole = table.replace(state.take_whole());
    if (auto done = whole.commit(*socket); !done) give_up(done.error().message.c_str());
  }
  const double loaded = seconds_since(begin);
  const long after = resident_kib();
  begin = Clock::now();
  constexpr int kChanges = 50;
  for (int i = 0; i < kChanges; ++i) {
    Backend backend{*pods.nth(uint32_t(2 + i)), 8080};
    state.set("x/s7", {{.front = {*services.nth(7 + 256), Protocol::tcp, 80}, .backends = {backend}}});
    if (auto done = table.update(state.take_change()).commit(*socket); !done) give_up(done.error().message.c_str());
  }
  std::printf("{\"taken_in_s\": %.3f, \"loaded_s\": %.3f, \"resident_kib\": %ld, \"change_us\": %.0f}\n", taken_in, loaded, after - before,
              seconds_since(begin) / kChanges * 1e6);
  return 0;
}

}  // namespace
}  // namespace estiba::network

int main(int count, char** arguments) {
  using namespace estiba::network;
  const std::string what = count > 1 ? arguments[1] : "";
  if (what == "serve" && count == 4) return serve(std::atoi(arguments[2]), arguments[3]);
  if (what == "connect" && count == 5) return connect_again_and_again(arguments[2], std::atoi(arguments[3]), std::atof(arguments[4]));
  if (what == "dns" && count == 5) return ask(arguments[2], arguments[3], std::atof(arguments[4]));
  if (what == "services" && count == 4) return load_services(std::atoi(arguments[2]), std::atoi(arguments[3]));
  std::fprintf(stderr,
               "network_load: serve PORT ANSWER | connect ADDRESS PORT SECONDS | dns ADDRESS NAME SECONDS | services N ENDPOINTS\n");
  return 2;
}
