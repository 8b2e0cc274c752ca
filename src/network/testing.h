// For tests: a network namespace and a run directory of the test's own, and proof at its end that nothing is left in them.
#pragma once
#include <gtest/gtest.h>

#include <string>

namespace estiba::network {

/// Skips its tests without the rights to make namespaces.
class NetTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// Runs a shell command in the test's namespace, or in the one bound at `netns`; its output, then "[exit N]" if N is not 0.
  static std::string sh(const std::string& command, const std::string& netns = {});
  /// Starts a command in the background, ended by TearDown.
  void start(const std::string& command, const std::string& netns = {});
  void end_children();
  /// What of links, nftables tables, mounts and files is left, "" when nothing is.
  std::string leftovers() const;

  std::string dir_;
  std::vector<int> children_;
};

}  // namespace estiba::network
