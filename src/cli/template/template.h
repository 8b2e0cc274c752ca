// Go's text/template, as far as Docker's --format needs it, on JSON: pipelines, variables, if, range, with, break and continue,
// the built-in functions (and, or, not, len, index, slice, print, printf, println, eq, ne, lt, le, gt, ge, html, js, urlquery) and Docker's
// (json, split, join, title, lower, upper, pad, truncate). Templates cannot define others (define, template, block are refused).
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/json.h"

namespace estiba::cli {

namespace template_detail {
struct Block;
}

/// What a template is executed with.
struct TemplateOptions {
  /// Members that an object may lack and that are nil then; any other missing member is an error. Names also match without
  /// case when there is no exact match, since Docker's Go fields differ from its JSON so (ID, Id).
  std::span<const std::string_view> optional = {};
  /// What the error about a missing member calls the data: "can't evaluate field X in type *formatter.ContainerContext"; empty:
  /// `map has no entry for key "X"`.
  std::string_view type = {};
  /// `{{json .}}` escapes <, > and & as Go's encoder does by default; that of parts never does.
  bool escape_whole = false;
  /// The data are column headers: Docker's functions leave them as they are.
  bool headers = false;
  /// What the method Label gives: an object of strings.
  const json::Node* labels = nullptr;
};

class Template {
 public:
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  /// malformed: "template: :1: unclosed action".
  static Result<Template> parse(std::string_view text);
  /// Appends what the template makes of `data`.
  Result<void> execute(const json::Node& data, std::string& out, const TemplateOptions& options = {}) const;

 private:
  Template() = default;
  std::unique_ptr<const std::string> text_;
  std::unique_ptr<template_detail::Block> block_;
};

}  // namespace estiba::cli
