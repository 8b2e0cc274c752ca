// The parts of the builder that need no engine: the graph of stages, settings, the cache.
#include <gtest/gtest.h>

#include "build/solve/cache.h"
#include "build/solve/graph.h"
#include "build/solve/settings.h"
#include "image/test_support.h"

namespace estiba::build {
namespace {

Dockerfile parsed(std::string_view text) {
  auto out = parse_dockerfile(text);
  EXPECT_TRUE(out) << out.error().message;
  return out ? std::move(*out) : Dockerfile{};
}

Result<Graph> graph_of(const Dockerfile& file, size_t target) {
  std::vector<std::string> bases;
  for (const Stage& stage : file.stages) bases.push_back(stage.base);
  return plan_graph(file, bases, target);
}

TEST(Graph, OnlyWhatTheTargetNeedsIsBuilt) {
  auto file = parsed(
      "FROM x AS a\nFROM x AS b\nFROM a AS c\nCOPY --from=b /x /x\nFROM x AS d\nFROM x\nRUN --mount=type=bind,from=d,target=/m true\nCOPY "
      "--from=image:1 /y /y\n");
  auto to_c = graph_of(file, 2);
  ASSERT_TRUE(to_c) << to_c.error().message;
  EXPECT_EQ(to_c->needed, (std::vector<size_t>{0, 1, 2}));
  EXPECT_EQ(to_c->nodes[2].base, 0u);
  EXPECT_EQ(to_c->nodes[2].copies, std::set<size_t>{1});
  EXPECT_EQ(graph_of(file, 4)->needed, (std::vector<size_t>{3, 4}));
}

TEST(Graph, CirclesAndSlipsAreNamed) {
  auto circle = parsed("FROM x AS a\nCOPY --from=b /x /x\nFROM x AS b\nCOPY --from=a /x /x\n");
  EXPECT_EQ(graph_of(circle, 1).error().message, "Dockerfile:2: circular dependency detected on stage: b, in \"COPY --from=b /x /x\"");
  EXPECT_NE(graph_of(parsed("FROM x AS a\nCOPY --from=a /x /x\n"), 0).error().message.find("it copies from itself"), std::string::npos);
  EXPECT_NE(graph_of(parsed("FROM x AS builder\nFROM x\nCOPY --from=bilder /x /x\n"), 1).error().message.find("did you mean builder?"),
            std::string::npos);
  EXPECT_NE(graph_of(parsed("FROM x\nFROM x\nCOPY --from=7 /x /x\n"), 1).error().message.find("invalid stage index 7"), std::string::npos);
  EXPECT_NE(graph_of(parsed("FROM x\nCOPY --from=$A /x /x\n"), 0).error().message.find("variable expansion is not supported"),
            std::string::npos);
}

struct Applied {
  Settings settings;
  std::string error;
  std::vector<std::string> history;
};

Applied applied(const std::string& lines, const Variables& given = {}, const Variables& globals = {}) {
  Applied out;
  auto file = parsed("FROM x\n" + lines);
  const Variables platform = {{"TARGETARCH", "amd64"}};
  for (const Instruction& i : file.stages[0].instructions) {
    auto text = apply(i, file.escape, {given, globals, platform}, out.settings);
    if (!text) {
      out.error = text.error().message;
      break;
    }
    out.history.push_back(*text);
  }
  return out;
}

TEST(Settings, ArgumentsComeFromWhereDockerTakesThem) {
  auto out = applied("ARG A=default\nARG B=default\nARG G\nARG TARGETARCH\nARG NONE\nENV E=$A-$B-$G-$TARGETARCH-$NONE\n", {{"B", "given"}},
                     {{"G", "global"}});
  EXPECT_EQ(out.settings.config.env, std::vector<std::string>{"E=default-given-global-amd64-"});
  EXPECT_EQ(applied("ENV A=env\nARG A=arg\nENV B=$A\n").settings.config.env[1], "B=env");
  EXPECT_EQ(applied("ENV A=1\nENV A=2 B=$A\n").settings.config.env, (std::vector<std::string>{"A=2", "B=1"}));
}

TEST(Settings, CommandsAndTheShell) {
  auto out = applied("CMD a b\n");
  EXPECT_EQ(out.settings.config.cmd, (std::vector<std::string>{"/bin/sh", "-c", "a b"}));
  EXPECT_EQ(applied("SHELL [\"/bin/bash\",\"-ec\"]\nCMD a\n").settings.config.cmd[0], "/bin/bash");
  // An ENTRYPOINT forgets the base image's CMD, not the stage's own.
  EXPECT_EQ(applied("CMD [\"x\"]\nENTRYPOINT [\"y\"]\n").settings.config.cmd, std::vector<std::string>{"x"});
  Settings inherited;
  inherited.config.cmd = {"base"};
  auto file = parsed("FROM x\nENTRYPOINT [\"y\"]\n");
  ASSERT_TRUE(apply(file.stages[0].instructions[0], '\\', {{}, {}, {}}, inherited));
  EXPECT_TRUE(inherited.config.cmd.empty());
}

TEST(Settings, DirectoriesPortsVolumesAndSignals) {
  auto out =
      applied("ENV D=sub\nWORKDIR /a/../b\nWORKDIR $D\nEXPOSE 80 53/UDP 8000-8010\nVOLUME /v [\"x\"]\nSTOPSIGNAL SIGKILL\nUSER app:$D\n");
  EXPECT_EQ(out.error, "");
  EXPECT_EQ(out.settings.config.working_dir, "/b/sub");
  EXPECT_EQ(out.settings.config.exposed_ports, (std::vector<std::string>{"80/tcp", "53/udp", "8000-8010/tcp"}));
  EXPECT_EQ(out.settings.config.user, "app:sub");
  EXPECT_NE(applied("EXPOSE 99999\n").error.find("invalid containerPort: 99999"), std::string::npos);
  EXPECT_NE(applied("EXPOSE 80/icmp\n").error.find("invalid proto: icmp"), std::string::npos);
  EXPECT_NE(applied("STOPSIGNAL SIGNOPE\n").error.find("Invalid signal: SIGNOPE"), std::string::npos);
  EXPECT_NE(applied("ENV A=${B\n").error.find("Dockerfile:2: a closing '}' is missing"), std::string::npos);
}

TEST(Cache, OutlivesItsProcess) {
  image::TemporaryDirectory d;
  auto store = *image::Store::open(d.path());
  ASSERT_TRUE(os::make_dirs(d / "build"));
  const std::string key = cache_key({"a", "b"});
  EXPECT_NE(key, cache_key({"ab"}));
  {
    Cache cache(d / "build", *store);
    ASSERT_TRUE(cache.load());
    EXPECT_FALSE(cache.find(key, 10));
    cache.put(key, {.created = 5, .used = 5});
    cache.put("memo", {.created = 5, .used = 5, .value = "sha256:x"});
    image::MadeLayer lost{image::digest_of("1"), image::digest_of("2"), 7, image::digest_of("3"), "m"};
    cache.put("lost", {.created = 5, .used = 5, .layer = lost});
    ASSERT_TRUE(cache.save());
  }
  Cache cache(d / "build", *store);
  ASSERT_TRUE(cache.load());
  EXPECT_EQ(cache.find(key, 20)->created, 5);
  EXPECT_EQ(cache.find("memo", 20)->value, "sha256:x");
  EXPECT_FALSE(cache.find("lost", 20)) << "its layer is not there";
  auto pruned = cache.prune({.all = true, .before = 30}, {});
  EXPECT_EQ(pruned.keys, std::vector<std::string>{key});
  EXPECT_FALSE(cache.find(key, 30));
}

class CachePrune : public testing::Test {
 protected:
  void SetUp() override {
    for (auto [key, used] : {std::pair{"aa", 10}, {"bb", 20}, {"cc", 30}})
      cache.put(key, {.created = 1, .used = used, .layer = image::MadeLayer{"", "", 100, key, ""}});
    cache.put("empty", {.created = 1, .used = 5});
    cache.use_mount("mount", "cached mount\t/c", 15);
    kept.mount_bytes = {{"mount", 50}, {"old", 7}};
  }
  std::vector<std::string> pruned(const PruneRequest& request) { return cache.prune(request, kept).keys; }
  using Keys = std::vector<std::string>;

