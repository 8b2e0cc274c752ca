// Kubernetes' libraries: URLs, addresses, quantities, versions, formats, authorization, patches.
#include <gtest/gtest.h>

#include "cel/testing/expressions.h"

namespace estiba::cel {

using testing::Expressions;

TEST(CelKubernetes, Urls) {
  Expressions e;
  EXPECT_EQ(e.truth("url('https://user@example.com:80/path%20x?a=1&a=2&b=%20').getHost() == 'example.com:80'"), "ok");
  EXPECT_EQ(e.truth("url('https://[::1]:80/').getHostname() == '::1' && url('https://[::1]:80/').getPort() == '80'"), "ok");
  EXPECT_EQ(e.truth("url('HTTPS://x/').getScheme() == 'https' && url('/a b/c').getEscapedPath() == '/a%20b/c'"), "ok");
  EXPECT_EQ(e.truth("url('/x?a=1&a=2&b=%20').getQuery() == {'a': ['1', '2'], 'b': [' ']}"), "ok");
  EXPECT_EQ(e.truth("isURL('https://a:80/') && !isURL('../relative') && !isURL('https://a:bad/') && !isURL('')"), "ok");
  EXPECT_EQ(e.value("url('../x')"), "error: URL parse error during conversion from string: parse \"../x\": invalid URI for request");
}

TEST(CelKubernetes, Addresses) {
  Expressions e;
  EXPECT_EQ(e.truth("ip('127.0.0.1').family() == 4 && ip('::1').family() == 6 && ip('::1').isLoopback() && ip('0.0.0.0').isUnspecified()"),
            "ok");
  EXPECT_EQ(e.truth("isIP('1.2.3.4') && !isIP('1.2.3.04') && !isIP('::ffff:1.2.3.4') && !isIP('fe80::1%eth0') && !isIP('1.2.3')"), "ok");
  EXPECT_EQ(
      e.truth("ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD') && string(ip('2001:db8:0:0::1')) == '2001:db8::1'"),
      "ok");
  EXPECT_EQ(e.truth("ip('169.254.1.1').isLinkLocalUnicast() && ip('224.0.0.1').isLinkLocalMulticast() && ip('8.8.8.8').isGlobalUnicast()"),
            "ok");
  EXPECT_EQ(e.truth("cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))"), "ok");
  EXPECT_EQ(e.truth("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8'))"), "ok");
  EXPECT_EQ(e.truth("cidr('10.1.2.3/8').ip() == ip('10.1.2.3') && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && "
                    "cidr('::/0').prefixLength() == 0"),
            "ok");
  EXPECT_EQ(e.truth("isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0/33') && !isCIDR('10.0.0.0/08') && string(cidr('::1/128')) == '::1/128'"),
            "ok");
}

TEST(CelKubernetes, AddressesAreReadAsGoReadsThem) {
  Expressions e;
  const std::string start = "error: IP Address \"2001:db8:::68\" parse error during conversion from string: ParseAddr(\"2001:db8:::68\"): ";
  EXPECT_EQ(e.value("ip('2001:db8:::68')"), start + "each colon-separated field must have at least one digit (at \":68\")");
  EXPECT_EQ(e.truth("isIP('::1.2.3.4') && !isIP('1::2::3') && !isIP('12345::') && !isIP('1:2:3:4:5:6:7:8:9') && !isIP('1:2:3:4:5:6:7:8::') "
                    "&& !isIP(':1')"),
            "ok");
  EXPECT_EQ(
      e.truth("isIP('::') && isIP('1::') && isIP('1:2:3:4:5:6:1.2.3.4') && !isIP('1:2:3:4:5:6:7:1.2.3.4') && !isIP('::g') && !isIP('1:')"),
      "ok");
}

TEST(CelKubernetes, Quantities) {
  Expressions e;
  EXPECT_EQ(e.truth("quantity('1.5Gi').isGreaterThan(quantity('1G')) && quantity('500m').isLessThan(quantity('1'))"), "ok");
  EXPECT_EQ(e.truth("quantity('1k') == quantity('1000') && quantity('1').compareTo(quantity('2')) == -1 && sign(quantity('-1')) == -1"),
            "ok");
  EXPECT_EQ(e.truth("quantity('50k').add(20).asInteger() == 50020 && quantity('1').sub(quantity('1500m')).asApproximateFloat() == -0.5"),
            "ok");
  EXPECT_EQ(e.truth("isQuantity('1.3G') && !isQuantity('Three Mega') && !quantity('1500m').isInteger()"), "ok");
  EXPECT_EQ(e.value("quantity('1500m').asInteger()"), "error: cannot convert value to integer");
  EXPECT_EQ(e.value("quantity('9999999999999999999999999999999999999G').isInteger()"), "false");
  EXPECT_EQ(e.value("quantity('10Mm')"), "error: unable to parse quantity's suffix");
  EXPECT_EQ(e.value("quantity('10Mo')").substr(0, 50), "error: quantities must match the regular expressio");
}

TEST(CelKubernetes, Semver) {
  Expressions e;
  EXPECT_EQ(e.truth("semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2 && semver('1.2.3').patch() == 3"), "ok");
  EXPECT_EQ(e.truth("semver('1.0.0-alpha.2').isLessThan(semver('1.0.0-alpha.10')) && semver('1.0.0').isGreaterThan(semver('1.0.0-rc.1'))"),
            "ok");
  EXPECT_EQ(e.truth("isSemver('1.0.0+build') && !isSemver('v1.0') && isSemver('v1.01', true) && semver('v01.01', true) == semver('1.1.0')"),
            "ok");
  EXPECT_EQ(e.truth("semver('1.2.3').compareTo(semver('1.2.3')) == 0 && !isSemver('1.2-a', true)"), "ok");
  EXPECT_EQ(e.value("semver('1.2')"), "error: No Major.Minor.Patch elements found");
}

TEST(CelKubernetes, Formats) {
  Expressions e;
  EXPECT_EQ(e.truth("!format.dns1123Label().validate('my-name').hasValue() && format.dns1123Label().validate('My').hasValue()"), "ok");
  EXPECT_EQ(e.truth("format.named('uuid').value().validate('123e4567-e89b-12d3-a456-426614174000') == optional.none() && "
                    "!format.named('x').hasValue()"),
            "ok");
  EXPECT_EQ(e.value("format.uuid().validate('x').value()"), "[\"does not match the UUID format\"]");
  EXPECT_EQ(e.truth("!format.date().validate('2020-02-29').hasValue() && format.date().validate('2021-02-29').hasValue() && "
                    "format.byte().validate('?').hasValue()"),
            "ok");
  EXPECT_EQ(e.truth("!format.dns1123LabelPrefix().validate('my-').hasValue() && !format.uri().validate('/a').hasValue()"), "ok");
}

struct Fake : Authorizer {
  Decision authorize(const Access& access) override {
    last = std::string(access.verb) + " " + std::string(access.group) + "/" + std::string(access.resource) + "/" +
           std::string(access.subresource) + " " + std::string(access.namespace_name) + "/" + std::string(access.name) + " " +
           std::string(access.path) + " " + std::string(access.label_selector) +
           (access.subject.is_service_account ? " as " + std::string(access.subject.name) : "");
    if (access.verb == "break") return {false, "", "no answer"};
    return {access.verb == "get", "because", ""};
  }
  std::string last;
};

TEST(CelKubernetes, AsksTheAuthorizer) {
  Expressions e;
  Fake fake;
  e.environment.declare("authorizer", &types::authorizer);
  e.authorizer = &fake;
  EXPECT_EQ(e.value("authorizer.group('apps').resource('deployments').subresource('scale').namespace('ns').name('web').labelSelector('a=b')"
                    ".check('get').allowed()"),
            "true");
  EXPECT_EQ(fake.last, "get apps/deployments/scale ns/web  a=b");
  EXPECT_EQ(e.value("authorizer.serviceAccount('ns', 'me').path('/healthz').check('post').reason()"), "\"because\"");
  EXPECT_EQ(fake.last, "post // / /healthz  as me");
  EXPECT_EQ(e.value("authorizer.path('/x').check('break').errored()"), "true");
  EXPECT_EQ(e.value("authorizer.path(' ').check('get').allowed()"), "error: path must not be empty");
  EXPECT_EQ(e.value("authorizer.serviceAccount('ns', 'Me').path('/').check('get').allowed()"), "error: Invalid service account name");
  EXPECT_EQ(e.cost("authorizer.path('/x').check('get').allowed()"), 350003u);
}

TEST(CelKubernetes, BuildsPatches) {
  Expressions e({.mutation = true});
  e.json("object", R"({"spec": {"replicas": 2}})");
  EXPECT_EQ(e.truth("JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b/c~d'), value: 1}.path == '/a/b~1c~0d'"), "ok");
  EXPECT_EQ(e.truth("Object{spec: Object.spec{replicas: object.spec.replicas + 1}}.spec.replicas == 3"), "ok");
  EXPECT_EQ(e.truth("!has(Object{spec: Object.spec{}}.spec.replicas) && JSONPatch{op: 'x'}.from == ''"), "ok");
  EXPECT_EQ(e.issues("JSONPatch{nope: 1}").substr(0, 47), "ERROR: <input>:1:15: undefined field 'nope'\n | ");
  EXPECT_EQ(Expressions().issues("Object{}").substr(0, 40), "ERROR: <input>:1:7: undeclared reference");
}

TEST(CelKubernetes, Times) {
  Expressions e;
  EXPECT_EQ(
      e.truth("timestamp('2021-03-04T05:06:07.089Z').getMonth() == 2 && timestamp('2021-03-04T05:06:07.089Z').getMilliseconds() == 89"),
      "ok");
  EXPECT_EQ(
      e.truth("timestamp('2021-03-04T23:30:00Z').getDate('+01:00') == 5 && timestamp('2021-03-04T23:30:00Z').getDayOfMonth('-08:30') == 3"),
      "ok");
  EXPECT_EQ(e.truth("timestamp('2021-12-31T00:00:00Z').getDayOfYear() == 364 && timestamp('2021-01-03T00:00:00Z').getDayOfWeek() == 0"),
            "ok");
  EXPECT_EQ(
      e.truth("duration('1h30m').getMinutes() == 90 && duration('1.5s').getMilliseconds() == 1500 && string(duration('90m')) == '5400s'"),
      "ok");
  EXPECT_EQ(
      e.truth(
          "timestamp('2009-02-13T23:31:30Z') + duration('1h') > timestamp(1234567890) && timestamp(0) - timestamp(5) == duration('-5s')"),
      "ok");
  EXPECT_EQ(e.value("timestamp('9999-12-31T23:59:59Z') + duration('1s')"), "error: timestamp overflow");
  EXPECT_EQ(e.truth("string(timestamp('2011-01-01T00:00:00.5+01:00')) == '2011-01-01T00:00:00.5+01:00'"), "ok");
  EXPECT_EQ(e.value("timestamp(0).getHours('No/Where')"), "error: unknown time zone No/Where");
}

}  // namespace estiba::cel
