#include "image/archive.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "image/overlay.h"
#include "image/test_support.h"
#include "image/user_namespaces.h"
#include "model/json.h"
#include "os/mount.h"
#include "os/user_namespace.h"

namespace estiba::image {
namespace {

/// Whether the overlay at `target` waits for no disk.
bool is_volatile(const std::string& target) {
  std::string all = *os::read_file("/proc/self/mounts");
  size_t at = all.find(" " + target + " overlay ");
  return at != all.npos && all.substr(at + target.size(), all.find('\n', at) - at).find("volatile") != all.npos;
}

class Archive : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Store::open(dir_ / "data");
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }

  std::string write(const std::string& name, std::string_view bytes) {
    std::string path = dir_ / name;
    EXPECT_TRUE(os::write_file(path, bytes, O_CREAT | O_TRUNC));
    return path;
  }
  std::string error_of(const std::string& path, ImportOptions options = {}) {
    auto result = import_image(*store_, path, options);
    return result ? "" : result.error().message;
  }
  Record rootfs(const std::string& name, std::string_view tar) {
    auto result = import_image(*store_, write("rootfs.tar", tar), {.name = name, .env = {"A=1"}, .cmd = {"/bin/run"}});
    EXPECT_TRUE(result) << result.error().message;
    return result ? result->at(0) : Record{};
  }
  std::string exported(const std::string& name, ExportFormat format) {
    StringSink sink;
    auto done = export_images(*store_, {name}, format, sink);
    EXPECT_TRUE(done) << done.error().message;
    return sink.text;
  }
  size_t leftovers() { return os::list_dir(dir_ / "data/images/tmp").value().size(); }

  TemporaryDirectory dir_;
  std::unique_ptr<Store> store_;
};

/// A docker archive of layers; `tweak` may change a file before it is written.
std::string docker_archive(const std::vector<std::string>& layers, const std::vector<std::string>& diff_ids, std::string config_name = "") {
  Config config;
  config.platform = host_platform();
  config.diff_ids = diff_ids;
  config.cmd = {"/app"};
  std::string text = print_config(config);
  if (config_name.empty()) config_name = std::string(hex_of(digest_of(text))) + ".json";
  TarText tar;
  std::string list;
  for (size_t i = 0; i < layers.size(); ++i) {
    std::string name = std::string(64, char('a' + i)) + "/layer.tar";
    tar.file(name, layers[i]);
    list += (i ? "," : "") + ("\"" + name + "\"");
  }
  tar.file(config_name, text);
  tar.file("manifest.json", "[{\"Config\":\"" + config_name + "\",\"RepoTags\":[\"app:1\"],\"Layers\":[" + list + "]}]");
  return tar.text();
}

TEST_F(Archive, PartialBlobsStayForTheNextWriter) {
  const std::string text = "what is downloaded in two halves", digest = digest_of(text);
  {
    auto first = store_->partial_blob(digest, text.size());
    ASSERT_TRUE(first && first->write(text.substr(0, 10)));
    auto second = store_->partial_blob(digest, text.size());  // at the same time: from the start, elsewhere
    ASSERT_TRUE(second);
    EXPECT_EQ(second->size(), 0u);
    EXPECT_NE(second->path(), first->path());
  }
  auto later = store_->partial_blob(digest, text.size());
  ASSERT_TRUE(later);
  EXPECT_EQ(later->size(), 10u);
  ASSERT_TRUE(later->write(text.substr(10)));
  EXPECT_EQ(later->commit(digest).value_or(""), digest);
  EXPECT_EQ(store_->read_blob(digest).value_or(""), text);
  EXPECT_EQ(os::list_dir(dir_ / "data/images/partial")->size(), 0u);
  // What is not what it should be goes, and so does what is longer than it may be.
  const std::string other = digest_of("other");
  {
    auto wrong = store_->partial_blob(other, 5);
    ASSERT_TRUE(wrong && wrong->write("wrong"));
    EXPECT_EQ(wrong->commit(other).error().code, Code::malformed);
  }
  EXPECT_EQ(os::list_dir(dir_ / "data/images/partial")->size(), 0u);
  {
    auto longer = store_->partial_blob(other, 5);
    ASSERT_TRUE(longer && longer->write("too long"));
  }
  EXPECT_EQ(store_->partial_blob(other, 5)->size(), 0u);
  // The collector takes what nobody has gone on with for a day.
  const std::string path = dir_ / ("data/images/partial/" + std::string(hex_of(other)));
  ASSERT_TRUE(store_->collect());
  EXPECT_TRUE(os::exists(path));
  const timespec old[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), old, 0), 0);
  ASSERT_TRUE(store_->collect());
  EXPECT_FALSE(os::exists(path));
}

