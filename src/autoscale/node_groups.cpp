#include "autoscale/node_groups.h"

#include <algorithm>

#include "base/go_duration.h"
#include "base/strings.h"
#include "model/names.h"
#include "model/quantity.h"
#include "model/yaml.h"
#include "scheduler/configuration_args.h"

namespace estiba::autoscale {

namespace {

constexpr std::string_view api_version = "estiba.io/v1", kind = "NodeGroups";

using scheduler::element;
using scheduler::Faults;

// Reads the members of one mapping: what is asked for is taken, what nobody has asked for is a fault.
class Members {
 public:
  Members(const json::Node* node, std::string path, Faults& faults) : node_(node), path_(std::move(path)), faults_(faults) {
    if (!node_ || node_->is_null()) node_ = nullptr;
    else if (!node_->is_object()) {
      faults_.add(path_.empty() ? "the document" : path_, "must be a mapping");
      node_ = nullptr;
    }
  }
  ~Members() {
    if (!node_) return;
    for (const json::Node& member : *node_)
      if (std::ranges::find(asked_, member.key()) == asked_.end()) faults_.add(at(member.key()), "Unknown field");
  }
  Members(const Members&) = delete;

  std::string at(std::string_view key) const { return path_.empty() ? std::string(key) : path_ + "." + std::string(key); }
  const json::Node* get(std::string_view key) {
    asked_.emplace_back(key);
    const json::Node* found = node_ ? node_->find(key) : nullptr;
    return found && !found->is_null() ? found : nullptr;
  }
  void text(std::string_view key, std::string& into) {
    const json::Node* found = get(key);
    if (!found) return;
    if (found->is_string()) into = found->as_string();
    else faults_.add(at(key), "must be a string");
  }
  void flag(std::string_view key, bool& into) {
    const json::Node* found = get(key);
    if (!found) return;
    if (found->is_bool()) into = found->as_bool();
    else faults_.add(at(key), "must be true or false");
  }
  void number(std::string_view key, int64_t& into, int64_t least) {
    const json::Node* found = get(key);
    if (!found) return;
    const auto value = found->as_int();
    if (!value) return faults_.add(at(key), "must be a whole number");
    into = *value;
    if (into < least) faults_.invalid(at(key), std::to_string(into), "must be at least " + std::to_string(least));
  }
  void fraction(std::string_view key, double& into) {
    const json::Node* found = get(key);
    if (!found) return;
    const auto value = found->as_double();
    if (!value) return faults_.add(at(key), "must be a number");
    into = *value;
    if (into < 0 || into > 1) faults_.invalid(at(key), found->number_text(), "must be between 0 and 1");
  }
  void duration(std::string_view key, Duration& into, Duration least = {}) {
    const json::Node* found = get(key);
    if (!found) return;
    if (!found->is_string()) return faults_.add(at(key), "must be a duration like \"10m\"");
    const auto value = parse_go_duration(found->as_string());
    if (!value) return faults_.invalid(at(key), quoted(found->as_string()), value.error().message);
    into = *value;
    if (into < least) faults_.invalid(at(key), quoted(found->as_string()), least > Duration{} ? "is too short" : "must not be negative");
  }
  /// Each member's key and text.
  void texts(std::string_view key, std::map<std::string, std::string>& into) {
    const json::Node* found = get(key);
    if (!found) return;
    if (!found->is_object()) return faults_.add(at(key), "must be a mapping");
    for (const json::Node& member : *found) {
      if (member.is_string()) into[std::string(member.key())] = member.as_string();
      else if (member.is_number()) into[std::string(member.key())] = member.number_text();
      else faults_.add(at(key) + "." + std::string(member.key()), "must be a string");
    }
  }

