#include "build/dockerfile/scan.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"

namespace estiba::build {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v'; }

std::string_view trim_left(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return text;
}
std::string_view trim_right(std::string_view text) {
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = char(c - 'a' + 'A');
  return out;
}

struct HeredocStart {
  std::string opening;
  std::string name;
  bool expand = true, strip_tabs = false;
  int descriptor = -1;
};

/// "3<<-'EOF'": a whole word that opens a heredoc.
std::optional<HeredocStart> heredoc_start(std::string_view word) {
  HeredocStart out;
  out.opening = word;
  size_t digits = 0;
  while (digits < word.size() && word[digits] >= '0' && word[digits] <= '9') ++digits;
  if (digits > 0) {
    auto number = parse_number<int>(word.substr(0, digits));
    if (!number) return std::nullopt;
    out.descriptor = *number;
  }
  word.remove_prefix(digits);
  if (!word.starts_with("<<")) return std::nullopt;
  word.remove_prefix(2);
  if (word.starts_with('-')) {
    out.strip_tabs = true;
    word.remove_prefix(1);
  }
  if (word.empty() || word.find('<') != word.npos) return std::nullopt;
  char quote = word.front();
  if (quote == '\'' || quote == '"') {
    if (word.size() < 3 || word.back() != quote) return std::nullopt;
    word = word.substr(1, word.size() - 2);
    out.expand = false;
  }
  for (char c : word)
    if (!(c == '_' || c == '-' || c == '.' || c == '/' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
      return std::nullopt;
  out.name = word;
  return out;
}

class Scanner {
 public:
  Scanner(std::string_view text, const std::string& file) : file_(file) {
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    for (std::string_view line : split(text, '\n')) {
      if (line.ends_with('\r')) line.remove_suffix(1);
      lines_.push_back(line);
    }
    if (!lines_.empty() && lines_.back().empty()) lines_.pop_back();
  }

  Result<Scanned> run() {
    TRY(directives());
    while (at_ < lines_.size()) {
      std::string_view line = trim_left(lines_[at_]);
      if (trim_right(line).empty() || line.starts_with('#')) {
        ++at_;
        continue;
      }
      TRY(statement());
    }
    return std::move(out_);
  }

 private:
  Place place(size_t index) const { return {file_, int(index) + 1, std::string(trim_right(lines_[index]))}; }

  /// "# name=value" lines at the very top; the first line that is none ends them (docs.docker.com, "Parser directives").
  Result<void> directives() {
    std::vector<std::string> seen;
    for (; at_ < lines_.size(); ++at_) {
      std::string_view line = trim_left(lines_[at_]);
      if (!line.starts_with('#')) return {};
      line = trim_left(line.substr(1));
      auto [left, right] = split_once(line, '=');
      if (!right) return {};
      std::string name = to_lower(trim_right(left));
      std::string value(trim(*right));
      if (name != "syntax" && name != "escape" && name != "check") return {};
      if (std::find(seen.begin(), seen.end(), name) != seen.end())
        return fail_at(place(at_), "only one " + name + " parser directive can be used");
      seen.push_back(name);
      if (name == "syntax") out_.syntax = value;
      if (name == "check") out_.check = value;
      if (name == "escape") {
        if (value != "\\" && value != "`") return fail_at(place(at_), "invalid escape token " + quoted(value) + ": it is ` or \\");
        out_.escape = value[0];
      }
    }
    return {};
  }

  /// Whether the line goes on: an escape character at its end, but for white space, that is not itself escaped.
  bool continues(std::string_view& line) const {
    std::string_view cut = trim_right(line);
    if (!cut.ends_with(out_.escape)) return false;
    cut.remove_suffix(1);
    if (cut.ends_with(out_.escape)) return false;
    line = cut;
    return true;
  }

  Result<void> statement() {
    Statement s;
    s.place = place(at_);
    std::string whole;
    bool more = true, first = true, empty_line = false;
    while (more && at_ < lines_.size()) {
      std::string_view line = lines_[at_++];
      if (!first) {
        std::string_view trimmed = trim(line);
        if (trimmed.starts_with('#')) continue;  // comments may stand between continued lines
        if (trimmed.empty()) {
          empty_line = true;
          continue;
        }
      }
      if (first) line = trim_left(line);
      first = false;
      more = continues(line);
      whole += line;
    }
    s.end_line = int(at_);
    if (empty_line)
      out_.warnings.push_back({"NoEmptyContinuation", "Empty continuation line found in: " + std::string(trim(whole)), s.end_line});
    TRY(cut_statement(s, whole));
    out_.statements.push_back(std::move(s));
    return {};
  }

  Result<void> cut_statement(Statement& s, std::string_view whole) {
    whole = trim(whole);
    size_t end = std::min(whole.find_first_of(" \t"), whole.size());
    s.written = whole.substr(0, end);
    s.keyword = upper(s.written);
    std::string_view rest = trim(whole.substr(end));
    s.text = s.keyword + (rest.empty() ? "" : " ") + std::string(rest);
    s.flags = take_flags(rest, out_.escape);
    s.arguments = rest;
    std::string keyword = s.keyword;
    std::string_view words = rest;
    if (keyword == "ONBUILD") {
      size_t inner = std::min(rest.find_first_of(" \t"), rest.size());
      keyword = upper(rest.substr(0, inner));
      words = trim(rest.substr(inner));
    }
    if (keyword != "RUN" && keyword != "COPY" && keyword != "ADD") return {};
    if (words.starts_with('[')) return {};
    for (const std::string& word : raw_words(words, out_.escape)) {
      auto start = heredoc_start(word);
      if (start) s.heredocs.push_back(TRY(heredoc(s, std::move(*start))));
    }
    return {};
  }

  Result<Heredoc> heredoc(Statement& s, HeredocStart start) {
    Heredoc out{start.name, {}, start.expand, start.strip_tabs, start.descriptor, start.opening};
    while (at_ < lines_.size()) {
      std::string_view line = lines_[at_++];
      if (start.strip_tabs) line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
      if (line == start.name) {
        s.end_line = int(at_);
        return out;
      }
      out.content.append(line).append("\n");
    }
    return fail_at(s.place, "unterminated heredoc: the line " + start.name + " that ends it is missing");
  }

  std::string file_;
  std::vector<std::string_view> lines_;
  size_t at_ = 0;
  Scanned out_;
};

}  // namespace

Result<Scanned> scan(std::string_view text, const std::string& file) { return Scanner(text, file).run(); }

std::vector<std::string> raw_words(std::string_view text, char escape) {
  std::vector<std::string> out;
  std::string word;
  bool open = false;
  char quote = '\0';
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quote != '\0') {
      word += c;
      if (c == escape && quote == '"' && i + 1 < text.size()) word += text[++i];
      else if (c == quote) quote = '\0';
      continue;
    }
    if (is_blank(c) || c == '\n') {
      if (open) out.push_back(std::move(word));
      word.clear();
      open = false;
      continue;
    }
    open = true;
    word += c;
    if (c == '\'' || c == '"') quote = c;
    if (c == escape && i + 1 < text.size()) word += text[++i];
  }
  if (open) out.push_back(std::move(word));
  return out;
}

std::vector<Flag> take_flags(std::string_view& rest, char escape) {
  std::vector<Flag> out;
  while (rest.starts_with("--")) {
    // A flag's end: white space outside of quotes.
    size_t i = 2;
    char quote = '\0';
    for (; i < rest.size(); ++i) {
      char c = rest[i];
      if (quote != '\0') {
        if (c == quote) quote = '\0';
      } else if (c == '"' || c == '\'') {
        quote = c;
      } else if (c == escape && i + 1 < rest.size()) {
        ++i;
      } else if (is_blank(c)) {
        break;
      }
    }
    std::string_view word = rest.substr(2, i - 2);
    rest = trim_left(rest.substr(i));
    if (word.empty()) break;  // "--" ends the flags
    auto [name, value] = split_once(word, '=');
    out.push_back({std::string(name), std::string(value.value_or("")), value.has_value()});
  }
  return out;
}

}  // namespace estiba::build
