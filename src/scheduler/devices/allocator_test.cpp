// What nodes' devices come to for claims. Slices, classes and claims are written short: the text between a claim's brackets is its
// spec.devices.
#include "scheduler/devices/allocator.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace estiba::scheduler::devices {
namespace {

model::ObjectRef object(std::string text) {
  std::ranges::replace(text, '\'', '"');
  auto made = model::Object::parse(text);
  EXPECT_TRUE(made) << text;
  return {*made, 1};
}

struct AllocatorTest : ::testing::Test {
  Stock stock;
  Cluster cluster;
  int claims = 0;

  AllocatorTest() {
    node("a");
    of_class("gpu", "");
  }
  void node(const std::string& name, const std::string& labels = "") {
    cluster.set_node(object("{'apiVersion':'v1','kind':'Node','metadata':{'name':'" + name + "','labels':{" + labels + "}}}"));
  }
  void of_class(const std::string& name, const std::string& spec) {
    const auto read = read_class(
        object("{'apiVersion':'resource.k8s.io/v1','kind':'DeviceClass','metadata':{'name':'" + name + "'},'spec':{" + spec + "}}"));
    stock.classes[name] = read;
  }
  /// `spec` is all but driver and pool.
  void slice(const std::string& name, const std::string& spec,
             const std::string& pool = "'name':'p','generation':1,'resourceSliceCount':1") {
    stock.inventory.set(object("{'apiVersion':'resource.k8s.io/v1','kind':'ResourceSlice','metadata':{'name':'" + name +
                               "'},'spec':{'driver':'d.io','pool':{" + pool + "}," + spec + "}}"));
  }
  ClaimPtr claim(const std::string& devices) {
    const std::string name = "c" + std::to_string(++claims);
    return read_claim(object("{'apiVersion':'resource.k8s.io/v1','kind':'ResourceClaim','metadata':{'name':'" + name +
                             "','namespace':'x','uid':'" + name + "'},'spec':{'devices':{" + devices + "}}}"));
  }
  static std::string exactly(const std::string& more = "", const std::string& name = "r") {
    return "{'name':'" + name + "','exactly':{'deviceClassName':'gpu','allocationMode':'ExactCount'" +
           (more.contains("'count'") ? "" : ",'count':1") + more + "}}";
  }
  static std::string requests(const std::string& list) { return "'requests':[" + list + "]"; }

  /// "request=device …; next claim", or why not; what is found is taken.
  std::string get(std::vector<ClaimPtr> wanted, const std::string& node = "a") {
    auto found = Allocator(stock, wanted).allocate(*cluster.find(node));
    if (!found) return found.error().message;
    if (!*found) return "none";
    std::string out;
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (i) out += "; ";
      for (const Assigned& each : (**found)[i].devices)
        out += (out.empty() || out.ends_with("; ") ? "" : " ") + each.wish->name + "=" + each.device->name;
      stock.ledger.set(wanted[i]->meta().uid, (**found)[i].uses());
    }
    return out;
  }
  std::string get(const std::string& devices, const std::string& node = "a") { return get(std::vector{claim(devices)}, node); }
  std::string text(const std::string& devices) {
    const ClaimPtr wanted = claim(devices);
    auto found = Allocator(stock, {wanted}).allocate(*cluster.find("a"));
    return found && *found ? allocation_text(*wanted, (**found)[0], "a", "2026-01-01T00:00:00Z") : "none";
  }
};

TEST_F(AllocatorTest, ADeviceIsOneClaims) {
  slice("s", "'nodeName':'a','devices':[{'name':'g1'},{'name':'g2'}]");
  EXPECT_EQ(get(requests(exactly())), "r=g1");
  EXPECT_EQ(get(requests(exactly())), "r=g2");
  EXPECT_EQ(get(requests(exactly())), "none");
  stock.ledger.set("c1", {});
  EXPECT_EQ(get(requests(exactly())), "r=g1");
}

