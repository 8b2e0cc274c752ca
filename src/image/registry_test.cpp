#include "image/registry.h"

#include <gtest/gtest.h>

#include <semaphore>

#include "base/strings.h"
#include "image/archive.h"
#include "image/registry_client.h"
#include "image/test_support.h"
#include "io/http_server.h"
#include "io/thread.h"

namespace estiba::image {
namespace {

/// A registry with one repository, team/app, on a thread of its own. What it does wrong is set by the test before it asks.
class Registry {
 public:
  std::map<std::string, std::string> manifests;  ///< by tag and by digest
  std::map<std::string, std::string> blobs;
  std::string scheme;  ///< "", "Basic" or "Bearer": what it asks for
  bool redirect = false;
  int cut_blobs = 0;             ///< so many answers end in the middle
  int status = 0;                ///< answers every manifest request with it
  std::vector<std::string> log;  ///< "GET /v2/… Authorization"

  Registry() : thread_("registry") {
    server_ = std::make_unique<io::HttpServer>(std::vector<io::Loop*>{&thread_.loop()}, io::HttpServerOptions{},
                                               [this](io::Request& q, io::Response& r) { return handle(q, r); });
    EXPECT_TRUE(server_->listen_tcp("127.0.0.1", 0, nullptr));
  }
  ~Registry() {
    std::binary_semaphore closed(0);
    thread_.loop().post([&] {
      server_.reset();
      closed.release();
    });
    closed.acquire();
  }
  std::string host() const { return "127.0.0.1:" + std::to_string(server_->port()); }

  /// Puts an image of one layer under a tag; returns its manifest's digest.
  std::string add(const std::string& tag, std::string layer) {
    Config config;
    config.platform = host_platform();
    config.cmd = {"/app"};
    config.diff_ids = {digest_of(layer)};
    std::string text = print_config(config);
    Manifest manifest;
    manifest.config = put(std::string(media::oci_config), text);
    StringSink gzipped;
    GzipSink gzip(gzipped);
    EXPECT_TRUE(gzip.write(layer) && gzip.finish());
    manifest.layers = {put(std::string(media::oci_layer) + "+gzip", gzipped.text)};
    std::string body = print_manifest(manifest);
    manifests[tag] = manifests[digest_of(body)] = body;
    return digest_of(body);
  }

 private:
  Descriptor put(std::string type, std::string content) {
    Descriptor out{std::move(type), digest_of(content), content.size(), {}, {}};
    blobs[out.digest] = std::move(content);
    return out;
  }

  Task<void> handle(io::Request& request, io::Response& response) {
    const std::string authorization(request.headers.get("Authorization"));
    log.push_back(request.path + " " + authorization);
    if (request.path == "/token") {
      bool known = authorization == "Basic " + base64_encode("me:secret") || authorization.empty();
      response.send(known ? 200 : 401, {}, "{\"token\":\"T" + std::string(request.query.get("scope")) + "\"}");
      co_return;
    }
    if (request.path.starts_with("/storage/")) {
      EXPECT_TRUE(authorization.empty()) << "credentials were sent to the storage";
      co_return co_await send_blob(request.path.substr(9), response);
    }
    std::string wanted;
    if (scheme == "Basic") wanted = "Basic " + base64_encode("me:secret");
    if (scheme == "Bearer") wanted = "Bearer Trepository:team/app:pull";
    if (!wanted.empty() && authorization != wanted) {
      std::string challenge = scheme == "Basic"
                                  ? "Basic realm=\"r\""
                                  : "Bearer realm=\"http://" + host() + "/token\",service=\"reg\",scope=\"repository:team/app:pull\"";
      response.send(401, {{"WWW-Authenticate", challenge}},
                    "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"authentication required\"}]}");
      co_return;
    }
    const std::string base = "/v2/team/app/";
    if (request.path.starts_with(base + "manifests/")) {
      auto it = manifests.find(request.path.substr(base.size() + 10));
      if (status)
        response.send(status);
      else if (it == manifests.end())
        response.send(404, {}, "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}");
      else
        response.send(200, {{"Content-Type", std::string(media::oci_manifest)}}, it->second);
    } else if (request.path.starts_with(base + "blobs/")) {
      std::string digest = request.path.substr(base.size() + 6);
      if (redirect)
        response.send(307, {{"Location", "/storage/" + digest}});
      else
        co_await send_blob(digest, response);
    } else {
      response.send(404);
    }
  }

  Task<void> send_blob(std::string digest, io::Response& response) {
    auto it = blobs.find(digest);
    if (it == blobs.end()) {
      response.send(404);
    } else if (cut_blobs > 0) {
      --cut_blobs;
      response.send(200, {}, it->second.substr(0, it->second.size() / 2));
    } else {
      response.send(200, {}, it->second);
    }
    co_return;
  }

  io::LoopThread thread_;
  std::unique_ptr<io::HttpServer> server_;
};

class Pulling : public testing::Test {
 protected:
  void SetUp() override { store_ = std::move(*Store::open(dir_ / "data")); }
  Result<Record> pull(const std::string& tag, PullOptions options = {}) {
    auto ref = parse_reference(registry_.host() + "/team/app" + tag);
    EXPECT_TRUE(ref);
    return pull_image(*store_, *ref, options);
  }
  void expect(const Result<Record>& result, Code code, std::string_view text) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().message;
    EXPECT_NE(result.error().message.find(text), std::string::npos) << result.error().message;
    EXPECT_TRUE(result.error().message.starts_with("pull image " + registry_.host() + "/team/app")) << result.error().message;
    EXPECT_EQ(store_->list().value().size(), 0u);
    EXPECT_EQ(os::list_dir(dir_ / "data/images/tmp").value().size(), 0u);
  }

