#include "apiserver/convert_autoscaler.h"

#include <algorithm>

#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

json::Document parse(std::string text) {
  std::ranges::replace(text, '\'', '"');
  auto doc = json::Document::parse(text);
  EXPECT_TRUE(doc) << text;
  return std::move(*doc);
}

// Of the annotation autoscaling.alpha.kubernetes.io/<name>.
std::string kept(const json::Document& doc, const std::string& name) {
  const json::Node* value = doc.root().at("metadata", "annotations", "autoscaling.alpha.kubernetes.io/" + name);
  std::string text(value ? value->as_string() : "");
  std::ranges::replace(text, '"', '\'');
  return text;
}

constexpr const char* everything =
    "{'metadata':{'name':'h','annotations':{'a':'b'}},'spec':{'maxReplicas':3,'metrics':["
    "{'type':'Resource','resource':{'name':'cpu','target':{'type':'Utilization','averageUtilization':70}}},"
    "{'type':'Resource','resource':{'name':'memory','target':{'type':'AverageValue','averageValue':'1Gi'}}},"
    "{'type':'ContainerResource','containerResource':{'name':'cpu','container':'c','target':{'type':'Utilization','averageUtilization':60}}"
    "},"
    "{'type':'Pods','pods':{'metric':{'name':'m','selector':{'matchLabels':{'x':'y'}}},'target':{'type':'AverageValue','averageValue':'5'}}"
    "},"
    "{'type':'Object','object':{'describedObject':{'apiVersion':'v1','kind':'Service','name':'s'},'metric':{'name':'o'},"
    "'target':{'type':'AverageValue','averageValue':'7'}}},"
    "{'type':'External','external':{'metric':{'name':'e'},'target':{'type':'Value','value':'9'}}}],"
    "'behavior':{'scaleDown':{'stabilizationWindowSeconds':5,'selectPolicy':'Max','policies':[{'type':'Pods','value':4,'periodSeconds':15}]"
    ","
    "'tolerance':'50m'}}},"
    "'status':{'currentReplicas':1,'desiredReplicas':2,'currentMetrics':["
    "{'type':'Resource','resource':{'name':'cpu','current':{'averageValue':'10m','averageUtilization':40}}}],"
    "'conditions':[{'type':'AbleToScale','status':'True','lastTransitionTime':'2026-01-01T00:00:00Z','reason':'R','message':'m'}]}}";

TEST(ConvertAutoscaler, WhatV1HasNoFieldForIsInAnnotations) {
  json::Document doc = parse(everything);
  autoscaler_to_v1(doc, doc.root());
  EXPECT_EQ(json::print(*doc.root().find("spec")), R"({"maxReplicas":3,"targetCPUUtilizationPercentage":70})");
  EXPECT_EQ(json::print(*doc.root().find("status")), R"({"currentReplicas":1,"desiredReplicas":2,"currentCPUUtilizationPercentage":40})");
  EXPECT_EQ(kept(doc, "metrics"),
            "[{'type':'Resource','resource':{'name':'memory','targetAverageValue':'1Gi'}},"
            "{'type':'ContainerResource','containerResource':{'name':'cpu','targetAverageUtilization':60,'container':'c'}},"
            "{'type':'Pods','pods':{'metricName':'m','targetAverageValue':'5','selector':{'matchLabels':{'x':'y'}}}},"
            "{'type':'Object','object':{'target':{'apiVersion':'v1','kind':'Service','name':'s'},'metricName':'o','targetValue':'0',"
            "'averageValue':'7'}},"
            "{'type':'External','external':{'metricName':'e','targetValue':'9'}}]");
  EXPECT_EQ(kept(doc, "current-metrics"),
            "[{'type':'Resource','resource':{'name':'cpu','currentAverageUtilization':40,'currentAverageValue':'10m'}}]");
  EXPECT_EQ(kept(doc, "behavior"),
            "{'ScaleUp':null,'ScaleDown':{'StabilizationWindowSeconds':5,'SelectPolicy':'Max',"
            "'Policies':[{'Type':'Pods','Value':4,'PeriodSeconds':15}],'Tolerance':'50m'}}");
  EXPECT_EQ(kept(doc, "conditions"),
            "[{'type':'AbleToScale','status':'True','lastTransitionTime':'2026-01-01T00:00:00Z','reason':'R','message':'m'}]");
}

TEST(ConvertAutoscaler, NothingIsLostThereAndBack) {
  json::Document doc = parse(everything), before = parse(everything);
  autoscaler_to_v1(doc, doc.root());
  autoscaler_to_v2(doc, doc.root());
  // The metric that v1 has a field for comes last.
  json::Node& metrics = *before.root().find("spec")->find("metrics");
  json::Node& cpu = before.copy(metrics[0]);
  before.remove(metrics, 0);
  before.append(metrics, cpu);
  EXPECT_TRUE(json::equal(doc.root(), before.root())) << json::print(doc.root());
}