TEST_F(Archive, ARootFileSystemBecomesAnImage) {
  Record record = rootfs("web:1", TarText().file("bin/run", "x", 0755).text());
  EXPECT_EQ(record.tags, std::vector<std::string>{"docker.io/library/web:1"});
  auto config = store_->config(record.id);
  ASSERT_TRUE(config);
  EXPECT_EQ((*config)->cmd, std::vector<std::string>{"/bin/run"});
  EXPECT_EQ((*config)->env, std::vector<std::string>{"A=1"});
  EXPECT_EQ(os::read_file(store_->layer_paths(**config).at(0) + "/bin/run").value(), "x");
  EXPECT_EQ(store_->find("web:1").value()->id, record.id);
  EXPECT_EQ(store_->find(record.id).value()->id, record.id);
  EXPECT_EQ(store_->find(short_digest(record.id)).value()->id, record.id);
  EXPECT_FALSE(store_->find("web:2").value());
  EXPECT_EQ(leftovers(), 0u);
  EXPECT_NE(error_of(write("r.tar", TarText().file("bin/x", "").text())).find("give NAME:TAG"), std::string::npos);
}

TEST_F(Archive, ExportsAreImportedAgainAsTheSameImage) {
  Record record = rootfs("web:1", TarText().file("bin/run", std::string(100000, 'r'), 0755).text());
  for (auto format : {ExportFormat::oci, ExportFormat::docker}) {
    std::string tar = exported("web:1", format);
    StringSink gzipped;
    GzipSink gzip(gzipped);
    ASSERT_TRUE(gzip.write(tar) && gzip.finish());
    for (const std::string& bytes : {tar, gzipped.text}) {
      ASSERT_TRUE(store_->remove("web:1"));
      ASSERT_EQ(store_->list().value().size(), 0u);
      EXPECT_EQ(os::list_dir(dir_ / "data/images/blobs/sha256").value().size(), 0u);
      EXPECT_EQ(os::list_dir(dir_ / "data/images/layers").value().size(), 0u);
      auto again = import_image(*store_, write("image.tar", bytes), {});
      ASSERT_TRUE(again) << again.error().message;
      EXPECT_EQ(again->at(0).id, record.id);
      EXPECT_EQ(again->at(0).tags, record.tags);
    }
  }
}

