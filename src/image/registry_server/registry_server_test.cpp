#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "base/strings.h"
#include "image/registry_server/manifest_facts.h"
#include "image/registry_server/server.h"
#include "image/test_support.h"
#include "io/loop.h"
#include "model/json.h"

namespace estiba::image {
namespace {

TEST(RegistryRoutes, AreToldFromTheirEnd) {
  using Kind = Route::Kind;
  struct {
    const char* path;
    Kind kind;
    const char *repository, *last;
  } cases[] = {
      {"/v2/", Kind::base, "", ""},
      {"/v2", Kind::base, "", ""},
      {"/v2/_catalog", Kind::catalog, "", ""},
      {"/v2/app/tags/list", Kind::tags, "app", ""},
      {"/v2/a/b/c/manifests/1.0", Kind::manifest, "a/b/c", "1.0"},
      {"/v2/a/blobs/sha256:1", Kind::blob, "a", "sha256:1"},
      {"/v2/a/blobs/uploads/", Kind::uploads, "a", ""},
      {"/v2/a/blobs/uploads", Kind::uploads, "a", ""},
      {"/v2/a/blobs/uploads/77", Kind::upload, "a", "77"},
      {"/v2/manifests/manifests/manifests", Kind::manifest, "manifests", "manifests"},
      {"/v2/a/referrers/sha256:1", Kind::referrers, "a", "sha256:1"},
      {"/v2/a/nothing/x", Kind::none, "", ""},
      {"/v2/a/manifests/", Kind::none, "", ""},
      {"/v1/a/manifests/x", Kind::none, "", ""},
  };
  for (const auto& c : cases) {
    Route route = parse_route(c.path);
    EXPECT_EQ(route.kind, c.kind) << c.path;
    EXPECT_EQ(route.repository, c.repository) << c.path;
    EXPECT_EQ(route.last, c.last) << c.path;
  }
  EXPECT_TRUE(valid_repository("team/app-1/x__y.z"));
  for (const char* bad : {"", "A", "a//b", "/a", "a/", "../a", "a/../b", "_tags", "a/_blobs", "a:1", "a@b", "-a"})
    EXPECT_FALSE(valid_repository(bad)) << bad;
  EXPECT_FALSE(valid_repository(std::string(251, 'a')));
  EXPECT_TRUE(valid_tag("v1.0_x-Y"));
  for (const char* bad : {"", ".x", "-x", "a/b", "a:b"}) EXPECT_FALSE(valid_tag(bad)) << bad;
}

TEST(RegistryUsers, AreThoseOfTheHtpasswdFile) {
  // htpasswd -nbB -C 4 ana secreto
  auto users = Htpasswd::parse("# people\n\nana:$2y$04$abcdefghijklmnopqrstuur1fPvYSLqVPEjartMXetgMlaM7yj35C\n");
  ASSERT_TRUE(users) << users.error().message;
  EXPECT_EQ(users->size(), 1u);
  EXPECT_TRUE(users->allows("Basic " + base64_encode("ana:secreto")));
  EXPECT_TRUE(users->allows("basic " + base64_encode("ana:secreto")));
  EXPECT_FALSE(users->allows("Basic " + base64_encode("ana:falso")));
  EXPECT_FALSE(users->allows("Basic " + base64_encode("nadie:secreto")));
  EXPECT_FALSE(users->allows("Bearer x"));
  EXPECT_FALSE(users->allows("Basic !!"));
  EXPECT_FALSE(users->allows(""));
  for (auto [text, why] : {std::pair{"ana", "line 1: USER:HASH is expected"},
                           {"ana:$apr1$x", "line 1: the hash of user \"ana\" is not bcrypt"},
                           {"\nana:$2y$05$x", "line 2: the hash of user \"ana\" is cut"},
                           {"# none", "it names no user"}}) {
    auto bad = Htpasswd::parse(text);
    ASSERT_FALSE(bad) << text;
    EXPECT_NE(bad.error().message.find(why), std::string::npos) << bad.error().message;
  }
}

/// A registry over a store of its own, asked without a network.
class RegistryServing : public testing::Test {
 protected:
  struct Answer {
    int status = 0;
    io::Headers headers;
    std::string body;
    std::string code() const {
      auto doc = json::Document::parse(body);
      if (!doc || !doc->root().find("errors")) return "";
      return std::string((*doc->root().find("errors"))[0].string_at("code"));
    }
  };

