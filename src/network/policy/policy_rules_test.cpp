// The published behaviour of NetworkPolicy, as a table: policies, and who reaches whom. The world is that of Kubernetes' own tests: the
// namespaces x, y, z (label ns), each with the pods a, b, c (label pod), which listen on 80 and 81 of every protocol, with names.
#include <gtest/gtest.h>

#include <random>

#include "base/strings.h"
#include "model/object.h"
#include "network/address.h"
#include "network/policy/state.h"

namespace estiba::network::policy {

namespace {

Rules parse(const std::string& name, std::string spec, bool v6 = false) {
  std::ranges::replace(spec, '\'', '"');
  auto slash = name.find('/');
  auto object = model::Object::parse(R"({"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"namespace":")" +
                                     name.substr(0, slash) + R"(","name":")" + name.substr(slash + 1) + R"("},"spec":)" + spec + "}");
  EXPECT_TRUE(object) << spec;
  return rules_of((*object)->as<model::networking_v1::NetworkPolicy>(), v6);
}

Address address_of(const std::string& pod) {  // "x/a": 10.42.1.1
  if (auto address = Address::parse(pod)) return *address;
  return Address::from_number(0x0a2a0000 + (uint32_t(pod[0] - 'x' + 1) << 8) + uint32_t(pod[2] - 'a' + 1));
}

PodFacts pod(const std::string& name, bool local = true) {
  PodFacts facts{.ns = name.substr(0, 1), .labels = {{"pod", name.substr(2)}}, .address = address_of(name), .local = local};
  for (Protocol protocol : {Protocol::tcp, Protocol::udp, Protocol::sctp})
    for (int port : {80, 81})
      facts.ports.push_back({protocol,
                             (protocol == Protocol::tcp   ? "tcp-"
                              : protocol == Protocol::udp ? "udp-"
                                                          : "sctp-") +
                                 std::to_string(port),
                             uint16_t(port)});
  return facts;
}

void make_world(PolicyState& state) {
  for (std::string ns : {"x", "y", "z"}) {
    state.set_namespace(ns, model::Labels{{"kubernetes.io/metadata.name", ns}, {"ns", ns}});
    for (std::string name : {"a", "b", "c"}) state.set_pod(ns + "/" + name, pod(ns + "/" + name));
  }
}

/// What the packet filter would do with all that the state wants.
class Filter {
 public:
  explicit Filter(const PolicyChange& whole) {
    for (const auto& [name, chain] : whole.chains.added) chains_[name] = chain;
    for (const auto& [member, nothing] : whole.members.added) members_.insert(member);
    for (const auto& [port, nothing] : whole.ports.added) ports_.insert(port);
    for (const auto& [address, chain] : whole.ingress.added) profiles_[0][address] = chain;
    for (const auto& [address, chain] : whole.egress.added) profiles_[1][address] = chain;
  }
  bool passes(const Address& from, const Address& to, Protocol protocol, uint16_t port) const {
    return from == to ||
           (allows(Direction::egress, from, to, to, protocol, port) && allows(Direction::ingress, to, from, to, protocol, port));
  }

 private:
  template <class Number>
  static bool within(const Spans<Number>& spans, Number number) {
    return std::ranges::any_of(spans, [&](const auto& span) { return span.first <= number && number <= span.last; });
  }
  bool allows(Direction direction, const Address& pod, const Address& peer, const Address& server, Protocol protocol, uint16_t port) const {
    auto profile = profiles_[size_t(direction)].find(pod);
    if (profile == profiles_[size_t(direction)].end()) return true;
    for (const std::string& part : chains_.at(profile->second).parts)
      for (const Allow& allow : chains_.at(part).allows) {
        bool peers = allow.peer == Allow::Peer::any ||
                     (allow.peer == Allow::Peer::group ? members_.contains({allow.group, peer}) : within(allow.blocks, peer.value()));
        bool ports = allow.port == Allow::Port::any ||
                     (allow.port == Allow::Port::named ? ports_.contains({allow.named, server, protocol, port})
                                                       : allow.number.protocol == protocol &&
                                                             (allow.number.ranges.empty() || within(allow.number.ranges, uint32_t(port))));
        if (peers && ports) return true;
      }
    return false;
  }
  std::map<std::string, Chain> chains_;
  std::set<Member> members_;
  std::set<PodPort> ports_;
  std::map<Address, std::string> profiles_[2];
};

