// What store::Store promises of reading, by a Memory: shared by the stores that keep one.
#pragma once
#include <memory>
#include <string_view>

#include "store/memory/memory.h"

namespace estiba::store {

/// Store::get.
Result<EntryPtr> read_key(const Memory& memory, std::string_view key, Revision at);
/// Store::list.
Result<ListResult> read_range(const Memory& memory, std::string_view prefix, const ListOptions& options);
/// Store::watch.
Result<std::unique_ptr<Watch>> begin_watch(std::shared_ptr<Memory> memory, std::string_view prefix, Revision after);
/// The part of Store::compact that readers notice.
Result<void> note_compaction(Memory& memory, Revision revision);

}  // namespace estiba::store
