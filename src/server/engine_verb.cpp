#include "server/engine_verb.h"

#include <sys/stat.h>

#include "base/log.h"
#include "base/strings.h"
#include "docker/daemon.h"
#include "io/loop.h"
#include "os/signals.h"
#include "server/daemonize.h"
#include "server/lone_cri.h"
#include "server/node_flags.h"

namespace estiba::server {

namespace {

Task<Result<void>> serve(io::Loop* loop, docker::DaemonOptions options, LoneCriOptions cri_options, int signals) {
  docker::Daemon daemon(std::move(options), *loop);
  LoneCri cri(std::move(cri_options), daemon);
  auto started = co_await daemon.start();
  if (started) started = co_await cri.start();
  if (started) {
    log::info("docker", "ready", {{"socket", daemon.options().socket_path()}});
    notify("READY=1");
    co_await loop->readable(signals);
    log::info("docker", "stopping; containers go on");
    notify("STOPPING=1");
  }
  co_await cri.stop();
  co_await daemon.stop();
  co_return started;
}

}  // namespace

Result<int> run_engine(const cli::Arguments& arguments) {
  docker::DaemonOptions options;
  LoneCriOptions cri;
  std::string log_format = "text", cdi_spec_dirs(default_cdi_spec_dirs);
  int64_t verbosity = 0;
  cli::Flags flags("estiba engine [FLAGS]");
  flags.add("data-dir", &options.data_dir, "where images, containers and volumes are kept");
  flags.add("run-dir", &options.run_dir, "sockets and state of what runs; may be lost at a reboot");
  flags.add("docker-socket", &options.docker_socket, "path of the API's socket (default: docker.sock in the run directory)");
  flags.add("cri-socket", &cri.socket, "path of a socket on which the Container Runtime Interface is answered; not without one");
  flags.add("pod-cidr", &cri.pod_cidr, "with --cri-socket: addresses of this machine's pods");
  flags.add("service-cidr", &cri.service_cidr,
            "with --cri-socket: addresses that the cluster's services have, which are none of this machine's");
  flags.add("listen-tcp", &options.listen_tcp, "ADDRESS:PORT on which the API answers as well, to anybody");
  flags.add("registry-mirror", &options.registry_mirrors,
            "URL of a registry that is asked first for what Docker Hub has; may be given several times");
  flags.add("insecure-registry", &options.insecure_registries,
            "HOST[:PORT] or network of registries without a certificate that verifies, or without TLS; may be given several times");
  flags.add("cdi-spec-dirs", &cdi_spec_dirs, cdi_spec_dirs_help);
  flags.add("log-format", &log_format, "text or json");
  flags.add("v", &verbosity, "1 logs more");
  const cli::Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    std::fputs(flags.help().c_str(), stdout);
    return 0;
  }
  if (!rest.empty()) return fail(Code::invalid, "it takes no arguments; " + std::string(rest[0]) + " was given");
  if (log_format != "text" && log_format != "json") return fail(Code::invalid, "--log-format " + log_format + ": text or json is expected");
  options.cdi_spec_dirs = TRY(folders_of_flag("cdi-spec-dirs", cdi_spec_dirs));
  log::configure(verbosity > 0 ? log::Level::debug : log::Level::info, log_format == "json" ? log::Format::json : log::Format::text);
  settle_memory();
  umask(022);
  if (!cri.socket.empty())
    for (const std::string& ranges : {cri.pod_cidr, cri.service_cidr})
      for (std::string_view range : split(ranges, ',')) options.avoid_subnets.emplace_back(range);
  Fd signals = TRY(os::ending_signals());
  io::Loop loop;
  TRY(loop.block_on(serve(&loop, std::move(options), std::move(cri), signals.get())));
  return 0;
}

}  // namespace estiba::server
