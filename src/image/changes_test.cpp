#include "image/changes.h"

#include <gtest/gtest.h>

#include "image/digest.h"

namespace estiba::image {
namespace {

using Words = std::vector<std::string>;

std::string error_of(std::string_view instruction) {
  Config config;
  auto done = apply_change(config, instruction);
  return done ? "" : done.error().message;
}

TEST(Changes, SetWhatADockerfileSets) {
  Config config;
  for (const char* change :
       {"ENV A=1 B=\"two words\"", "env A 3", "CMD [\"/bin/app\", \"-x\"]", "ENTRYPOINT run it", "EXPOSE 80 53/udp 8000-8002",
        "VOLUME /data /more", "USER 1:2", "WORKDIR /srv", "WORKDIR app", "LABEL a.b=c", "ONBUILD RUN x", "STOPSIGNAL SIGINT",
        "SHELL [\"/bin/bash\", \"-c\"]", "HEALTHCHECK --interval=1m30s --retries=2 CMD curl -f x"})
    ASSERT_EQ(apply_change(config, change).transform([] { return true; }).value_or(false), true) << change;
  EXPECT_EQ(config.env, (Words{"A=3", "B=two words"}));
  EXPECT_EQ(config.cmd, (Words{"/bin/app", "-x"}));
  EXPECT_EQ(config.entrypoint, (Words{"/bin/sh", "-c", "run it"}));
  EXPECT_EQ(config.exposed_ports, (Words{"53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"}));
  EXPECT_EQ(config.volumes, (Words{"/data", "/more"}));
  EXPECT_EQ(config.user, "1:2");
  EXPECT_EQ(config.working_dir, "/srv/app");
  EXPECT_EQ(config.labels.at("a.b"), "c");
  EXPECT_EQ(config.on_build, Words{"RUN x"});
  EXPECT_EQ(config.stop_signal, "SIGINT");
  EXPECT_EQ(config.shell, (Words{"/bin/bash", "-c"}));
  ASSERT_TRUE(config.health_check);
  EXPECT_EQ(config.health_check->test, (Words{"CMD-SHELL", "curl -f x"}));
  EXPECT_EQ(config.health_check->interval, 90'000'000'000);
  EXPECT_EQ(config.health_check->retries, 2);
  // What is written is read again.
  config.diff_ids = {digest_of("x")};
  auto again = parse_config(print_config(config));
  ASSERT_TRUE(again);
  EXPECT_EQ(print_config(*again), print_config(config));
  EXPECT_EQ(again->health_check, config.health_check);
}

TEST(Changes, ErrorsNameTheInstruction) {
  EXPECT_NE(error_of("RUN x").find("\"RUN x\""), std::string::npos);
  EXPECT_NE(error_of("EXPOSE 70000").find("is no port"), std::string::npos);
  EXPECT_NE(error_of("ENV A").find("NAME=VALUE"), std::string::npos);
  EXPECT_NE(error_of("ENV A=\"open").find("quote"), std::string::npos);
  EXPECT_NE(error_of("CMD").find("needs an argument"), std::string::npos);
  EXPECT_NE(error_of("HEALTHCHECK --interval=x CMD y").find("--interval=x"), std::string::npos);
}

}  // namespace
}  // namespace estiba::image