TEST_F(AllocatorTest, NodesHaveWhatSlicesSayTheyReach) {
  node("b", "'zone':'z'");
  slice("one", "'nodeName':'b','devices':[{'name':'local'}]", "'name':'1','generation':1,'resourceSliceCount':1");
  slice("two",
        "'nodeSelector':{'nodeSelectorTerms':[{'matchExpressions':[{'key':'zone','operator':'In','values':['z']}]}]},'devices':[{'name':'"
        "zonal'}]",
        "'name':'2','generation':1,'resourceSliceCount':1");
  slice("three", "'allNodes':true,'devices':[{'name':'global'}]", "'name':'3','generation':1,'resourceSliceCount':1");
  slice("four", "'perDeviceNodeSelection':true,'devices':[{'name':'mine','nodeName':'a'},{'name':'theirs','nodeName':'b'}]",
        "'name':'4','generation':1,'resourceSliceCount':1");
  EXPECT_EQ(get(requests("{'name':'r','exactly':{'deviceClassName':'gpu','allocationMode':'All'}}")), "r=global r=mine");
  stock.ledger.set("c1", {});
  EXPECT_EQ(get(requests("{'name':'r','exactly':{'deviceClassName':'gpu','allocationMode':'All'}}"), "b"),
            "r=local r=zonal r=global r=theirs");
}

TEST_F(AllocatorTest, ClassAndRequestSelect) {
  of_class("big", "'selectors':[{'cel':{'expression':'device.attributes[\\'d.io\\'].size > 1'}}]");
  slice("s",
        "'nodeName':'a','devices':[{'name':'small','attributes':{'size':{'int':1}}},{'name':'red','attributes':{'size':{'int':2},"
        "'colour':{'string':'red'}}},{'name':'blue','attributes':{'size':{'int':2},'colour':{'string':'blue'}}}]");
  EXPECT_EQ(get("'requests':[{'name':'r','exactly':{'deviceClassName':'big','count':1,'selectors':[{'cel':{'expression':"
                "'device.attributes[\\'d.io\\'].colour == \\'blue\\''}}]}}]"),
            "r=blue");
  EXPECT_EQ(get("'requests':[{'name':'r','exactly':{'deviceClassName':'gpu','count':1,'selectors':[{'cel':{'expression':"
                "'device.attributes[\\'d.io\\'].colour == \\'blue\\''}}]}}]"),
            "claim x/c2: selector #0: CEL runtime error: no such key: colour");
  EXPECT_EQ(get("'requests':[{'name':'r','exactly':{'deviceClassName':'none','count':1}}]"),
            "claim x/c3, request r: could not retrieve device class none");
}

TEST_F(AllocatorTest, ChoicesAreTakenBack) {
  // The first request would take what only it could leave to the second.
  slice("s",
        "'nodeName':'a','devices':[{'name':'both','attributes':{'x':{'bool':true},'y':{'bool':true}}},"
        "{'name':'x','attributes':{'x':{'bool':true},'y':{'bool':false}}}]");
  const auto wish = [](const std::string& name, const std::string& attribute) {
    return exactly(",'selectors':[{'cel':{'expression':'device.attributes[\\'d.io\\']." + attribute + "'}}]", name);
  };
  EXPECT_EQ(get(requests(wish("one", "x") + "," + wish("two", "y"))), "one=x two=both");
}

TEST_F(AllocatorTest, SeveralClaimsOfOnePod) {
  slice("s", "'nodeName':'a','devices':[{'name':'g1'},{'name':'g2'}]");
  EXPECT_EQ(get({claim(requests(exactly())), claim(requests(exactly(",'count':2")))}), "none");
  EXPECT_EQ(get({claim(requests(exactly())), claim(requests(exactly()))}), "r=g1; r=g2");
}