TEST_F(Archive, LayersOfADockerArchiveStackWithTheirWhiteouts) {
  std::string base = TarText()
                         .directory("tmp", 01777)
                         .file("etc/a", "1")
                         .file("etc/b", "2")
                         .directory("usr/lib")
                         .symlink("lib", "usr/lib")
                         .file("old/x", "x")
                         .text();
  // The upper layer leaves out "tmp/" itself, goes through a symlink and links to a file below.
  std::string top = TarText()
                        .file("tmp/new", "n")
                        .file("etc/.wh.a", "")
                        .file("lib/so", "s")
                        .hardlink("etc/c", "etc/b")
                        .file("old/.wh..wh..opq", "")
                        .file("old/y", "y")
                        .text();
  auto result = import_image(*store_, write("d.tar", docker_archive({base, top}, {digest_of(base), digest_of(top)})), {});
  ASSERT_TRUE(result) << result.error().message;
  auto config = *store_->config(result->at(0).id);
  std::string dir = dir_ / "container";
  auto root = mount_container_root(store_->layer_paths(*config), dir);
  ASSERT_TRUE(root) << root.error().message;
  EXPECT_EQ(os::stat_file(*root + "/tmp")->st_mode & 07777, 01777u);
  EXPECT_EQ(os::read_file(*root + "/tmp/new").value(), "n");
  EXPECT_FALSE(os::exists(*root + "/etc/a"));
  EXPECT_EQ(os::read_file(*root + "/etc/c").value(), "2");
  EXPECT_EQ(os::read_file(*root + "/usr/lib/so").value(), "s");
  EXPECT_FALSE(os::exists(*root + "/old/x"));
  EXPECT_TRUE(os::exists(*root + "/old/y"));
  EXPECT_TRUE(os::write_file(*root + "/written", "w", O_CREAT));
  EXPECT_EQ(os::read_file(dir + "/upper/written").value(), "w");
  EXPECT_TRUE(mount_container_root(store_->layer_paths(*config), dir));
  EXPECT_FALSE(is_volatile(*root));
  EXPECT_TRUE(remove_container_root(dir));
  EXPECT_TRUE(remove_container_root(dir));
  EXPECT_FALSE(os::exists(dir));
}

TEST_F(Archive, ARootOfAUserNamespaceHasItsIds) {
  std::string base = TarText().file("a", "1").file("of-user", "2").text();
  auto result = import_image(*store_, write("u.tar", docker_archive({base}, {digest_of(base)})), {});
  ASSERT_TRUE(result) << result.error().message;
  auto layers = store_->layer_paths(**store_->config(result->at(0).id));
  ASSERT_TRUE(os::change_owner(layers[0] + "/of-user", 1000, 1001));
  const os::IdMappings ids = {{0, 300000, 65536}};
  auto user = os::new_user_namespace(ids, ids);
  ASSERT_TRUE(user) << user.error().message;
  std::string dir = dir_ / "container", users = os::fd_path(user->get());
  auto root = mount_container_root(layers, dir, {}, Writes::passing, users);
  ASSERT_TRUE(root) << root.error().message;
  auto owner = [&](const std::string& path) { return std::pair(os::stat_file(path)->st_uid, os::stat_file(path)->st_gid); };
  EXPECT_EQ(owner(*root), std::pair(300000u, 300000u));
  EXPECT_EQ(owner(*root + "/a"), std::pair(300000u, 300000u));
  EXPECT_EQ(owner(*root + "/of-user"), std::pair(301000u, 301001u));
  EXPECT_EQ(owner(layers[0] + "/a"), std::pair(0u, 0u));
  // A copy in the writable layer keeps the ids of outside.
  ASSERT_TRUE(os::write_file(*root + "/of-user", "3", O_TRUNC));
  EXPECT_EQ(owner(dir + "/upper/of-user"), std::pair(301000u, 301001u));
  EXPECT_EQ(os::read_file(layers[0] + "/of-user").value(), "2");
  EXPECT_TRUE(mount_container_root(layers, dir, {}, Writes::passing, users));
  EXPECT_TRUE(remove_container_root(dir));
  EXPECT_FALSE(os::exists(dir));
  auto content = mount_content(layers, dir, users);
  ASSERT_TRUE(content) << content.error().message;
  EXPECT_EQ(owner(*content + "/of-user"), std::pair(301000u, 301001u));
  EXPECT_TRUE(remove_container_root(dir));
  EXPECT_FALSE(mount_container_root(layers, dir, {}, Writes::passing, (dir_ / "nowhere")));
  EXPECT_TRUE(remove_container_root(dir));
  auto offered = try_user_namespace(dir_.path(), dir_.path(), 65536, 65536);
  EXPECT_TRUE(offered) << offered.error().message;
  EXPECT_EQ(os::list_dir(dir_ / "containers")->size(), 0u);
  EXPECT_NE(try_user_namespace(dir_.path(), "/proc", 65536, 65536).error().message.find("file system proc"), std::string::npos);
}

