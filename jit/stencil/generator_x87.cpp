// x87 instructions: the host's own, on the guest's state in the host's unit.
//
// While CpuState::x87_on_host is set, that unit has the guest's registers, TOP, tags, status and
// control word, with every exception masked; so the guest's instruction is the host's, with another
// address. Each one checks that first. Where the state is elsewhere, or memory is not at hand, the
// slow path runs the named operation, and puts the state there if it may be. Whatever else enters
// C++ takes it back before.
// FIP, FCS, FOP and FDS are constants of an instruction. They are stored where the block is left;
// a slow path stores them by the mark of the last instruction in front of it.
#include "cpu/x87/host_unit_x86.h"
#include "jit/stencil/generator.h"

namespace penumbra::jit {

using translator::kNoSlot;
using translator::Op;

namespace {

/// An x87 instruction by its opcode as FOP has it: the low bits of D8..DF, and ModR/M.
struct UnitInstruction {
  u8 escape = 0, modrm = 0;
  bool memory = false;

  static UnitInstruction of(const penumbra::Operands& operands) {
    return {.escape = static_cast<u8>(operands.x87_opcode >> 8 & 7),
            .modrm = static_cast<u8>(operands.x87_opcode),
            .memory = operands.at[0].is_memory()};
  }
  u8 reg() const { return modrm >> 3 & 7; }
  bool is(u8 first, u8 field) const { return memory && escape == (first & 7) && reg() == field; }
  bool is_register(u8 first, u8 second) const {
    return !memory && escape == (first & 7) && modrm == second;
  }

