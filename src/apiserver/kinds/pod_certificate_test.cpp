// PodCertificateRequests: who asks has the key, what is issued is for it, and for no longer.
#include "apiserver/testing/rules_fixture.h"
#include "base/strings.h"
#include "base/time.h"
#include "io/pki.h"
#include "io/public_keys.h"

namespace estiba::apiserver {
namespace {

using namespace std::chrono_literals;

struct PodCertificateRules : RulesTest {
  static std::string text(std::string_view der) { return base64_encode(der); }
  /// A request for these members of spec, as RuleRow wants it.
  static constexpr std::string_view frame =
      "{'metadata':{'name':'r'},'spec':{'podName':'p','podUID':'uid-1','serviceAccountName':'a','serviceAccountUID':'2','nodeName':'n',"
      "'nodeUID':'3',$}}";
  void asks(const std::string& spec, const std::string& told) {
    const RuleRow rows[] = {{spec, told}};
    creations("certificates.k8s.io", "v1beta1", "podcertificaterequests", frame, rows);
  }
};

TEST_F(PodCertificateRules, requests_show_their_key) {
  const std::string key = text(io::make_stub_request("ECDSAP256")->der), to = "'signerName':'example.com/s',";
  const std::string stub = "'stubPKCS10Request':'" + key + "'";
  asks(to + stub, "");
  asks(to + "'maxExpirationSeconds':3599," + stub, "spec.maxExpirationSeconds: Invalid value: 3599: must be in the range [3600, 7862400]");
  asks("'signerName':'kubernetes.io/s','maxExpirationSeconds':90000," + stub,
       "spec.maxExpirationSeconds: Invalid value: 90000: must be in the range [3600, 86400]");
  asks("'signerName':'s'," + stub,
       "spec.signerName: Invalid value: \"s\": must be a fully qualified domain and path of the form 'example.com/signer-name'");
  asks(to + "'unverifiedUserAnnotations':{'Example.com/a':'b'}," + stub, "");
  asks(to + "'unverifiedUserAnnotations':{'a':'b'}," + stub,
       "spec.unverifiedUserAnnotations: Invalid value: \"a\": must be a domain-prefixed key (such as \"acme.io/foo\")");
  const std::string one = "spec: Invalid value: exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set";
  asks(to + "'pkixPublicKey':'YQ=='", one);
  asks(to + "'pkixPublicKey':'YQ==','proofOfPossession':'YQ=='," + stub, one);
  asks("'signerName':'example.com/s'", one);
  asks(to + "'stubPKCS10Request':'YQ=='", "spec.stubPKCS10Request: Invalid value: must be a valid PKCS#10 CSR");
  std::string forged = io::make_stub_request("ED25519")->der;
  forged.back() = char(forged.back() ^ 1);
  asks(to + "'stubPKCS10Request':'" + text(forged) + "'", "spec.stubPKCS10Request: Invalid value: invalid signature");
}

TEST_F(PodCertificateRules, the_older_form_has_the_pods_uid_signed) {
  const auto asked = [](std::string_view key, std::string_view proof) {
    return "'signerName':'example.com/s','pkixPublicKey':'" + std::string(key) + "','proofOfPossession':'" + std::string(proof) + "'";
  };
  const char *ed = "MCowBQYDK2VwAyEAsKf15tKxdfK63jmkg/3pTINfDuOuizELU62Tm5b54X0=",
             *proof = "Ri3PqKtYzxHUYdoun2GvOtRttOCcoE0QuxnZiGXyGntnIR6mnW5i63BLbvWEEKxBih2wKhKPrm+6g8hOHYHjCg==";
  const char *p224 = "ME4wEAYHKoZIzj0CAQYFK4EEACEDOgAEXqDVjDFAZy6bw4/Q620LHjPfctJD9bAJ2XvkX0APrqtL1TdNkpYBlGul+Qi4xKLyLqlfhZc8Q9g=",
             *of_p224 = "MD0CHQDusaRGDd07zYvBcv9ZZqgaVmOjhoafAm0ZEhZLAhw0Nzw/6P8/rhOOoqCTN4c3BkBnhgGjLpXetoUs";
  const char *small =
                 "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAuJu3EdUS5WvF8ZUFcAQc2eR54aB4Icv++x64//63eJ2xag/8VeRhAmr0daOHrzBnxG"
                 "lUkBlIKYFUj6M9tYjsFKjWnBheEGFL+vh5vpRLHmdHlHOCpT9mOF3D0r+I6IQVbosr0uHnXjLhVXZ7Aie7WTfsMGPekGM/qDheKPINVvLmXgO4"
                 "YDIAZSuqBVf4lgOIHaMJfFs14XUol8L85lS/nDqpMo0DWMTg5LIsypKJrsYAhvfSg47YaXf3TmOMw0B8U9q9IbxysisOtgfjf4UKjZ8J2N9CaZ"
                 "76QU5gfhKH888Wr/SbdlXUTbg0+HeKm7vYI3s6jh0zNmvXKzXvhf1+1QIDAQAB",
             *of_small =
                 "JutvgzXaYuSyNXGHWH5gzZG4I6a0A1C7M9T9n+e4skWmH6XHSu5zGuhTRbkfHlYkubUqskPY/oxRo7czaE9dY6UippWpMMAB1BVIfPc/IU7VHz"
                 "riBMKrUOJrVuwBny4RUDzsLx6hSy0FTbIJ6DbVVJI54MkwtcI85ohVNsA7/W9jnfKgGaNwlkvbZf6wGuXrG74l+zjY5RSXVbiNck+RpoaSry+e"
                 "By+N4BpPDAYHtjgWWMPePBqENsWhSoTJ7AsAAhzLNWfDhQR3EbV9mP7Zack6VREb1ptUfvGVC9n2Je7ewZKZOfyLsOOs12ZPATGosF0ZZJeNJ/"
                 "SMWEDuvK0kkQ==";
  asks(asked(ed, proof), "");
  asks(asked(ed, of_p224), "spec.proofOfPossession: Invalid value: could not verify proof-of-possession signature");
  asks(asked("YQ==", proof), "spec.pkixPublicKey: Invalid value: must be a valid PKIX-serialized public key");
  asks(asked(p224, of_p224), "spec.pkixPublicKey: Invalid value: \"curve P-224\": elliptic public keys must use curve P256 or P384");
  asks(asked(small, of_small), "spec.pkixPublicKey: Invalid value: \"2048-bit modulus\": RSA keys must have modulus size 3072 or 4096");
}

TEST_F(PodCertificateRules, a_request_is_answered_once_and_with_its_own_certificate) {
  const auto stub = io::make_stub_request("ECDSAP256"), other = io::make_stub_request("ECDSAP256");
  const WallTime now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto ca = io::make_ca("ca", now);
  const auto issued_to = [&](const io::StubRequest& request, std::vector<std::string> names, Duration lifetime) {
    return *io::sign_csr(*ca, io::print_pem("CERTIFICATE REQUEST", request.der),
                         {.common_name = "p", .dns_names = std::move(names), .lifetime = lifetime}, now + 5min);
  };
  const std::string condition = "{'type':'$','status':'True','reason':'R','message':'m','lastTransitionTime':'2026-01-01T00:00:00Z'}";
  const auto with = [&](const std::string& type) { return "'conditions':[" + framed(condition, type) + "]"; };
  // Certificates of ours begin five minutes before: at `now`.
  const auto issued = [&](const std::string& chain, Duration refresh = 1h, Duration until = 2h + 5min, Duration from = 0s) {
    std::string escaped;
    for (const char c : chain) escaped += c == '\n' ? "\\n" : std::string(1, c);
    return "{'status':{" + with("Issued") + ",'certificateChain':'" + escaped + "','notBefore':'" + format_rfc3339(now + from) +
           "','notAfter':'" + format_rfc3339(now + until) + "','beginRefreshAt':'" + format_rfc3339(now + refresh) + "'}}";
  };
  const std::string good = issued_to(*stub, {"p.example"}, 2h);
  const std::string chain = "status.certificateChain: Invalid value: ";
  const auto shown = [&](std::string text) {
    std::string out;
    for (const char c : text) out += c == '\n' ? "\\n" : std::string(1, c);
    return estiba::quoted(text);
  };
  const std::string brief = issued_to(*stub, {}, 30min), dots = issued_to(*stub, {"a..b"}, 2h), foreign = issued_to(*other, {}, 2h);
  const std::string keyed = good + io::print_pem("PUBLIC KEY", "x"), broken = good + io::print_pem("CERTIFICATE", "x");
  const std::pair<std::string, std::string> answers[] = {
      {issued(good), ""},
      {issued(good + ca->certificate_pem), ""},
      {"{'status':{" + with("Denied") + "}}", ""},
      {"{'status':{" + with("Failed") + "}}", ""},
      {"{'status':{" + with("Other") + "}}",
       "status.conditions[0].type: Unsupported value: \"Other\": supported values: \"Denied\", \"Failed\", \"Issued\""},
      {"{'status':{'conditions':[" + framed(condition, "Denied") + "," + framed(condition, "Failed") + "]}}",
       "status.conditions[1].type: Invalid value: \"Failed\": There may be at most one condition with type \"Issued\", \"Denied\", or "
       "\"Failed\""},
      {issued(foreign), chain + shown(foreign) + ": leaf certificate was not issued to the requested public key"},
      {issued(""), chain + "\"\": issued certificate chain must contain at least one certificate"},
      {issued(dots), chain + "\"a..b\": leaf certificate's DNSName should not contain '..'"},
      {issued(keyed), chain + shown(keyed) + ": issued certificate chain must consist entirely of CERTIFICATE PEM blocks"},
      {issued(broken), chain + shown(broken) + ": intermediate certificate does not parse as valid X.509"},
      {issued(brief, 20min, 35min), chain + "\"2100s\": leaf certificate lifetime must be >= 1 hour"},
      {issued(good, 9min), "status.beginRefreshAt: Invalid value: " + estiba::quoted(format_rfc3339(now + 9min)) +
                               ": must be at least 10 minutes after status.notBefore"},
      {issued(good, 2h), "status.beginRefreshAt: Invalid value: " + estiba::quoted(format_rfc3339(now + 2h)) +
                             ": must be at least 10 minutes before status.notAfter"},
      {issued(good, 1h, 3h), "status.notAfter: Invalid value: " + estiba::quoted(format_rfc3339(now + 3h)) +
                                 ": must be set to the NotAfter time encoded in the leaf certificate"},
      {issued(good, 1h, 2h + 5min, 1s), "status.notBefore: Invalid value: " + estiba::quoted(format_rfc3339(now + 1s)) +
                                            ": must be set to the NotBefore time encoded in the leaf certificate"},
      {"{'status':{'certificateChain':'x'}}",
       "status: Invalid value: {\"certificateChain\":\"x\"}: status is immutable unless transitioning to \"Issued\", \"Denied\", or "
       "\"Failed\""},
  };
  std::vector<RuleRow> rows;
  for (const auto& [json, told] : answers) rows.push_back({json, told});
  changes("certificates.k8s.io", "v1beta1", "podcertificaterequests",
          framed(frame, "'signerName':'example.com/s','maxExpirationSeconds':8000,'stubPKCS10Request':'" + text(stub->der) + "'"), rows,
          "status");
  // Once answered, always answered.
  ASSERT_TRUE(patch("certificates.k8s.io", "v1beta1", "podcertificaterequests", "default", "r", BodyType::merge_patch,
                    quotes("{'status':{" + with("Denied") + "}}"), "status"));
  const auto again = patch("certificates.k8s.io", "v1beta1", "podcertificaterequests", "default", "r", BodyType::merge_patch,
                           quotes("{'status':{" + with("Failed") + "}}"), "status");
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error().message.contains("immutable after PodCertificateRequest is issued, denied, or failed"))
      << again.error().message;
}

TEST_F(PodCertificateRules, a_node_asks_for_certificates_of_its_own_pods) {
  ASSERT_TRUE(create("", "v1", "nodes", {}, R"({"metadata":{"name":"n1"}})"));
  for (const auto& [name, node] : {std::pair("mine", "n1"), {"other", "n2"}})
    ASSERT_TRUE(create("", "v1", "pods", "default",
                       quotes("{'metadata':{'name':'" + std::string(name) + "'},'spec':{'nodeName':'" + node +
                              "','containers':[{'name':'c','image':'i'}]}}")));
  const auto uid = [&](std::string_view resource, std::string ns, std::string name) {
    return get("", "v1", resource, std::move(ns), std::move(name))->meta().uid;
  };
  const std::string node = uid("nodes", {}, "n1"), account = uid("serviceaccounts", "default", "default");
  const std::string key = base64_encode(io::make_stub_request("ED25519")->der);
  struct Asked {
    std::string pod = "mine", pod_uid, account = "default", account_uid, node = "n1", node_uid;
  };
  const auto ask = [&](Asked asked) -> std::string {
    const auto given = [](const std::string& value, const std::string& usual) { return value.empty() ? usual : value; };
    Action action = make(Verb::create, "certificates.k8s.io", "v1beta1", "podcertificaterequests", "default");
    action.user = {"system:node:n1", {}, {"system:nodes"}, {}};
    action.body = R"({"metadata":{"generateName":"req-"},"spec":{"signerName":"example.com/s","podName":")" + asked.pod +
                  R"(","podUID":")" + given(asked.pod_uid, uid("pods", "default", asked.pod)) + R"(","serviceAccountName":")" +
                  asked.account + R"(","serviceAccountUID":")" + given(asked.account_uid, account) + R"(","nodeName":")" + asked.node +
                  R"(","nodeUID":")" + given(asked.node_uid, node) + R"(","stubPKCS10Request":")" + key + R"("}})";
    const auto made = run(api_->run(std::move(action)));
    if (made) return "";
    const std::string& message = made.error().message;
    return message.substr(std::min(message.find(": "), message.size() - 2) + 2);
  };
  EXPECT_EQ(ask({}), "");
  EXPECT_EQ(ask({.node = "n2"}), "PodCertificateRequest.Spec.NodeName=\"n2\", which is not the requesting node \"n1\"");
  EXPECT_EQ(ask({.pod = "other"}), "pod \"default/other\" is not running on node \"n1\" named in the PodCertificateRequest");
  EXPECT_TRUE(ask({.pod_uid = "u"}).starts_with("PodCertificateRequest for pod \"default/mine\" names pod UID \"u\", which differs from"));
  EXPECT_TRUE(ask({.node_uid = "u"}).contains("names node UID \"u\""));
  EXPECT_TRUE(ask({.account_uid = "u"}).contains("names service account UID \"u\""));
  EXPECT_EQ(
      ask({.account = "admin"}),
      "PodCertificateRequest for pod \"default/mine\" contains serviceAccountName (\"admin\") that differs from running pod (\"default\")");
}

