// links: engine
// Lines of containers' logs: what is read lies within the line.
#include <cstdlib>

#include "engine/log_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  const auto read = estiba::engine::LogLine::parse(line);
  if (!read) return 0;
  for (const std::string_view part : {read->time, read->stream, read->text})
    if (!part.empty() && (part.data() < line.data() || part.data() + part.size() > line.data() + line.size())) abort();
  if (read->stream != "stdout" && read->stream != "stderr") abort();
  return 0;
}
