#include "controllers/certificate_requests.h"

#include "base/strings.h"
#include "controllers/table.h"
#include "controllers/testing/cluster.h"

namespace estiba::controllers {
namespace {

using namespace std::chrono_literals;
using model::certificates_v1::CertificateSigningRequest;

// A request is the text "common name/organization/names…"; a certificate says what it was signed with.
struct FakeAuthority final : CertificateAuthority {
  std::vector<std::string> addresses;
  Result<RequestedSubject> read(std::string_view text) const override {
    if (!text.contains('/')) return fail(Code::malformed, "no request");
    const size_t a = text.find('/'), b = text.find('/', a + 1);
    RequestedSubject subject{.common_name = std::string(text.substr(0, a)), .organizations = {std::string(text.substr(a + 1, b - a - 1))}};
    const std::string_view names = b == text.npos ? std::string_view{} : text.substr(b + 1);
    if (names.contains('@')) subject.emails.emplace_back(names);
    else if (!names.empty()) subject.dns_names.emplace_back(names);
    subject.ip_addresses = addresses;
    return subject;
  }
  Result<std::string> sign(std::string_view, const Issuance& issuance, WallTime now) const override {
    std::string text = std::to_string((issuance.not_before - now) / 1s) + " " + std::to_string((issuance.not_after - now) / 1s);
    for (const std::string& usage : issuance.usages) text += "," + usage;
    return text;
  }
  Result<WallTime> end_of(std::string_view text) const override {
    if (!text.starts_with("until ")) return fail(Code::malformed, "no certificate");
    return parse_rfc3339(text.substr(6));
  }
};

struct CertificatesTest : ControllerTest {
  FakeAuthority authority;
  CertificatesTest() { options.authority = &authority; }

  void ask(const std::string& name, std::string_view signer, const std::string& request, const std::string& usages,
           const std::string& more = "") {
    std::string list;
    for (size_t from = 0; from < usages.size();) {
      const size_t to = std::min(usages.find(',', from), usages.size());
      list += (list.empty() ? "\"" : ",\"") + usages.substr(from, to - from) + "\"";
      from = to + 1;
    }
    server.add(certificate_requests, "",
               R"({"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{"name":")" + name +
                   R"("},"spec":{"username":"system:node:a","groups":["system:nodes"],"signerName":")" + std::string(signer) +
                   R"(","request":")" + base64_encode(request) + R"(","usages":[)" + list + "]" + more + "}}");
    executor.run();
  }
  void answer(const std::string& name, const std::string& type) {
    server.merge(certificate_requests, "", name,
                 R"({"status":{"conditions":[{"type":")" + type + R"(","status":"True","lastUpdateTime":")" + now() + "\"}]}}", "status");
    executor.run();
  }
  const CertificateSigningRequest& of(const std::string& name) {
    last = server.find(certificate_requests, "", name);
    return last.as<CertificateSigningRequest>();
  }
  /// "reason message" of a condition, or empty.
  std::string condition(const std::string& name, std::string_view type) {
    const auto* found = find_condition(of(name), type);
    return found ? found->reason + " " + found->message : "";
  }
  bool is_there(const std::string& name) { return bool(server.find(certificate_requests, "", name)); }
  model::ObjectRef last;
};