/// "y/a > x/a tcp/80": whether it passes.
bool passes(const Filter& filter, const std::string& question) {
  auto words = split(question, ' ');
  auto [protocol, port] = split_once(words[3], '/');
  return filter.passes(address_of(std::string(words[0])), address_of(std::string(words[2])),
                       protocol == "udp"    ? Protocol::udp
                       : protocol == "sctp" ? Protocol::sctp
                                            : Protocol::tcp,
                       *parse_number<uint16_t>(*port));
}

struct Case {
  const char* title;
  std::vector<std::pair<std::string, std::string>> policies;  // "ns/name", spec
  std::vector<std::string> pass, stop;
};

const Case cases[] = {
    {"without policies everything passes", {}, {"y/a > x/a tcp/80", "x/a > 192.0.2.1 tcp/443", "192.0.2.1 > x/a tcp/80"}, {}},
    {"an empty policy isolates from others, in its namespace alone",
     {{"x/p", "{'podSelector':{}}"}},
     {"x/a > x/a tcp/80", "x/a > y/a tcp/80", "x/b > 192.0.2.1 tcp/443", "z/a > y/a udp/80"},
     {"y/a > x/a tcp/80", "x/b > x/a tcp/80", "192.0.2.1 > x/c tcp/80", "y/a > x/b sctp/80"}},
    {"without policyTypes, egress rules isolate towards others too",
     {{"x/p", "{'podSelector':{},'egress':[{'to':[{'podSelector':{'matchLabels':{'pod':'b'}}}]}]}"}},
     {"y/a > z/a tcp/80"},
     {"x/a > y/b tcp/80", "x/a > x/b tcp/80", "y/a > x/a tcp/80"}},
    {"policyTypes Egress alone leaves ingress open",
     {{"x/p", "{'podSelector':{},'policyTypes':['Egress'],'egress':[{'to':[{'podSelector':{'matchLabels':{'pod':'b'}}}]}]}"}},
     {"x/a > x/b tcp/80", "y/a > x/a tcp/80"},
     {"x/a > x/c tcp/80", "x/a > y/b tcp/80", "x/a > 192.0.2.1 udp/53"}},
    {"policyTypes Ingress alone ignores egress rules",
     {{"x/p", "{'podSelector':{},'policyTypes':['Ingress'],'egress':[{'to':[{'podSelector':{'matchLabels':{'pod':'b'}}}]}]}"}},
     {"x/a > y/a tcp/80"},
     {"y/a > x/a tcp/80"}},
    {"deny all",
     {{"x/p", "{'podSelector':{},'policyTypes':['Ingress','Egress']}"}},
     {"y/a > z/a tcp/80"},
     {"x/a > y/a tcp/80", "y/a > x/a tcp/80", "x/a > x/b tcp/80"}},
    {"a rule without anything allows everything",
     {{"x/p", "{'podSelector':{},'ingress':[{}]}"}},
     {"y/a > x/a tcp/80", "192.0.2.1 > x/a sctp/9"},
     {}},
    {"an empty list of peers or ports is as none",
     {{"x/p", "{'podSelector':{},'ingress':[{'from':[],'ports':[]}]}"}},
     {"y/a > x/a tcp/80"},
     {}},
    {"a podSelector means pods of the policy's namespace",
     {{"x/p", "{'podSelector':{'matchLabels':{'pod':'a'}},'ingress':[{'from':[{'podSelector':{'matchLabels':{'pod':'b'}}}]}]}"}},
     {"x/b > x/a tcp/80", "y/a > x/b tcp/80"},
     {"y/b > x/a tcp/80", "x/c > x/a tcp/80"}},
    {"an empty podSelector means all pods of the namespace, and nobody outside",
     {{"x/p", "{'podSelector':{'matchLabels':{'pod':'a'}},'ingress':[{'from':[{'podSelector':{}}]}]}"}},
     {"x/b > x/a tcp/80", "x/c > x/a udp/81"},
     {"y/b > x/a tcp/80", "192.0.2.1 > x/a tcp/80"}},
    {"a namespaceSelector means all pods of those namespaces",
     {{"x/p", "{'podSelector':{'matchLabels':{'pod':'a'}},'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'ns':'y'}}}]}]}"}},
     {"y/a > x/a tcp/80", "y/c > x/a tcp/80"},
     {"x/b > x/a tcp/80", "z/a > x/a tcp/80"}},
    {"an empty namespaceSelector means all pods, and nobody outside",
     {{"x/p", "{'podSelector':{},'ingress':[{'from':[{'namespaceSelector':{}}]}]}"}},
     {"y/a > x/a tcp/80", "x/b > x/a tcp/80"},
     {"192.0.2.1 > x/a tcp/80"}},
    {"both in one peer: the pods of those namespaces",
     {{"x/p",
       "{'podSelector':{'matchLabels':{'pod':'a'}},'ingress':[{'from':[{'namespaceSelector':{'matchExpressions':[{'key':'ns','operator':'"
       "NotIn','values':['x']}]},"
       "'podSelector':{'matchExpressions':[{'key':'pod','operator':'In','values':['b','c']}]}}]}]}"}},
     {"y/b > x/a tcp/80", "z/c > x/a tcp/80"},
     {"y/a > x/a tcp/80", "x/b > x/a tcp/80"}},
    {"in two peers: either",
     {{"x/p",
       "{'podSelector':{'matchLabels':{'pod':'a'}},'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'ns':'y'}}},{'podSelector':{'"
       "matchLabels':{'pod':'b'}}}]}]}"}},
     {"y/a > x/a tcp/80", "y/c > x/a tcp/80", "x/b > x/a tcp/80"},
     {"z/b > x/a tcp/80", "x/c > x/a tcp/80"}},
    {"the label every namespace has",
     {{"x/p", "{'podSelector':{},'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'kubernetes.io/metadata.name':'z'}}}]}]}"}},
     {"z/b > x/a tcp/80"},
     {"y/b > x/a tcp/80"}},
    {"selectors by existence",
     {{"x/p",
       "{'podSelector':{'matchExpressions':[{'key':'pod','operator':'Exists'}]},'ingress':[{'from':[{'namespaceSelector':{'"
       "matchExpressions':[{'key':'none','operator':'DoesNotExist'}]}}]}]}"}},
     {"z/b > x/a tcp/80"},
     {"192.0.2.1 > x/a tcp/80"}},
    {"ports by number, TCP unless said",
     {{"x/p", "{'podSelector':{},'ingress':[{'ports':[{'port':80}]}]}"}},
     {"y/a > x/a tcp/80", "192.0.2.1 > x/a tcp/80"},
     {"y/a > x/a tcp/81", "y/a > x/a udp/80"}},
    {"a protocol without a port means all its ports",
     {{"x/p", "{'podSelector':{},'ingress':[{'ports':[{'protocol':'UDP'}]}]}"}},
     {"y/a > x/a udp/1", "y/a > x/a udp/65535"},
     {"y/a > x/a tcp/80", "y/a > x/a sctp/80"}},
    {"SCTP is not TCP",
     {{"x/p", "{'podSelector':{},'ingress':[{'ports':[{'port':80,'protocol':'SCTP'}]}]}"}},
     {"y/a > x/a sctp/80"},
     {"y/a > x/a tcp/80", "y/a > x/a udp/80"}},
    {"port ranges hold at both ends",
     {{"x/p", "{'podSelector':{},'ingress':[{'ports':[{'port':8000,'endPort':8010},{'port':65530,'endPort':65535},{'port':8011}]}]}"}},
     {"y/a > x/a tcp/8000", "y/a > x/a tcp/8010", "y/a > x/a tcp/8011", "y/a > x/a tcp/65535"},
     {"y/a > x/a tcp/7999", "y/a > x/a tcp/8012", "y/a > x/a tcp/65529", "y/a > x/a udp/8005"}},
    {"named ports of the pod that is sent to",
     {{"x/p", "{'podSelector':{'matchLabels':{'pod':'a'}},'ingress':[{'ports':[{'port':'tcp-81'}]}]}"}},
     {"y/a > x/a tcp/81"},
     {"y/a > x/a tcp/80", "y/a > x/a udp/81"}},
    {"named ports in egress",
     {{"x/p",
       "{'podSelector':{},'policyTypes':['Egress'],'egress':[{'ports':[{'port':'udp-80','protocol':'UDP'}],'to':[{'namespaceSelector':{'"
       "matchLabels':{'ns':'y'}}}]}]}"}},
     {"x/a > y/a udp/80"},
     {"x/a > y/a udp/81", "x/a > z/a udp/80", "x/a > 192.0.2.1 udp/80"}},
    {"a name with another protocol is another port",
     {{"x/p", "{'podSelector':{},'ingress':[{'ports':[{'port':'tcp-81','protocol':'UDP'}]}]}"}},
     {},
     {"y/a > x/a tcp/81", "y/a > x/a udp/81"}},
    {"peers and ports must both hold",
     {{"x/p",
       "{'podSelector':{},'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'ns':'y'}}}],'ports':[{'port':80}]},{'from':[{'"
       "namespaceSelector':{'matchLabels':{'ns':'z'}}}],'ports':[{'port':81}]}]}"}},
     {"y/a > x/a tcp/80", "z/a > x/a tcp/81"},
     {"y/a > x/a tcp/81", "z/a > x/a tcp/80"}},
    {"an ipBlock and its exceptions",
     {{"x/p", "{'podSelector':{},'ingress':[{'from':[{'ipBlock':{'cidr':'192.0.2.0/24','except':['192.0.2.64/26','192.0.2.255/32']}}]}]}"}},
     {"192.0.2.0 > x/a tcp/80", "192.0.2.63 > x/a tcp/80", "192.0.2.128 > x/a tcp/80", "192.0.2.254 > x/a tcp/80"},
     {"192.0.2.64 > x/a tcp/80", "192.0.2.127 > x/a tcp/80", "192.0.2.255 > x/a tcp/80", "192.0.3.0 > x/a tcp/80", "y/a > x/a tcp/80"}},
    {"another block may hold what one leaves out",
     {{"x/p",
       "{'podSelector':{},'ingress':[{'from':[{'ipBlock':{'cidr':'192.0.2.0/24','except':['192.0.2.64/"
       "26']}},{'ipBlock':{'cidr':'192.0.2.65/32'}}]}]}"}},
     {"192.0.2.65 > x/a tcp/80", "192.0.2.1 > x/a tcp/80"},
     {"192.0.2.66 > x/a tcp/80"}},
    {"all addresses, pods' too; bits beyond the length do not count",
     {{"x/p",
       "{'podSelector':{},'policyTypes':['Egress'],'egress':[{'to':[{'ipBlock':{'cidr':'0.0.0.0/0','except':['10.42.2.9/24']}}]}]}"}},
     {"x/a > z/a tcp/80", "x/a > 255.255.255.255 udp/9", "x/a > 0.0.0.0 tcp/1"},
     {"x/a > y/a tcp/80"}},
    {"a block of IPv6 means no IPv4 address",
     {{"x/p", "{'podSelector':{},'ingress':[{'from':[{'ipBlock':{'cidr':'::/0'}}]}]}"}},
     {},
     {"y/a > x/a tcp/80", "192.0.2.1 > x/a tcp/80"}},
    {"policies add up",
     {{"x/p", "{'podSelector':{'matchLabels':{'pod':'a'}},'ingress':[{'from':[{'podSelector':{'matchLabels':{'pod':'b'}}}]}]}"},
      {"x/q", "{'podSelector':{},'ingress':[{'from':[{'podSelector':{'matchLabels':{'pod':'c'}}}],'ports':[{'port':81}]}]}"},
      {"x/r", "{'podSelector':{}}"}},
     {"x/b > x/a tcp/80", "x/c > x/a tcp/81"},
     {"x/c > x/a tcp/80", "x/b > x/c tcp/80", "y/a > x/a tcp/81"}},
    {"allow all beside deny all", {{"x/p", "{'podSelector':{}}"}, {"x/q", "{'podSelector':{},'ingress':[{}]}"}}, {"y/a > x/a tcp/80"}, {}},
    {"both ends must allow",
     {{"x/p", "{'podSelector':{},'policyTypes':['Egress'],'egress':[{'to':[{'namespaceSelector':{'matchLabels':{'ns':'y'}}}]}]}"},
      {"y/p", "{'podSelector':{'matchLabels':{'pod':'a'}},'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'ns':'z'}}}]}]}"}},
     {"x/a > y/b tcp/80", "z/a > y/a tcp/80"},
     {"x/a > y/a tcp/80", "x/a > z/a tcp/80"}},
    {"a policy that is for nobody isolates nobody", {{"x/p", "{'podSelector':{'matchLabels':{'pod':'none'}}}"}}, {"y/a > x/a tcp/80"}, {}},
};

}  // namespace

