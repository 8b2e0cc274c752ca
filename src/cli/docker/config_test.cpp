#include "cli/docker/config.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/strings.h"
#include "cli/docker/terminal.h"
#include "os/file.h"

namespace estiba::cli::docker {
namespace {

class DockerConfig : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"}) unsetenv(name);
    directory_ = testing::TempDir() + "/docker-config-" + random_suffix(8);
    ASSERT_TRUE(os::make_dirs(directory_));
  }
  void TearDown() override { ASSERT_TRUE(os::remove_all(directory_)); }
  Config load(std::string_view text = {}) {
    if (!text.empty()) EXPECT_TRUE(os::write_file(directory_ + "/config.json", text, O_CREAT | O_TRUNC));
    auto config = Config::load(directory_);
    EXPECT_TRUE(config) << config.error().message;
    return std::move(*config);
  }
  std::string directory_;
};

TEST_F(DockerConfig, Logins) {
  Config config = load(
      R"({"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYTpzcw=="},"reg:5000":{"identitytoken":"tok","auth":"dTpw"}},"psFormat":"{{.ID}}"})");
  Credentials hub = *config.credentials("https://index.docker.io/v1/");
  EXPECT_EQ(hub.username, "user");
  EXPECT_EQ(hub.password, "pa:ss");
  EXPECT_EQ(config.credentials("reg:5000")->identity_token, "tok");
  EXPECT_TRUE(config.credentials("other")->empty());
  EXPECT_EQ(config.text("psFormat"), "{{.ID}}");
  EXPECT_EQ(config.all_credentials()->size(), 2u);
}

TEST_F(DockerConfig, StoreAndErase) {
  Config config = load(R"({"psFormat":"kept","auths":{}})");
  ASSERT_TRUE(config.store({.username = "me", .password = "secret", .server = "localhost:5000"}));
  Config again = load();
  EXPECT_EQ(again.credentials("localhost:5000")->password, "secret");
  EXPECT_EQ(again.text("psFormat"), "kept");
  EXPECT_EQ(os::stat_file(directory_ + "/config.json")->st_mode & 0777, 0600u);
  EXPECT_TRUE(*again.erase("localhost:5000"));
  EXPECT_FALSE(*again.erase("localhost:5000"));
  EXPECT_TRUE(load().credentials("localhost:5000")->empty());
}

TEST_F(DockerConfig, Helpers) {
  // A helper that keeps what it is given in files beside it.
  const std::string program = directory_ + "/docker-credential-test";
  ASSERT_TRUE(os::write_file(program,
                             "#!/bin/sh\nd=" + directory_ +
                                 "\ncase $1 in\nstore) cat > $d/kept;;\nget) cat >/dev/null; [ -f $d/kept ] && cat $d/kept || { echo "
                                 "'credentials not found in native keychain'; exit 1; };;\n"
                                 "erase) cat >/dev/null; rm $d/kept;;\nesac\n",
                             O_CREAT, 0755));
  const std::string path = std::getenv("PATH") ? std::getenv("PATH") : "";
  setenv("PATH", (directory_ + ":" + path).c_str(), 1);
  Config config = load(R"({"credHelpers":{"reg.example":"test"}})");
  EXPECT_EQ(config.helper("reg.example"), "test");
  auto none = config.credentials("reg.example");
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_TRUE(none->empty());
  ASSERT_TRUE(config.store({.username = "me", .password = "secret", .server = "reg.example"}));
  EXPECT_EQ(config.credentials("reg.example")->password, "secret");
  EXPECT_FALSE(os::read_file(directory_ + "/config.json")->contains("secret"));
  EXPECT_TRUE(*config.erase("reg.example"));
  EXPECT_TRUE(config.credentials("reg.example")->empty());
  setenv("PATH", path.c_str(), 1);
}

TEST_F(DockerConfig, Malformed) {
  ASSERT_TRUE(os::write_file(directory_ + "/config.json", "{\"auths\":", O_CREAT));
  auto config = Config::load(directory_);
  ASSERT_FALSE(config);
  EXPECT_TRUE(config.error().message.starts_with("error loading config file: ")) << config.error().message;
}

