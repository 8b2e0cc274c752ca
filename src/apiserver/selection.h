// The label and field selectors of a list or a watch.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/action.h"
#include "apiserver/kept.h"
#include "apiserver/strategy.h"
#include "model/selector.h"

namespace estiba::model {
struct CustomVersion;
}

namespace estiba::apiserver {

class Selection {
 public:
  /// 400 when a selector cannot be parsed or names a field that the resource does not offer.
  static Result<Selection> make(const Action& action);

  bool everything() const { return labels_.empty() && fields_.empty(); }
  bool matches(const Kept& object) const;
  /// The one name that a field selector asks for (metadata.name=x), or "".
  std::string_view only_name() const { return only_name_; }

 private:
  struct Field {
    enum class From : uint8_t { name, ns, kind, custom } from;
    size_t index;  // of the strategy's fields
    std::string value;
    bool negate;
  };
  std::string_view value_of(const Field& field, const Kept& object) const;
  bool matches_custom(const Kept& object) const;

  model::LabelSelector labels_;
  std::vector<Field> fields_;
  const model::CustomVersion* custom_ = nullptr;  // when one of the fields is a custom kind's
  std::string only_name_;
};

}  // namespace estiba::apiserver
