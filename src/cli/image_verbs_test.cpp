#include <gtest/gtest.h>

#include "cli/verbs.h"
#include "image/test_support.h"

namespace estiba::cli {
namespace {

class ImageVerbs : public testing::Test {
 protected:
  std::string write(const std::string& name, std::string_view bytes) {
    std::string path = dir_ / name;
    EXPECT_TRUE(os::write_file(path, bytes, O_CREAT | O_TRUNC));
    return path;
  }
  /// The verb's output, or its error with "error: " before it.
  std::string run(Result<int> (*verb)(const Arguments&), std::vector<std::string> words) {
    words.push_back("--data-dir=" + (dir_ / "data"));
    Arguments arguments(words.begin(), words.end());
    testing::internal::CaptureStdout();
    auto code = verb(arguments);
    std::string out = testing::internal::GetCapturedStdout();
    return code ? (*code == 0 ? out : "exit " + std::to_string(*code)) : "error: " + code.error().message;
  }

  image::TemporaryDirectory dir_;
};

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

TEST_F(ImageVerbs, ImportListExportRemove) {
  std::string tar = write("rootfs.tar", image::TarText().file("bin/app", "x", 0755).text());
  std::string imported = run(image_import, {tar, "web:1", "--cmd", "[\"/bin/app\",\"-v\"]", "--env", "A=1", "--workdir", "/srv", "--label", "k=v"});
  EXPECT_TRUE(imported.starts_with("sha256:")) << imported;
  EXPECT_TRUE(has(imported, "docker.io/library/web:1"));
  std::string listed = run(image_list, {});
  EXPECT_TRUE(has(listed, "web ")) << listed;
  EXPECT_TRUE(has(listed, imported.substr(7, 12)));
  EXPECT_EQ(run(image_list, {"-q"}), imported.substr(7, 12) + "\n");
  for (std::string compress : {"none", "gzip", "zstd"}) {
    std::string out = dir_ / "out.tar";
    EXPECT_EQ(run(image_export, {"web:1", "-o", out, "--compress", compress}), "");
    EXPECT_TRUE(has(run(image_remove, {"web:1"}), "Untagged: docker.io/library/web:1"));
    EXPECT_EQ(run(image_import, {out}), imported);
  }
  auto store = image::Store::open(dir_ / "data");
  auto config = (*store)->config(imported.substr(0, 71));
  ASSERT_TRUE(config);
  EXPECT_EQ((*config)->cmd, (std::vector<std::string>{"/bin/app", "-v"}));
  EXPECT_EQ((*config)->working_dir, "/srv");
  EXPECT_EQ((*config)->labels.at("k"), "v");
}

TEST_F(ImageVerbs, BadInputIsToldAndLeavesNothing) {
  std::string evil = write("evil.tar", image::TarText().file("../../etc/cron.d/evil", "x").text());
  EXPECT_TRUE(has(run(image_import, {evil, "a:1"}), "unpack \"../../etc/cron.d/evil\": \"..\" is not allowed")) << run(image_import, {evil, "a:1"});
  std::string node = write("node.tar", image::TarText().add({.name = "dev/sda", .type = image::TarEntry::Type::block, .major = 8}).text());
  EXPECT_TRUE(has(run(image_import, {node, "a:1"}), "\"dev/sda\": the device node block 8:0 is not allowed"));
  std::string link = write("link.tar", image::TarText().symlink("up", "../../..").text());
  EXPECT_TRUE(has(run(image_import, {link, "a:1"}), "\"up\": the symlink's target \"../../..\" leads out of the root"));
  EXPECT_TRUE(has(run(image_import, {evil}), "give NAME:TAG"));
  EXPECT_TRUE(has(run(image_import, {evil, "A:1"}), "must be lower case"));
  EXPECT_TRUE(has(run(image_import, {evil, "a:1", "--env", "novalue"}), "--env \"novalue\": NAME=VALUE is expected"));
  EXPECT_TRUE(has(run(image_import, {evil, "a:1", "--cmd", "[1]"}), "--cmd: every word must be a string"));
  EXPECT_TRUE(has(run(image_import, {}), "give an archive"));
  EXPECT_TRUE(has(run(image_export, {"none:1", "-o", dir_ / "x"}), "image none:1 is not here"));
  EXPECT_FALSE(os::exists(dir_ / "x") || os::exists(dir_ / "x.part"));
  EXPECT_EQ(run(image_remove, {"none:1"}), "exit 1");
  EXPECT_TRUE(has(run(image_pull, {"127.0.0.1:1/a:1"}), "pull image 127.0.0.1:1/a:1"));
  EXPECT_EQ(run(image_list, {"-q"}), "");
  EXPECT_EQ(os::list_dir(dir_ / "data/images/layers").value().size(), 0u);
  EXPECT_EQ(os::list_dir(dir_ / "data/images/tmp").value().size(), 0u);
}

}  // namespace
}  // namespace estiba::cli