TEST(ConvertAutoscaler, OfV1Alone) {
  json::Document doc = parse("{'metadata':{'name':'h'},'spec':{'maxReplicas':3},'status':{'currentCPUUtilizationPercentage':30}}");
  autoscaler_to_v2(doc, doc.root());
  EXPECT_EQ(json::print(*doc.root().find("spec")->find("metrics")),
            R"([{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}}])");
  EXPECT_EQ(json::print(*doc.root().find("status")),
            R"({"currentMetrics":[{"type":"Resource","resource":{"name":"cpu","current":{"averageUtilization":30}}}]})");
}

TEST(ConvertAutoscaler, AnnotationsThatHoldSomethingElseAreDropped) {
  for (const char* text : {"[", "{}", "[1]", "[{\\'type\\':1}]", "null"}) {
    std::string object =
        "{'metadata':{'annotations':{'autoscaling.alpha.kubernetes.io/metrics':'$','autoscaling.alpha.kubernetes.io/conditions':'$',"
        "'autoscaling.alpha.kubernetes.io/current-metrics':'$','autoscaling.alpha.kubernetes.io/behavior':'$'}},"
        "'spec':{'targetCPUUtilizationPercentage':50}}";
    for (size_t at; (at = object.find('$')) != object.npos;) object.replace(at, 1, text);
    json::Document doc = parse(object);
    autoscaler_to_v2(doc, doc.root());
    EXPECT_EQ(
        json::print(doc.root()),
        R"({"metadata":{},"spec":{"metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":50}}}]}})")
        << text;
  }
  // Go reads the names of fields in any case.
  json::Document doc = parse(
      "{'metadata':{'annotations':{'autoscaling.alpha.kubernetes.io/"
      "behavior':'{\\'scaleUp\\':{\\'selectpolicy\\':\\'Min\\'}}'}},'spec':{}}");
  autoscaler_to_v2(doc, doc.root());
  EXPECT_EQ(json::print(*doc.root().at("spec", "behavior")), R"({"scaleUp":{"selectPolicy":"Min"}})");
}

class AutoscalerVersions : public ApiFixture {};

TEST_F(AutoscalerVersions, WritesByV1KeepWhatV2Says) {
  const auto v = [&](std::string_view version) {
    auto object = get("autoscaling", version, "horizontalpodautoscalers", "default", "h");
    EXPECT_TRUE(object);
    return json::Document::parse(object->print());
  };
  ASSERT_TRUE(create("autoscaling", "v2", "horizontalpodautoscalers", "default",
                     R"({"metadata":{"name":"h"},"spec":{"maxReplicas":3,"scaleTargetRef":{"kind":"Deployment","name":"w"},)"
                     R"("metrics":[{"type":"Pods","pods":{"metric":{"name":"m"},"target":{"type":"AverageValue","averageValue":"5"}}}],)"
                     R"("behavior":{"scaleUp":{"selectPolicy":"Disabled"}}}})"));
  ASSERT_TRUE(patch("autoscaling", "v2", "horizontalpodautoscalers", "default", "h", BodyType::merge_patch,
                    R"({"status":{"conditions":[{"type":"AbleToScale","status":"True"}]}})", "status"));
  auto before = v("v2"), old = v("v1");
  EXPECT_EQ(old->root().at("spec", "targetCPUUtilizationPercentage"), nullptr);
  old->set(*old->root().find("spec"), "maxReplicas", old->make_int(5));
  // Conditions are the status's, though they come as an annotation.
  old->set(*old->root().find("metadata")->find("annotations"), "autoscaling.alpha.kubernetes.io/conditions", "[]");
  auto put = update("autoscaling", "v1", "horizontalpodautoscalers", "default", "h", json::print(old->root()));
  ASSERT_TRUE(put) << put.error().message;
  auto after = v("v2");
  EXPECT_EQ(after->root().at("spec", "maxReplicas")->as_int(), 5);
  for (const char* path : {"spec.metrics", "spec.behavior", "status"}) {
    const json::Node *a = json::follow(before->root(), path), *b = json::follow(after->root(), path);
    ASSERT_TRUE(a && b) << path;
    EXPECT_TRUE(json::equal(*a, *b)) << path << json::print(*b);
  }
  auto wrong = patch("autoscaling", "v1", "horizontalpodautoscalers", "default", "h", BodyType::merge_patch,
                     R"({"metadata":{"annotations":{"autoscaling.alpha.kubernetes.io/metrics":"[{\"type\":\"Pods\"}]"}}})");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("spec.metrics[0]"), std::string::npos) << wrong.error().message;
}

}  // namespace
}  // namespace estiba::apiserver
