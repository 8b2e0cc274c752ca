#include "scheduler/configuration.h"

#include <algorithm>

#include "base/strings.h"
#include "model/check.h"
#include "model/types/kube_scheduler_v1.h"
#include "model/yaml.h"
#include "scheduler/configuration_args.h"

namespace estiba::scheduler {

namespace v1 = model::kube_scheduler_v1;

namespace {

constexpr std::string_view api_version = "kubescheduler.config.k8s.io/v1", kind = "KubeSchedulerConfiguration";

// The extension points, in Kubernetes' order.
enum Point : uint8_t {
  pre_enqueue,
  queue_sort,
  pre_filter,
  filter,
  post_filter,
  pre_score,
  score,
  reserve,
  permit,
  pre_bind,
  bind,
  post_bind
};
struct PointRow {
  std::string_view name;
  model::Opt<v1::PluginSet> v1::Plugins::* set;
};
constexpr PointRow points[] = {{"preEnqueue", &v1::Plugins::preEnqueue},
                               {"queueSort", &v1::Plugins::queueSort},
                               {"preFilter", &v1::Plugins::preFilter},
                               {"filter", &v1::Plugins::filter},
                               {"postFilter", &v1::Plugins::postFilter},
                               {"preScore", &v1::Plugins::preScore},
                               {"score", &v1::Plugins::score},
                               {"reserve", &v1::Plugins::reserve},
                               {"permit", &v1::Plugins::permit},
                               {"preBind", &v1::Plugins::preBind},
                               {"bind", &v1::Plugins::bind},
                               {"postBind", &v1::Plugins::postBind}};

constexpr uint32_t at(auto... point) { return ((1u << point) | ...); }

// Where each plugin has something to say, in Kubernetes.
struct PluginRow {
  std::string_view name;
  uint32_t points;
};
constexpr PluginRow plugins[] = {
    {"SchedulingGates", at(pre_enqueue)},
    {"PrioritySort", at(queue_sort)},
    {"NodeUnschedulable", at(filter)},
    {"NodeName", at(filter)},
    {"TaintToleration", at(filter, pre_score, score)},
    {"NodeAffinity", at(pre_filter, filter, pre_score, score)},
    {"NodePorts", at(pre_filter, filter)},
    {"NodeResourcesFit", at(pre_filter, filter, pre_score, score)},
    {"VolumeRestrictions", at(pre_filter, filter)},
    {"NodeVolumeLimits", at(pre_filter, filter)},
    {"VolumeBinding", at(pre_filter, filter, reserve, pre_bind, pre_score, score)},
    {"VolumeZone", at(pre_filter, filter)},
    {"PodTopologySpread", at(pre_filter, filter, pre_score, score)},
    {"InterPodAffinity", at(pre_filter, filter, pre_score, score)},
    {"DynamicResources", at(pre_enqueue, pre_filter, filter, post_filter, score, reserve, pre_bind)},
    {"DefaultPreemption", at(post_filter)},
    {"NodeResourcesBalancedAllocation", at(pre_score, score)},
    {"ImageLocality", at(score)},
    {"DefaultBinder", at(bind)},
    {"NodeDeclaredFeatures", at(pre_filter, filter)},
};

const v1::Plugin* find(const std::vector<v1::Plugin>& list, std::string_view name) {
  const auto found = std::ranges::find(list, name, &v1::Plugin::name);
  return found == list.end() ? nullptr : &*found;
}

bool disables(const model::Opt<v1::PluginSet>& set, std::string_view name) {
  return set && (find(set->disabled, name) || find(set->disabled, "*"));
}
const v1::Plugin* enabled_in(const model::Opt<v1::PluginSet>& set, std::string_view name) {
  return set ? find(set->enabled, name) : nullptr;
}

// What one profile's `plugins` comes to, as Kubernetes merges it with the defaults: multiPoint first, then each point.
class Choice {
 public:
  explicit Choice(const v1::Plugins& given) : given_(given) {}