 private:
  const json::Node* node_;
  const std::string path_;
  Faults& faults_;
  std::vector<std::string> asked_;
};

void read_taints(const json::Node* list, const std::string& path, std::vector<model::core_v1::Taint>& into, Faults& faults) {
  if (!list) return;
  if (!list->is_array()) return faults.add(path, "must be a list");
  size_t i = 0;
  for (const json::Node& item : *list) {
    const std::string here = element(path, i++);
    model::core_v1::Taint taint;
    {
      Members members(&item, here, faults);
      members.text("key", taint.key);
      members.text("value", taint.value);
      members.text("effect", taint.effect);
    }
    for (const std::string& problem : model::check_qualified_name(taint.key)) faults.invalid(here + ".key", quoted(taint.key), problem);
    for (const std::string& problem : model::check_label_value(taint.value)) faults.invalid(here + ".value", quoted(taint.value), problem);
    if (taint.effect != "NoSchedule" && taint.effect != "PreferNoSchedule" && taint.effect != "NoExecute")
      faults.unsupported(here + ".effect", taint.effect, "\"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"");
    into.push_back(std::move(taint));
  }
}

void read_template(const json::Node* node, const std::string& path, NodeTemplate& into, Faults& faults) {
  Members members(node, path, faults);
  members.texts("allocatable", into.allocatable);
  members.texts("labels", into.labels);
  read_taints(members.get("taints"), members.at("taints"), into.taints, faults);
  into.allocatable.try_emplace("pods", "110");
  for (const char* needed : {"cpu", "memory"})
    if (!into.allocatable.contains(needed))
      faults.add(members.at("allocatable") + "." + needed, "Required value: what pods may use of a node");
  for (const auto& [name, amount] : into.allocatable) {
    const std::string field = members.at("allocatable") + "." + name;
    for (const std::string& problem : model::check_qualified_name(name)) faults.invalid(field, quoted(name), problem);
    const auto quantity = model::Quantity::parse(amount);
    if (!quantity) faults.invalid(field, quoted(amount), "must be a quantity like 500m or 8Gi");
    else if (quantity->is_negative()) faults.invalid(field, quoted(amount), "must not be negative");
  }
  for (const auto& [key, value] : into.labels) {
    const std::string field = members.at("labels") + "." + key;
    for (const std::string& problem : model::check_qualified_name(key)) faults.invalid(field, quoted(key), problem);
    for (const std::string& problem : model::check_label_value(value)) faults.invalid(field, quoted(value), problem);
  }
}

void read_exec(const json::Node* node, const std::string& path, ExecProgram& into, Faults& faults) {
  if (!node) return faults.add(path, "Required value: the program that makes and removes nodes");
  Members members(node, path, faults);
  const json::Node* command = members.get("command");
  const std::string field = members.at("command");
  if (!command || !command->is_array() || command->empty()) {
    faults.add(field, "Required value: a list, the program and its arguments");
  } else {
    for (const json::Node& word : *command) {
      if (!word.is_string()) faults.add(element(field, into.command.size()), "must be a string");
      into.command.emplace_back(word.as_string());
    }
    if (!into.command[0].starts_with('/')) faults.invalid(element(field, 0), quoted(into.command[0]), "must be an absolute path");
  }
  members.texts("env", into.env);
  for (const auto& [name, value] : into.env)
    if (name.empty() || name.contains('=') || name.starts_with("ESTIBA_NODES_"))
      faults.invalid(members.at("env") + "." + name, quoted(name), "is no name of a variable, or one that the provider is told by");
  members.duration("timeout", into.timeout, std::chrono::seconds(1));
}

NodeGroup read_group(const json::Node& node, const std::string& path, Faults& faults) {
  NodeGroup group;
  Members members(&node, path, faults);
  members.text("name", group.name);
  // Names of nodes are made of it, with a dash and five letters.
  for (const std::string& problem : model::check_dns1123_label(group.name)) faults.invalid(members.at("name"), quoted(group.name), problem);
  if (group.name.size() > 57) faults.invalid(members.at("name"), quoted(group.name), "must be no more than 57 characters");
  members.number("min", group.min, 0);
  if (!node.find("max")) faults.add(members.at("max"), "Required value: how many nodes there may be");
  members.number("max", group.max, 1);
  if (group.max >= 1 && group.min > group.max)
    faults.invalid(members.at("min"), std::to_string(group.min), "must not be more than max, " + std::to_string(group.max));
  members.number("priority", group.priority, INT32_MIN);
  read_template(members.get("template"), members.at("template"), group.node, faults);
  group.node.labels[std::string(group_label)] = group.name;
  read_exec(members.get("exec"), members.at("exec"), group.exec, faults);
  return group;
}

void read_scale_down(const json::Node* node, ScaleDown& into, Faults& faults) {
  Members members(node, "scaleDown", faults);
  members.flag("enabled", into.enabled);
  members.fraction("utilizationThreshold", into.threshold);
  members.duration("unneededTime", into.unneeded);
  members.duration("unreadyTime", into.unready);
  members.duration("delayAfterAdd", into.after_add);
  members.duration("delayAfterFailure", into.after_failure);
  members.duration("maxPodEvictionTime", into.eviction_limit);
  members.duration("maxGracefulTermination", into.longest_grace);
  members.flag("skipNodesWithLocalStorage", into.skip_local_storage);
  members.flag("skipNodesWithSystemPods", into.skip_system);
}

}  // namespace

const NodeGroup* NodeGroups::find(std::string_view name) const {
  const auto found = std::ranges::find(groups, name, &NodeGroup::name);
  return found == groups.end() ? nullptr : &*found;
}

Result<NodeGroups> parse_node_groups(std::string_view text) {
  const json::Document document = TRY(model::parse_yaml(text));
  NodeGroups out;
  Faults faults;
  {
    Members members(&document.root(), "", faults);
    std::string version, what;
    members.text("apiVersion", version);
    members.text("kind", what);
    if (version != api_version) faults.unsupported("apiVersion", version, quoted(api_version));
    if (what != kind) faults.unsupported("kind", what, quoted(kind));
    members.duration("maxNodeProvisionTime", out.provision_limit, std::chrono::seconds(1));
    members.duration("initialBackoff", out.first_backoff, std::chrono::seconds(1));
    members.duration("maxBackoff", out.longest_backoff, std::chrono::seconds(1));
    members.duration("scanInterval", out.scan, std::chrono::milliseconds(100));
    read_scale_down(members.get("scaleDown"), out.scale_down, faults);
    const json::Node* groups = members.get("groups");
    if (!groups || !groups->is_array() || groups->empty()) faults.add("groups", "Required value: a list of at least one group");
    else
      for (const json::Node& node : *groups) {
        NodeGroup group = read_group(node, element("groups", out.groups.size()), faults);
        if (out.find(group.name)) faults.add(element("groups", out.groups.size()) + ".name", "Duplicate value: " + quoted(group.name));
        out.groups.push_back(std::move(group));
      }
  }
  if (!faults.all().empty()) return fail(Code::invalid, join(faults.all(), "; "));
  return out;
}

}  // namespace estiba::autoscale