TEST_F(CertificatesTest, WhatEachSignerSigns) {
  start({make_certificate_signer});
  struct Row {
    std::string_view signer;
    std::string request, usages, failure;
  };
  const std::string kubelet = "digital signature,client auth", serving = "digital signature,key encipherment,server auth";
  const Row rows[] = {
      {apiserver_client_signer, "jane/devs", "client auth", ""},
      {apiserver_client_signer, "jane/devs", "client auth,key encipherment,digital signature", ""},
      {apiserver_client_signer, "jane/devs", "client auth,server auth", "invalid usage for client certificate: server auth"},
      {apiserver_client_signer, "jane/devs", "digital signature", "missing required usage for client certificate: client auth"},
      {kubelet_client_signer, "system:node:a/system:nodes", kubelet, ""},
      {kubelet_client_signer, "system:node:a/system:nodes", kubelet + ",key encipherment", ""},
      {kubelet_client_signer, "system:node:a/devs", kubelet, "subject organization is not system:nodes"},
      {kubelet_client_signer, "a/system:nodes", kubelet, "subject common name does not begin with system:node:"},
      {kubelet_client_signer, "system:node:a/system:nodes/a.example", kubelet, "DNS subjectAltNames are not allowed"},
      {kubelet_client_signer, "system:node:a/system:nodes/a@b", kubelet, "Email subjectAltNames are not allowed"},
      {kubelet_client_signer, "system:node:a/system:nodes", "client auth",
       "usages did not match [client auth digital signature key encipherment]"},
      {kubelet_serving_signer, "system:node:a/system:nodes/a.example", serving, ""},
      {kubelet_serving_signer, "system:node:a/system:nodes", serving, "DNS or IP subjectAltName is required"},
      {kubelet_serving_signer, "system:node:a/system:nodes/a.example", kubelet,
       "usages did not match [digital signature key encipherment server auth]"},
      {legacy_unknown_signer, "anybody/anything", "code signing", ""},
  };
  int number = 0;
  for (const Row& row : rows) {
    const std::string name = "r" + std::to_string(number++);
    ask(name, row.signer, row.request, row.usages);
    EXPECT_EQ(of(name).status.certificate, "") << "signed without an approval";
    answer(name, "Approved");
    const std::string failure = row.failure.empty() ? "" : "SignerValidationFailure " + row.failure;
    EXPECT_EQ(condition(name, "Failed"), failure) << row.request << " " << row.usages;
    EXPECT_EQ(of(name).status.certificate.empty(), !row.failure.empty()) << row.request << " " << row.usages;
    EXPECT_NE(find_condition(of(name), "Approved"), nullptr);
  }
}

TEST_F(CertificatesTest, LifetimesAreThoseOfKubernetes) {
  start({make_certificate_signer});
  const std::pair<std::string, std::string> rows[] = {
      {"", "-300 31535700,client auth"},                                   // a year, from what it is backdated to
      {R"(,"expirationSeconds":600)", "-300 600,client auth"},             // a short one has its whole time
      {R"(,"expirationSeconds":86400)", "-300 86100,client auth"},         //
      {R"(,"expirationSeconds":99999999)", "-300 31535700,client auth"}};  // never more than a year
  int number = 0;
  for (const auto& [more, certificate] : rows) {
    const std::string name = "r" + std::to_string(number++);
    ask(name, apiserver_client_signer, "jane/devs", "client auth", more);
    answer(name, "Approved");
    EXPECT_EQ(of(name).status.certificate, certificate) << more;
  }
}

TEST_F(CertificatesTest, OthersSignersRequestsAndThoseDeniedAreLeftAlone) {
  start({make_certificate_signer, make_certificate_approver});
  ask("other", "example.com/signer", "jane/devs", "client auth");
  answer("other", "Approved");
  ask("denied", apiserver_client_signer, "jane/devs", "client auth");
  answer("denied", "Denied");
  ask("broken", apiserver_client_signer, "nothing", "client auth");
  answer("broken", "Approved");
  for (const char* name : {"other", "denied", "broken"}) EXPECT_EQ(of(name).status.certificate, "") << name;
  EXPECT_EQ(server.calls["create subjectaccessreviews"], 0);
}

TEST_F(CertificatesTest, ANodesOwnNameAndAddressesAreApprovedForItsApi) {
  start({make_serving_approver});
  server.add(
      client::nodes, "",
      R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"b"},"status":{"addresses":[{"type":"InternalIP","address":"b.other"}]}})");
  executor.run();
  const std::string usages = "digital signature,server auth";
  const std::pair<std::string, bool> rows[] = {
      {"system:node:a/system:nodes/a", true},  // the fake authority knows DNS names only
      {"system:node:a/system:nodes/c", false},
      {"system:node:b/system:nodes/b", false},  // system:node:a asks
      {"system:node:a/system:nodes", false},
  };
  int number = 0;
  for (const auto& [request, approved] : rows) {
    const std::string name = "s" + std::to_string(number++);
    ask(name, kubelet_serving_signer, request, usages);
    EXPECT_EQ(!condition(name, "Approved").empty(), approved) << request;
  }
  ask("client", kubelet_client_signer, "system:node:a/system:nodes", "digital signature,client auth");
  EXPECT_EQ(condition("client", "Approved"), "") << "another signer's";
  authority.addresses = {"10.0.0.9"};
  ask("own", kubelet_serving_signer, "system:node:a/system:nodes/a", usages);
  EXPECT_NE(condition("own", "Approved"), "");
  server.merge(client::nodes, "", "b", R"({"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.9"}]}})", "status");
  executor.run();
  ask("others", kubelet_serving_signer, "system:node:a/system:nodes/a", usages);
  EXPECT_EQ(condition("others", "Approved"), "") << "the address of node b";
}

