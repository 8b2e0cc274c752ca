#include "runtime/init.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/process.h"

namespace estiba::runtime {

namespace {

[[noreturn]] void run_program(char** command, const sigset_t& mask) {
  // A process group of its own, in the foreground of the terminal if there is one: Ctrl-C goes to the program, not to both.
  setpgid(0, 0);
  if (isatty(0)) tcsetpgrp(0, getpgrp());  // SIGTTOU is still blocked
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  execvp(command[0], command);
  const int err = errno;
  fprintf(stderr, "[FATAL init] exec %s failed: %s\n", command[0], strerror(err));
  _exit(err == ENOENT ? 127 : 126);
}

/// Reaps all that have ended: the program's exit code, or -1 when it still runs.
int reap(pid_t program) {
  int code = -1;
  while (true) {
    auto one = os::reap_any();
    if (!one || !*one) return code;
    if ((*one)->first == program) code = (*one)->second.code;
  }
}

}  // namespace

int init_main(int argc, char** argv) {
  char** command = argv + 1;
  if (argc > 1 && strcmp(*command, "--") == 0) command++;
  if (!*command) {
    fprintf(stderr, "usage: docker-init -- program [argument…]\n");
    return 2;
  }
  sigset_t all, before;
  sigfillset(&all);
  for (int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS}) sigdelset(&all, fault);
  sigprocmask(SIG_BLOCK, &all, &before);
  pid_t program = fork();
  if (program < 0) {
    perror("[FATAL init] fork");
    return 1;
  }
  if (program == 0) run_program(command, before);
  while (true) {
    siginfo_t info;
    int number = sigwaitinfo(&all, &info);
    if (number == SIGCHLD) {
      if (int code = reap(program); code >= 0) return code;
    } else if (number > 0 && number != SIGTTIN && number != SIGTTOU) {
      (void)os::send_signal(program, number);
    }
  }
}

}  // namespace estiba::runtime
