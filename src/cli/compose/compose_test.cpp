#include <gtest/gtest.h>

#include "cli/compose/body.h"
#include "cli/compose/order.h"
#include "cli/compose/plan.h"
#include "cli/compose/project.h"
#include "cli/compose/shape.h"
#include "image/test_support.h"
#include "model/yaml.h"

namespace estiba::cli::compose {
namespace {

std::string said(const Result<std::string>& result) { return result ? *result : "error: " + result.error().message; }

TEST(ComposeInterpolation, ReadsEveryForm) {
  const Environment env{{"A", "a"}, {"EMPTY", ""}, {"B_1", "b"}};
  struct {
    const char *text, *result;
  } cases[] = {
      {"plain", "plain"},
      {"$A-${A}_$B_1.", "a-a_b."},
      {"$$A $${A}", "$A ${A}"},
      {"${X:-d}${EMPTY:-d}${A:-d}", "dda"},
      {"${X-d}${EMPTY-d}", "d"},
      {"${A:+set}${X:+set}${EMPTY:+set}${EMPTY+set}", "setset"},
      {"${X:-${A}${Y:-y}}", "ay"},
      {"${X:-a}b}", "ab}"},
      {"${X}", ""},
      {"${X:?tell why}", "error: required variable X is missing a value: tell why"},
      {"${EMPTY?}", ""},
      {"${EMPTY:?}", "error: required variable EMPTY is missing a value"},
      {"${A", "error: You may need to escape any $ with another $"},
      {"$", "error: You may need to escape any $ with another $"},
      {"${1}", "error: You may need to escape any $ with another $"},
      {"${A!x}", "error: You may need to escape any $ with another $"},
      {"100$ ", "error: You may need to escape any $ with another $"},
  };
  for (const auto& c : cases) EXPECT_EQ(said(interpolate(c.text, env)), c.result) << c.text;
  std::vector<std::string> missing;
  ASSERT_TRUE(interpolate("$X ${Y} $X ${Z:-}", env, &missing));
  EXPECT_EQ(missing, (std::vector<std::string>{"X", "Y"}));
}

TEST(ComposeEnvFile, ReadsQuotesCommentsAndVariables) {
  const Environment outer{{"HOME_", "/root"}, {"TAKEN", "from outside"}};
  auto parsed = parse_env_file(
      "# comment\n\nA=1\nexport B = two words # not this\nC='single $A \\n'\nD=\"double "
      "${A}\\n\\$A\"\nE=\"over\nlines\"\nF=$A/${HOME_}\nTAKEN\nABSENT\nG=a#b\n"
      "H: yaml\r\nI=\n",
      outer);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, (Environment{{"A", "1"},
                                  {"B", "two words"},
                                  {"C", "single $A \\n"},
                                  {"D", "double 1\n$A"},
                                  {"E", "over\nlines"},
                                  {"F", "1//root"},
                                  {"TAKEN", "from outside"},
                                  {"G", "a#b"},
                                  {"H", "yaml"},
                                  {"I", ""}}));
  auto bad = parse_env_file("A=1\nB=\"open\n", {});
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("unterminated"), std::string::npos);
  bad = parse_env_file("A=1\n=x\n", {});
  ASSERT_FALSE(bad);
  EXPECT_TRUE(bad.error().message.starts_with("line 2: unexpected character")) << bad.error().message;
}