TEST_F(PodCertificateRules, pods_certificates_are_answered_by_their_signers) {
  const std::string key = base64_encode(io::make_stub_request("ED25519")->der);
  ASSERT_TRUE(create("certificates.k8s.io", "v1beta1", "podcertificaterequests", "default",
                     R"({"metadata":{"name":"r"},"spec":{"signerName":"example.com/s","podName":"p","podUID":"1","serviceAccountName":"a",)"
                     R"("serviceAccountUID":"2","nodeName":"n","nodeUID":"3","stubPKCS10Request":")" +
                         key + R"("}})"));
  ASSERT_TRUE(
      create("rbac.authorization.k8s.io", "v1", "clusterroles", {},
             R"({"metadata":{"name":"signs"},"rules":[{"apiGroups":["certificates.k8s.io"],"resources":["signers"],"verbs":["sign"],)"
             R"("resourceNames":["example.com/*"]}]})"));
  const auto deny = [&]() -> std::string {
    Action action = make(Verb::patch, "certificates.k8s.io", "v1beta1", "podcertificaterequests", "default", "r");
    action.subresource = "status";
    action.body_type = BodyType::merge_patch;
    action.user = {"signer", {}, {}, {}};
    action.body =
        R"({"status":{"conditions":[{"type":"Denied","status":"True","reason":"R","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z"}]}})";
    const auto done = run(api_->run(std::move(action)));
    return done ? "" : done.error().message;
  };
  EXPECT_EQ(deny(),
            "PodCertificateRequest.certificates.k8s.io \"r\" is invalid: spec.signerName: Forbidden: User \"signer\" is not permitted to "
            "\"sign\" for signer \"example.com/s\"");
  ASSERT_TRUE(
      create("rbac.authorization.k8s.io", "v1", "clusterrolebindings", {},
             R"({"metadata":{"name":"signs"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"signs"},)"
             R"("subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"signer"}]})"));
  EXPECT_EQ(deny(), "");
}

}  // namespace
}  // namespace estiba::apiserver