TEST_F(AllocatorTest, TheBestAlternativeThatThereIs) {
  of_class("best", "'selectors':[{'cel':{'expression':'device.attributes[\\'d.io\\'].best'}}]");
  slice("s",
        "'nodeName':'a','devices':[{'name':'plain','attributes':{'best':{'bool':false}}},{'name':'fine','attributes':{'best':{'bool':true}}"
        "}]");
  const std::string wish = requests(
      "{'name':'r','firstAvailable':[{'name':'first','deviceClassName':'best','count':1},{'name':'second','deviceClassName':'gpu','count':"
      "1}]}");
  EXPECT_EQ(get(wish), "r/first=fine");
  EXPECT_EQ(get(wish), "r/second=plain");
  EXPECT_EQ(get(wish), "none");
}

TEST_F(AllocatorTest, Constraints) {
  slice("s",
        "'nodeName':'a','devices':[{'name':'a1','attributes':{'root':{'string':'a'}}},{'name':'b1','attributes':{'root':{'string':'b'}}},"
        "{'name':'b2','attributes':{'d.io/root':{'string':'b'}}},{'name':'none'}]");
  EXPECT_EQ(get(requests(exactly(",'count':2")) + ",'constraints':[{'matchAttribute':'d.io/root'}]"), "r=b1 r=b2");
  stock.ledger.set("c1", {});
  EXPECT_EQ(get(requests(exactly(",'count':2")) + ",'constraints':[{'distinctAttribute':'d.io/root'}]"), "r=a1 r=b1");
  stock.ledger.set("c2", {});
  EXPECT_EQ(get(requests(exactly(",'count':3")) + ",'constraints':[{'distinctAttribute':'d.io/root'}]"), "none");
  // Only the requests that it names.
  EXPECT_EQ(get(requests(exactly("", "free") + "," + exactly(",'count':2", "tied")) +
                ",'constraints':[{'requests':['tied'],'matchAttribute':'d.io/root'}]"),
            "free=a1 tied=b1 tied=b2");
}

TEST_F(AllocatorTest, AllDevicesOrNothing) {
  slice("s", "'nodeName':'a','devices':[{'name':'g1'},{'name':'g2'}]");
  const std::string all = requests("{'name':'r','exactly':{'deviceClassName':'gpu','allocationMode':'All'}}");
  EXPECT_EQ(get(all), "r=g1 r=g2");
  EXPECT_EQ(get(all), "none");
  const std::string admin = requests("{'name':'r','exactly':{'deviceClassName':'gpu','allocationMode':'All','adminAccess':true}}");
  EXPECT_EQ(get(admin), "r=g1 r=g2") << "beside those who have them";
  EXPECT_TRUE(text(admin).contains("\"adminAccess\":true"));
}

TEST_F(AllocatorTest, PoolsInChange) {
  const std::string all = requests("{'name':'r','exactly':{'deviceClassName':'gpu','allocationMode':'All'}}");
  slice("s1", "'nodeName':'a','devices':[{'name':'g1'}]", "'name':'p','generation':1,'resourceSliceCount':2");
  EXPECT_EQ(get(requests(exactly())), "none");
  EXPECT_EQ(get(all), "claim x/c2, request r: asks for all devices, but resource pool d.io/p is currently being updated");
  slice("s2", "'nodeName':'a','devices':[{'name':'g2'}]", "'name':'p','generation':1,'resourceSliceCount':2");
  EXPECT_EQ(get(all), "r=g1 r=g2");
  stock.ledger.set("c3", {});
  // A newer generation replaces the older one.
  slice("s3", "'nodeName':'a','devices':[{'name':'g3'}]", "'name':'p','generation':2,'resourceSliceCount':1");
  EXPECT_EQ(get(all), "r=g3");
  stock.ledger.set("c4", {});
  // Also where the node sees nothing of it, once the older one is no longer whole.
  stock.inventory.remove("s2");
  slice("s3", "'nodeName':'b','devices':[{'name':'g3'}]", "'name':'p','generation':2,'resourceSliceCount':1");
  EXPECT_EQ(get(all), "none");
  slice("s3", "'nodeName':'a','devices':[{'name':'g','attributes':{}},{'name':'g'}]", "'name':'p','generation':3,'resourceSliceCount':1");
  EXPECT_EQ(get(requests(exactly())), "invalid resource pools were encountered");
}

