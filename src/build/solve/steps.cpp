// COPY, ADD and WORKDIR; and how a layer that was made becomes part of a stage.
#include "base/strings.h"
#include "base/time.h"
#include "build/context/ignore.h"
#include "build/solve/builder_impl.h"
#include "build/solve/download.h"
#include "image/digest.h"
#include "os/file.h"

namespace estiba::build {
namespace {

/// The last part of a URL's path.
std::string file_name_of(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  size_t scheme = url.find("://");
  std::string_view path = url.substr(scheme == url.npos ? 0 : scheme + 3);
  size_t slash = path.find('/');
  if (slash == path.npos) return {};
  std::string clean = clean_path(path.substr(slash));
  return clean.substr(clean.rfind('/') + 1);
}

bool is_url(std::string_view text) { return text.starts_with("http://") || text.starts_with("https://"); }
bool is_git(std::string_view text) {
  return text.starts_with("git@") || text.starts_with("git://") || text.starts_with("ssh://") ||
         (is_url(text) && split_once(text, '#').first.ends_with(".git"));
}

}  // namespace

std::string Solve::fresh(std::string_view what) { return scratch_ + "/" + std::string(what) + "-" + std::to_string(++names_); }

std::vector<std::string> Solve::layer_paths(const Base& base) const {
  std::vector<std::string> out;
  for (const std::string& chain : base.chains) out.push_back(b_.store->layer_path(chain));
  return out;
}

std::optional<CacheEntry> Solve::cached(const std::string& key) {
  if (request_.no_cache) return std::nullopt;
  return b_.cache.find(key, now());
}

image::Config Solve::config_of(const StageRun& run) const {
  image::Config out = run.settings.config;
  if (out.platform.architecture.empty()) out.platform = image::host_platform();
  if (out.created.empty()) out.created = format_rfc3339(WallTime(std::chrono::seconds(epoch_.value_or(now()))));
  for (const image::MadeLayer& layer : run.base.made) out.diff_ids.push_back(layer.diff_id);
  return out;
}

std::string Solve::image_id(const StageRun& run) const {
  if (!run.changed && run.base.image) return run.base.image->id;
  return image::digest_of(image::print_config(config_of(run)));
}

void Solve::short_id(StageRun& run) { say(run, " ---> " + image::short_digest(image_id(run)) + "\n"); }

void Solve::adopt(StageRun& run, const CacheEntry& entry, std::string created_by, bool from_cache) {
  auto& config = run.settings.config;
  const std::string created = format_rfc3339(WallTime(std::chrono::seconds(entry.created)));
  if (entry.layer) {
    run.base.chains.push_back(entry.layer->chain);
    run.base.made.push_back(*entry.layer);
  }
  config.created = created;
  config.history.push_back({created, std::move(created_by), config.author, "", !entry.layer});
  run.all_cached &= from_cache;
  run.changed = true;
  if (from_cache) say(run, " ---> Using cache\n");
  short_id(run);
}

Task<Result<CacheEntry>> Solve::commit(StageRun& run, std::string upper) {
  std::shared_ptr<image::Store> store = b_.store;
  CacheEntry entry{epoch_.value_or(now()), now(), {}, {}};
  image::CommitOptions options;
  options.epoch = epoch_;
  auto layer = CO_TRY(co_await b_.pool.run([store, upper, below = run.base.chains, options]() -> Result<std::optional<image::MadeLayer>> {
    if (!os::exists(upper) || TRY(os::list_dir(upper)).empty()) return std::nullopt;
    return TRY(image::commit_layer(*store, upper, below, options));
  }));
  entry.layer = std::move(layer);
  co_return entry;
}

Task<Result<void>> Solve::make_working_dir(StageRun& run, const Instruction& instruction) {
  const std::string path = run.settings.config.working_dir;
  const std::string text = "WORKDIR " + path;
  const std::string key = cache_key({"workdir", run.base.top(), epoch_text(), path});
  auto hit = cached(key);
  if (hit) {
    adopt(run, *hit, text, true);
    co_return Result<void>();
  }
  const std::string upper = fresh("upper");
  auto made = co_await b_.pool.run([layers = layer_paths(run.base), path, upper, time = epoch_.value_or(now())]() -> Result<void> {
    LayeredTree tree(layers);
    auto there = TRY(tree.look(TRY(tree.resolve(path, true))));
    if (there && there->type == FileInfo::Type::directory) return {};
    if (there) return fail(Code::invalid, "Cannot mkdir: " + path + " is not a directory");
    auto layer = TRY(Upper::open(layers, upper));
    TRY(layer->make_directory(path, 0755, {}, time));
    return layer->finish();
  });
  if (!made) co_return fail_at(instruction.place, made.error().message, made.error().code);
  CacheEntry entry = CO_TRY(co_await commit(run, upper));
  remember(key, entry);
  adopt(run, entry, text, false);
  co_return Result<void>();
}

Task<Result<CopyPart>> Solve::tree_of(StageRun& run, const Instruction& instruction, std::string from) {
  auto stage = CO_TRY(stage_of(file_, instruction, from, run.index));
  Base base;
  if (stage) {
    StageRun& other = *by_index_[*stage];
    co_await other.done.wait();
    if (!other.succeeded) co_return fail(Code::cancelled, "a stage that is copied from has failed");
    base = other.base;
  } else {
    auto record = CO_TRY(co_await find_image(from, instruction.place));
    StageRun image;
    CO_TRY(adopt_image(image, record, instruction.place));
    base = std::move(image.base);
  }
  CopyPart part;
  part.tree = std::make_shared<LayeredTree>(layer_paths(base));
  part.identity = base.top();
  part.request.keep_owner = true;
  co_return part;
}

Result<CopyRequest> Solve::copy_request(StageRun& run, const Instruction& instruction) const {
  CopyRequest out;
  const Variables variables = run.settings.variables();
  out.keyword = to_string(instruction.kind);
  out.working_dir = run.settings.config.working_dir.empty() ? "/" : run.settings.config.working_dir;
  out.destination = TRY(expand_at(instruction, instruction.words.back(), variables, file_.escape));
  if (out.destination.empty()) return fail_at(instruction.place, out.keyword + ": the destination is empty");
  out.parents = instruction.flag_on("parents");
  out.unpack = instruction.kind == Kind::add && (!instruction.flag("unpack") || instruction.flag_on("unpack"));
  for (const std::string& pattern : instruction.flag_values("exclude"))
    out.exclude.push_back(TRY(expand_at(instruction, pattern, variables, file_.escape)));
  if (instruction.flag("chown")) {
    std::string text = TRY(expand_at(instruction, instruction.flag_value("chown"), variables, file_.escape));
    auto owner = look_up_owner(LayeredTree(layer_paths(run.base)), text);
    if (!owner) return fail_at(instruction.place, owner.error().message);
    out.owner = *owner;
  }
  if (instruction.flag("chmod")) {
    std::string text = TRY(expand_at(instruction, instruction.flag_value("chmod"), variables, file_.escape));
    out.mode = parse_number<uint32_t>(text, 8);
    if (!out.mode || *out.mode > 07777)
      return fail_at(instruction.place, "invalid chmod parameter: '" + text + "'. it should be octal string and between 0 and 07777");
  }
  return out;
}

Task<Result<std::vector<CopyPart>>> Solve::copy_parts(StageRun& run, const Instruction& instruction) {
  CopyRequest request = CO_TRY(copy_request(run, instruction));
  const Variables variables = run.settings.variables();
  std::vector<CopyPart> out;
  if (!instruction.heredocs.empty()) {
    CopyPart part{nullptr, request, ""};
    const std::string directory = fresh("inline");
    CO_TRY(os::make_dirs(directory));
    for (const Heredoc& heredoc : instruction.heredocs) {
      std::string content = heredoc.content;
      if (heredoc.expand) {
        auto expanded = expand_text(content, variables);
        if (!expanded) co_return fail_at(instruction.place, expanded.error().message);
        content = std::move(*expanded);
      }
      std::string name = heredoc.name.substr(heredoc.name.rfind('/') + 1);
      CO_TRY(os::write_file(directory + "/" + name, content, O_CREAT | O_TRUNC, 0644));
      part.request.sources.push_back(name);
    }
    part.request.unpack = false;
    part.tree = std::make_shared<LayeredTree>(std::vector<std::string>{directory});
    out.push_back(std::move(part));
  }
  CopyPart local{request_.context, request, ""};
  if (instruction.flag("from")) {
    local = CO_TRY(co_await tree_of(run, instruction, instruction.flag_value("from")));
    request.keep_owner = true;
    local.request = request;
  }
  for (size_t i = 0; i + 1 < instruction.words.size(); ++i) {
    const std::string& word = instruction.words[i];
    bool inlined = false;
    for (const Heredoc& heredoc : instruction.heredocs) inlined |= heredoc.opening == word;
    if (inlined) continue;
    std::string source = CO_TRY(expand_at(instruction, word, variables, file_.escape));
    if (instruction.kind == Kind::add && is_git(source))
      co_return fail_at(instruction.place, "ADD from a Git repository is not offered: clone it beside the Dockerfile, or in a RUN",
                        Code::unsupported);
    if (instruction.kind == Kind::add && is_url(source)) out.push_back(CO_TRY(co_await download(instruction, source, request)));
    else local.request.sources.push_back(std::move(source));
  }
  if (!local.request.sources.empty()) out.push_back(std::move(local));
  if (instruction.flag("checksum") && (out.size() != 1 || out[0].tree == request_.context))
    co_return fail_at(instruction.place, "checksum can't be specified for non-HTTP(S) sources");
  if (out.size() > 1 && !request.destination.ends_with('/'))
    co_return fail_at(instruction.place, "When using " + request.keyword +
                                             " with more than one source file, the destination must be a directory and end with a /");
  co_return out;
}

Task<Result<CopyPart>> Solve::download(const Instruction& instruction, std::string url, CopyRequest request) {
  std::string name = file_name_of(url);
  if (name.empty() && request.destination.ends_with('/'))
    co_return fail_at(instruction.place, "cannot determine filename from url: " + url + ": name the file in the destination");
  if (name.empty()) name = "download";
  const std::string directory = fresh("download");
  CO_TRY(os::make_dirs(directory));
  auto digest = co_await download_file(url, directory + "/" + name, b_.pool);
  if (!digest) co_return fail_at(instruction.place, "ADD failed: " + digest.error().message, digest.error().code);
  if (instruction.flag("checksum")) {
    std::string wanted = CO_TRY(expand_at(instruction, instruction.flag_value("checksum"), {}, file_.escape));
    if (!image::valid_digest(wanted))
      co_return fail_at(instruction.place, "invalid checksum " + quoted(wanted) + ": sha256:<64 hex digits> is expected");
    if (wanted != *digest) co_return fail_at(instruction.place, "digest mismatch " + *digest + ": " + wanted);
  }
  request.sources = {name};
  // What is downloaded is not unpacked unless that is asked for.
  request.unpack = instruction.flag_on("unpack");
  if (!request.mode) request.mode = 0600;
  co_return CopyPart{std::make_shared<LayeredTree>(std::vector<std::string>{directory}), std::move(request), ""};
}

Task<Result<PlannedCopy>> Solve::plan(std::vector<CopyPart> parts) {
  PlannedCopy out{std::move(parts), {}};
  for (CopyPart& part : out.parts) {
    std::string memo;
    if (!part.identity.empty()) {
      std::string request = part.request.parents ? "p" : "-";
      for (const auto& text : part.request.sources) request += '\0' + text;
      for (const auto& text : part.request.exclude) request += "\0x" + text;
      if (part.request.owner) request += "\0o" + std::to_string(part.request.owner->uid) + ":" + std::to_string(part.request.owner->gid);
      if (part.request.mode) request += "\0m" + std::to_string(*part.request.mode);
      memo = cache_key({"tree", part.identity, request});
      if (auto known = cached(memo)) {
        out.digest += known->value;
        continue;
      }
    }
    part.plan = CO_TRY(co_await b_.pool.run([part]() -> Result<std::shared_ptr<const CopyPlan>> {
      return std::make_shared<const CopyPlan>(TRY(plan_copy(*part.tree, part.request)));
    }));
    if (!memo.empty()) remember(memo, {now(), now(), {}, part.plan->digest});
    out.digest += part.plan->digest;
  }
  co_return out;
}

Task<Result<void>> Solve::write_copy(StageRun& run, std::vector<CopyPart> parts, std::string upper) {
  co_return co_await b_.pool.run(
      [layers = layer_paths(run.base), parts = std::move(parts), upper, scratch = fresh("unpack")]() -> Result<void> {
        TRY(os::make_dirs(scratch));
        auto layer = TRY(Upper::open(layers, upper));
        for (CopyPart part : parts) {
          if (!part.plan) part.plan = std::make_shared<const CopyPlan>(TRY(plan_copy(*part.tree, part.request)));
          part.request.take = !part.request.unpack;  // what is unpacked may write to files that were copied
          TRY(perform_copy(*part.tree, part.request, *part.plan, *layer, scratch));
        }
        return {};
      });
}

Task<Result<void>> Solve::copy(StageRun& run, const Instruction& instruction) {
  auto parts = CO_TRY(co_await copy_parts(run, instruction));
  auto planned = co_await plan(std::move(parts));
  if (!planned) co_return fail_at(instruction.place, planned.error().message, planned.error().code);
  const CopyRequest& request = planned->parts[0].request;
  const std::string key = cache_key(
      {"copy", run.base.top(), epoch_text(), planned->digest, request.working_dir, request.destination, request.unpack ? "u" : "-"});
  if (auto hit = cached(key)) {
    adopt(run, *hit, instruction.text, true);
    co_return Result<void>();
  }
  const std::string upper = fresh("upper");
  auto written = co_await write_copy(run, std::move(planned->parts), upper);
  if (!written) co_return fail_at(instruction.place, written.error().message, written.error().code);
  auto entry = co_await commit(run, upper);
  if (!entry) co_return fail_at(instruction.place, entry.error().message, entry.error().code);
  remember(key, *entry);
  adopt(run, *entry, instruction.text, false);
  co_return Result<void>();
}

}  // namespace estiba::build
