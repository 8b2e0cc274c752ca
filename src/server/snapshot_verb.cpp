#include "server/snapshot_verb.h"

#include <cstdio>

#include "apiserver/snapshot.h"
#include "base/log.h"
#include "base/strings.h"
#include "client/http_client.h"
#include "io/http_client.h"
#include "io/loop.h"
#include "model/yaml.h"
#include "os/file.h"
#include "server/datastore.h"
#include "server/options.h"
#include "store/embedded/restore.h"
#include "store/etcd/restore.h"
#include "store/snapshot.h"

namespace estiba::server {

namespace {

constexpr size_t most_bytes = size_t{16} << 30;

/// What the verbs are told; the server's configuration file gives the defaults.
struct Request {
  std::string data_dir, config = "/etc/estiba/config.yaml", kubeconfig, to;
  DatastoreFlags datastore;
  cli::Arguments files;
  std::string help;  ///< wanted, when not empty
};

void declare(cli::Flags& flags, Request& r, bool copies) {
  flags.add("config", &r.config, "the server's configuration file; its keys are the defaults of these flags");
  flags.add("data-dir", &r.data_dir, "the server's data directory");
  flags.add("kubeconfig", &r.kubeconfig, "administrator's kubeconfig of the running server, whose embedded store is asked for");
  if (copies) flags.add("to", &r.to, "where to copy: embedded, or etcd=https://a:2379,…");
  r.datastore.declare(flags);
}

Result<Request> read_request(std::string_view usage, const cli::Arguments& arguments, bool copies) {
  Request first;
  cli::Flags finder(usage);
  declare(finder, first, copies);
  TRY(finder.parse(arguments));
  const std::string given = "--config=" + first.config;
  const Options server = TRY(read_options(finder.given("config") ? cli::Arguments{given} : cli::Arguments{}));
  Request out;
  out.data_dir = server.data_dir;
  out.kubeconfig = server.write_kubeconfig;
  out.datastore = server.datastore;
  cli::Flags flags(usage);
  declare(flags, out, copies);
  out.files = TRY(flags.parse(arguments));
  if (flags.help_wanted()) out.help = flags.help();
  TRY(out.datastore.check());
  return out;
}

Result<std::string> one_file(const Request& request) {
  if (request.files.size() != 1) return fail(Code::invalid, "it takes one argument, the snapshot's file");
  return std::string(request.files[0]);
}

// --- a server that runs -------------------------------------------------------------------------------------------------------

struct Access {
  std::string server, ca_pem, certificate_pem, key_pem;
};

Result<Access> read_kubeconfig(const std::string& path) {
  const std::string text = TRY(os::read_file(path));
  auto document = TRY_AS(path, model::parse_yaml(text));
  Access out;
  auto decoded = [&](const json::Node& entry, std::string_view part, std::string_view key) {
    return within(path + ": " + std::string(key), base64_decode(entry.string_at(part, key)));
  };
  const json::Node *clusters = document.root().find("clusters"), *users = document.root().find("users");
  if (!clusters || clusters->size() == 0 || !users || users->size() == 0)
    return fail(Code::invalid, path + ": it names no cluster and user");
  const json::Node &cluster = (*clusters)[0], &user = (*users)[0];
  out.server = cluster.string_at("cluster", "server");
  out.ca_pem = TRY(decoded(cluster, "cluster", "certificate-authority-data"));
  out.certificate_pem = TRY(decoded(user, "user", "client-certificate-data"));
  out.key_pem = TRY(decoded(user, "user", "client-key-data"));
  if (out.server.empty()) return fail(Code::invalid, path + ": it names no server");
  return out;
}

Task<Result<io::FetchResult>> ask(io::TlsContextRef tls, std::string url) {
  io::HttpClient client({.tls = std::move(tls)});
  co_return co_await client.fetch({.url = std::move(url), .timeout = std::chrono::minutes(10)}, most_bytes);
}

// The process that has the store open is asked for its contents.
Result<std::string> fetch_snapshot(const Request& request) {
  const Access access = TRY_AS("a server works on " + request.data_dir + ", and its kubeconfig is needed (--kubeconfig)",
                               read_kubeconfig(request.kubeconfig));
  auto tls = TRY(io::make_tls_client({.ca_pem = access.ca_pem, .certificate_pem = access.certificate_pem, .key_pem = access.key_pem}));
  io::Loop loop;
  auto answer = TRY(loop.block_on(ask(std::move(tls), access.server + std::string(apiserver::snapshot_path))));
  if (answer.status != 200) return std::unexpected(client::error_of_answer(answer.status, answer.body).context(access.server));
  return std::move(answer.body);
}

// --- contents -------------------------------------------------------------------------------------------------------------------

Result<store::SnapshotContents> read_store(const DatastoreFlags& flags, const std::string& data_dir) {
  if (const std::string file = data_dir + "/store/store.db"; !flags.is_etcd() && !os::exists(file))
    return fail(Code::not_found, file + " is not there: name the server's --data-dir");
  Datastore opened = TRY(open_datastore(flags, data_dir));
  auto all = TRY(opened.store->list(""));
  return store::SnapshotContents{all.revision, std::move(all.entries)};
}

Result<void> fill(const DatastoreFlags& flags, const std::string& data_dir, const store::SnapshotContents& contents) {
  if (flags.is_etcd()) return store::restore_etcd(TRY(etcd_options(flags)), contents);
  TRY(os::make_dirs(data_dir, 0711));
  return store::restore_embedded(data_dir + "/store", contents);
}

std::string place(const DatastoreFlags& flags, const std::string& data_dir) {
  return flags.is_etcd() ? flags.datastore.substr(5) + " below " + flags.prefix : data_dir + "/store";
}

Result<std::string> snapshot_bytes(const Request& request) {
  auto contents = read_store(request.datastore, request.data_dir);
  if (contents) return store::write_snapshot(*contents);
  const bool running = !request.datastore.is_etcd() && contents.error().code == Code::conflict;
  if (running) return fetch_snapshot(request);
  return std::unexpected(std::move(contents.error()));
}

void quiet() { log::configure(log::Level::warn, log::Format::text); }

int print_help(const Request& request) {
  std::fputs(request.help.c_str(), stdout);
  return 0;
}

}  // namespace

Result<int> snapshot_save(const cli::Arguments& arguments) {
  const Request request = TRY(read_request("estiba snapshot save FILE [FLAGS]", arguments, false));
  if (!request.help.empty()) return print_help(request);
  quiet();
  const std::string file = TRY(one_file(request));
  const std::string bytes = TRY(snapshot_bytes(request));
  const auto contents = TRY(store::read_snapshot(bytes, "what the server sent"));
  TRY(os::write_file_atomic(file, bytes, 0600));
  std::printf("%s: %zu objects at revision %lld, %zu bytes\n", file.c_str(), contents.entries.size(),
              static_cast<long long>(contents.revision), bytes.size());
  return 0;
}

Result<int> snapshot_restore(const cli::Arguments& arguments) {
  const Request request = TRY(read_request("estiba snapshot restore FILE [FLAGS]", arguments, false));
  if (!request.help.empty()) return print_help(request);
  quiet();
  const std::string file = TRY(one_file(request));
  const std::string bytes = TRY(os::read_file(file));
  const auto contents = TRY(store::read_snapshot(bytes, file));
  TRY(fill(request.datastore, request.data_dir, contents));
  std::printf("%zu objects restored into %s\n", contents.entries.size(), place(request.datastore, request.data_dir).c_str());
  return 0;
}

Result<int> snapshot_copy(const cli::Arguments& arguments) {
  const Request request = TRY(read_request("estiba snapshot copy --to embedded|etcd=ENDPOINT,… [FLAGS]", arguments, true));
  if (!request.help.empty()) return print_help(request);
  quiet();
  if (!request.files.empty()) return fail(Code::invalid, "it takes flags only, not " + quoted(request.files[0]));
  DatastoreFlags to = request.datastore;
  to.datastore = request.to;
  TRY_AS("--to", to.check());
  if (to.is_etcd() == request.datastore.is_etcd())
    return fail(Code::invalid, "--to must be the other kind than --datastore " + request.datastore.datastore +
                                   ": it copies between the embedded store and etcd");
  auto contents = read_store(request.datastore, request.data_dir);
  if (!contents && contents.error().code == Code::conflict)
    return std::unexpected(std::move(contents.error()).context("stop the server first, what it writes after the copy would be lost"));
  if (!contents) return std::unexpected(std::move(contents.error()));
  TRY(fill(to, request.data_dir, *contents));
  std::printf("%zu objects copied from %s to %s\n", contents->entries.size(), place(request.datastore, request.data_dir).c_str(),
              place(to, request.data_dir).c_str());
  return 0;
}

}  // namespace estiba::server
