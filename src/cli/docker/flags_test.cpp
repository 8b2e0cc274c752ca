#include "cli/docker/flags.h"

#include <gtest/gtest.h>

#include "cli/docker/verb.h"

namespace estiba::cli::docker {
namespace {

struct Parsed {
  bool interactive = false, tty = false, yes = true;
  std::string name;
  int64_t number = -1, memory = 0, wait = 0;
  std::vector<std::string> publish;
  Arguments rest;
  int code = -1;  ///< when parsing ended the program
  std::string complaint;
};

Parsed parse(Arguments arguments, bool stop = false, int least = 0, int most = -1) {
  static Cli cli("docker");
  const Verb verb{.names = "container test|test", .usage = "[OPTIONS] IMAGE", .summary = "Tests", .least = least, .most = most};
  Call call{cli, verb, "docker test", std::move(arguments)};
  Parsed out;
  Flags flags(call);
  flags.add("interactive,i", &out.interactive, "Keep STDIN open");
  flags.add("tty,t", &out.tty, "Allocate a pseudo-TTY");
  flags.add("yes", &out.yes, "Say yes");
  flags.add("name", &out.name, "A name");
  flags.add("last,n", &out.number, "A number");
  flags.add("publish,p", &out.publish, "Ports");
  flags.add_bytes("memory,m", &out.memory, "Memory");
  flags.add_duration("wait", &out.wait, "Time");
  testing::internal::CaptureStderr();
  auto rest = flags.parse(stop);
  out.complaint = testing::internal::GetCapturedStderr();
  if (rest) out.rest = *rest;
  else out.code = rest.error().sys;
  return out;
}

TEST(DockerFlags, BundlesAndValues) {
  Parsed p = parse({"-it", "-p80:80", "-p", "81:81", "-p=82", "--name=web", "-n", "5", "image"});
  EXPECT_TRUE(p.interactive && p.tty);
  EXPECT_EQ(p.publish, (std::vector<std::string>{"80:80", "81:81", "82"}));
  EXPECT_EQ(p.name, "web");
  EXPECT_EQ(p.number, 5);
  EXPECT_EQ(p.rest, (Arguments{"image"}));
  EXPECT_EQ(parse({"-itp", "80:80"}).publish, (std::vector<std::string>{"80:80"}));
  EXPECT_FALSE(parse({"--yes=false"}).yes);
  EXPECT_EQ(parse({"--name", "--yes"}).name, "--yes");
}

TEST(DockerFlags, EndOfFlags) {
  Parsed p = parse({"-i", "image", "sh", "-t"}, true);
  EXPECT_FALSE(p.tty);
  EXPECT_EQ(p.rest, (Arguments{"image", "sh", "-t"}));
  EXPECT_EQ(parse({"image", "-t"}).rest, (Arguments{"image"}));
  EXPECT_EQ(parse({"--", "-t"}).rest, (Arguments{"-t"}));
  EXPECT_EQ(parse({"-"}).rest, (Arguments{"-"}));
}

TEST(DockerFlags, WrongUse) {
  const std::string usage = "\n\nUsage:  docker test [OPTIONS] IMAGE\n\nRun 'docker test --help' for more information\n";
  for (auto [arguments, message] :
       {std::pair(Arguments{"--foo"}, "unknown flag: --foo"),
        {{"-Z"}, "unknown shorthand flag: 'Z' in -Z"},
        {{"--name"}, "flag needs an argument: --name"},
        {{"-p"}, "flag needs an argument: 'p' in -p"},
        {{"-n", "x"}, "invalid argument \"x\" for \"-n, --last\" flag: strconv.ParseInt: parsing \"x\": invalid syntax"},
        {{"-m", "abc"}, "invalid argument \"abc\" for \"-m, --memory\" flag: invalid size: 'abc'"},
        {{"--yes=maybe"}, "invalid argument \"maybe\" for \"--yes\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax"}}) {
    Parsed p = parse(arguments);
    EXPECT_EQ(p.code, 125) << message;
    EXPECT_EQ(p.complaint, message + usage);
  }
  EXPECT_EQ(parse({}, false, 1).complaint, "docker: 'docker test' requires at least 1 argument" + usage);
  EXPECT_EQ(parse({"a"}, false, 0, 0).complaint, "docker: 'docker test' accepts no arguments" + usage);
  EXPECT_EQ(parse({"a"}, false, 2, 2).complaint, "docker: 'docker test' requires 2 arguments" + usage);
  EXPECT_EQ(parse({"a", "b"}, false, 0, 1).complaint, "docker: 'docker test' requires at most 1 argument" + usage);
  EXPECT_EQ(parse({}, false, 1).code, 1);
}

TEST(DockerFlags, Help) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(parse({"--help"}).code, 0);
  EXPECT_EQ(testing::internal::GetCapturedStdout(),
            "Usage:  docker test [OPTIONS] IMAGE\n\nTests\n\nAliases:\n  docker container test, docker test\n\nOptions:\n"
            "  -i, --interactive     Keep STDIN open\n"
            "  -n, --last int        A number (default -1)\n"
            "  -m, --memory bytes    Memory\n"
            "      --name string     A name\n"
            "  -p, --publish list    Ports\n"
            "  -t, --tty             Allocate a pseudo-TTY\n"
            "      --wait duration   Time (default 0s)\n"
            "      --yes             Say yes (default true)\n");
}

TEST(DockerFlags, Sizes) {
  for (auto [text, bytes] : {std::pair("0", 0l),
                             {"512", 512l},
                             {"1k", 1024l},
                             {"512M", 512l << 20},
                             {"1.5g", 3l << 29},
                             {"2GiB", 2l << 30},
                             {"3kb", 3072l},
                             {"7b", 7l}})
    EXPECT_EQ(parse_bytes(text).value_or(-1), bytes) << text;
  for (const char* bad : {"", "x", "1x", "-1", "1.2.3", "k", "1kk", "99999999999t"}) EXPECT_FALSE(parse_bytes(bad)) << bad;
}

}  // namespace
}  // namespace estiba::cli::docker
