// The key of a stencil: which micro-op, at which width, with its operands where.
//
// Shared by the sources of the stencils, which list what they offer, and the code generator, which
// asks for what it needs. Operand forms: in a register, in a slot of CpuState, or a constant.
#pragma once

#include "jit/core/effect.h"

namespace penumbra::jit {

using cpu::Condition;
using cpu::FlagKind;
using translator::Op;

enum class Form : u8 { None, Register, Slot, Immediate };

/// Stencils that are no micro-op of the IR.
enum class Special : u16 {
  Enter = 0x380,   ///< block entry: charges the immediate; Exit where the slice does not hold it
  FarLink,         ///< inline cache of a jump to another page; Slow where it does not fit
  Arrive,          ///< in front of Enter, for dynamic jumps: RIP is in rdx
  Dispatch,        ///< to RIP = a by the table of jumps; Slow, with RIP in rdx: not there
  DispatchReturn,  ///< the same by the table of returns; RIP was on the stack at b + displacement
  PushReturn,      ///< remembers RIP a, on the stack at b; the immediate: host address of its code
  CheckCanonical,  ///< Slow unless a is canonical; without a: RIP in rdx, which stays there
  CheckLimit,      ///< Slow where a is above CS's limit
  StoreAt,         ///< stores c at the host address a
  StoreVectorAt,   ///< the same of a vector
  CheckUnit,       ///< Slow unless the x87 state is on the host's unit
  CheckWait,       ///< Slow where an x87 exception is pending
  CheckPending,    ///< Slow where the state is on the host's unit, or an x87 exception is pending
  UnitPointers,    ///< FIP = code base + displacement, FOP = immediate, FDS = a where there is one
  ProbeRead,       ///< rcx = host address of what may be read at an address, which is in rdx
  ProbeWrite,      ///< the same to be written; W128 stands for ten bytes
  AnchorRead,      ///< d = addend of the page of the immediate + 1 bytes at an address, or 0
  AnchorWrite,     ///< the same where they may be written
  LoadAnchored,    ///< Load by the addend in c; Slow where that is 0
  StoreAnchored,   ///< Store by the addend in d; Slow where that is 0
  LoadVectorAnchored,
  StoreVectorAnchored,
  HoldCarry,       ///< the host's CF becomes that of the kind
  HoldComparison,  ///< the host's flags become those of the kind's comparison of a and b
  ShortMovs,       ///< REP MOVS of a elements of at most 64 bytes, to b from c; Slow: not so simple
  ShortStos,       ///< REP STOS, to b with c
  StoreMxcsr,      ///< stores the guest's MXCSR at the host address a
};

struct StencilKey {
  u16 op = 0;  ///< Op or Special
  Width width = Width::W64;
  Width from = Width::W8;  ///< of extensions
  Effect effect = Effect::Value;
  Form d = Form::None, a = Form::None, b = Form::None, c = Form::None;
  Condition condition = Condition::O;
  FlagKind kind = FlagKind::Dynamic;  ///< that is read; None: from the host's flags
  u8 scale = 0;
  bool tied = false;  ///< d is also the operand that it replaces (a; b of Select)
  bool wide = false;  ///< the immediate has 64 bits; of Lea: there is no displacement
  bool writes_left = false, leaves_dynamically = false;

  constexpr u64 encode() const {
    u64 kind_bits = kind == FlagKind::Dynamic ? 127 : static_cast<u64>(kind);
    return u64{op} | static_cast<u64>(width) << 10 | static_cast<u64>(from) << 13 |
           static_cast<u64>(effect) << 16 | static_cast<u64>(d) << 18 | static_cast<u64>(a) << 20 |
           static_cast<u64>(b) << 22 | static_cast<u64>(c) << 24 |
           static_cast<u64>(condition) << 26 | kind_bits << 30 | u64{scale} << 37 |
           u64{tied} << 39 | u64{wide} << 40 | u64{writes_left} << 62 |
           u64{leaves_dynamically} << 63;
  }
};

constexpr u16 code_of(Op op) { return static_cast<u16>(op); }
constexpr u16 code_of(Special special) { return static_cast<u16>(special); }
static_assert(static_cast<u16>(Op::kCount) < static_cast<u16>(Special::Enter));

}  // namespace penumbra::jit
