#include "model/yaml.h"

#include <yaml.h>

#include <map>

#include "base/strings.h"
#include "model/yaml_scalar.h"

namespace estiba::model {

using json::Document;
using json::Node;

namespace {

struct Event {
  yaml_event_t raw{};
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&raw); }
};

std::string_view text_of(const yaml_char_t* text) { return text ? reinterpret_cast<const char*>(text) : std::string_view{}; }

class Reader {
 public:
  Reader(std::string_view text, const YamlOptions& options) : options_(options) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { yaml_parser_delete(&parser_); }

  Result<std::vector<Document>> run() {
    std::vector<Document> out;
    for (;;) {
      Event event;
      TRY(next(event));
      if (event.raw.type == YAML_STREAM_END_EVENT) return out;
      if (event.raw.type != YAML_DOCUMENT_START_EVENT) continue;
      Document document;
      document_ = &document;
      anchors_.clear();
      Event first;
      TRY(next(first));
      Node& root = *TRY(node(first, 0));
      document.set_root(root);
      if (!root.is_null()) out.push_back(std::move(document));
    }
  }

 private:
  Result<void> next(Event& event) {
    if (yaml_parser_parse(&parser_, &event.raw)) return {};
    const yaml_mark_t& mark = parser_.problem_mark.line || parser_.problem_mark.column ? parser_.problem_mark : parser_.mark;
    std::string what = parser_.problem ? parser_.problem : "malformed";
    if (parser_.context) what += std::string(" ") + parser_.context;
    return stop(mark, what);
  }

  static std::unexpected<Error> stop(const yaml_mark_t& mark, std::string_view what) {
    return fail(Code::malformed,
                "YAML line " + std::to_string(mark.line + 1) + ", column " + std::to_string(mark.column + 1) + ": " + std::string(what));
  }

  Result<Node*> node(const Event& event, int depth) {
    if (depth > options_.max_depth)
      return stop(event.raw.start_mark, "nested too deeply: at most " + std::to_string(options_.max_depth) + " levels are allowed");
    note_tag(event);
    switch (event.raw.type) {
      case YAML_SCALAR_EVENT: return anchored(text_of(event.raw.data.scalar.anchor), TRY(scalar(event)));
      case YAML_SEQUENCE_START_EVENT: return anchored(text_of(event.raw.data.sequence_start.anchor), TRY(sequence(depth)));
      case YAML_MAPPING_START_EVENT: return anchored(text_of(event.raw.data.mapping_start.anchor), TRY(mapping(depth)));
      case YAML_ALIAS_EVENT: return alias(event);
      default: return stop(event.raw.start_mark, "expected a value");
    }
  }

  static std::string_view tag_of(const Event& event) {
    switch (event.raw.type) {
      case YAML_SCALAR_EVENT: return text_of(event.raw.data.scalar.tag);
      case YAML_SEQUENCE_START_EVENT: return text_of(event.raw.data.sequence_start.tag);
      case YAML_MAPPING_START_EVENT: return text_of(event.raw.data.mapping_start.tag);
      default: return {};
    }
  }

  static bool is_local(std::string_view tag) { return tag.size() > 1 && tag[0] == '!'; }

  void note_tag(const Event& event) {
    if (const std::string_view tag = tag_of(event); options_.local_tags && is_local(tag))
      options_.local_tags->push_back({std::string(tag), keys_, event.raw.start_mark.line + 1, lists_ > 0});
  }

  Node* anchored(std::string_view anchor, Node* made) {
    if (!anchor.empty()) anchors_[std::string(anchor)] = made;
    return made;
  }

  void count(const Node& node) {
    ++copied_;
    copied_bytes_ += node.as_string().size() + node.number_text().size();
    for (const Node& child : node) {
      copied_bytes_ += child.key().size();
      count(child);
    }
  }

  Result<Node*> alias(const Event& event) {
    const auto it = anchors_.find(std::string(text_of(event.raw.data.alias.anchor)));
    if (it == anchors_.end()) return stop(event.raw.start_mark, "unknown anchor " + quoted(text_of(event.raw.data.alias.anchor)));
    count(*it->second);
    if (copied_ > options_.max_copied_nodes || copied_bytes_ > options_.max_copied_bytes)
      return stop(event.raw.start_mark, "the document contains excessive aliasing");
    return &document_->copy(*it->second);
  }

