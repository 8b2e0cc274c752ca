#include "node/not_honoured.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>

#include "base/strings.h"
#include "model/schema.h"

namespace estiba::node {
namespace {

using namespace model::core_v1;

// Words in backticks of each row of the last table of docs/pods.md, by the type that the row begins with.
std::map<std::string, std::set<std::string>> documented() {
  std::map<std::string, std::set<std::string>> out;
  std::ifstream file("docs/pods.md");
  bool every = false;
  for (std::string line; std::getline(file, line);) {
    every |= line == "## Every field";
    if (!every || !line.starts_with("| `")) continue;
    const auto columns = split(line, '|');
    const std::string type(trim(columns[1]).substr(1, trim(columns[1]).size() - 2));
    for (size_t i = 2; i < columns.size(); ++i) {
      const auto parts = split(columns[i], '`');
      for (size_t word = 1; word < parts.size(); word += 2) out[type].insert(std::string(parts[word]));
    }
  }
  return out;
}

void walk(const model::schema::Type& type, std::map<std::string, const model::schema::Type*>& seen) {
  if (type.form != model::schema::Form::message || !type.package->path.ends_with("core.v1") ||
      !seen.emplace(std::string(type.name), &type).second)
    return;
  for (const auto& field : type.fields)
    if (field.type) walk(*field.type, seen);
}

TEST(NotHonoured, EveryFieldOfAPodStandsInTheTable) {
  const auto table = documented();
  ASSERT_FALSE(table.empty()) << "docs/pods.md is read from the folder that tests run in";
  std::map<std::string, const model::schema::Type*> types;
  walk(*model::schema::find_type("io.k8s.api.core.v1.PodSpec"), types);
  EXPECT_GT(types.size(), 90u);
  for (const auto& [name, type] : types) {
    const auto row = table.find(name);
    if (row == table.end()) {
      ADD_FAILURE() << "docs/pods.md has no row for the type " << name;
      continue;
    }
    if (row->second.contains("*")) continue;
    for (const auto& field : type->fields)
      EXPECT_TRUE(row->second.contains(std::string(field.name)))
          << "docs/pods.md does not say what becomes of " << name << "." << field.name;
  }
  for (const auto& [name, fields] : table) EXPECT_TRUE(types.contains(name)) << name << " is no type of a pod any more";
}

TEST(NotHonoured, FieldsAreNamedByTheirPaths) {
  Pod pod;
  EXPECT_TRUE(not_honoured(pod).empty());
  pod.spec.securityContext.ensure().seLinuxOptions.ensure().level = "s0";
  pod.spec.containers.resize(2);
  pod.spec.containers[1].securityContext.ensure().windowsOptions.ensure();
  EXPECT_EQ(not_honoured(pod), (std::vector<std::string>{"spec.securityContext.seLinuxOptions: this node does not use SELinux",
                                                         "spec.containers[1].securityContext.windowsOptions: this node runs Linux"}));
  EXPECT_FALSE(wants_apparmor(pod));
  pod.spec.containers[1].securityContext->appArmorProfile.ensure().type = "Localhost";
  EXPECT_EQ(wants_apparmor(pod), "spec.containers[1].securityContext.appArmorProfile");
}

}  // namespace
}  // namespace estiba::node
