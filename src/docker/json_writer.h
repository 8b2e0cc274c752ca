// JsonWriter: JSON text written front to back, for answers that are made of many fields. It keeps the commas; what must match are the
// calls of object()/array() and end().
#pragma once
#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

#include "model/json.h"

namespace estiba::docker {

class JsonWriter {
 public:
  JsonWriter& object() { return open('{'); }
  JsonWriter& array() { return open('['); }
  JsonWriter& object(std::string_view key) { return name(key).open('{'); }
  JsonWriter& array(std::string_view key) { return name(key).open('['); }
  JsonWriter& end() {
    out_ += stack_.back();
    stack_.pop_back();
    comma_ = true;
    return *this;
  }

  // A member of the object that is open.
  template <class T>
  JsonWriter& put(std::string_view key, const T& value) {
    name(key);
    return add(value);
  }
  JsonWriter& put_null(std::string_view key) { return put_raw(key, "null"); }
  /// `json` is JSON text.
  JsonWriter& put_raw(std::string_view key, std::string_view json) {
    name(key);
    return raw(json);
  }
  /// Any map of strings.
  template <class Map>
  JsonWriter& put_map(std::string_view key, const Map& map) {
    object(key);
    for (const auto& [k, v] : map) put(k, v);
    return end();
  }
  template <class List>
  JsonWriter& put_list(std::string_view key, const List& list) {
    array(key);
    for (const auto& item : list) add(item);
    return end();
  }

  // An element of the array that is open, or the whole text.
  JsonWriter& add(std::string_view text) {
    separate();
    json::append_string(out_, text);
    comma_ = true;
    return *this;
  }
  JsonWriter& add(const std::string& text) { return add(std::string_view(text)); }
  JsonWriter& add(const char* text) { return add(std::string_view(text)); }
  template <class B>
    requires std::same_as<B, bool>
  JsonWriter& add(B value) {
    return raw(value ? "true" : "false");
  }
  template <class N>
    requires((std::integral<N> || std::floating_point<N>) && !std::same_as<N, bool>)
  JsonWriter& add(N number) {
    char buffer[40];
    return raw({buffer, size_t(std::to_chars(buffer, buffer + sizeof buffer, number).ptr - buffer)});
  }
  JsonWriter& raw(std::string_view json) {
    separate();
    out_ += json;
    comma_ = true;
    return *this;
  }

  const std::string& text() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  void separate() {
    if (comma_) out_ += ',';
    comma_ = false;
  }
  JsonWriter& name(std::string_view key) {
    separate();
    json::append_string(out_, key);
    out_ += ':';
    return *this;
  }
  JsonWriter& open(char bracket) {
    separate();
    out_ += bracket;
    stack_ += bracket == '{' ? '}' : ']';
    return *this;
  }

  std::string out_, stack_;
  bool comma_ = false;
};

}  // namespace estiba::docker
