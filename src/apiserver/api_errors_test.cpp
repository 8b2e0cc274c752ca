#include "apiserver/api_errors.h"

#include <gtest/gtest.h>

namespace estiba::apiserver {
namespace {

const Resource& deployments() { return *model::schema::find_resource("apps", "v1", "deployments"); }

TEST(ApiErrors, several_causes_are_listed_in_brackets) {
  auto error =
      invalid(deployments(), "Deployment", "web",
              {{"FieldValueRequired", "Required value", "spec.selector"}, {"FieldValueInvalid", "Invalid value: 1: no", "spec.x"}});
  EXPECT_EQ(error.error().message, "Deployment.apps \"web\" is invalid: [spec.selector: Required value, spec.x: Invalid value: 1: no]");
  EXPECT_EQ(http_status(error.error()), 422);
  EXPECT_NE(
      status_json(error.error()).find(R"("causes":[{"reason":"FieldValueRequired","message":"Required value","field":"spec.selector"},)"),
      std::string::npos);
}

TEST(ApiErrors, a_full_disk_is_507_and_says_so) {
  Error error{Code::exhausted, 28, "store: disk full", nullptr};
  EXPECT_EQ(http_status(error), 507);
  EXPECT_EQ(
      status_json(error),
      R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"store: disk full","reason":"InsufficientStorage","code":507})");
}

TEST(ApiErrors, a_revision_of_the_future_asks_to_retry) {
  auto error = resource_version_too_large(9, 5);
  EXPECT_EQ(http_status(error.error()), 504);
  EXPECT_EQ(status_json(error.error()),
            R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Too large resource version: 9, current: 5",)"
            R"("reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],)"
            R"("retryAfterSeconds":1},"code":504})");
}

TEST(ApiErrors, media_types_and_methods_have_their_own_status) {
  EXPECT_EQ(http_status(method_not_allowed().error()), 405);
  EXPECT_EQ(http_status(not_acceptable().error()), 406);
  EXPECT_EQ(http_status(unsupported_media_type("x").error()), 415);
  EXPECT_EQ(http_status(too_many_requests("later", 10).error()), 429);
  EXPECT_EQ(http_status(too_old_resource_version(1, 5).error()), 410);
}

}  // namespace
}  // namespace estiba::apiserver
