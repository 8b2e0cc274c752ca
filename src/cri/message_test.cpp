#include "cri/message.h"

#include <gtest/gtest.h>

#include "cri/messages/container.h"
#include "cri/messages/stats.h"
#include "cri/records.h"

namespace estiba::cri {
namespace {

using namespace std::string_literals;

TEST(Message, FieldsHaveTheirPlacesOnTheWire) {
  v1::PodSandboxMetadata name{"a", "u", "n", 300};
  EXPECT_EQ(encode(name), "\x0a\x01"s + "a" + "\x12\x01u" + "\x1a\x01n" + "\x20\xac\x02");
  v1::PodSandboxFilter filter{.id = "", .state = v1::PodSandboxState::ready, .label_selector = {{"k", "v"}}};
  // A wrapped zero is there, though empty.
  EXPECT_EQ(encode(filter), "\x12\x00"s + "\x1a\x06\x0a\x01k\x12\x01v");
  v1::PodSandboxFilter back;
  ASSERT_TRUE(decode(encode(filter), back));
  EXPECT_EQ(back.state, v1::PodSandboxState::ready);
  EXPECT_EQ(back.label_selector, filter.label_selector);
  EXPECT_EQ(encode(v1::PodSandboxConfig{}), "") << "what is empty is not written";
}

TEST(Message, EverythingComesBack) {
  SandboxRecord record;
  record.id = "s1";
  record.config.metadata = {"web", "u1", "default", 2};
  record.config.dns_config = {{"10.0.0.1"}, {"a.example", "b.example"}, {"ndots:5"}};
  record.config.port_mappings = {{v1::Protocol::udp, 53, 5353, "127.0.0.1"}, {v1::Protocol::tcp, 80, 0, ""}};
  record.config.labels = {{"app", "web"}, {"empty", ""}};
  auto& security = record.config.linux.security_context;
  security.namespace_options.network = v1::NamespaceMode::node;
  security.supplemental_groups = {1, 1000, -1};
  security.run_as_user = 0;
  security.seccomp.emplace();  // RuntimeDefault is all zeros, and yet there
  record.ips = {"10.42.0.5"};
  record.created_at = 1'700'000'000'000'000'000;
  SandboxRecord back;
  ASSERT_TRUE(decode(encode(record), back));
  EXPECT_EQ(encode(back), encode(record));
  EXPECT_EQ(back.config.linux.security_context.supplemental_groups, security.supplemental_groups);
  EXPECT_EQ(back.config.linux.security_context.run_as_user, 0);
  EXPECT_FALSE(back.config.linux.security_context.run_as_group);
  EXPECT_TRUE(back.config.linux.security_context.seccomp);
  EXPECT_FALSE(back.config.linux.security_context.apparmor);
  EXPECT_EQ(back.config.port_mappings[0].protocol, v1::Protocol::udp);
  EXPECT_EQ(back.config.labels, record.config.labels);
  EXPECT_TRUE(back.host_network());
}

TEST(Message, NegativeNumbersAndRepeatedOnesOfBothForms) {
  v1::ContainerStatus status;
  status.exit_code = -7;
  v1::ContainerStatus back;
  ASSERT_TRUE(decode(encode(status), back));
  EXPECT_EQ(back.exit_code, -7);
  v1::PortForwardRequest ports;
  ASSERT_TRUE(decode("\x10\x50\x12\x03\x51\xd2\x02"s, ports)) << "one not packed, two packed";
  EXPECT_EQ(ports.port, (std::vector<int32_t>{80, 81, 338}));
}

TEST(Message, UnknownFieldsAreSkippedAndBrokenOnesAreNot) {
  v1::ContainerMetadata name;
  ASSERT_TRUE(decode("\x0a\x01x\xfa\x01\x02zz\xf9\x06\x01\x02\x03\x04\x05\x06\x07\x08\x10\x09"s, name));
  EXPECT_EQ(name.name, "x");
  EXPECT_EQ(name.attempt, 9u);
  for (const std::string& broken : {"\x0a\x05x"s, "\x0a"s, "\x08\x01"s, "\x12\x01x"s, "\x0b"s}) {
    v1::ContainerMetadata out;
    EXPECT_FALSE(decode(broken, out)) << broken;
  }
}

}  // namespace
}  // namespace estiba::cri
