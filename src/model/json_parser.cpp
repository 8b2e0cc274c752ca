#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "model/json.h"
#include "model/json_arena.h"
#include "model/json_skim.h"

namespace estiba::json {

// Recursive descent over a copy of the text that the arena holds, with zeros behind its end, so that looking ahead never
// needs a bound. Strings without escapes are views into the copy, those with escapes are unescaped in place.
class Parser {
 public:
  // What is stepped over: members of these names, of the whole's member `parent` unless that is empty.
  struct LeftOut {
    std::string_view parent;
    std::span<const std::string_view> names;
  };

  Parser(Document::Arena& arena, char* copy, std::string_view text, const ParseOptions& options, LeftOut left_out)
      : arena_(arena), p_(copy), begin_(copy), end_(copy + text.size()), text_(text), options_(options), left_out_(left_out) {}

  static Result<Document> parse(std::string_view text, const ParseOptions& options, LeftOut left_out) {
    static constexpr size_t padding = 16;
    Document document{nullptr};
    document.arena_ = std::make_unique<Document::Arena>();
    // Room for the text and the nodes of typical objects (one for every 25 bytes) in one piece.
    document.arena_->next_size = text.size() + padding + std::max<size_t>(512, text.size() * 5 / 2);
    char* copy = document.arena_->allocate(text.size() + padding, 1);
    if (!text.empty()) memcpy(copy, text.data(), text.size());
    memset(copy + text.size(), 0, padding);
    document.root_ = TRY(Parser(*document.arena_, copy, text, options, left_out).run());
    return document;
  }

  Result<Node*> run() {
    Node* root = arena_.node();
    skip_space();
    if (value(*root, 0)) {
      skip_space();
      if (p_ == end_) return root;
      stop("unexpected text after the value");
    }
    return error();
  }

 private:
  // Where we are, for naming a duplicate.
  struct Frame {
    const Frame* up;
    const Node* container;
    std::string_view key;
  };
  static constexpr uint32_t small_object = 16;
  // Duplicates are told up to so many, each once, by paths up to so long: naming them must not cost more than reading them.
  static constexpr size_t most_duplicates = 64, longest_path = 512;
  using Keys = std::unordered_map<std::string_view, Node*>;

  bool stop(std::string_view what) {
    if (what_.empty()) what_ = what;
    return false;
  }

  std::unexpected<Error> error() const {
    const size_t at = std::min(size_t(p_ - begin_), text_.size());
    const size_t line = 1 + size_t(std::count(text_.begin(), text_.begin() + ptrdiff_t(at), '\n'));
    const size_t newline = at ? text_.rfind('\n', at - 1) : std::string_view::npos;
    const size_t column = newline == std::string_view::npos ? at + 1 : at - newline;
    std::string message = "JSON line " + std::to_string(line) + ", column " + std::to_string(column) + ": ";
    message += p_ == end_ && !full_ ? "unexpected end of the text" : what_;
    return fail(Code::malformed, std::move(message));
  }

  void skip_space() {
    while (*p_ == ' ' || *p_ == '\n' || *p_ == '\r' || *p_ == '\t') ++p_;
  }

  bool literal(std::string_view word) {
    if (size_t(end_ - p_) < word.size() || memcmp(p_, word.data(), word.size()) != 0) return stop("expected a value");
    p_ += word.size();
    return true;
  }

  bool value(Node& out, int depth) {
    switch (*p_) {
      case '{': return object(out, depth);
      case '[': return array(out, depth);
      case '"': out.type_ = Type::string; return string(out.text_);
      case 't':
        out.type_ = Type::boolean;
        out.flag_ = true;
        return literal("true");
      case 'f': out.type_ = Type::boolean; return literal("false");
      case 'n': return literal("null");
      default: out.type_ = Type::number; return number(out.text_);
    }
  }

  static bool digit(char c) { return c >= '0' && c <= '9'; }

  bool number(std::string_view& out) {
    const char* start = p_;
    if (*p_ == '-') ++p_;
    if (!digit(*p_)) return stop(start == p_ ? "expected a value" : "expected a digit");
    if (*p_ == '0') ++p_;
    else
      while (digit(*p_)) ++p_;
    if (digit(*p_)) return stop("a number must not start with 0");
    if (*p_ == '.') {
      if (!digit(*++p_)) return stop("expected a digit");
      while (digit(*p_)) ++p_;
    }
    if (*p_ == 'e' || *p_ == 'E') {
      ++p_;
      if (*p_ == '+' || *p_ == '-') ++p_;
      if (!digit(*p_)) return stop("expected a digit");
      while (digit(*p_)) ++p_;
    }
    out = {start, size_t(p_ - start)};
    return true;
  }