TEST(NetworkPolicyTest, ThePublishedBehaviour) {
  for (const Case& c : cases) {
    PolicyState state;
    make_world(state);
    for (const auto& [name, spec] : c.policies) state.set_policy(name, parse(name, spec));
    Filter filter(state.take_whole());
    for (const std::string& question : c.pass)
      EXPECT_TRUE(passes(filter, question)) << c.title << ": " << question << "\n" << (c.policies.empty() ? "" : c.policies[0].second);
    for (const std::string& question : c.stop)
      EXPECT_FALSE(passes(filter, question)) << c.title << ": " << question << "\n" << c.policies[0].second;
    // Removed again, nothing of it is left.
    for (const auto& [name, spec] : c.policies) state.set_policy(name, std::nullopt);
    EXPECT_TRUE(state.take_whole().empty()) << c.title;
  }
}

TEST(NetworkPolicyTest, LabelsAddressesAndNamespacesAreFollowed) {
  PolicyState state;
  make_world(state);
  state.set_policy("x/p", parse("x/p",
                                "{'podSelector':{'matchLabels':{'pod':'a'}},'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'ns':'"
                                "y'}},'podSelector':{'matchLabels':{'pod':'b'}}}]}]}"));
  auto asks = [&](const std::string& question) { return passes(Filter(state.take_whole()), question); };
  EXPECT_TRUE(asks("y/b > x/a tcp/80"));
  EXPECT_FALSE(asks("y/c > x/a tcp/80"));
  PodFacts c = pod("y/c");
  c.labels = {{"pod", "b"}};
  state.set_pod("y/c", c);
  EXPECT_TRUE(asks("y/c > x/a tcp/80")) << "the pod has got the label";
  state.set_namespace("y", model::Labels{{"ns", "other"}});
  EXPECT_FALSE(asks("y/b > x/a tcp/80")) << "the namespace has lost the label";
  state.set_namespace("y", model::Labels{{"ns", "y"}});
  EXPECT_TRUE(asks("y/b > x/a tcp/80"));
  state.set_pod("y/b", std::nullopt);
  EXPECT_FALSE(asks("y/b > x/a tcp/80")) << "the address may be another's next";
  PodFacts a = pod("x/a");
  a.labels = {};
  state.set_pod("x/a", a);
  EXPECT_TRUE(asks("z/a > x/a tcp/80")) << "the policy is not for the pod any more";
  PodFacts elsewhere = pod("x/a", false);
  state.set_pod("x/a", elsewhere);
  EXPECT_TRUE(state.take_whole().ingress.added.empty()) << "its node does it";
}