TEST(ComposeShape, PortsAndMounts) {
  json::Document document;
  auto port = [&](const char* text) {
    auto parsed = parse_port(document, text);
    if (!parsed) return "error: " + parsed.error().message;
    std::string out;
    for (const json::Node* each : *parsed) out += json::print(*each);
    return out;
  };
  EXPECT_EQ(port("80"), "{\"mode\":\"ingress\",\"target\":80,\"protocol\":\"tcp\"}");
  EXPECT_EQ(port("8080:80/udp"), "{\"mode\":\"ingress\",\"target\":80,\"published\":\"8080\",\"protocol\":\"udp\"}");
  EXPECT_EQ(port("[::1]:53:53"), "{\"mode\":\"ingress\",\"host_ip\":\"::1\",\"target\":53,\"published\":\"53\",\"protocol\":\"tcp\"}");
  EXPECT_EQ(port("127.0.0.1::80"), "{\"mode\":\"ingress\",\"host_ip\":\"127.0.0.1\",\"target\":80,\"protocol\":\"tcp\"}");
  EXPECT_EQ(port("8000-9000:80"), "{\"mode\":\"ingress\",\"target\":80,\"published\":\"8000-9000\",\"protocol\":\"tcp\"}");
  for (const char* bad : {"", "x", "80:x", "0", "70000", "80-79", "1-3:1-2", "80/icmp"})
    EXPECT_TRUE(port(bad).starts_with("error: invalid port")) << bad;
  auto mount = [&](const char* text) {
    auto parsed = parse_mount(document, text, "/proj");
    return parsed ? json::print(**parsed) : "error: " + parsed.error().message;
  };
  EXPECT_EQ(mount("data:/d"), "{\"type\":\"volume\",\"source\":\"data\",\"target\":\"/d\",\"volume\":{}}");
  EXPECT_EQ(mount("/anon"), "{\"type\":\"volume\",\"target\":\"/anon\",\"volume\":{}}");
  EXPECT_EQ(mount("../x/./y:/d:ro"),
            "{\"type\":\"bind\",\"source\":\"/x/y\",\"target\":\"/d\",\"read_only\":true,\"bind\":{\"create_host_path\":true}}");
  for (const char* bad : {"", "a:b", "a:/b:zz", "a:/b:ro:x", ":/b"}) EXPECT_TRUE(mount(bad).starts_with("error: invalid volume")) << bad;
  EXPECT_EQ(*split_words("a 'b c' \"d \\\" e\" f\\ g ''"), (std::vector<std::string>{"a", "b c", "d \" e", "f g", ""}));
  EXPECT_FALSE(split_words("a 'b"));
}

/// A directory with files, loaded as `docker compose` would.
class ComposeProject : public testing::Test {
 protected:
  void write(const std::string& name, std::string_view text) {
    if (name.find('/') != name.npos) ASSERT_TRUE(os::make_dirs(dir_ / name.substr(0, name.rfind('/'))));
    ASSERT_TRUE(os::write_file(dir_ / name, text, O_CREAT | O_TRUNC));
  }
  Result<Project> load(LoadOptions options = {}) {
    options.working_directory = dir_.path();
    if (options.name.empty() && !options.environment.contains("COMPOSE_PROJECT_NAME")) options.name = "app";
    return load_project(options);
  }
  std::string refused(LoadOptions options = {}) {
    auto project = load(std::move(options));
    return project ? "loaded" : project.error().message;
  }
  static std::string at(const Project& project, std::string_view service, std::string_view key) {
    const json::Node* node = project.service(service) ? project.service(service)->find(key) : nullptr;
    return node ? json::print(*node) : "";
  }
  image::TemporaryDirectory dir_;
};

TEST_F(ComposeProject, MergesFilesByWhatTheirItemsAre) {
  write("a.yaml",
        "services:\n  web:\n    image: one\n    command: first 'second one'\n    environment: [A=1, B=2]\n    ports: ['80:80', '81:81']\n"
        "    volumes: ['x:/x', './here:/h']\n    dns: 1.1.1.1\n    labels: {k: v}\nvolumes: {x: }\n");
  write("b.yaml",
        "services:\n  web:\n    image: two\n    command: [third]\n    environment: {B: 3, C: 4}\n    ports: ['80:80', '82:82']\n    "
        "volumes: ['y:/x']\n    dns: [8.8.8.8]\n"
        "volumes: {y: {name: other}}\n");
  auto project = load({.files = {"a.yaml", "b.yaml"}});
  ASSERT_TRUE(project) << project.error().message;
  EXPECT_EQ(at(*project, "web", "image"), "\"two\"");
  EXPECT_EQ(at(*project, "web", "command"), "[\"third\"]");
  EXPECT_EQ(at(*project, "web", "environment"), "{\"A\":\"1\",\"B\":\"3\",\"C\":\"4\"}");
  EXPECT_EQ(project->service("web")->find("ports")->size(), 3u);
  EXPECT_EQ(at(*project, "web", "dns"), "[\"1.1.1.1\",\"8.8.8.8\"]");
  const json::Node& volumes = *project->service("web")->find("volumes");
  ASSERT_EQ(volumes.size(), 2u);
  EXPECT_EQ(volumes[0].string_at("source"), "y");
  EXPECT_EQ(volumes[1].string_at("source"), dir_ / "here");
  EXPECT_EQ(project->resource("volumes", "x")->string_at("name"), "app_x");
  EXPECT_EQ(project->resource("volumes", "y")->string_at("name"), "other");
  EXPECT_EQ(project->resource("networks", "default")->string_at("name"), "app_default");
}

