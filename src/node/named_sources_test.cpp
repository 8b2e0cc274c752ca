#include "node/named_sources.h"

#include <gtest/gtest.h>

#include "base/fake_executor.h"
#include "client/testing/fake_client.h"

namespace estiba::node {
namespace {

using model::core_v1::Pod;

constexpr std::string_view pod_text = R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{
  "volumes":[{"name":"a","configMap":{"name":"m"}},{"name":"b","secret":{"secretName":"s"}},
             {"name":"c","projected":{"sources":[{"configMap":{"name":"pm"}},{"secret":{"name":"ps"}},{"downwardAPI":{}}]}}],
  "initContainers":[{"name":"i","envFrom":[{"configMapRef":{"name":"im"}},{"secretRef":{"name":"is"}}]}],
  "containers":[{"name":"c","env":[{"name":"X","value":"1"},{"name":"Y","valueFrom":{"secretKeyRef":{"name":"es","key":"k"}}},
                                   {"name":"Z","valueFrom":{"configMapKeyRef":{"name":"m","key":"k"}}}]}]}})";

TEST(NamedSources, AreAllThatAPodReads) {
  auto object = model::Object::parse(pod_text);
  ASSERT_TRUE(object);
  const model::ObjectRef pod{*object, 1};
  std::string text;
  for (const SourceName& name : sources_of("x", pod.as<Pod>().spec))
    text += (name.secret ? " secret " : " map ") + name.ns + "/" + name.name;
  EXPECT_EQ(text, " map x/im map x/m map x/pm secret x/es secret x/is secret x/ps secret x/s");
}

TEST(NamedSources, EachIsWatchedWhileAPodNamesIt) {
  FakeExecutor executor;
  client::testing::FakeClient server(executor);
  std::string told;
  {
    NamedSources sources(server,
                         [&](bool secret, const model::ObjectRef& object) { told += (secret ? " s:" : " m:") + object.meta().name; });
    const SourceName map{false, "x", "m"}, secret{true, "x", "s"};
    executor.post([&] {
      sources.set("1", {map, secret});
      sources.set("2", {map});
    });
    executor.run();
    EXPECT_EQ(sources.watched(), 2u);
    EXPECT_EQ(server.calls["list configmaps"], 1) << "one watch for both pods";
    server.add(client::configmaps, "x", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"}})");
    server.add(client::configmaps, "x", R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"other"}})");
    executor.run();
    EXPECT_EQ(told, " m:m");
    sources.drop("1");
    EXPECT_EQ(sources.watched(), 1u);
    sources.drop("2");
    EXPECT_EQ(sources.watched(), 0u);
  }
}

}  // namespace
}  // namespace estiba::node