  // Steps over a value whose text is known to be right.
  bool step_over() {
    int depth = 0;
    do {
      switch (*p_) {
        case '{':
        case '[': ++depth; break;
        case '}':
        case ']': --depth; break;
        case '"':
          for (++p_;; p_ += 2) {
            if (!plain()) return false;
            if (*p_ == '"') break;
          }
          break;
        case '\0':
          if (p_ >= end_) return stop("expected a value");
      }
      ++p_;
    } while (depth > 0 || (*p_ != ',' && *p_ != '}' && *p_ != ']' && p_ < end_));
    return true;
  }

  // Goes on to the next quote, backslash or error.
  bool plain() {
    for (;;) {
      const uint64_t word = swar::load(p_);
      const uint64_t mask = swar::equal(word, '"') | swar::equal(word, '\\') | swar::less(word, 0x20) | (word & swar::highs);
      if (!mask) {
        p_ += 8;
        continue;
      }
      p_ += swar::first(mask);
      if (*p_ == '"' || *p_ == '\\') return true;
      if (uint8_t(*p_) < 0x20) return stop("a control character in a string must be escaped");
      const int length = utf8_length(reinterpret_cast<unsigned char*>(p_), size_t(end_ - p_));
      if (!length) return stop("the text is not valid UTF-8");
      p_ += length;
    }
  }

  bool string(std::string_view& out) {
    char* start = ++p_;
    if (!plain()) return false;
    if (*p_ == '"') [[likely]] {
      out = {start, size_t(p_++ - start)};
      return true;
    }
    char* to = p_;
    for (;;) {
      if (!escape(to)) return false;
      const char* from = p_;
      if (!plain()) return false;
      memmove(to, from, size_t(p_ - from));
      to += p_ - from;
      if (*p_ == '"') break;
    }
    ++p_;
    out = {start, size_t(to - start)};
    return true;
  }

  bool hex4(uint32_t& out) {
    out = 0;
    for (int i = 0; i < 4; ++i, ++p_) {
      const char c = *p_;
      const int v = digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
      if (v < 0) return stop("expected four hexadecimal digits after \\u");
      out = out << 4 | uint32_t(v);
    }
    return true;
  }

  bool unicode(char*& to) {
    uint32_t c;
    if (!hex4(c)) return false;
    if (c >= 0xd800 && c < 0xdc00 && p_[0] == '\\' && p_[1] == 'u') {
      char* before = p_;
      uint32_t low;
      p_ += 2;
      if (!hex4(low)) return false;
      if (low >= 0xdc00 && low < 0xe000) c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
      else p_ = before;
    }
    if (c >= 0xd800 && c < 0xe000) c = 0xfffd;  // half a pair, as Go's decoder reads it
    if (c < 0x80) {
      *to++ = char(c);
    } else if (c < 0x800) {
      *to++ = char(0xc0 | c >> 6);
      *to++ = char(0x80 | (c & 63));
    } else if (c < 0x10000) {
      *to++ = char(0xe0 | c >> 12);
      *to++ = char(0x80 | (c >> 6 & 63));
      *to++ = char(0x80 | (c & 63));
    } else {
      *to++ = char(0xf0 | c >> 18);
      *to++ = char(0x80 | (c >> 12 & 63));
      *to++ = char(0x80 | (c >> 6 & 63));
      *to++ = char(0x80 | (c & 63));
    }
    return true;
  }

  bool escape(char*& to) {
    switch (p_[1]) {
      case '"':
      case '\\':
      case '/': *to++ = p_[1]; break;
      case 'b': *to++ = '\b'; break;
      case 'f': *to++ = '\f'; break;
      case 'n': *to++ = '\n'; break;
      case 'r': *to++ = '\r'; break;
      case 't': *to++ = '\t'; break;
      case 'u': p_ += 2; return unicode(to);
      default: return stop("unknown escape in a string");
    }
    p_ += 2;
    return true;
  }

  void link(Node& container, Node& child) {
    if (container.last_) container.last_->next_ = &child;
    else container.first_ = &child;
    container.last_ = &child;
    ++container.size_;
  }

  bool too_deep(int depth) {
    full_ = depth >= options_.max_depth;
    return full_ && !stop("nested too deeply: at most " + std::to_string(options_.max_depth) + " levels are allowed");
  }

