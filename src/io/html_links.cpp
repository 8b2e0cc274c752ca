#include "io/html_links.h"

#include "base/strings.h"

namespace estiba::io {
namespace {

constexpr size_t longest_tag = 64 * 1024;

struct LinkAttributes {
  std::string_view tag, attributes;  // space-separated
};
// HTML 4.01, index of attributes of type %URI, and HTML's own index.
constexpr LinkAttributes table[] = {
    {"a", "href"},
    {"applet", "codebase"},
    {"area", "href"},
    {"audio", "src"},
    {"base", "href"},
    {"blockquote", "cite"},
    {"body", "background"},
    {"button", "formaction"},
    {"command", "icon"},
    {"del", "cite"},
    {"embed", "src"},
    {"form", "action"},
    {"frame", "longdesc src"},
    {"head", "profile"},
    {"html", "manifest"},
    {"iframe", "longdesc src"},
    {"img", "longdesc src usemap"},
    {"input", "src usemap formaction"},
    {"ins", "cite"},
    {"link", "href"},
    {"object", "classid codebase data usemap"},
    {"q", "cite"},
    {"script", "src"},
    {"source", "src"},
    {"video", "poster src"},
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string_view attributes_of(std::string_view tag) {
  for (const LinkAttributes& row : table)
    if (row.tag == tag) return row.attributes;
  return {};
}

bool names(std::string_view list, std::string_view name) {
  for (std::string_view one : split(list, ' '))
    if (one == name) return true;
  return false;
}

// Elements whose content is text up to their end tag (HTML, 13.1.2).
bool holds_text(std::string_view tag) { return names("script style textarea title iframe noembed noframes xmp", tag); }

std::string escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default: out += c;
    }
  }
  return out;
}

// The entities that occur in links; others stay as they are.
std::string unescape(std::string_view text) {
  static constexpr std::pair<std::string_view, char> entities[] = {{"&amp;", '&'},  {"&#38;", '&'},   {"&quot;", '"'}, {"&#34;", '"'},
                                                                   {"&#39;", '\''}, {"&apos;", '\''}, {"&lt;", '<'},   {"&gt;", '>'}};
  std::string out;
  for (size_t i = 0; i < text.size();) {
    bool found = false;
    for (const auto& [entity, c] : entities) {
      if (!text.substr(i).starts_with(entity)) continue;
      out += c;
      i += entity.size();
      found = true;
      break;
    }
    if (!found) out += text[i++];
  }
  return out;
}

// Where a tag that begins at text[0] ends (past its '>'), minding quotes; npos while it is not complete.
size_t tag_end(std::string_view text) {
  char quote = 0;
  for (size_t i = 1; i < text.size(); ++i) {
    const char c = text[i];
    if (quote) {
      if (c == quote) quote = 0;
    } else if ((c == '"' || c == '\'') && text[i - 1] == '=') {
      quote = c;
    } else if (c == '>') {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

size_t find_ignoring_case(std::string_view text, std::string_view what) {
  for (size_t i = 0; i + what.size() <= text.size(); ++i)
    if (equals_ignore_case(text.substr(i, what.size()), what)) return i;
  return std::string_view::npos;
}

}  // namespace

// A whole start tag with its links rewritten.
std::string HtmlLinks::tag(std::string_view text) {
  size_t at = 1;
  while (at < text.size() && !is_space(text[at]) && text[at] != '>' && text[at] != '/') ++at;
  const std::string name = to_lower(text.substr(1, at - 1));
  if (holds_text(name) && !text.ends_with("/>")) until_ = "</" + name;
  const std::string_view links = attributes_of(name);
  if (links.empty()) return std::string(text);
  std::string out(text.substr(0, at));
  while (at < text.size()) {
    size_t begin = at;
    while (at < text.size() && (is_space(text[at]) || text[at] == '/')) ++at;
    const size_t key = at;
    while (at < text.size() && !is_space(text[at]) && text[at] != '=' && text[at] != '>' && text[at] != '/') ++at;
    const std::string attribute = to_lower(text.substr(key, at - key));
    size_t value = at;
    while (value < text.size() && is_space(text[value])) ++value;
    if (value >= text.size() || text[value] != '=' || attribute.empty()) {
      if (at == begin || attribute.empty()) ++at;
      at = std::min(at, text.size());
      out += text.substr(begin, at - begin);
      continue;
    }
    ++value;
    while (value < text.size() && is_space(text[value])) ++value;
    const char quote = value < text.size() && (text[value] == '"' || text[value] == '\'') ? text[value] : 0;
    if (quote) ++value;
    size_t end = value;
    while (end < text.size() && (quote ? text[end] != quote : !is_space(text[end]) && text[end] != '>')) ++end;
    out += text.substr(begin, value - begin);
    const std::string_view written = text.substr(value, end - value);
    if (names(links, attribute)) {
      const std::string before = unescape(written), after = rewrite_(before);
      out += after == before ? std::string(written) : escape(after);
    } else {
      out += written;
    }
    at = end;
    if (quote && at < text.size()) out += text[at++];
  }
  return out;
}

// Takes as much of `rest` as is complete; returns how much.
size_t HtmlLinks::consume(std::string_view rest, std::string& out) {
  if (!until_.empty()) {
    size_t end = until_ == "-->" ? rest.find(until_) : find_ignoring_case(rest, until_);
    // What could be the beginning of the end waits for more.
    size_t pass = end != rest.npos ? end + (until_ == "-->" ? 3 : 0) : rest.size() - std::min(rest.size(), until_.size() - 1);
    out += rest.substr(0, pass);
    if (end == rest.npos) return pass;
    until_.clear();
    return pass > 0 ? pass : consume(rest, out);
  }
  const size_t open = rest.find('<');
  if (open != 0) {
    const size_t pass = std::min(open, rest.size());
    out += rest.substr(0, pass);
    return pass;
  }
  if (rest.size() < 4 && std::string_view("<!--").starts_with(rest)) return 0;
  if (rest.starts_with("<!--")) {
    until_ = "-->";
    out += rest.substr(0, 4);
    return 4;
  }
  const bool is_tag = is_letter(rest[1]) || rest[1] == '/' || rest[1] == '!' || rest[1] == '?';
  if (!is_tag) {
    out += '<';
    return 1;
  }
  const size_t end = tag_end(rest);
  if (end == rest.npos) {
    if (rest.size() < longest_tag) return 0;
    out += '<';
    return 1;
  }
  out += is_letter(rest[1]) ? tag(rest.substr(0, end)) : std::string(rest.substr(0, end));
  return end;
}

std::string HtmlLinks::feed(std::string_view piece) {
  held_ += piece;
  std::string out;
  size_t at = 0;
  while (at < held_.size()) {
    const size_t taken = consume(std::string_view(held_).substr(at), out);
    if (taken == 0) break;
    at += taken;
  }
  held_.erase(0, at);
  return out;
}

std::string HtmlLinks::finish() { return std::exchange(held_, {}); }

}  // namespace estiba::io