  TemporaryDirectory dir_;
  Registry registry_;
  std::unique_ptr<Store> store_;
};

TEST_F(Pulling, ByTagAndByDigestAndTwice) {
  std::string digest = registry_.add("1", image::TarText().file("bin/app", "v1").text());
  auto record = pull(":1");
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->tags, std::vector<std::string>{registry_.host() + "/team/app:1"});
  EXPECT_EQ(record->digests, std::vector<std::string>{registry_.host() + "/team/app@" + digest});
  auto config = *store_->config(record->id);
  EXPECT_EQ(os::read_file(store_->layer_paths(*config).at(0) + "/bin/app").value(), "v1");
  size_t asked = registry_.log.size();
  EXPECT_TRUE(pull("@" + digest));
  EXPECT_EQ(registry_.log.size(), asked + 1);  // only the manifest
  EXPECT_TRUE(store_->find(registry_.host() + "/team/app@" + digest).value());
}

TEST_F(Pulling, AnIndexLeadsToThisMachinesImage) {
  std::string digest = registry_.add("amd", image::TarText().file("a", "1").text());
  Descriptor ours{std::string(media::oci_manifest), digest, registry_.manifests["amd"].size(), host_platform(), {}};
  Descriptor other = ours;
  other.digest = digest_of("other");
  other.platform->architecture = "s390x";
  std::string index = print_index({{other, ours}});
  registry_.manifests["multi"] = registry_.manifests[digest_of(index)] = index;
  auto record = pull(":multi");
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->manifest, digest);
  EXPECT_EQ(record->digests.at(0), registry_.host() + "/team/app@" + digest_of(index));
  ASSERT_TRUE(store_->remove(record->tags.at(0)));
  expect(pull(":multi", {.platform = {"linux", "riscv64", ""}}), Code::not_found, "not made for linux/riscv64");
}

TEST_F(Pulling, AuthenticatesAsTheRegistryAsks) {
  registry_.add("1", image::TarText().file("a", "1").text());
  registry_.scheme = "Basic";
  expect(pull(":1"), Code::unauthorized, "authentication required");
  expect(pull(":1", {.logins = {{"me", "wrong", {}}}}), Code::unauthorized, "authentication required");
  EXPECT_TRUE(pull(":1", {.logins = {{"me", "wrong", {}}, {"me", "secret", {}}}}));
  ASSERT_TRUE(store_->remove(registry_.host() + "/team/app:1"));
  registry_.scheme = "Bearer";
  registry_.redirect = true;
  EXPECT_TRUE(pull(":1"));
  ASSERT_TRUE(store_->remove(registry_.host() + "/team/app:1"));
  EXPECT_TRUE(pull(":1", {.logins = {{"me", "wrong", {}}}}));  // the token service refuses, and serves everybody
}

TEST_F(Pulling, WhatTheRegistrySendsIsNotTrusted) {
  std::string digest = registry_.add("1", image::TarText().file("a", "1").text());
  std::string manifest = registry_.manifests["1"];
  std::string layer = parse_manifest(manifest)->layers.at(0).digest;
  std::string content = registry_.blobs[layer];
  std::string changed = content;
  changed[changed.size() / 2] ^= 1;
  registry_.blobs[layer] = changed;
  expect(pull(":1"), Code::malformed, digest_of(changed));
  expect(pull(":1"), Code::malformed, layer);
  registry_.blobs[layer] = content + "more";
  expect(pull(":1"), Code::malformed, "is larger than the");
  registry_.blobs[layer] = content;
  registry_.manifests[digest] = manifest + " ";
  expect(pull("@" + digest), Code::malformed, "digest mismatch");
  registry_.manifests["1"] = "{\"schemaVersion\":1}";
  expect(pull(":1"), Code::unsupported, "schema 1");
  registry_.manifests["1"] = "nonsense";
  expect(pull(":1"), Code::malformed, "image manifest");
  registry_.add("evil", image::TarText().file("../evil", "1").text());
  expect(pull(":evil"), Code::invalid, "\"../evil\"");
}

TEST_F(Pulling, FailuresHaveTheirCodes) {
  expect(pull(":absent"), Code::not_found, "manifest unknown");
  registry_.status = 429;
  expect(pull(":1"), Code::exhausted, "too many requests");
  registry_.status = 503;
  expect(pull(":1"), Code::unavailable, "503");
  auto nobody = pull_image(*store_, *parse_reference("127.0.0.1:1/a/b"), {});
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code, Code::unavailable) << nobody.error().message;
  PullStop stop;
  stop.stop();
  EXPECT_EQ(pull_image(*store_, *parse_reference("127.0.0.1:1/a/b"), {}, &stop).error().code, Code::cancelled);
}

TEST_F(Pulling, ABlobThatBreaksOffIsAskedForAgain) {
  registry_.add("1", image::TarText().file("a", std::string(100000, 'a')).text());
  registry_.cut_blobs = 1;
  auto record = pull(":1");
  EXPECT_TRUE(record) << record.error().message;
}

TEST(Challenge, IsParsed) {
  auto p = parse_challenge("Bearer realm=\"https://a/t\", service=\"x,y\",scope=\"repository:a/b:pull,push\", error=none");
  EXPECT_EQ(p[""], "bearer");
  EXPECT_EQ(p["realm"], "https://a/t");
  EXPECT_EQ(p["service"], "x,y");
  EXPECT_EQ(p["scope"], "repository:a/b:pull,push");
  EXPECT_EQ(p["error"], "none");
  EXPECT_EQ(parse_challenge("Basic")[""], "basic");
  EXPECT_EQ(parse_challenge("")[""], "");
}

}  // namespace
}  // namespace estiba::image