  bool is_on(std::string_view name, Point point) const {
    const auto& set = given_.*points[point].set;
    if (enabled_in(set, name)) return true;
    const bool everywhere = enabled_in(given_.multiPoint, name) || !disables(given_.multiPoint, name);
    return everywhere && !disables(set, name);
  }
  /// At all of the points where it has something to say: half a filter is none.
  bool is_on(std::string_view name, std::initializer_list<Point> all) const {
    const auto row = std::ranges::find(plugins, name, &PluginRow::name);
    return std::ranges::all_of(all, [&](Point point) { return (row->points & at(point)) == 0 || is_on(name, point); });
  }
  int64_t weight(std::string_view name, int64_t usual) const {
    const v1::Plugin* named = enabled_in(given_.score, name);
    if (!named) named = enabled_in(given_.multiPoint, name);
    return !named ? usual : named->weight.value_or(0) == 0 ? 1 : *named->weight;
  }

 private:
  const v1::Plugins& given_;
};

void check_set(const model::Opt<v1::PluginSet>& set, const PointRow* point, const std::string& path, Faults& faults) {
  if (!set) return;
  for (size_t i = 0; i < set->enabled.size(); ++i) {
    const v1::Plugin& plugin = set->enabled[i];
    const std::string here = element(path + ".enabled", i);
    const auto row = std::ranges::find(plugins, plugin.name, &PluginRow::name);
    std::string all;
    for (const PluginRow& each : plugins)
      if (!point || (each.points & at(point - points))) all += (all.empty() ? "" : ", ") + quoted(each.name);
    if (row == std::end(plugins) || (point && !(row->points & at(point - points)))) faults.unsupported(here + ".name", plugin.name, all);
    if (find(set->enabled, plugin.name) != &plugin) faults.add(here + ".name", "Duplicate value: " + quoted(plugin.name));
    if (plugin.weight && *plugin.weight < 0)
      faults.invalid(here + ".weight", std::to_string(*plugin.weight), "must be greater than or equal to 0; 0 is 1");
  }
}

void check_percentage(const std::optional<int32_t>& percent, const std::string& field, Faults& faults) {
  if (percent && (*percent < 0 || *percent > 100)) faults.invalid(field, std::to_string(*percent), "not in valid range [0-100]");
}

Profile profile_of(const v1::KubeSchedulerProfile& given, const std::string& path, Faults& faults) {
  Profile out = default_profile();
  out.name = given.schedulerName.value_or("");
  if (out.name.empty()) faults.add(path + ".schedulerName", "Required value");
  check_percentage(given.percentageOfNodesToScore, path + ".percentageOfNodesToScore", faults);
  if (given.percentageOfNodesToScore) out.percent_to_score = *given.percentageOfNodesToScore;

  const v1::Plugins none;
  const v1::Plugins& chosen = given.plugins ? *given.plugins : none;
  for (const PointRow& point : points) check_set(chosen.*point.set, &point, path + ".plugins." + std::string(point.name), faults);
  check_set(chosen.multiPoint, nullptr, path + ".plugins.multiPoint", faults);
  const Choice choice(chosen);
  if (!choice.is_on("PrioritySort", queue_sort))
    faults.add(path + ".plugins.queueSort", "Required value: PrioritySort is the only one there is");
  if (!choice.is_on("DefaultBinder", bind)) faults.add(path + ".plugins.bind", "Required value: DefaultBinder is the only one there is");
  std::erase_if(out.filters, [&](const FilterPlugin& each) { return !choice.is_on(each.name, {pre_filter, filter}); });
  std::erase_if(out.scores, [&](const ScorePlugin& each) { return !choice.is_on(each.name, {pre_score, score}); });
  for (ScorePlugin& each : out.scores) each.weight = choice.weight(each.name, each.weight);
  out.preempts = choice.is_on("DefaultPreemption", post_filter);
  out.binds_claims = choice.is_on("DynamicResources", {pre_filter, filter, reserve, pre_bind});
  out.binds_volumes = choice.is_on("VolumeBinding", {pre_filter, filter, reserve, pre_bind});

  for (size_t i = 0; i < given.pluginConfig.size(); ++i) {
    const v1::PluginConfig& config = given.pluginConfig[i];
    const std::string here = element(path + ".pluginConfig", i);
    for (size_t before = 0; before < i; ++before)
      if (given.pluginConfig[before].name == config.name) faults.add(here, "Duplicate value: " + quoted(config.name));
    read_plugin_args(config.name, config.args, here, out.args, faults);
  }
  return out;
}

void check_server_fields(const v1::KubeSchedulerConfiguration& given, Faults& faults) {
  if (!given.extenders.empty() && given.extenders != "null" && given.extenders != "[]")
    faults.add("extenders", "Forbidden: extenders are not called here; choose nodes by labels, taints or a second scheduler");
  if (given.parallelism && *given.parallelism <= 0)
    faults.invalid("parallelism", std::to_string(*given.parallelism), "should be an integer value greater than zero");
}

void take_rests(const v1::KubeSchedulerConfiguration& given, Configuration& out, Faults& faults) {
  using std::chrono::seconds;
  constexpr int64_t most = 365 * 24 * 3600;
  const auto take = [&](const std::optional<int64_t>& given, Duration& into) {
    if (given) into = seconds(std::clamp<int64_t>(*given, 0, most));
  };
  take(given.podInitialBackoffSeconds, out.first_rest);
  take(given.podMaxBackoffSeconds, out.longest_rest);
  if (given.podInitialBackoffSeconds && *given.podInitialBackoffSeconds <= 0)
    faults.invalid("podInitialBackoffSeconds", std::to_string(*given.podInitialBackoffSeconds), "must be greater than 0");
  if (out.longest_rest < out.first_rest)
    faults.invalid("podMaxBackoffSeconds", std::to_string(out.longest_rest / seconds(1)),
                   "must be greater than or equal to podInitialBackoffSeconds");
}

void take_profiles(std::vector<v1::KubeSchedulerProfile> given, const std::optional<int32_t>& percent, Configuration& out, Faults& faults) {
  if (given.empty()) given.emplace_back();
  // Of several each says for whom it is.
  if (given.size() == 1 && !given[0].schedulerName) given[0].schedulerName = default_profile().name;
  out.profiles.clear();
  for (size_t i = 0; i < given.size(); ++i) {
    const std::string path = element("profiles", i);
    if (!given[i].percentageOfNodesToScore) given[i].percentageOfNodesToScore = percent;
    out.profiles.push_back(profile_of(given[i], path, faults));
    for (size_t before = 0; before < i; ++before)
      if (out.profiles[before].name == out.profiles[i].name)
        faults.add(path + ".schedulerName", "Duplicate value: " + quoted(out.profiles[i].name));
  }
}

}  // namespace

Result<Configuration> parse_configuration(std::string_view text) {
  json::Document doc = TRY(model::parse_yaml(text));
  if (!doc.root().is_object()) return fail(Code::invalid, "it is no mapping; it has to be a " + std::string(kind));
  if (doc.root().string_at("apiVersion") != api_version || doc.root().string_at("kind") != kind)
    return fail(Code::invalid, "it has apiVersion " + quoted(doc.root().string_at("apiVersion")) + " and kind " +
                                   quoted(doc.root().string_at("kind")) + "; it has to be a " + std::string(kind) + " of " +
                                   std::string(api_version));
  Faults faults;
  for (const std::string& field : TRY(model::conform(doc, doc.root(), *v1::KubeSchedulerConfiguration::layout_.type)))
    faults.add(field, "unknown field");
  const auto given = TRY(model::decode<v1::KubeSchedulerConfiguration>(doc.root()));
  Configuration out;
  check_server_fields(given, faults);
  check_percentage(given.percentageOfNodesToScore, "percentageOfNodesToScore", faults);
  take_rests(given, out, faults);
  take_profiles(given.profiles, given.percentageOfNodesToScore, out, faults);
  if (faults.all().empty()) return out;
  return fail(Code::invalid, join(faults.all(), "; "));
}

}  // namespace estiba::scheduler
