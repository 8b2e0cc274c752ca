// docker build: packs the context and shows what the builder says. docs/builder.md describes what goes over the wire.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/strings.h"
#include "build/context/pack.h"
#include "cli/docker/json_build.h"
#include "cli/docker/session.h"
#include "cli/docker/terminal.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"
#include "os/file.h"

namespace estiba::cli::docker {
namespace {

struct Options {
  std::vector<std::string> arguments, tags, labels, secrets, ssh, hosts, cache_from, cache_to, ulimits, security, outputs, contexts,
      annotations;
  std::string file, target, platform, network, progress = "auto", iid_file, metadata_file, cpuset_cpus, cpuset_mems, cgroup_parent,
                                               isolation, builder, provenance, sbom;
  int64_t memory = 0, swap = 0, shm = 0, shares = 0, period = 0, quota = 0;
  bool no_cache = false, pull = false, quiet = false, rm = true, force_rm = false, squash = false, compress = false, load = false,
       push = false;
};

void declare(Flags& flags, Options& o) {
  flags.add("add-host", &o.hosts, "Add a custom host-to-IP mapping (\"host:ip\")");
  flags.add("build-arg", &o.arguments, "Set build-time variables");
  flags.add("cache-from", &o.cache_from, "Images to consider as cache sources");
  flags.add("cache-to", &o.cache_to, "Cache export destinations (not offered)");
  flags.add("cgroup-parent", &o.cgroup_parent, "Set the parent cgroup for the \"RUN\" instructions during build");
  flags.add("compress", &o.compress, "Compress the build context using gzip");
  flags.add("cpu-period", &o.period, "Limit the CPU CFS (Completely Fair Scheduler) period");
  flags.add("cpu-quota", &o.quota, "Limit the CPU CFS (Completely Fair Scheduler) quota");
  flags.add("cpu-shares,c", &o.shares, "CPU shares (relative weight)");
  flags.add("cpuset-cpus", &o.cpuset_cpus, "CPUs in which to allow execution (0-3, 0,1)");
  flags.add("cpuset-mems", &o.cpuset_mems, "MEMs in which to allow execution (0-3, 0,1)");
  flags.add("file,f", &o.file, "Name of the Dockerfile (default: \"PATH/Dockerfile\")");
  flags.add("force-rm", &o.force_rm, "Always remove intermediate containers");
  flags.add("iidfile", &o.iid_file, "Write the image ID to a file");
  flags.add("isolation", &o.isolation, "Container isolation technology");
  flags.add("label", &o.labels, "Set metadata for an image");
  flags.add("load", &o.load, "Accepted: the image is here anyway");
  flags.add_bytes("memory,m", &o.memory, "Memory limit");
  flags.add_bytes("memory-swap", &o.swap, "Swap limit equal to memory plus swap: -1 to enable unlimited swap", true);
  flags.add("metadata-file", &o.metadata_file, "Write build result metadata to a file");
  flags.add("network", &o.network, "Set the networking mode for the \"RUN\" instructions during build");
  flags.add("no-cache", &o.no_cache, "Do not use cache when building the image");
  flags.add("output,o", &o.outputs, "Output destination (not offered)");
  flags.add("platform", &o.platform, "Set target platform for build");
  flags.add("progress", &o.progress, "Set type of progress output (\"auto\", \"plain\", \"quiet\")");
  flags.add("pull", &o.pull, "Always attempt to pull all referenced images");
  flags.add("quiet,q", &o.quiet, "Suppress the build output and print image ID on success");
  flags.add("rm", &o.rm, "Remove intermediate containers after a successful build");
  flags.add("secret", &o.secrets, "Secret to expose to the build (format: \"id=mysecret[,src=/local/secret]\")");
  flags.add("security-opt", &o.security, "Security options");
  flags.add_bytes("shm-size", &o.shm, "Shared memory size for build containers");
  flags.add("squash", &o.squash, "Squash newly built layers into a single new layer (not offered)");
  flags.add("ssh", &o.ssh, "SSH agent socket to expose to the build (format: \"default[=<socket>]\")");
  flags.add("tag,t", &o.tags, "Name and optionally a tag (format: \"name:tag\")");
  flags.add("target", &o.target, "Set the target build stage to build");
  flags.add("ulimit", &o.ulimits, "Ulimit options");
}

/// id=NAME[,src=FILE|,env=VARIABLE][,type=file|env]
Result<std::pair<std::string, std::string>> read_secret(const std::string& text) {
  std::string id, source, variable, type;
  for (std::string_view field : split(text, ',')) {
    auto [key, value] = split_once(field, '=');
    if (!value)
      return fail(Code::invalid, "invalid value for --secret " + quoted(text) + ": id=NAME,src=FILE or id=NAME,env=VARIABLE is expected");
    if (key == "id") id = *value;
    else if (key == "src" || key == "source") source = *value;
    else if (key == "env") variable = *value;
    else if (key == "type") type = *value;
    else return fail(Code::invalid, "--secret: unexpected key '" + std::string(key) + "' in " + quoted(text));
  }
  if (id.empty()) return fail(Code::invalid, "--secret " + quoted(text) + ": id= is missing");
  if (type == "env" && variable.empty()) variable = source.empty() ? id : std::exchange(source, {});
  if (variable.empty() && source.empty() && std::getenv(id.c_str())) variable = id;
  if (!variable.empty()) {
    const char* value = std::getenv(variable.c_str());
    if (!value) return fail(Code::not_found, "--secret id=" + id + ": the environment variable " + variable + " is not set");
    return std::pair(id, std::string(value));
  }
  std::string content = TRY_AS("--secret id=" + id, os::read_file(source.empty() ? id : source));
  if (content.size() > 500 * 1024)
    return fail(Code::too_large,
                "--secret id=" + id + ": invalid secret size " + std::to_string(content.size()) + ", must be less than 500KB");
  return std::pair(id, content);
}

Result<std::string> agent_socket(const std::vector<std::string>& list) {
  if (list.empty()) return std::string();
  if (list.size() > 1) return fail(Code::unsupported, "--ssh: one agent is offered, \"default\"");
  auto [name, socket] = split_once(list[0], '=');
  if (name != "default") return fail(Code::unsupported, "--ssh " + quoted(list[0]) + ": only \"default\" is offered");
  const char* variable = std::getenv("SSH_AUTH_SOCK");
  std::string path(socket ? *socket : variable ? variable : "");
  if (path.empty()) return fail(Code::not_found, "--ssh default: there is no ssh agent: SSH_AUTH_SOCK is not set");
  char real[4096];
  if (!::realpath(path.c_str(), real)) return fail_errno("--ssh: " + path);
  struct stat st;
  if (::stat(real, &st) != 0 || !S_ISSOCK(st.st_mode))
    return fail(Code::invalid, "--ssh: " + path + " is no socket: keys are given by an agent");
  return std::string(real);
}

/// A map as JSON; "NAME" alone takes the environment's value, and is left out when there is none.
std::string json_map(const std::vector<std::string>& pairs, bool from_environment) {
  json::Document document;
  json::Node& root = document.make_object();
  document.set_root(root);
  for (const std::string& pair : pairs) {
    auto [name, value] = split_once(pair, '=');
    std::string text(value.value_or(""));
    if (!value && from_environment) {
      const char* inherited = std::getenv(std::string(name).c_str());
      if (!inherited) continue;
      text = inherited;
    }
    document.set(root, name, std::string_view(text));
  }
  return json::print(root);
}

Result<void> refuse_what_is_not_offered(const Options& o) {
  if (o.squash) return fail(Code::unsupported, "--squash is not offered: name what belongs together in one RUN, or use a second stage");
  if (!o.outputs.empty()) return fail(Code::unsupported, "--output is not offered: the result is an image ('save' or 'cp' get its files)");
  if (!o.cache_to.empty()) return fail(Code::unsupported, "--cache-to is not offered: the cache stays in the engine");
  if (o.progress != "auto" && o.progress != "plain" && o.progress != "quiet" && o.progress != "tty")
    return fail(Code::invalid, "invalid progress mode " + quoted(o.progress) + ": it is auto, plain or quiet");
  return {};
}

Result<void> add_query(const Options& o, io::Query& query) {
  auto text = [&](const char* name, const std::string& value) {
    if (!value.empty()) query.add(name, value);
  };
  auto number = [&](const char* name, int64_t value) {
    if (value != 0) query.add(name, std::to_string(value));
  };
  for (const std::string& tag : o.tags) query.add("t", tag);
  if (!o.arguments.empty()) query.add("buildargs", json_map(o.arguments, true));
  if (!o.labels.empty()) query.add("labels", json_map(o.labels, false));
  for (const std::string& host : o.hosts) query.add("extrahosts", host);
  text("target", o.target);
  text("platform", o.platform);
  text("networkmode", o.network);
  text("cpusetcpus", o.cpuset_cpus);
  text("cpusetmems", o.cpuset_mems);
  text("cgroupparent", o.cgroup_parent);
  number("memory", o.memory);
  number("memswap", o.swap);
  number("shmsize", o.shm);
  number("cpushares", o.shares);
  number("cpuperiod", o.period);
  number("cpuquota", o.quota);
  if (o.no_cache) query.add("nocache", "1");
  if (o.pull) query.add("pull", "1");
  if (o.quiet || o.progress == "quiet") query.add("q", "1");
  query.add("rm", o.rm ? "1" : "0");
  std::string limits;
  for (const std::string& limit : o.ulimits) {
    auto [name, values] = split_once(limit, '=');
    auto [soft, hard] = split_once(values.value_or(""), ':');
    auto low = parse_number<int64_t>(soft), high = hard ? parse_number<int64_t>(*hard) : low;
    if (!low || !high) return fail(Code::invalid, "invalid ulimit argument: " + limit + ": NAME=SOFT[:HARD] is expected");
    limits += std::string(limits.empty() ? "[" : ",") + "{\"Name\":\"" + std::string(name) + "\",\"Soft\":" + std::to_string(*low) +
              ",\"Hard\":" + std::to_string(*high) + "}";
  }
  if (!limits.empty()) query.add("ulimits", limits + "]");
  return {};
}

Result<std::string> registry_config(Cli& cli) {
  json::Document document;
  json::Node& root = document.make_object();
  document.set_root(root);
  for (const Credentials& login : TRY(TRY(cli.config())->all_credentials())) {
    Object entry(document, document.set(root, login.server, document.make_object()));
    entry.maybe("username", login.username).maybe("password", login.password).maybe("identitytoken", login.identity_token);
  }
  return base64url_encode(json::print(root));
}

/// What is sent, and how the daemon is to call the Dockerfile in it.
struct Context {
  std::optional<build::PackOptions> pack;  // a directory, and files beside it
  std::unique_ptr<build::Packer> packer;   // its tar, once one is needed
  bool from_stdin = false;                 // a tar, with its first bytes in `text`
  std::string text, dockerfile, remote;
};

/// The head that goes before the tar, or with the directory instead of one.
Result<std::string> head(const Options& o, const Context& context, const Fd& directory) {
  json::Document document;
  json::Node& root = document.make_object();
  document.set_root(root);
  Object object(document, root);
  for (const std::string& secret : o.secrets) {
    auto [id, content] = TRY(read_secret(secret));
    object.object("secrets").set(id, base64_encode(content));
  }
  object.maybe("ssh", TRY(agent_socket(o.ssh)));
  if (directory) {
    const auto st = TRY(os::fstat_file(directory.get()));
    object.object("directory")
        .set("fd", std::to_string(directory.get()))
        .set("device", std::to_string(st.st_dev))
        .set("inode", std::to_string(st.st_ino));
    for (const auto& [name, content] : context.pack->extra) object.object("files").set(name, base64_encode(content));
  }
  std::string text = json::print(root);
  return std::to_string(text.size()) + "\n" + text;
}

Result<std::string> read_stdin() { return os::read_all(0); }

std::string directory_of(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == path.npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

/// `path` below `directory`, or nullopt.
std::optional<std::string> inside(const std::string& directory, const std::string& path) {
  char root[4096], file[4096];
  std::string parent = directory_of(path);
  if (!::realpath(directory.c_str(), root) || !::realpath(parent.c_str(), file)) return std::nullopt;
  std::string base(root), place(file), name = path.substr(path.rfind('/') + 1);
  if (place == base) return name;
  if (base != "/") base += '/';
  if (!place.starts_with(base)) return std::nullopt;
  return place.substr(base.size()) + "/" + name;
}

Result<Context> directory_context(const std::string& path, const Options& o) {
  struct stat st;
  if (::stat(path.c_str(), &st) != 0) return fail(Code::not_found, "unable to prepare context: path " + quoted(path) + " not found");
  if (!S_ISDIR(st.st_mode)) return fail(Code::invalid, "unable to prepare context: context must be a directory: " + path);
  Context out;
  build::PackOptions pack{.directory = path, .ignore = {}, .extra = {}};
  if (o.file == "-") {
    out.dockerfile = ".dockerfile." + hex_encode(random_bytes(10));
    pack.extra.emplace_back(out.dockerfile, TRY(read_stdin()));
    pack.ignore = TRY(build::read_ignore_rules(path, out.dockerfile));
  } else {
    std::string file = o.file.empty() ? path + "/Dockerfile" : o.file;
    if (o.file.empty() && !os::exists(file) && os::exists(path + "/dockerfile")) file = path + "/dockerfile";
    // As Docker reads it: -f is relative to where one is, or else to the context.
    if (!o.file.empty() && !os::exists(file) && !file.starts_with('/') && os::exists(path + "/" + file)) file = path + "/" + file;
    if (!os::exists(file))
      return fail(Code::not_found, "unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat " + file +
                                       ": no such file or directory");
    auto name = inside(path, file);
    if (name) {
      out.dockerfile = *name;
    } else {
      out.dockerfile = ".dockerfile." + hex_encode(random_bytes(10));
      pack.extra.emplace_back(out.dockerfile, TRY(os::read_file(file)));
    }
    pack.ignore = TRY(build::read_ignore_rules(path, out.dockerfile));
  }
  out.pack = std::move(pack);
  return out;
}

bool looks_like_tar(std::string_view head) {
  return head.starts_with("\x1f\x8b") || head.starts_with("\x28\xb5\x2f\xfd") || head.starts_with("BZh") ||
         head.starts_with(std::string_view("\xfd"
                                           "7zXZ",
                                           5)) ||
         (head.size() >= 512 && head.substr(257, 5) == "ustar");
}

Result<Context> stdin_context(const Options& o) {
  if (o.file == "-") return fail(Code::invalid, "invalid argument: can't use stdin for both build context and dockerfile");
  Context out;
  out.dockerfile = o.file;
  char buffer[512];
  while (out.text.size() < sizeof buffer) {
    ssize_t n = ::read(0, buffer, sizeof buffer - out.text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read the standard input");
    if (n == 0) break;
    out.text.append(buffer, size_t(n));
  }
  if (out.text.empty())
    return fail(Code::invalid, "unable to prepare context: the standard input is empty: a tar or a Dockerfile is expected");
  if (looks_like_tar(out.text)) {
    out.from_stdin = true;
    return out;
  }
  // A Dockerfile without a context.
  build::PackOptions pack;
  pack.extra.emplace_back("Dockerfile", std::exchange(out.text, {}) + TRY(read_stdin()));
  out.dockerfile = "Dockerfile";
  out.pack = std::move(pack);
  return out;
}

Result<Context> make_context(const std::string& path, const Options& o) {
  if (path == "-") return stdin_context(o);
  if (path.starts_with("http://") || path.starts_with("https://")) {
    Context out;
    out.remote = path;
    out.dockerfile = o.file;
    return out;
  }
  if (path.starts_with("git@") || path.starts_with("git://") || path.starts_with("ssh://") || path.starts_with("github.com/"))
    return fail(Code::unsupported, "a Git repository as the context is not offered: clone it and build its directory");
  return directory_context(path, o);
}

UniqueFunction<Result<std::string>()> sending(Context& context, std::string first, bool directory) {
  return [&context, first = std::move(first), directory]() mutable -> Result<std::string> {
    if (!first.empty()) return std::exchange(first, {});
    if (directory) return std::string();
    if (context.packer) return context.packer->next();
    if (!context.from_stdin) return std::string();
    if (!context.text.empty()) return std::exchange(context.text, {});
    std::string piece(256 * 1024, '\0');
    ssize_t n;
    do n = ::read(0, piece.data(), piece.size());
    while (n < 0 && errno == EINTR);
    if (n < 0) return fail_errno("read the standard input");
    piece.resize(size_t(n));
    return piece;
  };
}

/// Whether the daemon is ours and may be on this machine: it can then read the directory where it lies, and knows most files from before.
bool takes_directories(Client& client) {
  if (!client.endpoint().host.starts_with("unix://")) return false;
  auto answer = client.send({.method = "HEAD", .path = "/_ping"});
  return answer && (*answer)->headers.get("Estiba-Context") == "directory";
}

/// The request with the directory, when `directory` is open, or else with a tar of it.
Result<Request> build_request(Cli& cli, const Options& o, Context& context, const Fd& directory) {
  Request request{.method = "POST", .path = "/build"};
  TRY(add_query(o, request.query));
  if (!context.dockerfile.empty()) request.query.add("dockerfile", context.dockerfile);
  if (!context.remote.empty()) request.query.add("remote", context.remote);
  request.headers.add("X-Registry-Config", TRY(registry_config(cli)));
  // A daemon other than ours knows nothing of the head.
  const bool own = !o.secrets.empty() || !o.ssh.empty() || directory;
  request.headers.add("Content-Type", own ? "application/vnd.estiba.build" : "application/x-tar");
  if (context.pack && !directory && !context.packer) context.packer = TRY(build::Packer::open(*context.pack));
  request.upload = sending(context, own ? TRY(head(o, context, directory)) : std::string(), bool(directory));
  return request;
}

Result<std::unique_ptr<Response>> send_build(Cli& cli, const Options& o, Context& context) {
  Client& client = *TRY(cli.client());
  if (context.pack && !context.pack->directory.empty() && takes_directories(client)) {
    const Fd directory = TRY(os::open_file(context.pack->directory, O_RDONLY | O_DIRECTORY));
    auto response = TRY(client.send(TRY(build_request(cli, o, context, directory))));
    if (response->status < 400) return response;
    if (response->headers.get("Estiba-Context") != "refused") return std::unexpected(daemon_error(*response));
  }
  return client.stream(TRY(build_request(cli, o, context, Fd())));
}

/// The exit code of the command that failed, which becomes ours.
int failed_code(std::string_view message) {
  constexpr std::string_view words = "returned a non-zero code: ";
  size_t at = message.find(words);
  if (at == message.npos) return 1;
  std::string_view rest = message.substr(at + words.size());
  size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  return parse_number<int>(rest.substr(0, digits)).value_or(1);
}

Result<void> write_results(const Options& o, const std::string& id) {
  if (!o.iid_file.empty()) TRY(os::write_file(o.iid_file, id, O_CREAT | O_TRUNC, 0644));
  if (o.metadata_file.empty()) return {};
  json::Document document;
  json::Node& root = document.make_object();
  document.set_root(root);
  Object object(document, root);
  object.set("containerimage.config.digest", id).set("containerimage.digest", id).maybe("image.name", join(o.tags, ","));
  return os::write_file(o.metadata_file, json::print_pretty(root) + "\n", O_CREAT | O_TRUNC, 0644);
}

}  // namespace

Result<int> build_image(Call& call) {
  Options options;
  Flags flags(call);
  declare(flags, options);
  const Arguments arguments = TRY(flags.parse());
  TRY(refuse_what_is_not_offered(options));
  if (!options.iid_file.empty()) TRY(os::remove_file(options.iid_file));
  Context context = TRY(make_context(std::string(arguments[0]), options));
  const bool quiet = options.quiet || options.progress == "quiet";
  auto response = TRY(send_build(call.cli, options, context));
  std::string id;
  auto shown = show_progress(*response, 1, quiet, [&id](const json::Node& aux) {
    if (auto text = aux.string_at("ID"); !text.empty()) id = text;
  });
  if (!shown) {
    complain(shown.error().message);
    return failed_code(shown.error().message);
  }
  if (id.empty()) return fail(Code::unavailable, "the build ended without an image: the connection to the daemon broke");
  if (quiet) std::printf("%s\n", id.c_str());
  TRY(write_results(options, id));
  return 0;
}

}  // namespace estiba::cli::docker
