// Equality, order and texts of values.
#pragma once
#include <optional>
#include <string>

#include "cel/memory.h"

namespace estiba::cel {

/// Equality across types: numbers by value, lists and maps by what they hold, lists of type set and map without regard to
/// order; other pairs are unequal.
bool equal(Memory& memory, const Value& a, const Value& b);
/// -1, 0, 1; nullopt when the two cannot be ordered (other kinds, NaN).
std::optional<int> compare(const Value& a, const Value& b);
/// Equal keys have equal hashes.
uint64_t hash_key(const Value& key);
/// Whether it may be a key of a map.
bool is_key(const Value& value);

/// A double as Go's %g prints it.
std::string print_double(double value);
/// As messages show a value ("no such key: x").
std::string print(Memory& memory, const Value& value);
/// What string(value) is, where such a conversion exists.
std::optional<std::string> convert_to_string(const Value& value);

// Losslessly or not at all.
std::optional<int64_t> to_int(const Value& number);
std::optional<uint64_t> to_uint(const Value& number);

// UTF-8, in code points. Invalid bytes count one each.
size_t code_points(std::string_view text);
/// The byte offset of the n-th code point; text.size() when there are fewer.
size_t byte_offset(std::string_view text, size_t n);
/// Reads one code point and moves on; U+FFFD for an invalid byte.
char32_t next_code_point(std::string_view text, size_t& at);
void append_code_point(std::string& out, char32_t c);
bool is_utf8(std::string_view text);

}  // namespace estiba::cel
