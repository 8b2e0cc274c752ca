// Unicode's classes and case foldings, packed (tools/unicode_classes.pl says how).
#pragma once

namespace estiba::cel::regex {

struct ClassData {
  const char* name;
  const char* ranges;
};
extern const ClassData class_data[];
extern const unsigned class_count;
extern const char fold_data[];

}  // namespace estiba::cel::regex
