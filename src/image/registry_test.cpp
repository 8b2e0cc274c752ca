#include "image/registry.h"

#include <gtest/gtest.h>

#include <fcntl.h>

#include <algorithm>
#include <mutex>
#include <semaphore>

#include "base/strings.h"
#include "base/time.h"
#include "image/archive.h"
#include "image/commit.h"
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
  int cut_blobs = 0;                             ///< so many answers end in the middle
  int status = 0;                                ///< answers manifest requests with it
  int status_times = 1 << 20;                    ///< so many of them
  bool short_blobs = false;                      ///< answers with half of a blob as if it were all
  int cut_uploads = 0;                           ///< so many uploads are given up in the middle
  std::map<std::string, std::string> elsewhere;  ///< blobs of repository team/other, for mounts
  std::vector<std::string> log;                  ///< "GET /v2/… Authorization"

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

  Descriptor put(std::string type, std::string content) {
    Descriptor out{std::move(type), digest_of(content), content.size(), {}, {}};
    blobs[out.digest] = std::move(content);
    return out;
  }

 private:
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
      if (request.method == "PUT") {
        std::string name = request.path.substr(base.size() + 10), text = *co_await request.body();
        manifests[name] = manifests[digest_of(text)] = text;
        response.send(201);
      } else if (status && status_times-- > 0) response.send(status, {{"Retry-After", "0"}});
      else if (it == manifests.end())
        response.send(404, {}, "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}");
      else response.send(200, {{"Content-Type", std::string(media::oci_manifest)}}, it->second);
    } else if (request.path.starts_with(base + "blobs/uploads/")) {
      co_await upload(request, response, request.path.substr(base.size() + 14));
    } else if (request.method == "HEAD") {
      response.send(blobs.contains(request.path.substr(base.size() + 6)) ? 200 : 404);
    } else if (request.path.starts_with(base + "blobs/")) {
      std::string digest = request.path.substr(base.size() + 6);
      if (redirect) response.send(307, {{"Location", "/storage/" + digest}});
      else co_await send_blob(digest, response, std::string(request.headers.get("Range")));
    } else {
      response.send(404);
    }
  }

  Task<void> send_blob(std::string digest, io::Response& response, std::string range = {}) {
    auto it = blobs.find(digest);
    if (it == blobs.end()) {
      response.send(404);
      co_return;
    }
    const std::string whole = std::to_string(it->second.size());
    if (short_blobs) {
      response.send(200, {}, it->second.substr(0, it->second.size() / 2));
    } else if (cut_blobs > 0) {
      --cut_blobs;
      EXPECT_TRUE(co_await response.start(200, {{"Content-Length", whole}}));
      EXPECT_TRUE(co_await response.write(it->second.substr(0, it->second.size() / 2)));
    } else if (auto from = range.empty() ? std::nullopt : parse_number<size_t>(range.substr(6, range.size() - 7)); from) {
      ranges.push_back(*from);
      response.send(206, {{"Content-Range", "bytes " + std::to_string(*from) + "-" + std::to_string(it->second.size() - 1) + "/" + whole}},
                    it->second.substr(*from));
    } else {
      response.send(200, {}, it->second);
    }
  }

  Task<void> upload(io::Request& request, io::Response& response, std::string session) {
    const std::string here = "/v2/team/app/blobs/uploads/" + (session.empty() ? "s" + std::to_string(uploads.size()) : session);
    if (request.method == "POST") {
      std::string mount(request.query.get("mount"));
      if (request.query.get("from") == "team/other" && elsewhere.contains(mount)) {
        blobs[mount] = elsewhere[mount];
        response.send(201);
        co_return;
      }
      uploads["s" + std::to_string(uploads.size())] = "";
      response.send(202, {{"Location", here}});
      co_return;
    }
    std::string& text = uploads[session];
    if (request.method == "GET") {
      response.send(204, {{"Location", here}, {"Range", "0-" + std::to_string(text.size() - 1)}});
    } else if (request.method == "PATCH") {
      auto range = request.headers.get("Content-Range");
      EXPECT_EQ(range.empty() ? 0 : *parse_number<size_t>(split_once(range, '-').first), text.size());
      for (;;) {
        auto piece = co_await request.read_body();
        if (!piece || piece->empty()) break;
        text += *piece;
        if (cut_uploads > 0 && text.size() > 200'000) {
          --cut_uploads;
          response.send(503);
          co_return;
        }
      }
      response.send(202, {{"Location", here}});
    } else {
      std::string digest(request.query.get("digest"));
      EXPECT_EQ(digest_of(text), digest);
      blobs[digest] = text;
      response.send(201);
    }
  }

 public:
  std::vector<size_t> ranges;  ///< starts that were asked for
  std::map<std::string, std::string> uploads;

 private:
  io::LoopThread thread_;
  std::unique_ptr<io::HttpServer> server_;
};

