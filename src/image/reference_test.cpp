#include "image/reference.h"

#include <gtest/gtest.h>

namespace estiba::image {
namespace {

const std::string hex(64, 'a');

TEST(Reference, IsFilledInAsDockerDoes) {
  struct Case {
    std::string text, full, familiar;
  };
  Case cases[] = {
      {"nginx", "docker.io/library/nginx:latest", "nginx:latest"},
      {"nginx:1.29", "docker.io/library/nginx:1.29", "nginx:1.29"},
      {"bitnami/redis", "docker.io/bitnami/redis:latest", "bitnami/redis:latest"},
      {"docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"},
      {"index.docker.io/a/b:c", "docker.io/a/b:c", "a/b:c"},
      {"localhost/app", "localhost/app:latest", "localhost/app:latest"},
      {"localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"},
      {"127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest", "127.0.0.1:5000/a/b:latest"},
      {"[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"},
      {"quay.io/x/y__z@sha256:" + hex, "quay.io/x/y__z@sha256:" + hex, "quay.io/x/y__z@sha256:" + hex},
      {"registry.k8s.io/pause:3.10@sha256:" + hex, "registry.k8s.io/pause:3.10@sha256:" + hex, "registry.k8s.io/pause:3.10@sha256:" + hex},
  };
  for (const auto& c : cases) {
    auto ref = parse_reference(c.text);
    ASSERT_TRUE(ref) << ref.error().message;
    EXPECT_EQ(ref->text(), c.full);
    EXPECT_EQ(ref->familiar(), c.familiar);
  }
  EXPECT_EQ(parse_reference("a:b@sha256:" + hex)->key(), "docker.io/library/a@sha256:" + hex);
}

TEST(Reference, WhatIsInvalidIsToldWithItsPart) {
  for (std::string text : {"", "UPPER", "a//b", "a/", "/a", "a:", "a:-x", "a b", "a@sha256:12", "a..b", "a___b", "-a", "a-", "a:b:c",
                           "host:99999/a", "x@md5:abc", "../a", std::string(300, 'a').c_str()}) {
    auto ref = parse_reference(text);
    ASSERT_FALSE(ref) << text;
    EXPECT_EQ(ref.error().code, Code::invalid);
    EXPECT_TRUE(ref.error().message.starts_with("invalid image reference \"")) << ref.error().message;
  }
  EXPECT_NE(parse_reference("My/App").error().message.find("must be lower case"), std::string::npos);
  EXPECT_NE(parse_reference(hex).error().message.find("an image's id"), std::string::npos);
}

}  // namespace
}  // namespace estiba::image
