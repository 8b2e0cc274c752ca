// Tables: what `kubectl get` prints. Each kind's columns and cells stand in printers/; a kind without a printer shows its
// name and age.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/registry.h"
#include "io/http.h"
#include "model/json.h"

namespace estiba::apiserver {

struct TableColumn {
  std::string_view name;
  std::string_view type = "string";  ///< string, integer, date
  int priority = 0;                  ///< 1: only with -o wide
  std::string_view format = {};      ///< "name" for the name's column
};

/// The cells of one row, as JSON values.
class Cells {
 public:
  void text(std::string_view value);
  void number(int64_t value);
  void boolean(bool value);
  /// JSON as it is.
  void json_value(std::string_view value);
  /// The value at a path like "spec.replicas" as text or number; `otherwise` when absent.
  void field(const json::Node& object, std::string_view path, std::string_view otherwise = "");
  /// The number at a path, 0 when absent.
  void count(const json::Node& object, std::string_view path);
  /// How long ago an RFC 3339 time was ("5m12s"), "<unknown>" when absent.
  void age(std::string_view time);

  const std::string& json() const { return json_; }
  WallTime now;

 private:
  void comma();
  std::string json_;
};

struct Printer {
  std::string_view group, resource;
  std::span<const TableColumn> columns;
  void (*row)(const json::Node& object, Cells& cells);
  const Resource* declared = nullptr;  ///< instead of `row`: by the columns of the schema (printers/declared.cpp)
};

/// Never null.
const Printer& printer_of(const Resource& resource);

/// `headers`: whether the column definitions are sent.
Result<io::Body> table_body(const Action& action, const Page& page, bool headers);

/// As kubectl prints durations: "42s", "3m5s", "7h12m", "3d4h", "12d", "2y30d".
std::string human_duration(Duration duration);

}  // namespace estiba::apiserver
