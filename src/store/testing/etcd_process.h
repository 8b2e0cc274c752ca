// A real etcd (Debian's etcd-server) for tests: one member on free ports of 127.0.0.1, its data gone with it.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "io/pki.h"

extern char** environ;

namespace estiba::store {

class EtcdProcess {
 public:
  /// `tls`: HTTPS with a certificate of a CA of its own, and only for clients with one.
  explicit EtcdProcess(std::vector<std::string> more = {}, bool tls = false) : more_(std::move(more)), tls_(tls) {
    // Data that need not outlive the machine need no disk.
    std::string base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    directory_ = base + "/estiba-etcd-XXXXXX";
    if (!mkdtemp(directory_.data())) abort();
    port_ = free_port();
    peer_port_ = free_port();
    if (tls_) make_certificates();
    start();
  }
  EtcdProcess(const EtcdProcess&) = delete;
  ~EtcdProcess() {
    kill();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  void start() {
    const std::string peer = "http://127.0.0.1:" + std::to_string(peer_port_);
    std::vector<std::string> arguments = {"etcd",
                                          "--name=test",
                                          "--data-dir=" + directory_ + "/data",
                                          "--listen-client-urls=" + url(),
                                          "--advertise-client-urls=" + url(),
                                          "--listen-peer-urls=" + peer,
                                          "--initial-advertise-peer-urls=" + peer,
                                          "--initial-cluster=test=" + peer,
                                          "--heartbeat-interval=50",
                                          "--election-timeout=500",
                                          "--logger=zap"};
    if (tls_) {
      for (const char* flag : {"--cert-file=server.crt", "--key-file=server.key", "--trusted-ca-file=ca.crt"}) {
        std::string_view text = flag;
        size_t at = text.find('=') + 1;
        arguments.push_back(std::string(text.substr(0, at)) + directory_ + "/" + std::string(text.substr(at)));
      }
      arguments.push_back("--client-cert-auth");
    }
    arguments.insert(arguments.end(), more_.begin(), more_.end());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const std::string log = directory_ + "/log";
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (posix_spawnp(&pid_, "etcd", &actions, nullptr, argv.data(), environ) != 0) pid_ = 0;
    posix_spawn_file_actions_destroy(&actions);
  }
  /// SIGKILL.
  void kill() {
    if (!pid_) return;
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  /// Runs etcdctl; aborts when it fails.
  void ctl(const std::string& arguments) const {
    std::string command = "ETCDCTL_API=3 etcdctl --endpoints=" + url();
    if (tls_) command += " --cacert=" + directory_ + "/ca.crt --cert=" + directory_ + "/root.crt --key=" + directory_ + "/root.key";
    command += " " + arguments + " >>" + directory_ + "/ctl.log 2>&1";
    if (system(command.c_str()) != 0) abort();
  }
  bool started() const { return pid_ != 0; }

  std::string url() const { return (tls_ ? "https" : "http") + std::string("://127.0.0.1:") + std::to_string(port_); }
  std::string log() const { return read("/log"); }
  std::string ca_pem() const { return read("/ca.crt"); }
  const io::KeyPair& client() const { return client_; }

 private:
  static int free_port() {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) < 0 || getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) < 0)
      abort();
    close(fd);
    return ntohs(address.sin_port);
  }
  std::string read(const std::string& name) const {
    std::ifstream file(directory_ + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void make_certificates() {
    WallTime now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
    auto ca = io::make_ca("etcd-test", now);
    auto server = io::make_certificate(*ca, {.common_name = "etcd", .ip_addresses = {"127.0.0.1"}, .server = true, .client = true}, now);
    auto root = io::make_certificate(*ca, {.common_name = "root", .client = true}, now);
    std::ofstream(directory_ + "/root.crt") << root->certificate_pem;
    std::ofstream(directory_ + "/root.key") << root->key_pem;
    client_ = *io::make_certificate(*ca, {.common_name = "estiba", .client = true}, now);
    std::ofstream(directory_ + "/ca.crt") << ca->certificate_pem;
    std::ofstream(directory_ + "/server.crt") << server->certificate_pem;
    std::ofstream(directory_ + "/server.key") << server->key_pem;
  }

  std::vector<std::string> more_;
  bool tls_;
  std::string directory_;
  int port_ = 0, peer_port_ = 0;
  pid_t pid_ = 0;
  io::KeyPair client_;
};

}  // namespace estiba::store
