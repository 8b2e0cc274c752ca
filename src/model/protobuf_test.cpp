#include "model/protobuf.h"

#include <gtest/gtest.h>

#include "base/protobuf_wire.h"

namespace estiba::model {
namespace {

using json::Document;
using json::Node;
using schema::Field;
using schema::Form;
using schema::Kind;
using schema::Shape;
using schema::Type;

// An object of the type with every field set, nested a few levels.
class Sample {
 public:
  Document document;

  Node& message(const Type& type, int depth) {
    Node& out = document.make_object();
    if (type.form != Form::message) return special(type.form, depth);
    for (const Field& field : type.fields)
      if (field.number && (depth > 0 || field.kind < Kind::message)) document.set(out, field.name, value(field, depth));
    return out;
  }

 private:
  Node& value(const Field& field, int depth) {
    Node* out = nullptr;
    switch (field.shape) {
      case Shape::single: return one(field, depth);
      case Shape::list:
        out = &document.make_array();
        document.append(*out, one(field, depth));
        document.append(*out, one(field, depth));
        return *out;
      case Shape::map:
        out = &document.make_object();
        document.set(*out, "k1", one(field, depth));
        document.set(*out, "k2", one(field, depth));
        return *out;
      case Shape::map_of_lists:
        out = &document.make_object();
        document.append(document.set(*out, "k", document.make_array()), one(field, depth));
        return *out;
    }
    return document.make_null();
  }

  Node& one(const Field& field, int depth) {
    switch (field.kind) {
      case Kind::string: return document.make_string("t" + std::to_string(++count_));
      case Kind::boolean: return document.make_bool(true);
      case Kind::int32: return document.make_int(-++count_);
      case Kind::int64: return document.make_int((int64_t(1) << 40) + ++count_);
      case Kind::number: return document.make_double(1.5 + ++count_);
      case Kind::bytes: return document.make_string("aGk=");
      case Kind::object: return document.make_object();
      case Kind::any: return document.make_string("any");
      case Kind::message: return message(*field.type, depth - 1);
      case Kind::special: return special(field.type->form, depth - 1);
    }
    return document.make_null();
  }

  Node& special(Form form, int depth) {
    Node* out = nullptr;
    switch (form) {
      case Form::quantity: return document.make_string("1500m");
      case Form::time: return document.make_string("2026-11-21T02:26:38Z");
      case Form::micro_time: return document.make_string("2026-11-21T02:26:38.123456Z");
      case Form::int_or_string: return ++count_ % 2 ? document.make_int(8080) : document.make_string("http");
      case Form::schema_or_bool: return document.make_bool(true);
      case Form::schema_or_array:
        out = &document.make_array();
        document.append(*out, message(*schema::find_type("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"),
                                      std::min(depth - 1, 0)));
        return *out;
      case Form::schema_or_strings:
        out = &document.make_array();
        document.append(*out, document.make_string("s"));
        return *out;
      default:
        out = &document.make_object();
        document.set(*out, "raw", document.make_int(1));
        return *out;
    }
  }

  int count_ = 0;
};

TEST(Protobuf, EveryTypeComesBackAsItWas) {
  size_t checked = 0;
  for (const Type& type : schema::types()) {
    if (type.form != Form::message) continue;
    Sample sample;
    Node& object = sample.message(type, 3);
    auto bytes = to_protobuf_message(object, type);
    ASSERT_TRUE(bytes) << type.name << ": " << bytes.error().message;
    auto back = from_protobuf_message(*bytes, type);
    ASSERT_TRUE(back) << type.name << ": " << back.error().message;
    ASSERT_TRUE(json::equal(object, back->root())) << type.full_name() << "\n" << json::print(object) << "\n" << json::print(back->root());
    ++checked;
  }
  EXPECT_GT(checked, 750u);
}

TEST(Protobuf, TheBytesAreThoseOfKubernetes) {
  // A Namespace as client-go sends it: metadata.name (field 1) within metadata (field 1).
  auto object = *Document::parse(R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"ab"}})");
  const std::string expected = std::string("k8s\0", 4) + "\x0a\x0f\x0a\x02v1\x12\x09Namespace" +
                               "\x12\x06\x0a\x04\x0a\x02"
                               "ab" +
                               std::string("\x1a\0\x22\0", 4);
  EXPECT_EQ(*to_protobuf(object.root(), *schema::find_kind("v1", "Namespace")), expected);
  auto back = from_protobuf(expected);
  ASSERT_TRUE(back);
  EXPECT_EQ(json::print(back->root()), R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"ab"}})");
}