  void SetUp() override { start({}); }
  void start(RegistryServerOptions options, std::unique_ptr<Htpasswd> users = nullptr) {
    registry_.reset();
    store_ = std::move(*Store::open(dir_ / "data"));
    auto opened = RegistryServer::open(dir_ / "data", std::move(options), std::move(users));
    ASSERT_TRUE(opened) << opened.error().message;
    registry_ = std::move(*opened);
    registry_->set_port(5000);
  }

  Answer ask(std::string method, std::string target, std::string body = {}, io::Headers headers = {}) {
    struct Run {
      static Task<void> go(RegistryServer* registry, io::Request* request, io::Response* response) {
        co_await registry->handle(*request, *response);
      }
    };
    io::Request request(std::move(method), std::move(target), std::move(body));
    request.headers = std::move(headers);
    request.host = host_;
    io::Response response;
    io::Loop loop;
    loop.block_on(Run::go(registry_.get(), &request, &response));
    return {response.status(), response.headers(), response.body().text()};
  }

  std::string push_blob(const std::string& repository, const std::string& content) {
    std::string digest = digest_of(content);
    auto answer = ask("POST", "/v2/" + repository + "/blobs/uploads/?digest=" + digest, content);
    EXPECT_EQ(answer.status, 201) << answer.body;
    return digest;
  }
  /// An image with one layer; the manifest's text.
  std::string push_content(const std::string& repository, const std::string& file) {
    std::string layer = image::TarText().file("bin/app", file).text();
    Config config;
    config.platform = host_platform();
    config.diff_ids = {digest_of(layer)};
    std::string text = print_config(config);
    Manifest manifest;
    manifest.config = {std::string(media::oci_config), push_blob(repository, text), text.size(), {}, {}};
    manifest.layers = {{std::string(media::oci_layer), push_blob(repository, layer), layer.size(), {}, {}}};
    return print_manifest(manifest);
  }
  Answer push_manifest(const std::string& repository, const std::string& reference, const std::string& text,
                       std::string_view type = media::oci_manifest) {
    return ask("PUT", "/v2/" + repository + "/manifests/" + reference, text, {{"Content-Type", std::string(type)}});
  }
  std::vector<std::string> strings(const Answer& answer, std::string_view key) {
    std::vector<std::string> out;
    auto doc = json::Document::parse(answer.body);
    if (doc && doc->root().find(key))
      for (const auto& node : *doc->root().find(key)) out.emplace_back(node.is_object() ? node.string_at("digest") : node.as_string());
    return out;
  }