  bool array(Node& out, int depth) {
    out.type_ = Type::array;
    if (too_deep(depth)) return false;
    const Frame frame{frame_, &out, {}};
    frame_ = &frame;
    ++p_;
    skip_space();
    if (*p_ == ']') return leave(frame);
    for (;;) {
      Node* child = arena_.node();
      if (!value(*child, depth + 1)) return false;
      link(out, *child);
      skip_space();
      if (*p_ == ']') return leave(frame);
      if (*p_ != ',') return stop("expected ',' or ']'");
      ++p_;
      skip_space();
    }
  }

  bool leave(const Frame& frame) {
    ++p_;
    frame_ = frame.up;
    return true;
  }

  bool object(Node& out, int depth) {
    out.type_ = Type::object;
    if (too_deep(depth)) return false;
    Frame frame{frame_, &out, {}};
    frame_ = &frame;
    std::unique_ptr<Keys> keys;
    ++p_;
    skip_space();
    if (*p_ == '}') return leave(frame);
    for (;;) {
      if (!member(out, frame, keys, depth)) return false;
      skip_space();
      if (*p_ == '}') return leave(frame);
      if (*p_ != ',') return stop("expected ',' or '}'");
      ++p_;
      skip_space();
    }
  }

  bool member(Node& out, Frame& frame, std::unique_ptr<Keys>& keys, int depth) {
    if (*p_ != '"') return stop("expected a member name in quotes");
    char* start = p_;
    std::string_view key;
    if (!string(key)) return false;
    frame.key = key;
    Node* old = known(out, keys, key);
    if (old && !options_.allow_duplicate_keys) {
      p_ = start;
      return stop("duplicate member \"" + std::string(key) + "\"");
    }
    if (old && options_.duplicates) tell_duplicate(*options_.duplicates);
    skip_space();
    if (*p_ != ':') return stop("expected ':'");
    ++p_;
    skip_space();
    if (leaves_out(key, frame, depth)) return step_over();
    Node* child = old ? old : arena_.node();
    if (old) {
      Node* next = old->next_;
      *old = Node();
      old->next_ = next;
    }
    child->key_ = key;
    if (!value(*child, depth + 1)) return false;
    if (!old) {
      link(out, *child);
      if (keys) keys->emplace(key, child);
    }
    return true;
  }

  bool leaves_out(std::string_view key, const Frame& frame, int depth) const {
    if (std::ranges::find(left_out_.names, key) == left_out_.names.end()) return false;
    return left_out_.parent.empty() || (depth == 1 && frame.up->key == left_out_.parent);
  }

  // The member of that name that is there already. Big objects get a table of their names.
  Node* known(Node& out, std::unique_ptr<Keys>& keys, std::string_view key) {
    if (out.size_ < small_object) return out.find(key);
    if (!keys) {
      keys = std::make_unique<Keys>();
      for (Node& child : out) keys->emplace(child.key_, &child);
    }
    const auto found = keys->find(key);
    return found == keys->end() ? nullptr : found->second;
  }

  void tell_duplicate(std::vector<std::string>& duplicates) const {
    if (duplicates.size() >= most_duplicates) return;
    std::string where = path();
    if (std::find(duplicates.begin(), duplicates.end(), where) == duplicates.end()) duplicates.push_back(std::move(where));
  }

  std::string path() const {
    std::vector<const Frame*> frames;
    for (const Frame* frame = frame_; frame; frame = frame->up) frames.push_back(frame);
    std::string out;
    for (auto it = frames.rbegin(); it != frames.rend(); ++it) {
      const Frame& frame = **it;
      if (frame.container->is_array()) {
        out += '[' + std::to_string(frame.container->size()) + ']';
      } else {
        if (!out.empty()) out += '.';
        out += frame.key.substr(0, longest_path + 1);
      }
      if (out.size() > longest_path) {
        size_t end = longest_path;
        while (end > 0 && (out[end] & 0xc0) == 0x80) --end;  // no half of a character
        return out.substr(0, end) + "...";
      }
    }
    return out;
  }

  Document::Arena& arena_;
  char* p_;
  const char* begin_;
  const char* end_;
  std::string_view text_;
  const ParseOptions& options_;
  const LeftOut left_out_;
  const Frame* frame_ = nullptr;
  std::string what_;
  bool full_ = false;
};

Result<Document> Document::parse(std::string_view text, const ParseOptions& options) { return Parser::parse(text, options, {}); }

Result<Document> parse_without(std::string_view text, std::span<const std::string_view> left_out) {
  return Parser::parse(text, {.max_depth = 1000}, {{}, left_out});
}

Result<Document> parse_without(std::string_view text, std::string_view parent, std::span<const std::string_view> left_out) {
  return Parser::parse(text, {.max_depth = 1000}, {parent, left_out});
}

}  // namespace estiba::json