  image::TemporaryDirectory d;
  std::unique_ptr<image::Store> store = *image::Store::open(d.path());
  Cache cache{d.path(), *store};
  Cache::Kept kept;
};

TEST_F(CachePrune, ImagesKeepTheirStepsUnlessAllGoes) {
  kept.image_chains = {"bb"};
  EXPECT_EQ(pruned({}), (Keys{"old", "aa", "mount", "cc"}));
  kept.mount_bytes.clear();
  EXPECT_EQ(pruned({.all = true}), (Keys{"empty", "bb"}));
}

TEST_F(CachePrune, ByTimeTypeIdAndSpace) {
  EXPECT_EQ(pruned({.all = true, .before = 11, .types = {"regular"}}), (Keys{"empty", "aa"}));
  EXPECT_EQ(pruned({.all = true, .ids = {"b"}}), (Keys{"bb"}));
  EXPECT_EQ(pruned({.all = true, .keep_bytes = 150}), (Keys{"old"}));
  EXPECT_EQ(pruned({.types = {"frontend"}}), Keys{});
  auto mounts = cache.prune({.types = {"exec.cachemount"}}, kept);
  EXPECT_EQ(mounts.mounts, (Keys{"old", "mount"}));
  EXPECT_EQ(mounts.bytes, 57u);
}

TEST_F(CachePrune, AMountInUseStays) {
  kept.busy_mounts = {"mount"};
  EXPECT_EQ(cache.prune({.all = true}, kept).mounts, Keys{"old"});
  ASSERT_TRUE(cache.save());
  Cache again(d.path(), *store);
  ASSERT_TRUE(again.load());
  ASSERT_EQ(again.list().size(), 1u);
  EXPECT_TRUE(again.list()[0].second.mount);
  EXPECT_EQ(again.list()[0].second.value, "cached mount /c");
}

}  // namespace
}  // namespace estiba::build
