// The meaning of keys that are micro-ops: tier 0's handlers, run on the scene.
#include "cpu/semantics/divide.h"
#include "jit/interp/handlers.h"
#include "tests/stencil/scene.h"

namespace penumbra::jit::test {
namespace {

using cpu::FlagFamily;
using translator::kNoSlot;
using translator::kZeroSlot;
using translator::MicroOp;
using translator::Shape;
using translator::Slot;

constexpr Slot kConditionSlot = translator::temporary_slot(20);

/// Ends a program: tells which way it went.
PENUMBRA_HANDLER arrive(PENUMBRA_HANDLER_ARGUMENTS) {
  *reinterpret_cast<Way*>(u->immediate) = static_cast<Way>(u->displacement);
}

Way interpret(Scene& scene, std::span<const MicroOp> ops) {
  Way way = Way::Slow;
  std::vector<Uop> uops;
  for (const MicroOp& op : ops) {
    uops.push_back(interpreted(op));
    uops.back().index = static_cast<u16>(uops.size() - 1);
  }
  for (Way end : {Way::Next, Way::Taken}) {
    uops.push_back({.handler = arrive,
                    .immediate = reinterpret_cast<u64>(&way),
                    .displacement = static_cast<i32>(end)});
  }
  const auto* table = static_cast<const mmu::ShadowTable*>(scene.state.table);
  uops[0].handler(&scene.state, uops.data(), table, scene.left);
  return way;
}

bool is_tied_select(const StencilKey& key) { return key.tied && op_of(key) == Op::Select; }

/// TEST of a register with itself.
bool is_test_of_itself(const StencilKey& key) {
  bool tests = op_of(key) == Op::BranchAnd || (op_of(key) == Op::And && key.d == Form::None);
  return tests && key.b == Form::None;
}

bool is_carry(Op op) { return op == Op::AddCarry || op == Op::SubBorrow; }

/// Whether it takes its condition, or carry, from the host's flags.
bool reads_host_flags(const StencilKey& key) {
  bool adds = is_carry(op_of(key)) && key.c == Form::None;
  return adds || (key.kind == FlagKind::None && op_of(key) != Op::KeepFlags);
}

/// The micro-op of the key, its operands in the scene's slots.
MicroOp micro_op(const Scene& scene) {
  const StencilKey& key = scene.key;
  auto slot = [&](u32 operand) {
    Form form = forms_of(key)[operand];
    return form == Form::Register || form == Form::Slot ? scene.slots[operand] : kNoSlot;
  };
  MicroOp op{.op = op_of(key),
             .width = key.width,
             .from = key.from,
             .sets_flags = key.effect != Effect::Value,
             .condition = key.condition,
             .reads = key.kind,
             .scale = key.scale,
             .b_is_immediate = key.b == Form::Immediate,
             .d = slot(kD),
             .a = slot(kA),
             .b = slot(kB),
             .c = slot(kC),
             .displacement = scene.displacement,
             .immediate = scene.immediate};
  if (is_test_of_itself(key)) op.b = op.a;
  if (op.op == Op::Lea && key.wide) op.displacement = 0;
  if (key.tied) (is_tied_select(key) ? op.b : op.a) = op.d;
  if (has_address(key) || op.op == Op::Lea) {
    if (op.a == kNoSlot) op.a = kZeroSlot;
    if (op.b == kNoSlot) op.b = kZeroSlot;
  }
  if (op.op == Op::LoadForWrite) op.op = Op::Load;  // the entry decides what may be read so
  return op;
}

/// Where the host's flags are those that are read.
Outcome performed_by_host_flags(Scene& scene) {
  u8* condition = reinterpret_cast<u8*>(&scene.state) + kConditionSlot;
  cpu::CpuState& s = scene.state;
  u64 source = s.flag_source, kept = load_from<u64>(condition), d = scene.value(kD);
  MicroOp op = micro_op(scene);
  op.reads = FlagKind::Explicit;
  if (is_carry(op.op)) {
    op.c = kConditionSlot;
    store_to<u64>(condition, scene.host_flags & cpu::Flag::kCf);
    Way way = interpret(scene, std::array{op});
    store_to(condition, kept);
    return {.way = way};
  }
  s.flag_source = scene.host_flags;
  Outcome outcome;
  if (op.op == Op::Select) {
    MicroOp get{.op = Op::GetCondition, .condition = op.condition, .reads = op.reads};
    get.d = kConditionSlot;
    op.a = scene.slots[kC], op.b = op.d, op.c = kConditionSlot;
    outcome.way = interpret(scene, std::array{get, op});
    store_to(condition, kept);
  } else {
    outcome.way = interpret(scene, std::array{op});
    bool low_byte = op.op == Op::GetCondition && op.width == Width::W8;
    if (low_byte) store_to(scene.at(kD), (d & ~u64{0xff}) | scene.value(kD));
  }
  s.flag_source = source;
  return outcome;
}

bool hits(Scene& scene) {
  const mmu::ShadowTable& table = scene.pages->table();
  u64 linear = scene.linear();
  u32 size = bytes(scene.key.width);
  switch (op_of(scene.key)) {
    case Op::LoadForWrite:
      return table.for_tracked_write(linear, size) != nullptr;
    case Op::Store:
    case Op::StoreVector:
      return table.for_write(linear, size) != nullptr;
    default:
      return table.for_read(linear, size) != nullptr;
  }
}

Outcome performed_in_memory(Scene& scene) {
  u64 linear = scene.linear();
  if (!hits(scene)) return {.way = Way::Slow, .rdx = linear};
  return {.way = interpret(scene, std::array{micro_op(scene)})};
}

Outcome check_aligned(Scene& scene) {
  u64 linear = scene.linear();
  if ((linear & scene.immediate) == 0) return {};
  return {.way = Way::Slow, .rdx = linear};
}

/// Slow where there is no quotient, and where that is not told at once.
template <class T>
Outcome check_divide(Scene& scene) {
  T low = static_cast<T>(scene.operand(kA)), divisor = static_cast<T>(scene.operand(kB)),
    high = static_cast<T>(scene.operand(kC));
  if (scene.key.scale == 0) {
    return {.way = cpu::divides<T, false>(low, high, divisor) ? Way::Next : Way::Slow};
  }
  if (!cpu::divides<T, true>(low, high, divisor)) return {.way = Way::Slow};
  bool is_narrow = high == (cpu::msb(low) ? static_cast<T>(~T{0}) : T{0});
  bool is_plain = divisor != 0 && divisor != static_cast<T>(~T{0});
  return {.may_be_slow = !is_narrow || !is_plain};
}

Outcome check_divide(Scene& scene) {
  switch (scene.key.width) {
    case Width::W8:
      return check_divide<u8>(scene);
    case Width::W16:
      return check_divide<u16>(scene);
    case Width::W32:
      return check_divide<u32>(scene);
    default:
      return check_divide<u64>(scene);
  }
}

Outcome keep_flags(Scene& scene) {
  bool fits = cpu::replaces(cpu::family_of(scene.key.kind), scene.state.flag_modifier);
  return {.way = fits ? Way::Next : Way::Slow};
}

/// Where the kind is known at run time only, generated code may leave unusual ones to C++.
bool may_leave_kind(const Scene& scene) {
  bool reads = translator::shape_of(op_of(scene.key)) == Shape::ReadFlags ||
               op_of(scene.key) == Op::BranchFlags;
  const cpu::CpuState& s = scene.state;
  bool usual = s.flag_kind == FlagKind::Explicit && s.flag_modifier == FlagKind::None;
  return reads && scene.key.kind == FlagKind::Dynamic && !usual;
}

Outcome performed(Scene& scene) {
  bool may_be_slow = may_leave_kind(scene);
  u64 result = scene.state.flag_result, source = scene.state.flag_source;
  MicroOp op = micro_op(scene);
  if (translator::shape_of(op.op) == Shape::VectorClear && op.a != kNoSlot)  // of a copy
    std::memcpy(scene.at(kD), scene.at(kA), 32);
  Way way = interpret(scene, std::array{op});
  bool fused = op_of(scene.key) == Op::BranchSub || op_of(scene.key) == Op::BranchAnd;
  if (fused && scene.key.effect == Effect::Value) {  // cold code keeps the flags, if any does
    scene.state.flag_result = result;
    scene.state.flag_source = source;
  }
  if (scene.key.effect == Effect::ValueAndSource) scene.state.flag_result = result;
  return {.way = way, .may_be_slow = may_be_slow};
}

/// Counts are masked, and not 0 where flags are set.
bool is_shift(Op op) { return op >= Op::Shl && op <= Op::RotateRight; }

template <class T>
bool divides(Scene& scene) {
  T low = static_cast<T>(scene.operand(kA)), divisor = static_cast<T>(scene.operand(kB)),
    high = static_cast<T>(scene.operand(kC));
  bool is_signed = op_of(scene.key) == Op::DivideSigned;
  return is_signed ? cpu::divides<T, true>(low, high, divisor)
                   : cpu::divides<T, false>(low, high, divisor);
}
bool divides(Scene& scene) {
  switch (scene.key.width) {
    case Width::W8:
      return divides<u8>(scene);
    case Width::W16:
      return divides<u16>(scene);
    case Width::W32:
      return divides<u32>(scene);
    default:
      return divides<u64>(scene);
  }
}

void make_divisible(Scene& scene, std::mt19937_64& random) {
  if (op_of(scene.key) != Op::DivideSigned && op_of(scene.key) != Op::DivideUnsigned) return;
  for (int i = 0; i < 16 && !divides(scene); ++i)
    for (u32 operand : {kA, kB, kC}) store_to(scene.at(operand), corner_or_random(random));
  if (divides(scene)) return;
  for (u8 operand : {kD, kA, kB, kC}) {  // those that are in one slot may never
    scene.slots[operand] = translator::gpr_slot(operand);
    store_to(scene.at(operand), operand == kC ? 0 : 1 + random() % 127);
  }
}

void make_count(Scene& scene, std::mt19937_64& random) {
  if (!is_shift(op_of(scene.key))) return;
  u64 most = scene.key.width == Width::W64 ? 64 : 32;
  u64 count = scene.key.effect == Effect::Value ? random() % most : 1 + random() % (most - 1);
  if (scene.key.b == Form::Immediate) {
    scene.immediate = count;
  } else if (scene.key.effect != Effect::Value) {
    u32 size = bytes(scene.key.width);
    std::memcpy(scene.at(kB), &count, size);
  }
}

/// The quotients around what a width holds.
void make_narrow_dividend(Scene& scene, std::mt19937_64& random) {
  if (op_of(scene.key) != Op::CheckDivide || random() % 4 != 0) return;
  u64 least = bit(bits(scene.key.width) - 1);
  store_to(scene.at(kB), random() % 2 != 0 ? ~0ull : 0ull);
  store_to(scene.at(kC), ~0ull);
  store_to(scene.at(kA), least + random() % 2);
}

}  // namespace

void prepare_micro_op(Scene& scene, std::mt19937_64& random) {
  make_count(scene, random);
  make_divisible(scene, random);
  make_narrow_dividend(scene, random);
  bool whole_byte = translator::shape_of(op_of(scene.key)) >= Shape::VectorUnary;
  if (whole_byte) scene.immediate &= 0xff;
  if (op_of(scene.key) == Op::CodeValue) {
    scene.immediate = reinterpret_cast<u64>(scene.pages->bytes() + random() % kPageSize);
  }
  if (op_of(scene.key) == Op::CheckAligned) scene.immediate = bit(1 + random() % 5) - 1;
}

std::optional<Outcome> perform(Scene& scene) {
  if (is_special(scene.key)) return perform_special(scene);
  if (reads_host_flags(scene.key)) return performed_by_host_flags(scene);
  switch (translator::shape_of(op_of(scene.key))) {
    case Shape::Memory:
      return performed_in_memory(scene);
    case Shape::Segmented:
      return op_of(scene.key) == Op::CheckAligned ? std::optional(check_aligned(scene))
                                                  : std::nullopt;
    case Shape::Check:
      return op_of(scene.key) == Op::CheckDivide ? std::optional(check_divide(scene))
                                                 : std::nullopt;
    case Shape::FlagState:
      return op_of(scene.key) == Op::KeepFlags ? std::optional(keep_flags(scene)) : std::nullopt;
    case Shape::Control:
      return translator::is_branch(op_of(scene.key)) ? std::optional(performed(scene))
                                                     : std::nullopt;
    case Shape::Hint:
      return std::nullopt;
    default:
      return performed(scene);
  }
}

}  // namespace penumbra::jit::test
