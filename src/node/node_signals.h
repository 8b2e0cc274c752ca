// What is left of the machine: the eviction signals (kubelet's makeSignalObservations). A few reads of /proc and statvfs(2).
#pragma once
#include "node/thresholds.h"

namespace estiba::node {

struct Options;

Observations read_signals(const Options& options);
/// Whether images are on a file system of their own.
bool images_apart(const Options& options);

}  // namespace estiba::node
