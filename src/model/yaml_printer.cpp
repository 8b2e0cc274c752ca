#include "model/yaml.h"
#include "model/yaml_scalar.h"

namespace estiba::model {

using json::Node;

namespace {

constexpr std::string_view indicators = "-?:,[]{}#&*!|>'\"%@`";

bool printable(std::string_view text) {
  for (unsigned char c : text)
    if (c < 0x20 || c == 0x7f || c >= 0x80) return false;
  return true;
}

// Whether a plain scalar of this text reads back as this string, whatever stands round it.
bool plain_safe(std::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' || !printable(text) || !yaml::reads_as_string(text)) return false;
  if (text.back() == ':' || text.find(": ") != std::string_view::npos || text.find(" #") != std::string_view::npos) return false;
  if (text.starts_with("---") || text.starts_with("...")) return false;
  const bool word = text.size() > 1 && (text[0] == '-' || text[0] == ':' || text[0] == '?') && text[1] != ' ';
  return word || indicators.find(text[0]) == std::string_view::npos;
}

// Lines of text, as a literal block keeps them: no control characters, no line that begins or ends with a blank.
bool block_safe(std::string_view text) {
  if (text.find('\n') == std::string_view::npos || text.front() == ' ' || text.front() == '\n') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || c >= 0x80) return false;
    if (c == '\n' && i > 0 && (text[i - 1] == ' ' || text[i - 1] == '\t')) return false;
  }
  return text.back() != ' ' && text.back() != '\t';
}

class Printer {
 public:
  explicit Printer(std::string& out) : out_(out) {}

  void value(const Node& node, size_t indent) {
    if (node.is_string()) return string(node.as_string(), indent);
    if (node.type() < json::Type::array || node.empty()) return json::print_to(out_, node);
    node.is_object() ? object(node, indent) : array(node, indent);
  }

 private:
  static bool block(const Node& node) { return node.type() >= json::Type::array && !node.empty(); }

  void newline(size_t indent) {
    out_ += '\n';
    out_.append(indent, ' ');
  }

  void object(const Node& node, size_t indent) {
    bool first = true;
    for (const Node& member : node) {
      if (!first) newline(indent);
      first = false;
      string(member.key(), 0, true);
      out_ += ':';
      if (!block(member)) {
        out_ += ' ';
        value(member, indent + 2);
        continue;
      }
      const size_t inner = member.is_array() ? indent : indent + 2;
      newline(inner);
      value(member, inner);
    }
  }

  void array(const Node& node, size_t indent) {
    bool first = true;
    for (const Node& element : node) {
      if (!first) newline(indent);
      first = false;
      out_ += "- ";
      value(element, indent + 2);
    }
  }

  void string(std::string_view text, size_t indent, bool key = false) {
    if (plain_safe(text)) out_ += text;
    else if (!key && block_safe(text)) literal(text, indent);
    else json::append_string(out_, text);
  }

  void literal(std::string_view text, size_t indent) {
    // One newline at the end is implied; none needs '-', more need '+'.
    const bool ends = text.back() == '\n';
    out_ += !ends ? "|-" : text.ends_with("\n\n") ? "|+" : "|";
    if (ends) text.remove_suffix(1);
    while (true) {
      const size_t end = text.find('\n');
      const std::string_view line = text.substr(0, end);
      out_ += '\n';
      if (!line.empty()) out_.append(indent ? indent : 2, ' ');
      out_ += line;
      if (end == std::string_view::npos) break;
      text.remove_prefix(end + 1);
    }
  }

  std::string& out_;
};

}  // namespace

std::string print_yaml(const Node& node) {
  std::string out;
  Printer(out).value(node, 0);
  out += '\n';
  return out;
}

}  // namespace estiba::model
