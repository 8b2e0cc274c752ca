// Memory of typed structs: all that one decode makes (the struct, its strings, lists and maps) lies in one piece, and goes with it without
// a destructor. A pod's struct is some eighty small allocations otherwise, between those of everything else.
#pragma once
#include <cstddef>

#include "model/codec.h"

namespace estiba::model {

/// A struct of the layout, filled from the node as codec::decode_into does, leniently; the default one when the node is null. Not to be
/// changed: free_struct is the only way to end it. Any thread.
void* make_struct(const codec::Struct& layout, const json::Node* node);
void free_struct(const codec::Struct& layout, void* value);
/// Gives memory of structs that are gone back to the kernel. Any thread.
void trim_structs();

}  // namespace estiba::model