TEST_F(Archive, ARootWhoseWritesPassIsMountedAgain) {
  std::string base = TarText().file("a", "1").text();
  auto result = import_image(*store_, write("p.tar", docker_archive({base}, {digest_of(base)})), {});
  ASSERT_TRUE(result) << result.error().message;
  auto layers = store_->layer_paths(**store_->config(result->at(0).id));
  std::string dir = dir_ / "container";
  for (const char* expected : {"1", "w"}) {
    auto root = mount_container_root(layers, dir, {}, Writes::passing);
    ASSERT_TRUE(root) << root.error().message;
    EXPECT_TRUE(is_volatile(*root));
    EXPECT_EQ(os::read_file(*root + "/a").value(), expected);
    EXPECT_TRUE(os::write_file(*root + "/a", "w", O_TRUNC));
    EXPECT_TRUE(unmount_container_root(dir));
  }
  EXPECT_TRUE(remove_container_root(dir));
}

TEST_F(Archive, WrongDigestsAreToldWithBoth) {
  std::string layer = TarText().file("a", "1").text();
  std::string other = digest_of("other");
  std::string error = error_of(write("d.tar", docker_archive({layer}, {other})));
  EXPECT_NE(error.find(digest_of(layer)), std::string::npos) << error;
  EXPECT_NE(error.find(other), std::string::npos) << error;
  error = error_of(write("d.tar", docker_archive({layer}, {digest_of(layer)}, std::string(64, 'e') + ".json")));
  EXPECT_NE(error.find("its name says sha256:eeee"), std::string::npos) << error;

  rootfs("web:1", TarText().file("bin/run", "unchanged-content").text());
  std::string tar = exported("web:1", ExportFormat::oci);
  std::string id = store_->find("web:1").value()->id;
  ASSERT_TRUE(store_->remove("web:1"));
  size_t at = tar.find("\"/bin/run\"");
  ASSERT_NE(at, tar.npos);
  tar[at + 2] = 'B';
  error = error_of(write("o.tar", tar));
  EXPECT_NE(error.find("digest mismatch"), std::string::npos) << error;
  EXPECT_NE(error.find(id), std::string::npos) << error;
  EXPECT_EQ(store_->list().value().size(), 0u);
  EXPECT_EQ(leftovers(), 0u);
}

TEST_F(Archive, HostileLayersLeaveNothing) {
  ImportOptions named{.name = "bad:1"};
  EXPECT_NE(error_of(write("t.tar", TarText().file("../../etc/evil", "x").text()), named).find("\"../../etc/evil\""), std::string::npos);
  EXPECT_NE(error_of(write("t.tar", TarText().file("ok", "x").symlink("up", "../..").text()), named).find("leads out of the root"),
            std::string::npos);
  EXPECT_NE(
      error_of(write("t.tar", TarText().file("ok", "x").add({.name = "sda", .type = TarEntry::Type::block, .major = 8}).text()), named)
          .find("device node"),
      std::string::npos);
  std::string tar = TarText().file("ok", std::string(5000, 'x')).text();
  EXPECT_NE(error_of(write("t.tar", tar.substr(0, 3000)), named).find("truncated"), std::string::npos);
  EXPECT_NE(error_of(write("t.tar", "hello"), named).find("no tar archive"), std::string::npos);
  named.limits.total_bytes = 1000;
  EXPECT_NE(error_of(write("t.tar", tar), named).find("more than 1000 bytes"), std::string::npos);
  EXPECT_NE(error_of(dir_ / "missing.tar").find("No such file"), std::string::npos);
  EXPECT_NE(error_of(dir_.path()).find("no OCI layout"), std::string::npos);
  EXPECT_EQ(leftovers(), 0u);
  EXPECT_EQ(store_->list().value().size(), 0u);
  EXPECT_EQ(os::list_dir(dir_ / "data/images/layers").value().size(), 0u);
}

