// docker run, docker create.
#include <unistd.h>

#include <cstdio>

#include "base/strings.h"
#include "cli/docker/container_options.h"
#include "cli/docker/session.h"
#include "cli/docker/terminal.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"
#include "os/file.h"

namespace estiba::cli::docker {

namespace {

struct RunOptions {
  ContainerOptions container;
  std::string pull = "missing", detach_keys;
  bool quiet = false, detach = false, sig_proxy = true;
};

// "docker: …\n\nRun 'docker run --help' for more information", exit code 125 to 127.
std::unexpected<Error> run_error(const Call& call, const Error& error, std::string_view verb, bool starting) {
  if (error.message.empty()) return std::unexpected(error);
  const std::string& text = error.message;
  int code = 125;
  if (starting && (text.contains("executable file not found") || text.contains("no such file or directory") ||
                   text.contains("system cannot find the file")))
    code = 127;
  else if (starting && (text.contains("permission denied") || text.contains("is a directory"))) code = 126;
  const std::string program(call.cli.program());
  complain(program + ": " + text + "\n\nRun '" + program + " " + std::string(verb) + " --help' for more information");
  return exit_with(code);
}

// The file exists from before the container does, so that two runs never share one.
class CidFile {
 public:
  static Result<CidFile> make(const std::string& path) {
    CidFile out;
    if (path.empty()) return out;
    auto fd = os::open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (!fd && fd.error().sys == EEXIST)
      return fail(Code::conflict, "container ID file found, make sure the other container isn't running or delete " + path);
    if (!fd) return fail(fd.error().code, "failed to create the container ID file: " + fd.error().message);
    out.path_ = path;
    return out;
  }
  CidFile(CidFile&& other) noexcept : path_(std::exchange(other.path_, {})), written_(other.written_) {}
  ~CidFile() {
    if (!path_.empty() && !written_) ::unlink(path_.c_str());
  }
  Result<void> write(std::string_view id) {
    if (path_.empty()) return {};
    TRY(os::write_file(path_, id));
    written_ = true;
    return {};
  }