TEST_F(ComposeProject, TagsResetAndOverrideWhatIsMerged) {
  write("a.yaml",
        "services:\n  web:\n    image: one\n    command: x\n    environment: [A=1, B=2]\n    ports: ['80:80', '81:81']\n    labels: {k.l: "
        "v, m: w}\n"
        "    dns: 1.1.1.1\n    healthcheck: {test: 'true', interval: 1s}\n  gone: {image: g}\nvolumes: {x: }\n");
  write("b.yaml",
        "services:\n  web:\n    command: !reset null\n    environment: {A: !reset null, C: 3}\n    ports: !override ['90:90']\n"
        "    labels: {k.l: !reset ''}\n    dns: !reset []\n    healthcheck: !override {test: 'false'}\n  gone: !reset {}\nvolumes: !reset "
        "{}\n");
  auto project = load({.files = {"a.yaml", "b.yaml"}});
  ASSERT_TRUE(project) << project.error().message;
  EXPECT_EQ(at(*project, "web", "image"), "\"one\"");
  EXPECT_EQ(at(*project, "web", "command"), "");
  EXPECT_EQ(at(*project, "web", "environment"), "{\"B\":\"2\",\"C\":\"3\"}");
  ASSERT_EQ(project->service("web")->find("ports")->size(), 1u);
  EXPECT_EQ((*project->service("web")->find("ports"))[0].string_at("published"), "90");
  EXPECT_EQ(at(*project, "web", "labels"), "{\"m\":\"w\"}");
  EXPECT_EQ(at(*project, "web", "dns"), "");
  EXPECT_EQ(at(*project, "web", "healthcheck"), "{\"test\":[\"CMD-SHELL\",\"false\"]}");
  EXPECT_FALSE(project->service("gone"));
  EXPECT_FALSE(project->resource("volumes", "x"));
  // A service that extends another one takes away what it gets from there.
  write("c.yaml",
        "services:\n  base: {image: one, ports: ['80:80'], environment: {A: 1}}\n"
        "  own: {extends: base, ports: !override ['70:70'], environment: !reset {}}\n");
  project = load({.files = {"c.yaml"}});
  ASSERT_TRUE(project) << project.error().message;
  EXPECT_EQ((*project->service("own")->find("ports"))[0].string_at("published"), "70");
  EXPECT_EQ(project->service("own")->find("ports")->size(), 1u);
  EXPECT_EQ(at(*project, "own", "environment"), "");
  EXPECT_EQ(at(*project, "base", "environment"), "{\"A\":\"1\"}");
  write("d.yaml", "services:\n  web: {image: x, command: !replace y}\n");
  EXPECT_NE(refused({.files = {"d.yaml"}}).find("d.yaml:2: services.web.command: unknown tag !replace; !reset"), std::string::npos);
  write("d.yaml", "services:\n  web: {image: x, ports: [!reset '80:80']}\n");
  EXPECT_NE(refused({.files = {"d.yaml"}}).find("!reset belongs to a key's value"), std::string::npos);
}