TEST_F(AllocatorTest, RulesTaintDevices) {
  const auto rule = [&](const std::string& name, const std::string& spec) {
    stock.taint_rules.insert_or_assign(
        name,
        *client::read_device_taint_rule(object("{'apiVersion':'resource.k8s.io/v1beta2','kind':'DeviceTaintRule','metadata':{'name':'" +
                                               name + "'},'spec':{" + spec + "}}")));
  };
  slice("s", "'nodeName':'a','devices':[{'name':'g1'},{'name':'g2'},{'name':'g3'}]");
  rule("one", "'deviceSelector':{'driver':'d.io','pool':'p','device':'g1'},'taint':{'key':'k','effect':'NoSchedule'}");
  rule("other", "'deviceSelector':{'driver':'e.io'},'taint':{'key':'k','effect':'NoSchedule'}");
  rule("mild", "'taint':{'key':'k','effect':'None'}");
  EXPECT_EQ(get(requests(exactly())), "r=g2");
  rule("all", "'taint':{'key':'bad','effect':'NoExecute'}");
  EXPECT_EQ(get(requests(exactly())), "none");
  EXPECT_EQ(get(requests(exactly(",'tolerations':[{'key':'bad','operator':'Exists'}]"))), "r=g3");
  stock.taint_rules.clear();
  EXPECT_EQ(get(requests(exactly())), "r=g1");
}

TEST_F(AllocatorTest, TaintsAreTolerated) {
  slice("s",
        "'nodeName':'a','devices':[{'name':'bad','taints':[{'key':'k','value':'v','effect':'NoSchedule'}]},"
        "{'name':'odd','taints':[{'key':'o','effect':'None'}]}]");
  EXPECT_EQ(get(requests(exactly())), "r=odd");
  EXPECT_EQ(get(requests(exactly(",'tolerations':[{'key':'k','operator':'Equal','value':'w'}]"))), "none");
  EXPECT_EQ(get(requests(exactly(",'tolerations':[{'key':'k','operator':'Exists','effect':'NoSchedule'}]"))), "r=bad");
}

TEST_F(AllocatorTest, PartsShareCounters) {
  const std::string pool = "'name':'p','generation':1,'resourceSliceCount':2";
  slice("counters", "'nodeName':'a','sharedCounters':[{'name':'card','counters':{'memory':{'value':'4Gi'}}}]", pool);
  const auto part = [](const std::string& name, const std::string& memory) {
    return "{'name':'" + name + "','consumesCounters':[{'counterSet':'card','counters':{'memory':{'value':'" + memory + "'}}}]}";
  };
  slice("parts",
        "'nodeName':'a','devices':[" + part("whole", "4Gi") + "," + part("half-1", "2Gi") + "," + part("half-2", "2Gi") + "," +
            part("quarter", "1Gi") + "]",
        pool);
  EXPECT_EQ(get(requests(exactly(",'count':2"))), "r=half-1 r=half-2") << "the whole leaves nothing to another";
  EXPECT_EQ(get(requests(exactly())), "none");
  stock.ledger.set("c1", {{"d.io/p/half-2"}});
  EXPECT_EQ(get(requests(exactly())), "r=half-1");
  slice("parts", "'nodeName':'a','devices':[{'name':'x','consumesCounters':[{'counterSet':'other','counters':{'memory':{'value':'1'}}}]}]",
        pool);
  EXPECT_EQ(get(requests(exactly())), "invalid resource pools were encountered");
}