  TemporaryDirectory dir_;
  std::string host_ = "localhost:5000";
  std::unique_ptr<Store> store_;
  std::unique_ptr<RegistryServer> registry_;
};

TEST_F(RegistryServing, APushedImageIsServedAndIsTheEnginesToo) {
  EXPECT_EQ(ask("GET", "/v2/").status, 200);
  std::string text = push_content("team/app", "v1"), digest = digest_of(text);
  auto put = push_manifest("team/app", "1", text);
  EXPECT_EQ(put.status, 201) << put.body;
  EXPECT_EQ(put.headers.get("Docker-Content-Digest"), digest);
  for (const std::string& reference : {std::string("1"), digest}) {
    auto got = ask("GET", "/v2/team/app/manifests/" + reference);
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.body, text);
    EXPECT_EQ(got.headers.get("Content-Type"), media::oci_manifest);
    EXPECT_EQ(got.headers.get("Docker-Content-Digest"), digest);
    auto head = ask("HEAD", "/v2/team/app/manifests/" + reference);
    EXPECT_EQ(head.headers.get("Content-Length"), std::to_string(text.size()));
    EXPECT_EQ(head.body, "");
  }
  EXPECT_EQ(strings(ask("GET", "/v2/team/app/tags/list"), "tags"), std::vector<std::string>{"1"});
  EXPECT_EQ(strings(ask("GET", "/v2/_catalog"), "repositories"), std::vector<std::string>{"team/app"});
  auto record = store_->find("localhost:5000/team/app:1");
  ASSERT_TRUE(record && *record);
  EXPECT_EQ((*record)->manifest, digest);
  auto config = *store_->config((*record)->id);
  EXPECT_EQ(os::read_file(store_->layer_paths(*config).at(0) + "/bin/app").value(), "v1");
}

TEST_F(RegistryServing, ALargePushedImageIsTheEnginesSoonAfterThePush) {
  const std::string text = push_content("big", std::string(20 << 20, 'x'));
  ASSERT_EQ(push_manifest("big", "1", text).status, 201);
  start({});  // what the server before did not finish goes on
  std::optional<Record> record;
  for (int i = 0; i < 3000 && !record; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    record = *store_->find("localhost:5000/big:1");
  }
  ASSERT_TRUE(record);
  EXPECT_EQ(record->manifest, digest_of(text));
  EXPECT_TRUE(os::exists(store_->layer_paths(**store_->config(record->id)).at(0) + "/bin/app"));
  start({});
  EXPECT_EQ(os::list_dir(dir_ / "data/registry/entering")->size(), 0u);
}

TEST_F(RegistryServing, ATagThatMeansAnotherImageByThenIsNotEntered) {
  const std::string older = push_content("big", "older"), newer = push_content("big", "newer");
  ASSERT_EQ(push_manifest("big", "1", older).status, 201);
  ASSERT_EQ(push_manifest("big", "1", newer).status, 201);
  registry_.reset();
  const std::string note = digest_of(older) + "\nbig\n1\nlocalhost:5000\n";
  ASSERT_TRUE(os::write_file(dir_ / "data/registry/entering/left", note, O_CREAT));
  ASSERT_TRUE(os::write_file(dir_ / "data/registry/entering/cut", "sha256:", O_CREAT));
  start({});
  for (int i = 0; i < 3000 && !os::list_dir(dir_ / "data/registry/entering")->empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ((**store_->find("localhost:5000/big:1")).manifest, digest_of(newer));
}

TEST_F(RegistryServing, TheEnginesImagesAreServedWithoutAPush) {
  std::string text = push_content("x", "built");
  ASSERT_EQ(push_manifest("x", "1", text).status, 201);
  auto record = **store_->find("localhost:5000/x:1");
  ASSERT_TRUE(store_->add_image(record.manifest, "docker.io/library/mine:2", ""));
  ASSERT_TRUE(store_->add_image(record.manifest, "quay.io/team/other:3", ""));
  EXPECT_EQ(ask("GET", "/v2/mine/manifests/2").body, text);
  EXPECT_EQ(ask("GET", "/v2/library/mine/manifests/2").body, text);
  EXPECT_EQ(ask("GET", "/v2/mine/manifests/3").code(), "MANIFEST_UNKNOWN");
  EXPECT_EQ(ask("GET", "/v2/team/other/manifests/3").status, 404);
  EXPECT_EQ(ask("GET", "/v2/team/other/manifests/3?ns=quay.io").body, text);
  EXPECT_EQ(strings(ask("GET", "/v2/_catalog"), "repositories"), (std::vector<std::string>{"mine", "x"}));
  EXPECT_EQ(strings(ask("GET", "/v2/mine/tags/list"), "tags"), std::vector<std::string>{"2"});
  EXPECT_EQ(ask("DELETE", "/v2/mine/manifests/2").status, 405);
  start({.images = false});
  EXPECT_EQ(ask("GET", "/v2/mine/manifests/2").status, 404);
  EXPECT_EQ(ask("GET", "/v2/x/manifests/1").body, text);
  EXPECT_EQ(strings(ask("GET", "/v2/_catalog"), "repositories"), std::vector<std::string>{"x"});
}

TEST_F(RegistryServing, AClientDoesNotChooseAnotherRegistrysName) {
  host_ = "docker.io";
  std::string text = push_content("library/nginx", "evil");
  ASSERT_EQ(push_manifest("library/nginx", "latest", text).status, 201);
  EXPECT_EQ(store_->list()->size(), 0u);
  start({.names = {"registry.example"}});
  ASSERT_EQ(push_manifest("library/nginx", "latest", text).status, 201);
  EXPECT_TRUE(store_->find("registry.example/library/nginx:latest")->has_value());
  EXPECT_FALSE(store_->find("nginx")->has_value());
}

TEST_F(RegistryServing, UploadsAreThereAfterARestart) {
  std::string where(ask("POST", "/v2/a/blobs/uploads/").headers.get("Location"));
  std::string empty(ask("POST", "/v2/a/blobs/uploads/").headers.get("Location"));
  EXPECT_EQ(ask("PATCH", where, "hello ").status, 202);
  start({});
  auto state = ask("GET", where);
  EXPECT_EQ(state.status, 204);
  EXPECT_EQ(state.headers.get("Range"), "0-5");
  EXPECT_EQ(ask("GET", empty).status, 204);
  EXPECT_EQ(ask("GET", "/v2/b" + where.substr(5)).code(), "BLOB_UPLOAD_UNKNOWN");
  EXPECT_EQ(ask("PATCH", where, "wor", {{"Content-Range", "6-8"}}).status, 202);
  const std::string digest = digest_of("hello world");
  EXPECT_EQ(ask("PUT", where + "?digest=" + digest, "ld").status, 201);
  EXPECT_EQ(ask("GET", "/v2/a/blobs/" + digest).body, "hello world");
  EXPECT_EQ(ask("DELETE", empty).status, 204);
  start({});
  EXPECT_EQ(ask("GET", where).code(), "BLOB_UPLOAD_UNKNOWN");
  EXPECT_EQ(os::list_dir(dir_ / "data/registry/uploads")->size(), 0u);
}

TEST_F(RegistryServing, UploadsThatNobodyGoesOnWithAreForgotten) {
  std::string where(ask("POST", "/v2/a/blobs/uploads/").headers.get("Location"));
  EXPECT_EQ(ask("PATCH", where, "hello ").status, 202);
  const std::string id = where.substr(where.rfind('/') + 1);
  const timespec old[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (dir_ / ("data/registry/uploads/" + id + "/data")).c_str(), old, 0), 0);
  start({});
  EXPECT_EQ(ask("GET", where).code(), "BLOB_UPLOAD_UNKNOWN");
  std::string younger(ask("POST", "/v2/a/blobs/uploads/").headers.get("Location"));
  start({.upload_age = std::chrono::seconds(0)});
  EXPECT_EQ(ask("GET", younger).status, 204);
  (void)ask("POST", "/v2/a/blobs/uploads/");
  EXPECT_EQ(ask("GET", younger).code(), "BLOB_UPLOAD_UNKNOWN");
}

TEST_F(RegistryServing, UploadsInChunksGoOnWhereTheyWere) {
  auto begun = ask("POST", "/v2/a/blobs/uploads/");
  ASSERT_EQ(begun.status, 202);
  std::string where(begun.headers.get("Location"));
  EXPECT_EQ(ask("GET", where).headers.get("Range"), "0-0");
  auto first = ask("PATCH", where, "hello ", {{"Content-Range", "0-5"}});
  EXPECT_EQ(first.status, 202);
  EXPECT_EQ(first.headers.get("Range"), "0-5");
  EXPECT_EQ(ask("PATCH", where, "world", {{"Content-Range", "7-11"}}).status, 416);
  EXPECT_EQ(ask("PATCH", where, "world", {{"Content-Range", "x"}}).code(), "BLOB_UPLOAD_INVALID");
  EXPECT_EQ(ask("PATCH", where, "wor").status, 202);
  auto state = ask("GET", where);
  EXPECT_EQ(state.status, 204);
  EXPECT_EQ(state.headers.get("Range"), "0-8");
  const std::string digest = digest_of("hello world");
  EXPECT_EQ(ask("PUT", where).code(), "DIGEST_INVALID");
  auto done = ask("PUT", where + "?digest=" + digest, "ld");
  EXPECT_EQ(done.status, 201) << done.body;
  EXPECT_EQ(done.headers.get("Location"), "/v2/a/blobs/" + digest);
  EXPECT_EQ(ask("GET", "/v2/a/blobs/" + digest).body, "hello world");
  EXPECT_EQ(ask("PATCH", where, "x").code(), "BLOB_UPLOAD_UNKNOWN");
}

TEST_F(RegistryServing, AWrongDigestLeavesNothing) {
  auto wrong = ask("POST", "/v2/a/blobs/uploads/?digest=" + digest_of("other"), "content");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(wrong.code(), "DIGEST_INVALID");
  EXPECT_NE(wrong.body.find("digest mismatch"), std::string::npos);
  EXPECT_EQ(ask("POST", "/v2/a/blobs/uploads/?digest=md5:1", "content").code(), "DIGEST_INVALID");
  auto begun = ask("POST", "/v2/a/blobs/uploads/");
  std::string where(begun.headers.get("Location"));
  ask("PATCH", where, "some");
  EXPECT_EQ(ask("DELETE", where).status, 204);
  EXPECT_EQ(ask("GET", where).status, 404);
  // The file goes with the last that holds it, a moment after the answer.
  for (int i = 0; i < 1000 && os::list_dir(dir_ / "data/images/tmp")->size() > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(os::list_dir(dir_ / "data/images/tmp")->size(), 0u);
  EXPECT_EQ(os::list_dir(dir_ / "data/images/blobs/sha256")->size(), 0u);
}

TEST_F(RegistryServing, BlobsAreReadInPart) {
  std::string digest = push_blob("a", "0123456789");
  const std::string path = "/v2/a/blobs/" + digest;
  struct {
    const char *range, *body, *content_range;
    int status;
  } cases[] = {
      {"bytes=2-4", "234", "bytes 2-4/10", 206},    {"bytes=7-", "789", "bytes 7-9/10", 206}, {"bytes=-2", "89", "bytes 8-9/10", 206},
      {"bytes=5-99", "56789", "bytes 5-9/10", 206}, {"lines=1-2", "0123456789", "", 200},     {"bytes=4-2", "0123456789", "", 200},
  };
  for (const auto& c : cases) {
    auto got = ask("GET", path, "", {{"Range", c.range}});
    EXPECT_EQ(got.status, c.status) << c.range;
    EXPECT_EQ(got.body, c.body) << c.range;
    EXPECT_EQ(got.headers.get("Content-Range"), c.content_range) << c.range;
  }
  EXPECT_EQ(ask("GET", path, "", {{"Range", "bytes=10-"}}).status, 416);
  auto head = ask("HEAD", path);
  EXPECT_EQ(head.headers.get("Content-Length"), "10");
  EXPECT_EQ(ask("GET", "/v2/a/blobs/" + digest_of("no")).code(), "BLOB_UNKNOWN");
  EXPECT_EQ(ask("GET", "/v2/a/blobs/sha256:zz").code(), "DIGEST_INVALID");
}

TEST_F(RegistryServing, BlobsAreMountedFromOtherRepositories) {
  start({.images = false});
  std::string digest = push_blob("a", "shared");
  EXPECT_EQ(ask("GET", "/v2/b/blobs/" + digest).status, 404);
  auto mounted = ask("POST", "/v2/b/blobs/uploads/?mount=" + digest + "&from=a");
  EXPECT_EQ(mounted.status, 201);
  EXPECT_EQ(mounted.headers.get("Location"), "/v2/b/blobs/" + digest);
  EXPECT_EQ(ask("GET", "/v2/b/blobs/" + digest).body, "shared");
  EXPECT_EQ(ask("POST", "/v2/c/blobs/uploads/?mount=" + digest_of("none") + "&from=a").status, 202);
  EXPECT_EQ(ask("DELETE", "/v2/a/blobs/" + digest).status, 202);
  EXPECT_EQ(ask("GET", "/v2/a/blobs/" + digest).status, 404);
  EXPECT_EQ(ask("GET", "/v2/b/blobs/" + digest).status, 200);
  EXPECT_EQ(ask("DELETE", "/v2/b/blobs/" + digest).status, 202);
  EXPECT_FALSE(store_->has_blob(digest));
}

TEST_F(RegistryServing, BadManifestsAreRefusedByName) {
  std::string text = push_content("a", "x");
  auto refused = [&](const std::string& manifest, std::string_view code, std::string_view why, std::string reference = "1") {
    auto answer = push_manifest("a", reference, manifest);
    EXPECT_EQ(answer.status, 400) << manifest;
    EXPECT_EQ(answer.code(), code) << answer.body;
    EXPECT_NE(answer.body.find(why), std::string::npos) << answer.body;
  };
  refused("{", "MANIFEST_INVALID", "the manifest");
  refused("[]", "MANIFEST_INVALID", "no object");
  refused("{\"schemaVersion\":1}", "MANIFEST_INVALID", "version 1");
  refused("{\"schemaVersion\":2}", "MANIFEST_INVALID", "neither config");
  refused("{\"schemaVersion\":2,\"mediaType\":\"application/vnd.x+json\",\"layers\":[]}", "MANIFEST_INVALID", "but it was sent as");
  refused("{\"schemaVersion\":2,\"layers\":[{\"digest\":\"x\"}]}", "MANIFEST_INVALID", "layers[0].digest");
  refused("{\"schemaVersion\":2,\"layers\":[{\"digest\":\"" + digest_of("gone") + "\",\"size\":4}]}", "MANIFEST_BLOB_UNKNOWN",
          "push it before");
  std::string layer = push_blob("a", "twelve bytes");
  refused("{\"schemaVersion\":2,\"layers\":[{\"digest\":\"" + layer + "\",\"size\":4}]}", "MANIFEST_INVALID", "4 bytes, but it has 12");
  refused(text, "DIGEST_INVALID", "digest mismatch", digest_of("other"));
  EXPECT_EQ(push_manifest("a", "1", std::string((4 << 20) + 1, ' ')).status, 413);
  EXPECT_EQ(ask("GET", "/v2/a/manifests/1").status, 404);
  EXPECT_EQ(ask("GET", "/v2/A/manifests/1").code(), "NAME_INVALID");
  EXPECT_EQ(ask("GET", "/v2/none/tags/list").code(), "NAME_UNKNOWN");
  EXPECT_EQ(ask("POST", "/v2/a/manifests/1").status, 405);
  EXPECT_EQ(ask("GET", "/elsewhere").status, 404);
}

TEST_F(RegistryServing, ListsComeInPages) {
  std::string text = push_content("a", "x");
  for (const char* tag : {"3", "1", "2", "x.tmp"}) ASSERT_EQ(push_manifest("a", tag, text).status, 201);
  auto page = ask("GET", "/v2/a/tags/list?n=2");
  EXPECT_EQ(strings(page, "tags"), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(page.headers.get("Link"), "</v2/a/tags/list?n=2&last=2>; rel=\"next\"");
  page = ask("GET", "/v2/a/tags/list?n=2&last=2");
  EXPECT_EQ(strings(page, "tags"), (std::vector<std::string>{"3", "x.tmp"}));
  EXPECT_FALSE(page.headers.has("Link"));
  EXPECT_EQ(strings(ask("GET", "/v2/a/tags/list?n=0"), "tags").size(), 0u);
  EXPECT_EQ(ask("GET", "/v2/a/tags/list?n=x").code(), "PAGINATION_NUMBER_INVALID");
}

TEST_F(RegistryServing, ReferrersAreFoundAlsoThoseTaggedByOlderClients) {
  std::string text = push_content("a", "x"), subject = digest_of(text);
  ASSERT_EQ(push_manifest("a", "1", text).status, 201);
  std::string empty = push_blob("a", "{}");
  auto artifact = [&](std::string type, bool with_subject) {
    return "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"artifactType\":\"" + type +
           "\",\"config\":{\"mediaType\":\"application/vnd.oci.empty.v1+json\",\"digest\":\"" + empty + "\",\"size\":2},\"layers\":[]" +
           (with_subject ? ",\"subject\":{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"" + subject +
                               "\",\"size\":" + std::to_string(text.size()) + "}"
                         : "") +
           ",\"annotations\":{\"k\":\"v\"}}";
  };
  std::string sbom = artifact("x/sbom", true), signature = artifact("x/sig", true), old = artifact("x/old", false);
  auto put = push_manifest("a", digest_of(sbom), sbom);
  ASSERT_EQ(put.status, 201) << put.body;
  EXPECT_EQ(put.headers.get("OCI-Subject"), subject);
  ASSERT_EQ(push_manifest("a", digest_of(signature), signature).status, 201);
  ASSERT_EQ(push_manifest("a", digest_of(old), old).status, 201);
  std::string tagged = "{\"schemaVersion\":2,\"mediaType\":\"" + std::string(media::oci_index) +
                       "\",\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"" + digest_of(old) +
                       "\",\"size\":" + std::to_string(old.size()) + ",\"artifactType\":\"x/old\"}]}";
  ASSERT_EQ(push_manifest("a", "sha256-" + std::string(hex_of(subject)), tagged, media::oci_index).status, 201);
  auto list = ask("GET", "/v2/a/referrers/" + subject);
  EXPECT_EQ(list.headers.get("Content-Type"), media::oci_index);
  auto digests = strings(list, "manifests");
  EXPECT_EQ(std::set<std::string>(digests.begin(), digests.end()),
            (std::set<std::string>{digest_of(sbom), digest_of(signature), digest_of(old)}));
  EXPECT_NE(list.body.find("\"annotations\":{\"k\":\"v\"}"), std::string::npos);
  auto some = ask("GET", "/v2/a/referrers/" + subject + "?artifactType=x/sig");
  EXPECT_EQ(strings(some, "manifests"), std::vector<std::string>{digest_of(signature)});
  EXPECT_EQ(some.headers.get("OCI-Filters-Applied"), "artifactType");
  EXPECT_EQ(ask("DELETE", "/v2/a/manifests/" + digest_of(sbom)).status, 202);
  EXPECT_EQ(strings(ask("GET", "/v2/a/referrers/" + subject), "manifests").size(), 2u);
  EXPECT_EQ(strings(ask("GET", "/v2/none/referrers/" + subject), "manifests").size(), 0u);
}

TEST_F(RegistryServing, DeletionGivesTheDiskBackAndNeverTakesWhatIsNeeded) {
  start({.grace = std::chrono::seconds(0)});
  std::string one = push_content("a", "one");
  ASSERT_EQ(push_manifest("a", "1", one).status, 201);
  std::string two = push_content("a", "two");
  ASSERT_EQ(push_manifest("a", "2", two).status, 201);
  ASSERT_EQ(push_manifest("a", "also", two).status, 201);
  auto blobs = [&] { return os::list_dir(dir_ / "data/images/blobs/sha256")->size(); };
  EXPECT_EQ(blobs(), 6u);
  // The engine forgets its names; the registry still has the content.
  for (const char* name : {"localhost:5000/a:1", "localhost:5000/a:2", "localhost:5000/a:also"}) ASSERT_TRUE(store_->remove(name)) << name;
  EXPECT_EQ(store_->list()->size(), 0u);
  EXPECT_EQ(blobs(), 6u);
  EXPECT_EQ(ask("DELETE", "/v2/a/manifests/also").status, 202);
  EXPECT_EQ(ask("GET", "/v2/a/manifests/also").status, 404);
  EXPECT_EQ(ask("GET", "/v2/a/manifests/2").status, 200);
  EXPECT_EQ(ask("DELETE", "/v2/a/manifests/" + digest_of(two)).status, 202);
  EXPECT_EQ(ask("GET", "/v2/a/manifests/2").status, 404);
  EXPECT_EQ(blobs(), 3u);
  EXPECT_EQ(ask("GET", "/v2/a/manifests/1").body, one);
  EXPECT_EQ(ask("DELETE", "/v2/a/manifests/" + digest_of(two)).code(), "MANIFEST_UNKNOWN");
  EXPECT_EQ(ask("DELETE", "/v2/a/manifests/" + digest_of(one)).status, 202);
  EXPECT_EQ(blobs(), 0u);
  EXPECT_EQ(ask("GET", "/v2/a/tags/list").code(), "NAME_UNKNOWN");
  EXPECT_FALSE(os::exists(dir_ / "data/registry/repositories/a"));
}

TEST_F(RegistryServing, DeletingAPushedImageTakesTheEnginesNameToo) {
  std::string text = push_content("a", "one");
  ASSERT_EQ(push_manifest("a", "1", text).status, 201);
  EXPECT_EQ(ask("DELETE", "/v2/a/manifests/" + digest_of(text)).status, 202);
  EXPECT_EQ(store_->list()->size(), 0u);
}

TEST_F(RegistryServing, ARegistryThatCannotUnpackAnImageStillServesIt) {
  std::string layer = "no tar at all, but somebody's layer";
  Config config;
  config.platform = host_platform();
  config.diff_ids = {digest_of(layer)};
  std::string text = print_config(config);
  Manifest manifest;
  manifest.config = {std::string(media::oci_config), push_blob("a", text), text.size(), {}, {}};
  manifest.layers = {{std::string(media::oci_layer), push_blob("a", layer), layer.size(), {}, {}}};
  EXPECT_EQ(push_manifest("a", "1", print_manifest(manifest)).status, 201);
  EXPECT_EQ(ask("GET", "/v2/a/manifests/1").status, 200);
  EXPECT_EQ(store_->list()->size(), 0u);
}

TEST_F(RegistryServing, ASecondRegistryOfADirectoryIsRefused) {
  auto second = RegistryServer::open(dir_ / "data", {}, nullptr);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::conflict);
}

}  // namespace
}  // namespace estiba::image
