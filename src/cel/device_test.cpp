#include "cel/device.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace estiba::cel {
namespace {

json::Document parse(std::string text) {
  std::ranges::replace(text, '\'', '"');
  return *json::Document::parse(text);
}

std::string matches(std::string_view expression, const json::Document& device) {
  auto program = compile(expression, device_environment());
  if (!program) return program.error().text;
  const auto result = device_matches(*program, {.driver = "gpu.example.com",
                                                .attributes = device.root().find("attributes"),
                                                .capacity = device.root().find("capacity"),
                                                .allows_multiple = device.root().find("multiple") != nullptr});
  return result ? *result ? "yes" : "no" : result.error().message;
}

TEST(DeviceSelectors, ReadWhatSlicesSay) {
  const json::Document device = parse(
      "{'attributes':{'model':{'string':'a100'},'index':{'int':3},'healthy':{'bool':true},'gpu.example.com/driver':{'version':"
      "'1.10.0'},'pci.k8s.io/root':{'string':'0000:00'}},'capacity':{'memory':{'value':'40Gi'},'other.io/slots':{'value':'2'}}}");
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"device.driver == 'gpu.example.com'", "yes"},
      {"device.attributes['gpu.example.com'].model == 'a100'", "yes"},
      {"device.attributes['gpu.example.com'].index > 3", "no"},
      {"device.attributes['gpu.example.com'].healthy", "yes"},
      {"device.attributes['gpu.example.com'].driver.isGreaterThan(semver('1.9.0'))", "yes"},
      {"device.attributes['pci.k8s.io'].root == '0000:00'", "yes"},
      {"device.capacity['gpu.example.com'].memory.compareTo(quantity('40Gi')) == 0", "yes"},
      {"device.capacity['other.io'].slots.isLessThan(quantity('2'))", "no"},
      {"device.allowMultipleAllocations", "no"},
      {"cel.bind(gpu, device.attributes['gpu.example.com'], gpu.healthy && gpu.index == 3)", "yes"},
      {"device.attributes.exists(d, d == 'pci.k8s.io')", "yes"},
      {"'unknown.io' in device.attributes", "no"},
      {"'x' in device.attributes['unknown.io']", "no"},
      {"device.attributes['unknown.io'].x == 1", "no such key: x"},
      {"device.attributes['gpu.example.com'].x == 1", "no such key: x"},
      {"device.attributes['gpu.example.com'].model", "CEL result of type string could not be converted to bool"},
  };
  for (const auto& [expression, result] : rows) EXPECT_EQ(matches(expression, device), result) << expression;
}

TEST(DeviceSelectors, NeedNothingOfTheDevice) {
  const json::Document device = parse("{'multiple':true}");
  EXPECT_EQ(matches("device.allowMultipleAllocations && !('x' in device.capacity)", device), "yes");
  EXPECT_EQ(matches("device.attributes['a.b'].exists(k, true)", device), "no");
}

TEST(DeviceSelectors, AnAttributeThatCannotBeReadIsSaid) {
  EXPECT_EQ(matches("true", parse("{'attributes':{'v':{'strings':['a']}}}")), "attribute v: unsupported attribute value");
}

}  // namespace
}  // namespace estiba::cel
