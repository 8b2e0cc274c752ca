#include "model/names.h"

#include <gtest/gtest.h>

namespace estiba::model {
namespace {

TEST(Names, LabelsAndSubdomains) {
  EXPECT_TRUE(check_dns1123_label("a-1").empty());
  EXPECT_TRUE(check_dns1123_label(std::string(63, 'a')).empty());
  EXPECT_EQ(check_dns1123_label(std::string(64, 'a')), Problems{"must be no more than 63 characters"});
  EXPECT_EQ(check_dns1123_label("a.b"), Problems{"must not contain dots"});
  EXPECT_TRUE(check_dns1123_subdomain("a.b-c.d").empty());
  for (const char* bad : {"", "-a", "a-", "A", "a_b", "a..b", ".a", "a b"}) EXPECT_FALSE(check_dns1123_subdomain(bad).empty()) << bad;
  EXPECT_EQ(
      check_dns1123_subdomain("A"),
      Problems{
          "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
          "alphanumeric character (e.g. 'example.com', regex used for validation is "
          "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"});
  EXPECT_TRUE(check_dns1035_label("a1").empty());
  EXPECT_EQ(
      check_dns1035_label("1a"),
      Problems{
          "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an "
          "alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"});
}

TEST(Names, LabelKeysAndValues) {
  for (const char* good : {"a", "a/b", "example.com/My_Name.1", "app.kubernetes.io/name"})
    EXPECT_TRUE(check_qualified_name(good).empty()) << good;
  for (const char* bad : {"", "/a", "a/", "a/b/c", "-a", "a b", "Ex.com/a"}) EXPECT_FALSE(check_qualified_name(bad).empty()) << bad;
  EXPECT_EQ(check_qualified_name("/a"), Problems{"prefix part must be non-empty"});
  EXPECT_TRUE(check_label_value("").empty());
  EXPECT_TRUE(check_label_value("A_b.c-1").empty());
  EXPECT_FALSE(check_label_value("-a").empty());
  EXPECT_FALSE(check_label_value("a b").empty());
}

TEST(Names, PortsKeysAndVariables) {
  EXPECT_TRUE(check_port_name("http-8").empty());
  for (const char* bad : {"", "1", "a--b", "-a", "A", "sixteen-letters-x"}) EXPECT_FALSE(check_port_name(bad).empty()) << bad;
  EXPECT_TRUE(check_config_key("app.py").empty());
  for (const char* bad : {"", ".", "..", "..a", "a/b"}) EXPECT_FALSE(check_config_key(bad).empty()) << bad;
  EXPECT_TRUE(check_env_name("my.VAR-1").empty());
  EXPECT_FALSE(check_env_name("a=b").empty());
  EXPECT_FALSE(check_path_segment("a/b").empty());
  EXPECT_TRUE(check_path_segment("system:node").empty());
  EXPECT_TRUE(is_percentage("30%"));
  EXPECT_FALSE(is_percentage("%"));
}

TEST(Names, GeneratedNamesFitALabel) {
  EXPECT_EQ(generate_name("web-").size(), 9u);
  EXPECT_EQ(generate_name(std::string(100, 'a')).size(), 63u);
}

}  // namespace
}  // namespace estiba::model
