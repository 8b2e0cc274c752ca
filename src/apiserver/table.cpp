#include "apiserver/table.h"

#include "apiserver/edit.h"
#include "apiserver/list_metadata.h"
#include "apiserver/partial.h"
#include "apiserver/pieces.h"
#include "apiserver/printers/printers.h"
#include "base/strings.h"
#include "base/time.h"
#include "model/custom/definition.h"
#include "model/json_skim.h"

namespace estiba::apiserver {

void Cells::comma() {
  if (!json_.empty()) json_ += ',';
}

void Cells::text(std::string_view value) {
  comma();
  json::append_string(json_, value);
}

void Cells::number(int64_t value) {
  comma();
  json_ += std::to_string(value);
}

void Cells::boolean(bool value) {
  comma();
  json_ += value ? "true" : "false";
}

void Cells::field(const json::Node& object, std::string_view path, std::string_view otherwise) {
  const json::Node* node = follow(object, path);
  if (!present(node) || (node->is_string() && node->as_string().empty())) return text(otherwise);
  if (node->is_number()) {
    comma();
    json_ += node->number_text();
  } else if (node->is_bool()) {
    text(node->as_bool() ? "true" : "false");
  } else {
    text(node->as_string());
  }
}

void Cells::json_value(std::string_view value) {
  comma();
  json_ += value;
}

void Cells::count(const json::Node& object, std::string_view path) {
  const json::Node* node = follow(object, path);
  number(node ? node->as_int().value_or(0) : 0);
}

void Cells::age(std::string_view time) {
  auto then = parse_rfc3339(time);
  text(then ? human_duration(now - *then) : "<unknown>");
}

std::string human_duration(Duration duration) {
  using namespace std::chrono;
  int64_t seconds = duration_cast<std::chrono::seconds>(duration).count();
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  auto join = [](int64_t big, std::string_view unit, int64_t small, std::string_view small_unit) {
    std::string out = std::to_string(big);
    out += unit;
    if (small > 0) out.append(std::to_string(small)).append(small_unit);
    return out;
  };
  if (seconds < 120) return std::to_string(seconds) + "s";
  int64_t minutes = seconds / 60;
  if (minutes < 10) return join(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return std::to_string(minutes) + "m";
  int64_t hours = minutes / 60;
  if (hours < 8) return join(hours, "h", minutes % 60, "m");
  if (hours < 48) return std::to_string(hours) + "h";
  if (hours < 24 * 8) return join(hours / 24, "d", hours % 24, "h");
  if (hours < 24 * 365 * 2) return std::to_string(hours / 24) + "d";
  if (hours < 24 * 365 * 8) return join(hours / 24 / 365, "y", hours / 24 % 365, "d");
  return std::to_string(hours / 24 / 365) + "y";
}

namespace {

void append_columns(std::string& out, const Printer& printer) {
  for (size_t i = 0; i < printer.columns.size(); i++) {
    const TableColumn& column = printer.columns[i];
    out += i == 0 ? "{\"name\":\"" : ",{\"name\":\"";
    out.append(column.name).append("\",\"type\":\"").append(column.type).append("\",\"format\":\"").append(column.format);
    out.append("\",\"description\":\"\",\"priority\":").append(std::to_string(column.priority)).append("}");
  }
}

void append_custom_columns(std::string& out, const model::CustomVersion& version) {
  out += R"({"name":"Name","type":"string","format":"name","description":"","priority":0})";
  for (const model::CustomColumn& column : version.columns) {
    out += ",{\"name\":";
    json::append_string(out, column.name);
    out += ",\"type\":";
    json::append_string(out, column.type);
    out += ",\"format\":";
    json::append_string(out, column.format);
    out += ",\"description\":";
    json::append_string(out, column.description);
    out += ",\"priority\":" + std::to_string(column.priority) + "}";
  }
}

// What does not fit the column's type is empty.
void custom_cell(Cells& cells, std::string_view type, const json::Node* value) {
  if (!value || value->is_null()) return cells.json_value("null");
  if (type == "string") return cells.text(model::json_path_text(*value));
  if (type == "date") {
    if (!value->is_string()) return cells.json_value("null");
    return parse_rfc3339(value->as_string()) ? cells.age(value->as_string()) : cells.text("<invalid>");
  }
  if (type == "boolean" && value->is_bool()) return cells.json_value(value->as_bool() ? "true" : "false");
  if (type == "number" && value->is_number()) return cells.json_value(value->number_text());
  if (type == "integer" && value->is_number()) return cells.json_value(std::to_string(int64_t(value->as_double().value_or(0))));
  cells.json_value("null");
}

void custom_row(const model::CustomVersion& version, const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  for (const model::CustomColumn& column : version.columns) custom_cell(cells, column.type, column.path.first(object));
}

// What no cell shows, and what is long.
constexpr std::string_view unseen[] = {"managedFields", model::last_applied_annotation};

Result<void> append_row(std::string& out, const Action& action, const Printer& printer, const model::ObjectRef& object, WallTime now) {
  const model::CustomVersion* custom = model::custom_of(*action.resource);
  // The columns of a custom kind may name anything.
  json::Document doc = TRY(custom ? json::Document::parse(object.object->json()) : json::parse_without(object.object->json(), unseen));
  Cells cells;
  cells.now = now;
  if (custom) custom_row(*custom, doc.root(), cells);
  else if (printer.declared) printers::declared_row(*printer.declared, doc.root(), cells);
  else printer.row(doc.root(), cells);
  out.append("{\"cells\":[").append(cells.json()).append("]");
  if (action.include_object != "None") {
    out += ",\"object\":";
    if (action.include_object == "Object") object.object->print_to(out, object.revision);
    else append_partial(out, object, action.wanted.shape_v1beta1);
  }
  out += '}';
  return {};
}

}  // namespace

Result<io::Body> table_body(const Action& action, const Page& page, bool headers) {
  const Printer& printer = printer_of(*action.resource);
  Executor* executor = Executor::current();
  WallTime now = executor ? executor->wall_now() : std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  Pieces pieces;
  std::string& head = pieces.out();
  head += R"({"kind":"Table","apiVersion":"meta.k8s.io/)";
  head.append(action.wanted.shape_v1beta1 ? "v1beta1" : "v1").append("\",");
  append_list_metadata(head, page);
  head += ",\"columnDefinitions\":[";
  if (headers && model::custom_of(*action.resource)) append_custom_columns(head, *model::custom_of(*action.resource));
  else if (headers) append_columns(head, printer);
  head += "],\"rows\":[";
  for (size_t i = 0; i < page.items.size(); i++) {
    if (i > 0) pieces.out() += ',';
    TRY(append_row(pieces.out(), action, printer, page.items[i], now));
  }
  pieces.out() += "]}";
  return pieces.take();
}

}  // namespace estiba::apiserver