TEST_F(ComposeProject, ExtendsAndIncludes) {
  write("compose.yaml",
        "include: [sub/part.yaml]\nservices:\n  web:\n    extends: {service: base, file: sub/common.yaml}\n    environment: {B: own}\n"
        "  again:\n    extends: web\n    image: other\n");
  write("sub/common.yaml",
        "services:\n  base:\n    extends: root\n    environment: {A: base, B: base}\n    volumes: ['./data:/d']\n  root: {image: img, "
        "user: me}\n");
  write("sub/part.yaml", "services:\n  part: {image: p, volumes: ['./v:/v']}\n");
  auto project = load();
  ASSERT_TRUE(project) << project.error().message;
  EXPECT_EQ(at(*project, "web", "image"), "\"img\"");
  EXPECT_EQ(at(*project, "web", "user"), "\"me\"");
  EXPECT_EQ(at(*project, "web", "environment"), "{\"A\":\"base\",\"B\":\"own\"}");
  EXPECT_EQ((*project->service("web")->find("volumes"))[0].string_at("source"), dir_ / "sub/data");
  EXPECT_EQ(at(*project, "again", "image"), "\"other\"");
  EXPECT_EQ(at(*project, "again", "environment"), "{\"A\":\"base\",\"B\":\"own\"}");
  EXPECT_EQ((*project->service("part")->find("volumes"))[0].string_at("source"), dir_ / "sub/v");
  write("loop.yaml", "services:\n  a: {extends: b}\n  b: {extends: a}\n");
  EXPECT_NE(refused({.files = {"loop.yaml"}}).find("circular reference"), std::string::npos);
  write("self.yaml", "include: [self.yaml]\nservices: {a: {image: x}}\n");
  EXPECT_NE(refused({.files = {"self.yaml"}}).find("include each other"), std::string::npos);
  write("miss.yaml", "services:\n  a: {extends: bas}\n  base: {image: x}\n");
  EXPECT_NE(
      refused({.files = {"miss.yaml"}}).find("miss.yaml: services.a.extends: service \"bas\" is not in this file; did you mean \"base\"?"),
      std::string::npos);
}

TEST_F(ComposeProject, VariablesComeFromTheProcessAndDotEnv) {
  write(".env", "TAG=1.0\nFROM_ENV=file\nCOMPOSE_PROFILES=debug\n");
  write("vars.env", "X=from file\nY=from file\n");
  write("compose.yaml",
        "services:\n  web:\n    image: app:${TAG}\n    env_file: [vars.env, {path: none.env, required: false}]\n    environment:\n      X: "
        "own\n      FROM_ENV:\n      NOT_SET:\n"
        "    deploy: {replicas: \"${N:-3}\"}\n  debug: {image: d, profiles: [debug]}\n  other: {image: o, profiles: [other]}\n");
  auto project = load({.environment = {{"FROM_ENV", "process"}, {"TAG", "2.0"}}});
  ASSERT_TRUE(project) << project.error().message;
  EXPECT_EQ(at(*project, "web", "image"), "\"app:2.0\"");
  EXPECT_EQ(at(*project, "web", "environment"), "{\"FROM_ENV\":\"process\",\"NOT_SET\":null,\"X\":\"own\",\"Y\":\"from file\"}");
  EXPECT_EQ(replicas_of(*project->service("web")), 3);
  EXPECT_TRUE(project->service("debug"));
  EXPECT_FALSE(project->service("other"));
  EXPECT_EQ(project->profiles, (std::vector<std::string>{"debug", "other"}));
  project = load({.targets = {"other"}});
  ASSERT_TRUE(project);
  EXPECT_TRUE(project->service("other"));
}

