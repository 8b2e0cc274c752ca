#include "controllers/catalog/entries.h"

#include <gtest/gtest.h>

namespace estiba::controllers::catalog {

TEST(CatalogNames, AreTheIdentifiersWhereObjectsMayHaveThem) {
  EXPECT_EQ(object_name("4f6e6cf6-ffdd-425f-a2c7-3c9258ad2468"), "4f6e6cf6-ffdd-425f-a2c7-3c9258ad2468");
  EXPECT_EQ(object_name("Plan_1"), "z50zlanz5fz1");
  EXPECT_EQ(object_name(".a..b-"), "z2eza.z2ezbz2dz");
  EXPECT_EQ(object_name("zoo"), "z7azoo");
  const std::string one = object_name(std::string(80, 'a')), other = object_name(std::string(81, 'a'));
  EXPECT_LE(one.size(), 63u);
  EXPECT_NE(one, other);
}

struct BadCatalog {
  std::string_view name, answer, message;
};
void PrintTo(const BadCatalog& bad, std::ostream* out) { *out << bad.name; }
class BadCatalogs : public testing::TestWithParam<BadCatalog> {};

TEST_P(BadCatalogs, NameWhatIsWrong) {
  const auto read = read_catalog(GetParam().answer, cluster_scope, "b", {});
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find(GetParam().message), std::string::npos) << read.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    All, BadCatalogs,
    testing::Values(
        BadCatalog{"html", "<html>", "no JSON object"}, BadCatalog{"array", "[]", "no JSON object"},
        BadCatalog{"empty", "{}", "no array \"services\""},
        BadCatalog{"no name", R"({"services":[{"id":"a"}]})", "the name of a service is missing"},
        BadCatalog{"no id", R"({"services":[{"name":"a"}]})", "service \"a\": the id is missing"},
        BadCatalog{"no plans", R"({"services":[{"name":"a","id":"1"}]})", "service \"a\" has no plans"},
        BadCatalog{"no plan id", R"({"services":[{"name":"a","id":"1","plans":[{"name":"p"}]}]})", "plan \"p\": the id is missing"},
        BadCatalog{"one id for both", R"({"services":[{"name":"a","id":"1","plans":[{"name":"p","id":"1"}]}]})",
                   "\"1\" is in the catalogue twice"},
        BadCatalog{
            "names twice",
            R"({"services":[{"name":"a","id":"1","plans":[{"name":"p","id":"2"}]},{"name":"a","id":"3","plans":[{"name":"p","id":"4"}]}]})",
            "\"a\" is in the catalogue twice"}));

constexpr std::string_view two =
    R"({"services":[{"name":"a","id":"1","bindable":true,"plans":[{"name":"p","id":"2"},{"name":"q","id":"3","free":false}]},
                    {"name":"b","id":"4","plans":[{"name":"p","id":"5","free":false}]}]})";

TEST(Restrictions, LeaveOutPlansAndClassesWithout) {
  const auto doc = json::Document::parse(R"({"servicePlan":["spec.free=true"]})");
  const auto restrictions = Restrictions::parse(&doc->root());
  ASSERT_TRUE(restrictions) << restrictions.error().message;
  const auto read = read_catalog(two, cluster_scope, "broker", *restrictions);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->classes.size(), 1u);
  EXPECT_EQ(read->classes[0].spec,
            R"({"clusterServiceBrokerName":"broker","externalName":"a","externalID":"1","description":"","bindable":true,)"
            R"("bindingRetrievable":false,"planUpdatable":false})");
  ASSERT_EQ(read->plans.size(), 1u);
  EXPECT_EQ(read->plans[0].spec,
            R"({"clusterServiceBrokerName":"broker","clusterServiceClassRef":{"name":"1"},"externalName":"p","externalID":"2",)"
            R"("description":"","free":true})");
}

TEST(Restrictions, ChooseByClass) {
  const auto doc = json::Document::parse(R"json({"serviceClass":["spec.externalName notin (a)"]})json");
  const auto read = read_catalog(two, namespaced_scope, "broker", *Restrictions::parse(&doc->root()));
  ASSERT_TRUE(read);
  ASSERT_EQ(read->classes.size(), 1u);
  EXPECT_EQ(read->classes[0].external_name, "b");
  EXPECT_EQ(read->plans.size(), 1u);
}

TEST(Restrictions, ThatCannotBeReadAreNamed) {
  const auto doc = json::Document::parse(R"({"serviceClass":["spec.externalName in"]})");
  const auto restrictions = Restrictions::parse(&doc->root());
  ASSERT_FALSE(restrictions);
  EXPECT_NE(restrictions.error().message.find("spec.catalogRestrictions.serviceClass"), std::string::npos) << restrictions.error().message;
}

}  // namespace estiba::controllers::catalog