TEST(Protobuf, ValuesThatGoWritesUnsetVanishAndPointersStay) {
  // DeploymentSpec: replicas (1, a pointer) = 0, minReadySeconds (5) = 0, paused (7) = false; ObjectMeta with an empty name and time.
  const std::string spec("\x08\x00\x28\x00\x38\x00", 6);
  const std::string meta("\x0a\x00\x42\x00", 4);
  const std::string message = "\x0a\x04" + meta + "\x12\x06" + spec;
  auto back = from_protobuf_message(message, *schema::find_kind("apps/v1", "Deployment"));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(json::print(back->root()), R"({"metadata":{},"spec":{"replicas":0}})");
}

TEST(Protobuf, BrokenBytesAreRefused) {
  Sample sample;
  const Type& pod = *schema::find_kind("v1", "Pod");
  const std::string bytes = *to_protobuf(sample.message(pod, 2), pod);
  for (size_t n = 0; n < bytes.size(); n += 7) (void)from_protobuf(std::string_view(bytes).substr(0, n));
  for (size_t n = 0; n < bytes.size(); n += 5) {
    std::string changed = bytes;
    changed[n] = char(changed[n] ^ 0x55);
    (void)from_protobuf(changed);
  }
  EXPECT_EQ(from_protobuf("{}").error().code, Code::malformed);
  EXPECT_EQ(from_protobuf(protobuf_envelope("v1", "Nothing", "")).error().code, Code::unsupported);
  EXPECT_EQ(from_protobuf(protobuf_envelope("v1", "Pod", "\x0a\xff")).error().code, Code::malformed);
}

TEST(Protobuf, EnvelopesWithinEnvelopesAreBounded) {
  // ControllerRevision.data (field 2) is a RawExtension, whose raw (field 1) may hold an enveloped object.
  std::string object = protobuf_envelope("apps/v1", "ControllerRevision", "");
  EXPECT_TRUE(from_protobuf(object));
  for (int i = 0; i < 200; ++i) {
    std::string raw, message;
    wire::put_bytes(raw, 1, object);
    wire::put_bytes(message, 2, raw);
    object = protobuf_envelope("apps/v1", "ControllerRevision", message);
  }
  EXPECT_EQ(from_protobuf(object).error().message, "protobuf: ControllerRevision is nested too deeply");
}

TEST(Protobuf, PackedListsAreReadToo) {
  // GroupVersion lists do not exist; PodSecurityContext.supplementalGroups (4) is a list of int64.
  const Type& type = *schema::find_type("io.k8s.api.core.v1.PodSecurityContext");
  auto back = from_protobuf_message(std::string("\x22\x02\x05\x06\x20\x07", 6), type);
  ASSERT_TRUE(back);
  EXPECT_EQ(json::print(back->root()), R"({"supplementalGroups":[5,6,7]})");
}

TEST(Protobuf, WatchEventsAreFramed) {
  const std::string frame = protobuf_watch_event("ADDED", "xy");
  EXPECT_EQ(frame, std::string("\0\0\0\x0d", 4) +
                       "\x0a\x05"
                       "ADDED"
                       "\x12\x04\x0a\x02xy");
}

}  // namespace
}  // namespace estiba::model
