// Pipes that strangers fill: what a container's commands write.
//
// Who fills a pipe by sendfile(2) or splice(2) from a file that does not answer (a network file system that hangs) holds the pipe's lock
// meanwhile. Reading the pipe, and closing its last descriptor, wait for that lock whatever O_NONBLOCK says, and cannot be killed
// (fs/splice.c: splice_file_to_pipe; fs/pipe.c: anon_pipe_read, pipe_release). poll(2) takes no lock.
#pragma once

namespace estiba::io {

/// Whether a read finds something, or the end. To be asked before each read.
bool has_input(int fd);

/// Closes the descriptor; if it is a pipe's, by a thread of its own that shares no descriptors with this process, so that nobody else has
/// to wait. What watches it must be gone already.
void close_foreign_pipe(int fd);

}  // namespace estiba::io
