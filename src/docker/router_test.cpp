#include "docker/router.h"

#include <gtest/gtest.h>

#include "base/fake_executor.h"
#include "docker/api/routes.h"
#include "docker/daemon.h"
#include "docker/events.h"
#include "docker/filters.h"
#include "docker/names.h"

namespace estiba::docker {
namespace {

TEST(Router, TakesTheVersionOff) {
  EXPECT_EQ(*split_version("/v1.43/info"), (std::pair<std::string_view, int>("/info", 43)));
  EXPECT_EQ(*split_version("/info"), (std::pair<std::string_view, int>("/info", newest_minor)));
  EXPECT_EQ(*split_version("/version"), (std::pair<std::string_view, int>("/version", newest_minor)));
  EXPECT_EQ(*split_version("/volumes"), (std::pair<std::string_view, int>("/volumes", newest_minor)));
  EXPECT_EQ(split_version("/v1.20/info").error().message,
            "client version 1.20 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version");
  EXPECT_EQ(split_version("/v1.99/info").error().message, "client version 1.99 is too new. Maximum supported API version is 1.50");
  EXPECT_FALSE(split_version("/v2.0/info"));
}

std::string seen;
Task<void> note(Daemon&, ApiRequest& request, io::Response& response) {
  seen = request.param("name") + "|" + request.param("id");
  response.send(200);
  co_return;
}
Task<Result<void>> refuse(Daemon&, ApiRequest&, io::Response&) { co_return fail(Code::conflict, "it is so"); }

class Routed : public ::testing::Test {
 protected:
  std::string ask(std::string method, std::string target) {
    seen.clear();
    io::Request request(std::move(method), std::move(target));
    io::Response response;
    Job job(router.serve(*static_cast<Daemon*>(no_daemon()), request, response));
    EXPECT_TRUE(job.done());
    return std::to_string(response.status()) + " " + response.body().text();
  }
  // The handlers of this test do not look at the daemon.
  static void* no_daemon() {
    alignas(Daemon) static char nothing[sizeof(Daemon)];
    return nothing;
  }
  Router router;
};

TEST_F(Routed, FindsByPattern) {
  router.get("/images/{name...}/json", note);
  router.get("/images/{name...}", note);
  router.get("/images/json", refuse);
  router.post("/containers/{id}/start", note);
  EXPECT_EQ(ask("GET", "/v1.40/images/a/b/json"), "200 ");
  EXPECT_EQ(seen, "a/b|");
  EXPECT_EQ(ask("GET", "/images/localhost:5000%2Fx"), "200 ");
  EXPECT_EQ(seen, "localhost:5000/x|");
  EXPECT_EQ(ask("POST", "/containers/web/start?t=1"), "200 ");
  EXPECT_EQ(seen, "|web");
  EXPECT_EQ(ask("GET", "/images/json"), "409 {\"message\":\"it is so\"}\n");
  EXPECT_EQ(ask("GET", "/nothing"), "404 {\"message\":\"page not found\"}\n");
  EXPECT_EQ(ask("DELETE", "/images/json"), "404 {\"message\":\"page not found\"}\n");
  EXPECT_TRUE(ask("GET", "/v1.2/images/json").starts_with("400 "));
}

TEST(ApiRequest, ReadsBooleansAndNumbersAsDockerDoes) {
  io::Request http("GET", "/x?a=1&b=false&c=&d=yes&n=12&bad=z");
  ApiRequest request{http, 50, {}};
  EXPECT_TRUE(request.flag("a"));
  EXPECT_FALSE(request.flag("b", true));
  EXPECT_FALSE(request.flag("c"));
  EXPECT_TRUE(request.flag("d"));
  EXPECT_TRUE(request.flag("missing", true));
  EXPECT_EQ(*request.number("n"), 12);
  EXPECT_EQ(*request.number("missing"), std::nullopt);
  EXPECT_FALSE(request.number("bad"));
}

TEST(Filters, BothForms) {
  auto filters =
      Filters::parse(R"({"label":["a=b","c"],"status":{"running":true,"paused":false},"name":["^/web$"]})", {"label", "status", "name"});
  ASSERT_TRUE(filters);
  EXPECT_TRUE(filters->labels({{"a", "b"}, {"c", "x"}}));
  EXPECT_FALSE(filters->labels({{"a", "other"}, {"c", "x"}}));
  EXPECT_TRUE(filters->exact("status", "running"));
  EXPECT_FALSE(filters->exact("status", "paused"));
  EXPECT_TRUE(filters->exact("id", "anything"));
  EXPECT_TRUE(filters->contains("name", "/web"));
  EXPECT_FALSE(filters->contains("name", "/web2"));
  EXPECT_EQ(Filters::parse(R"({"x":["1"]})", {"label"}).error().message, "invalid filter 'x'");
  EXPECT_FALSE(Filters::parse("[", {}));
  EXPECT_FALSE(Filters::parse(R"({"label":[1]})", {"label"}));
  EXPECT_TRUE(*Filters::parse(R"({"dangling":["true"]})", {"dangling"})->flag("dangling", false));
  EXPECT_EQ(Filters::parse(R"({"dangling":["x"]})", {"dangling"})->flag("dangling", false).error().message,
            "invalid filter 'dangling=[x]'");
}

TEST(Events, TellWhoListensAndKeepWhatWas) {
  FakeExecutor executor;
  Events events(executor);
  events.publish("container", "create", "abc", {{"image", "box:1"}, {"name", "web"}});
  const auto past = events.past(WallTime{}, executor.wall_now());
  ASSERT_EQ(past.size(), 1u);
  EXPECT_NE(
      past[0]->json.find(
          R"("status":"create","id":"abc","from":"box:1","Type":"container","Action":"create","Actor":{"ID":"abc","Attributes":{"image":"box:1","name":"web"}},"scope":"local","time":)"),
      std::string::npos)
      << past[0]->json;
  Events::Subscription listener(events);
  std::string got;
  executor.post([&] {
    spawn([](Events::Subscription* listener, std::string* got) -> Task<void> {
      *got += (co_await listener->next())->action;
      *got += co_await listener->next_until(Instant::min()) ? "more" : "none";
    }(&listener, &got));
  });
  executor.run();
  EXPECT_EQ(got, "");
  executor.post([&] { events.publish("volume", "mount", "v", {}); });
  executor.run();
  executor.advance(std::chrono::seconds(1));
  EXPECT_EQ(got, "mountnone");
}

TEST(Names, AreValid) {
  for (int i = 0; i < 300; ++i) {
    const std::string name = random_name(i);
    EXPECT_NE(name.find('_'), std::string::npos);
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace estiba::docker
