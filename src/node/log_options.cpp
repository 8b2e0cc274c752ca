#include "node/log_options.h"

#include "base/strings.h"
#include "base/time.h"

namespace estiba::node {

Result<engine::LogOptions> parse_log_options(const std::function<std::string_view(std::string_view)>& value, WallTime now) {
  engine::LogOptions out;
  auto truth = [&](std::string_view name) { return value(name) == "true" || value(name) == "1"; };
  auto number = [&](std::string_view name, int64_t least) -> Result<std::optional<int64_t>> {
    const std::string_view text = value(name);
    if (text.empty()) return std::nullopt;
    auto parsed = parse_number<int64_t>(text);
    if (!parsed || *parsed < least)
      return fail(Code::malformed, std::string(name) + " must be a number of at least " + std::to_string(least) + ", not " + quoted(text));
    return parsed;
  };
  out.follow = truth("follow");
  out.timestamps = truth("timestamps");
  out.tail_lines = TRY(number("tailLines", 0));
  out.limit_bytes = TRY(number("limitBytes", 1));
  if (auto seconds = TRY(number("sinceSeconds", 1))) out.since = now - std::chrono::seconds(*seconds);
  if (auto time = value("sinceTime"); !time.empty()) out.since = TRY(parse_rfc3339(time));
  const std::string_view stream = value("stream");
  if (stream == "Stdout") out.stream = "stdout";
  else if (stream == "Stderr") out.stream = "stderr";
  else if (!stream.empty() && stream != "All") return fail(Code::malformed, "stream must be All, Stdout or Stderr, not " + quoted(stream));
  return out;
}

}  // namespace estiba::node