 private:
  CidFile() = default;
  std::string path_;
  bool written_ = false;
};

// Creates it, pulling the image when it is missing. Returns the id.
Result<std::string> create_container(Cli& cli, RunOptions& options, const Arguments& arguments) {
  if (options.pull != "missing" && options.pull != "always" && options.pull != "never")
    return fail(Code::invalid, "invalid pull option: '" + options.pull + "': must be one of \"always\", \"missing\" or \"never\"");
  Builder body;
  TRY(build_container(options.container, arguments, options.detach, body));
  CidFile file = TRY(CidFile::make(options.container.cidfile));
  const std::string image(arguments[0]);
  const PullOptions pull{.image = image, .platform = options.container.platform, .quiet = options.quiet, .out = 2};
  if (options.pull == "always") TRY(pull_image(cli, pull));
  Client& client = *TRY(cli.client());
  const std::string text = body.text();
  auto create = [&] {
    Request request{.method = "POST", .path = "/containers/create", .body = text};
    if (!options.container.name.empty()) request.query.add("name", options.container.name);
    if (!options.container.platform.empty()) request.query.add("platform", options.container.platform);
    return client.call(std::move(request));
  };
  auto created = create();
  if (!created && created.error().code == Code::not_found && created.error().message.contains("No such image") &&
      options.pull == "missing") {
    if (!options.quiet) {
      const bool tagged = image.contains('@') || image.find(':', image.rfind('/') == image.npos ? 0 : image.rfind('/')) != image.npos;
      complain("Unable to find image '" + image + (tagged ? "" : ":latest") + "' locally");
    }
    TRY(pull_image(cli, pull));
    created = create();
  }
  if (!created) return std::unexpected(std::move(created.error()));
  const json::Node& answer = created->root();
  if (const json::Node* warnings = answer.find("Warnings"))
    for (const json::Node& warning : *warnings) complain("WARNING: " + std::string(warning.as_string()));
  const std::string id(answer.string_at("Id"));
  TRY(file.write(id));
  return id;
}

Result<int> run_attached(Call& call, RunOptions& options, const std::string& id) {
  Cli& cli = call.cli;
  Client& client = *TRY(cli.client());
  ContainerOptions& container = options.container;
  const std::string keys = TRY(detach_keys(cli, options.detach_keys));
  const bool attached = container.attach_in || container.attach_out || container.attach_err;
  if (options.sig_proxy && !container.tty) hold_signals();
  std::optional<Hijacked> connection;
  if (attached) {
    connection = TRY(attach_to(client, id,
                               {.input = container.attach_in,
                                .output = container.attach_out,
                                .errors = container.attach_err,
                                .detach_keys = options.detach_keys}));
    connection->multiplexed = !container.tty;
  }
  Waiting waiting = TRY(Waiting::begin(cli, id, container.rm ? "removed" : "next-exit"));
  if (auto started = client.text({.method = "POST", .path = "/containers/" + id + "/start"}); !started) {
    connection.reset();
    if (container.rm) (void)waiting.end();
    return run_error(call, started.error(), "run", true);
  }
  if (connection) {
    StreamOptions streams{.input = container.attach_in,
                          .tty = container.tty,
                          .output = container.attach_out,
                          .errors = container.attach_err || container.tty,
                          .detach_keys = keys};
    streams.resize = [&](WindowSize size) { resize(client, "containers", id, size.rows, size.columns); };
    if (options.sig_proxy && !container.tty) streams.forward = [&](int signal) { forward_signal(client, id, signal); };
    if (TRY(stream(std::move(*connection), std::move(streams))) == StreamEnd::detached) return 0;
  }
  return waiting.end();
}

}  // namespace

Result<int> run(Call& call) {
  RunOptions options;
  Flags flags(call);
  options.container.declare(flags);
  flags.add("detach,d", &options.detach, "Run container in background and print container ID");
  flags.add("detach-keys", &options.detach_keys, "Override the key sequence for detaching a container");
  flags.add("pull", &options.pull, "Pull image before running (\"always\", \"missing\", \"never\")");
  flags.add("quiet,q", &options.quiet, "Suppress the pull output");
  flags.add("sig-proxy", &options.sig_proxy, "Proxy received signals to the process");
  const Arguments arguments = TRY(flags.parse(true));
  ContainerOptions& container = options.container;
  container.note(flags);
  if (options.detach && !container.attach.empty())
    return fail(Code::invalid, "conflicting options: cannot specify both --attach and --detach");
  if (container.tty && container.interactive && !options.detach && !is_terminal(0))
    return run_error(call, Error{.message = "cannot attach stdin to a TTY-enabled container because stdin is not a terminal"}, "run",
                     false);
  auto id = create_container(call.cli, options, arguments);
  if (!id) return run_error(call, id.error(), "run", false);
  if (!options.detach) {
    auto code = run_attached(call, options, *id);
    if (!code && !code.error().message.empty()) return run_error(call, code.error(), "run", false);
    return code;
  }
  Client& client = *TRY(call.cli.client());
  if (auto started = client.text({.method = "POST", .path = "/containers/" + *id + "/start"}); !started) {
    std::printf("%s\n", id->c_str());
    return run_error(call, started.error(), "run", true);
  }
  std::printf("%s\n", id->c_str());
  return 0;
}

Result<int> create(Call& call) {
  RunOptions options;
  Flags flags(call);
  options.container.declare(flags);
  flags.add("pull", &options.pull, "Pull image before creating (\"always\", \"missing\", \"never\")");
  flags.add("quiet,q", &options.quiet, "Suppress the pull output");
  const Arguments arguments = TRY(flags.parse(true));
  options.container.note(flags);
  auto id = create_container(call.cli, options, arguments);
  if (!id && id.error().code == Code::invalid) return run_error(call, id.error(), "create", false);
  if (!id) return std::unexpected(std::move(id.error()));
  std::printf("%s\n", id->c_str());
  return 0;
}

}  // namespace estiba::cli::docker
