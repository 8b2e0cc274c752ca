#include "node/callers.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/fake_executor.h"
#include "model/json.h"

namespace estiba::node {
namespace {

using namespace std::chrono_literals;

// An API server that answers reviews and nothing else.
class Reviewer final : public client::Client {
 public:
  template <class T>
  static Task<Result<T>> nothing() {
    co_return fail(Code::unsupported, "reviews only");
  }
  Task<Result<model::ObjectRef>> get(client::Resource, std::string, std::string) override { return nothing<model::ObjectRef>(); }
  Task<Result<client::List>> list(client::Resource, std::string, client::ListOptions) override { return nothing<client::List>(); }
  Task<Result<std::unique_ptr<client::WatchStream>>> watch(client::Resource, std::string, int64_t, client::ListOptions) override {
    return nothing<std::unique_ptr<client::WatchStream>>();
  }
  Task<Result<model::ObjectRef>> update(client::Resource, std::string, std::string, std::string, client::WriteOptions) override {
    return nothing<model::ObjectRef>();
  }
  Task<Result<model::ObjectRef>> patch(client::Resource, std::string, std::string, client::PatchType, std::string,
                                       client::WriteOptions) override {
    return nothing<model::ObjectRef>();
  }
  Task<Result<void>> remove(client::Resource, std::string, std::string, client::DeleteOptions) override { return nothing<void>(); }
  Task<Result<std::string>> call(client::Resource, std::string, std::string, std::string, std::string) override {
    return nothing<std::string>();
  }
  Task<Result<model::ObjectRef>> create(client::Resource resource, std::string, std::string body, client::WriteOptions) override {
    ++asked[std::string(resource.name)];
    if (away) co_return fail(Code::unavailable, "away");
    json::Document review = CO_TRY(json::Document::parse(body));
    const json::Node& spec = *review.root().find("spec");
    json::Node& status = review.ensure_object(review.root(), "status");
    if (resource.name == "tokenreviews") {
      const bool known = spec.string_at("token") == "good" && holds;
      review.set(status, "authenticated", review.make_bool(known));
      const json::Document user =
          CO_TRY(json::Document::parse(known ? R"({"username":"prometheus","uid":"7","groups":["scrapers"]})" : "{}"));
      review.set(status, "user", review.copy(user.root()));
    } else {
      review.set(status, "allowed", review.make_bool(may(spec)));
    }
    co_return model::ObjectRef{CO_TRY(model::Object::make(review.root())), 0};
  }

  bool holds = true, away = false;
  std::set<std::string> rights;  // "group verb subresource"
  std::map<std::string, int> asked;

 private:
  bool may(const json::Node& spec) const {
    const json::Node& asked = *spec.find("resourceAttributes");
    if (asked.string_at("resource") != "nodes" || asked.string_at("name") != "node-1") return false;
    const json::Node* groups = spec.find("groups");
    const std::string_view group = groups ? groups->begin()->as_string() : "";
    return rights.contains(std::string(group) + " " + std::string(asked.string_at("verb")) + " " +
                           std::string(asked.string_at("subresource")));
  }
};

struct Bed {
  std::string ask(io::Peer peer, std::string bearer, std::string method, std::string path) {
    std::string out = "no answer";
    Job job;
    executor.post([&] {
      job = Job(
          [](Callers* callers, io::Peer peer, std::string bearer, std::string method, std::string path, std::string* out) -> Task<void> {
            auto admitted = co_await callers->admit(std::move(peer), std::move(bearer), std::move(method), std::move(path));
            *out = admitted ? "ok" : admitted.error().message;
          }(&callers, std::move(peer), std::move(bearer), std::move(method), std::move(path), &out));
    });
    executor.run();
    return out;
  }
  std::string get(std::string path, std::string token = "good") { return ask({}, std::move(token), "GET", std::move(path)); }

