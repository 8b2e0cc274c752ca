#include "apiserver/table.h"

namespace estiba::apiserver {
namespace {

constexpr TableColumn plain_columns[] = {{"Name", "string", 0, "name"}, {"Created At", "date"}};

void plain_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.age(object.string_at("metadata", "creationTimestamp"));
}

constexpr Printer plain{"", "", plain_columns, plain_row};

}  // namespace

const Printer& printer_of(const Resource&) {
  return plain;
}

}  // namespace estiba::apiserver
