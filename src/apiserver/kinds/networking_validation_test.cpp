// Services and what stands around them, in the words of Kubernetes.
#include "apiserver/testing/rules_fixture.h"

namespace estiba::apiserver {
namespace {

using NetworkRules = RulesTest;

TEST_F(NetworkRules, services) {
  const RuleRow rows[] = {
      {"'ports':[{'port':80}]", ""},
      {"", "spec.ports: Required value"},
      {"'clusterIP':'None'", ""},
      {"'ports':[{'port':0}]", "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"},
      {"'ports':[{'port':80,'targetPort':'a_b'}]",
       "spec.ports[0].targetPort: Invalid value: \"a_b\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"},
      {"'ports':[{'port':80},{'port':81}]", "spec.ports[0].name: Required value"},
      {"'ports':[{'port':80,'nodePort':30000}]", "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"},
      {"'ports':[{'port':80,'appProtocol':'a b'}]",
       "spec.ports[0].appProtocol: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must "
       "start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
       "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"},
      {"'type':'Everywhere','ports':[{'port':80}]",
       "spec.type: Unsupported value: \"Everywhere\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\""},
      {"'type':'ExternalName'", "spec.externalName: Required value"},
      {"'type':'ExternalName','externalName':'a.b.'", ""},
      {"'type':'NodePort','clusterIP':'None','ports':[{'port':80}]",
       "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"},
      {"'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':100000}},'ports':[{'port':80}]",
       "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 100000: must be greater than 0 and less than 86400"},
      {"'clusterIP':'x','ports':[{'port':80}]",
       "spec.clusterIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"},
      {"'clusterIP':'10.43.0.7','clusterIPs':['10.43.0.8'],'ports':[{'port':80}]",
       "spec.clusterIPs: Invalid value: [\"10.43.0.8\"]: first value must match `clusterIP`"},
      {"'ipFamilies':['IPv4','IPv4'],'ports':[{'port':80}]", "spec.ipFamilies[1]: Duplicate value: \"IPv4\""},
      {"'externalIPs':['127.0.0.1'],'ports':[{'port':80}]",
       "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"},
      {"'externalTrafficPolicy':'Local','ports':[{'port':80}]",
       "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services"},
      {"'loadBalancerClass':'a/b','ports':[{'port':80}]",
       "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"},
      {"'type':'LoadBalancer','loadBalancerSourceRanges':['10.0.0.1/8'],'ports':[{'port':80}]",
       "spec.LoadBalancerSourceRanges[0]: Invalid value: \"10.0.0.1/8\": must not have bits set beyond the prefix length"},
      {"'allocateLoadBalancerNodePorts':true,'ports':[{'port':80}]",
       "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'"},
      {"'trafficDistribution':'Anywhere','ports':[{'port':80}]",
       "spec.trafficDistribution: Unsupported value: \"Anywhere\": supported values: \"PreferClose\", \"PreferSameZone\", "
       "\"PreferSameNode\""},
  };
  creations("", "v1", "services", "{'metadata':{'name':'s'},'spec':{$}}", rows);
  const RuleRow names[] = {{"1s", ""}, {"a.b", "metadata.name: Invalid value: \"a.b\": must not contain dots"}};
  creations("", "v1", "services", "{'metadata':{'name':'$'},'spec':{'ports':[{'port':80}]}}", names);
}

TEST_F(NetworkRules, changes_of_a_service) {
  const RuleRow rows[] = {
      {"{'spec':{'ports':[{'port':81}]}}", ""},
      {"{'spec':{'clusterIP':'10.43.0.9','clusterIPs':['10.43.0.9']}}",
       "spec.clusterIPs[0]: Invalid value: [\"10.43.0.9\"]: may not change once set"},
      {"{'spec':{'type':'ExternalName','externalName':'a.b'}}", ""},
  };
  changes("", "v1", "services", "{'metadata':{'name':'s'},'spec':{'clusterIP':'10.43.0.7','ports':[{'port':80}]}}", rows);
  const RuleRow status[] = {{"{'status':{'loadBalancer':{'ingress':[{'ip':'1.2.3.4','ipMode':'VIP'}]}}}",
                             "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"}};
  changes("", "v1", "services", "{'metadata':{'name':'t'},'spec':{'ports':[{'port':80}]}}", status, "status");
  EXPECT_EQ(
      warnings_of("", "v1", "services",
                  "{'metadata':{'name':'u'},'spec':{'externalName':'a.b','trafficDistribution':'PreferClose','ports':[{'port':80}]}}"),
      (std::vector<std::string>{"spec.externalName is ignored when spec.type is not \"ExternalName\"",
                                "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\""}));
}

TEST_F(NetworkRules, ingresses) {
  const RuleRow rows[] = {
      {"'defaultBackend':{'service':{'name':'s','port':{'number':80}}}", ""},
      {"", "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"},
      {"'defaultBackend':{}", "spec.defaultBackend: Invalid value: \"\": resource or service backend is required"},
      {"'defaultBackend':{'service':{'name':'s'}}", "spec.defaultBackend: Required value: port name or number is required"},
      {"'defaultBackend':{'service':{'name':'s','port':{'number':80,'name':'p'}}}",
       "spec.defaultBackend: Invalid value: \"\": cannot set both port name & port number"},
      {"'rules':[{'host':'1.2.3.4'}]", "spec.rules[0].host: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address"},
      {"'rules':[{'host':'*.a.b'}]", ""},
      {"'rules':[{'host':'a.*.b'}]",
       "spec.rules[0].host: Invalid value: \"a.*.b\": a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS "
       "subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. "
       "'*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"},
      {"'rules':[{'http':{'paths':[{'path':'/a//b','pathType':'Prefix','backend':{'service':{'name':'s','port':{'number':80}}}}]}}]",
       "spec.rules[0].http.paths[0].path: Invalid value: \"/a//b\": must not contain '//'"},
      {"'rules':[{'http':{'paths':[{'path':'a','pathType':'Exact','backend':{'service':{'name':'s','port':{'number':80}}}}]}}]",
       "spec.rules[0].http.paths[0].path: Invalid value: \"a\": must be an absolute path"},
      {"'rules':[{'http':{'paths':[{'path':'/','backend':{'service':{'name':'s','port':{'number':80}}}}]}}]",
       "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"},
      {"'rules':[{'host':'a.b'}],'tls':[{'secretName':'A'}]",
       "spec.tls[0].secretName: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
       "'-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
       "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"},
  };
  creations("networking.k8s.io", "v1", "ingresses", "{'metadata':{'name':'i'},'spec':{$}}", rows);
  const RuleRow classes[] = {
      {"'controller':'example.com/c'", ""},
      {"'controller':'c'", "spec.controller: Invalid value: \"c\": must be a domain-prefixed path (such as \"acme.io/foo\")"},
      {"'controller':'example.com/c','parameters':{'kind':'K','name':'n','scope':'Namespace'}",
       "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"},
      {"'controller':'example.com/c','parameters':{'kind':'K','name':'n','namespace':'x'}",
       "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"},
  };
  creations("networking.k8s.io", "v1", "ingressclasses", "{'metadata':{'name':'i'},'spec':{$}}", classes);
}

TEST_F(NetworkRules, policies) {
  const RuleRow rows[] = {
      {"'ingress':[{'from':[{'ipBlock':{'cidr':'10.0.0.0/8','except':['10.1.0.0/16']}}]}]", ""},
      {"'ingress':[{'from':[{}]}]", "spec.ingress[0].from[0]: Required value: must specify a peer"},
      {"'ingress':[{'from':[{'ipBlock':{'cidr':'10.0.0.0/8'},'podSelector':{}}]}]",
       "spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer"},
      {"'egress':[{'to':[{'ipBlock':{'cidr':'10.0.0.0/8','except':['11.0.0.0/16']}}]}]",
       "spec.egress[0].to[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`"},
      {"'ingress':[{'ports':[{'port':'http','endPort':90}]}]",
       "spec.ingress[0].ports[0].endPort: Invalid value: 90: may not be specified when `port` is non-numeric"},
      {"'ingress':[{'ports':[{'port':91,'endPort':90}]}]",
       "spec.ingress[0].ports[0].endPort: Invalid value: 91: must be greater than or equal to `port`"},
      {"'policyTypes':['Sideways']", "spec.policyTypes[0]: Unsupported value: \"Sideways\": supported values: \"Egress\", \"Ingress\""},
  };
  creations("networking.k8s.io", "v1", "networkpolicies", "{'metadata':{'name':'n'},'spec':{'podSelector':{},$}}", rows);
}

TEST_F(NetworkRules, addresses) {
  const RuleRow cidrs[] = {
      {"'10.0.0.0/24'", ""},
      {"", "spec.cidrs: Required value: at least one CIDR required"},
      {"'10.0.0.1/24'", "spec.cidrs[0]: Invalid value: \"10.0.0.1/24\": must not have bits set beyond the prefix length"},
      {"'10.0.0.0/24','10.0.1.0/24'",
       "spec.cidrs: Invalid value: [\"10.0.0.0/24\",\"10.0.1.0/24\"]: may specify no more than one IP for each IP family, i.e "
       "192.168.0.0/24 and 2001:db8::/64"},
  };
  creations("networking.k8s.io", "v1", "servicecidrs", "{'metadata':{'name':'c'},'spec':{'cidrs':[$]}}", cidrs);
  const RuleRow names[] = {{"10.0.0.1", ""},
                           {"010.0.0.1", "metadata.name: Invalid value: \"010.0.0.1\": must not have leading 0s"},
                           {"2001:DB8::1", "metadata.name: Invalid value: \"2001:DB8::1\": must be in canonical form (\"2001:db8::1\")"}};
  creations("networking.k8s.io", "v1", "ipaddresses", "{'metadata':{'name':'$'},'spec':{'parentRef':{'resource':'services','name':'s'}}}",
            names);
  const RuleRow slices[] = {
      {"'addressType':'IPv4','endpoints':[{'addresses':['10.0.0.1']}]", ""},
      {"'addressType':'IPv4','endpoints':[{'addresses':[]}]", "endpoints[0].addresses: Required value: must contain at least 1 address"},
      {"'addressType':'IPv4','endpoints':[{'addresses':['2001:db8::1']}]",
       "endpoints[0].addresses[0]: Invalid value: \"2001:db8::1\": must be an IPv4 address"},
      {"'addressType':'IPv4','endpoints':[{'addresses':['169.254.0.1']}]",
       "endpoints[0].addresses[0]: Invalid value: \"169.254.0.1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)"},
      {"'addressType':'IPv4','endpoints':[],'ports':[{'name':'a'},{'name':'a'}]", "ports[1].name: Duplicate value: \"a\""},
  };
  creations("discovery.k8s.io", "v1", "endpointslices", "{'metadata':{'name':'e'},$}", slices);
  const RuleRow endpoints[] = {
      {"{'addresses':[{'ip':'10.0.0.1'}],'ports':[{'port':80}]}", ""},
      {"{'ports':[{'port':80}]}", "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"},
      {"{'addresses':[{'ip':'10.0.0.1'}],'ports':[{'port':80},{'port':81}]}", "subsets[0].ports[0].name: Required value"},
  };
  creations("", "v1", "endpoints", "{'metadata':{'name':'e'},'subsets':[$]}", endpoints);
}

}  // namespace
}  // namespace estiba::apiserver
