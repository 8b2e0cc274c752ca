#include "os/seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>

#include "os/file.h"
#include "os/syscall.h"

namespace estiba::os {

namespace {

Result<uint32_t> action_by_name(std::string_view name, std::optional<unsigned> errno_ret) {
  uint16_t code = uint16_t(errno_ret.value_or(EPERM));
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(code);
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL;
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(code);
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (name == "SCMP_ACT_NOTIFY") return SCMP_ACT_NOTIFY;
  return fail(Code::invalid, "unknown seccomp action " + std::string(name));
}

Result<uint32_t> architecture_by_name(std::string_view name) {
  static constexpr std::pair<std::string_view, uint32_t> table[] = {
      {"SCMP_ARCH_X86", SCMP_ARCH_X86},         {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},   {"SCMP_ARCH_X32", SCMP_ARCH_X32},
      {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},         {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64}, {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
      {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},     {"SCMP_ARCH_S390", SCMP_ARCH_S390},       {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
      {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},       {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},   {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
      {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},   {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64}, {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
      {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},         {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},     {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
      {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64}};
  for (auto [text, number] : table) {
    if (text == name) return number;
  }
  return fail(Code::invalid, "unknown seccomp architecture " + std::string(name));
}

Result<scmp_compare> operator_by_name(std::string_view name) {
  static constexpr std::pair<std::string_view, scmp_compare> table[] = {
      {"SCMP_CMP_NE", SCMP_CMP_NE}, {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_LE", SCMP_CMP_LE},
      {"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT},
      {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
  for (auto [text, number] : table) {
    if (text == name) return number;
  }
  return fail(Code::invalid, "unknown seccomp operator " + std::string(name));
}

Result<unsigned> flag_by_name(std::string_view name) {
  if (name == "SECCOMP_FILTER_FLAG_TSYNC") return 0U;  // there is one thread only
  if (name == "SECCOMP_FILTER_FLAG_LOG") return unsigned(SECCOMP_FILTER_FLAG_LOG);
  if (name == "SECCOMP_FILTER_FLAG_SPEC_ALLOW") return unsigned(SECCOMP_FILTER_FLAG_SPEC_ALLOW);
  if (name == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") return 1U << 5;
  return fail(Code::invalid, "unknown seccomp flag " + std::string(name));
}

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

Result<void> add_rule(void* context, const std::string& name, uint32_t action, const std::vector<scmp_arg_cmp>& args) {
  int number = seccomp_syscall_resolve_name(name.c_str());
  if (number == __NR_SCMP_ERROR) return {};
  int err = 0;
  // libseccomp allows an argument only once per rule; runc's way out is one rule per comparison.
  bool twice = false;
  for (size_t i = 0; i < args.size(); i++) {
    for (size_t j = 0; j < i; j++) twice = twice || args[i].arg == args[j].arg;
  }
  if (twice) {
    for (const scmp_arg_cmp& arg : args) {
      err = seccomp_rule_add_array(context, action, number, 1, &arg);
      if (err) break;
    }
  } else {
    err = seccomp_rule_add_array(context, action, number, unsigned(args.size()), args.data());
  }
  if (err && err != -EEXIST) return fail_errno("seccomp rule for " + name, -err);
  return {};
}

Result<void> add_rules(void* context, const SeccompFilter& filter, uint32_t default_action, bool& notify) {
  for (const SeccompRule& rule : filter.rules) {
    uint32_t action = TRY(action_by_name(rule.action, rule.errno_ret));
    notify = notify || action == SCMP_ACT_NOTIFY;
    if (action == default_action) continue;  // libseccomp refuses what says nothing new
    std::vector<scmp_arg_cmp> args;
    for (const SeccompArg& arg : rule.args) {
      scmp_compare op = TRY(operator_by_name(arg.op));
      args.push_back({arg.index, op, arg.value, arg.value_two});
    }
    for (const std::string& name : rule.names) TRY(add_rule(context, name, action, args));
  }
  return {};
}

}  // namespace

Result<SeccompProgram> compile_seccomp(const SeccompFilter& filter) {
  uint32_t default_action = TRY(action_by_name(filter.default_action, filter.default_errno_ret));
  Context context(seccomp_init(default_action));
  if (!context) return fail(Code::internal, "seccomp_init failed");
  for (const std::string& name : filter.architectures) {
    int err = seccomp_arch_add(context.get(), TRY(architecture_by_name(name)));
    if (err && err != -EEXIST) return fail_errno("seccomp architecture " + name, -err);
  }
  // A binary tree over the numbers: a few comparisons a call in place of hundreds.
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  SeccompProgram program;
  TRY(add_rules(context.get(), filter, default_action, program.notify));
  for (const std::string& name : filter.flags) program.flags |= TRY(flag_by_name(name));
  Fd memory = TRY(make_memfd("seccomp"));
  if (int err = seccomp_export_bpf(context.get(), memory.get()); err) return fail_errno("seccomp_export_bpf", -err);
  if (lseek(memory.get(), 0, SEEK_SET) < 0) return fail_errno("lseek memfd");
  program.code = TRY(read_all(memory.get()));
  return program;
}

Result<Fd> install_seccomp(const SeccompProgram& program) {
  sock_fprog code{static_cast<unsigned short>(program.code.size() / sizeof(sock_filter)),
                  reinterpret_cast<sock_filter*>(const_cast<char*>(program.code.data()))};
  unsigned flags = program.flags | (program.notify ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0);
  long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &code);
  if (r < 0) return fail_errno("seccomp SECCOMP_SET_MODE_FILTER");
  return program.notify ? Fd(int(r)) : Fd();
}

}  // namespace estiba::os
