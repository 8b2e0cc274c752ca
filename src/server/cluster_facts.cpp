#include "server/cluster_facts.h"

#include "apiserver/ingress_secrets.h"
#include "model/json.h"
#include "os/file.h"

namespace estiba::server {

namespace {

std::string path_in(const std::string& dir) { return dir + "/cluster.json"; }

}  // namespace

Result<ClusterFacts> load_cluster_facts(const std::string& dir) {
  const std::string text = TRY(os::read_file(path_in(dir)));
  const json::Document doc = TRY_AS(path_in(dir), json::Document::parse(text));
  const auto value = [&](std::string_view key) { return std::string(doc.root().string_at(key)); };
  ClusterFacts out{value("podCIDR"), value("serviceCIDR"), value("clusterDomain"), value("nodePodCIDR"),
                   value(apiserver::ingress_on_agents) == "true"};
  if (out.cluster_cidr.empty() || out.service_cidr.empty() || out.pod_cidr.empty())
    return fail(Code::malformed, path_in(dir) + ": podCIDR, serviceCIDR or nodePodCIDR is missing");
  return out;
}

Result<void> store_cluster_facts(const std::string& dir, const ClusterFacts& facts) {
  json::Document doc;
  json::Node& root = doc.make_object();
  doc.set_root(root);
  doc.set(root, "podCIDR", facts.cluster_cidr);
  doc.set(root, "serviceCIDR", facts.service_cidr);
  doc.set(root, "clusterDomain", facts.cluster_domain);
  doc.set(root, "nodePodCIDR", facts.pod_cidr);
  doc.set(root, apiserver::ingress_on_agents, facts.ingress_on_agents ? "true" : "false");
  return os::write_file_atomic(path_in(dir), json::print(root) + "\n", 0644);
}

}  // namespace estiba::server
