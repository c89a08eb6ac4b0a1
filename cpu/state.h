// What one guest CPU holds, laid out for generated code.
//
// Everything that a micro-op can name lives at a constant byte offset of this struct: a Slot is
// such an offset (AH is the slot of RAX plus one). Architectural fields come in one serialize list;
// the words marked "engine" are caches of the engine that runs, rebuilt and never saved.
// Between instructions of a block, RIP is code_base + a constant and the flag kind is known to the
// translator; both are made current before anything outside generated code looks at them.
#pragma once

#include "common/operands.h"
#include "common/types.h"
#include "cpu/flags.h"

namespace penumbra::cpu {

enum class Reg : u8 {
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
  R15,
};

/// Segment register with its hidden part (SDM 3A 3.4.3).
struct SegmentRegister {
  /// Attributes are bits 8..23 of the descriptor's high dword, shifted down by 8:
  /// type 3..0, S 4, DPL 6..5, P 7, AVL 12, L 13, D/B 14, G 15; bit 16 is our "unusable" (null).
  static constexpr u32 kCode = 1u << 3, kConformingOrDown = 1u << 2, kWritableOrReadable = 1u << 1,
                       kAccessed = 1u, kNonSystem = 1u << 4, kPresent = 1u << 7, kLong = 1u << 13,
                       kBig = 1u << 14, kGranular = 1u << 15, kUnusable = 1u << 16;
  u64 base = 0;
  u32 limit = 0;  ///< in bytes, granularity applied
  u32 attributes = 0;
  u16 selector = 0;

  constexpr u8 dpl() const { return (attributes >> 5) & 3; }
  constexpr u8 type() const { return attributes & 15; }
  constexpr bool has(u32 attribute) const { return (attributes & attribute) != 0; }

  template <class A>
  void serialize(A& archive) {
    archive(base, limit, attributes, selector);
  }
};

struct DescriptorTable {
  u64 base = 0;
  u16 limit = 0;
  template <class A>
  void serialize(A& archive) {
    archive(base, limit);
  }
};

/// 80-bit register in 16 bytes; MMX registers are `mantissa`.
struct alignas(16) X87Register {
  u64 mantissa = 0;
  u16 exponent = 0;  ///< sign in bit 15
  template <class A>
  void serialize(A& archive) {
    archive(mantissa, exponent);
  }
};

/// SDM 1, 8.1. Registers by physical number (R0..R7), ST(i) is R[(top + i) & 7].
/// The order keeps the control and status words off multiples of 4, where compilers load 32 bits
/// for 16: such a load waits for the store of the word, or of its neighbour, by the instruction
/// before.
struct X87State {
  X87Register registers[8];
  u8 tags = 0;  ///< one bit a physical register, 1 = not empty (as in FXSAVE)
  u16 control = 0x37f;
  u16 opcode = 0;  ///< FOP, 11 bits
  u16 status = 0;  ///< including TOP in bits 13..11
  u16 cs = 0, ds = 0;
  u64 ip = 0, dp = 0;  ///< FIP, FDP

  constexpr u8 top() const { return (status >> 11) & 7; }
  constexpr void set_top(u8 top) { status = (status & ~0x3800) | ((top & 7) << 11); }