TEST_F(ComposeProject, MistakesAreNamedWithTheWayOut) {
  struct {
    const char *text, *error;
  } cases[] = {
      {"services: {web: {image: x, prots: [1]}}", "compose.yaml: services.web.prots: unknown key; did you mean \"ports\"?"},
      {"servces: {web: {image: x}}", "compose.yaml: servces: unknown key; did you mean \"services\"?"},
      {"services: {web: {image: x, ports: 80}}", "compose.yaml: services.web.ports: a list is expected, but it is a number"},
      {"services: {web: {image: x, ports: ['80:x']}}", "compose.yaml: services.web: ports: invalid port \"80:x\""},
      {"services: {web: {image: x, healthcheck: {retries: many}}}",
       "services.web.healthcheck.retries: a number is expected, but it is \"many\""},
      {"services: {web: {image: x, privileged: maybe}}", "services.web.privileged: true or false is expected, but it is \"maybe\""},
      {"services: {web: }", "services.web: a map is expected, but it is nothing"},
      {"services: [web]", "compose.yaml: services: a map is expected, but it is a list"},
      {"- web", "compose.yaml: a map with services is expected, but it is a list"},
      {"", "compose.yaml: empty compose file"},
      {"services: {web: {image: 'x:${TAG'}}", "compose.yaml: invalid interpolation format for services.web.image: \"x:${TAG\""},
      {"services: {web: {image: '${TAG:?give a tag}'}}", "services.web.image: required variable TAG is missing a value: give a tag"},
      {"services: {web: {}}", "service \"web\" has neither an image nor a build context specified: invalid compose project"},
      {"services: {web: {image: x, networks: [bck]}}\nnetworks: {back: }",
       "service \"web\" refers to undefined network bck: invalid compose project; did you mean \"back\"?"},
      {"services: {web: {image: x, volumes: ['dta:/d']}}\nvolumes: {data: }",
       "service \"web\" refers to undefined volume dta: invalid compose project; did you mean \"data\"?"},
      {"services: {web: {image: x, secrets: [s]}}", "service \"web\" refers to undefined secret s"},
      {"services: {web: {image: x, depends_on: [databse]}, database: {image: x}}",
       "service \"web\" depends on undefined service \"databse\": invalid compose project; did you mean \"database\"?"},
      {"services: {web: {image: x, depends_on: [d]}, d: {image: x, profiles: [p]}}", "it is in a profile that is not active"},
      {"services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}", "dependency cycle detected: a -> b -> a"},
      {"services: {web: {image: x, depends_on: {d: {condition: healthy}}}, d: {image: x}}",
       "depends_on.d.condition is \"healthy\"; service_started"},
      {"services: {web: {image: x, network_mode: host, networks: [default]}}", "mutually exclusive `network_mode` and `networks`"},
      {"services: {web: {image: x, restart: sometimes}}", "restart is \"sometimes\"; one of no, always"},
      {"services: {web: {image: x, env_file: none.env}}", "none.env not found: service \"web\""},
      {"services: {web: {image: x, command: \"sh -c 'open\"}}", "services.web: command: the command"},
      {"services: {web: {image: x, secrets: [s]}}\nsecrets: {s: {external: true}}", "secret \"s\" is external"},
      {"services: {web: {image: x}}\nservices: {}", "key \"services\" already set"},
      {"services:\n  web:\n   image: [x", "compose.yaml: YAML line"},
  };
  for (const auto& c : cases) {
    write("compose.yaml", c.text);
    EXPECT_NE(refused().find(c.error), std::string::npos) << c.text << "\n" << refused();
  }
  EXPECT_TRUE(refused({.files = {"none.yaml"}}).ends_with("no such file or directory"));
  EXPECT_NE(refused({.files = {"compose.yaml"}, .name = "Bad Name"}).find("YAML"), std::string::npos);
  write("compose.yaml", "services: {web: {image: x}}");
  EXPECT_NE(refused({.name = "Bad Name"}).find("invalid project name \"Bad Name\""), std::string::npos);
  ASSERT_TRUE(os::remove_file(dir_ / "compose.yaml"));
  EXPECT_NE(refused().find("no configuration file provided: not found"), std::string::npos);
}

TEST_F(ComposeProject, OrderHashesAndBodies) {
  write("compose.yaml",
        "services:\n  web: {image: w, depends_on: [api], ports: ['8080:80'], environment: {A: '1'}, networks: {back: {aliases: [www]}, "
        "front: {priority: 5}}}\n"
        "  api: {image: a, depends_on: [db], healthcheck: {test: 'true', interval: 1m30s}, mem_limit: 64m, cpus: 0.5, restart: "
        "'on-failure:3'}\n  db: {image: d, scale: 2}\n"
        "networks: {front: , back: }\n");
  auto project = load();
  ASSERT_TRUE(project) << project.error().message;
  EXPECT_EQ(start_order(*project, {}), (std::vector<std::string>{"db", "api", "web"}));
  EXPECT_EQ(start_order(*project, {"api"}), (std::vector<std::string>{"db", "api"}));
  EXPECT_EQ(start_order(*project, {"web", "db"}, false), (std::vector<std::string>{"web", "db"}));
  docker::Builder web, api;
  ASSERT_TRUE(container_body(*project, *project->service("web"), {.image_id = "sha256:1"}, web));
  const json::Node& body = web.node();
  EXPECT_EQ(body.string_at("HostConfig", "NetworkMode"), "app_front");
  EXPECT_EQ(json::print(*body.at("HostConfig", "PortBindings")), "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}]}");
  EXPECT_EQ(body.string_at("Labels", label::project), "app");
  EXPECT_EQ(body.string_at("Labels", label::depends), "api:service_started:false");
  EXPECT_EQ(body.string_at("Labels", label::hash), config_hash(*project, *project->service("web")));
  ASSERT_TRUE(container_body(*project, *project->service("api"), {}, api));
  EXPECT_EQ(json::print(*api.node().find("Healthcheck")), "{\"Test\":[\"CMD-SHELL\",\"true\"],\"Interval\":90000000000}");
  EXPECT_EQ(json::print(*api.node().at("HostConfig", "NanoCpus")), "500000000");
  EXPECT_EQ(json::print(*api.node().at("HostConfig", "Memory")), "67108864");
  EXPECT_EQ(api.node().string_at("HostConfig", "RestartPolicy", "Name"), "on-failure");
  const std::string before = config_hash(*project, *project->service("db"));
  write("compose.yaml", "services:\n  db: {image: d, scale: 5, depends_on: [x]}\n  x: {image: d, user: me}\n");
  project = load();
  ASSERT_TRUE(project);
  EXPECT_EQ(config_hash(*project, *project->service("db")), before);
  EXPECT_NE(config_hash(*project, *project->service("x")), before);
  EXPECT_EQ(normal_project_name("_My Proj.2"), "myproj2");
}