TEST_F(DockerConfig, WhereTheDaemonIs) {
  Config config = load("{}");
  EXPECT_EQ(resolve_endpoint(config, {})->host, "unix:///run/estiba/docker.sock");
  EXPECT_EQ(resolve_endpoint(config, {.host = "tcp://a:1"})->host, "tcp://a:1");
  EXPECT_EQ(resolve_endpoint(config, {.host = "a:1"})->host, "tcp://a:1");
  setenv("DOCKER_HOST", "unix:///x.sock", 1);
  EXPECT_EQ(resolve_endpoint(config, {})->host, "unix:///x.sock");
  EXPECT_EQ(current_context(config, {}), "default");
  unsetenv("DOCKER_HOST");
  EXPECT_FALSE(resolve_endpoint(config, {.host = "a", .context = "b"}));
  const std::string meta = directory_ + "/contexts/meta/" + context_id("remote");
  ASSERT_TRUE(os::make_dirs(meta));
  ASSERT_TRUE(os::write_file(
      meta + "/meta.json",
      R"({"Name":"remote","Metadata":{"Description":"far"},"Endpoints":{"docker":{"Host":"tcp://far:2375","SkipTLSVerify":false}}})",
      O_CREAT));
  EXPECT_EQ(resolve_endpoint(config, {.context = "remote"})->host, "tcp://far:2375");
  setenv("DOCKER_CONTEXT", "remote", 1);
  EXPECT_EQ(resolve_endpoint(config, {})->host, "tcp://far:2375");
  unsetenv("DOCKER_CONTEXT");
  EXPECT_EQ(list_contexts(config).size(), 1u);
  auto missing = resolve_endpoint(config, {.context = "nowhere"});
  ASSERT_FALSE(missing);
  EXPECT_TRUE(missing.error().message.starts_with("context \"nowhere\": context not found")) << missing.error().message;
}

TEST(DockerNames, RegistryOfAnImage) {
  for (auto [image, registry] : {std::pair("alpine", "https://index.docker.io/v1/"),
                                 {"user/app:1", "https://index.docker.io/v1/"},
                                 {"docker.io/library/a", "https://index.docker.io/v1/"},
                                 {"localhost/a", "localhost"},
                                 {"localhost:5000/a:1", "localhost:5000"},
                                 {"ghcr.io/o/a@sha256:1", "ghcr.io"}})
    EXPECT_EQ(registry_of(image), registry) << image;
}

TEST(DockerTerminal, DetachKeys) {
  EXPECT_EQ(parse_detach_keys("ctrl-p,ctrl-q").value_or(""), "\x10\x11");
  EXPECT_EQ(parse_detach_keys("a,ctrl-[").value_or(""), "a\x1b");
  EXPECT_EQ(parse_detach_keys("").value_or("x"), "");
  for (const char* bad : {"ctrl-1", "ab", "ctrl-", "a,,b"}) EXPECT_FALSE(parse_detach_keys(bad)) << bad;
}

TEST(DockerTerminal, DetachFilter) {
  auto typed = [](std::initializer_list<std::string_view> pieces, bool* detached = nullptr) {
    DetachFilter filter("\x10\x11");
    std::string out;
    bool done = false;
    for (std::string_view piece : pieces) done = done || filter.feed(piece, out);
    if (detached) *detached = done;
    return out;
  };
  bool detached = false;
  EXPECT_EQ(typed({"ab"}), "ab");
  EXPECT_EQ(typed({"a\x10", "\x11"}, &detached), "a");
  EXPECT_TRUE(detached);
  EXPECT_EQ(typed({"\x10", "b"}, &detached),
            "\x10"
            "b");
  EXPECT_FALSE(detached);
  EXPECT_EQ(typed({"\x10\x10\x11"}, &detached), "\x10");
  EXPECT_TRUE(detached);
}

}  // namespace
}  // namespace estiba::cli::docker
