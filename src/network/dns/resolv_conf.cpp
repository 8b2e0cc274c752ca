#include "network/dns/resolv_conf.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::network {

// resolv.conf(5): three servers are asked; Kubernetes allows 32 search domains of 2048 characters together.
static constexpr size_t kMaxServers = 3, kMaxSearches = 32, kMaxSearchLength = 2048;

static std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

ResolvConf ResolvConf::parse(std::string_view text) {
  ResolvConf conf;
  for (std::string_view line : split(text, '\n')) {
    auto words = words_of(line.substr(0, line.find_first_of("#;")));
    if (words.size() < 2) continue;
    if (words[0] == "nameserver") conf.nameservers.emplace_back(words[1]);
    if (words[0] == "search" || words[0] == "domain") conf.searches.assign(words.begin() + 1, words.end());  // the last one counts
    if (words[0] != "options") continue;
    for (size_t i = 1; i < words.size(); ++i) {
      auto [name, value] = split_once(words[i], ':');
      conf.options.emplace_back(name, value ? std::optional<std::string>(*value) : std::nullopt);
    }
  }
  return conf;
}

std::string ResolvConf::text() const {
  std::string text;
  if (!searches.empty()) text += "search " + join(searches, " ") + "\n";
  for (const std::string& server : nameservers) text += "nameserver " + server + "\n";
  if (options.empty()) return text;
  text += "options";
  for (const auto& [name, value] : options) text += " " + name + (value ? ":" + *value : "");
  return text + "\n";
}

// Adds what is not there yet, keeping the order.
static void merge(std::vector<std::string>& into, const std::vector<std::string>& more, size_t limit) {
  for (const std::string& one : more)
    if (!one.empty() && into.size() < limit && std::ranges::find(into, one) == into.end()) into.push_back(one);
}

std::string pod_resolv_conf(const PodDns& pod, const ClusterDns& cluster, const ResolvConf& host) {
  bool first = pod.policy == "ClusterFirst" || pod.policy.empty();
  // With the node's network, only the policy that says so asks the cluster.
  bool cluster_first = !cluster.address.empty() && ((first && !pod.host_network) || pod.policy == "ClusterFirstWithHostNet");
  ResolvConf conf;
  if (cluster_first) {
    conf.nameservers = {cluster.address};
    conf.searches = {pod.ns + ".svc." + cluster.domain, "svc." + cluster.domain, cluster.domain};
    merge(conf.searches, host.searches, kMaxSearches);
    conf.options = {{"ndots", "5"}};
  } else if (pod.policy != "None") {
    conf = host;
  }
  merge(conf.nameservers, pod.config.nameservers, SIZE_MAX);
  if (conf.nameservers.size() > kMaxServers) conf.nameservers.resize(kMaxServers);
  merge(conf.searches, pod.config.searches, kMaxSearches);
  std::erase(conf.searches, ".");
  while (join(conf.searches, " ").size() > kMaxSearchLength) conf.searches.pop_back();
  for (const auto& option : pod.config.options) {
    auto known = std::ranges::find(conf.options, option.first, [](const auto& have) { return have.first; });
    if (known == conf.options.end()) conf.options.push_back(option);
    else known->second = option.second;
  }
  return conf.text();
}

}  // namespace estiba::network
