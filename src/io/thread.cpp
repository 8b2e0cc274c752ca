#include "io/thread.h"

#include <pthread.h>

namespace estiba::io {

LoopThread::LoopThread(std::string name) : thread_([this] { loop_.run(); }) {
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

LoopThread::~LoopThread() {
  loop_.stop();
  thread_.join();
}

}  // namespace estiba::io
