#include "apiserver/table.h"

#include "apiserver/edit.h"
#include "apiserver/partial.h"
#include "apiserver/printers/printers.h"
#include "base/strings.h"
#include "base/time.h"

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

Result<void> append_row(std::string& out, const Action& action, const Printer& printer, const model::ObjectRef& object, WallTime now) {
  json::Document doc = TRY(json::Document::parse(object.object->json()));
  Cells cells;
  cells.now = now;
  if (printer.declared) printers::declared_row(*printer.declared, doc.root(), cells);
  else printer.row(doc.root(), cells);
  out += "{\"cells\":[" + cells.json() + "]";
  if (action.include_object != "None") {
    out += ",\"object\":";
    if (action.include_object == "Object") object.object->print_to(out, object.revision);
    else out += TRY(partial_json(object, action.wanted.shape_v1beta1));
  }
  out += '}';
  return {};
}

}  // namespace

Result<std::string> table_json(const Action& action, const Page& page, bool headers) {
  const Printer& printer = printer_of(*action.resource);
  Executor* executor = Executor::current();
  WallTime now = executor ? executor->wall_now() : std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  std::string out = R"({"kind":"Table","apiVersion":"meta.k8s.io/)";
  out.append(action.wanted.shape_v1beta1 ? "v1beta1" : "v1")
      .append("\",\"metadata\":{\"resourceVersion\":\"" + std::to_string(page.revision) + "\"");
  if (!page.continue_token.empty()) {
    out += ",\"continue\":\"" + page.continue_token + "\"";
    if (page.remaining) out += ",\"remainingItemCount\":" + std::to_string(*page.remaining);
  }
  out += "},\"columnDefinitions\":[";
  if (headers) append_columns(out, printer);
  out += "],\"rows\":[";
  for (size_t i = 0; i < page.items.size(); i++) {
    if (i > 0) out += ',';
    TRY(append_row(out, action, printer, page.items[i], now));
  }
  return out + "]}";
}

}  // namespace estiba::apiserver
