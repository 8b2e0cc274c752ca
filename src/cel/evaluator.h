// Runs a plan.
#pragma once
#include <span>

#include "cel/plan.h"

namespace estiba::cel {

class Evaluator {
 public:
  Evaluator(const Plan& plan, std::span<const Value> variables, Context context, uint64_t limit);

  Value run() { return eval(*plan_.root); }
  uint64_t cost() const { return cost_; }

 private:
  struct Slot {
    Value value;
    const Step* pending = nullptr;  ///< computed when it is first asked for
  };

  Value eval(const Step& step);
  Value local(const Step& step);
  Value select(const Step& step);
  Value has(const Step& step);
  Value index(const Step& step);
  Value logic(const Step& step, bool decisive);
  Value conditional(const Step& step);
  Value call(const Step& step);
  Value no_overload(const Step& step, Args args);
  Value list(const Step& step);
  Value map(const Step& step);
  Value message(const Step& step);
  Value fold(const Step& step);
  Value loop(const FoldStep& fold, const Value& range);
  Value optional_or(const Step& step);

  /// What stands behind a field or key; nullopt when there is nothing.
  std::optional<Value> member(const Value& value, const Value& key, bool presence);
  Value missing(const Value& value, const Value& key);
  Value qualified(const Step& step, const Value& operand, const Value& key);

  bool charge(uint64_t cost) { return (cost_ += cost) <= limit_ && !context_.memory.exhausted(); }

  const Plan& plan_;
  std::span<const Value> variables_;
  Context context_;
  uint64_t limit_, cost_ = 0;
  Slot* slots_;
};

}  // namespace estiba::cel
