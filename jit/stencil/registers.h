// Where generated code keeps what: host registers by their numbers in instructions.
//
// r12 holds the state, r13 what is left of the slice. Eight guest registers live in host registers
// all along (pinned; inside a block the generator may let others lodge there), two more hold
// temporaries of one instruction. rax, rcx and rdx are scratch of single stencils.
#pragma once

#include <array>

#include "common/types.h"

namespace penumbra::jit {

enum class Host : u8 {
  Rax,
  Rcx,
  Rdx,
  Rbx,
  Rsp,
  Rbp,
  Rsi,
  Rdi,
  R8,
  R9,
  R10,
  R11,
  R12,
  R13,
  R14,
  R15
};

/// Of guest RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI. entry_x86.cpp has the same list.
constexpr std::array kPinned = {Host::R9,  Host::R10, Host::R11, Host::R14,
                                Host::Rbp, Host::R15, Host::Rsi, Host::Rdi};
constexpr std::array kTemporaryHosts = {Host::R8, Host::Rbx};

}  // namespace penumbra::jit
