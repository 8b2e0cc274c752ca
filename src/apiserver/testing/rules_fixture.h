// Tables of accepted and refused objects: what the API server says to each, in its words.
#pragma once
#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {

/// `json` has ' for ". `told` is "field: message" of one of the causes, or empty when the object is accepted.
struct RuleRow {
  std::string_view json, told;
};

class RulesTest : public ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    ASSERT_TRUE(create("", "v1", "serviceaccounts", "default", R"({"metadata":{"name":"default"}})"));
  }

  static std::string quotes(std::string_view json) {
    std::string out(json);
    std::ranges::replace(out, '\'', '"');
    return out;
  }
  /// `part` in place of the $ of `frame`.
  static std::string framed(std::string_view frame, std::string_view part) {
    std::string out(frame);
    return quotes(out.replace(out.find('$'), 1, part));
  }

  static void expect(const Result<Outcome>& outcome, const RuleRow& row) {
    if (row.told.empty()) {
      EXPECT_TRUE(outcome) << row.json << "\n  " << (outcome ? "" : outcome.error().message);
      return;
    }
    ASSERT_FALSE(outcome) << row.json << "\n  should say " << row.told;
    bool found = false;
    std::string all;
    if (outcome.error().details) {
      for (const FieldCause& cause : outcome.error().details->causes) {
        const std::string text = cause.field + ": " + cause.message;
        found |= text == row.told;
        all += "  " + text + "\n";
      }
    }
    EXPECT_TRUE(found) << row.json << "\n  should say " << row.told << "\n  but says  " << outcome.error().message << "\n" << all;
  }

  /// Creates each row's object (in `frame`, where its $ is), for show only.
  void creations(std::string_view group, std::string_view version, std::string_view resource, std::string_view frame,
                 std::span<const RuleRow> rows) {
    for (const RuleRow& row : rows) {
      Action action = make(Verb::create, group, version, resource, namespace_of(group, version, resource));
      action.write.dry_run = true;
      action.body = framed(frame, row.json);
      expect(run(api_->run(std::move(action))), row);
    }
  }

  /// Creates `object`, then applies each row to it as a merge patch, for show only.
  void changes(std::string_view group, std::string_view version, std::string_view resource, std::string_view object,
               std::span<const RuleRow> rows, std::string_view subresource = {}) {
    const std::string ns = namespace_of(group, version, resource);
    auto made = create(group, version, resource, ns, quotes(object));
    ASSERT_TRUE(made) << made.error().message;
    for (const RuleRow& row : rows) {
      Action action = make(Verb::patch, group, version, resource, ns, made->object.meta().name);
      action.subresource = subresource;
      action.write.dry_run = true;
      action.body_type = BodyType::merge_patch;
      action.body = quotes(row.json);
      expect(run(api_->run(std::move(action))), row);
    }
  }

  /// The warnings that come with creating an object.
  std::vector<std::string> warnings_of(std::string_view group, std::string_view version, std::string_view resource,
                                       std::string_view object) {
    Action action = make(Verb::create, group, version, resource, namespace_of(group, version, resource));
    action.write.dry_run = true;
    action.body = quotes(object);
    auto outcome = run(api_->run(std::move(action)));
    EXPECT_TRUE(outcome) << (outcome ? "" : outcome.error().message);
    return outcome ? outcome->warnings : std::vector<std::string>{};
  }

 private:
  std::string namespace_of(std::string_view group, std::string_view version, std::string_view resource) {
    return api_->cluster().find_resource(group, version, resource).resource->namespaced ? "default" : "";
  }
};

}  // namespace estiba::apiserver
