// What the server makes by itself when it starts.
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

constexpr std::string_view extensions = "apiextensions.k8s.io", definitions = "customresourcedefinitions";

class DefinitionsTest : public ApiFixture {
 protected:
  const std::string name_ = "httproutes.gateway.networking.k8s.io";

  std::string definition() {
    auto there = get(extensions, "v1", definitions, "", name_);
    return there ? json::print(*json_of(*there).find("spec")) : there.error().message;
  }
  std::string annotation(std::string_view key) {
    auto there = get(extensions, "v1", definitions, "", name_);
    return there ? std::string(there->meta().annotation(key)) : there.error().message;
  }
  /// As another version of the server, or somebody else, would have it.
  void change(std::string annotations) {
    const auto done = patch(
        extensions, "v1", definitions, "", name_, BodyType::merge_patch,
        R"({"metadata":{"labels":{"mine":"stays"},"annotations":)" + annotations + R"(},"spec":{"names":{"shortNames":["another"]}}})");
    ASSERT_TRUE(done) << done.error().message;
  }
  void start_again() {
    const auto ready = run(api_->bootstrap());
    ASSERT_TRUE(ready) << ready.error().message;
  }
};

TEST_F(DefinitionsTest, OfAnotherVersionOfTheServerAreRenewed) {
  const std::string before = definition(), version = annotation("estiba.dev/schema");
  EXPECT_NE(version, "");
  change(R"({"estiba.dev/schema":"1"})");
  EXPECT_NE(definition(), before);
  start_again();
  EXPECT_EQ(definition(), before);
  EXPECT_EQ(annotation("estiba.dev/schema"), version);
  EXPECT_EQ(json_of(*get(extensions, "v1", definitions, "", name_)).at("metadata", "labels", "mine")->as_string(), "stays");
}

TEST_F(DefinitionsTest, OfThisVersionOrOfUsersStayAsTheyAre) {
  for (const char* annotations : {R"({})", R"({"estiba.dev/schema":"1","gateway.networking.k8s.io/bundle-version":"v1.5.0"})",
                                  R"({"estiba.dev/schema":null,"gateway.networking.k8s.io/bundle-version":null})"}) {
    change(annotations);
    const std::string changed = definition();
    start_again();
    EXPECT_EQ(definition(), changed) << annotations;
  }
}

}  // namespace
}  // namespace estiba::apiserver
