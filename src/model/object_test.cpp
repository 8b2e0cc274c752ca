#include "model/object.h"

#include <gtest/gtest.h>

#include <thread>

#include "model/types/core_v1.h"

namespace estiba::model {
namespace {

constexpr std::string_view pod_text =
    R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"shop","resourceVersion":"7","uid":"u-1",
  "labels":{"b":"2","a":"1"},"annotations":{"x":"y"},"generation":3,"creationTimestamp":"2026-11-21T02:26:38Z","finalizers":["f"],
  "ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"rs","uid":"u-0","controller":true}]},
  "spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}]}]}})";

TEST(Object, StoredTextIsSharedWhenItIsWhatWouldBeKept) {
  const SharedText same(R"({"kind":"Pod","metadata":{"name":"a"}})"), spaced(R"({"kind":"Pod", "metadata":{"name":"a"}})");
  const auto parsed = json::Document::parse(same);
  EXPECT_TRUE((*Object::make(parsed->root(), same))->shared_json().shares(same));
  const auto other = Object::make(json::Document::parse(spaced)->root(), spaced);
  EXPECT_FALSE((*other)->shared_json().shares(spaced));
  EXPECT_EQ((*other)->json(), same);
}

TEST(Object, LastAppliedIsKnownByItsHashOnly) {
  const auto make = [](std::string text) {
    return *Object::parse(R"({"metadata":{"annotations":{"a":"1","kubectl.kubernetes.io/last-applied-configuration":")" + text +
                          R"(","z":"2"}}})");
  };
  const auto one = make("x"), two = make("y");
  EXPECT_EQ(one->meta().annotation("a"), "1");
  EXPECT_EQ(one->meta().annotation("z"), "2");
  EXPECT_EQ(one->meta().annotations, two->meta().annotations);
  EXPECT_NE(one->meta().last_applied, two->meta().last_applied);
  EXPECT_NE(one->json().find("last-applied-configuration"), std::string_view::npos);
}

TEST(Object, FactsAreTakenFromMetadata) {
  auto object = Object::parse(pod_text);
  ASSERT_TRUE(object) << object.error().message;
  const Meta& meta = (*object)->meta();
  EXPECT_EQ(meta.api_version, "v1");
  EXPECT_EQ(meta.kind, "Pod");
  EXPECT_EQ(meta.name, "web");
  EXPECT_EQ(meta.ns, "shop");
  EXPECT_EQ(meta.uid, "u-1");
  EXPECT_EQ(meta.generation, 3);
  EXPECT_EQ(meta.deletion_grace_seconds, -1);
  EXPECT_EQ(meta.label("a"), "1");
  EXPECT_EQ(meta.label("c"), "");
  EXPECT_EQ(meta.labels[0].first, "a");
  EXPECT_EQ(meta.annotation("x"), "y");
  EXPECT_EQ(meta.finalizers, std::vector<std::string>{"f"});
  ASSERT_TRUE(meta.controller());
  EXPECT_EQ(meta.controller()->name, "rs");
}

TEST(Object, TypedStructsAreWithoutManagedFields) {
  const auto object = *Object::parse(
      R"({"kind":"Pod","metadata":{"name":"a","managedFields":[{"manager":"m","fieldsV1":{"f:spec":{}}}],"uid":"u"},"spec":{"nodeName":"n"}})");
  const auto& pod = object->as<core_v1::Pod>();
  EXPECT_TRUE(pod.metadata.managedFields.empty());
  EXPECT_EQ(pod.metadata.uid, "u");
  EXPECT_EQ(pod.spec.nodeName, "n");
  EXPECT_NE(object->json().find("fieldsV1"), std::string_view::npos);
}

