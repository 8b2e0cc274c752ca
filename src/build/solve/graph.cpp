#include "build/solve/graph.h"

#include "base/strings.h"

namespace estiba::build {
namespace {

std::string name_of(const Dockerfile& file, size_t index) {
  return file.stages[index].name.empty() ? std::to_string(index) : file.stages[index].name;
}

class Planner {
 public:
  Planner(const Dockerfile& file, Graph& graph) : file_(file), graph_(graph), state_(file.stages.size(), State::fresh) {}

  Result<void> visit(size_t index, const Place& from) {
    if (state_[index] == State::done) return {};
    if (state_[index] == State::open) return fail_at(from, "circular dependency detected on stage: " + name_of(file_, index));
    state_[index] = State::open;
    const Stage& stage = file_.stages[index];
    if (graph_.nodes[index].base) TRY(visit(*graph_.nodes[index].base, stage.from.place));
    for (const Instruction& instruction : stage.instructions) TRY(instruction_of(index, instruction));
    state_[index] = State::done;
    return {};
  }
  bool needs(size_t index) const { return state_[index] == State::done; }

 private:
  enum class State : unsigned char { fresh, open, done };

  Result<void> instruction_of(size_t index, const Instruction& instruction) {
    std::vector<std::string> names;
    if (instruction.kind == Kind::copy && instruction.flag("from")) names.push_back(instruction.flag_value("from"));
    if (instruction.kind == Kind::run)
      for (const std::string& mount : instruction.flag_values("mount"))
        if (std::string from = mount_from(mount); !from.empty()) names.push_back(from);
    for (const std::string& name : names) {
      auto stage = TRY(stage_of(file_, instruction, name, index));
      if (!stage) continue;
      graph_.nodes[index].copies.insert(*stage);
      TRY(visit(*stage, instruction.place));
    }
    return {};
  }

  const Dockerfile& file_;
  Graph& graph_;
  std::vector<State> state_;
};

}  // namespace

std::string mount_from(std::string_view mount) {
  for (std::string_view field : split(mount, ',')) {
    auto [key, value] = split_once(field, '=');
    if (equals_ignore_case(key, "from")) return std::string(value.value_or(""));
  }
  return {};
}

Result<std::optional<size_t>> stage_of(const Dockerfile& file, const Instruction& instruction, const std::string& name, size_t index) {
  if (name.empty()) return fail_at(instruction.place, "--from needs the name of a stage or of an image");
  if (name.find('$') != name.npos)
    return fail_at(
        instruction.place,
        "'" + name +
            "': variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround");
  if (name == "scratch") return fail_at(instruction.place, "nothing can be copied from scratch: it is empty");
  auto number = parse_number<size_t>(name);
  auto stage = file.find_stage(name);
  if (number && !stage)
    return fail_at(instruction.place,
                   "invalid stage index " + name + ": there are " + std::to_string(file.stages.size()) + " stages, counted from 0");
  if (stage == index)
    return fail_at(instruction.place, "circular dependency detected on stage: " + name_of(file, index) + ": it copies from itself");
  if (!stage) {
    std::vector<std::string_view> names;
    for (const Stage& other : file.stages) names.push_back(other.name);
    // A name without registry, path and tag that is nearly a stage's is a slip of the pen, not an image.
    std::string_view near = name.find_first_of("/:@.") == name.npos ? nearest(to_lower(name), names) : std::string_view{};
    if (!near.empty()) return fail_at(instruction.place, "there is no stage called " + name + " (did you mean " + std::string(near) + "?)");
  }
  return stage;
}

Result<Graph> plan_graph(const Dockerfile& file, const std::vector<std::string>& bases, size_t target) {
  Graph graph;
  graph.nodes.resize(file.stages.size());
  for (size_t i = 0; i < file.stages.size(); ++i) {
    // FROM means earlier stages only, and by name only; anything else is an image.
    for (size_t j = 0; j < i; ++j)
      if (!file.stages[j].name.empty() && equals_ignore_case(file.stages[j].name, bases[i])) graph.nodes[i].base = j;
  }
  Planner planner(file, graph);
  TRY(planner.visit(target, file.stages[target].from.place));
  for (size_t i = 0; i < file.stages.size(); ++i)
    if (planner.needs(i)) graph.needed.push_back(i);
  return graph;
}

}  // namespace estiba::build
