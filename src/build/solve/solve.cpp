#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "build/dockerfile/lint.h"
#include "build/solve/builder_impl.h"
#include "image/digest.h"
#include "image/reference.h"

namespace estiba::build {
namespace {

std::string platform_text(const image::Platform& platform) { return platform.os + "/" + platform.architecture; }

Variables platform_arguments() {
  const image::Platform host = image::host_platform();
  Variables out;
  for (std::string side : {"TARGET", "BUILD"}) {
    out[side + "PLATFORM"] = platform_text(host) + (host.variant.empty() ? "" : "/" + host.variant);
    out[side + "OS"] = host.os;
    out[side + "ARCH"] = host.architecture;
    out[side + "VARIANT"] = host.variant;
  }
  return out;
}

}  // namespace

Solve::Solve(Builder::Impl& builder, BuildRequest& request, BuildOutput& output, std::string scratch)
    : b_(builder), request_(request), output_(output), scratch_(std::move(scratch)), platform_(platform_arguments()) {}

int64_t Solve::now() const {
  return std::chrono::duration_cast<std::chrono::seconds>(Executor::current()->wall_now().time_since_epoch()).count();
}

Result<void> Solve::read_dockerfile() {
  std::string text;
  if (request_.dockerfile_text) {
    text = *request_.dockerfile_text;
  } else {
    std::string path = TRY(request_.context->resolve(request_.dockerfile, true));
    auto info = TRY(request_.context->look(path));
    if (!info || info->type != FileInfo::Type::file)
      return fail(Code::not_found,
                  "Cannot locate specified Dockerfile: " + request_.dockerfile + ": it is not in the build context; name it with -f");
    text = TRY_AS(request_.dockerfile, request_.context->read(path, 16 << 20));
  }
  if (trim(text).empty()) return fail(Code::malformed, "the Dockerfile (" + request_.dockerfile + ") cannot be empty");
  file_ = TRY(parse_dockerfile(text, request_.dockerfile));
  return leave_out();
}

/// Clients leave out what .dockerignore names before they send, but not all of them do; the Dockerfile has been read by now.
Result<void> Solve::leave_out() {
  has_ignore_ = request_.context->files() <= 1;  // a file alone has nothing to ignore
  for (const std::string& name : {request_.dockerfile + ".dockerignore", std::string(".dockerignore")}) {
    auto info = TRY(request_.context->look(clean_path(name)));
    if (!info || info->type != FileInfo::Type::file) continue;
    IgnoreRules rules = TRY(IgnoreRules::parse(TRY(request_.context->read(clean_path(name), 4 << 20)), name));
    has_ignore_ = true;
    request_.context->leave_out(rules);
    return {};
  }
  return {};
}

Result<void> Solve::check_platform(const std::string& platform, const Place& place) const {
  if (platform.empty()) return {};
  const image::Platform host = image::host_platform();
  auto parts = split(platform, '/');
  std::string architecture(parts.size() > 1 ? parts[1] : parts[0]);
  if (architecture == "x86_64" || architecture == "x86-64") architecture = "amd64";
  if (architecture == "aarch64") architecture = "arm64";
  bool os = parts.size() == 1 || parts[0] == "linux";
  if (os && (architecture == host.architecture || platform == "linux")) return {};
  return fail_at(place, "the platform " + platform + " is not offered: this machine builds " + platform_text(host) + " only",
                 Code::unsupported);
}

Result<void> Solve::remark() {
  warnings_ = lint(file_, {.has_dockerignore = has_ignore_, .target = target_});
  if (warnings_are_errors(file_) && !warnings_.empty())
    return fail(Code::invalid, request_.dockerfile + ":" + std::to_string(warnings_[0].line) +
                                   ": lint violation found for rules: " + warnings_[0].rule + ": " + warnings_[0].message);
  return {};
}

Result<void> Solve::choose_target() {
  target_ = file_.stages.size() - 1;
  if (request_.target.empty()) return {};
  auto found = file_.find_stage(request_.target);
  if (!found) {
    std::vector<std::string_view> names;
    for (const Stage& stage : file_.stages) names.push_back(stage.name);
    return fail(Code::invalid, "failed to reach build target " + request_.target + " in Dockerfile" + did_you_mean(request_.target, names));
  }
  target_ = *found;
  return {};
}

Result<void> Solve::prepare() {
  TRY(read_dockerfile());
  TRY(choose_target());
  TRY(remark());
  TRY(check_platform(request_.platform, {request_.dockerfile, 0, {}}));
  for (const Instruction& arg : file_.globals) {
    for (const Pair& pair : arg.pairs) {
      Variables known = platform_;
      for (const auto& [name, value] : globals_) known[name] = value;
      std::optional<std::string> value;
      if (pair.has_value) value = TRY(expand_at(arg, pair.value, known, file_.escape));
      if (auto it = request_.arguments.find(pair.name); it != request_.arguments.end()) value = it->second;
      used_arguments_.insert(pair.name);
      if (value) globals_[pair.name] = *value;
    }
  }
  Variables known = platform_;
  for (const auto& [name, value] : globals_) known[name] = value;
  for (const Stage& stage : file_.stages) {
    std::string base = TRY(expand_at(stage.from, stage.base, known, file_.escape));
    if (trim(base).empty()) return fail_at(stage.from.place, "base name (" + stage.base + ") should not be blank: give the ARG a value");
    bases_.push_back(base);
    TRY(check_platform(TRY(expand_at(stage.from, stage.platform, known, file_.escape)), stage.from.place));
  }
  if (auto it = request_.arguments.find("SOURCE_DATE_EPOCH"); it != request_.arguments.end()) {
    epoch_ = parse_number<int64_t>(it->second);
    if (!epoch_ || *epoch_ < 0)
      return fail(Code::invalid, "invalid SOURCE_DATE_EPOCH " + quoted(it->second) + ": seconds since 1970 are expected");
    used_arguments_.insert("SOURCE_DATE_EPOCH");
  }
  for (const std::string& tag : request_.tags) TRY_AS("invalid tag " + quoted(tag), image::parse_reference(tag));
  graph_ = TRY(plan_graph(file_, bases_, target_));
  by_index_.resize(file_.stages.size());
  for (size_t index : graph_.needed) {
    auto run = std::make_unique<StageRun>();
    run->index = index;
    run->position = runs_.size();
    run->first_step = steps_ + 1;
    steps_ += 1 + file_.stages[index].instructions.size();
    for (const Instruction& instruction : file_.stages[index].instructions) context_uses_ += uses_context(instruction);
    by_index_[index] = run.get();
    runs_.push_back(std::move(run));
  }
  steps_ += !request_.labels.empty();
  return {};
}

Task<Result<BuildResult>> Solve::run() {
  CO_TRY(prepare());
  std::shared_ptr<image::Store> store = b_.store;
  adding_ = CO_TRY(co_await b_.pool.run([store] { return store->adding(); }));
  for (size_t i = 0; i < runs_.size(); ++i) tasks_.start(stage_task(i));
  co_await ended_.wait();
  tasks_.cancel();
  if (failure_) co_return std::unexpected(std::move(*failure_));
  co_return co_await finish();
}

std::string Solve::stage_label(const StageRun& run) const {
  const Stage& stage = file_.stages[run.index];
  if (!stage.name.empty()) return "stage " + stage.name;
  return file_.stages.size() > 1 ? "stage " + std::to_string(run.index) : "";
}

void Solve::say(StageRun& run, std::string text) {
  if (run.position == head_) output_.text(std::move(text));
  else run.pending += text;
}

void Solve::stage_ended(StageRun& run) {
  run.done.set();
  while (head_ < runs_.size() && runs_[head_]->done.is_set() && runs_[head_]->succeeded) {
    ++head_;
    if (head_ < runs_.size() && !runs_[head_]->pending.empty()) output_.text(std::exchange(runs_[head_]->pending, {}));
  }
  if (head_ == runs_.size()) ended_.set();
}

void Solve::fail_build(StageRun& run, Error error) {
  if (!failure_) {
    failure_ = std::move(error);
    if (!run.pending.empty()) output_.text(std::exchange(run.pending, {}));
  }
  run.done.set();
  ended_.set();
}

Task<void> Solve::stage_task(size_t position) {
  StageRun& run = *runs_[position];
  auto result = co_await stage(run);
  if (failure_) co_return;
  if (!result) {
    fail_build(run, std::move(result.error()));
    co_return;
  }
  run.succeeded = true;
  stage_ended(run);
}

Task<Result<void>> Solve::stage(StageRun& run) {
  const Stage& stage = file_.stages[run.index];
  CO_TRY(co_await from(run));
  CO_TRY(co_await triggers(run));
  size_t number = run.first_step;
  for (const Instruction& instruction : stage.instructions) {
    ++number;
    CO_TRY(
        co_await step(run, instruction, "Step " + std::to_string(number) + "/" + std::to_string(steps_) + " : " + instruction.text + "\n"));
  }
  add_labels(run);
  co_return Result<void>();
}

Task<Result<void>> Solve::from(StageRun& run) {
  const Stage& stage = file_.stages[run.index];
  const Place place = stage.from.place;
  const auto parent = graph_.nodes[run.index].base;
  if (parent) {
    StageRun& before = *by_index_[*parent];
    co_await before.done.wait();
    if (!before.succeeded) co_return fail(Code::cancelled, "the stage before has failed");
    run.base = before.base;
    run.settings.config = before.settings.config;
    run.all_cached = before.all_cached;
    run.changed = before.changed;
  }
  say(run, "Step " + std::to_string(run.first_step) + "/" + std::to_string(steps_) + " : " + stage.from.text + "\n");
  if (!parent && bases_[run.index] == "scratch") {
    run.settings.config.platform = image::host_platform();
    say(run, " ---> \n");
    co_return Result<void>();
  }
  if (!parent) {
    auto record = CO_TRY(co_await find_image(bases_[run.index], place));
    CO_TRY(adopt_image(run, record, place));
  }
  short_id(run);
  co_return Result<void>();
}

Task<Result<image::Record>> Solve::find_image(std::string name, Place place) {
  std::shared_ptr<image::Store> store = b_.store;
  if (!request_.pull || image::is_image_id(name)) {
    auto found = co_await b_.pool.run([store, name] { return store->find(name); });
    if (found && *found) co_return std::move(**found);
  }
  auto reference = image::parse_reference(name);
  if (!reference)
    co_return fail_at(place, "failed to parse stage name " + quoted(name) + ": invalid reference format: " + reference.error().message);
  auto policy = request_.pull ? engine::PullPolicy::always : engine::PullPolicy::if_not_present;
  std::vector<engine::Credentials> credentials;
  if (auto it = request_.credentials.find(reference->registry); it != request_.credentials.end()) credentials.push_back(it->second);
  auto pulled = co_await b_.engine.ensure_image(reference->text(), policy, std::move(credentials));
  if (!pulled) co_return fail_at(place, pulled.error().message, pulled.error().code);
  std::string id = pulled->id;
  auto found = CO_TRY(co_await b_.pool.run([store, id] { return store->find(id); }));
  if (!found) co_return fail_at(place, "No such image: " + name, Code::not_found);
  co_return std::move(*found);
}

Result<void> Solve::adopt_image(StageRun& run, const image::Record& record, const Place& place) {
  auto config = TRY(b_.store->config(record.id));
  if (!config->platform.architecture.empty() && config->platform.architecture != image::host_platform().architecture)
    return fail_at(place,
                   "the image is for " + platform_text(config->platform) + ", and this machine builds " +
                       platform_text(image::host_platform()) + " only",
                   Code::unsupported);
  run.base.image = record;
  run.settings.config = *config;
  std::string chain;
  for (const std::string& diff : config->diff_ids) {
    chain = image::chain_id(chain, diff);
    run.base.chains.push_back(chain);
  }
  return {};
}

Task<Result<void>> Solve::triggers(StageRun& run) {
  if (graph_.nodes[run.index].base && run.settings.config.on_build.empty()) co_return Result<void>();
  auto lines = std::exchange(run.settings.config.on_build, {});
  if (lines.empty()) co_return Result<void>();
  say(run, "# Executing " + std::to_string(lines.size()) + " build trigger" + (lines.size() == 1 ? "" : "s") + "\n");
  for (const std::string& line : lines) {
    auto list = parse_changes(line, file_.file);
    if (!list) co_return fail_at(file_.stages[run.index].from.place, "ONBUILD trigger of the base image: " + list.error().message);
    for (const Instruction& instruction : *list) context_uses_ += uses_context(instruction);
    for (Instruction& instruction : *list) {
      instruction.place = {file_.file, file_.stages[run.index].from.place.line, "ONBUILD " + instruction.text};
      CO_TRY(co_await step(run, instruction, "Trigger : " + instruction.text + "\n"));
    }
  }
  co_return Result<void>();
}

bool Solve::uses_context(const Instruction& instruction) const {
  if (instruction.kind == Kind::copy || instruction.kind == Kind::add) return !instruction.flag("from");
  if (instruction.kind != Kind::run) return false;
  for (std::string_view mount : instruction.flag_values("mount")) {
    const bool other_type = mount.find("type=") != mount.npos && mount.find("type=bind") == mount.npos && mount.find('$') == mount.npos;
    if (!other_type && mount_from(mount).empty()) return true;
  }
  return false;
}

/// What steps to come read of the context is taken in, if it still lies with the client.
Task<Result<void>> Solve::settle_context() {
  if (context_uses_ == 0) co_return Result<void>();
  co_return co_await b_.pool.run([context = request_.context] { return context->settle(); });
}

Task<Result<void>> Solve::step(StageRun& run, const Instruction& instruction, std::string label) {
  say(run, std::move(label));
  if (instruction.kind == Kind::run) CO_TRY(co_await run_command(run, instruction));
  else if (instruction.kind == Kind::copy || instruction.kind == Kind::add) CO_TRY(co_await copy(run, instruction));
  else CO_TRY(co_await setting(run, instruction));
  if (uses_context(instruction)) --context_uses_;
  co_return Result<void>();
}

Task<Result<void>> Solve::setting(StageRun& run, const Instruction& instruction) {
  if (instruction.kind == Kind::arg)
    for (const Pair& pair : instruction.pairs) used_arguments_.insert(pair.name);
  const ArgumentSources sources{request_.arguments, globals_, platform_};
  std::string text = CO_TRY(apply(instruction, file_.escape, sources, run.settings));
  if (instruction.kind == Kind::workdir) {
    CO_TRY(co_await make_working_dir(run, instruction));
    co_return Result<void>();
  }
  adopt_setting(run, std::move(text));
  co_return Result<void>();
}

void Solve::adopt_setting(StageRun& run, std::string text) {
  const std::string key = cache_key({"setting", run.base.top(), epoch_text(), text, image::print_config(run.settings.config)});
  auto hit = cached(key);
  CacheEntry entry = hit.value_or(CacheEntry{epoch_.value_or(now()), now(), {}, {}});
  if (!hit) remember(key, entry);
  adopt(run, entry, std::move(text), hit.has_value());
}

/// Labels of the request are one instruction more of the target, as Docker has it.
void Solve::add_labels(StageRun& run) {
  if (request_.labels.empty() || run.index != target_) return;
  std::string text = "LABEL";
  for (const auto& [name, value] : request_.labels) {
    text += " " + name + "=" + value;
    run.settings.config.labels[name] = value;
  }
  say(run, "Step " + std::to_string(steps_) + "/" + std::to_string(steps_) + " : " + text + "\n");
  adopt_setting(run, std::move(text));
}

Task<Result<BuildResult>> Solve::finish() {
  StageRun& run = *by_index_[target_];
  std::vector<std::string> tags;
  for (const std::string& tag : request_.tags) tags.push_back(CO_TRY(image::parse_reference(tag)).key());
  std::shared_ptr<image::Store> store = b_.store;
  auto make = [store, config = config_of(run), base = run.base, tags, changed = run.changed]() -> Result<image::Record> {
    if (changed || !base.image) return image::make_image(*store, config, base.image ? &*base.image : nullptr, base.made, tags);
    for (const std::string& tag : tags) TRY(store->tag(base.image->id, tag));
    return *base.image;
  };
  auto record = CO_TRY(co_await b_.pool.run(std::move(make)));
  for (const auto& [name, value] : request_.arguments)
    if (!used_arguments_.contains(name) && !is_proxy_argument(name) && !platform_.contains(name) && !name.starts_with("BUILDKIT_"))
      output_.text("[Warning] One or more build-args [" + name + "] were not consumed\n");
  co_return BuildResult{record.id, warnings_};
}

}  // namespace estiba::build
