// Devices, certificates of pods and versions of storage, in the words of Kubernetes.
#include "apiserver/testing/rules_fixture.h"

namespace estiba::apiserver {
namespace {

using DeviceRules = RulesTest;

TEST_F(DeviceRules, selectors_are_compiled) {
  const RuleRow rows[] = {
      {"device.driver == 'x'", ""},
      {"device.attributes['dra.example.com'].model == 'a' && device.capacity['dra.example.com'].memory.compareTo(quantity('1Gi')) >= 0",
       ""},
      {"device.attributes['dra.example.com'].healthy", ""},
      {"cel.bind(dra, device.attributes['dra.example.com'], dra.one && dra.two)", ""},
      {"!device.allowMultipleAllocations", ""},
      {"device.driver",
       "spec.selectors[0].cel.expression: Invalid value: \"device.driver\": must evaluate to bool or the unknown type, not string"},
      {"device.attributes.exists(a, device.attributes.exists(b, device.attributes.exists(c, device.attributes.exists(d, a+b+c+d == 'x'))))",
       "spec.selectors[0].cel.expression: Forbidden: too complex, exceeds cost limit"},
  };
  for (const RuleRow& row : rows) {
    Action action = make(Verb::create, "resource.k8s.io", "v1", "deviceclasses", "");
    action.write.dry_run = true;
    std::string expression(row.json);
    action.body = R"({"metadata":{"name":"c"},"spec":{"selectors":[{"cel":{"expression":")" + expression + R"("}}]}})";
    expect(run(api_->run(std::move(action))), row);
  }
  auto broken = create("resource.k8s.io", "v1", "deviceclasses", "",
                       R"({"metadata":{"name":"c"},"spec":{"selectors":[{"cel":{"expression":"device.nothing"}}]}})");
  ASSERT_FALSE(broken);
  EXPECT_TRUE(broken.error().message.contains("spec.selectors[0].cel.expression: Invalid value: \"device.nothing\": compilation failed: "))
      << broken.error().message;
  auto claim = create(
      "resource.k8s.io", "v1", "resourceclaims", "default",
      R"({"metadata":{"name":"c"},"spec":{"devices":{"requests":[{"name":"a","exactly":{"deviceClassName":"x","selectors":[{"cel":{"expression":"1"}}]}}]}}})");
  ASSERT_FALSE(claim);
  EXPECT_EQ(claim.error().details->causes[0].field, "spec.devices.requests[0].exactly.selectors[0].cel.expression");
}

TEST_F(DeviceRules, devices_of_slices) {
  const RuleRow rows[] = {
      {"'name':'a'", ""},
      {"'name':'a','attributes':{'model':{'string':'x'},'d.example.com/v':{'version':'1.2.3-rc.1+b'},'n':{'int':1},'l':{'strings':['a']}}",
       ""},
      {"'name':'a','attributes':{'model':{}}",
       "spec.devices[0].attributes[model]: Invalid value: \"\": exactly one value must be specified"},
      {"'name':'a','attributes':{'model':{'string':'x','int':1}}",
       "spec.devices[0].attributes[model]: Invalid value: {\"string\":\"x\",\"int\":1}: exactly one value must be specified"},
      {"'name':'a','attributes':{'v':{'version':'01.2.3'}}",
       "spec.devices[0].attributes[v].version: Invalid value: \"01.2.3\": must be a string compatible with semver.org spec 2.0.0"},
      {"'name':'a','attributes':{'v':{'version':'1.2'}}",
       "spec.devices[0].attributes[v].version: Invalid value: \"1.2\": must be a string compatible with semver.org spec 2.0.0"},
      {"'name':'a','attributes':{'1x':{'int':1}}",
       "spec.devices[0].attributes[1x]: Invalid value: \"1x\": a valid C identifier must start with alphabetic character or '_', followed "
       "by a "
       "string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is "
       "'[A-Za-z_][A-Za-z0-9_]*')"},
      {"'name':'a','capacity':{'m':{'value':'1Gi','requestPolicy':{'default':'1','validValues':['1']}}}",
       "spec.devices[0].capacity[m].requestPolicy: Forbidden: allowMultipleAllocations must be true"},
      {"'name':'a','allowMultipleAllocations':true,'capacity':{'m':{'value':'4','requestPolicy':{'default':'1','validValues':['1','2','8']}"
       "}}",
       "spec.devices[0].capacity[m].requestPolicy.validValues[2]: Invalid value: \"8\": option is larger than capacity value: 4"},
      {"'name':'a','allowMultipleAllocations':true,'capacity':{'m':{'value':'4','requestPolicy':{'default':'3','validRange':{'min':'1','"
       "step':'4'}}}}",
       "spec.devices[0].capacity[m].requestPolicy.validRange.step: Invalid value: \"3\": value is not a multiple of a given step (4) from "
       "(1)"},
      {"'name':'a','taints':[{'key':'k','effect':'Sometimes'}]",
       "spec.devices[0].taints[0].effect: Unsupported value: \"Sometimes\": supported values: \"NoExecute\", \"NoSchedule\", \"None\""},
      {"'name':'a','nodeName':'n'",
       "spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set "
       "to "
       "true in the ResourceSlice spec"},
      {"'name':'a','bindingConditions':['x']",
       "spec.devices[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions"},
      {"'name':'a','consumesCounters':[{'counterSet':'s'}]", "spec.devices[0].consumesCounters[0].counters: Required value"},
  };
  creations(
      "resource.k8s.io", "v1", "resourceslices",
      "{'metadata':{'name':'s'},'spec':{'driver':'d.example.com','pool':{'name':'p','generation':1,'resourceSliceCount':1},'nodeName':'n',"
      "'devices':[{$}]}}",
      rows);
}

TEST_F(DeviceRules, versions_of_storage) {
  const RuleRow names[] = {
      {"apps.deployments", ""},
      {"deployments", "metadata.name: Invalid value: \"deployments\": name must be in the form of <group>.<resource>"},
  };
  creations("internal.apiserver.k8s.io", "v1alpha1", "storageversions", "{'metadata':{'name':'$'},'spec':{}}", names);
  const RuleRow status[] = {
      {"{'status':{'commonEncodingVersion':'apps/v1','storageVersions':[{'apiServerID':'a','encodingVersion':'apps/"
       "v1','decodableVersions':['apps/v1']}]}}",
       ""},
      {"{'status':{'storageVersions':[{'apiServerID':'a','encodingVersion':'apps/v1','decodableVersions':['apps/v1']}]}}",
       "status.commonEncodingVersion: Invalid value: null: the common encoding version is apps/v1"},
      {"{'status':{'commonEncodingVersion':'apps/v1','storageVersions':[{'apiServerID':'a','encodingVersion':'apps/"
       "v1','decodableVersions':['v2']}]}}",
       "status.storageVersions[0].decodableVersions: Invalid value: [\"v2\"]: decodableVersions must include encodingVersion apps/v1"},
  };
  changes("internal.apiserver.k8s.io", "v1alpha1", "storageversions", "{'metadata':{'name':'apps.deployments'},'spec':{}}", status,
          "status");
  const RuleRow migrations[] = {
      {"'resource':'deployments','group':'apps'", ""},
      {"'group':'apps'", "spec.resource.resource: Required value: resource is required to be set"},
  };
  creations("storagemigration.k8s.io", "v1beta1", "storageversionmigrations", "{'metadata':{'name':'m'},'spec':{'resource':{$}}}",
            migrations);
}

TEST_F(DeviceRules, a_pods_resources_hold_what_its_containers_ask_for) {
  const RuleRow rows[] = {
      {"'requests':{'cpu':'1'},'limits':{'cpu':'2'}", ""},
      {"'requests':{'cpu':'500m'},'limits':{'cpu':'2'}",
       "spec.resources.requests[cpu]: Invalid value: \"500m\": must be greater than or equal to aggregate container requests of 800m"},
      {"'requests':{'cpu':'800m'},'limits':{'cpu':'900m'}",
       "spec.resources.containers[1][cpu].limits: Invalid value: \"1\": must be less than or equal to pod limits of 900m"},
  };
  creations(
      "", "v1", "pods",
      "{'metadata':{'name':'p'},'spec':{'resources':{$},'containers':[{'name':'a','image':'i','resources':{'requests':{'cpu':'300m'}}},"
      "{'name':'b','image':'i','resources':{'requests':{'cpu':'500m'},'limits':{'cpu':'1'}}}]}}",
      rows);
}

}  // namespace
}  // namespace estiba::apiserver
