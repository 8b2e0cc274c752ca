#include "node/metric_text.h"

#include <charconv>

namespace estiba::node {

std::string metric_number(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

void MetricText::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  out_.append("# HELP ").append(name).append(" ").append(help);
  out_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void MetricText::row(const MetricLabels& labels, double value, WallTime at, std::string_view suffix) {
  out_.append(name_).append(suffix);
  char separator = '{';
  for (const auto& [name, text] : labels) {
    out_.append(1, std::exchange(separator, ',')).append(name).append("=\"");
    for (char c : text) {
      if (c == '\n') out_ += "\\n";
      else if (c == '\\' || c == '"') out_.append(1, '\\').append(1, c);
      else out_ += c;
    }
    out_ += '"';
  }
  if (!labels.empty()) out_ += '}';
  out_.append(" ").append(metric_number(value));
  if (at != WallTime{})
    out_.append(" ").append(std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count()));
  out_ += '\n';
}

}  // namespace estiba::node