  template <class A>
  void serialize(A& archive) {
    archive(registers, control, status, tags, opcode, ip, dp, cs, ds);
  }
};

/// XMM in the low 16 bytes, the upper half of YMM above.
struct alignas(32) VectorRegister {
  u64 lanes[4] = {};
  template <class A>
  void serialize(A& archive) {
    archive(lanes);
  }
};

enum class Activity : u8 { Running, Halted, Shutdown, WaitForSipi };

/// MSRs that are stored, checked on write and have no effect of their own (SDM 4).
struct StoredMsrs {
  u64 pat = 0x0007040600070406;
  u64 mtrr_default = 0;
  u64 mtrr_fixed[11] = {};
  u64 mtrr_base[8] = {}, mtrr_mask[8] = {};
  u64 misc_enable = 0;
  u64 spec_ctrl = 0;
  u64 hwcr = 0, syscfg = 0, nb_cfg = 0;  ///< AMD: C001_0015h, C001_0010h, C001_001Fh
  u64 mcg_status = 0, mcg_control = 0;
  u64 mc_bank[4][4] = {};  ///< CTL, STATUS, ADDR, MISC of each machine-check bank
  template <class A>
  void serialize(A& archive) {
    archive(pat, mtrr_default, mtrr_fixed, mtrr_base, mtrr_mask, misc_enable, spec_ctrl, hwcr,
            syscfg, nb_cfg, mcg_status, mcg_control);
    for (auto& bank : mc_bank) archive(bank);
  }
};

struct CpuState {
  // -- named by micro-ops ------------------------------------------------------------------------
  static constexpr unsigned kTemporaries = 24, kVectorTemporaries = 8;
  u64 gpr[16] = {};
  u64 temporary[kTemporaries] = {};  ///< engine: dead between instructions
  u64 zero = 0;                      ///< always 0: the absent base or index of an address
  u64 flag_result = 0;               ///< values of the last flag operation; see cpu/flags.h
  u64 flag_source = 0;
  u64 flag_patch = 0;
  u64 rflags = 2;     ///< everything but the six arithmetic flags, which live in the lazy triple
  u64 rip = 0;        ///< valid when no block runs
  u64 code_base = 0;  ///< engine: RIP minus the offset in its code page, while a block runs
  FlagKind flag_kind = FlagKind::Explicit;  ///< generated code stores it and the next in one
  FlagKind flag_modifier = FlagKind::None;
  u8 interrupt_shadow = 0;  ///< 1: after STI or MOV SS, interrupts wait for one instruction
  u8 cpl = 0;
  Activity activity = Activity::Running;
  u32 mxcsr = 0x1f80;
  SegmentRegister segment[6];  ///< by Segment
  VectorRegister vector[16];
  VectorRegister vector_temporary[kVectorTemporaries];  ///< engine
  X87State x87;

  // -- engine ------------------------------------------------------------------------------------
  void* table = nullptr;  ///< the current view of the shadow page table
  /// Addends of pages that generated code has looked up for several accesses; 0: look up again.
  static constexpr u32 kAnchors = 4;
  u64 anchor[kAnchors] = {};
  void* engine = nullptr;     ///< tier 0, where it runs this state
  void* baseline = nullptr;   ///< tier 1
  i64 instructions_left = 0;  ///< of this slice; current outside of blocks
  /// Blocks are entered while instructions_left stays at or above this: 0, or the largest value
  /// when somebody asked the CPU to stop soon (written atomically).
  i64 stop_below = 0;
  u64 code_segment_base = 0;  ///< CS.base where it counts (not in 64-bit mode)
  u64 repeat_bytes = 0;       ///< bytes of REP instructions not yet charged as an instruction
  /// What generated code exchanges with its slow paths: a value loaded or to be stored.
  VectorRegister slow_value;
  u64 slow_linear = 0;
  /// Registers of generated code that hold temporaries, while a slow path runs.
  u64 saved_temporaries[2] = {};
  /// Names the mode and the code mappings in force; equal keys mean that a cached jump holds.
  u64 execute_key = 0;
  /// Where calls will return to, for generated code, by where in the stack their return address is:
  /// kReturns entries of execute_key. Code of both kinds of entries is entered with RIP in rdx.
  struct ReturnEntry {
    u64 rip = 0;
    const void* code = nullptr;
  };
  static constexpr u32 kReturns = 512;
  /// Byte offset of the entry for a return address at `stack`, twice over: entries have 16 bytes.
  static constexpr u64 half_return_offset(u64 stack) { return stack & (kReturns - 1) * 8; }
  ReturnEntry* returns = nullptr;
  /// Where jumps lead, for generated code: kJumps entries, at a place that depends on execute_key
  /// within a larger table, so that the jumps of address spaces do not meet.
  struct JumpEntry {
    u64 rip = 0, key = ~0ull;  ///< of the target, and execute_key
    const void* code = nullptr;
    u64 unused = 0;
  };
  static constexpr u32 kJumps = 4096;
  /// Byte offset of a target's entry.
  static constexpr u64 jump_offset(u64 rip) {
    return (static_cast<u32>(rip) * 0x9e3779b1u >> 15) & (kJumps - 1) * sizeof(JumpEntry);
  }
  JumpEntry* jumps = nullptr;
  u64 linear_mask = ~0ull;  ///< what linear addresses of code are truncated to
  u64 retired = 0;          ///< instructions retired up to the current slice's start
  /// The host's x87 unit holds what of `x87` that unit has; never outside of generated code.
  bool x87_on_host = false;