TEST_F(ComposeProject, ServicesTakeTheirTurnsByTheirDependencies) {
  write("compose.yaml",
        "services:\n  a: {image: x, depends_on: [b, c]}\n  b: {image: x, depends_on: [d]}\n  c: {image: x}\n  d: {image: x}\n");
  auto project = load();
  ASSERT_TRUE(project) << project.error().message;
  Schedule up(*project, {"d", "b", "c", "a"}, Direction::forward);
  EXPECT_EQ(up.take(), "d");
  EXPECT_EQ(up.take(), "c");
  EXPECT_EQ(up.take(), "");
  up.done("d");
  EXPECT_EQ(up.take(), "b");
  up.done("c");
  EXPECT_EQ(up.take(), "");
  EXPECT_FALSE(up.empty());
  up.done("b");
  EXPECT_EQ(up.take(), "a");
  EXPECT_TRUE(up.empty());
  Schedule down(*project, {"a", "b", "c", "unknown"}, Direction::reverse);
  EXPECT_EQ(down.take(), "a");
  EXPECT_EQ(down.take(), "unknown");
  EXPECT_EQ(down.take(), "");
  down.done("a");
  EXPECT_EQ(down.take(), "b");
  EXPECT_EQ(down.take(), "c");
}

TEST(ComposePlan, OnlyWhatChangedIsMadeAgain) {
  using Step = Action::Step;
  auto member = [](int64_t number, std::string hash, std::string state = "running", std::string image = "i") {
    Member out;
    out.number = number;
    out.hash = std::move(hash);
    out.state = std::move(state);
    out.image_id = std::move(image);
    return out;
  };
  auto steps = [](const std::vector<Action>& actions) {
    std::vector<std::pair<int64_t, Step>> out;
    for (const Action& action : actions) out.emplace_back(action.number, action.step);
    return out;
  };
  using List = std::vector<std::pair<int64_t, Step>>;
  const std::vector<Member> present{member(2, "h"), member(1, "old"), member(4, "h", "exited")};
  EXPECT_EQ(steps(plan_service(present, {.replicas = 4, .hash = "h", .image_id = "i"})),
            (List{{1, Step::recreate}, {2, Step::keep}, {3, Step::create}, {4, Step::start}}));
  EXPECT_EQ(steps(plan_service(present, {.replicas = 1, .hash = "h"})), (List{{1, Step::recreate}, {2, Step::remove}, {4, Step::remove}}));
  EXPECT_EQ(steps(plan_service(present, {.replicas = 0, .hash = "h"})), (List{{1, Step::remove}, {2, Step::remove}, {4, Step::remove}}));
  EXPECT_EQ(steps(plan_service({member(1, "h")}, {.hash = "h", .image_id = "newer"})), (List{{1, Step::recreate}}));
  EXPECT_EQ(steps(plan_service({member(1, "old")}, {.hash = "h", .no_recreate = true})), (List{{1, Step::keep}}));
  EXPECT_EQ(steps(plan_service({member(1, "h")}, {.hash = "h", .force_recreate = true})), (List{{1, Step::recreate}}));
  EXPECT_EQ(steps(plan_service({}, {.replicas = 2, .hash = "h"})), (List{{1, Step::create}, {2, Step::create}}));
}

}  // namespace
}  // namespace estiba::cli::compose