  bool waits_only() const { return !memory && modrm < 0xc0; }  // FWAIT has no opcode of the unit
  bool loads_control() const { return is(0xd9, 5); }
  bool stores_status() const { return is_register(0xdf, 0xe0); }
  /// FCOMI, FUCOMI and the popping forms.
  bool sets_flags() const {
    bool compares = escape == 3 || escape == 7;
    return !memory && compares && (reg() == 5 || reg() == 6);
  }
  /// FSTs, FISTs and FISTTPs, FNSTCW, FNSTSW, FBSTP.
  bool stores() const {
    bool odd = memory && (escape & 1) != 0;
    return odd && ((reg() >= 1 && reg() <= 3) || reg() == 7 || (escape == 7 && reg() == 6));
  }
  /// Whether it is one of those that leave the pointers alone.
  bool is_control() const {
    return loads_control() || stores_status() || is(0xd9, 7) || is(0xdd, 7) ||
           is_register(0xdb, 0xe2);
  }
};

Width probe_width(u32 size) {
  return size == 2 ? Width::W16 : size == 4 ? Width::W32 : size == 8 ? Width::W64 : Width::W128;
}

constexpr Slot selector_slot(Segment segment) {
  return static_cast<Slot>(offsetof(cpu::CpuState, segment) +
                           sizeof(cpu::SegmentRegister) * static_cast<u8>(segment) +
                           offsetof(cpu::SegmentRegister, selector));
}

}  // namespace

/// A named operation that the host's unit can do. False: nothing is emitted.
bool Generator::unit_operation(const MicroOp& op) {
  const translator::CallSite& call = ir_->calls[op.immediate];
  UnitInstruction in = UnitInstruction::of(call.operands);
  bool available = !ir_->mode.has(CodeMode::kTaskSwitched) && !ir_->mode.has(CodeMode::kEmulation);
  bool direct = !in.memory || op.a != kNoSlot;
  if (!(call.call.effects & translator::RunsOnUnit) || !available || !direct) return false;
  if (in.waits_only()) {
    must_emit({.op = code_of(Special::CheckWait)}, {});
    cold_call(new_site(op, Site::Kind::Call), out_);
    return true;
  }
  evict_vectors();  // an MMX register may be among them
  comparison_.reset();
  u32 site = new_site(op, Site::Kind::Call);
  must_emit({.op = code_of(Special::CheckUnit)}, {});
  Fields slow = continuations(HoleKind::Slow);
  auto also = [&](const Fields& fields) {
    for (u8* field : fields) slow.push_back(field);
  };
  if (in.memory) also(unit_probe(op, in.stores(), call.operands.at[0].size));
  if (in.loads_control()) also(unit_masks());
  if (in.memory) {
    bytes({static_cast<u8>(0xd8 | in.escape), static_cast<u8>(in.reg() << 3 | 1)});  // [rcx]
  } else {
    bytes({static_cast<u8>(0xd8 | in.escape), in.modrm});
  }
  if (in.stores_status()) {
    static_assert(kPinned[0] == Host::R9);
    bytes({0x66, 0x41, 0x89, 0xc1});  // mov r9w, ax
  }
  if (in.sets_flags()) unit_flags();
  if (!in.is_control()) {
    if (in.memory) {
      Slot pointer = offsetof(cpu::CpuState, x87) + offsetof(cpu::X87State, dp);
      copy_move({.d = {Form::Slot, Host::Rax, pointer}, .a = {Form::Register, Host::Rdx, kNoSlot}});
    }
    mark_unit(call.operands);
  }
  cold_calls_.push_back({slow, out_, site});
  return true;
}

/// STMXCSR. False: nothing is emitted.
bool Generator::store_mxcsr(const MicroOp& op) {
  const translator::CallSite& call = ir_->calls[op.immediate];
  if (!(call.call.effects & translator::StoresMxcsr) || op.a == kNoSlot) return false;
  u32 site = new_site(op, Site::Kind::Call);
  Fields slow = unit_probe(op, true, 4);
  must_emit({.op = code_of(Special::StoreMxcsr), .a = Form::Register},
            {.a = {Form::Register, Host::Rcx, kNoSlot}});
  cold_call(site, out_);
  cold_calls_.back().from = slow;
  return true;
}

/// rcx = host address of the operand, rdx = its address.
Fields Generator::unit_probe(const MicroOp& op, bool stores, u32 size) {
  Special probe = stores ? Special::ProbeWrite : Special::ProbeRead;
  StencilKey key{.op = code_of(probe), .width = probe_width(size)};
  Operands operands;
  address_operands(op, key, operands);
  bool emitted = emit_address(key, operands);
  PENUMBRA_ASSERT(emitted);
  return continuations(HoleKind::Slow);
}

/// A jump for control words at [rcx] that unmask an exception.
Fields Generator::unit_masks() {
  bytes({0x0f, 0xb6, 0x01});  // movzx eax, byte [rcx]
  bytes({0xf7, 0xd0});        // not eax
  bytes({0xa8, 0x3f});        // test al, 3fh
  bytes({0x0f, 0x85, 0, 0, 0, 0});
  Fields jump;
  jump.push_back(out_ - 4);
  return jump;
}

/// CF, PF and ZF of the host, the other arithmetic flags clear.
void Generator::unit_flags() {
  bytes({0x9c, 0x41, 0x58});        // pushfq; pop r8
  bytes({0x41, 0x83, 0xe0, 0x45});  // and r8d, 45h
  must_emit({.op = code_of(Op::SetFlags), .a = Form::Register},
            {.a = {Form::Register, Host::R8, kNoSlot}});
  store_flag_state({cpu::FlagKind::Explicit, cpu::FlagKind::None});
}

void Generator::mark_unit(const penumbra::Operands& operands) {
  UnitMark mark{.offset = ir_->instructions[instruction_].offset,
                .opcode = operands.x87_opcode,
                .data = operands.at[0].is_memory() ? operands.memory.segment : Segment::None};
  if (unit_mark_ != Site::kNoMark && mark.data == Segment::None)
    mark.data = unit_marks_[unit_mark_].data;
  unit_mark_ = static_cast<u16>(unit_marks_.size());
  unit_marks_.push_back(mark);
}

/// Before the block is left.
void Generator::store_unit_pointers() {
  store_unit_pointers(unit_mark_);
  unit_mark_ = Site::kNoMark;
}

void Generator::store_unit_pointers(u16 number) {
  if (number == Site::kNoMark) return;
  const UnitMark& mark = unit_marks_[number];
  Operands operands{.immediate = mark.opcode, .displacement = mark.offset};
  if (mark.data != Segment::None) operands.a = {Form::Slot, Host::Rax, selector_slot(mark.data)};
  must_emit({.op = code_of(Special::UnitPointers), .a = operands.a.form}, operands);
}

/// Where the state is on the host's unit, MMX instructions need it back.
void Generator::check_fpu(const MicroOp& op) {
  must_emit({.op = code_of(Special::CheckPending)}, {});
  cold_call(new_site(op, Site::Kind::CheckFpu), out_);
}

}  // namespace penumbra::jit