TEST_F(CertificatesTest, NodesAreApprovedByWhatTheyMayCreate) {
  std::string allowed, asked;
  server.may = [&](const json::Node& spec) {
    const std::string_view subresource = spec.string_at("resourceAttributes", "subresource");
    asked += std::string(subresource) + " ";
    EXPECT_EQ(spec.string_at("user"), "system:node:a");
    EXPECT_EQ(spec.string_at("resourceAttributes", "verb"), "create");
    return subresource == allowed;
  };
  start({make_certificate_approver});
  const std::string usages = "digital signature,client auth";
  ask("own", kubelet_client_signer, "system:node:a/system:nodes", usages);
  EXPECT_EQ(asked, "selfnodeclient nodeclient ");
  EXPECT_EQ(condition("own", "Approved"), "");
  allowed = "selfnodeclient";
  executor.advance(1min);  // it is tried again
  EXPECT_EQ(condition("own", "Approved"), "AutoApproved Auto approving self kubelet client certificate after SubjectAccessReview.");
  asked.clear();
  ask("another", kubelet_client_signer, "system:node:b/system:nodes", usages);
  EXPECT_EQ(asked, "nodeclient ") << "a certificate of another's name is not the node's own";
  EXPECT_EQ(condition("another", "Approved"), "");
  allowed = "nodeclient";
  executor.advance(1min);
  EXPECT_EQ(condition("another", "Approved"), "AutoApproved Auto approving kubelet client certificate after SubjectAccessReview.");
  ask("odd", kubelet_client_signer, "system:node:a/system:nodes", "client auth");
  ask("person", apiserver_client_signer, "system:node:a/system:nodes", usages);
  EXPECT_EQ(condition("odd", "Approved") + condition("person", "Approved"), "");
}

TEST_F(CertificatesTest, WhatIsOverIsDeleted) {
  start({make_certificate_cleaner});
  for (const char* name : {"pending", "approved", "issued", "denied", "failed", "expired"})
    ask(name, "example.com/signer", "jane/devs", "client auth");
  for (const char* name : {"approved", "issued", "expired"}) answer(name, "Approved");
  answer("denied", "Denied");
  answer("failed", "Failed");
  const auto issue = [&](const std::string& name, const std::string& text) {
    server.merge(certificate_requests, "", name, R"({"status":{"certificate":")" + base64_encode(text) + "\"}}", "status");
    executor.run();
  };
  issue("issued", "until " + format_rfc3339(executor.wall_now() + 24h));
  issue("expired", "until " + format_rfc3339(executor.wall_now() + 10min));
  executor.advance(9min);
  EXPECT_TRUE(is_there("expired"));
  executor.advance(2min);
  EXPECT_FALSE(is_there("expired"));
  executor.advance(48min);
  for (const char* name : {"pending", "approved", "issued", "denied", "failed"}) EXPECT_TRUE(is_there(name)) << name;
  executor.advance(2min);
  for (const char* name : {"issued", "denied", "failed"}) EXPECT_FALSE(is_there(name)) << name;
  executor.advance(22h + 58min);
  for (const char* name : {"pending", "approved"}) EXPECT_TRUE(is_there(name)) << name;
  executor.advance(2min);
  EXPECT_TRUE(server.all(certificate_requests).empty());
  EXPECT_EQ(executor.timers(), 0u);
}

TEST_F(CertificatesTest, RequestsOfPodsStayForAQuarterOfAnHour) {
  constexpr client::Resource requests{"certificates.k8s.io", "v1beta1", "podcertificaterequests"};
  const auto ask = [&](const std::string& name) {
    server.add(
        requests, "x",
        R"({"apiVersion":"certificates.k8s.io/v1beta1","kind":"PodCertificateRequest","metadata":{"name":")" + name + R"("},"spec":{}})");
    executor.run();
  };
  start({make_pod_certificate_cleaner});
  ask("a");
  executor.advance(10min);
  ask("b");
  executor.advance(4min);
  EXPECT_EQ(server.all(requests).size(), 2u);
  executor.advance(2min);
  ASSERT_EQ(server.all(requests).size(), 1u);
  EXPECT_EQ(server.all(requests)[0].meta().name, "b");
  executor.advance(10min);
  EXPECT_TRUE(server.all(requests).empty());
  EXPECT_EQ(executor.timers(), 0u);
}

}  // namespace
}  // namespace estiba::controllers