TEST(Object, TheRevisionIsSplicedIntoEveryShapeOfMetadata) {
  const auto at = [](std::string_view text) { return ObjectRef{*Object::parse(text), 42}.print(); };
  EXPECT_EQ(at(R"({"metadata":{"name":"a","resourceVersion":"1"},"x":1})"), R"({"metadata":{"resourceVersion":"42","name":"a"},"x":1})");
  EXPECT_EQ(at(R"({"metadata":{"resourceVersion":"1"}})"), R"({"metadata":{"resourceVersion":"42"}})");
  EXPECT_EQ(at(R"({"metadata":{}})"), R"({"metadata":{"resourceVersion":"42"}})");
  EXPECT_EQ(at(R"({"metadata":null,"a":{}})"), R"({"metadata":{"resourceVersion":"42"},"a":{}})");
  EXPECT_EQ(at("{}"), R"({"metadata":{"resourceVersion":"42"}})");
  EXPECT_EQ(at(R"({"kind":"{"})"), R"({"kind":"{","metadata":{"resourceVersion":"42"}})");
}

TEST(Object, WrongTypesInMetadataNameTheField) {
  const auto error = [](std::string_view text) { return Object::parse(text).error().message; };
  EXPECT_EQ(error("[]"), "the body: expected an object, got array");
  EXPECT_EQ(error(R"({"metadata":1})"), "metadata: expected an object, got number");
  EXPECT_EQ(error(R"({"metadata":{"name":1}})"), "metadata.name: expected a string, got number");
  EXPECT_EQ(error(R"({"metadata":{"labels":{"a":1}}})"), "metadata.labels[a]: expected a string, got number");
  EXPECT_EQ(error(R"({"metadata":{"finalizers":[1]}})"), "metadata.finalizers: expected an array of strings, got number");
}

TEST(Object, TheTypedStructIsDecodedOnceAndSharedBetweenThreads) {
  auto object = *Object::parse(pod_text);
  std::vector<const core_v1::Pod*> seen(4);
  std::vector<std::thread> threads;
  for (auto& pod : seen) threads.emplace_back([&] { pod = &object->as<core_v1::Pod>(); });
  for (auto& thread : threads) thread.join();
  for (auto* pod : seen) EXPECT_EQ(pod, seen[0]);
  EXPECT_EQ(seen[0]->spec.containers[0].ports[0].containerPort, 80);
  EXPECT_EQ(object->as<core_v1::Binding>().metadata.name, "web");
}

TEST(Object, TheLighterOneIsTheSameForAllAndHasNothingDecoded) {
  const int64_t before = Object::decoded();
  ObjectPtr object =
      *Object::parse(R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","labels":{"a":"b"}},"data":{"k":"v"}})");
  EXPECT_EQ(Object::lighter(object), object) << "nothing to leave behind";
  const auto& typed = object->as<core_v1::ConfigMap>();
  EXPECT_EQ(Object::decoded(), before + 1);
  ObjectPtr lighter, other;
  std::thread thread([&] { other = Object::lighter(object); });
  lighter = Object::lighter(object);
  thread.join();
  EXPECT_NE(lighter, object);
  EXPECT_EQ(lighter, other);
  EXPECT_EQ(Object::lighter(lighter), lighter);
  EXPECT_TRUE(lighter->shared_json().shares(object->shared_json()));
  EXPECT_EQ(lighter->meta().label("a"), "b");
  EXPECT_EQ((ObjectRef{lighter, 7}.print()), (ObjectRef{object, 7}.print()));
  EXPECT_EQ(&object->as<core_v1::ConfigMap>(), &typed) << "who still has the first goes on with it";
  other.reset();
  object.reset();
  EXPECT_EQ(Object::decoded(), before);
  EXPECT_EQ(lighter->as<core_v1::ConfigMap>().data.at("k"), "v");
  EXPECT_EQ(Object::decoded(), before + 1);
}

TEST(Object, StructsOfAllSizesAreWhole) {
  std::vector<ObjectPtr> objects;
  for (const size_t size : {1, 10, 3000, 40, 500'000, 20'000, 3, 90'000}) {
    const std::string value(size, 'v');
    std::string text = R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{)";
    for (size_t i = 0; i <= size % 7; ++i) text += "\"key-" + std::to_string(i) + "\":\"" + value + "\",";
    text.back() = '}';
    ObjectPtr& object = objects.emplace_back(*Object::parse(text + "}"));
    (void)object->as<core_v1::ConfigMap>();
  }
  for (const ObjectPtr& object : objects) {
    const core_v1::ConfigMap copy = object->as<core_v1::ConfigMap>();
    EXPECT_EQ(encode(copy), encode(*decode<core_v1::ConfigMap>(object->json())));
  }
}

TEST(Object, WhatDoesNotFitIsLeftAtItsDefault) {
  auto object = *Object::parse(R"({"spec":{"nodeName":5,"hostname":"h","containers":[{"name":"a"},7]}})");
  const auto& pod = object->as<core_v1::Pod>();
  EXPECT_EQ(pod.spec.nodeName, "");
  EXPECT_EQ(pod.spec.hostname, "h");
  EXPECT_EQ(pod.spec.containers[0].name, "a");
}

}  // namespace
}  // namespace estiba::model