class Pulling : public testing::Test {
 protected:
  void SetUp() override { store_ = std::move(*Store::open(dir_ / "data")); }
  Result<Record> pull(const std::string& tag, PullOptions options = {}) {
    auto ref = parse_reference(registry_.host() + "/team/app" + tag);
    EXPECT_TRUE(ref);
    options.retry_delay = std::chrono::milliseconds(1);
    return pull_image(*store_, *ref, options);
  }
  static PullOptions with(std::vector<RegistryLogin> logins) {
    PullOptions out;
    out.logins = std::move(logins);
    return out;
  }
  static PullOptions for_platform(Platform platform) {
    PullOptions out;
    out.platform = std::move(platform);
    return out;
  }
  /// A layer of some size, made here, and an image of it under `tag` of this registry.
  Record make(const std::string& tag, size_t size) {
    Fd adding = std::move(*store_->adding());
    EXPECT_TRUE(os::make_dir(dir_ / "upper", 0755));
    std::string text;
    while (text.size() < size) text += digest_of(std::to_string(text.size()));
    EXPECT_TRUE(os::write_file(dir_ / "upper/file", text, O_CREAT, 0644));
    auto layer = commit_layer(*store_, dir_ / "upper", {});
    EXPECT_TRUE(layer) << layer.error().message;
    return make_image(*store_, {}, nullptr, {*layer}, {registry_.host() + "/team/app" + tag}).value();
  }
  Result<Pushed> push(const std::string& tag, PushOptions options = {}) {
    options.retry_delay = std::chrono::milliseconds(1);
    return push_image(*store_, *parse_reference(registry_.host() + "/team/app" + tag), options);
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
  EXPECT_EQ(registry_.log.size(), asked + 2);  // whether HTTP is spoken, and the manifest
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
  expect(pull(":multi", for_platform({"linux", "riscv64", ""})), Code::not_found, "not made for linux/riscv64");
}

TEST_F(Pulling, AuthenticatesAsTheRegistryAsks) {
  registry_.add("1", image::TarText().file("a", "1").text());
  registry_.scheme = "Basic";
  expect(pull(":1"), Code::unauthorized, "authentication required");
  expect(pull(":1", with({{"me", "wrong", {}}})), Code::unauthorized, "authentication required");
  EXPECT_TRUE(pull(":1", with({{"me", "wrong", {}}, {"me", "secret", {}}})));
  ASSERT_TRUE(store_->remove(registry_.host() + "/team/app:1"));
  registry_.scheme = "Bearer";
  registry_.redirect = true;
  EXPECT_TRUE(pull(":1"));
  ASSERT_TRUE(store_->remove(registry_.host() + "/team/app:1"));
  EXPECT_TRUE(pull(":1", with({{"me", "wrong", {}}})));  // the token service refuses, and serves everybody
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

TEST_F(Pulling, ABlobThatBreaksOffGoesOnWhereItWas) {
  std::string layer(3'000'000, 'a');
  for (size_t i = 0; i < layer.size(); i += 97) layer[i] = char('a' + i * i % 23);
  registry_.add("1", image::TarText().file("a", layer).text());
  registry_.cut_blobs = 1;  // the configuration is the first
  auto record = pull(":1");
  ASSERT_TRUE(record) << record.error().message;
  ASSERT_EQ(registry_.ranges.size(), 1u);
  EXPECT_GT(registry_.ranges[0], 0u);
  ASSERT_TRUE(store_->remove(record->tags.at(0)));
  registry_.cut_blobs = 2;
  registry_.cut_blobs = 2;
  EXPECT_TRUE(pull(":1"));
}

TEST_F(Pulling, ARegistryThatLiesAboutSizesIsFoundOut) {
  registry_.add("1", image::TarText().file("a", "1").text());
  registry_.short_blobs = true;
  expect(pull(":1"), Code::unavailable, "bytes that the manifest declares");
}

TEST_F(Pulling, WhatMayPassIsTriedAgain) {
  registry_.add("1", image::TarText().file("a", "1").text());
  registry_.status = 429;
  registry_.status_times = 3;
  EXPECT_TRUE(pull(":1"));
  registry_.status = 503;
  registry_.status_times = 3;
  EXPECT_TRUE(pull(":1"));
}

TEST_F(Pulling, ProgressIsTold) {
  registry_.add("1", image::TarText().file("a", std::string(100, 'a')).text());
  PullOptions options;
  std::mutex mutex;
  std::vector<std::string> told;
  options.progress = [&](const TransferProgress& p) {
    std::lock_guard lock(mutex);
    told.push_back(p.status);
  };
  ASSERT_TRUE(pull(":1", options));
  for (const char* status :
       {"Pulling from team/app", "Pulling fs layer", "Downloading", "Download complete", "Extracting", "Pull complete"})
    EXPECT_NE(std::find(told.begin(), told.end(), status), told.end()) << status;
}

TEST_F(Pulling, ManyLayersComeInOrder) {
  // Each layer replaces the file of the one below.
  Config config;
  config.platform = host_platform();
  Manifest manifest;
  for (int i = 0; i < 30; ++i) {
    std::string layer = image::TarText().file("f", std::to_string(i)).file("f" + std::to_string(i), std::string(50'000, 'x')).text();
    config.diff_ids.push_back(digest_of(layer));
    manifest.layers.push_back(registry_.put(std::string(media::oci_layer), layer));
  }
  manifest.config = registry_.put(std::string(media::oci_config), print_config(config));
  registry_.manifests["many"] = print_manifest(manifest);
  auto record = pull(":many");
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(os::read_file(store_->layer_paths(*store_->config(record->id).value()).back() + "/f").value(), "29");
}

TEST_F(Pulling, PushedImagesAreTheSame) {
  Record record = make(":mine", 500'000);
  auto pushed = push(":mine");
  ASSERT_TRUE(pushed) << pushed.error().message;
  EXPECT_EQ(pushed->digest, record.manifest);
  EXPECT_EQ(registry_.manifests["mine"], store_->read_blob(record.manifest).value());
  EXPECT_EQ(registry_.blobs.size(), 2u);
  size_t uploads = registry_.uploads.size();
  ASSERT_TRUE(push(":mine"));
  EXPECT_EQ(registry_.uploads.size(), uploads);  // all there
  auto other = std::move(*Store::open(dir_ / "other"));
  auto pulled = pull_image(*other, *parse_reference(registry_.host() + "/team/app:mine"), {});
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(pulled->id, record.id);
  EXPECT_TRUE(store_->find(registry_.host() + "/team/app@" + pushed->digest).value());
}

TEST_F(Pulling, AnUploadThatBreaksOffGoesOnWhereItWas) {
  make(":mine", 3'000'000);
  registry_.cut_uploads = 2;
  auto pushed = push(":mine");
  ASSERT_TRUE(pushed) << pushed.error().message;
  EXPECT_EQ(registry_.cut_uploads, 0);
}

TEST_F(Pulling, LayersGoCompressedWhereItPays) {
  make(":mine", 500'000);
  PushOptions options;
  options.compress = PushOptions::Compress::always;
  auto pushed = push(":mine", options);
  ASSERT_TRUE(pushed) << pushed.error().message;
  Manifest manifest = parse_manifest(registry_.manifests["mine"]).value();
  EXPECT_EQ(manifest.layers.at(0).media_type, std::string(media::oci_layer) + "+gzip");
  EXPECT_EQ(pushed->digest, digest_of(registry_.manifests["mine"]));
  auto other = std::move(*Store::open(dir_ / "other"));
  EXPECT_TRUE(pull_image(*other, *parse_reference(registry_.host() + "/team/app@" + pushed->digest), {}));
}

TEST_F(Pulling, BlobsAreMountedFromOtherRepositories) {
  Record record = make(":mine", 500'000);
  Manifest manifest = store_->manifest(record).value();
  ASSERT_TRUE(store_->add_digest(record.id, registry_.host() + "/team/other@" + record.manifest));
  auto source = store_->open_layer_source(manifest.layers.at(0).digest);
  registry_.elsewhere[manifest.layers.at(0).digest] = read_all(**source, 1 << 30).value();
  ASSERT_TRUE(push(":mine"));
  EXPECT_EQ(registry_.uploads.size(), 1u);  // the configuration alone
  EXPECT_EQ(push(":absent").error().code, Code::not_found);
}

TEST_F(Pulling, MirrorsAreAskedFirst) {
  registry_.add("1", image::TarText().file("a", "1").text());
  PullOptions options;
  options.mirrors = {"http://127.0.0.1:1", "http://" + registry_.host()};
  options.retry_delay = std::chrono::milliseconds(1);
  auto record = pull_image(*store_, *parse_reference("docker.io/team/app:1"), options);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->tags.at(0), "docker.io/team/app:1");
}

TEST(Registries, AreInsecureByNameAndNetwork) {
  EXPECT_TRUE(is_insecure("reg.local:5000", {"reg.local:5000"}));
  EXPECT_TRUE(is_insecure("reg.local:5000", {"http://reg.local"}));
  EXPECT_TRUE(is_insecure("10.1.2.3:5000", {"10.0.0.0/8"}));
  EXPECT_FALSE(is_insecure("11.1.2.3:5000", {"10.0.0.0/8"}));
  EXPECT_FALSE(is_insecure("reg.local:5001", {"reg.local:5000"}));
}

TEST(RetryAfter, IsSecondsOrADate) {
  const WallTime now = *parse_rfc3339("2026-11-28T10:00:00Z");
  const Duration otherwise = std::chrono::milliseconds(7);
  EXPECT_EQ(wait_before_retry("3", now, otherwise), std::chrono::seconds(3));
  EXPECT_EQ(wait_before_retry(" 0 ", now, otherwise), Duration(0));
  EXPECT_EQ(wait_before_retry("Sat, 28 Nov 2026 10:00:30 GMT", now, otherwise), std::chrono::seconds(30));
  EXPECT_EQ(wait_before_retry("Sat, 28 Nov 2026 09:00:00 GMT", now, otherwise), Duration(0));  // a date that has passed
  for (const char* bad : {"", "-1", "soon", "Sat, 28 Nov 2026 10:00:30", "Sat, 28 Nov 2026 10:00:30 GMT+1"})
    EXPECT_EQ(wait_before_retry(bad, now, otherwise), otherwise) << bad;
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