  // -- system state ------------------------------------------------------------------------------
  SegmentRegister ldtr, tr;
  DescriptorTable gdtr, idtr;
  u64 cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0, cr8 = 0;
  u64 dr[4] = {}, dr6 = 0xffff0ff0, dr7 = 0x400;
  u64 efer = 0, xcr0 = 1;
  u64 star = 0, lstar = 0, cstar = 0, sfmask = 0, kernel_gs_base = 0, tsc_aux = 0;
  u64 sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0;
  u64 tsc_offset = 0;  ///< added to the clock's TSC; changed by writes of IA32_TSC
  u64 tsc_adjust = 0;
  bool nmi_blocked = false, nmi_pending = false;
  /// Debug traps to deliver after the instruction that raised them (DR6 causes; single-step).
  u64 pending_debug = 0;
  StoredMsrs msr;

  u64& reg(Reg r) { return gpr[static_cast<u8>(r)]; }
  u64 reg(Reg r) const { return gpr[static_cast<u8>(r)]; }
  SegmentRegister& seg(Segment s) { return segment[static_cast<u8>(s)]; }
  const SegmentRegister& seg(Segment s) const { return segment[static_cast<u8>(s)]; }

  /// The six arithmetic flags, and the whole register. set_* make the kind Explicit.
  u32 arithmetic_flags() const {
    return modified(materialize(flag_kind, flag_result, flag_source), flag_modifier, flag_patch);
  }
  void set_arithmetic_flags(u32 flags) {
    set_lazy_flags(FlagKind::Explicit, flag_result, flags & Flag::kArithmetic);
  }
  /// All six flags by a kind that is not partial.
  void set_lazy_flags(FlagKind kind, u64 result, u64 source) {
    flag_kind = kind;
    flag_modifier = FlagKind::None;
    flag_result = result;
    flag_source = source;
  }
  /// What is statically known becomes current.
  void set_flag_state(FlagState known) {
    if (known.kind != FlagKind::Dynamic) flag_kind = known.kind;
    if (known.modifier != FlagKind::Dynamic) flag_modifier = known.modifier;
  }
  u64 flags() const { return rflags | arithmetic_flags(); }
  void set_flags(u64 value) {
    rflags = (value & ~u64{Flag::kArithmetic}) | 2;
    set_arithmetic_flags(static_cast<u32>(value));
  }
  bool flag(u32 system_flag) const { return (rflags & system_flag) != 0; }

  template <class A>
  void serialize(A& archive) {
    archive(gpr, flag_result, flag_source, flag_patch, rflags, rip, flag_kind, flag_modifier,
            interrupt_shadow, cpl, activity, mxcsr, segment, vector, x87, retired, ldtr, tr, gdtr,
            idtr, cr0, cr2, cr3, cr4, cr8, dr, dr6, dr7, efer, xcr0, star, lstar, cstar, sfmask,
            kernel_gs_base, tsc_aux, sysenter_cs, sysenter_esp, sysenter_eip, tsc_offset,
            tsc_adjust, nmi_blocked, nmi_pending, pending_debug, msr, repeat_bytes);
  }
};

/// Byte offset of a value in CpuState; what an operand of a micro-op is.
using Slot = u16;
static_assert(offsetof(CpuState, flag_modifier) == offsetof(CpuState, flag_kind) + 1 &&
              offsetof(CpuState, flag_kind) % 2 == 0);
static_assert(sizeof(CpuState) < 0x4000);

/// Control register bits (SDM 3A 2.5) and EFER (SDM 4).
struct Cr0 {
  static constexpr u64 kPe = bit(0), kMp = bit(1), kEm = bit(2), kTs = bit(3), kEt = bit(4),
                       kNe = bit(5), kWp = bit(16), kAm = bit(18), kNw = bit(29), kCd = bit(30),
                       kPg = bit(31);
};
struct Cr4 {
  static constexpr u64 kVme = bit(0), kPvi = bit(1), kTsd = bit(2), kDe = bit(3), kPse = bit(4),
                       kPae = bit(5), kMce = bit(6), kPge = bit(7), kPce = bit(8), kOsfxsr = bit(9),
                       kOsxmmexcpt = bit(10), kUmip = bit(11), kLa57 = bit(12), kFsgsbase = bit(16),
                       kPcide = bit(17), kOsxsave = bit(18), kSmep = bit(20), kSmap = bit(21),
                       kPke = bit(22);
};
struct Efer {
  static constexpr u64 kSce = bit(0), kLme = bit(8), kLma = bit(10), kNxe = bit(11);
};

}  // namespace penumbra::cpu
