#include "cli/docker/credential_helper.h"

#include "base/strings.h"
#include "os/fd.h"
#include "os/process.h"

namespace estiba::cli::docker {

namespace {

// What the helper prints; an error with what it printed when it fails.
Result<std::string> call(std::string_view helper, const char* verb, std::string_view input) {
  const std::string program = "docker-credential-" + std::string(helper);
  if (helper.contains('/')) return fail(Code::invalid, "config.json: the credential helper " + quoted(helper) + " is no name");
  auto [in_read, in_write] = TRY(os::make_pipe());
  auto [out_read, out_write] = TRY(os::make_pipe());
  const pid_t pid =
      TRY_AS("error getting credentials", os::spawn({.argv = {program, verb}, .fds = {{in_read.get(), 0}, {out_write.get(), 1}, {2, 2}}}));
  in_read.reset();
  out_write.reset();
  auto written = os::write_all(in_write.get(), input);  // a helper that reads nothing is judged by its exit code
  in_write.reset();
  auto output = os::read_all(out_read.get());
  const auto status = TRY(os::wait_child(pid));
  if (!output) return output;
  if (status.code != 0) {
    const std::string_view told = trim(*output);
    return fail(told.contains("credentials not found") ? Code::not_found : Code::internal,
                "error getting credentials - err: " + program + " exited with " + std::to_string(status.code) + ", out: `" +
                    std::string(told) + "`");
  }
  return output;
}

}  // namespace

Result<Credentials> credential_helper_get(std::string_view helper, std::string_view server) {
  Credentials out;
  out.server = server;
  auto text = call(helper, "get", server);
  if (!text && text.error().code == Code::not_found) return out;
  if (!text) return std::unexpected(std::move(text.error()));
  const json::Document document = TRY_AS("docker-credential-" + std::string(helper), json::Document::parse(*text));
  out.username = document.root().string_at("Username");
  out.password = document.root().string_at("Secret");
  if (out.username == "<token>") {
    out.identity_token = std::move(out.password);
    out.username.clear();
    out.password.clear();
  }
  return out;
}

Result<void> credential_helper_store(std::string_view helper, const Credentials& credentials) {
  json::Document document;
  document.set_root(document.make_object());
  const bool token = !credentials.identity_token.empty();
  document.set(document.root(), "ServerURL", credentials.server);
  document.set(document.root(), "Username", token ? std::string_view("<token>") : credentials.username);
  document.set(document.root(), "Secret", token ? credentials.identity_token : credentials.password);
  TRY(call(helper, "store", json::print(document.root())));
  return {};
}

Result<void> credential_helper_erase(std::string_view helper, std::string_view server) {
  TRY(call(helper, "erase", server));
  return {};
}

}  // namespace estiba::cli::docker
