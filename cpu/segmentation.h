// Segment descriptors: reading them from the tables, the checks of loads, the hidden parts.
//
// SDM 3A chapters 3 and 5, AMD APM 2 chapter 4. Everything here checks first; the accessed bit is
// written by mark_accessed(), the last step that can fault, before a caller commits. Null selectors
// leave an unusable segment with base 0 (CPUID 8000_0021h EAX[6] says so to the guest).
#pragma once

#include "cpu/context.h"

namespace penumbra::cpu {

/// Types of system descriptors (SDM 3A table 3-2; 16-bit TSS types and gates are refused in long
/// mode).
enum class SystemType : u8 {
  Tss16 = 1,
  Ldt = 2,
  BusyTss16 = 3,
  CallGate16 = 4,
  TaskGate = 5,
  InterruptGate16 = 6,
  TrapGate16 = 7,
  Tss = 9,
  BusyTss = 11,
  CallGate = 12,
  InterruptGate = 14,
  TrapGate = 15,
};

constexpr u16 rpl(u16 selector) { return selector & 3; }
constexpr bool is_null(u16 selector) { return (selector & 0xfffc) == 0; }
/// The error code that names a selector.
constexpr u32 selector_error(u16 selector) { return selector & 0xfffcu; }

struct Descriptor {
  u64 low = 0;   ///< the 8 bytes of a segment descriptor or legacy gate
  u64 high = 0;  ///< bytes 8..15 of system descriptors and gates in long mode, else 0

  constexpr u32 attributes() const { return static_cast<u32>(low >> 40) & 0xf0ff; }
  constexpr bool has(u32 attribute) const { return (attributes() & attribute) != 0; }
  constexpr u8 type() const { return attributes() & 15; }
  constexpr SystemType system_type() const { return static_cast<SystemType>(type()); }
  constexpr u8 dpl() const { return (attributes() >> 5) & 3; }
  constexpr bool present() const { return has(SegmentRegister::kPresent); }
  constexpr bool is_system() const { return !has(SegmentRegister::kNonSystem); }
  constexpr bool is_code() const { return !is_system() && has(SegmentRegister::kCode); }
  constexpr bool is_conforming() const {
    return is_code() && has(SegmentRegister::kConformingOrDown);
  }
  constexpr bool is_readable() const {
    return !is_system() && (!is_code() || has(SegmentRegister::kWritableOrReadable));
  }
  constexpr bool is_writable() const {
    return !is_system() && !is_code() && has(SegmentRegister::kWritableOrReadable);
  }
  constexpr u64 base() const {
    return Bits<39, 16>::get(low) | Bits<63, 56>::get(low) << 24 | (high << 32);
  }
  constexpr u32 raw_limit() const {
    return static_cast<u32>(Bits<15, 0>::get(low) | Bits<51, 48>::get(low) << 16);
  }
  constexpr u32 limit() const {
    return has(SegmentRegister::kGranular) ? raw_limit() << 12 | 0xfff : raw_limit();
  }

  // Gates (SDM 3A 5.8.3, 6.11).
  constexpr u16 gate_selector() const { return static_cast<u16>(low >> 16); }
  constexpr u64 gate_offset() const {
    return Bits<15, 0>::get(low) | Bits<63, 48>::get(low) << 16 | (high << 32);
  }
  constexpr u8 gate_parameters() const { return Bits<36, 32>::get(low); }
  constexpr u8 gate_ist() const { return Bits<34, 32>::get(low); }
};

/// The hidden part that loading `descriptor` gives.
SegmentRegister segment_register(u16 selector, const Descriptor& descriptor);
/// The hidden part of a null selector.
constexpr SegmentRegister null_segment(u16 selector) {
  return {0, 0, SegmentRegister::kUnusable, selector};
}

/// Linear address of the descriptor in GDT or LDT; `vector`(selector) beyond the table's limit.
Expected<u64> descriptor_address(const CpuContext& ctx, u16 selector, u32 size, Vector vector);
/// A segment descriptor or legacy gate.
Expected<Descriptor> read_descriptor(CpuContext& ctx, u16 selector, Vector vector = Vector::Gp);
/// A system descriptor: 16 bytes while EFER.LMA is set, `vector`(selector) if the second half's
/// type field is not 0.
Expected<Descriptor> read_system_descriptor(CpuContext& ctx, u16 selector,
                                            Vector vector = Vector::Gp);

/// Sets the accessed bit in the table and in `segment`. May raise #PF.
Expected<> mark_accessed(CpuContext& ctx, SegmentRegister& segment);

/// DS, ES, FS, GS in protected mode: #GP and #NP as MOV Sreg; null gives an unusable segment.
Expected<SegmentRegister> check_data_segment(CpuContext& ctx, u16 selector);
/// SS for code that runs, or is about to run, at `cpl`: `vector` is #GP for loads and returns, #TS
/// for stack switches. Null is refused; callers to which 64-bit code may give one ask before.
Expected<SegmentRegister> check_stack_segment(CpuContext& ctx, u16 selector, u8 cpl, Vector vector);

/// MOV Sreg, POP Sreg, LDS, ...: all modes, with the accessed bit; CS only outside protected mode.
Expected<> load_segment(CpuContext& ctx, Segment which, u16 selector);
/// What a load in real or virtual-8086 mode makes of `segment` (real mode keeps the limit).
void load_real_segment(CpuState& state, Segment which, u16 selector);
/// All six in virtual-8086 form (SDM 3A 20.1.1).
void load_v86_segment(CpuState& state, Segment which, u16 selector);

/// A code segment that a transfer wants to run; checks what every transfer checks: type, and in
/// long mode that not both L and D are set. #GP(selector).
Expected<Descriptor> read_code_descriptor(CpuContext& ctx, u16 selector);

/// After a return to an outer level: data segments that the new CPL may not use become null
/// (SDM 3A 5.8.6).
void drop_inner_segments(CpuState& state);

/// Raises the fault that names a selector.
inline std::unexpected<Fault> refuse(Vector vector, u16 selector) {
  return std::unexpected(Fault::of(vector, selector_error(selector)));
}

}  // namespace penumbra::cpu
