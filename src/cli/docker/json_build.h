// Building request bodies: an object of a document with setters that read like the JSON they make.
#pragma once
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "model/json.h"

namespace estiba::cli::docker {

class Object {
 public:
  Object(json::Document& document, json::Node& node) : document_(&document), node_(&node) {}

  template <class N>
    requires(std::is_integral_v<N> && !std::is_same_v<N, bool>)
  Object& set(std::string_view key, N value) {
    return put(key, document_->make_int(int64_t(value)));
  }
  Object& set(std::string_view key, std::same_as<bool> auto value) { return put(key, document_->make_bool(value)); }
  Object& set(std::string_view key, std::string_view value) { return put(key, document_->make_string(value)); }
  Object& set(std::string_view key, const char* value) { return put(key, document_->make_string(value)); }
  Object& set(std::string_view key, const std::string& value) { return put(key, document_->make_string(value)); }
  Object& set(std::string_view key, const std::vector<std::string>& values) {
    json::Node& array = document_->make_array();
    for (const std::string& value : values) document_->append(array, document_->make_string(value));
    return put(key, array);
  }
  /// set(), but only what is not empty or zero.
  template <class T>
  Object& maybe(std::string_view key, const T& value) {
    if constexpr (requires { value.empty(); }) {
      if (value.empty()) return *this;
    } else {
      if (value == T{}) return *this;
    }
    return set(key, value);
  }
  /// The object member `key`, made if it is missing.
  Object object(std::string_view key) { return {*document_, document_->ensure_object(*node_, key)}; }
  /// Appends a fresh object to the array member `key`, made if it is missing.
  Object append(std::string_view key) { return {*document_, document_->append(array(key), document_->make_object())}; }
  void append(std::string_view key, std::string_view value) { document_->append(array(key), document_->make_string(value)); }

  json::Document& document() { return *document_; }
  json::Node& node() { return *node_; }
  Object& put(std::string_view key, json::Node& value) {
    document_->set(*node_, key, value);
    return *this;
  }

 private:
  json::Node& array(std::string_view key) {
    json::Node* found = node_->find(key);
    return found ? *found : document_->set(*node_, key, document_->make_array());
  }
  json::Document* document_;
  json::Node* node_;
};

/// A document whose root is an object.
struct BuilderStorage {
  BuilderStorage() { storage.set_root(storage.make_object()); }
  json::Document storage;
};
class Builder : private BuilderStorage, public Object {
 public:
  Builder() : Object(storage, storage.root()) {}
  Builder(const Builder&) = delete;
  std::string text() const { return json::print(storage.root()); }
};

}  // namespace estiba::cli::docker
