// Handlers of the pure integer micro-ops: one instance per template, width and operand form.
#include "cpu/semantics/divide.h"
#include "jit/interp/handler_support.h"
#include "jit/interp/handlers.h"

namespace penumbra::jit {
namespace {

using translator::kNoSlot;
using translator::MicroOp;
using translator::Op;

template <class F, class T, Effect E>
PENUMBRA_HANDLER unary(PENUMBRA_HANDLER_ARGUMENTS) {
  commit<F, E, T>(s, u, F::template eval<T>(get<T>(s, u->a)));
  PENUMBRA_NEXT;
}

template <class T, bool kImmediate>
inline T second(const CpuState* s, const Uop* u) {
  if constexpr (kImmediate) return static_cast<T>(u->immediate);
  return get<T>(s, u->b);
}

template <class F, class T, Effect E, bool kImmediate>
PENUMBRA_HANDLER binary(PENUMBRA_HANDLER_ARGUMENTS) {
  T b = second<T, kImmediate>(s, u);
  commit<F, E, T>(s, u, F::template eval<T>(get<T>(s, u->a), b));
  PENUMBRA_NEXT;
}

template <class F, class T, Effect E>
PENUMBRA_HANDLER counted(PENUMBRA_HANDLER_ARGUMENTS) {
  T count = get<T>(s, u->b);
  cpu::Result<T> result = F::template eval<T>(get<T>(s, u->a), count);
  if constexpr (E != Effect::Flags) put<T>(s, u->d, result.value);
  if (F::sets_flags(count)) commit_counted<F, E>(s, result);
  PENUMBRA_NEXT;
}

template <class F, class T, Effect E, bool kImmediate>
PENUMBRA_HANDLER ternary(PENUMBRA_HANDLER_ARGUMENTS) {
  T b = second<T, kImmediate>(s, u);
  commit<F, E, T>(s, u, F::template eval<T>(get<T>(s, u->a), b, get<u64>(s, u->c)));
  PENUMBRA_NEXT;
}

template <class F, class T>
Handler pick_unary(Effect effect) {
  if (effect == Effect::Value) return unary<F, T, Effect::Value>;
  return effect == Effect::Flags ? unary<F, T, Effect::Flags> : unary<F, T, Effect::ValueAndFlags>;
}

template <class F, class T, bool kImmediate>
Handler pick_binary(Effect effect) {
  if (effect == Effect::Value) return binary<F, T, Effect::Value, kImmediate>;
  return effect == Effect::Flags ? binary<F, T, Effect::Flags, kImmediate>
                                 : binary<F, T, Effect::ValueAndFlags, kImmediate>;
}

template <class F, class T, bool kImmediate>
Handler pick_ternary(Effect effect) {
  if (effect == Effect::Value) return ternary<F, T, Effect::Value, kImmediate>;
  return effect == Effect::Flags ? ternary<F, T, Effect::Flags, kImmediate>
                                 : ternary<F, T, Effect::ValueAndFlags, kImmediate>;
}

template <class F>
Handler unary_handler(const MicroOp& op) {
  Handler handler = nullptr;
  for_width(op.width, [&]<class T>(T) { handler = pick_unary<F, T>(effect_of(op)); });
  return handler;
}

template <class F>
Handler binary_handler(const MicroOp& op) {
  Handler handler = nullptr;
  for_width(op.width, [&]<class T>(T) {
    handler = op.b_is_immediate ? pick_binary<F, T, true>(effect_of(op))
                                : pick_binary<F, T, false>(effect_of(op));
  });
  return handler;
}

template <class F>
Handler counted_handler(const MicroOp& op) {
  Handler handler = nullptr;
  for_width(op.width, [&]<class T>(T) {
    handler = effect_of(op) == Effect::Flags ? counted<F, T, Effect::Flags>
                                             : counted<F, T, Effect::ValueAndFlags>;
  });
  return handler;
}

template <class F>
Handler ternary_handler(const MicroOp& op) {
  Handler handler = nullptr;
  for_width(op.width, [&]<class T>(T) {
    handler = op.b_is_immediate ? pick_ternary<F, T, true>(effect_of(op))
                                : pick_ternary<F, T, false>(effect_of(op));
  });
  return handler;
}

// -- moves and addresses
// ---------------------------------------------------------------------------

template <class T>
PENUMBRA_HANDLER move(PENUMBRA_HANDLER_ARGUMENTS) {
  put<T>(s, u->d, get<T>(s, u->a));
  PENUMBRA_NEXT;
}
template <class T>
PENUMBRA_HANDLER move_immediate(PENUMBRA_HANDLER_ARGUMENTS) {
  put<T>(s, u->d, static_cast<T>(u->immediate));
  PENUMBRA_NEXT;
}
template <class T>
PENUMBRA_HANDLER lea(PENUMBRA_HANDLER_ARGUMENTS) {
  u64 sum = get<u64>(s, u->a) + (get<u64>(s, u->b) << u->scale) + static_cast<i64>(u->displacement);
  put<T>(s, u->d, static_cast<T>(sum));
  PENUMBRA_NEXT;
}
template <class T>
PENUMBRA_HANDLER lea_base(PENUMBRA_HANDLER_ARGUMENTS) {
  put<T>(s, u->d, static_cast<T>(get<u64>(s, u->a) + static_cast<i64>(u->displacement)));
  PENUMBRA_NEXT;
}
template <class From, class To>
PENUMBRA_HANDLER extend(PENUMBRA_HANDLER_ARGUMENTS) {
  put<To>(s, u->d, static_cast<To>(static_cast<std::make_signed_t<To>>(get<From>(s, u->a))));
  PENUMBRA_NEXT;
}
template <class From, class To>
PENUMBRA_HANDLER extend_signed(PENUMBRA_HANDLER_ARGUMENTS) {
  auto value = static_cast<std::make_signed_t<From>>(get<From>(s, u->a));
  put<To>(s, u->d, static_cast<To>(static_cast<std::make_signed_t<To>>(value)));
  PENUMBRA_NEXT;
}

Handler extend_handler(const MicroOp& op) {
  bool is_signed = op.op == Op::SignExtend;
  Handler handler = nullptr;
  for_width(op.from, [&]<class From>(From) {
    for_width(op.width, [&]<class To>(To) {
      handler = is_signed ? extend_signed<From, To> : extend<From, To>;
    });
  });
  return handler;
}

template <class T, bool kSigned>
PENUMBRA_HANDLER divide(PENUMBRA_HANDLER_ARGUMENTS) {
  T low = get<T>(s, u->a), divisor = get<T>(s, u->b), high = get<T>(s, u->c);
  put<T>(s, u->d, cpu::quotient<T, kSigned>(low, high, divisor));
  PENUMBRA_NEXT;
}

Handler divide_handler(const MicroOp& op) {
  Handler handler = nullptr;
  bool is_signed = op.op == Op::DivideSigned;
  for_width(op.width,
            [&]<class T>(T) { handler = is_signed ? divide<T, true> : divide<T, false>; });
  return handler;
}

Handler move_handler(const MicroOp& op) {
  Handler handler = nullptr;
  for_width(op.width, [&]<class T>(T) { handler = op.a == kNoSlot ? move_immediate<T> : move<T>; });
  return handler;
}

/// The immediate is the host address of the bytes.
template <class From>
PENUMBRA_HANDLER code_value(PENUMBRA_HANDLER_ARGUMENTS) {
  auto value = static_cast<std::make_signed_t<From>>(
      load_from<From>(reinterpret_cast<const u8*>(u->immediate)));
  put<u64>(s, u->d, static_cast<u64>(i64{value}));
  PENUMBRA_NEXT;
}

Handler code_value_handler(const MicroOp& op) {
  Handler handler = nullptr;
  for_width(op.from, [&]<class From>(From) { handler = code_value<From>; });
  return handler;
}

Handler lea_handler(const MicroOp& op) {
  Handler handler = nullptr;
  for_width(op.width,
            [&]<class T>(T) { handler = op.b == translator::kZeroSlot ? lea_base<T> : lea<T>; });
  return handler;
}

}  // namespace

Handler integer_handler(const MicroOp& op) {
  switch (op.op) {
    case Op::Move:
      return move_handler(op);
    case Op::CodeValue:
      return code_value_handler(op);
    case Op::Lea:
      return lea_handler(op);
    case Op::ZeroExtend:
    case Op::SignExtend:
      return extend_handler(op);
    case Op::DivideUnsigned:
    case Op::DivideSigned:
      return divide_handler(op);
#define PENUMBRA_PICK_Unary(name) \
  case Op::name:                  \
    return unary_handler<cpu::name>(op);
#define PENUMBRA_PICK_Binary(name) \
  case Op::name:                   \
    return binary_handler<cpu::name>(op);
#define PENUMBRA_PICK_Counted(name) \
  case Op::name:                    \
    return counted_handler<cpu::name>(op);
#define PENUMBRA_PICK_Ternary(name) \
  case Op::name:                    \
    return ternary_handler<cpu::name>(op);
#define PENUMBRA_PICK_Divide(name)
#define PENUMBRA_PICK_Move(name)
#define PENUMBRA_PICK_Code(name)
#define PENUMBRA_PICK_Address(name)
#define PENUMBRA_PICK_Widen(name)
#define PENUMBRA_PICK_ReadFlags(name)
#define PENUMBRA_PICK_WriteFlags(name)
#define PENUMBRA_PICK_FlagState(name)
#define PENUMBRA_PICK_Memory(name)
#define PENUMBRA_PICK_Segmented(name)
#define PENUMBRA_PICK_Check(name)
#define PENUMBRA_PICK_Hint(name)
#define PENUMBRA_PICK_Control(name)
#define PENUMBRA_OP(name, shape) PENUMBRA_PICK_##shape(name)
#include "translator/ir/ops.def"
#undef PENUMBRA_OP
    default:
      return nullptr;
  }
}

}  // namespace penumbra::jit
