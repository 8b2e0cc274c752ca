#include "cli/docker/format.h"

#include <cmath>
#include <ctime>

#include "base/strings.h"
#include "base/time.h"

namespace estiba::cli::docker {

std::string human_duration(double seconds) {
  const int64_t whole = int64_t(seconds);
  if (whole < 1) return "Less than a second";
  if (whole == 1) return "1 second";
  if (whole < 60) return std::to_string(whole) + " seconds";
  const int64_t minutes = whole / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return std::to_string(minutes) + " minutes";
  const int64_t hours = int64_t(seconds / 3600 + 0.5);
  if (hours == 1) return "About an hour";
  if (hours < 48) return std::to_string(hours) + " hours";
  if (hours < 24 * 7 * 2) return std::to_string(hours / 24) + " days";
  if (hours < 24 * 30 * 2) return std::to_string(hours / 24 / 7) + " weeks";
  if (hours < 24 * 365 * 2) return std::to_string(hours / 24 / 30) + " months";
  return std::to_string(whole / 3600 / 24 / 365) + " years";
}

std::string ago(int64_t unix_seconds) {
  if (unix_seconds <= 0) return "N/A";
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return human_duration(double(now.tv_sec - unix_seconds)) + " ago";
}

static std::string scaled(double value, double base, const char* const* units, size_t count, int precision) {
  size_t unit = 0;
  while (value >= base && unit + 1 < count) {
    value /= base;
    ++unit;
  }
  char text[64];
  std::snprintf(text, sizeof text, "%.*g%s", precision, value, units[unit]);
  return text;
}

std::string human_size(double bytes, int precision) {
  static constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
  return scaled(bytes, 1000, units, std::size(units), precision);
}

std::string binary_size(double bytes) {
  static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
  return scaled(bytes, 1024, units, std::size(units), 4);
}

std::string short_id(std::string_view id) {
  if (const size_t colon = id.find(':'); colon != id.npos) id.remove_prefix(colon + 1);
  return std::string(id.substr(0, 12));
}

static size_t runes(std::string_view text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string ellipsis(std::string_view text, size_t width) {
  if (width == 0 || runes(text) <= width) return std::string(width ? text : "");
  size_t end = 0, count = 0;
  for (; end < text.size(); ++end)
    if ((text[end] & 0xc0) != 0x80 && count++ == width - 1) break;
  return std::string(text.substr(0, end)) + "\u2026";
}

std::optional<std::pair<int64_t, int64_t>> unix_time(std::string_view rfc3339) {
  if (rfc3339.empty() || rfc3339.starts_with("0001-")) return std::nullopt;
  auto time = parse_rfc3339(rfc3339);
  if (!time) return std::nullopt;
  const int64_t ns = time->time_since_epoch().count();
  return std::pair(ns / 1'000'000'000, ns % 1'000'000'000);
}

std::string go_time(int64_t unix_seconds, int64_t nanoseconds) {
  std::tm tm{};
  const std::time_t t = unix_seconds;
  localtime_r(&t, &tm);
  char text[64], zone[64], fraction[16] = "";
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
  std::strftime(zone, sizeof zone, " %z %Z", &tm);
  if (nanoseconds > 0) std::snprintf(fraction, sizeof fraction, ".%09d", int(nanoseconds));
  std::string_view digits = fraction;
  while (digits.ends_with('0')) digits.remove_suffix(1);
  return text + std::string(digits) + zone;
}

// --- columns ----------------------------------------------------------------------------------------------------------------

std::string align(std::string_view text, size_t minimal_width, size_t padding) {
  std::vector<std::vector<std::string_view>> lines;
  const bool ends = text.ends_with('\n');
  if (ends) text.remove_suffix(1);
  for (std::string_view line : split(text, '\n')) lines.push_back(split(line, '\t'));
  // The width of a cell's column is that of the lines around it, without a break, that have the column too. The last cell of a
  // line belongs to no column: no tab ends it.
  std::vector<std::vector<size_t>> widths(lines.size());
  for (size_t i = 0; i < lines.size(); ++i) widths[i].assign(lines[i].size(), 0);
  for (size_t i = 0; i < lines.size(); ++i) {
    for (size_t column = 0; column + 1 < lines[i].size(); ++column) {
      if (widths[i][column]) continue;
      size_t end = i, width = minimal_width;
      for (; end < lines.size() && column + 1 < lines[end].size(); ++end) width = std::max(width, runes(lines[end][column]) + padding);
      for (size_t j = i; j < end; ++j) widths[j][column] = width;
    }
  }
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    for (size_t column = 0; column < lines[i].size(); ++column) {
      out += lines[i][column];
      if (widths[i][column]) out.append(widths[i][column] - runes(lines[i][column]), ' ');
    }
    if (i + 1 < lines.size() || ends) out += '\n';
  }
  return out;
}

std::string indent_json(std::string_view compact) {
  std::string out;
  size_t depth = 0;
  bool in_string = false;
  auto line = [&] {
    out += '\n';
    out.append(depth * 4, ' ');
  };
  for (size_t i = 0; i < compact.size(); ++i) {
    const char c = compact[i];
    if (in_string) {
      out += c;
      if (c == '\\' && i + 1 < compact.size()) out += compact[++i];
      else if (c == '"') in_string = false;
      continue;
    }
    switch (c) {
      case ' ':
      case '\n':
      case '\t':
      case '\r': break;
      case '"':
        in_string = true;
        out += c;
        break;
      case '{':
      case '[': {
        out += c;
        const size_t next = compact.find_first_not_of(" \t\r\n", i + 1);
        if (next != compact.npos && (compact[next] == '}' || compact[next] == ']')) {
          out += compact[next];
          i = next;
        } else {
          ++depth;
          line();
        }
        break;
      }
      case '}':
      case ']':
        if (depth > 0) --depth;
        line();
        out += c;
        break;
      case ',':
        out += c;
        line();
        break;
      case ':': out += ": "; break;
      default: out += c;
    }
  }
  return out;
}

std::string print_list(const std::vector<std::string>& elements) {
  if (elements.empty()) return "[]\n";
  return indent_json("[" + join(elements, ",") + "]") + "\n";
}

// --- lists ------------------------------------------------------------------------------------------------------------------

static std::string unescape(std::string_view format) {
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] == '\\' && i + 1 < format.size() && (format[i + 1] == 't' || format[i + 1] == 'n'))
      out += format[++i] == 't' ? '\t' : '\n';
    else out += format[i];
  }
  return out;
}

