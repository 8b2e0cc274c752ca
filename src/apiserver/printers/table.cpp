#include "apiserver/table.h"

#include "apiserver/printers/printers.h"

namespace estiba::apiserver {
namespace {

constexpr TableColumn plain_columns[] = {{"Name", "string", 0, "name"}, {"Created At", "date"}};

void plain_row(const json::Node& object, Cells& cells) {
  cells.text(object.string_at("metadata", "name"));
  cells.field(object, "metadata.creationTimestamp");
}

constexpr Printer plain{"", "", plain_columns, plain_row};

}  // namespace

const Printer& printer_of(const Resource& resource) {
  for (auto family :
       {printers::pods(), printers::workloads(), printers::network(), printers::cluster(), printers::storage(), printers::access()}) {
    for (const Printer& printer : family) {
      if (printer.resource == resource.plural && printer.group == resource.group) return printer;
    }
  }
  const Printer* declared = printers::declared(resource);
  return declared ? *declared : plain;
}

}  // namespace estiba::apiserver
