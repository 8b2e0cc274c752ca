#include "cli/docker/session.h"

#include <csignal>
#include <cstdio>

#include "base/strings.h"
#include "cli/docker/json_build.h"
#include "cli/docker/terminal.h"

namespace estiba::cli::docker {

Result<Waiting> Waiting::begin(Cli& cli, std::string_view container, std::string_view condition) {
  Waiting out;
  out.client_ = TRY(cli.connect());
  Request request{.method = "POST", .path = "/containers/" + segment(container) + "/wait"};
  request.query.add("condition", std::string(condition));
  out.response_ = TRY(out.client_->stream(std::move(request)));
  return out;
}

Result<int> Waiting::end() {
  const std::string text = TRY(response_->text());
  const json::Document answer = TRY_AS("wait for the container", json::Document::parse(text));
  if (const std::string_view error = answer.root().string_at("Error", "Message"); !error.empty()) {
    complain("Error waiting for container: " + std::string(error));
    return 125;
  }
  const json::Node* code = answer.root().find("StatusCode");
  return code ? int(code->as_int().value_or(125)) : 125;
}

Result<Hijacked> attach_to(Client& client, std::string_view container, const AttachOptions& options) {
  Request request{.method = "POST", .path = "/containers/" + segment(container) + "/attach"};
  request.query.add("stream", "1");
  if (options.input) request.query.add("stdin", "1");
  if (options.output) request.query.add("stdout", "1");
  if (options.errors) request.query.add("stderr", "1");
  if (options.logs) request.query.add("logs", "1");
  if (!options.detach_keys.empty()) request.query.add("detachKeys", options.detach_keys);
  return client.hijack(std::move(request));
}

Result<std::string> detach_keys(Cli& cli, std::string_view flag) {
  if (!flag.empty()) return parse_detach_keys(flag);
  const std::string_view configured = TRY(cli.config())->text("detachKeys");
  return parse_detach_keys(configured.empty() ? "ctrl-p,ctrl-q" : configured);
}

void forward_signal(Client& client, std::string_view container, int signal) {
  if (signal == SIGWINCH) return;
  Request request{.method = "POST", .path = "/containers/" + segment(container) + "/kill"};
  request.query.add("signal", signal_name(signal));
  (void)client.text(std::move(request));
}

void resize(Client& client, std::string_view what, std::string_view id, uint16_t rows, uint16_t columns) {
  Request request{.method = "POST", .path = "/" + std::string(what) + "/" + segment(id) + "/resize"};
  request.query.add("h", std::to_string(rows));
  request.query.add("w", std::to_string(columns));
  (void)client.text(std::move(request));
}

Result<std::string> auth_for(Cli& cli, std::string_view image) {
  const Config& config = *TRY(cli.config());
  const std::string server = registry_of(image);
  Credentials login = TRY(config.credentials(server));
  login.server = server;
  if (login.empty()) return std::string("e30=");
  return registry_auth(login);
}

Result<void> pull_image(Cli& cli, const PullOptions& options) {
  std::string name = options.image, tag;
  if (const size_t at = name.find('@'); at != name.npos) {
    tag = name.substr(at + 1);
    name.resize(at);
  } else if (const size_t colon = name.rfind(':'); colon != name.npos && name.find('/', colon) == name.npos) {
    tag = name.substr(colon + 1);
    name.resize(colon);
  } else if (!options.all_tags) {
    tag = "latest";
  }
  Request request{.method = "POST", .path = "/images/create"};
  request.query.add("fromImage", name);
  if (!options.all_tags) request.query.add("tag", tag);
  if (!options.platform.empty()) request.query.add("platform", options.platform);
  request.headers.add("X-Registry-Auth", TRY(auth_for(cli, options.image)));
  auto response = TRY(TRY(cli.client())->stream(std::move(request)));
  return show_progress(*response, options.out, options.quiet);
}

std::string segment(std::string_view name) { return io::percent_encode(name, "/:@"); }

Result<std::string> filters(const std::vector<std::string>& pairs) {
  if (pairs.empty()) return std::string();
  Builder out;
  for (const std::string& pair : pairs) {
    auto [key, value] = split_once(pair, '=');
    if (!value)
      return fail(Code::invalid, "invalid argument " + quoted(pair) + " for \"--filter\" flag: invalid filter '" + pair +
                                     "': bad format of filter (expected name=value)");
    out.object(to_lower(trim(key))).set(trim(*value), true);
  }
  return out.text();
}

bool confirmed(std::string_view warning) {
  std::printf("%.*s [y/N] ", int(warning.size()), warning.data());
  std::fflush(stdout);
  char answer[64] = {};
  if (!std::fgets(answer, sizeof answer, stdin)) return false;
  const std::string said = to_lower(trim(answer));
  return said == "y" || said == "yes";
}

Result<int> for_each(const Arguments& names, UniqueFunction<Result<void>(std::string_view)> each) {
  int code = 0;
  for (std::string_view name : names) {
    if (auto done = each(name); !done) {
      complain(done.error().message);
      code = 1;
      if (done.error().code == Code::unavailable && done.error().message.starts_with("Cannot connect")) break;
    }
  }
  return code;
}

}  // namespace estiba::cli::docker
