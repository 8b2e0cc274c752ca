// docker login, docker logout, docker search.
#include <termios.h>
#include <unistd.h>

#include <cstdio>

#include "base/strings.h"
#include "cli/docker/format.h"
#include "cli/docker/json_build.h"
#include "cli/docker/session.h"
#include "cli/docker/terminal.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"
#include "os/fd.h"

namespace estiba::cli::docker {

namespace {

std::string server_of(const Arguments& arguments) {
  if (arguments.empty() || arguments[0] == "docker.io" || arguments[0] == "index.docker.io") return "https://index.docker.io/v1/";
  std::string_view server = arguments[0];
  if (server.starts_with("https://index.docker.io")) return "https://index.docker.io/v1/";
  for (std::string_view scheme : {"https://", "http://"})
    if (server.starts_with(scheme)) server.remove_prefix(scheme.size());
  return std::string(server.substr(0, server.find('/')));
}

std::string read_line() {
  std::string out;
  char c;
  while (::read(0, &c, 1) == 1 && c != '\n') out += c;
  if (out.ends_with('\r')) out.pop_back();
  return out;
}

// Without showing what is typed.
std::string read_secret(const char* prompt) {
  std::fputs(prompt, stdout);
  std::fflush(stdout);
  termios saved{};
  const bool terminal = tcgetattr(0, &saved) == 0;
  termios silent = saved;
  silent.c_lflag &= ~tcflag_t(ECHO);
  if (terminal) tcsetattr(0, TCSANOW, &silent);
  std::string out = read_line();
  if (terminal) tcsetattr(0, TCSANOW, &saved);
  std::puts("");
  return out;
}

}  // namespace

Result<int> login(Call& call) {
  std::string username, password;
  bool from_stdin = false;
  Flags flags(call);
  flags.add("password,p", &password, "Password or Personal Access Token (PAT)");
  flags.add("password-stdin", &from_stdin, "Take the Password or Personal Access Token (PAT) from stdin");
  flags.add("username,u", &username, "Username");
  const Arguments arguments = TRY(flags.parse());
  Config& config = *TRY(call.cli.config());
  Credentials login{.server = server_of(arguments)};
  if (!password.empty()) complain("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
  if (!password.empty() && from_stdin)
    return fail(Code::invalid, "conflicting options: cannot specify both --password and --password-stdin");
  if (from_stdin) {
    if (username.empty()) return fail(Code::invalid, "the --password-stdin option requires --username to be set");
    password = TRY(os::read_all(0));
    while (password.ends_with('\n') || password.ends_with('\r')) password.pop_back();
  }
  if (username.empty() && password.empty()) {
    login = TRY(config.credentials(login.server));
    login.server = server_of(arguments);
    if (!login.empty()) std::puts("Authenticating with existing credentials...");
    username = login.username;
    password = login.password;
  }
  if (login.empty() || username != login.username) {
    if (username.empty() || password.empty()) {
      if (!is_terminal(0)) return fail(Code::invalid, "Error: Cannot perform an interactive login from a non TTY device");
      if (username.empty()) {
        std::printf("Username: ");
        std::fflush(stdout);
        username = read_line();
      }
      if (password.empty()) password = read_secret("Password: ");
    }
    if (username.empty() || password.empty()) return fail(Code::invalid, "Error: Password Required");
    login.username = username;
    login.password = password;
    login.identity_token.clear();
  }
  Builder body;
  body.set("username", login.username)
      .set("password", login.password)
      .set("serveraddress", login.server)
      .maybe("identitytoken", login.identity_token);
  const json::Document answer = TRY(TRY(call.cli.client())->call({.method = "POST", .path = "/auth", .body = body.text()}));
  if (const std::string_view token = answer.root().string_at("IdentityToken"); !token.empty()) {
    login.password.clear();
    login.identity_token = token;
  }
  if (config.helper(login.server).empty()) {
    complain("\nWARNING! Your credentials are stored unencrypted in '" + config.directory() +
             "/config.json'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n");
  }
  TRY(config.store(login));
  const std::string_view status = answer.root().string_at("Status");
  std::printf("%s\n", status.empty() ? "Login Succeeded" : std::string(status).c_str());
  return 0;
}

Result<int> logout(Call& call) {
  Flags flags(call);
  const Arguments arguments = TRY(flags.parse());
  const std::string server = server_of(arguments);
  const std::string shown = arguments.empty() ? server : std::string(arguments[0]);
  if (!TRY(TRY(call.cli.config())->erase(server))) {
    std::printf("Not logged in to %s\n", shown.c_str());
    return 0;
  }
  std::printf("Removing login credentials for %s\n", shown.c_str());
  return 0;
}

Result<int> search(Call& call) {
  std::string format;
  int64_t limit = 0;
  bool whole = false;
  std::vector<std::string> filter;
  Flags flags(call);
  flags.add("filter,f", &filter, "Filter output based on conditions provided", "filter");
  flags.add("format", &format, "Pretty-print search using a Go template");
  flags.add("limit", &limit, "Max number of search results");
  flags.add("no-trunc", &whole, "Don't truncate output");
  const Arguments arguments = TRY(flags.parse());
  Listing listing(
      "*formatter.searchContext",
      {{"Name", "NAME"}, {"Description", "DESCRIPTION"}, {"StarCount", "STARS"}, {"IsOfficial", "OFFICIAL"}, {"IsAutomated", "AUTOMATED"}});
  TRY(listing.start(format, false, "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}", ""));
  Request request{.path = "/images/search"};
  request.query.add("term", std::string(arguments[0]));
  if (limit > 0) request.query.add("limit", std::to_string(limit));
  if (std::string conditions = TRY(filters(filter)); !conditions.empty()) request.query.add("filters", conditions);
  request.headers.add("X-Registry-Auth", TRY(auth_for(call.cli, arguments[0])));
  const json::Document answer = TRY(TRY(call.cli.client())->call(std::move(request)));
  for (const json::Node& found : answer.root()) {
    json::Node& row = listing.row();
    std::string description(found.string_at("description"));
    for (char& c : description)
      if (c == '\n' || c == '\r') c = ' ';
    const json::Node* official = found.find("is_official");
    const json::Node* stars = found.find("star_count");
    listing.set(row, "Description", whole ? description : ellipsis(description, 45));
    listing.set(row, "IsAutomated", "");
    listing.set(row, "IsOfficial", official && official->as_bool() ? "[OK]" : "");
    listing.set(row, "Name", found.string_at("name"));
    listing.set(row, "StarCount", stars ? stars->number_text() : "0");
    TRY(listing.add(row));
  }
  std::fputs(TRY(listing.finish()).c_str(), stdout);
  return 0;
}

}  // namespace estiba::cli::docker