  FakeExecutor executor;
  Reviewer server;
  Callers callers{server, executor, "node-1"};
};

io::Peer certificate(std::string name, std::string organization, bool verified = true) {
  io::Peer peer;
  peer.tls = true;
  peer.verified = verified;
  peer.common_name = std::move(name);
  peer.organizations = {std::move(organization)};
  return peer;
}

TEST(Callers, ThePathSaysWhatIsAskedFor) {
  const std::pair<std::string_view, std::vector<std::string_view>> rows[] = {{"/stats/summary", {"stats"}},
                                                                             {"/metrics", {"metrics"}},
                                                                             {"/metrics/cadvisor", {"metrics"}},
                                                                             {"/metricsx", {"proxy"}},
                                                                             {"/logs/x", {"log"}},
                                                                             {"/pods", {"pods", "proxy"}},
                                                                             {"/runningpods/", {"pods", "proxy"}},
                                                                             {"/configz", {"configz", "proxy"}},
                                                                             {"/healthz", {"healthz", "proxy"}},
                                                                             {"/exec/a/b/c", {"proxy"}},
                                                                             {"/", {"proxy"}}};
  for (const auto& [path, wanted] : rows) EXPECT_EQ(node_subresources(path), wanted) << path;
}

TEST(Callers, TokensAreAskedAboutAndRemembered) {
  Bed bed;
  bed.server.rights = {"scrapers get metrics", "scrapers get pods"};
  EXPECT_EQ(bed.get("/metrics/cadvisor"), "ok");
  EXPECT_EQ(bed.get("/metrics"), "ok");
  EXPECT_EQ(bed.get("/pods"), "ok");
  EXPECT_EQ(bed.server.asked["tokenreviews"], 1);
  EXPECT_EQ(bed.server.asked["subjectaccessreviews"], 2);
  EXPECT_EQ(bed.get("/configz"), "Forbidden (user=prometheus, verb=get, resource=nodes, subresource(s)=[configz proxy])");
  EXPECT_EQ(bed.ask({}, "good", "POST", "/exec/a/b/c"), "Forbidden (user=prometheus, verb=create, resource=nodes, subresource(s)=[proxy])");
  EXPECT_EQ(bed.get("/metrics", "bad"), "Unauthorized");
  EXPECT_EQ(bed.get("/metrics", ""), "Unauthorized");
  bed.server.rights.clear();
  EXPECT_EQ(bed.get("/metrics"), "ok") << "a permission holds for five minutes";
  bed.executor.advance(5min);
  EXPECT_EQ(bed.get("/metrics"), "Forbidden (user=prometheus, verb=get, resource=nodes, subresource(s)=[metrics])");
  bed.server.rights = {"scrapers get metrics"};
  bed.executor.advance(30s);
  EXPECT_EQ(bed.get("/metrics"), "ok") << "a refusal for half a minute";
  bed.server.holds = false;
  bed.executor.advance(2min);
  EXPECT_EQ(bed.get("/metrics"), "Unauthorized") << "a token for two minutes";
}

TEST(Callers, CertificatesNeedNoQuestionAboutWhoTheyAre) {
  Bed bed;
  bed.server.rights = {"admins create proxy"};
  EXPECT_EQ(bed.ask(certificate("kube-apiserver-kubelet-client", ""), "", "POST", "/exec/a/b/c"), "ok");
  EXPECT_EQ(bed.ask(certificate("root", "system:masters"), "", "GET", "/configz"), "ok");
  EXPECT_EQ(bed.server.asked.size(), 0u);
  EXPECT_EQ(bed.ask(certificate("alice", "admins"), "", "POST", "/exec/a/b/c"), "ok");
  EXPECT_EQ(bed.server.asked["tokenreviews"], 0);
  EXPECT_EQ(bed.ask(certificate("system:node:node-2", "system:nodes"), "", "GET", "/pods"),
            "Forbidden (user=system:node:node-2, verb=get, resource=nodes, subresource(s)=[pods proxy])");
  EXPECT_EQ(bed.ask(certificate("root", "system:masters", false), "", "GET", "/pods"), "Unauthorized");
}

TEST(Callers, AServerThatCannotBeAskedLetsNobodyIn) {
  Bed bed;
  bed.server.away = true;
  EXPECT_NE(bed.get("/metrics").find("away"), std::string::npos);
  bed.server.away = false;
  bed.server.rights = {"scrapers get metrics"};
  EXPECT_EQ(bed.get("/metrics"), "ok") << "no failure is remembered";
}

}  // namespace
}  // namespace estiba::node
