// estiba registry: serves the content store as an OCI registry.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "base/log.h"
#include "base/strings.h"
#include "cli/verbs.h"
#include "image/registry_server/server.h"
#include "io/loop.h"
#include "os/file.h"
#include "os/signals.h"

namespace estiba::cli {
namespace {

using namespace std::chrono_literals;

struct Options {
  std::string data_dir = "/var/lib/estiba", listen = "127.0.0.1:5000", htpasswd, certificate, key;
  std::vector<std::string> names;
  bool images = true;
  int64_t grace = 3600;
};

struct Address {
  std::string host;
  uint16_t port = 0;
};

Result<Address> parse_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  auto port = colon == text.npos ? std::nullopt : parse_number<uint16_t>(text.substr(colon + 1));
  if (!port) return fail(Code::invalid, "--listen " + quoted(text) + ": ADDRESS:PORT is expected, as 127.0.0.1:5000");
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return Address{std::string(host), *port};
}

Result<io::TlsContextRef> read_tls(const Options& options) {
  if (options.certificate.empty() && options.key.empty()) return nullptr;
  if (options.certificate.empty() || options.key.empty()) return fail(Code::invalid, "give --tls-certificate and --tls-key together");
  io::TlsServerOptions tls;
  tls.certificate_pem = TRY_AS("--tls-certificate", os::read_file(options.certificate));
  tls.key_pem = TRY_AS("--tls-key", os::read_file(options.key));
  return io::make_tls_server(tls);
}

Task<void> tidy_hourly(io::Pool* pool, image::RegistryServer* registry) {
  for (;;) {
    auto done = co_await pool->run([registry] { return registry->tidy(); });
    if (!done) log::warn("registry", "could not tidy up", {{"error", done.error()}});
    co_await sleep_for(1h);
  }
}

Task<Result<void>> serve(io::Loop* loop, image::RegistryServer* registry, Address address, io::TlsContextRef tls, int signals) {
  io::HttpServerOptions options;
  // A client may hash a large layer between two chunks.
  options.idle_timeout = 600s;
  io::HttpServer server({loop}, options,
                        [registry](io::Request& request, io::Response& response) { return registry->handle(request, response); });
  CO_TRY_AS("listen", server.listen_tcp(address.host, address.port, tls));
  registry->set_port(server.port());
  log::info("registry", "ready",
            {{"address", (address.host.empty() ? "0.0.0.0" : address.host) + ":" + std::to_string(server.port())}, {"tls", bool(tls)}});
  io::Pool pool(1);
  Job tidying(tidy_hourly(&pool, registry));
  co_await loop->readable(signals);
  tidying.cancel();
  log::info("registry", "stopping");
  co_await server.drain(5s);
  co_return {};
}

}  // namespace

Result<int> registry(const Arguments& arguments) {
  Options options;
  Flags flags("estiba registry");
  flags.add("data-dir", &options.data_dir, "where Estiba keeps its data; with the engine's, both share images");
  flags.add("listen", &options.listen, "ADDRESS:PORT to serve on");
  flags.add("name", &options.names, "HOST[:PORT] that clients call this registry, beside localhost; may be given several times");
  flags.add("images", &options.images, "serve the engine's images too, and give it those that are pushed");
  flags.add("htpasswd", &options.htpasswd, "file of users who may pull and push, with bcrypt hashes ('htpasswd -B'); default: everybody");
  flags.add("tls-certificate", &options.certificate, "PEM file of the certificate chain; default: plain HTTP");
  flags.add("tls-key", &options.key, "PEM file of its key");
  flags.add("grace", &options.grace, "seconds for which a blob that no manifest names is kept, for pushes under way");
  const Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    std::fputs(flags.help().c_str(), stdout);
    return 0;
  }
  if (!rest.empty()) return fail(Code::invalid, "it takes no arguments, but was given " + quoted(rest[0]));
  if (options.grace < 0) return fail(Code::invalid, "--grace: a number of seconds is expected");
  const Address address = TRY(parse_address(options.listen));
  io::TlsContextRef tls = TRY(read_tls(options));
  std::unique_ptr<image::Htpasswd> users;
  if (!options.htpasswd.empty()) {
    const std::string text = TRY_AS("--htpasswd", os::read_file(options.htpasswd));
    users = std::make_unique<image::Htpasswd>(TRY_AS("--htpasswd " + options.htpasswd, image::Htpasswd::parse(text)));
  }
  umask(022);
  Fd signals = TRY(os::ending_signals());
  auto registry = TRY(image::RegistryServer::open(
      options.data_dir, {.images = options.images, .names = options.names, .grace = std::chrono::seconds(options.grace)},
      std::move(users)));
  io::Loop loop;
  TRY(loop.block_on(serve(&loop, registry.get(), address, tls, signals.get())));
  return 0;
}

}  // namespace estiba::cli
