#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstring>
#include <random>

#include "os/seccomp.h"
#include "os/seccomp_simplify.h"
#include "runtime/seccomp_default.h"

namespace estiba::runtime {
namespace {

using os::compile_seccomp, os::simplify_seccomp, os::SeccompArg, os::SeccompFilter, os::SeccompRule;

std::vector<sock_filter> parsed(const std::string& code) {
  std::vector<sock_filter> out(code.size() / sizeof(sock_filter));
  std::memcpy(out.data(), code.data(), code.size());
  return out;
}

// Classic BPF as seccomp has it (kernel/seccomp.c, seccomp_check_filter), as far as libseccomp uses it.
uint32_t run(const std::vector<sock_filter>& code, const seccomp_data& data) {
  uint32_t a = 0;
  for (size_t at = 0; at < code.size(); ++at) {
    const sock_filter& step = code[at];
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS: std::memcpy(&a, reinterpret_cast<const char*>(&data) + step.k, 4); break;
      case BPF_ALU | BPF_AND | BPF_K: a &= step.k; break;
      case BPF_JMP | BPF_JA: at += step.k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: at += a == step.k ? step.jt : step.jf; break;
      case BPF_JMP | BPF_JGT | BPF_K: at += a > step.k ? step.jt : step.jf; break;
      case BPF_JMP | BPF_JGE | BPF_K: at += a >= step.k ? step.jt : step.jf; break;
      case BPF_JMP | BPF_JSET | BPF_K: at += a & step.k ? step.jt : step.jf; break;
      case BPF_RET | BPF_K: return step.k;
      default: ADD_FAILURE() << "instruction " << step.code; return 0;
    }
  }
  ADD_FAILURE() << "the program runs out of its end";
  return 0;
}

// For all numbers there may be, and arguments around those that a profile looks at.
void expect_same(const SeccompFilter& filter) {
  auto program = compile_seccomp(filter);
  ASSERT_TRUE(program) << program.error().message;
  const auto before = parsed(program->code), after = parsed(simplify_seccomp(program->code));
  EXPECT_LT(after.size(), before.size() / 2);
  std::vector<uint64_t> arguments{0, 1, 8, 0x20000, 0x20008, UINT32_MAX, UINT64_MAX, 1ULL << 32, 0x7E020000, 16, 38, 40};
  for (const SeccompRule& rule : filter.rules)
    for (const SeccompArg& arg : rule.args) arguments.insert(arguments.end(), {arg.value, arg.value + 1, arg.value_two, ~arg.value});
  std::mt19937_64 random(1);
  size_t let_through = 0;
  for (uint32_t arch : {uint32_t(AUDIT_ARCH_X86_64), uint32_t(AUDIT_ARCH_I386), uint32_t(AUDIT_ARCH_AARCH64), 0U, UINT32_MAX}) {
    for (uint32_t base : {0U, 0x40000000U, 0x7FFFFE00U, 0xFFFFFE00U}) {
      for (uint32_t number = base; number - base < 512; ++number) {
        for (int round = 0; round < 12; ++round) {
          seccomp_data data{.nr = int(number), .arch = arch, .instruction_pointer = random(), .args = {}};
          for (auto& arg : data.args) arg = arguments[random() % arguments.size()];
          const uint32_t wanted = run(before, data);
          let_through += wanted == SECCOMP_RET_ALLOW;
          ASSERT_EQ(run(after, data), wanted) << "arch " << arch << " number " << number;
        }
      }
    }
  }
  EXPECT_GT(let_through, 1000U);
}

TEST(SeccompSimplify, TheProfileOfContainersDecidesAsBefore) { expect_same(default_seccomp({})); }

TEST(SeccompSimplify, WithCapabilitiesAsWell) { expect_same(default_seccomp({"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_BPF"})); }

TEST(SeccompSimplify, ADenyListDecidesAsBefore) {
  SeccompFilter filter{.default_action = "SCMP_ACT_ALLOW"};
  filter.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"};
  SeccompRule denied{.action = "SCMP_ACT_ERRNO"};
  for (const char* name : {"mount", "umount2", "reboot", "kexec_load", "ptrace", "chmod", "fchmod", "fchmodat", "keyctl", "add_key",
                           "request_key", "swapon", "swapoff", "init_module", "finit_module", "delete_module"})
    denied.names.emplace_back(name);
  SeccompRule by_argument{.action = "SCMP_ACT_ERRNO"};
  by_argument.names = {"personality"};
  by_argument.args.push_back({.index = 0, .value = 8, .op = "SCMP_CMP_EQ"});
  SeccompRule by_mask{.action = "SCMP_ACT_KILL_PROCESS"};
  by_mask.names = {"clone"};
  by_mask.args.push_back({.index = 0, .value = 0x7E020000, .value_two = 0x20000, .op = "SCMP_CMP_MASKED_EQ"});
  filter.rules = {denied, by_argument, by_mask};
  auto program = compile_seccomp(filter);
  ASSERT_TRUE(program) << program.error().message;
  const auto before = parsed(program->code), after = parsed(simplify_seccomp(program->code));
  EXPECT_LE(after.size(), before.size());
  for (uint32_t number = 0; number < 600; ++number) {
    for (uint64_t argument : {0ULL, 8ULL, 9ULL, 0x20000ULL, 0x20011ULL, 0x60020000ULL, 1ULL << 32 | 8}) {
      for (uint32_t arch : {uint32_t(AUDIT_ARCH_X86_64), uint32_t(AUDIT_ARCH_I386), 7U}) {
        seccomp_data data{.nr = int(number), .arch = arch, .instruction_pointer = 0, .args = {argument}};
        ASSERT_EQ(run(after, data), run(before, data)) << number << " " << argument;
      }
    }
  }
}

TEST(SeccompSimplify, WhatItDoesNotUnderstandStays) {
  const sock_filter code[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                              {BPF_JMP | BPF_JSET | BPF_K, 0, 1, 1},
                              {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
                              {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS}};
  const std::string bytes(reinterpret_cast<const char*>(code), sizeof code);
  EXPECT_EQ(simplify_seccomp(bytes), bytes);
  EXPECT_EQ(simplify_seccomp(""), "");
}

}  // namespace
}  // namespace estiba::runtime