  Result<Node*> scalar(const Event& event) {
    const auto& raw = event.raw.data.scalar;
    const std::string_view text(reinterpret_cast<const char*>(raw.value), raw.length);
    std::string_view tag = text_of(raw.tag);
    if (options_.local_tags && is_local(tag)) tag = {};
    const bool plain = raw.style == YAML_PLAIN_SCALAR_STYLE;
    if (options_.yes_is_text && plain && tag.empty() && yaml::is_yes_or_no(text)) return &document_->make_string(text);
    auto made = yaml::resolve(*document_, text, tag, plain);
    if (!made) return stop(event.raw.start_mark, made.error().message);
    return *made;
  }

  Result<Node*> sequence(int depth) {
    Node& out = document_->make_array();
    for (;;) {
      Event event;
      TRY(next(event));
      if (event.raw.type == YAML_SEQUENCE_END_EVENT) return &out;
      ++lists_;
      Node* element = TRY(node(event, depth + 1));
      --lists_;
      document_->append(out, *element);
    }
  }

  Result<Node*> mapping(int depth) {
    Node& out = document_->make_object();
    std::map<std::string, bool, std::less<>> seen;  // key → came from a merge
    for (;;) {
      Event event;
      TRY(next(event));
      if (event.raw.type == YAML_MAPPING_END_EVENT) return &out;
      const yaml_mark_t mark = event.raw.start_mark;
      const bool merge = event.raw.type == YAML_SCALAR_EVENT && event.raw.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                         text_of(event.raw.data.scalar.value) == "<<";
      const Node* key_node = TRY(node(event, depth + 1));
      if (key_node->type() >= json::Type::array || key_node->is_null())
        return stop(mark, "a mapping's key must be a string, a number or a boolean");
      const std::string key(yaml::key_text(*key_node));
      Event value_event;
      TRY(next(value_event));
      if (!merge) keys_.push_back(key);
      Node* value = TRY(node(value_event, depth + 1));
      if (!merge) keys_.pop_back();
      if (merge) {
        TRY(merge_into(out, *value, seen, mark));
        continue;
      }
      const auto [it, fresh] = seen.try_emplace(key, false);
      if (!fresh && !it->second) {
        if (!options_.allow_duplicate_keys) return stop(mark, "key " + quoted(key) + " already set in map");
        if (options_.duplicates)
          options_.duplicates->push_back("line " + std::to_string(mark.line + 1) + ": key " + quoted(key) + " already set in map");
      }
      it->second = false;
      if (fresh) add(out, key, *value);
      else document_->set(out, key, *value);
    }
  }

  // A key that is known to be new: no search, so that a large mapping is read in linear time.
  void add(Node& object, const std::string& key, Node& value) { document_->add(object, key, value); }

  Result<void> merge_into(Node& out, const Node& value, std::map<std::string, bool, std::less<>>& seen, const yaml_mark_t& mark) {
    if (value.is_array()) {
      for (const Node& element : value) TRY(merge_into(out, element, seen, mark));
      return {};
    }
    if (!value.is_object()) return stop(mark, "map merge requires map or sequence of maps as the value");
    for (const Node& member : value)
      if (seen.try_emplace(std::string(member.key()), true).second) add(out, std::string(member.key()), document_->copy(member));
    return {};
  }

  yaml_parser_t parser_{};
  const YamlOptions& options_;
  Document* document_ = nullptr;
  std::map<std::string, const Node*> anchors_;
  size_t copied_ = 0, copied_bytes_ = 0;
  std::vector<std::string> keys_;  // of the mappings that the value is in
  int lists_ = 0;                  // how many lists it is in
};

}  // namespace

Result<std::vector<Document>> parse_yaml_documents(std::string_view text, const YamlOptions& options) {
  return Reader(text, options).run();
}

Result<Document> parse_yaml(std::string_view text, const YamlOptions& options) {
  std::vector<Document> documents = TRY(parse_yaml_documents(text, options));
  if (documents.size() > 1) return fail(Code::malformed, "YAML: expected one document, found " + std::to_string(documents.size()));
  return documents.empty() ? Document() : std::move(documents[0]);
}

}  // namespace estiba::model
