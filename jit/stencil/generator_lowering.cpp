// What each micro-op becomes.
//
// The best form of a micro-op is tried first: d tied to its first operand in registers, then apart,
// and at last the form that has every operand in its slot, which always exists.
#include "common/log.h"
#include "jit/stencil/generator.h"
#include "jit/stencil/straight.h"

namespace penumbra::jit {

using cpu::FlagKind;
using translator::is_temporary;
using translator::kNoSlot;
using translator::kZeroSlot;
using translator::Op;
using translator::Shape;

namespace {

bool commutes(Op op) {
  return op == Op::Add || op == Op::And || op == Op::Or || op == Op::Xor || op == Op::Mul;
}

/// The flags that are the host's behind the one instruction that the host has for the micro-op.
u32 flags_by_host(const MicroOp& op) {
  constexpr u32 kAll = cpu::Flag::kArithmetic;
  bool by_constant = op.b_is_immediate && op.width >= Width::W32;
  switch (op.op) {
    case Op::Add:
    case Op::Sub:
    case Op::And:
    case Op::Or:
    case Op::Xor:
    case Op::Neg:
      return kAll;
    case Op::Inc:
    case Op::Dec:
      return kAll & ~cpu::Flag::kCf;
    case Op::Shl:
    case Op::Shr:
    case Op::Sar:
      return by_constant ? kAll & ~(cpu::Flag::kOf | cpu::Flag::kAf) : 0;
    case Op::RotateLeft:
    case Op::RotateRight:
      return by_constant ? cpu::Flag::kCf : 0;
    case Op::BitTestFlags:
      return op.width >= Width::W32 ? cpu::Flag::kCf : 0;
    default:
      return 0;
  }
}

/// Whether an operand stays where it is behind its instruction: words of temporaries are used anew.
bool outlives_instruction(Form form, Slot slot) {
  return form != Form::Slot || !translator::is_temporary(slot);
}

}  // namespace

/// Temporaries live until their instruction ends.
void Generator::begin_instruction(const MicroOp& op) {
  if (op.instruction == instruction_) return;
  held_.fill(kNoSlot);
  forget_vector_temporaries();
  instruction_ = op.instruction;
}

void Generator::lower(const MicroOp& op) {
  begin_instruction(op);
  if (!op.sets_flags) return lower_kept(op);
  comparison_.reset();
  host_flags_ = flag_writers_ = 0;
  cold_flags_ = op.cold_flags ? &op : nullptr;
  if (op.cold_flags && op.d == kNoSlot) {
    Operands operands{.a = place_of(op.a)};
    operands.b = second(op, operands);
    return note_comparison(op, operands);
  }
  if (!op.cold_flags || !needs_source(op) || !lower_with_source(op)) {
    MicroOp kept = op;
    if (needs_source(op)) cold_flags_ = nullptr;
    kept.sets_flags = cold_flags_ == nullptr;
    lower_kept(kept);
  }
  if (flag_writers_ == 1) host_flags_ = flags_by_host(op);
}

/// With no more of its flags than what cold code cannot tell from the result.
bool Generator::lower_with_source(const MicroOp& op) {
  if (op.d != op.a) return false;
  Operands operands{.d = place_of(op.d)};
  operands.b = second(op, operands);
  StencilKey key{.op = code_of(op.op), .width = op.width, .effect = Effect::ValueAndSource};
  key.d = operands.d.form, key.b = operands.b.form, key.tied = true;
  return emit(key, operands);
}

/// With the flags that it sets.
void Generator::lower_kept(const MicroOp& op) {
  switch (translator::shape_of(op.op)) {
    case Shape::Move:
    case Shape::Widen:
    case Shape::Unary:
    case Shape::Binary:
    case Shape::Counted:
    case Shape::Ternary:
      return pure(op);
    case Shape::Code:
      return code_value(op);
    case Shape::Divide:
      return divide(op);
    case Shape::Address:
      return address(op);
    case Shape::ReadFlags:
      return read_flags(op);
    case Shape::WriteFlags:
      return set_flags(op);
    case Shape::FlagState:
      return flag_state(op);
    case Shape::Memory:
      return memory(op);
    case Shape::Segmented:
      return op.op == Op::Linear ? slow_operation(op, Site::Kind::Linear) : check_aligned(op);
    case Shape::Check:
      if (op.op == Op::CheckTarget) return check_target(op);
      if (op.op == Op::CheckDivide) return check_divide(op);
      if (op.op == Op::CheckFpu) return check_fpu(op);
      return slow_operation(op, op.op == Op::BeginSse ? Site::Kind::BeginSse : Site::Kind::EndSse);
    case Shape::Hint:
      return push_return(op);
    case Shape::Control:
      if (op.op == Op::Jump) return jump(op);
      if (op.op == Op::JumpDynamic) return jump_dynamic(op);
      if (op.op == Op::Call && (unit_operation(op) || store_mxcsr(op))) return;
      return slow_operation(op, op.op == Op::Call ? Site::Kind::Call : Site::Kind::Raise);
    default:
      return vector(op);
  }
}

// -- pure micro-ops
// ------------------------------------------------------------------------------------

/// The second operand; a constant that does not fit an instruction goes into a register.
Generator::Place Generator::second(const MicroOp& op, Operands& operands) {
  if (!op.b_is_immediate) return place_of(op.b);
  u64 value = narrowed(op.immediate, op.width);
  if (op.width >= Width::W64 && !fits_signed_32(value)) {
    return {Form::Register, constant_register(value), kNoSlot};
  }
  operands.immediate = value;
  return {.form = Form::Immediate};
}

void Generator::code_value(const MicroOp& op) {
  Operands operands{.d = destination(op.d, Width::W64),
                    .immediate = reinterpret_cast<u64>(page_ + op.immediate)};
  must_emit({.op = code_of(op.op), .from = op.from, .d = operands.d.form, .wide = true}, operands);
}

void Generator::pure(const MicroOp& op) {
  if (op.op == Op::Select) return select(op);
  if (pure_tied(op) || pure_compare(op) || pure_apart(op)) return;
  pure_general(op);
}

bool Generator::pure_tied(const MicroOp& op) {
  Shape shape = translator::shape_of(op.op);
  if (shape == Shape::Move || shape == Shape::Widen) return false;
  MicroOp o = op;
  if (o.d != o.a && o.d == o.b && !o.b_is_immediate && commutes(o.op)) std::swap(o.a, o.b);
  if (o.d == kNoSlot || o.d != o.a) return false;
  Operands operands;
  operands.d = place_of(o.d);
  if (shape != Shape::Unary) operands.b = second(o, operands);
  if (shape == Shape::Ternary) operands.c = place_of(o.c);
  StencilKey key{.op = code_of(o.op),
                 .width = o.width,
                 .effect = effect_of(o),
                 .d = operands.d.form,
                 .b = operands.b.form,
                 .c = operands.c.form,
                 .tied = true};
  return emit(key, operands);
}

bool Generator::pure_compare(const MicroOp& op) {
  Shape shape = translator::shape_of(op.op);
  bool takes_one = shape == Shape::Unary;
  if (op.d != kNoSlot || !op.sets_flags || (shape != Shape::Binary && !takes_one)) return false;
  Operands operands{.a = place_of(op.a)};
  bool with_self = tests_itself(op) && operands.a.form == Form::Register;
  if (!takes_one && !with_self) operands.b = second(op, operands);
  StencilKey key{.op = code_of(op.op), .width = op.width, .effect = Effect::Flags};
  key.a = operands.a.form, key.b = operands.b.form;
  if (!emit(key, operands)) return false;
  if (with_self) operands.b = operands.a;
  note_comparison(op, operands);
  return true;
}

void Generator::note_comparison(const MicroOp& op, const Operands& operands) {
  bool lasts = outlives_instruction(operands.a.form, operands.a.slot) &&
               outlives_instruction(operands.b.form, operands.b.slot);
  if (lasts && (op.op == Op::Sub || op.op == Op::And)) {
    comparison_ = {operands.a, operands.b, operands.immediate, op.width};
  }
}

/// d is another register than the operands: in one stencil, or moved first and then tied.
bool Generator::pure_apart(const MicroOp& op) {
  Shape shape = translator::shape_of(op.op);
  if (op.d == kNoSlot || shape == Shape::Ternary || shape == Shape::Counted) return false;
  Operands operands{.a = place_of(op.a)};
  if (op.a == kNoSlot) {  // a moved constant
    operands.immediate = narrowed(op.immediate, op.width);
    operands.a = {.form = Form::Immediate};
  }
  if (shape == Shape::Binary) operands.b = second(op, operands);
  operands.d = destination(op.d, op.width);
  StencilKey key{.op = code_of(op.op),
                 .width = op.width,
                 .effect = effect_of(op),
                 .d = operands.d.form,
                 .a = operands.a.form,
                 .b = operands.b.form};
  if (shape == Shape::Widen) key.from = op.from;
  bool word = operands.d.form == Form::Slot && op.d >= translator::gpr_slot(8) &&
              op.d < translator::temporary_slot(0);
  if (op.op == Op::Move && op.width < Width::W32 && word) key.from = Width::W64;
  key.wide = op.width == Width::W64 && operands.a.form == Form::Immediate &&
             !fits_signed_32(operands.immediate);
  if (emit(key, operands)) return true;
  if (commutes(op.op) && operands.b.form == Form::Register) {
    Operands swapped = operands;
    std::swap(swapped.a, swapped.b);
    std::swap(key.a, key.b);
    if (emit(key, swapped)) return true;
  }
  bool second_is_d = shape == Shape::Binary && operands.b.form == Form::Register &&
                     operands.b.host == operands.d.host;
  bool movable = operands.d.form == Form::Register && shape == Shape::Binary && !second_is_d &&
                 op.width >= Width::W32 && operands.a.form != Form::Immediate;
  if (!movable) return false;
  StencilKey tied{.op = code_of(op.op),
                  .width = op.width,
                  .effect = effect_of(op),
                  .d = Form::Register,
                  .b = operands.b.form,
                  .tied = true};
  const Stencil* stencil = stencils_.find(tied.encode());
  Operands behind_move = operands;
  behind_move.a = {};
  if (stencil == nullptr || !fits(*stencil, behind_move)) return false;
  must_emit(
      {.op = code_of(Op::Move), .width = Width::W64, .d = Form::Register, .a = operands.a.form},
      {.d = operands.d, .a = operands.a});
  must_emit(tied, behind_move);
  return true;
}

/// Every operand in its slot; registers are stored before and loaded behind.
void Generator::pure_general(const MicroOp& op) {
  Shape shape = translator::shape_of(op.op);
  Operands operands;
  operands.a = in_memory(op.a);
  if (shape == Shape::Ternary) operands.c = in_memory(op.c);
  if (shape == Shape::Binary || shape == Shape::Counted || shape == Shape::Ternary) {
    operands.b = op.b_is_immediate ? second(op, operands) : in_memory(op.b);
    if (operands.b.form == Form::Register) {  // a constant of 64 bits, through a free word
      Slot word = offsetof(cpu::CpuState, slow_linear);
      must_emit(
          {.op = code_of(Op::Move), .width = Width::W64, .d = Form::Slot, .a = Form::Register},
          {.d = {Form::Slot, Host::Rax, word}, .a = operands.b});
      operands.b = {Form::Slot, Host::Rax, word};
    }
  }
  if (op.d != kNoSlot) operands.d = in_memory(op.d);
  must_emit({.op = code_of(op.op),
             .width = op.width,
             .from = shape == Shape::Widen ? op.from : Width::W8,
             .effect = effect_of(op),
             .d = operands.d.form,
             .a = operands.a.form,
             .b = operands.b.form,
             .c = operands.c.form},
            operands);
}

/// d = c ? a : b. Best where d is b, in a register.
void Generator::select(const MicroOp& op) {
  if (op.d == op.b && !op.b_is_immediate) {
    Operands operands{.d = place_of(op.d), .a = place_of(op.a), .c = place_of(op.c)};
    StencilKey key{.op = code_of(op.op),
                   .width = op.width,
                   .d = operands.d.form,
                   .a = operands.a.form,
                   .c = operands.c.form,
                   .tied = true};
    if (emit(key, operands)) return;
  }
  pure_general(op);
}

void Generator::divide(const MicroOp& op) {
  Operands operands{.a = place_of(op.a), .b = place_of(op.b), .c = place_of(op.c)};
  operands.d = destination(op.d, op.width);
  StencilKey key{.op = code_of(op.op), .width = op.width, .d = operands.d.form};
  key.a = operands.a.form;
  key.b = operands.b.form;
  key.c = operands.c.form;
  must_emit(key, operands);
}

void Generator::address_operands(const MicroOp& op, StencilKey& key, Operands& operands) {
  if (op.a != kZeroSlot) operands.a = place_of(op.a);
  if (op.b != kZeroSlot) operands.b = place_of(op.b);
  operands.displacement = op.displacement;
  key.a = operands.a.form;
  key.b = operands.b.form;
  key.scale = operands.b.form == Form::None ? 0 : op.scale;
}

/// Base and index may change places where one of them fits only so.
bool Generator::emit_address(StencilKey key, Operands& operands) {
  if (emit(key, operands)) return true;
  if (key.scale != 0 || operands.b.form == Form::None) return false;
  std::swap(operands.a, operands.b);
  std::swap(key.a, key.b);
  return emit(key, operands);
}

void Generator::address(const MicroOp& op) {
  StencilKey key{.op = code_of(op.op), .width = op.width};
  Operands operands;
  address_operands(op, key, operands);
  if (op.displacement == 0 && operands.a.form != Form::None && operands.b.form == Form::None) {
    return pure({.op = Op::Move, .width = op.width, .d = op.d, .a = op.a});
  }
  key.wide = op.displacement == 0 && operands.b.form != Form::None;
  operands.d = destination(op.d, op.width);
  key.d = operands.d.form;
  if (emit_address(key, operands)) return;
  operands = {};
  operands.a = in_memory(op.a);
  operands.b = in_memory(op.b);
  operands.d = in_memory(op.d);
  operands.displacement = op.displacement;
  key.d = key.a = key.b = Form::Slot;
  key.scale = op.scale;
  must_emit(key, operands);
}

// -- checks, vectors, slow operations
// ---------------------------------------------------------------------------------

/// CheckDivide: what the stencil cannot tell to divide is looked at by the slow path.
void Generator::check_divide(const MicroOp& op) {
  Operands operands{.a = place_of(op.a), .b = place_of(op.b), .c = place_of(op.c)};
  StencilKey key{.op = code_of(op.op), .width = op.width, .a = operands.a.form};
  key.b = operands.b.form;
  key.c = operands.c.form;
  key.scale = static_cast<u8>(op.immediate);
  must_emit(key, operands);
  u32 site = new_site(op, Site::Kind::Divide);
  sites_[site].slot = slow_slot(operands.a);
  sites_[site].address = slow_slot(operands.b);
  sites_[site].third = slow_slot(operands.c);
  cold_call(site, out_);
}

void Generator::check_aligned(const MicroOp& op) {
  StencilKey key{.op = code_of(op.op)};
  Operands operands;
  address_operands(op, key, operands);
  operands.immediate = op.immediate - 1;
  bool emitted = emit_address(key, operands);
  PENUMBRA_ASSERT(emitted);
  cold_call(new_site(op, Site::Kind::Misaligned), out_);
}

/// Whether nothing but RSP changes between the check and the jump: what is found was checked.
bool Generator::is_checked_later(const MicroOp& check) const {
  if (!ir_->mode.is_long()) return false;
  auto jumps = [&](const MicroOp& op) { return op.op == Op::JumpDynamic && op.a == check.a; };
  if (jumps(next_[0])) return true;
  return next_[0].d == kStackPointer && translator::shape_of(next_[0].op) == Shape::Address &&
         jumps(next_[1]) && next_[1].returns;
}

void Generator::check_target(const MicroOp& op) {
  unchecked_target_ = is_checked_later(op);
  if (unchecked_target_) return;
  Special special = ir_->mode.is_long() ? Special::CheckCanonical : Special::CheckLimit;
  Operands operands{.a = place_of(op.a)};
  must_emit({.op = code_of(special), .a = operands.a.form}, operands);
  u32 site = new_site(op, Site::Kind::BadTarget);
  sites_[site].immediate = skipped_check_;
  skipped_check_ = false;
  cold_call(site, out_);
}

void Generator::vector(const MicroOp& op) {
  if (vector_in_registers(op)) return;
  Shape shape = translator::shape_of(op.op);
  StencilKey key{.op = code_of(op.op)};
  Operands operands;
  operands.a = in_memory(op.a);
  operands.immediate = op.immediate & 0xff;
  if (shape == Shape::IntegerFromVector) {
    key.width = op.width;
    key.from = op.from == Width::W256 ? Width::W256 : key.from;
    operands.d = destination(op.d, op.width);
  } else {
    operands.d = in_memory(op.d);
    operands.b = shape == Shape::VectorFromInteger ? place_of(op.b) : in_memory(op.b);
    bool integer = shape == Shape::VectorFromInteger;
    key.width = integer ? op.width : op.width == Width::W256 ? Width::W256 : Width::W128;
    operands.c = in_memory(op.c);
  }
  key.d = operands.d.form;
  key.a = operands.a.form;
  key.b = operands.b.form;
  key.c = operands.c.form;
  if (!emit(key, operands)) execute(op);
}

/// A micro-op without a stencil, by tier 0's handler.
void Generator::execute(const MicroOp& op) {
  spill_temporaries();
  evict_vectors();
  comparison_.reset();
  u32 site = new_site(op, Site::Kind::Execute);
  sites_[site].immediate = programs_.size();
  programs_.push_back(op);
  call_slow(site);
}

void Generator::slow_operation(const MicroOp& op, Site::Kind kind) {
  spill_temporaries();
  evict_vectors();
  comparison_.reset();
  u32 site = new_site(op, kind);
  sites_[site].immediate = op.immediate;
  sites_[site].slot = op.d;
  sites_[site].address = op.a;
  if (kind == Site::Kind::EndSse) {
    sites_[site].slot = op.a;
    sites_[site].address = op.b;
    sites_[site].third = op.c;
  }
  bool straight = kind == Site::Kind::Call && may_be_straight(ir_->calls[op.immediate], ir_->mode);
  if (straight) return string_operation(ir_->calls[op.immediate], site);
  call_slow(site);
  if (kind == Site::Kind::Call) unit_mark_ = Site::kNoMark;
}

/// Few bytes here, more in C++.
void Generator::string_operation(const translator::CallSite& call, u32 site) {
  bool copies = call.call.effects & translator::CopiesStraight;
  bool fills = call.call.effects & translator::FillsStraight;
  Segment segment = call.operands.memory.segment;
  bool has_base = copies && (segment == Segment::Fs || segment == Segment::Gs);
  if ((!copies && !fills) || has_base) return call_slow(site, thunks_.straight);
  constexpr Slot kRax = translator::gpr_slot(0), kRcx = translator::gpr_slot(1),
                 kRsi = translator::gpr_slot(6), kRdi = translator::gpr_slot(7);
  must_emit({.op = code_of(copies ? Special::ShortMovs : Special::ShortStos),
             .width = call.operands.width,
             .a = Form::Register,
             .b = Form::Register,
             .c = Form::Register,
             .writes_left = true},
            {.a = place_of(kRcx), .b = place_of(kRdi), .c = place_of(copies ? kRsi : kRax)});
  Fields slow = continuations(HoleKind::Slow);
  auto advance = [&](Slot slot) {
    address({.op = Op::Lea,
             .scale = static_cast<u8>(call.operands.width),
             .d = slot,
             .a = slot,
             .b = kRcx});
  };
  if (copies) advance(kRsi);
  advance(kRdi);
  pure({.op = Op::Move, .d = kRcx});
  cold_calls_.push_back({.from = slow, .resume = out_, .site = site, .thunk = thunks_.straight});
}

}  // namespace penumbra::jit
