#include "build/dockerfile/instruction.h"

#include <gtest/gtest.h>

#include "build/dockerfile/lint.h"

namespace estiba::build {
namespace {

using Words = std::vector<std::string>;

Dockerfile parsed(std::string_view text) {
  auto out = parse_dockerfile(text);
  EXPECT_TRUE(out) << out.error().message;
  return out ? std::move(*out) : Dockerfile{};
}

std::string error_of(std::string_view text) {
  auto out = parse_dockerfile(text);
  return out ? "" : out.error().message;
}

/// The first instruction of the first stage.
Instruction one(const std::string& line) {
  auto file = parsed("FROM x\n" + line);
  EXPECT_EQ(file.stages[0].instructions.size(), 1u);
  return file.stages[0].instructions.at(0);
}

TEST(Dockerfile, StagesAndTheirNames) {
  auto file = parsed("ARG V=1\nFROM --platform=$BUILDPLATFORM golang:$V AS Build\nRUN a\nFROM scratch\nCOPY --from=build /a /b\n");
  ASSERT_EQ(file.stages.size(), 2u);
  EXPECT_EQ(file.globals.size(), 1u);
  EXPECT_EQ(file.stages[0].name, "build");
  EXPECT_EQ(file.stages[0].base, "golang:$V");
  EXPECT_EQ(file.stages[0].platform, "$BUILDPLATFORM");
  EXPECT_EQ(file.find_stage("BUILD"), 0u);
  EXPECT_EQ(file.find_stage("1"), 1u);
  EXPECT_FALSE(file.find_stage("2"));
  EXPECT_EQ(file.stages[1].instructions[0].flag_value("from"), "build");
}

TEST(Dockerfile, ContinuedLinesCommentsAndBlankLines) {
  auto file = parsed("FROM x\r\n# a comment\n  RUN a \\\n  # within\n   b \\  \n\n c\nRUN d\\\\\nENV A=b\n");
  const auto& list = file.stages[0].instructions;
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0].words, Words{"a    b  c"});
  EXPECT_EQ(list[0].place.line, 3);
  EXPECT_EQ(list[1].words, Words{"d\\\\"});
  EXPECT_EQ(list[2].kind, Kind::env);
  EXPECT_EQ(file.warnings[0].rule, "NoEmptyContinuation");
}

TEST(Dockerfile, Directives) {
  auto file = parsed("# syntax=docker/dockerfile:1\n# escape=`\n# check=skip=LatestTag\nFROM x\nRUN a `\n b\n");
  EXPECT_EQ(file.syntax, "docker/dockerfile:1");
  EXPECT_EQ(file.escape, '`');
  EXPECT_EQ(file.check, "skip=LatestTag");
  EXPECT_EQ(file.stages[0].instructions[0].words, Words{"a  b"});
  EXPECT_EQ(parsed("# a comment\n# escape=`\nFROM x\n").escape, '\\');
  EXPECT_EQ(error_of("# escape=x\nFROM x"), "Dockerfile:1: invalid escape token \"x\": it is ` or \\, in \"# escape=x\"");
  EXPECT_TRUE(error_of("# escape=`\n# escape=`\nFROM x").starts_with("Dockerfile:2: only one escape parser directive"));
}

TEST(Dockerfile, HeredocsOfRun) {
  auto script = one("RUN <<EOF\nset -e\necho $X\nEOF\n");
  EXPECT_EQ(script.words, Words{"set -e\necho $X\n"});
  EXPECT_EQ(script.heredocs.size(), 1u);
  auto piped = one("RUN cat <<A - <<-'B' > /x\n1\nA\n\t2\n\tB\n");
  EXPECT_EQ(piped.words, Words{"cat <<A - <<-'B' > /x\n1\nA\n2\nB\n"});
  EXPECT_TRUE(piped.heredocs.empty());
  EXPECT_EQ(error_of("FROM x\nRUN <<EOF\na\n"),
            "Dockerfile:2: unterminated heredoc: the line EOF that ends it is missing, in \"RUN <<EOF\"");
  EXPECT_EQ(one("RUN echo $((1<<3))").words, Words{"echo $((1<<3))"});
}

