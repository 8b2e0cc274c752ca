// Writes JSON text from left to right: what controllers send. The caller keeps the nesting right.
//
//   JsonWriter json;
//   json.object().object("status").field("phase", "Running").end().end();   // {"status":{"phase":"Running"}}
#pragma once
#include <string>
#include <string_view>
#include <type_traits>

#include "model/json.h"

namespace estiba::client {

class JsonWriter {
 public:
  // Inside an array, or at the top.
  JsonWriter& object() { return open('{'); }
  JsonWriter& array() { return open('['); }
  JsonWriter& value(std::string_view text) {
    comma();
    json::append_string(out_, text);
    return *this;
  }
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  template <class N>
    requires std::is_integral_v<N>
  JsonWriter& value(N number) {
    comma();
    if constexpr (std::is_same_v<N, bool>) out_.append(number ? "true" : "false");
    else out_.append(std::to_string(number));
    return *this;
  }
  /// `text` is JSON itself.
  JsonWriter& raw_value(std::string_view text) {
    comma();
    out_.append(text);
    return *this;
  }
  JsonWriter& null_value() { return raw_value("null"); }

  // Inside an object.
  JsonWriter& object(std::string_view key) { return name(key).open('{'); }
  JsonWriter& array(std::string_view key) { return name(key).open('['); }
  template <class V>
  JsonWriter& field(std::string_view key, const V& v) {
    return name(key).value(v);
  }
  /// Leaves the field out when the text is empty.
  JsonWriter& optional(std::string_view key, std::string_view text) { return text.empty() ? *this : field(key, text); }
  /// In a merge patch: a number that Kubernetes leaves out when it is zero (Go's omitempty).
  JsonWriter& nonzero(std::string_view key, int64_t number) { return number == 0 ? null(key) : field(key, number); }
  JsonWriter& raw(std::string_view key, std::string_view text) { return name(key).raw_value(text); }
  JsonWriter& null(std::string_view key) { return raw(key, "null"); }

  /// Closes the innermost object or array.
  JsonWriter& end() {
    out_.push_back(closers_.back());
    closers_.pop_back();
    first_ = false;
    return *this;
  }
  std::string take() { return std::move(out_); }

 private:
  void comma() {
    if (!first_ && !out_.empty()) out_.push_back(',');
    first_ = false;
  }
  JsonWriter& name(std::string_view key) {
    comma();
    json::append_string(out_, key);
    out_.push_back(':');
    first_ = true;
    return *this;
  }
  JsonWriter& open(char bracket) {
    comma();
    out_.push_back(bracket);
    closers_.push_back(bracket == '{' ? '}' : ']');
    first_ = true;
    return *this;
  }

  std::string out_, closers_;
  bool first_ = true;
};

}  // namespace estiba::client
