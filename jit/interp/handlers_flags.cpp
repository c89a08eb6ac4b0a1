// Handlers that read flags, and branches: specialised for the flag kinds that carry most code.
#include "jit/interp/handler_support.h"
#include "jit/interp/handlers.h"

namespace penumbra::jit {
namespace {

using cpu::Condition;
using cpu::FlagFamily;
using cpu::FlagKind;
using translator::MicroOp;
using translator::Op;

/// The flags by a kind, whose values are the patch where it is partial.
u32 flags_by(const CpuState* s, FlagKind kind) {
  if (kind == FlagKind::Dynamic) return s->arithmetic_flags();
  u64 result = cpu::is_partial(kind) ? s->flag_patch : s->flag_result;
  return cpu::materialize(kind, result, s->flag_source);
}

PENUMBRA_HANDLER get_flags(PENUMBRA_HANDLER_ARGUMENTS) {
  put<u64>(s, u->d, flags_by(s, static_cast<FlagKind>(u->extra)));
  PENUMBRA_NEXT;
}

PENUMBRA_HANDLER store_state(PENUMBRA_HANDLER_ARGUMENTS) {
  store_flag_state(s, u);
  PENUMBRA_NEXT;
}
PENUMBRA_HANDLER keep_flags(PENUMBRA_HANDLER_ARGUMENTS) {
  auto family = cpu::family_of(static_cast<FlagKind>(u->extra));
  if (!cpu::replaces(family, s->flag_modifier)) s->set_arithmetic_flags(s->arithmetic_flags());
  PENUMBRA_NEXT;
}
PENUMBRA_HANDLER explicit_flags(PENUMBRA_HANDLER_ARGUMENTS) {
  store_flag_state(s, u);
  s->set_arithmetic_flags(s->arithmetic_flags());
  PENUMBRA_NEXT;
}

PENUMBRA_HANDLER set_flags(PENUMBRA_HANDLER_ARGUMENTS) {
  s->flag_source = get<u64>(s, u->a) & cpu::Flag::kArithmetic;
  PENUMBRA_NEXT;
}
PENUMBRA_HANDLER set_flags_immediate(PENUMBRA_HANDLER_ARGUMENTS) {
  s->flag_source = u->immediate & cpu::Flag::kArithmetic;
  PENUMBRA_NEXT;
}

/// Where the condition comes from: a family at a width known statically, or any kind.
template <FlagFamily F, class T>
struct Known {
  static bool holds(const CpuState* s, const Uop*, Condition condition) {
    u64 result = cpu::is_partial(F) ? s->flag_patch : s->flag_result;
    return cpu::condition_of<F, T>(condition, result, s->flag_source);
  }
};
struct Any {
  static bool holds(const CpuState* s, const Uop* u, Condition condition) {
    return cpu::holds(condition, flags_by(s, static_cast<FlagKind>(u->extra)));
  }
};

template <class Source, Condition C>
PENUMBRA_HANDLER get_condition(PENUMBRA_HANDLER_ARGUMENTS) {
  put<u64>(s, u->d, Source::holds(s, u, C));
  PENUMBRA_NEXT;
}

/// Not taken: the next uop is the fall-through jump; taken: the one behind it.
template <class Source, Condition C>
PENUMBRA_HANDLER branch_flags(PENUMBRA_HANDLER_ARGUMENTS) {
  if (Source::holds(s, u, C)) [[unlikely]]
    PENUMBRA_THROUGH(u + 2);
  PENUMBRA_THROUGH(u + 1);
}

template <class Source, template <class, Condition> class Make, unsigned... C>
constexpr auto table(std::integer_sequence<unsigned, C...>) {
  return std::array<Handler, 16>{Make<Source, static_cast<Condition>(C)>::kHandler...};
}
template <class Source, Condition C>
struct MakeGet {
  static constexpr Handler kHandler = get_condition<Source, C>;
};
template <class Source, Condition C>
struct MakeBranch {
  static constexpr Handler kHandler = branch_flags<Source, C>;
};

template <template <class, Condition> class Make, class Source>
Handler from_source(Condition condition) {
  static constexpr auto kTable = table<Source, Make>(std::make_integer_sequence<unsigned, 16>());
  return kTable[static_cast<u8>(condition)];
}

constexpr FlagKind kInc32 = cpu::flag_kind(FlagFamily::Inc, Width::W32),
                   kInc64 = cpu::flag_kind(FlagFamily::Inc, Width::W64),
                   kDec32 = cpu::flag_kind(FlagFamily::Dec, Width::W32),
                   kDec64 = cpu::flag_kind(FlagFamily::Dec, Width::W64);

template <template <class, Condition> class Make>
Handler for_kind(FlagKind kind, Condition condition) {
  switch (kind) {
    case FlagKind::Sub8:
      return from_source<Make, Known<FlagFamily::Sub, u8>>(condition);
    case FlagKind::Sub16:
      return from_source<Make, Known<FlagFamily::Sub, u16>>(condition);
    case FlagKind::Sub32:
      return from_source<Make, Known<FlagFamily::Sub, u32>>(condition);
    case FlagKind::Sub64:
      return from_source<Make, Known<FlagFamily::Sub, u64>>(condition);
    case FlagKind::Logic8:
      return from_source<Make, Known<FlagFamily::Logic, u8>>(condition);
    case FlagKind::Logic16:
      return from_source<Make, Known<FlagFamily::Logic, u16>>(condition);
    case FlagKind::Logic32:
      return from_source<Make, Known<FlagFamily::Logic, u32>>(condition);
    case FlagKind::Logic64:
      return from_source<Make, Known<FlagFamily::Logic, u64>>(condition);
    case FlagKind::Image:
      return from_source<Make, Known<FlagFamily::Image, u64>>(condition);
    case FlagKind::Add32:
      return from_source<Make, Known<FlagFamily::Add, u32>>(condition);
    case FlagKind::Add64:
      return from_source<Make, Known<FlagFamily::Add, u64>>(condition);
    case kInc32:
      return from_source<Make, Known<FlagFamily::Inc, u32>>(condition);
    case kInc64:
      return from_source<Make, Known<FlagFamily::Inc, u64>>(condition);
    case kDec32:
      return from_source<Make, Known<FlagFamily::Dec, u32>>(condition);
    case kDec64:
      return from_source<Make, Known<FlagFamily::Dec, u64>>(condition);
    default:
      return from_source<Make, Any>(condition);
  }
}

// -- fused compare and branch
// ----------------------------------------------------------------------

template <FlagFamily F, class T, Condition C, bool kImmediate>
PENUMBRA_HANDLER compare_branch(PENUMBRA_HANDLER_ARGUMENTS) {
  T a = get<T>(s, u->a);
  T b = kImmediate ? static_cast<T>(u->immediate) : get<T>(s, u->b);
  T result = F == FlagFamily::Sub ? static_cast<T>(a - b) : static_cast<T>(a & b);
  s->flag_result = result;
  if constexpr (F == FlagFamily::Sub) s->flag_source = b;
  if (cpu::condition_of<F, T>(C, result, b)) [[unlikely]]
    PENUMBRA_THROUGH(u + 2);
  PENUMBRA_THROUGH(u + 1);
}

template <FlagFamily F, class T, bool kImmediate, unsigned... C>
constexpr auto fused_table(std::integer_sequence<unsigned, C...>) {
  return std::array<Handler, 16>{compare_branch<F, T, static_cast<Condition>(C), kImmediate>...};
}

template <FlagFamily F>
Handler fused_handler(const MicroOp& op) {
  Handler handler = nullptr;
  for_width(op.width, [&]<class T>(T) {
    static constexpr auto kConditions = std::make_integer_sequence<unsigned, 16>();
    static constexpr auto kSlots = fused_table<F, T, false>(kConditions);
    static constexpr auto kImmediates = fused_table<F, T, true>(kConditions);
    handler = (op.b_is_immediate ? kImmediates : kSlots)[static_cast<u8>(op.condition)];
  });
  return handler;
}

PENUMBRA_HANDLER branch_nonzero(PENUMBRA_HANDLER_ARGUMENTS) {
  if (get<u8>(s, u->a) & 1) [[unlikely]]
    PENUMBRA_THROUGH(u + 2);
  PENUMBRA_THROUGH(u + 1);
}

}  // namespace

Handler flags_handler(const MicroOp& op) {
  switch (op.op) {
    case Op::GetFlags:
      return get_flags;
    case Op::SetFlags:
      return op.a == translator::kNoSlot ? set_flags_immediate : set_flags;
    case Op::StoreFlagState:
      return store_state;
    case Op::KeepFlags:
      return keep_flags;
    case Op::ExplicitFlags:
      return explicit_flags;
    case Op::GetCondition:
      return for_kind<MakeGet>(op.reads, op.condition);
    case Op::BranchFlags:
      return for_kind<MakeBranch>(op.reads, op.condition);
    case Op::BranchSub:
      return fused_handler<FlagFamily::Sub>(op);
    case Op::BranchAnd:
      return fused_handler<FlagFamily::Logic>(op);
    case Op::BranchNonzero:
      return branch_nonzero;
    default:
      return nullptr;
  }
}

}  // namespace penumbra::jit