TEST(Dockerfile, HeredocsOfCopy) {
  auto copy = one("COPY --chmod=755 <<a <<\"b\" /dir/\nA $X\na\nB\nb\n");
  ASSERT_EQ(copy.heredocs.size(), 2u);
  EXPECT_EQ(copy.heredocs[0].content, "A $X\n");
  EXPECT_TRUE(copy.heredocs[0].expand);
  EXPECT_FALSE(copy.heredocs[1].expand);
  EXPECT_EQ(copy.words.back(), "/dir/");
  EXPECT_TRUE(error_of("FROM x\nCOPY a <<b\nb\n").find("heredoc as a destination") != std::string::npos);
}

TEST(Dockerfile, JsonAndShellForms) {
  EXPECT_EQ(one("CMD [\"a\", \"b c\"]").words, (Words{"a", "b c"}));
  EXPECT_TRUE(one("CMD [\"a\"]").json);
  EXPECT_EQ(one("CMD [a]").words, Words{"[a]"});
  EXPECT_FALSE(one("ENTRYPOINT a b").json);
  EXPECT_TRUE(one("CMD []").words.empty());
  EXPECT_EQ(one("SHELL [\"/bin/bash\", \"-c\"]").words, (Words{"/bin/bash", "-c"}));
  EXPECT_TRUE(error_of("FROM x\nSHELL bash").find("JSON form") != std::string::npos);
  EXPECT_EQ(one("CMD --version").words, Words{"--version"});
}

TEST(Dockerfile, PairsOfEnvLabelAndArg) {
  auto env = one("ENV A=1 B=\"x y\" C=a\\ b");
  ASSERT_EQ(env.pairs.size(), 3u);
  EXPECT_EQ(env.pairs[1].value, "\"x y\"");
  EXPECT_EQ(env.pairs[2].value, "a\\ b");
  auto old = one("ENV A some words = here");
  EXPECT_EQ(old.pairs[0].name, "A");
  EXPECT_EQ(old.pairs[0].value, "some words = here");
  auto arg = one("ARG A B=2");
  EXPECT_FALSE(arg.pairs[0].has_value);
  EXPECT_EQ(arg.pairs[1].value, "2");
  EXPECT_EQ(error_of("FROM x\nENV A=1 B"),
            "Dockerfile:2: Syntax error - can't find = in \"B\". Must be of the form: name=value, in \"ENV A=1 B\"");
  EXPECT_TRUE(error_of("FROM x\nARG a$b").find("not a variable's name") != std::string::npos);
}