TEST_F(AllocatorTest, CapacityIsShared) {
  slice("s",
        "'nodeName':'a','devices':[{'name':'nic','allowMultipleAllocations':true,'capacity':{'bandwidth':{'value':'10G','requestPolicy':"
        "{'default':'1G','validRange':{'min':'1G','step':'1G'}}}}}]");
  const auto wish = [](const std::string& amount) {
    return requests(exactly(amount.empty() ? "" : ",'capacity':{'requests':{'bandwidth':'" + amount + "'}}"));
  };
  EXPECT_EQ(get(wish("7G")), "r=nic");
  EXPECT_EQ(get(wish("2500M")), "r=nic") << "rounded up to 3G";
  EXPECT_EQ(get(wish("")), "none");
  stock.ledger.set("c2", {});
  EXPECT_EQ(get({claim(wish("2G")), claim(wish("2G"))}), "none");
  EXPECT_EQ(get({claim(wish("2G")), claim(wish(""))}), "r=nic; r=nic");
  EXPECT_EQ(get(requests(exactly(",'capacity':{'requests':{'colour':'1'}}"))), "none");
  stock.ledger.set("c1", {});
  const std::string result = text(wish("1500M"));
  EXPECT_TRUE(result.contains("\"shareID\":\"")) << result;
  EXPECT_TRUE(result.contains("\"consumedCapacity\":{\"bandwidth\":\"1953125Ki\"")) << result;
}

TEST_F(AllocatorTest, NoClaimHasMoreThanThirtyTwo) {
  std::string devices;
  for (int i = 0; i < 40; ++i) devices += (i ? ",{'name':'g" : "{'name':'g") + std::to_string(i) + "'}";
  slice("s", "'nodeName':'a','devices':[" + devices + "]");
  EXPECT_EQ(get(requests(exactly(",'count':33"))), "claim x/c1: number of requested devices 33 exceeds the claim limit of 32");
  const std::string result =
      get(requests(exactly(",'count':20", "one") + ",{'name':'two','firstAvailable':[{'name':'many','deviceClassName':'gpu','count':13},"
                                                   "{'name':'few','deviceClassName':'gpu','count':1}]}"));
  EXPECT_TRUE(result.ends_with("two/few=g20")) << result;
}

TEST_F(AllocatorTest, TheSearchIsBounded) {
  std::string devices;
  for (int i = 0; i < 32; ++i)
    devices += (i ? ",{'name':'g" : "{'name':'g") + std::to_string(i) + "','attributes':{'n':{'int':" + std::to_string(i / 2) + "}}}";
  slice("s", "'nodeName':'a','devices':[" + devices + "]");
  EXPECT_EQ(get(requests(exactly(",'count':17")) + ",'constraints':[{'distinctAttribute':'d.io/n'}]"),
            "gave up after 100000 attempts to allocate devices");
}

TEST_F(AllocatorTest, WhatStatusSays) {
  of_class("gpu", "'config':[{'opaque':{'driver':'d.io','parameters':{'of':'class'}}}]");
  slice("s", "'nodeName':'a','devices':[{'name':'g','bindingConditions':['ready'],'bindingFailureConditions':['broken']}]");
  EXPECT_EQ(
      text(requests(exactly(",'tolerations':[{'key':'k','operator':'Exists'}]")) +
           ",'config':[{'requests':['r'],'opaque':{'driver':'d.io','parameters':{'of':'claim'}}}]"),
      R"({"devices":{"results":[{"request":"r","driver":"d.io","pool":"p","device":"g","tolerations":[{"key":"k","operator":"Exists"}],)"
      R"("bindingConditions":["ready"],"bindingFailureConditions":["broken"]}],"config":[{"source":"FromClass","requests":["r"],)"
      R"("opaque":{"driver":"d.io","parameters":{"of":"class"}}},{"source":"FromClaim","requests":["r"],"opaque":{"driver":"d.io",)"
      R"("parameters":{"of":"claim"}}}]},"nodeSelector":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In",)"
      R"("values":["a"]}]}]},"allocationTimestamp":"2026-01-01T00:00:00Z"})");
}

TEST_F(AllocatorTest, DevicesThatAreEverywhereBindToNoNode) {
  slice("s", "'allNodes':true,'devices':[{'name':'g'},{'name':'bound','bindsToNode':true}]");
  EXPECT_FALSE(text(requests(exactly())).contains("nodeSelector"));
  EXPECT_TRUE(text(requests(exactly(",'count':2"))).contains("\"values\":[\"a\"]"));
}

}  // namespace
}  // namespace estiba::scheduler::devices