static std::unexpected<Error> parsing_error(const Error& error) { return fail(Code::invalid, "template parsing error: " + error.message); }

Result<void> Listing::start(std::string_view format, bool quiet_wanted, std::string_view table, std::string_view quiet) {
  format = trim(format);
  std::string_view used = format;
  if (format.empty() || format == "table") {
    used = quiet_wanted ? quiet : table;
    table_ = !quiet_wanted;
  } else if (format == "json") {
    used = "{{json .}}";
    json_ = true;
  } else if (format.starts_with("table")) {
    used = trim(format.substr(5));
    table_ = true;
  }
  auto parsed = Template::parse(unescape(used));
  if (!parsed) return fail(Code::invalid, "failed to parse template: " + parsed.error().message);
  template_ = std::move(*parsed);
  if (!table_) return {};
  json::Node& headers = document_.make_object();
  for (const Column& column : columns_) set(headers, column.field, column.header);
  TRY_AS("failed to execute template", template_->execute(headers, out_, {.type = type_, .headers = true}));
  out_ += '\n';
  return {};
}

Result<void> Listing::add(const json::Node& row, const json::Node* labels) {
  static const json::Document none = [] {
    json::Document document;
    document.set_root(document.make_object());
    return document;
  }();
  const json::Node* data = &row;
  if (json_) {  // Go prints a map's members in order
    std::vector<const json::Node*> members;
    for (const json::Node& each : row) members.push_back(&each);
    std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key() < b->key(); });
    json::Node& sorted = document_.make_object();
    for (const json::Node* each : members) document_.add(sorted, each->key(), document_.copy(*each));
    data = &sorted;
  }
  TRY_AS("failed to execute template",
         template_->execute(*data, out_,
                            {.type = type_, .escape_whole = true, .labels = labels && labels->is_object() ? labels : &none.root()}));
  out_ += '\n';
  return {};
}

Result<std::string> Listing::finish() {
  std::string out = std::exchange(out_, {});
  return table_ ? align(out) : out;
}

Result<Template> parse_format(std::string_view format) {
  auto parsed = Template::parse(format == "json" ? "{{json .}}" : format);
  if (!parsed) return parsing_error(parsed.error());
  return parsed;
}

Result<std::string> format_object(const Template& format, const json::Node& object) {
  // What Docker's types leave out of the JSON when it is not set; a template may still ask whether it is.
  static constexpr std::string_view optional[] = {"Health",
                                                  "Healthcheck",
                                                  "GraphDriver",
                                                  "Mounts",
                                                  "SizeRw",
                                                  "SizeRootFs",
                                                  "StorageOpt",
                                                  "Author",
                                                  "Comment",
                                                  "Parent",
                                                  "Variant",
                                                  "OsVersion",
                                                  "ImageManifestDescriptor",
                                                  "Descriptor",
                                                  "Manifests",
                                                  "Labels",
                                                  "Shell",
                                                  "StopSignal",
                                                  "StopTimeout",
                                                  "MacAddress",
                                                  "NetworkDisabled",
                                                  "ArgsEscaped",
                                                  "Annotations",
                                                  "Sysctls",
                                                  "Tmpfs",
                                                  "Init",
                                                  "Runtime",
                                                  "BindOptions",
                                                  "VolumeOptions",
                                                  "TmpfsOptions",
                                                  "UsageData",
                                                  "ClusterVolume",
                                                  "Status",
                                                  "Created",
                                                  "ExposedPorts",
                                                  "Config",
                                                  "Peers",
                                                  "Services",
                                                  "DNSNames",
                                                  "Error"};
  std::string out;
  if (auto done = format.execute(object, out, {.optional = optional}); !done) return parsing_error(done.error());
  return out;
}

}  // namespace estiba::cli::docker