TEST(Dockerfile, HealthChecks) {
  auto check = one("HEALTHCHECK --interval=1m30s --timeout=500ms --retries=4 CMD curl -f localhost");
  EXPECT_EQ(check.health->interval, 90'000'000'000);
  EXPECT_EQ(check.health->timeout, 500'000'000);
  EXPECT_EQ(check.health->retries, 4);
  EXPECT_EQ(check.words, Words{"curl -f localhost"});
  EXPECT_TRUE(one("HEALTHCHECK NONE").health->none);
  EXPECT_TRUE(error_of("FROM x\nHEALTHCHECK --interval=soon CMD a").find("invalid duration \"soon\"") != std::string::npos);
  EXPECT_TRUE(error_of("FROM x\nHEALTHCHECK curl").find("Unknown type \"CURL\" in HEALTHCHECK") != std::string::npos);
}

TEST(Dockerfile, Triggers) {
  EXPECT_EQ(one("ONBUILD copy . /app").trigger, "COPY . /app");
  EXPECT_TRUE(error_of("FROM x\nONBUILD FROM y").find("FROM isn't allowed as an ONBUILD trigger") != std::string::npos);
  EXPECT_TRUE(error_of("FROM x\nONBUILD ONBUILD RUN a").find("Chaining ONBUILD") != std::string::npos);
  EXPECT_TRUE(error_of("FROM x\nONBUILD RUM a").find("did you mean RUN?") != std::string::npos);
}

TEST(Dockerfile, ErrorsNameFileLineAndTheLine) {
  EXPECT_EQ(error_of("FROM x\n\nRNU echo hi\n"), "Dockerfile:3: unknown instruction: RNU (did you mean RUN?), in \"RNU echo hi\"");
  EXPECT_EQ(error_of("FORM x"), "Dockerfile:1: unknown instruction: FORM (did you mean FROM?), in \"FORM x\"");
  EXPECT_EQ(error_of("FROM x\nCOPY --form=y a b"), "Dockerfile:2: unknown flag: --form (did you mean from?), in \"COPY --form=y a b\"");
  EXPECT_EQ(error_of("FROM\n"), "Dockerfile:1: FROM requires either one or three arguments: FROM IMAGE [AS NAME], in \"FROM\"");
  EXPECT_EQ(error_of(""), "Dockerfile: file with no instructions: a Dockerfile begins with FROM");
  EXPECT_EQ(error_of("RUN a"), "Dockerfile:1: no build stage in current context: FROM must come before RUN, in \"RUN a\"");
  EXPECT_TRUE(error_of("FROM x AS 1a").find("invalid name for build stage: \"1a\"") != std::string::npos);
  EXPECT_TRUE(error_of("FROM x\nCOPY a").find("but only one was provided") != std::string::npos);
  EXPECT_TRUE(error_of("FROM x\nRUN --mount=type=cahce,target=/x a").find("(did you mean cache?)") != std::string::npos);
  EXPECT_TRUE(error_of("FROM x\nRUN --network=bridge a").find("unsupported network mode") != std::string::npos);
  EXPECT_TRUE(error_of(std::string("FROM x\0y", 8)).find("NUL") != std::string::npos);
}

TEST(Dockerfile, MountsOfRun) {
  auto cache = parse_run_mount("type=cache,target=/c,sharing=locked,id=a,mode=0700,uid=5");
  ASSERT_TRUE(cache) << cache.error().message;
  EXPECT_EQ(cache->type, RunMount::Type::cache);
  EXPECT_EQ(cache->sharing, RunMount::Sharing::locked);
  EXPECT_EQ(cache->mode, 0700u);
  EXPECT_FALSE(cache->readonly);
  EXPECT_TRUE(parse_run_mount("target=/x")->readonly);
  EXPECT_FALSE(parse_run_mount("target=/x,rw")->readonly);
  EXPECT_EQ(parse_run_mount("type=tmpfs,target=/x,size=10m")->size, 10u << 20);
  EXPECT_TRUE(parse_run_mount("type=secret,id=s,required")->required);
  EXPECT_FALSE(parse_run_mount("type=bind"));
  EXPECT_FALSE(parse_run_mount("type=cache,target=/x,shraing=locked"));
  EXPECT_FALSE(parse_run_mount("type=secret"));
  EXPECT_FALSE(parse_run_mount("type=ssh,env=X"));
}

TEST(Dockerfile, Sizes) {
  EXPECT_EQ(parse_byte_size("1.5k"), 1536u);
  EXPECT_EQ(parse_byte_size("2GiB"), 2ull << 30);
  EXPECT_FALSE(parse_byte_size("x"));
}

std::vector<std::string> rules_of(std::string_view text, LintFacts facts = {}) {
  auto file = parsed(text);
  facts.target = file.stages.size() - 1;
  std::vector<std::string> out;
  for (const Warning& warning : lint(file, facts)) out.push_back(warning.rule);
  return out;
}

TEST(Lint, WarnsOfWhatTheCourseWarnsOf) {
  EXPECT_EQ(rules_of("FROM python\nENV API_TOKEN=x\nCOPY . .\nRUN pip install -r r\nUSER app\n", {.has_dockerignore = false}),
            (std::vector<std::string>{"LatestTag", "SecretsUsedInArgOrEnv", "NoDockerignore", "CacheLeftBehind"}));
  EXPECT_EQ(rules_of("FROM python:latest\nUSER app"), std::vector<std::string>{"LatestTag"});
  EXPECT_EQ(rules_of("FROM python:3\n"), std::vector<std::string>{"RunsAsRoot"});
  EXPECT_EQ(
      rules_of(
          "FROM python:3\nUSER a\nRUN apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists/*\nENV KEYBOARD=1\nCOPY . .\n",
          {.has_dockerignore = true}),
      std::vector<std::string>{});
  EXPECT_EQ(rules_of("FROM localhost:5000/x@sha256:0000\nUSER a\nCMD [\"a\"]\nCMD [\"b\"]"),
            std::vector<std::string>{"MultipleInstructionsDisallowed"});
  EXPECT_EQ(rules_of("# check=skip=LatestTag,RunsAsRoot\nFROM x\nWORKDIR a\n"), std::vector<std::string>{"WorkdirRelativePath"});
  EXPECT_EQ(rules_of("FROM x:1\nuser a\nCMD a"), (std::vector<std::string>{"ConsistentInstructionCasing", "JSONArgsRecommended"}));
}

}  // namespace
}  // namespace estiba::build
