// Tables and events in all their forms.
#include "apiserver/printers/printers.h"
#include "apiserver/recent.h"
#include "apiserver/respond.h"
#include "apiserver/testing/api_fixture.h"

namespace estiba::apiserver {
namespace {

TEST(Printers, ColumnsAreThoseOfTheSchema) {
  std::string differences;
  for (const Resource& resource : model::schema::resources()) {
    if (resource.columns.empty()) continue;
    std::string expected, found;
    for (const auto& column : resource.columns)
      expected += std::string(column.name) + ":" + std::string(column.type) + (column.wide ? " wide, " : ", ");
    for (const TableColumn& column : printer_of(resource).columns)
      found += std::string(column.name) + ":" + std::string(column.type) + (column.priority ? " wide, " : ", ");
    if (found != expected) differences += std::string(resource.plural) + "\n  schema:  " + expected + "\n  printer: " + found + "\n";
  }
  EXPECT_EQ(differences, "");
}

std::string row_of(std::string_view group, std::string_view version, std::string_view plural, std::string_view text) {
  const Resource* resource = model::schema::find_resource(group, version, plural);
  auto doc = json::Document::parse(text);
  Cells cells;
  cells.now = {};
  printers::declared_row(*resource, doc->root(), cells);
  return cells.json();
}

TEST(Printers, DeclaredColumnsAreComputed) {
  EXPECT_EQ(
      row_of(
          "storage.k8s.io", "v1", "csidrivers",
          R"({"metadata":{"name":"d"},"spec":{"attachRequired":false,"volumeLifecycleModes":["Persistent","Ephemeral"],"tokenRequests":[{"audience":"a"}]}})"),
      R"("d",false,false,false,"a",false,"Persistent,Ephemeral","\u003cunknown\u003e")");
  EXPECT_EQ(row_of("resource.k8s.io", "v1", "resourceclaims", R"({"metadata":{"name":"c"},"status":{"allocation":{},"reservedFor":[{}]}})"),
            R"("c","allocated,reserved","\u003cunknown\u003e")");
  EXPECT_EQ(row_of("networking.k8s.io", "v1", "ipaddresses",
                   R"({"metadata":{"name":"10.0.0.1"},"spec":{"parentRef":{"resource":"services","namespace":"default","name":"web"}}})"),
            R"("10.0.0.1","services/default/web")");
  EXPECT_EQ(
      row_of("apiregistration.k8s.io", "v1", "apiservices",
             R"({"metadata":{"name":"v1.x"},"spec":{"service":{"namespace":"n","name":"s"}},"status":{"conditions":[{"type":"Available",)"
             R"("status":"False","reason":"Gone"}]}})"),
      R"x("v1.x","n/s","False (Gone)","\u003cunknown\u003e")x");
  EXPECT_EQ(row_of("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings",
                   R"({"metadata":{"name":"b"},"spec":{"policyName":"p","paramRef":{"name":"x"}}})"),
            R"("b","p","*/x","\u003cunknown\u003e")");
  EXPECT_EQ(row_of("", "v1", "componentstatuses",
                   R"({"metadata":{"name":"s"},"conditions":[{"type":"Healthy","status":"True","message":"ok"}]})"),
            R"("s","Healthy","ok","")");
}

TEST(Recent, KeepsWhatFitsAndForgetsTheRest) {
  struct Key {
    int number;
    bool operator==(const Key&) const = default;
    size_t hash() const { return size_t(number); }
  };
  Recent<Key, int, 8, 100> cache;
  cache.put({1}, 10, 40);
  cache.put({2}, 20, 40);
  EXPECT_EQ(cache.find({1}), 10);
  EXPECT_EQ(cache.find({9}), std::nullopt) << "the same slot, another key";
  cache.put({9}, 90, 40);
  EXPECT_EQ(cache.find({9}), 90);
  EXPECT_EQ(cache.find({1}), std::nullopt);
  cache.put({3}, 30, 1000);
  EXPECT_EQ(cache.find({3}), std::nullopt) << "larger than the whole";
}

Result<std::string> render_event(const Action& action, const WatchItem& item) {
  std::string out;
  TRY(append_event(out, action, item));
  return out;
}

class WatchForms : public ApiFixture {
 protected:
  std::vector<WatchItem> items(std::string_view group, std::string_view version, std::string_view resource) {
    Action action = make(Verb::watch, group, version, resource, "default");
    auto watcher = registry().watch(action);
    EXPECT_TRUE(watcher);
    auto polled = (*watcher)->poll();
    EXPECT_TRUE(polled);
    return *polled;
  }
};

TEST_F(WatchForms, AllWatchersGetTheSameInEveryForm) {
  ASSERT_TRUE(create("", "v1", "configmaps", "default", R"({"metadata":{"name":"a"},"data":{"x":"1"}})"));
  const auto first = items("", "v1", "configmaps"), second = items("", "v1", "configmaps");
  ASSERT_EQ(first.size(), second.size());
  ASSERT_FALSE(first.empty());
  const WatchItem& one = first.back();
  for (Encoding encoding : {Encoding::json, Encoding::yaml, Encoding::protobuf}) {
    for (Shape shape : {Shape::object, Shape::partial, Shape::table}) {
      if (shape == Shape::table && encoding == Encoding::protobuf) continue;
      Action action = make(Verb::watch, "", "v1", "configmaps", "default");
      action.wanted = {encoding, shape};
      auto a = render_event(action, one), b = render_event(action, second.back());
      ASSERT_TRUE(a && b);
      EXPECT_EQ(*a, *b);
      EXPECT_NE(a->find("ADDED"), std::string::npos);
      WatchItem gone = one;
      gone.kind = WatchItem::Kind::removed;
      EXPECT_NE(render_event(action, gone)->find("DELETED"), std::string::npos) << "another event of the same object";
    }
  }
  Action partial = make(Verb::watch, "", "v1", "configmaps", "default"), v1beta1 = partial;
  partial.wanted.shape = v1beta1.wanted.shape = Shape::partial;
  v1beta1.wanted.shape_v1beta1 = true;
  EXPECT_NE(*render_event(partial, one), *render_event(v1beta1, one));
}

TEST_F(WatchForms, WatchersOfAnotherVersionShareWhatIsConverted) {
  ASSERT_TRUE(create(
      "", "v1", "events", "default",
      R"({"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","name":"p","namespace":"default"},"reason":"R","message":"m","type":"Normal"})"));
  const auto first = items("events.k8s.io", "v1", "events"), second = items("events.k8s.io", "v1", "events");
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(first.back().object.object->meta().api_version, "events.k8s.io/v1");
  EXPECT_EQ(first.back().object.object, second.back().object.object);
}

}  // namespace
}  // namespace estiba::apiserver
