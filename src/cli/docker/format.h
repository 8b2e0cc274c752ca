// How Docker's CLI writes things: durations, sizes, ids, columns, and lists by --format.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/docker/verb.h"
#include "cli/template/template.h"
#include "model/json.h"

namespace estiba::cli::docker {

/// "Less than a second", "5 seconds", "About a minute", "3 weeks" for so many seconds.
std::string human_duration(double seconds);
/// "3 weeks ago" of a Unix time; "N/A" for 0.
std::string ago(int64_t unix_seconds);
/// Decimal: "1.09kB", with that many significant digits.
std::string human_size(double bytes, int precision = 3);
/// Binary: "1.5GiB", as docker stats prints memory.
std::string binary_size(double bytes);
/// Without "sha256:", 12 digits.
std::string short_id(std::string_view id);
/// At most `width` characters, the last an ellipsis if something was cut.
std::string ellipsis(std::string_view text, size_t width);
/// Seconds since 1970 and nanoseconds of an RFC 3339 time; nullopt for none and for Docker's zero time (year 1).
std::optional<std::pair<int64_t, int64_t>> unix_time(std::string_view rfc3339);
/// "2026-11-28 15:31:09 +0000 UTC", as Go prints a time.
std::string go_time(int64_t unix_seconds, int64_t nanoseconds = 0);

/// Cells separated by tabs, lines by newlines → columns, as Go's tabwriter with a minimal width of 10 and a padding of 3.
std::string align(std::string_view text, size_t minimal_width = 10, size_t padding = 3);
/// JSON text indented by four spaces, as `docker inspect` prints it.
std::string indent_json(std::string_view compact);
/// The whole list as inspect prints it: "[\n    {…}\n]\n".
std::string print_list(const std::vector<std::string>& elements);

/// A list that is printed by --format: "table" and its variants, "json", or a template for each row.
class Listing {
 public:
  struct Column {
    std::string_view field, header;
  };
  /// `type` is what errors call a row ("*formatter.ContainerContext").
  Listing(std::string_view type, std::vector<Column> columns) : type_(type), columns_(std::move(columns)) {}

  /// `format` is the user's; empty: `table`. `table` is the template of the default table, `quiet` that of -q ("{{.ID}}").
  Result<void> start(std::string_view format, bool quiet_wanted, std::string_view table, std::string_view quiet);

  json::Document& document() { return document_; }
  /// A row to fill: members become fields.
  json::Node& row() { return document_.make_object(); }
  void set(json::Node& row, std::string_view field, std::string_view value) { document_.add(row, field, document_.make_string(value)); }
  /// Prints it (or keeps it until finish(), in a table).
  Result<void> add(const json::Node& row, const json::Node* labels = nullptr);
  /// What there is to print.
  Result<std::string> finish();
  bool is_table() const { return table_; }

 private:
  std::string_view type_;
  std::vector<Column> columns_;
  json::Document document_;
  std::optional<Template> template_;
  bool table_ = false, json_ = false;
  std::string out_;
};

/// Executes a format for `docker inspect` and the like: "json", or a template; prints a line.
Result<std::string> format_object(const Template& format, const json::Node& object);
/// Parses an inspect format; "json" is `{{json .}}`.
Result<Template> parse_format(std::string_view format);

}  // namespace estiba::cli::docker