TEST(NetworkPolicyTest, AnAddressThatTwoPodsHaveStaysUntilTheLastIsGone) {
  PolicyState state;
  make_world(state);
  state.set_policy(
      "x/p",
      parse("x/p", "{'podSelector':{'matchLabels':{'pod':'a'}},'ingress':[{'from':[{'podSelector':{}}],'ports':[{'port':'tcp-80'}]}]}"));
  PodFacts twin = pod("x/b");
  state.set_pod("twin", twin);
  (void)state.take_change();
  state.set_pod("twin", std::nullopt);
  EXPECT_TRUE(state.take_change().empty());
}

TEST(NetworkPolicyTest, EqualPoliciesAndOtherFieldsChangeNothing) {
  PolicyState state;
  make_world(state);
  const std::string spec = "{'podSelector':{},'ingress':[{'from':[{'podSelector':{}}]}]}";
  state.set_policy("x/p", parse("x/p", spec));
  (void)state.take_change();
  state.set_policy("x/p", parse("x/p", spec));
  EXPECT_TRUE(state.take_change().empty());
  state.set_policy("x/q", parse("x/q", spec));
  EXPECT_TRUE(state.take_change().groups.empty()) << "who is meant by two is one group";
}

// Whatever happens in whatever order, the differences add up to the whole.
TEST(NetworkPolicyTest, DifferencesAddUp) {
  std::mt19937 random(7);
  PolicyState state;
  std::map<std::string, std::string> mirror;
  auto any = [&](auto&&... options) { return std::vector<std::string>{options...}[random() % sizeof...(options)]; };
  auto fold = [](std::map<std::string, std::string>& into, const PolicyChange& change) {
    auto each = [&](const auto& changes, auto key, auto value) {
      for (const auto& [k, v] : changes.removed) EXPECT_EQ(into.erase(key(k)), 1u) << key(k);
      for (const auto& [k, v] : changes.added) EXPECT_TRUE(into.emplace(key(k), value(v)).second) << key(k);
    };
    auto nothing = [](const auto&) { return std::string(); };
    auto number = [](const char* what) { return [what](uint32_t n) { return what + std::to_string(n); }; };
    auto address = [](const char* what) { return [what](const Address& a) { return what + a.text(); }; };
    each(change.groups, number("group "), nothing);
    each(change.port_groups, number("port group "), nothing);
    each(change.isolated, address("isolated "), nothing);
    each(change.members, [](const Member& m) { return "member " + std::to_string(m.first) + " " + m.second.text(); }, nothing);
    each(
        change.ports,
        [](const PodPort& p) {
          return "port " + std::to_string(p.group) + " " + p.address.text() + " " + std::to_string(int(p.protocol)) + "/" +
                 std::to_string(p.port);
        },
        nothing);
    each(
        change.chains, [](const std::string& name) { return "chain " + name; },
        [](const Chain& chain) { return chain.note + join(chain.parts, " "); });
    each(change.ingress, address("ingress "), [](const std::string& chain) { return chain; });
    each(change.egress, address("egress "), [](const std::string& chain) { return chain; });
  };
  for (int step = 0; step < 3000; ++step) {
    const std::string ns = any("x", "y", "z"), uid = ns + "/" + any("a", "b", "c"), policy = ns + "/" + any("p", "q", "r");
    switch (random() % 6) {
      case 0: state.set_namespace(ns, random() % 4 ? std::optional(model::Labels{{"ns", any("x", "y", "z")}}) : std::nullopt); break;
      case 1: state.set_pod(uid, std::nullopt); break;
      case 2:
      case 3: {
        PodFacts facts = pod(uid, random() % 4 > 0);
        facts.labels = {{"pod", any("a", "b", "c")}};
        if (random() % 5 == 0) facts.address.reset();
        if (random() % 5 == 0) facts.ports.clear();
        state.set_pod(uid, facts);
        break;
      }
      case 4: state.set_policy(policy, std::nullopt); break;
      case 5: {
        const std::string peer = any("{'podSelector':{}}", "{'namespaceSelector':{'matchLabels':{'ns':'y'}}}",
                                     "{'podSelector':{'matchLabels':{'pod':'b'}}}", "{'ipBlock':{'cidr':'192.0.2.0/24'}}");
        const std::string ports = any("{'port':80}", "{'port':'tcp-80'}", "{'port':1,'endPort':9}");
        state.set_policy(policy, parse(policy, "{'podSelector':" + any("{}", "{'matchLabels':{'pod':'a'}}") + "," +
                                                   any("'ingress':[{'from':[" + peer + "],'ports':[" + ports + "]}]",
                                                       "'egress':[{'to':[" + peer + "],'ports':[" + ports + "]}]",
                                                       "'policyTypes':['Ingress','Egress']") +
                                                   "}"));
        break;
      }
    }
    if (random() % 3) continue;
    fold(mirror, state.take_change());
    std::map<std::string, std::string> whole;
    fold(whole, state.take_whole());
    ASSERT_EQ(mirror, whole) << "step " << step;
  }
}

