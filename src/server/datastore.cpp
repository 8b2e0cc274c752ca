#include "server/datastore.h"

#include "base/strings.h"
#include "os/file.h"
#include "store/embedded/embedded.h"
#include "store/etcd/client.h"
#include "store/etcd/etcd.h"

namespace estiba::server {

namespace {

// A kept version costs about three times its JSON, with what the API server and the controllers have decoded beside it.
constexpr store::HistoryLimits history{.bytes = 6 << 20};

Result<std::string> read_pem(std::string_view flag, const std::string& path) {
  if (path.empty()) return std::string();
  return within(flag, os::read_file(path));
}

}  // namespace

Result<store::EtcdOptions> etcd_options(const DatastoreFlags& flags) {
  store::EtcdOptions options;
  options.endpoints = TRY_AS("--datastore", store::etcd::parse_endpoints(std::string_view(flags.datastore).substr(5)));
  options.ca_pem = TRY(read_pem("--etcd-cafile", flags.cafile));
  options.certificate_pem = TRY(read_pem("--etcd-certfile", flags.certfile));
  options.key_pem = TRY(read_pem("--etcd-keyfile", flags.keyfile));
  options.prefix = flags.prefix;
  options.history = history;
  return options;
}

void DatastoreFlags::declare(cli::Flags& flags) {
  flags.add("datastore", &datastore, "where objects are kept: embedded, or etcd=https://a:2379,https://b:2379");
  flags.add("etcd-cafile", &cafile, "PEM file of the authority that signed etcd's certificates; the system's when empty");
  flags.add("etcd-certfile", &certfile, "PEM file of the client certificate shown to etcd");
  flags.add("etcd-keyfile", &keyfile, "PEM file of that certificate's key");
  flags.add("etcd-prefix", &prefix, "what all keys in etcd begin with; servers of one cluster share it");
}

Result<void> DatastoreFlags::check() const {
  if (datastore == "embedded") return {};
  if (!is_etcd())
    return fail(Code::invalid, "--datastore is embedded or etcd=ENDPOINT,… (like etcd=https://10.0.0.1:2379), not " + quoted(datastore));
  TRY_AS("--datastore", store::etcd::parse_endpoints(std::string_view(datastore).substr(5)));
  if (certfile.empty() != keyfile.empty())
    return fail(Code::invalid, "--etcd-certfile and --etcd-keyfile belong together: give both or none");
  return store::check(store::EtcdOptions{.endpoints = {""}, .prefix = prefix});
}

Result<Datastore> open_datastore(const DatastoreFlags& flags, const std::string& data_dir) {
  Datastore out;
  if (!flags.is_etcd()) {
    out.store = TRY(store::open_embedded({.directory = data_dir + "/store", .history = history}));
    return out;
  }
  auto etcd = TRY(store::open_etcd(TRY(etcd_options(flags))));
  out.freshness = etcd.get();
  out.store = std::move(etcd);
  return out;
}

}  // namespace estiba::server
