#include "node/dra/prepared.h"

#include <algorithm>

#include "base/strings.h"
#include "client/json_writer.h"
#include "model/json.h"

namespace estiba::node {

PreparedClaim* PreparedClaims::find(const std::string& ns, const std::string& name) {
  const auto at = claims_.find({ns, name});
  return at == claims_.end() ? nullptr : &at->second;
}
const PreparedClaim* PreparedClaims::find(const std::string& ns, const std::string& name) const {
  const auto at = claims_.find({ns, name});
  return at == claims_.end() ? nullptr : &at->second;
}

PreparedClaim& PreparedClaims::add(PreparedClaim claim) {
  const std::pair key(claim.ns, claim.name);
  return claims_.insert_or_assign(key, std::move(claim)).first->second;
}

void PreparedClaims::remove(const std::string& ns, const std::string& name) { claims_.erase({ns, name}); }

std::vector<PreparedClaim*> PreparedClaims::of_pod(const std::string& pod_uid) {
  std::vector<PreparedClaim*> out;
  for (auto& [key, claim] : claims_)
    if (claim.pods.contains(pod_uid)) out.push_back(&claim);
  return out;
}

bool PreparedClaims::has(const std::string& pod_uid) const {
  return std::ranges::any_of(claims_, [&](const auto& each) { return each.second.pods.contains(pod_uid); });
}

std::set<std::string> PreparedClaims::pods() const {
  std::set<std::string> out;
  for (const auto& [key, claim] : claims_) out.insert(claim.pods.begin(), claim.pods.end());
  return out;
}

std::string PreparedClaims::save() const {
  client::JsonWriter json;
  json.object().array("claims");
  for (const auto& [key, claim] : claims_) {
    json.object().field("namespace", claim.ns).field("name", claim.name).field("uid", claim.uid);
    json.array("pods");
    for (const std::string& pod : claim.pods) json.value(pod);
    json.end().object("drivers");
    for (const auto& [driver, devices] : claim.drivers) {
      json.array(driver);
      for (const dra_api::Device& device : devices) json.value(base64_encode(protobuf::encode(device)));
      json.end();
    }
    json.end().end();
  }
  json.end().end();
  return json.take();
}

Result<void> PreparedClaims::load(const std::string& text) {
  const json::Document document = TRY(json::Document::parse(text));
  const json::Node* all = document.root().find("claims");
  if (!all) return fail(Code::malformed, "\"claims\" are expected");
  for (const json::Node& entry : *all) {
    PreparedClaim claim{.ns = std::string(entry.string_at("namespace")),
                        .name = std::string(entry.string_at("name")),
                        .uid = std::string(entry.string_at("uid")),
                        .pods = {},
                        .drivers = {}};
    if (claim.name.empty() || claim.uid.empty()) return fail(Code::malformed, "a claim without name and uid");
    if (const json::Node* pods = entry.find("pods"))
      for (const json::Node& pod : *pods) claim.pods.emplace(pod.as_string());
    if (const json::Node* drivers = entry.find("drivers")) {
      for (const json::Node& driver : *drivers) {
        auto& devices = claim.drivers[std::string(driver.key())];
        for (const json::Node& device : driver) {
          const auto bytes = base64_decode(device.as_string());
          if (!bytes || !protobuf::decode(*bytes, devices.emplace_back()))
            return fail(Code::malformed, "the devices of claim " + claim.ns + "/" + claim.name + " cannot be read");
        }
      }
    }
    add(std::move(claim));
  }
  return {};
}

}  // namespace estiba::node