// The rules of one policy differ by family in their blocks alone.
TEST(NetworkPolicyTest, BlocksOfTheOtherFamilyMeanNobody) {
  const std::string spec =
      "{'podSelector':{},'ingress':[{'from':[{'ipBlock':{'cidr':'2001:db8::/32','except':['2001:db8:0:1::/64','10.0.0.0/8']}},"
      "{'ipBlock':{'cidr':'10.0.0.0/8'}}]}]}";
  EXPECT_EQ(parse("x/p", spec, true).from[0].blocks,
            subtract(Blocks{block_of("2001:db8::/32", true).value()}, Blocks{block_of("2001:db8:0:1::/64", true).value()}));
  EXPECT_EQ(parse("x/p", spec, false).from[0].blocks, Blocks{block_of("10.0.0.0/8", false).value()});
  EXPECT_TRUE(parse("x/p", spec, true).text().contains("2001:db8::-2001:db8::ffff:ffff:ffff:ffff,2001:db8:0:2::-"))
      << parse("x/p", spec, true).text();
}

TEST(RangesTest, MergeSubtractAndRead) {
  EXPECT_EQ(merged(Ranges{{5, 9}, {1, 2}, {3, 4}, {20, 30}, {25, 26}}), (Ranges{{1, 9}, {20, 30}}));
  EXPECT_EQ(merged(Ranges{{0, ~0u}, {7, 8}}), (Ranges{{0, ~0u}}));
  EXPECT_EQ(merged(Ranges{{7, ~0u}, {0, 6}}), (Ranges{{0, ~0u}}));
  EXPECT_EQ(subtract(Ranges{{0, 100}}, {{0, 9}, {50, 59}, {100, 200}}), (Ranges{{10, 49}, {60, 99}}));
  EXPECT_EQ(subtract(Ranges{{5, ~0u}}, {{6, ~0u}}), (Ranges{{5, 5}}));
  EXPECT_EQ(subtract(Ranges{{5, 6}}, {{0, ~0u}}), Ranges{});
  EXPECT_EQ(block_of("10.0.0.7/8", false).value(), (Block{0x0a000000, 0x0affffff}));
  EXPECT_EQ(block_of("0.0.0.0/0", false).value(), (Block{0, ~0u}));
  EXPECT_EQ(block_of("::/0", true).value(), (Block{0, ~AddressNumber(0)}));
  EXPECT_EQ(subtract(Blocks{{0, ~AddressNumber(0)}}, {{1, ~AddressNumber(0)}}), (Blocks{{0, 0}}));
  EXPECT_EQ(block_of("10.0.0.0/33", false).error().code, Code::malformed);
  EXPECT_FALSE(block_of("::/0", false));
}

}  // namespace estiba::network::policy
