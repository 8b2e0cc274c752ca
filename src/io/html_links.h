// Rewrites the links in an HTML document as it streams by: the values of attributes that hold URLs (href, src, action, …), and
// nothing else, byte for byte.
#pragma once
#include <functional>
#include <string>
#include <string_view>

namespace estiba::io {

class HtmlLinks {
 public:
  using Rewrite = std::function<std::string(std::string_view reference)>;
  explicit HtmlLinks(Rewrite rewrite) : rewrite_(std::move(rewrite)) {}

  /// The next piece of the document; returns what can be passed on by now. What is held back is at most one unfinished tag of 64 KiB:
  /// a longer one passes as it is.
  std::string feed(std::string_view piece);
  /// The end: what was held back.
  std::string finish();

 private:
  size_t consume(std::string_view rest, std::string& out);
  std::string tag(std::string_view text);
  Rewrite rewrite_;
  std::string held_;
  std::string until_;  // inside <script> and the like: the end tag that ends them; inside a comment: "-->"
};

}  // namespace estiba::io