TEST_F(Archive, ANameMovesToTheNewImageAndTheOldOneIsCollected) {
  Record first = rootfs("web:1", TarText().file("bin/v", "1").text());
  Record second = rootfs("web:1", TarText().file("bin/v", "2").text());
  ASSERT_NE(first.id, second.id);
  ASSERT_TRUE(store_->collect());
  EXPECT_EQ(store_->find("web:1").value()->id, second.id);
  EXPECT_FALSE(store_->find(first.id).value());
  EXPECT_EQ(store_->list().value().size(), 1u);
}

TEST_F(Archive, AnImageInUseOutlivesItsName) {
  Record record = rootfs("web:1", TarText().file("bin/v", "1").text());
  ASSERT_TRUE(store_->use("c1", "web:1"));
  EXPECT_EQ(store_->remove(record.id).error().code, Code::conflict);
  auto removed = store_->remove("web:1");
  ASSERT_TRUE(removed);
  EXPECT_FALSE(removed->deleted);
  EXPECT_TRUE(store_->find(record.id).value());
  EXPECT_TRUE(store_->has_layer(store_->config(record.id).value()->diff_ids[0]));
  ASSERT_TRUE(os::remove_all(store_->container_dir("c1")));
  ASSERT_TRUE(store_->collect());
  EXPECT_FALSE(store_->find(record.id).value());
  EXPECT_FALSE(store_->has_layer(digest_of("x")));
  EXPECT_EQ(store_->use("c2", "web:1").error().code, Code::not_found);
  EXPECT_EQ(store_->remove("web:1").error().code, Code::not_found);
}

TEST_F(Archive, AnotherProcesssChangesAreSeen) {
  auto other = std::move(*Store::open(dir_ / "data"));
  EXPECT_EQ(other->list().value().size(), 0u);
  rootfs("web:1", TarText().file("bin/v", "1").text());
  EXPECT_EQ(other->list().value().size(), 1u);
  ASSERT_TRUE(other->remove("web:1"));
  EXPECT_EQ(store_->list().value().size(), 0u);
}

TEST_F(Archive, NothingIsCollectedWhileContentIsAdded) {
  Fd adding = std::move(*store_->adding());
  auto digest = store_->add_blob("not yet named");
  ASSERT_TRUE(store_->collect());
  EXPECT_TRUE(store_->has_blob(*digest));
  adding.reset();
  ASSERT_TRUE(store_->collect());
  EXPECT_FALSE(store_->has_blob(*digest));
}

TEST_F(Archive, AnIndexChoosesThisMachinesPlatform) {
  Record record = rootfs("web:1", TarText().file("bin/v", "1").text());
  Manifest manifest = store_->manifest(record).value();
  Descriptor ours{manifest.media_type, record.manifest, store_->blob_size(record.manifest).value(), host_platform(), {}};
  Descriptor theirs = ours;
  theirs.digest = digest_of("elsewhere");
  theirs.platform->architecture = "s390x";
  Index inner{{theirs, ours}};
  std::string inner_text = print_index(inner);
  Descriptor top{std::string(media::oci_index),
                 digest_of(inner_text),
                 inner_text.size(),
                 {},
                 {{"org.opencontainers.image.ref.name", "quay.io/a/b:c"}}};
  std::string layout = dir_ / "layout";
  ASSERT_TRUE(os::make_dirs(layout + "/blobs/sha256"));
  for (const auto& entry : os::list_dir(dir_ / "data/images/blobs/sha256").value())
    ASSERT_TRUE(os::make_hardlink(dir_ / "data/images/blobs/sha256/" + entry.name, layout + "/blobs/sha256/" + entry.name));
  ASSERT_TRUE(os::write_file(layout + "/blobs/sha256/" + std::string(hex_of(top.digest)), inner_text, O_CREAT));
  ASSERT_TRUE(os::write_file(layout + "/index.json", print_index({{top}}), O_CREAT));
  auto result = import_image(*store_, layout, {});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->at(0).id, record.id);
  EXPECT_TRUE(store_->find("quay.io/a/b:c").value());
  EXPECT_NE(error_of(layout, {.name = "x", .platform = {"linux", "riscv64", ""}}).find("no image for linux/riscv64"), std::string::npos);
}

}  // namespace
}  // namespace estiba::image
