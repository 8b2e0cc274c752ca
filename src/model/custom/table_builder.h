// From a structural schema to the tables' types and fields, for what asks no more than they tell: server-side apply,
// OpenAPI's references. Private to custom/.
#pragma once
#include "model/custom/definition.h"

namespace estiba::model {

class TableBuilder {
 public:
  TableBuilder(CustomVersion& version, std::string_view group);
  /// Fills in the version's types: published[0] is the kind, published[1] its list.
  void build(std::string_view kind, std::string_view list_kind);

 private:
  const schema::Type* object(const Structural& schema, std::string_view name, bool kind);
  schema::Field field(std::string_view name, const Structural& schema, bool required);
  void value(schema::Field& out, const Structural& schema, std::string_view name);
  schema::FieldMore& more(schema::Field& field);
  void set_default(schema::Field& field, const Structural& schema);

  CustomVersion& version_;
};

}  // namespace estiba::model
